"""replay: a round is made again from what is kept of it, and compared bit for bit with what was planned.

Nothing is changed: scores go to files of the caller, and the queue is not touched. Labels, retirements and models that
came later play no part; the same kernels and threads of BLAS do, so what differs there is said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from labelloop.domain.errors import BadArtifact, Conflict, UnknownRound
from labelloop.domain.types import Query, Round, RoundNumber
from labelloop.loop import facts as kept_facts
from labelloop.loop.credit import Credit
from labelloop.loop.facts import Facts
from labelloop.loop.featurize import Beat
from labelloop.loop.plan import prefer, rank, to_queries
from labelloop.ports import Ports, ScoreFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What came of it.

    difference: the first difference, None where all is equal. by: whether the queries themselves were compared, or only
    their digest (those of older rounds are not kept). numerics: what the numbers are made by, where it has changed
    since: name → (then, now).
    """

    round: RoundNumber
    queries: int
    difference: str | None
    by: str
    numerics: dict[str, tuple[Any, Any]]

    @property
    def equal(self) -> bool:
        """Whether the round came out the same."""
        return self.difference is None


def replay(ports: Ports, name: str, number: RoundNumber | None, *, scratch: ScoreFiles, beat: Beat) -> Replay:
    """Make a round of a project again, the serving one where no number is given. `scratch` takes its scores.

    Raises:
        UnknownProject: no such project.
        UnknownRound: no such round, or none yet.
        Conflict: the round was planned before labelloop kept what a replay needs.
        BadArtifact: its model or its facts are damaged.
    """
    planned = _planned(ports, name, number)
    project = ports.projects.get(name, planned.stats.get("edition", 1))  # of older versions, when files did not change
    facts = _facts(ports, name, planned)
    taken = facts.project(project)
    made = rank(
        replace(ports, scores=scratch),
        taken,
        facts.view,
        items=facts.items,
        seed=planned.seed,
        champion=planned.model,
        beat=beat,
        past=Credit.from_json(facts.past),
    )
    again = _in_order(to_queries(taken, prefer(made, facts.view, facts.preferred)))
    stored = _in_order(ports.rounds.planned(name, planned.number))
    difference = _difference(stored, again) if stored else _by_digest(planned, again)
    now = kept_facts.numerics()
    changed = {
        key: (facts.numerics.get(key), now.get(key))
        for key in sorted({*facts.numerics, *now})
        if facts.numerics.get(key) != now.get(key)
    }
    return Replay(
        round=planned.number,
        queries=len(again),
        difference=difference,
        by="queries" if stored else "digest",
        numerics=changed,
    )


def _planned(ports: Ports, name: str, number: RoundNumber | None) -> Round:
    found = ports.rounds.serving(name) if number is None else ports.rounds.get(name, number)
    if found is None:
        raise UnknownRound(
            f"Project {name!r} has no round yet." if number is None else f"Project {name!r} has no round {number}.",
            project=name,
        )
    return found


def _facts(ports: Ports, name: str, planned: Round) -> Facts:
    noted = planned.stats.get("replay")
    if not noted:
        raise Conflict(
            f"Round {planned.number} was planned by a version of labelloop that kept too little to make it again. "
            "Later rounds can be replayed.",
            project=name,
        )
    try:
        return kept_facts.unpacked(ports.artifacts.get(noted["facts"]))
    except BadArtifact as error:
        raise BadArtifact(
            f"Round {planned.number} of {name!r} cannot be made again: the facts it was planned from are gone or "
            f"damaged. {error.detail}",
            project=name,
        ) from error


def _in_order(queries: Sequence[Query]) -> list[Query]:
    """As a round's digest takes them, whatever the store's order of lanes. Priority and skills are the item's."""
    return sorted(
        (query._replace(priority=0, requires=0) for query in queries), key=lambda query: (query.lane, query.rank)
    )


def _difference(stored: Sequence[Query], again: Sequence[Query]) -> str | None:
    for then, now in zip(stored, again, strict=False):
        if then != now:
            return f"planned was {_said(then)}; made again it is {_said(now)}"
    if len(stored) != len(again):
        return f"{len(stored)} queries were planned; made again there are {len(again)}"
    return None


def _said(query: Query) -> str:
    return (
        f"{query.lane.value} {query.rank}: item {query.item}, score {query.score!r}, "
        f"probability {query.probability!r}, {query.needed} votes"
    )


def _by_digest(planned: Round, again: Sequence[Query]) -> str | None:
    then, now = planned.stats["replay"]["queries"], kept_facts.digest(again)
    if then == now:
        return None
    return f"the digest of the planned queries is {then}; made again it is {now} (the queries are no longer kept)"
