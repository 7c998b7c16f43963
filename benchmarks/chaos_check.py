"""Holds what annotators were told against what the ledger says. Pure: two histories in, the broken promises out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

COUNTED = frozenset({"accepted", "late"})
KEPT = COUNTED | {"surplus"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One outcome that a client received for one answer. Times are seconds since the epoch."""

    annotator: str
    lease: int
    item: int | None
    label: str
    outcome: str
    key: str | None
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the database holds of one project at the end.

    annotations: (item, annotator) → {"label", "counted", "assignment"}; assignments: id → {"item", "annotator",
    "leased_at", "ended_at"}, the end being that of the close or of the expiry; items: number → {"state", "needed",
    "votes"}; `cap` is the most votes an item may collect.
    """

    annotations: Mapping[tuple[int, str], Mapping[str, Any]]
    assignments: Mapping[int, Mapping[str, Any]]
    items: Mapping[int, Mapping[str, Any]]
    cap: int


@dataclass(slots=True)
class Verdict:
    """The broken promises, each with a sentence per case."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    over_cap: list[str] = field(default_factory=list)
    stranded: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether none was broken."""
        return not (self.lost or self.doubled or self.over_cap or self.stranded)


def check(told: Iterable[Told], ledger: Ledger) -> Verdict:
    """Every promise against every case."""
    verdict = Verdict()
    by_key: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for one in told:
        _kept(one, ledger, verdict)
        if one.key is not None:
            by_key[one.annotator, one.key, one.lease].add(one.outcome)
    for (annotator, key, lease), outcomes in by_key.items():
        if len(outcomes) > 1:
            verdict.doubled.append(f"key {key} of {annotator}, lease {lease}: told {sorted(outcomes)}")
    _caps(ledger, verdict)
    _holders(ledger, verdict)
    return verdict


def _kept(one: Told, ledger: Ledger, verdict: Verdict) -> None:
    """An acknowledged answer is there, as it was given, and counts if that was said."""
    if one.outcome not in KEPT or one.item is None:
        return
    row = ledger.annotations.get((one.item, one.annotator))
    if row is None:
        verdict.lost.append(f"{one.annotator}'s answer to item {one.item} ({one.outcome}) is gone")
    elif row["assignment"] == one.lease and row["label"] != one.label:
        verdict.lost.append(f"{one.annotator}'s answer to item {one.item} changed from {one.label} to {row['label']}")
    elif row["assignment"] == one.lease and bool(row["counted"]) != (one.outcome in COUNTED):
        verdict.lost.append(
            f"{one.annotator}'s answer to item {one.item}: told {one.outcome}, counted {row['counted']}"
        )
    elif row["assignment"] != one.lease:
        verdict.doubled.append(f"{one.annotator} was told {one.outcome} for two leases of item {one.item}")


def _caps(ledger: Ledger, verdict: Verdict) -> None:
    """Counted votes stay within the cap, and the item knows how many there are."""
    counted: dict[int, int] = defaultdict(int)
    for (item, _), row in ledger.annotations.items():
        counted[item] += bool(row["counted"]) and not row.get("review", False)
    for item, votes in counted.items():
        if votes > ledger.cap:
            verdict.over_cap.append(f"item {item} has {votes} counted votes, cap {ledger.cap}")


def _holders(ledger: Ledger, verdict: Verdict) -> None:
    """Two annotators never hold a single-vote item at once, by the times of their leases."""
    by_item: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for row in ledger.assignments.values():
        by_item[row["item"]].append(row)
    for item, rows in by_item.items():
        if ledger.cap > 1:
            continue
        rows.sort(key=lambda row: row["leased_at"])
        for first, second in pairwise(rows):
            if second["leased_at"] < first["ended_at"]:
                verdict.doubled.append(f"item {item}: {first['annotator']} and {second['annotator']} held it at once")


def stranded(ledger: Ledger) -> list[str]:
    """Items that nobody could get although everybody asked until there was nothing left."""
    return [f"item {item} is {row['state']}" for item, row in ledger.items.items() if row["state"] == "pooled"]
