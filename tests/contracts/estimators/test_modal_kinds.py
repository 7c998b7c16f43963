"""The modAL objects inside: real, live, and in agreement with what the port says."""

import numpy as np
import pytest
from estimator_cases import SPECS
from modAL.disagreement import KL_max_disagreement, consensus_entropy_sampling, vote_entropy
from modAL.models import ActiveLearner, Committee
from modAL.uncertainty import classifier_uncertainty, entropy_sampling, margin_sampling

from labelloop.adapters.estimators import modal_kind


@pytest.fixture(params=["fitted", "restored"])
def lively(request, estimators):
    """Fits a section, and gives the model as it is or as a file brings it back."""

    def make(name, task):
        model = estimators.fit(SPECS[name], task.features, task.codes, shape=None, seed=1)
        return model if request.param == "fitted" else estimators.restore(estimators.dump(model))

    return make


def test_the_learner_is_an_active_learner_that_answers_queries(lively, digits):
    """Any query function of modAL may ask it, and asks for the items whose margin, from our answers, is smallest."""
    model = lively("modal learner", digits)
    assert isinstance(model.learner, ActiveLearner)
    answers = model.probabilities(digits.unseen)
    np.testing.assert_allclose(classifier_uncertainty(model.learner, digits.unseen), 1 - answers.max(axis=1), atol=1e-6)
    best = np.sort(answers, axis=1)
    for count in (5, 20):
        chosen = margin_sampling(model.learner, digits.unseen, n_instances=count)
        chosen = np.asarray(chosen[0] if isinstance(chosen, tuple) else chosen)
        expected = np.argsort(best[:, -1] - best[:, -2], kind="stable")[:count]
        assert set(chosen.tolist()) == set(expected.tolist())
    assert len(np.unique(entropy_sampling(model.learner, digits.unseen, n_instances=10)[0])) == 10


def test_the_committee_is_a_modal_committee_that_agrees_with_ours(lively, digits):
    """Consensus, votes and disagreement computed by modAL are those of our probabilities."""
    model = lively("modal committee", digits)
    assert isinstance(model.learner, Committee)
    assert len(model.learner) == 3
    unseen = digits.unseen.astype(np.float64)
    np.testing.assert_allclose(model.learner.predict_proba(unseen), model.probabilities(unseen), atol=1e-9)
    voices = model.committee(unseen)
    np.testing.assert_allclose(model.learner.vote_proba(unseen), voices.transpose(1, 0, 2), atol=1e-6)
    votes = np.stack([(voices.argmax(axis=2) == place).mean(axis=0) for place in range(3)], axis=1)
    logs = np.log(votes, where=votes > 0, out=np.zeros_like(votes))
    np.testing.assert_allclose(vote_entropy(model.learner, unseen), -(votes * logs).sum(axis=1), atol=1e-6)
    assert KL_max_disagreement(model.learner, unseen).max() > 0
    assert len(np.unique(consensus_entropy_sampling(model.learner, unseen, n_instances=10)[0])) == 10


def test_every_member_knows_every_class_of_a_rare_one_too(estimators, digits):
    """A bootstrap within the classes never loses the class that has one label."""
    rare = np.flatnonzero(digits.codes == 7)[1:]
    rows = np.setdiff1d(np.arange(len(digits.codes)), rare)
    model = estimators.fit(SPECS["modal committee"], digits.features[rows], digits.codes[rows], shape=None, seed=1)
    assert all(learner.estimator.classes_.tolist() == [2, 5, 7] for learner in model.learner)


def test_the_bootstrap_draws_with_replacement_within_classes():
    """As many rows of each class as there are, some twice, and another seed draws others."""
    codes = np.repeat([2, 5, 7], [50, 20, 1])
    first, second = (modal_kind.bootstrap(codes, np.random.default_rng(seed)) for seed in (0, 1))
    assert np.array_equal(codes[first], codes)
    assert len(np.unique(first)) < len(codes)
    assert not np.array_equal(first, second)
