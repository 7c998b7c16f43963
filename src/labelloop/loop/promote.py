"""promote: a candidate passes the gate, or is refused with the reason. Rollback is the same move by hand.

The champion moves in one transaction with the wish for a new ranking, so no crash can leave a new champion with an old
order for ever.
"""

import numpy as np

from labelloop.domain import policy
from labelloop.domain.errors import BadArtifact, Conflict
from labelloop.domain.states import ModelState
from labelloop.domain.types import Estimate, Model, ModelNumber, Subject
from labelloop.loop.pool import audit_labels
from labelloop.loop.train import load_model
from labelloop.maths import estimation, metrics
from labelloop.ports import Ports
from labelloop.projects import Project

TRIES = 5


def promote(ports: Ports, name: str, number: ModelNumber) -> Model:
    """Decide on a candidate; one that was decided before is left as it is.

    Returns:
        The model: CHAMPION, REFUSED, or DEGENERATE as it was.
    """
    project = ports.projects.get(name, ports.projects.row(name).edition)
    for _ in range(TRIES):
        model = ports.models.get(name, number)
        if model.state is not ModelState.CANDIDATE:
            return model
        champion = ports.projects.row(name).champion
        passed, reason = judge(ports, project, number, champion)
        state = ModelState.CHAMPION if passed else ModelState.REFUSED
        if ports.models.decide(name, number, state, reason=reason, now=ports.clock.now(), champion=champion):
            return ports.models.get(name, number)
    raise Conflict(f"the champion of {name!r} keeps changing; try again", project=name, model=number)


def promote_by_hand(ports: Ports, name: str, number: ModelNumber, by: Subject) -> Model:
    """Make a model the champion on somebody's word: a rollback, or an override of the gate.

    Raises:
        Conflict: the model is degenerate, or the champion moved at the same moment.
    """
    model, champion = ports.models.get(name, number), ports.projects.row(name).champion
    if model.state is ModelState.CHAMPION:
        return model
    if model.state is ModelState.DEGENERATE:
        raise Conflict(f"model {number} is degenerate and never serves: {model.reason}", project=name, model=number)
    load_model(ports, ports.projects.get(name), number)  # a damaged file is found here, not by the sampler
    now, reason = ports.clock.now(), f"promoted by {by}"
    if not ports.models.decide(name, number, ModelState.CHAMPION, reason=reason, now=now, champion=champion):
        raise Conflict("the champion changed at the same moment; look again", project=name, model=number)
    return ports.models.get(name, number)


def judge(ports: Ports, project: Project, candidate: ModelNumber, champion: ModelNumber | None) -> tuple[bool, str]:
    """The gate: candidate against champion on the same audit items."""
    difference, audit_items = None, 0
    if champion is not None:
        try:
            load_model(ports, project, champion)
        except BadArtifact as error:  # it cannot look at the pool any more, so anything healthy is better
            return True, f"the champion's file cannot be read: {error.detail}"
        difference, audit_items = _difference(ports, project, candidate, champion)
    rules = project.promote
    return policy.gate(
        kind=rules.kind,
        metric=rules.metric,
        difference=difference,
        audit_items=audit_items,
        minimum_audit=rules.minimum_audit,
        tolerance=rules.tolerance,
    )


def _difference(ports: Ports, project: Project, candidate: ModelNumber, champion: ModelNumber) -> tuple[Estimate, int]:
    """Candidate minus champion, with one-sided bounds at the gate's confidence; all of [-1, 1] without an audit."""
    numbers, codes = audit_labels(ports, project, ports.projects.row(project.name).audit_threshold or 0)
    if not len(numbers):
        return Estimate(mean=0.0, low=-1.0, high=1.0), 0
    features = ports.features.take(project, numbers)
    ours, theirs = (
        load_model(ports, project, number).probabilities(features).argmax(axis=1) for number in (candidate, champion)
    )
    two_sided = 2 * project.promote.confidence - 1
    if project.promote.metric == "accuracy":
        mean, low, high = estimation.paired_difference(ours == codes, theirs == codes, two_sided)
    else:
        rng = np.random.default_rng(project.seed)
        mean, low, high = estimation.paired_bootstrap(metrics.macro_f1, ours, theirs, codes, rng, two_sided)
    return Estimate(mean=mean, low=low, high=high), len(numbers)
