"""Query functions of modAL as strategies: found by import path, asked about probabilities that are already computed.

modAL's own `query` is never called: it catches every exception and asks twice, and mistakes a batch of two indices for
something else. The function is called directly, with a stand-in for its learner, and what it answers is checked,
ordered by its own measure, and freed of modAL's way with ties.
"""

import importlib
import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse

from labelloop.domain.errors import InvalidProject, StrategyFailed
from labelloop.maths import acquisition
from labelloop.maths.arrays import Floats, Ints
from labelloop.strategies.contract import Evidence, Need, wanted_committee, wanted_probabilities

_UNSERVED = {
    "acquisition": "it asks a Bayesian optimiser, not a classifier",
    "dropout": "it needs a skorch module; use the model torch_mlp with `passes` and the strategy bald",
    "expected_error": "it refits the model for every row of the pool",
    "multilabel": "it asks about several labels per item",
}
_RISING = {"margin_sampling": -1.0, "uncertainty_batch_sampling": 0.0}
"""What a function's measure says of the order: 1 high first (all others of modAL), -1 low first, 0 nothing."""


@dataclass(frozen=True, slots=True)
class Modal:
    """A modAL query function. Implements strategies.Strategy and strategies.Picker."""

    name: str
    function: Callable[..., Any]
    needs: frozenset[Need] = field(default=frozenset({Need.PROBABILITIES}))

    def score(self, evidence: Evidence, rng: np.random.Generator) -> Floats:  # noqa: ARG002 - the margin leaves no chance
        """Margin (n,): which rows are worth showing to the function."""
        probabilities = wanted_probabilities(self.name, evidence)
        acquisition.check_probabilities(probabilities)
        return acquisition.margin(probabilities)

    def pick(self, evidence: Evidence, count: int, rng: np.random.Generator) -> Ints:
        """The rows the function asks for, positions (≤ count,), by its own measure, ties at random.

        Raises:
            InvalidProject: the function asks a committee and the model has one voice.
            StrategyFailed: it raised, or answered positions that do not exist, or none.
        """
        count = min(count, evidence.rows)
        if count <= 0:
            return np.zeros(0, dtype=np.intp)
        # The function sees the rows in a random order, because it breaks ties by position.
        order = rng.permutation(evidence.rows)
        learner, pool = self._served(evidence, order)
        try:
            answer = self.function(learner, pool, n_instances=count)
        except Exception as error:
            raise StrategyFailed(f"{self.name} raised {type(error).__name__}: {error}", strategy=self.name) from error
        chosen: Ints = order[self._read(answer, evidence.rows, rng)][:count]
        return chosen

    def _served(self, evidence: Evidence, order: Ints) -> tuple[Any, Any]:
        probabilities = wanted_probabilities(self.name, evidence)[order]
        pool: Any = np.arange(len(order))[:, None]
        if Need.FEATURES in self.needs:
            if evidence.features is None or evidence.labeled is None:
                raise StrategyFailed(
                    f"{self.name} measures distances from labeled rows, whose features are not at hand here;"
                    ' use a score strategy with `diversity = "k_center"` instead.',
                    strategy=self.name,
                )
            pool = _modal_matrix(evidence.features[order])
        if Need.COMMITTEE in self.needs:
            votes = wanted_committee(self.name, evidence)[:, order]
            return ServedCommittee(probabilities, votes), pool
        labeled = None if evidence.labeled is None else _modal_matrix(evidence.labeled)
        return ServedLearner(probabilities, labeled), pool

    def _read(self, answer: Any, rows: int, rng: np.random.Generator) -> Ints:
        """Indices, or (indices, measure): to positions without repeats, in order."""
        indices, measure = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
        found = np.atleast_1d(np.asarray(indices))
        if found.ndim != 1 or not len(found) or not np.issubdtype(found.dtype, np.integer):
            raise StrategyFailed(f"{self.name} answered no indices but {answer!r:.80}", strategy=self.name)
        wrong = found[(found < 0) | (found >= rows)]
        if len(wrong):
            raise StrategyFailed(f"{self.name} answered index {wrong[0]} of {rows} rows", strategy=self.name)
        direction = _RISING.get(self.name.rpartition(".")[2], 1.0)
        if measure is not None and np.shape(measure) == found.shape and direction:
            value = direction * np.asarray(measure, dtype=np.float64)
            found = found[np.lexsort((rng.random(len(found)), -value))]
        _, first = np.unique(found, return_index=True)
        return found[np.sort(first)]


class ServedLearner:
    """Stands for a fitted modAL ActiveLearner over rows whose probabilities are known."""

    on_transformed = False

    def __init__(self, probabilities: Floats, labeled: Any = None) -> None:
        self._probabilities = probabilities
        self.classes_ = np.arange(probabilities.shape[1])
        self.estimator = self
        self.X_training = labeled  # modAL's name for it
        self.y_training = None

    def predict_proba(self, pool: Any, **_: Any) -> Floats:
        """(n, classes) of the rows of the pool it was made for, or of the row numbers given."""
        return self._probabilities[_numbers(pool, len(self._probabilities))]

    def predict(self, pool: Any, **_: Any) -> Ints:
        """(n,) likeliest classes."""
        return np.asarray(self.predict_proba(pool).argmax(axis=1))

    def transform_without_estimating(self, pool: Any) -> Any:
        """The pool as it is: features were made elsewhere."""
        return pool


class ServedCommittee(ServedLearner):
    """Stands for a fitted modAL Committee over rows whose members' probabilities are known."""

    def __init__(self, probabilities: Floats, votes: Floats) -> None:
        super().__init__(probabilities)
        self._votes = votes
        self.n_classes_ = votes.shape[2]
        self.learner_list = [ServedLearner(member) for member in votes]

    def __len__(self) -> int:
        return len(self.learner_list)

    def __iter__(self) -> Iterator[ServedLearner]:
        return iter(self.learner_list)

    def predict_proba(self, pool: Any, **_: Any) -> Floats:
        """(n, classes), the mean of the members."""
        return np.asarray(self.vote_proba(pool).mean(axis=1))

    def vote_proba(self, pool: Any, **_: Any) -> Floats:
        """(n, members, classes)."""
        return self._votes[:, _numbers(pool, self._votes.shape[1])].swapaxes(0, 1)

    def vote(self, pool: Any, **_: Any) -> Ints:
        """(n, members) likeliest classes."""
        return np.asarray(self.vote_proba(pool).argmax(axis=2))


def load(path: str) -> Modal:
    """The strategy behind an import path such as `modAL.uncertainty.entropy_sampling`.

    Raises:
        InvalidProject: not below `modAL`, no such function, not of modAL's signature, of a part that cannot be
            served, or modAL is not installed.
    """
    module, _, name = path.rpartition(".")
    root, _, part = module.partition(".")
    if root != "modAL" or not part or not all(piece.isidentifier() for piece in path.split(".")):
        raise InvalidProject(
            f"strategy.function: {path!r} is not below `modAL.`; known: {', '.join(KNOWN)}. For a function of your"
            " own use the kind `plugin`."
        )
    if part in _UNSERVED:
        raise InvalidProject(
            f"strategy.function: {path} cannot be served: {_UNSERVED[part]}. Known: {', '.join(KNOWN)}."
        )
    function = getattr(_imported(module, path), name, None)
    if not callable(function) or not str(getattr(function, "__module__", "")).startswith("modAL."):
        raise InvalidProject(f"strategy.function: modAL has no {path!r}; known: {', '.join(KNOWN)}.")
    if "n_instances" not in inspect.signature(function).parameters or name == "max_std_sampling":
        raise InvalidProject(
            f"strategy.function: {path} is no query function for classifiers; known: {', '.join(KNOWN)}."
        )
    needs = {Need.PROBABILITIES}
    needs |= {Need.COMMITTEE} if part == "disagreement" else {Need.FEATURES} if part == "batch" else set()
    return Modal(path, function, frozenset(needs))


KNOWN = (
    "modAL.uncertainty.uncertainty_sampling",
    "modAL.uncertainty.margin_sampling",
    "modAL.uncertainty.entropy_sampling",
    "modAL.batch.uncertainty_batch_sampling",
    "modAL.disagreement.vote_entropy_sampling",
    "modAL.disagreement.consensus_entropy_sampling",
    "modAL.disagreement.max_disagreement_sampling",
)


def _imported(module: str, path: str) -> Any:
    try:
        with warnings.catch_warnings():  # modAL's source compiles with SyntaxWarnings on newer Pythons
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "modAL" and error.name != "modAL":
            raise InvalidProject(f"strategy.function: modAL has no {path!r}; known: {', '.join(KNOWN)}.") from None
        raise InvalidProject(
            f"strategy.function: {path} needs modAL, which cannot be imported here (no module {error.name!r});"
            " install it with `pip install 'labelloop[modal]'`."
        ) from None


def _modal_matrix(features: Any) -> Any:
    """For modAL, which knows scipy's matrices, not its sparse arrays."""
    return csr_matrix(features) if issparse(features) else features


def _numbers(pool: Any, rows: int) -> Ints:
    """Row numbers of what a function passes on: the pool itself, or rows of a pool of numbers."""
    if not issparse(pool):
        pool = np.asarray(pool)
        if pool.ndim == 2 and pool.shape[1] == 1 and np.issubdtype(pool.dtype, np.integer):
            return np.asarray(pool[:, 0])
    if pool.shape[0] != rows:
        raise ValueError(f"asked about {pool.shape[0]} rows of a pool of {rows}; only the whole pool is served")
    return np.arange(rows)
