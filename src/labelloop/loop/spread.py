"""spread: which items go out together, so that a batch does not ask the same thing twice.

Before a model: the first batch over a sample of the pool. With one: a batch out of the shortlist of the best scores.
Scores are the strategy's business, the rules are in `maths.diversity` and `maths.clusters`; here they are chosen by the
project file and told which items are labeled or in flight.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from labelloop import schema, strategies
from labelloop.loop.evidence import EvidenceSource, features_of, probabilities_of, taken
from labelloop.loop.minority import targets
from labelloop.loop.pool import PoolView
from labelloop.maths import balance, clusters, diversity, mute
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.geometry import stack
from labelloop.projects import ModalStrategy, Project, StrategySpec
from labelloop.strategies import Evidence, Need, Picker

COLD_SAMPLE = 20_000
"""A first batch looks at so many items at most, drawn at random."""
WIDEST = 20_000
"""Candidates of a shortlist that was widened, at most, so that a round takes no longer in a large pool."""
_PART = 4
"""A shortlist is widened to one in so many of the items that wait, at most, so that scores still count."""
_NO_LESS = 0.95
"""What a query out of a wide shortlist must bring of the classes that are short, for one that a narrow one brings."""
_TOGETHER = 1_000
"""Queries that are chosen together, where nobody says otherwise; more than these follow by their scores."""


class _Start(Protocol):
    def __call__(
        self, features: Matrix, count: int, rng: np.random.Generator, *, labeled: Matrix | None = None
    ) -> Ints: ...


def _mixed(features: Matrix, count: int, rng: np.random.Generator, *, labeled: Matrix | None = None) -> Ints:
    """Typical rows and rows of clusters of their own in turn: the first teach most, the second meet rare classes."""
    typical = diversity.herding(features, -(-count // 2), rng, labeled=labeled)
    rest = np.setdiff1d(np.arange(features.shape[0]), typical)
    held = features[typical] if labeled is None else stack([labeled, features[typical]])
    aside = clusters.k_means_start(features[rest], count - len(typical), rng, labeled=held)
    picked = np.empty(len(typical) + len(aside), dtype=np.intp)
    picked[0 : 2 * len(typical) : 2], picked[1 : 2 * len(aside) : 2] = typical, rest[aside]
    return picked


_STARTS: dict[str, _Start] = {
    "diversity": clusters.k_means_start,
    "typiclust": clusters.typiclust,
    "herding": diversity.herding,
    "k_center": diversity.k_center,
    "mixed": _mixed,
}
"""`strategy.cold_start.kind` → how the first batch is chosen; `random` needs no rule."""

_Spread = Callable[[Evidence, Floats, int, np.random.Generator], Ints]


def _k_center(evidence: Evidence, _scores: Floats, count: int, rng: np.random.Generator) -> Ints:
    return diversity.k_center(_features(evidence), count, rng, labeled=evidence.labeled)


def _cluster_margin(evidence: Evidence, scores: Floats, count: int, rng: np.random.Generator) -> Ints:
    return clusters.cluster_margin(_features(evidence), scores, count, rng, labeled=evidence.labeled)


def _k_means(evidence: Evidence, _scores: Floats, count: int, rng: np.random.Generator) -> Ints:
    return clusters.k_means_start(_features(evidence), count, rng, labeled=evidence.labeled)


def _herding(evidence: Evidence, scores: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Scores become weights from 0 to 1 over the shortlist."""
    low, high = scores.min(), scores.max()
    weights = (scores - low) / (high - low) if high > low else np.ones(len(scores))
    return diversity.herding(_features(evidence), count, rng, labeled=evidence.labeled, weights=weights)


def _badge(evidence: Evidence, _scores: Floats, count: int, rng: np.random.Generator) -> Ints:
    held = None
    if evidence.labeled is not None and evidence.labeled_probabilities is not None:
        held = evidence.labeled_probabilities, evidence.labeled
    return diversity.badge(_probabilities(evidence), _features(evidence), count, rng, taken=held)


_SPREADS: dict[str, _Spread] = {
    "k_center": _k_center,
    "cluster_margin": _cluster_margin,
    "k_means": _k_means,
    "herding": _herding,
    "badge": _badge,
}
"""`strategy.diversity` → how a batch is chosen out of the shortlist; `none` needs no rule."""


def start(project: Project, view: PoolView, source: EvidenceSource, rng: np.random.Generator) -> Ints:
    """Numbers of the first batch, first to ask first, before a model: `retrain.first` at most.

    When the first batch was all of one class, no model can be trained. The other classes are where nothing was asked
    yet, so what is farthest from all labels comes next, whatever rule chose the first batch.
    """
    missed = len(view.labeled) >= project.retrain.first and np.count_nonzero(view.class_counts) < 2
    sample, rule = view.waiting, diversity.k_center if missed else _STARTS[project.strategy.cold_start.kind]
    if len(sample) > COLD_SAMPLE:
        sample = np.sort(rng.choice(sample, size=COLD_SAMPLE, replace=False))
    held = taken(view, rng)
    labeled = features_of(source, held) if len(held) else None
    picked = rule(features_of(source, sample), min(project.retrain.first, len(sample)), rng, labeled=labeled)
    return sample[picked]


def shortlist(project: Project, view: PoolView) -> int:
    """How many of the best items are looked at together; 0 where the score alone decides."""
    narrow = _narrow(project, len(view.labeled))
    return max(narrow, _wide(project, view, narrow))


def _narrow(project: Project, labels: int) -> int:
    """The same before anything is widened, with so many labels."""
    if isinstance(project.strategy, ModalStrategy):
        return project.strategy.candidates
    spec = project.strategy
    known = spec.diversity_until is not None and labels >= spec.diversity_until * len(schema.of(project).classes)
    spreads = spec.diversity != "none" and not known
    return batch(project, labels) * spec.shortlist if spreads or _picks(spec) else 0


def _picks(spec: StrategySpec) -> bool:
    return isinstance(strategies.bind(spec), Picker)


def _wide(project: Project, view: PoolView, narrow: int) -> int:
    """How far a shortlist of this length may be widened. Between two classes there is one border: nothing to gain."""
    spec = project.strategy
    if spec.widen == 1 or spec.diversity == "none" or _picks(spec) or len(view.class_counts) < 3:
        return 0
    return min(spec.widen * narrow, len(view.waiting) // _PART, WIDEST)


def spread(
    project: Project, view: PoolView, source: EvidenceSource, rng: np.random.Generator, *, near: Ints, scores: Floats
) -> Ints:
    """Positions in the shortlist of one batch, first to ask first; `near` are its numbers, best score first."""
    strategy, count = strategies.bind(project.strategy), min(batch(project, len(view.labeled)), len(near))
    near = near[: _reach(project, view, source, near=near, scores=scores)]
    scores = scores[: len(near)]
    if isinstance(strategy, Picker):
        evidence = _evidence(view, source, rng, near=near, needs=strategy.needs)
        return strategies.checked_pick(strategy, evidence, count, rng)
    needs = {Need.FEATURES, Need.PROBABILITIES} if project.strategy.diversity == "badge" else {Need.FEATURES}
    evidence = _evidence(view, source, rng, near=near, needs=frozenset(needs))
    return _SPREADS[project.strategy.diversity](evidence, scores, count, rng)


def _reach(project: Project, view: PoolView, source: EvidenceSource, *, near: Ints, scores: Floats) -> int:
    """How many of the candidates, best score first, a batch is chosen among.

    Where classes are about as frequent the shape of the pool says more than its borders, and where some are rare the
    sure items are of the others: so as many as bring the classes that the labels are short of no less than the best.
    """
    labels = len(view.labeled)
    most = _narrow(project, labels)
    narrow = _worthy(project.strategy, scores[:most], min(batch(project, labels), len(near)))
    wide = near[: _wide(project, view, most)]
    if len(wide) <= narrow:
        return narrow
    wanted, counts = targets(project), view.class_counts
    brings = probabilities_of(source, wide) @ (balance.deficit(counts, wanted) * mute.short(counts, wanted))
    return len(wide) if brings.mean() >= _NO_LESS * brings[:narrow].mean() else narrow


def _worthy(spec: StrategySpec, scores: Floats, count: int) -> int:
    """How many of the candidates, best score first, score at least `within` of the best; two per query at least."""
    worth = scores + 1 if spec.kind == "margin" else scores
    return max(int((worth >= spec.within * worth[0]).sum()), 2 * count) if len(scores) and spec.within else len(scores)


def batch(project: Project, labels: int) -> int:
    """Queries that are chosen together, when there are so many labels."""
    return project.strategy.batch or min(project.retrain.step(labels) or 50, _TOGETHER)


def _evidence(
    view: PoolView, source: EvidenceSource, rng: np.random.Generator, *, near: Ints, needs: frozenset[Need]
) -> Evidence:
    """Evidence about the shortlist; where features count, also what is known of items labeled or in flight."""
    evidence = source.evidence(near, needs)
    held = taken(view, rng) if Need.FEATURES in needs else near[:0]
    if not len(held):
        return evidence
    known = source.evidence(held, needs & {Need.FEATURES, Need.PROBABILITIES})
    return replace(evidence, labeled=known.features, labeled_probabilities=known.probabilities)


def _features(evidence: Evidence) -> Matrix:
    assert evidence.features is not None  # noqa: S101 - asked for
    return evidence.features


def _probabilities(evidence: Evidence) -> Floats:
    assert evidence.probabilities is not None  # noqa: S101 - asked for, and a model exists
    return evidence.probabilities
