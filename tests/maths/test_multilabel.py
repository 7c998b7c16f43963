"""Scores of items with several labels: formulas, modAL, laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.maths import multilabel


def draw(n, labels, seed=0):
    return np.random.default_rng(seed).random((n, labels))


def test_doubt_is_the_margin_pooled():
    """Closest, mean and farthest label from one half."""
    p = draw(60_000, 5).astype(np.float32)
    distance = -np.abs(2 * p - 1)
    np.testing.assert_allclose(multilabel.label_doubt(p, by="max"), distance.max(axis=1))
    np.testing.assert_allclose(multilabel.label_doubt(p, by="min"), distance.min(axis=1))
    np.testing.assert_allclose(multilabel.label_doubt(p), distance.mean(axis=1), atol=1e-6)


def test_the_most_undecided_label_is_what_modal_asks():
    """Its binary minimum over decision values asks the row that our `max` asks."""
    from modAL.multilabel import SVM_binary_minimum

    p = draw(200, 4)

    class Machine:
        def __init__(self, column):
            self.column = column

        def decision_function(self, _rows):
            return 2 * p[:, self.column] - 1

    class Learner:
        estimator = type("Estimator", (), {"estimators_": [Machine(column) for column in range(4)]})

    assert multilabel.label_doubt(p, by="max").argmax() == SVM_binary_minimum(Learner(), p)


def test_max_loss_is_modals_on_hard_decisions():
    """On decisions of plus and minus one both count the labels that one right label would leave wrong."""
    from modAL.multilabel import _SVM_loss

    p = draw(300, 5)
    hard = (p > 0.5).astype(int)

    class Learner:
        classes_ = np.arange(5)

        def predict(self, _rows):
            return hard

    theirs = _SVM_loss(Learner(), p, most_certain_classes=p.argmax(axis=1))
    confident = (2 * hard - 1) * np.where(p == p.max(axis=1, keepdims=True), 1, 1 - 1e-9)  # the same likeliest label
    np.testing.assert_allclose(multilabel.max_loss(confident), theirs, atol=1e-6)


def test_losses_follow_the_definition():
    """Hinge losses with one label right, written out."""
    f = np.random.default_rng(0).normal(size=(200, 4))

    def loss(row, right):
        signs = np.where(np.arange(4) == right, 1, -1)
        return np.maximum(1 - signs * row, 0).sum()

    np.testing.assert_allclose(multilabel.max_loss(f), [loss(row, row.argmax()) for row in f])
    np.testing.assert_allclose(multilabel.mean_max_loss(f), [np.mean([loss(row, k) for k in range(4)]) for row in f])


@given(n=st.integers(0, 20), labels=st.integers(1, 8), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_laws(n, labels, seed):
    """In range, row by row alone, labels in any order, the input stays as it was."""
    p, rng = draw(n, labels, seed), np.random.default_rng(seed)
    kept, rows, shuffled = p.copy(), rng.permutation(n), p[:, rng.permutation(labels)]
    for by in ("mean", "max", "min"):
        scores = multilabel.label_doubt(p, by=by)
        assert ((scores >= -1) & (scores <= 0)).all()
        np.testing.assert_allclose(multilabel.label_doubt(p[rows], by=by), scores[rows])
        np.testing.assert_allclose(multilabel.label_doubt(shuffled, by=by), scores, atol=1e-12)
    for loss in (multilabel.max_loss, multilabel.mean_max_loss):
        assert (loss(2 * p - 1) >= 0).all()
        np.testing.assert_allclose(loss(2 * shuffled - 1), loss(2 * p - 1), atol=1e-12)
    np.testing.assert_array_equal(p, kept)


@pytest.mark.parametrize("value", [1.5, -0.5, np.nan, np.inf])
def test_bad_probabilities_are_named(value):
    """The first row with something else than a probability is named; rows need no sum."""
    p = draw(100_000, 3).astype(np.float32)
    multilabel.check_marginals(p)
    p[[90_000, 95_000], 1] = value
    with pytest.raises(ValueError, match="row 90000 of the label probabilities has"):
        multilabel.check_marginals(p)
    with pytest.raises(ValueError, match="2 axes"):
        multilabel.check_marginals(p[0])
