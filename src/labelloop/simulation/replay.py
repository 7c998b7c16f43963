"""One replay of the loop: choose, answer, train, score; again until the budget is spent.

Choosing is `loop.compose` and training is `loop.train.fit`, the code that serves people. Here stand only the
answers, which come from the data set, and the bookkeeping. The labels of the test set are seen by the score alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelloop import schema, strategies
from labelloop.domain.errors import CannotTrain
from labelloop.domain.states import Lane
from labelloop.loop import auto
from labelloop.loop.compose import compose
from labelloop.loop.credit import Credit
from labelloop.loop.evidence import Block
from labelloop.loop.fitting import Calibrated, fit
from labelloop.loop.neighbourhood import Neighbourhood
from labelloop.loop.pool import PoolView, guessed_about
from labelloop.maths import degeneracy
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.maths.rarity import Surroundings
from labelloop.measures import scorer
from labelloop.ports import Estimators
from labelloop.projects import AutoStrategy, Project
from labelloop.simulation.arms import arm
from labelloop.simulation.data import Data
from labelloop.simulation.lanes import Turns
from labelloop.simulation.oracles import Oracles, answers
from labelloop.simulation.results import Curve
from labelloop.strategies import Evidence, Need, Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a replay is played: labels in all, in the first batch and in each later one, and who answers.

    `growth` is the least part of the labels so far that a later batch has, so that trainings thin out as labels come.
    `noise` is the probability that the answer is another class than the data set's, drawn uniformly; `oracles` say
    more than that, and stand for it where they are given.
    """

    budget: int
    batch: int
    first: int
    growth: float | None = None
    noise: float = 0.0
    oracles: Oracles | None = None

    def people(self) -> Oracles:
        """The simulated annotators."""
        return Oracles(noise=self.noise) if self.oracles is None else self.oracles


class Seen:
    """The evidence about a pool held in memory. Implements loop.evidence.EvidenceSource."""

    def __init__(
        self,
        features: Matrix,
        waiting: Ints,
        *,
        strategy: Strategy,
        model: Calibrated | None,
        class_counts: Ints,
        rng: np.random.Generator,
        near: Neighbourhood | None = None,
    ) -> None:
        self._features, self._waiting, self._strategy = features, waiting, strategy
        self._model, self._counts, self._rng = model, class_counts, rng
        self._near = near or Neighbourhood()
        self._belief: Floats | None = None

    def blocks(self) -> Iterator[Block]:
        """All waiting items in one block, with their scores."""
        evidence = self.evidence(self._waiting, self._strategy.needs)
        yield Block(self._waiting, strategies.checked_score(self._strategy, evidence, self._rng))

    def evidence(self, numbers: Ints, needs: frozenset[Need]) -> Evidence:
        """What is asked for about these items; without a model only features can be had."""
        rows, model = self._features[numbers], self._model
        return Evidence(
            rows=len(numbers),
            probabilities=self._believed(model, numbers) if model and Need.PROBABILITIES in needs else None,
            committee=model.committee(rows) if model and Need.COMMITTEE in needs else None,
            features=rows if Need.FEATURES in needs else None,
            class_counts=self._counts,
        )

    def _believed(self, model: Calibrated, numbers: Ints) -> Floats:
        """The model looks at the waiting items once, as in the service, whoever asks how often."""
        if self._belief is None:
            self._belief = model.probabilities(self._features[self._waiting])
        place = np.searchsorted(self._waiting, numbers)
        there = place < len(self._waiting)
        if there.all() and (self._waiting[place] == numbers).all():
            return self._belief[place]
        return model.probabilities(self._features[numbers])

    def reliability(self) -> tuple[float, ...] | None:
        """Of each class, what the model was worth on rows held out."""
        return None if self._model is None else self._model.reliability

    def surroundings(self, numbers: Ints) -> Surroundings:
        """Who of these items lies near whom."""
        return self._near.of(numbers, lambda some: self._features[some])


def replay(  # noqa: PLR0913 - what is replayed, and on what terms
    project: Project,
    data: Data,
    strategy: str,
    *,
    seed: int,
    terms: Terms,
    estimators: Estimators,
    also: Mapping[str, Ints] | None = None,
    known: Sequence[int] = (),
    step: Callable[[int], None] | None = None,
) -> Curve:
    """Replay one strategy with one seed.

    Args:
        project: the project as its file has it; it is played as `arms.arm` says.
        data: the pool and the test set.
        strategy: name of the strategy.
        seed: of all that is drawn: cold start, ties, models, noise. The same seed gives the same curve.
        terms: budget and batches.
        estimators: fits the models.
        also: further sets to score after each batch, by name: pool numbers. They are never asked.
        known: pool numbers whose labels are there from the start; they count into budget and curve.
        step: told the number of labels after each batch. Raises to stop.

    Raises:
        InvalidProject: no strategy has this name.
    """
    played = arm(project, strategy, first=terms.first, batch=terms.batch, growth=terms.growth)
    asking = _Asking(played, data, seed=seed, oracles=terms.people(), never=_union(also))
    asking.know(known)
    measure = _Measure(played, data, also or {})
    budget = min(terms.budget, asking.left)
    while len(asking.asked) < budget:
        size = played.retrain.step(len(asking.asked)) or terms.batch if len(asking.asked) > len(known) else terms.first
        if not asking.ask(min(size, budget - len(asking.asked))):
            break
        asking.train(estimators)
        measure.take(len(asking.asked), asking.predict, seconds=asking.seconds)
        if step:
            step(len(asking.asked))
    return measure.curve(strategy, seed, asking.asked)


class _Asking:
    """The state of one replay: what was asked and answered, and the model that came of it."""

    def __init__(self, project: Project, data: Data, *, seed: int, oracles: Oracles, never: Ints) -> None:
        self._project, self._data = project, data
        self._strategy = strategies.bind(project.strategy)
        self._rng, luck, self._seeds = (
            np.random.default_rng(part) for part in np.random.SeedSequence([project.seed, seed]).spawn(3)
        )
        self._answers = answers(oracles, schema.of(project).classes, data.codes, luck)
        self._turns, self._credit = Turns(), Credit()
        self._classes = len(schema.of(project).classes)
        self._open = np.ones(len(data.codes), dtype=bool)
        self._open[never] = False
        self._model: Calibrated | None = None
        self._near = Neighbourhood()
        self.left = int(self._open.sum())
        self._auto: list[auto.Played] = []
        self.asked: list[int] = []
        self.codes: list[int] = []

    def know(self, numbers: Sequence[int]) -> None:
        """Take these labels in as they are."""
        for number in numbers:
            self._open[number] = False
            self.asked.append(number)
            self.codes.append(int(self._answers.codes[number]))

    def ask(self, count: int) -> int:
        """Compose a round and answer the first `count` queries of it. Returns how many there were."""
        waiting = np.flatnonzero(self._open)
        counts = np.bincount(self.codes, minlength=self._classes)
        project, arm = self._choice()
        view = PoolView(
            waiting=waiting,
            reserve=waiting[:0],
            class_counts=counts,
            labeled=np.array(self.asked, dtype=np.int64),
            codes=np.array(self.codes, dtype=np.int64),
        )
        source = Seen(
            self._data.features,
            waiting,
            strategy=strategies.bind(project.strategy) if arm else self._strategy,
            model=self._model,
            class_counts=counts,
            rng=self._rng,
            near=self._near,
        )
        made = compose(project, view, source, self._rng, cold=self._model is None, past=self._credit)
        order, self._credit = {lane: ranked.numbers for lane, ranked in made.lanes.items()}, made.credit
        handed = self._turns.hand_out(order, made.shares, count)
        self.know(handed)
        chosen = set(order.get(Lane.INFORMATIVE, waiting[:0]).tolist())
        told = [number in chosen for number in handed]
        if arm and any(told):
            codes = np.array(self.codes[len(self.codes) - len(handed) :], dtype=np.int64)[told]
            self._auto.append(auto.settled(arm, codes, counts))
        return len(handed)

    def _choice(self) -> tuple[Project, str | None]:
        """The project as the next round asks it, and the arm where its strategy is `auto`."""
        spec = self._project.strategy
        if self._model is None or not isinstance(spec, AutoStrategy):
            return self._project, None
        arm = auto.draw(spec, self._auto, int(self._rng.integers(2**32))).arm
        return auto.as_arm(self._project, arm), arm

    @property
    def seconds(self) -> float | None:
        """Time that all answers took; None where the simulated annotators have no clock."""
        return None if self._answers.seconds is None else float(self._answers.seconds[self.asked].sum())

    def train(self, estimators: Estimators) -> None:
        """Fit on all answers. Where no healthy model comes of them, the one before goes on serving, as in the loop."""
        codes, features = np.array(self.codes, dtype=np.int64), self._data.features[self.asked]
        seed = int(self._seeds.integers(2**31))
        try:
            model = fit(
                estimators,
                self._project,
                features,
                codes,
                seed=seed,
                unlabeled=self._unlabeled(),
                shape=self._data.shape,
            )
        except CannotTrain:
            return
        one = model.classifier
        if degeneracy.diagnose(one.probabilities(features), one.classes, np.unique(codes)) is None:
            self._model = model

    def _unlabeled(self) -> Matrix | None:
        """Rows that a training may guess about, as in the service."""
        if self._project.guessing is None:
            return None
        return self._data.features[guessed_about(self._project, np.flatnonzero(self._open))]

    def predict(self, features: Matrix) -> Floats:
        """Probabilities (n, classes): the model's; before there is one, the class frequencies of the answers."""
        if self._model is not None:
            return self._model.probabilities(features)
        shares = np.bincount(self.codes, minlength=self._classes) / len(self.codes)
        return np.tile(shares, (features.shape[0], 1))


class _Measure:
    """The scores of a replay, on the test set and on the sets the caller named."""

    def __init__(self, project: Project, data: Data, also: Mapping[str, Ints]) -> None:
        self._score = scorer(project)
        self._test = (data.test_features, data.test_codes)
        self._also = {name: (data.features[numbers], data.codes[numbers]) for name, numbers in also.items()}
        self._labels: list[int] = []
        self._scores: list[float] = []
        self._seconds: list[float] = []
        self._more: dict[str, list[float]] = {name: [] for name in also}

    def take(self, labels: int, predict: Callable[[Matrix], Floats], *, seconds: float | None) -> None:
        self._labels.append(labels)
        if seconds is not None:
            self._seconds.append(seconds)
        self._scores.append(self._score(predict(self._test[0]), self._test[1]))
        for name, (features, codes) in self._also.items():
            self._more[name].append(self._score(predict(features), codes) if len(codes) else float("nan"))

    def curve(self, strategy: str, seed: int, asked: list[int]) -> Curve:
        return Curve(
            strategy=strategy,
            seed=seed,
            labels=tuple(self._labels),
            scores=tuple(self._scores),
            asked=tuple(asked),
            seconds=tuple(self._seconds),
            also={name: tuple(scores) for name, scores in self._more.items()},
        )


def _union(also: Mapping[str, Ints] | None) -> Ints:
    sets = [np.asarray(numbers, dtype=np.int64) for numbers in (also or {}).values()]
    return np.unique(np.concatenate(sets)) if sets else np.zeros(0, dtype=np.int64)
