"""What must hold after a demo, each with what was found: the demo's exit code is their conjunction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labelloop.demo.watch import Snapshot

LEAST_TRAININGS = 4
DECIDED = frozenset({"champion", "retired", "refused", "degenerate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that had to hold."""

    name: str
    held: bool
    found: str


def check(end: Snapshot, *, in_time: bool) -> list[Check]:
    """Budget, trainings, conservation and votes, from the last look at the service."""
    return [
        Check(
            name="the run ended by itself",
            held=in_time,
            found="it did" if in_time else "the time limit ended it",
        ),
        Check(
            name="the budget is spent, and not exceeded",
            held=end.spent == end.budget > 0,
            found=f"{end.spent} of {end.budget} votes",
        ),
        _trainings(end.trainings, end.models),
        _decisions(end.models),
        _ranking(end),
        _conservation(end),
        _votes(end),
    ]


def _trainings(jobs: Sequence[Mapping[str, Any]], models: Sequence[Mapping[str, Any]]) -> Check:
    amiss = [f"{job['job']} {job['state']}" for job in jobs if job["state"] != "done"]
    return Check(
        name=f"at least {LEAST_TRAININGS} retrains, all ended well",
        held=len(models) >= LEAST_TRAININGS and not amiss,
        found=f"{len(models)} models" + (f"; {', '.join(amiss)}" if amiss else ""),
    )


def _decisions(models: Sequence[Mapping[str, Any]]) -> Check:
    undecided = [str(model["number"]) for model in models if model["state"] not in DECIDED or not model["reason"]]
    promoted = sum(model["state"] in ("champion", "retired") for model in models)
    found = f"{promoted} promoted, {len(models) - promoted} refused"
    return Check(
        name="every model promoted or refused, with a reason",
        held=bool(models) and not undecided,
        found=found + (f"; undecided: {', '.join(undecided)}" if undecided else ""),
    )


def _ranking(end: Snapshot) -> Check:
    """The champion's own order is served: a promotion that nobody ranked by would be half a loop."""
    champion = (end.status.get("champion") or {}).get("number")
    rounds = end.status.get("rounds") or [{}]
    return Check(
        name="the queue is ranked by the champion",
        held=champion is not None and rounds[0].get("model") == champion,
        found=f"champion {champion}; round {rounds[0].get('number')} is by model {rounds[0].get('model')}",
    )


def _conservation(end: Snapshot) -> Check:
    counts = dict(end.counts)
    ingested = counts.pop("ingested", 0)
    parts = " + ".join(f"{count} {name}" for name, count in counts.items())
    return Check(
        name="conservation of items",
        held=ingested > 0 and sum(counts.values()) == ingested,
        found=f"{parts} = {ingested}",
    )


def _votes(end: Snapshot) -> Check:
    """Each counted vote belongs to exactly one annotator."""
    counted = sum(row["accepted"] + row["late"] for row in end.annotators)
    return Check(
        name="votes by annotator add up to the votes spent",
        held=counted == end.spent,
        found=f"{counted} and {end.spent}",
    )
