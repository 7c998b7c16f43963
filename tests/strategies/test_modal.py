"""modAL's query functions as strategies, against real modAL learners and committees."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier

from labelloop import strategies
from labelloop.domain.errors import InvalidProject
from labelloop.projects import ModalStrategy
from labelloop.strategies import Evidence, Need, StrategyFailed, modal

pytest.importorskip("modAL")

UNCERTAINTY = [path for path in modal.KNOWN if ".uncertainty." in path]
DISAGREEMENT = [path for path in modal.KNOWN if ".disagreement." in path]


def rng(seed=0):
    return np.random.default_rng(seed)


def bound(path):
    return strategies.bind(ModalStrategy(function=path))


@pytest.fixture(scope="module")
def real():
    """A real modAL learner and committee on iris, and the evidence that labelloop would have of them."""
    from modAL.models import ActiveLearner, Committee

    features, codes = load_iris(return_X_y=True)
    features = features + np.random.default_rng(0).normal(0, 0.3, features.shape)
    known, pool = np.arange(0, 150, 5), np.setdiff1d(np.arange(150), np.arange(0, 150, 5))
    members = [
        ActiveLearner(estimator.fit(features[known], codes[known]))
        for estimator in (
            LogisticRegression(max_iter=500),
            KNeighborsClassifier(7),
            DecisionTreeClassifier(max_depth=2, random_state=0),
        )
    ]
    learner, committee = members[0], Committee(members)
    learner.X_training = features[known]
    evidence = Evidence(
        rows=len(pool),
        probabilities=learner.predict_proba(features[pool]),
        committee=np.stack([member.predict_proba(features[pool]) for member in members]),
        features=features[pool],
        labeled=features[known],
    )
    return learner, committee, features[pool], evidence


@pytest.mark.parametrize("path", modal.KNOWN)
def test_picks_what_modal_picks(real, path):
    """The rows are those a real modAL object is asked for: as far as the measure tells rows apart, the same ones."""
    learner, committee, pool, evidence = real
    strategy = bound(path)
    asked = committee if Need.COMMITTEE in strategy.needs else learner
    theirs, measure = strategy.function(asked, pool, n_instances=20)
    ours = strategies.checked_pick(strategy, evidence, 20, rng())
    assert len(ours) == 20
    if path.endswith("uncertainty_batch_sampling"):
        np.testing.assert_array_equal(ours, theirs)
        return
    every, value = strategy.function(asked, pool, n_instances=len(pool))
    of_row = np.empty(len(pool))
    of_row[every] = value
    np.testing.assert_allclose(np.sort(of_row[ours]), np.sort(measure), atol=1e-9)
    steps = np.diff(of_row[ours])
    assert (steps >= -1e-9).all() if path.endswith("margin_sampling") else (steps <= 1e-9).all()


@pytest.mark.parametrize("path", modal.KNOWN)
@pytest.mark.parametrize("count", [0, 1, 2, 119, 120, 500])
def test_any_count_gives_distinct_rows(real, path, count):
    """One, two (which modAL's own query gets wrong), all and more than all."""
    evidence = real[3]
    if path.endswith("batch_sampling") and count > 2:  # modAL needs a second per twenty rows here
        evidence = Evidence(
            rows=10,
            probabilities=evidence.probabilities[:10],
            features=evidence.features[:10],
            labeled=evidence.labeled,
        )
    ours = strategies.checked_pick(bound(path), evidence, count, rng())
    assert len(ours) == len(set(ours.tolist())) == min(count, evidence.rows)
    np.testing.assert_array_equal(ours, strategies.checked_pick(bound(path), evidence, count, rng()))


@pytest.mark.parametrize("path", UNCERTAINTY + DISAGREEMENT)
def test_ties_fall_by_the_seed(path):
    """Among rows that are all alike, the seed decides and not the position."""
    evidence = Evidence(rows=40, probabilities=np.full((40, 2), 0.5), committee=np.full((3, 40, 2), 0.5))
    first = {int(bound(path).pick(evidence, 3, rng(seed))[0]) for seed in range(30)}
    assert len(first) > 10


@pytest.mark.parametrize("path", modal.KNOWN)
def test_score_is_the_margin_and_evidence_stays(real, path):
    """The shortlist is made by margin; nothing that is handed in is written to."""
    evidence = real[3]
    kept = evidence.probabilities.copy(), evidence.committee.copy(), evidence.features.copy()
    scores = strategies.checked_score(bound(path), evidence, rng())
    ordered = np.sort(evidence.probabilities, axis=1)
    np.testing.assert_array_equal(scores, ordered[:, -2] - ordered[:, -1])
    strategies.checked_pick(bound(path), evidence, 10, rng())
    for before, after in zip(kept, (evidence.probabilities, evidence.committee, evidence.features), strict=True):
        np.testing.assert_array_equal(before, after)


def test_ranked_batch_on_sparse_features(real):
    """Sparse features reach modAL in a form it knows, with the same choice."""
    evidence = real[3]
    sparse = Evidence(
        rows=evidence.rows,
        probabilities=evidence.probabilities,
        features=csr_array(evidence.features),
        labeled=csr_array(evidence.labeled),
    )
    strategy = bound("modAL.batch.uncertainty_batch_sampling")
    np.testing.assert_array_equal(
        strategies.checked_pick(strategy, sparse, 8, rng()), strategies.checked_pick(strategy, evidence, 8, rng())
    )


def test_ranked_batch_without_labeled_features_says_what_to_do():
    """It does not fall into modAL's n × n cold start."""
    evidence = Evidence(rows=3, probabilities=np.full((3, 2), 0.5), features=np.eye(3))
    with pytest.raises(StrategyFailed, match="distances from labeled rows"):
        strategies.checked_pick(bound("modAL.batch.uncertainty_batch_sampling"), evidence, 2, rng())


@pytest.mark.parametrize("path", DISAGREEMENT)
def test_one_voice_is_told_which_models_have_more(path):
    """A disagreement function on a model of one voice names the remedy."""
    with pytest.raises(InvalidProject, match="needs a committee"):
        bound(path).pick(Evidence(rows=2, probabilities=np.full((2, 2), 0.5)), 1, rng())


@pytest.mark.parametrize("path, said", [
    ("os.system", "not below `modAL.`"),
    ("modAL", "not below `modAL.`"),
    ("modAL.uncertainty", "not below `modAL.`"),
    ("modALx.uncertainty.margin_sampling", "not below `modAL.`"),
    ("modAL..uncertainty.margin_sampling", "not below `modAL.`"),
    ("modAL.uncertainty.np.sort", "has no"),
    ("modAL.uncertainty.entropy", "has no"),
    ("modAL.uncertainty.nothing", "has no"),
    ("modAL.nowhere.margin_sampling", "has no"),
    ("modAL.uncertainty.classifier_margin", "no query function"),
    ("modAL.disagreement.max_std_sampling", "no query function"),
    ("modAL.density.information_density", "no query function"),
    ("modAL.multilabel.min_confidence", "several labels"),
    ("modAL.expected_error.expected_error_reduction", "refits"),
    ("modAL.dropout.mc_dropout_bald", "torch_mlp"),
    ("modAL.acquisition.max_EI", "Bayesian"),
])  # fmt: skip
def test_what_cannot_be_asked_is_refused_at_once(path, said):
    """A function outside modAL, or one that cannot be served, is refused when the project is read, with the known."""
    with pytest.raises(InvalidProject, match=said) as caught:
        bound(path)
    assert "modAL.uncertainty.margin_sampling" in str(caught.value)


def test_without_modal_the_remedy_is_named(monkeypatch):
    """Where modAL is not installed, the message says how to install it."""

    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="modAL")

    monkeypatch.setattr(modal.importlib, "import_module", missing)
    with pytest.raises(InvalidProject, match=r"pip install 'labelloop\[modal\]'"):
        bound("modAL.uncertainty.margin_sampling")


@pytest.mark.parametrize("answer, said", [
    (np.array([0, 99]), "index 99 of 5"),
    (np.array([-1]), "index -1"),
    (np.array([0.5]), "no indices"),
    (None, "no indices"),
    (RuntimeError("no"), "raised RuntimeError: no"),
])  # fmt: skip
def test_faulty_functions_are_found(answer, said):
    """What a function answers is checked before it becomes a batch."""

    def function(learner, pool, n_instances):
        if isinstance(answer, Exception):
            raise answer
        return answer

    evidence = Evidence(rows=5, probabilities=np.full((5, 2), 0.5))
    with pytest.raises(StrategyFailed, match=said):
        modal.Modal("modAL.some.function", function).pick(evidence, 2, rng())


def test_bare_indices_and_repeats():
    """A function may answer indices alone, two of them too, in its own order; repeats count once."""
    evidence = Evidence(rows=5, probabilities=np.full((5, 2), 0.5))
    seen = []

    def function(learner, pool, n_instances):
        seen.append(learner.predict(pool))
        return np.array([3, 3, 1])

    order = rng(0).permutation(5)
    ours = modal.Modal("modAL.some.function", function).pick(evidence, 2, rng(0))
    np.testing.assert_array_equal(ours, order[[3, 1]])
    assert seen[0].shape == (5,)
