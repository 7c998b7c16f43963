"""resolve: votes become a consensus, one more vote, or a dispute for a reviewer."""

from contextlib import suppress

import numpy as np

from labelloop.domain import policy
from labelloop.domain.errors import Unavailable
from labelloop.domain.states import ItemState, LabelSource, Role
from labelloop.domain.types import Ballot, Verdict
from labelloop.maths import consensus
from labelloop.ports import Ports
from labelloop.projects import Project

BATCH = 2_000
"""Ballots per transaction."""


def resolve(ports: Ports, name: str) -> int:
    """Decide every ballot that waits. Safe to run twice at once: an overtaken verdict changes nothing."""
    project, settled = ports.projects.get(name), 0
    while ballots := ports.verdicts.pending(name, BATCH):
        verdicts = decide(project, ballots)
        effective = ports.verdicts.settle(name, verdicts, ports.clock.now())
        settled += effective
        if any(verdict.state is not ItemState.RESOLVED for verdict in verdicts):
            changed = [verdict.item for verdict in verdicts]
            with suppress(Unavailable):
                ports.queue.sync(name, ports.ledger.slots(name, changed), ports.verdicts.disputed(name))
        if len(ballots) < BATCH or not effective:
            break
    return settled


def decide(project: Project, ballots: list[Ballot]) -> list[Verdict]:
    """The verdicts on ballots: a reviewer's vote decides; else the majority of maths.consensus by the policy."""
    return [_review(ballot) or verdict for ballot, verdict in zip(ballots, _majority(project, ballots), strict=True)]


def _review(ballot: Ballot) -> Verdict | None:
    vote = next((vote for vote in reversed(ballot.votes) if vote.role is not Role.ANNOTATOR), None)
    if vote is None:
        return None
    return Verdict(
        item=ballot.item,
        state=ItemState.RESOLVED,
        needed=ballot.needed,
        value=vote.value,
        label=vote.label,
        confidence=1.0,
        votes=len(ballot.votes),
        source=LabelSource.REVIEW,
    )


def _majority(project: Project, ballots: list[Ballot]) -> list[Verdict]:
    values = sorted({vote.value for ballot in ballots for vote in ballot.votes})
    codes = {value: code for code, value in enumerate(values)}
    labels = {vote.value: vote.label for ballot in ballots for vote in ballot.votes}
    place = np.repeat(np.arange(len(ballots)), [len(ballot.votes) for ballot in ballots])
    cast = np.array([codes[vote.value] for ballot in ballots for vote in ballot.votes], dtype=np.int64)
    result = consensus.majority(place, cast, items=len(ballots), values=len(values))
    verdicts = []
    for at, ballot in enumerate(ballots):
        tally = policy.Tally(votes=len(ballot.votes), share=float(result.share[at]), tied=bool(result.tied[at]))
        state, needed = policy.weigh(
            tally, needed=ballot.needed, cap=project.votes.most, agreement=project.votes.agreement
        )
        won = state is ItemState.RESOLVED
        value = values[result.winner[at]]
        verdicts.append(
            Verdict(
                item=ballot.item,
                state=state,
                needed=needed,
                value=value if won else None,
                label=labels[value] if won else None,
                confidence=float(result.confidence[at]) if won else None,
                votes=len(ballot.votes),
            )
        )
    return verdicts
