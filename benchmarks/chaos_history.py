"""What the annotators of a chaos run were told, and what must be true of it: nothing lost, doubled, or over a cap.

A history is a list of `Event`s, one per request, with the answer or without one; a `Book` is what the ledger holds when
the dust has settled. `check` compares the two. It knows nothing of how either came to be, so it can be tested on
histories that are wrong on purpose.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

KEPT = frozenset({"accepted", "late", "surplus"})
COUNTED = frozenset({"accepted", "late"})
TRUE_STATUS = frozenset({200, 201, 202, 400, 401, 403, 404, 413, 422, 429, 503})
"""Answers that may reach a client: the truth about its request, or that it shall come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One request of one annotator. `heard` and `status` are None when no whole answer came; times are seconds."""

    verb: str
    who: str
    sent: float
    heard: float | None = None
    status: int | None = None
    key: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    reply: Mapping[str, Any] = field(default_factory=dict)
    retry_after: str | None = None

    @property
    def done(self) -> bool:
        """Whether the request was carried out, as far as its sender was told."""
        return self.status in {200, 202}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One row of the ledger's leases; times are seconds."""

    lease: str
    item: int
    who: str
    slot: int
    state: str
    lane: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One row of the ledger's annotations."""

    lease: str
    item: int
    who: str
    label: str
    outcome: str
    counted: bool
    review: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One item of the ledger."""

    item: int
    state: str
    needed: int
    votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """What the ledger holds. `unfinished` are jobs that nobody ended; `cap` the most votes of any item."""

    items: Mapping[int, Row]
    leases: Sequence[Held]
    annotations: Sequence[Kept]
    cap: int
    unfinished: Sequence[str] = ()
    spent: int | None = None


@dataclass(slots=True)
class Verdict:
    """Violations by kind, each a sentence; none is what every run must come to."""

    acknowledged: int = 0
    counted: int = 0
    found: dict[str, list[str]] = field(
        default_factory=lambda: {kind: [] for kind in ("lost", "doubled", "over_cap", "stranded", "untrue", "unequal")}
    )

    @property
    def clean(self) -> bool:
        """Whether nothing was violated."""
        return not any(self.found.values())

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        return {kind: len(sentences) for kind, sentences in self.found.items()}


def check(history: Sequence[Event], book: Book, polls: Sequence[Mapping[str, Any]] = ()) -> Verdict:
    """Everything that must hold between what was told and what is kept.

    lost: told, but not kept so. doubled: counted twice, held by more than may, or given again. over_cap: more counted
    votes than the item may have. stranded: not settled though everybody pulled. untrue: an answer that is neither the
    truth nor 503. unequal: one Idempotency-Key with two effects, or counts that do not add up.
    """
    verdict = Verdict()
    _check_statuses(history, verdict)
    _check_kept(history, book, verdict)
    _check_granted(history, book, verdict)
    _check_once(book, verdict)
    _check_holders(history, book, verdict)
    _check_again(history, verdict)
    _check_keys(history, verdict)
    _check_settled(book, verdict)
    _check_polls(polls, verdict)
    return verdict


def outcomes(event: Event) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """What was asked and what was answered, one by one."""
    asked = event.body.get("annotations") or [{"lease": one} for one in event.body.get("leases", ())]
    return zip(asked, event.reply.get("outcomes", ()), strict=False)


def granted(history: Iterable[Event]) -> Iterator[tuple[Event, Mapping[str, Any]]]:
    """Every lease that somebody was told of."""
    for event in history:
        if event.verb in {"lease", "open"} and event.done:
            for one in event.reply.get("leases", ()):
                yield event, one


def _check_statuses(history: Sequence[Event], verdict: Verdict) -> None:
    for event in history:
        if event.status is None:
            continue
        if event.status not in TRUE_STATUS:
            verdict.found["untrue"].append(f"{event.who} was answered {event.status} to {event.verb}: {event.reply}")
        elif event.status == 503 and not event.retry_after:
            verdict.found["untrue"].append(f"{event.who} was answered 503 without Retry-After to {event.verb}")
        elif event.done and "outcomes" in event.reply:
            asked = len(event.body.get("annotations") or event.body.get("leases") or ())
            if len(event.reply["outcomes"]) != asked:
                verdict.found["untrue"].append(f"{event.who} asked for {asked} outcomes and got another number")


def _check_kept(history: Sequence[Event], book: Book, verdict: Verdict) -> None:
    """Each acknowledged answer is in the ledger, with its content and its outcome."""
    by_lease = {one.lease: one for one in book.annotations}
    by_turn = {(one.item, one.who) for one in book.annotations}
    seen: set[str] = set()
    for event in history:
        if event.verb != "annotate" or not event.done:
            continue
        for asked, told in outcomes(event):
            if told["outcome"] == "duplicate" and (told["item"], event.who) not in by_turn:
                verdict.found["lost"].append(
                    f"{event.who} was told of an earlier answer to {told['item']}: none is kept"
                )
            if told["outcome"] not in KEPT:
                continue
            seen.add(told["lease"])
            kept = by_lease.get(told["lease"])
            wanted = (event.who, asked["label"], told["outcome"], told["outcome"] in COUNTED)
            if kept is None:
                verdict.found["lost"].append(f"lease {told['lease']}: {told['outcome']} was told, nothing is kept")
            elif (kept.who, kept.label, kept.outcome, kept.counted) != wanted:
                verdict.found["lost"].append(f"lease {told['lease']}: {wanted} was told, {kept} is kept")
    verdict.acknowledged = len(seen)
    verdict.counted = sum(one.counted for one in book.annotations)


def _check_granted(history: Sequence[Event], book: Book, verdict: Verdict) -> None:
    """Each lease that somebody was given is in the ledger as his."""
    known = {one.lease: (one.item, one.who) for one in book.leases}
    for event, one in granted(history):
        if known.get(one["lease"]) != (one["item"], event.who):
            verdict.found["lost"].append(f"lease {one['lease']} of {event.who} on {one['item']} is not in the ledger")


def _check_once(book: Book, verdict: Verdict) -> None:
    """Nobody counts twice for an item, and no item has more counted votes than it may."""
    turns: dict[tuple[int, str], int] = defaultdict(int)
    votes: dict[int, int] = defaultdict(int)
    for one in book.annotations:
        turns[one.item, one.who] += 1
        votes[one.item] += one.counted and not one.review
    verdict.found["doubled"] += [f"{who} has {n} answers to {item}" for (item, who), n in turns.items() if n > 1]
    for item, count in votes.items():
        row = book.items.get(item)
        most = min(book.cap, row.needed) if row else 0
        if count > most:
            verdict.found["over_cap"].append(f"item {item} has {count} counted votes, {most} at most")
    total = sum(one.counted and not one.review for one in book.annotations)
    if book.spent is not None and book.spent != total:
        verdict.found["unequal"].append(f"the budget says {book.spent} votes were counted, the ledger has {total}")


def _check_holders(history: Sequence[Event], book: Book, verdict: Verdict) -> None:
    """At no moment did more hold an item than it needs votes: by what was told, and by the ledger's own times."""
    told = defaultdict(list)
    for (item, lane), span in _told_spans(history):
        told[item, lane == "review"].append(span)
    kept = defaultdict(list)
    for one in book.leases:
        kept[one.item, one.lane == "review"].append((one.begin, one.end))
    for source, spans in (("was told", told), ("is kept", kept)):
        for (item, review), of_item in spans.items():
            row = book.items.get(item)
            most = 1 if review or row is None else row.needed
            if (held := _most_at_once(of_item)) > most:
                verdict.found["doubled"].append(
                    f"item {item} had {held} holders at once as it {source}, {most} at most"
                )


def _told_spans(history: Sequence[Event]) -> Iterator[tuple[tuple[int, str], tuple[float, float]]]:
    """When each lease was surely held: from its answer to its end, or to when its holder sent what ends it."""
    begun: dict[str, list[Any]] = {}
    for event, one in granted(history):
        known = begun.get(one["lease"])
        end = _seconds(one["expires_at"])
        if known is None:
            begun[one["lease"]] = [one["item"], one["lane"], event.heard, end, event.who]
        else:
            known[2], known[3] = min(known[2], event.heard), max(known[3], end)
    closing: dict[str, float] = {}
    for event in history:
        for asked, told in _by_lease(event):
            if asked not in begun or begun[asked][4] != event.who:
                continue
            if event.verb == "renew" and told is not None and told.get("expires_at"):
                begun[asked][3] = max(begun[asked][3], _seconds(told["expires_at"]))
            if event.verb in {"annotate", "release", "skip"}:
                closing[asked] = min(closing.get(asked, event.sent), event.sent)
    for lease, (item, lane, begin, end, _) in begun.items():
        stop = min(end, closing.get(lease, end))
        if stop > begin:
            yield (item, lane), (begin, stop)


def _by_lease(event: Event) -> Iterator[tuple[str, Mapping[str, Any] | None]]:
    told = list(event.reply.get("outcomes", ())) if event.done else []
    asked = event.body.get("annotations") or [{"lease": one} for one in event.body.get("leases", ())]
    for at, one in enumerate(asked):
        yield str(one["lease"]), told[at] if at < len(told) else None


def _most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """The largest number of half-open spans that share a moment."""
    edges = sorted(
        [(begin, 1) for begin, end in spans if end > begin] + [(end, -1) for begin, end in spans if end > begin]
    )
    most = now = 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most


def _check_again(history: Sequence[Event], verdict: Verdict) -> None:
    """Nobody is given an item that he answered or skipped, once he was told that he did."""
    over: dict[tuple[str, int], float] = {}
    for event in history:
        if not event.done or event.verb not in {"annotate", "skip"}:
            continue
        for _, told in outcomes(event):
            ended = (
                told["outcome"] in KEPT if event.verb == "annotate" else told["outcome"] in {"accepted", "duplicate"}
            )
            if ended:
                turn = (event.who, told["item"])
                over[turn] = min(over.get(turn, event.heard or 0.0), event.heard or 0.0)
    for event, one in granted(history):
        ended = over.get((event.who, one["item"]))
        if ended is not None and event.sent > ended:
            verdict.found["doubled"].append(f"{event.who} was given {one['item']} again ({event.verb})")


def _check_keys(history: Sequence[Event], verdict: Verdict) -> None:
    """The same Idempotency-Key has one effect: one body, one answer."""
    told: dict[tuple[str, str, str], tuple[Any, Any]] = {}
    for event in history:
        if event.key is None or not event.done:
            continue
        known = told.setdefault((event.who, event.verb, event.key), (event.body, event.reply))
        if known != (event.body, event.reply):
            verdict.found["unequal"].append(
                f"{event.who} used {event.key} twice and was told two things: {known} and {event}"
            )


def _check_settled(book: Book, verdict: Verdict) -> None:
    """When everybody has pulled and answered until nothing came, nothing is open."""
    for row in book.items.values():
        if row.state not in {"resolved", "retired"}:
            verdict.found["stranded"].append(f"item {row.item} is {row.state} with {row.votes} of {row.needed} votes")
    verdict.found["stranded"] += [f"job {job} was never ended" for job in book.unfinished]
    verdict.found["stranded"] += [f"lease {one.lease} is live" for one in book.leases if one.state == "leased"]


def _check_polls(polls: Sequence[Mapping[str, Any]], verdict: Verdict) -> None:
    """At every look the parts add up to the whole, and what is settled stays settled."""
    before = 0
    for counts in polls:
        parts = sum(counts[part] for part in ("pooled", "queued", "leased", "resolved", "disputed", "retired"))
        if parts != counts["ingested"] or min(counts.values()) < 0:
            verdict.found["unequal"].append(f"the counts do not add up: {dict(counts)}")
        if counts["resolved"] < before:
            verdict.found["unequal"].append(f"{before} items were resolved, then {counts['resolved']}")
        before = max(before, counts["resolved"])


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
