"""What every model kind must do, whatever is inside."""

import numpy as np
import pytest
from estimator_cases import SPECS
from scipy.sparse import csr_array

from labelloop.domain.errors import CannotTrain, InvalidFeatures
from labelloop.projects import SklearnModel, TorchCnn

PIXELS = (8, 8)
COMMITTEES = {"forest": 15, "mlp ensemble": 3, "mlp dropout": 4, "modal committee": 3}


def accuracy(model, task):
    return float(np.mean(model.classes[model.probabilities(task.unseen).argmax(axis=1)] == task.truth))


def test_learns_pictures(estimators, spec, digits):
    """A model trained on 120 pictures names most of the others."""
    model = estimators.fit(spec, digits.features, digits.codes, shape=PIXELS, seed=1)
    assert accuracy(model, digits) > 0.85


def test_learns_sparse_words(estimators, spec, words):
    """Sparse counts of words can be learned from as they are, by kinds that take no sparse input too."""
    shape = (15, 20)
    model = estimators.fit(spec, words.features, words.codes, shape=shape, seed=1)
    # A third would be chance. Neighbouring pixels mean nothing here, so a convolution has it harder.
    assert accuracy(model, words) > (0.45 if isinstance(spec, TorchCnn) else 0.6)


def test_columns_are_the_classes_seen_ascending_and_rows_sum_to_one(estimators, spec, digits):
    """The columns of the answers follow the codes of the training set, however they were ordered."""
    order = np.argsort(-digits.codes, kind="stable")
    model = estimators.fit(spec, digits.features[order], digits.codes[order], shape=PIXELS, seed=1)
    assert model.classes.tolist() == [2, 5, 7]
    answers = model.probabilities(digits.unseen)
    assert answers.shape == (len(digits.unseen), 3)
    assert answers.min() >= 0
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_same_seed_same_answer(estimators, spec, digits):
    """A training can be repeated to the bit."""
    first, second = (estimators.fit(spec, digits.features, digits.codes, shape=PIXELS, seed=9) for _ in range(2))
    np.testing.assert_array_equal(first.probabilities(digits.unseen), second.probabilities(digits.unseen))


@pytest.mark.parametrize("name", ["forest", "mlp", "mlp dropout", "cnn", "modal committee"])
def test_the_seed_matters(estimators, name, digits):
    """Where chance plays a part, another seed gives another model."""
    first, second = (estimators.fit(SPECS[name], digits.features, digits.codes, shape=PIXELS, seed=s) for s in (1, 2))
    assert not np.array_equal(first.probabilities(digits.unseen), second.probabilities(digits.unseen))


def test_inputs_are_left_alone_and_may_be_read_only(estimators, spec, digits):
    """Memory-mapped features are read-only; training and predicting must not mind, nor write."""
    features, codes = digits.features.copy(), digits.codes.copy()
    features.flags.writeable = codes.flags.writeable = False
    estimators.fit(spec, features, codes, shape=PIXELS, seed=1).probabilities(features)
    np.testing.assert_array_equal(features, digits.features)


def test_saved_and_restored_it_answers_the_same(estimators, spec, digits):
    """What a file brings back is the model that was saved, committee included."""
    model = estimators.fit(spec, digits.features, digits.codes, shape=PIXELS, seed=1)
    again = estimators.restore(estimators.dump(model))
    np.testing.assert_array_equal(again.classes, model.classes)
    np.testing.assert_array_equal(again.probabilities(digits.unseen), model.probabilities(digits.unseen))
    before, after = model.committee(digits.unseen), again.committee(digits.unseen)
    assert (before is None) == (after is None)
    if before is not None:
        np.testing.assert_array_equal(before, after)
    assert estimators.dump(again)


def test_a_committee_speaks_with_its_members_voices(estimators, spec, digits):
    """Members × rows × classes, and the model's probabilities are their mean; a single voice has no committee."""
    name = next(name for name, each in SPECS.items() if each is spec)
    model = estimators.fit(spec, digits.features, digits.codes, shape=PIXELS, seed=1)
    voices = model.committee(digits.unseen)
    if name not in COMMITTEES:
        assert voices is None
        return
    assert voices.shape == (COMMITTEES[name], len(digits.unseen), 3)
    np.testing.assert_allclose(voices.sum(axis=2), 1, atol=1e-5)
    np.testing.assert_allclose(voices.mean(axis=0), model.probabilities(digits.unseen), atol=1e-6)
    assert voices.std(axis=0).max() > 0.01


def test_an_item_gets_the_same_answer_in_any_company(estimators, spec, digits):
    """Scores of shards are compared with each other, so the rows beside an item must not change its answer."""
    model = estimators.fit(spec, digits.features, digits.codes, shape=PIXELS, seed=1)
    whole = model.probabilities(digits.unseen[:40])
    parts = np.concatenate([model.probabilities(digits.unseen[:7]), model.probabilities(digits.unseen[7:40])])
    np.testing.assert_allclose(whole, parts, atol=1e-6)


def test_blocks_do_not_show(estimators, spec, digits, monkeypatch):
    """A pool larger than one block is answered as a small one is, sparse or dense."""
    model = estimators.fit(spec, digits.features, digits.codes, shape=PIXELS, seed=1)
    whole, voices = model.probabilities(digits.unseen), model.committee(digits.unseen)
    monkeypatch.setattr("labelloop.adapters.estimators.rows._BLOCK_BYTES", 8 * 64 * 90)
    for given in (digits.unseen, csr_array(digits.unseen)):
        np.testing.assert_allclose(model.probabilities(given), whole, atol=1e-6)
        assert voices is None or np.allclose(model.committee(given), voices, atol=1e-6)


def test_no_rows_no_answers(estimators, spec, digits):
    """An empty shard is no error."""
    model = estimators.fit(spec, digits.features, digits.codes, shape=PIXELS, seed=1)
    assert model.probabilities(digits.unseen[:0]).shape == (0, 3)
    voices = model.committee(digits.unseen[:0])
    assert voices is None or voices.shape[1:] == (0, 3)


def test_one_class_cannot_train(estimators, spec, digits):
    """Labels of one class teach nothing; the error says what to wait for."""
    codes = np.full(len(digits.codes), 2)
    with pytest.raises(CannotTrain, match=r"two.*more labels"):
        estimators.fit(spec, digits.features, codes, shape=PIXELS, seed=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_features_cannot_train(estimators, spec, digits, bad):
    """A NaN is named by row and column, dense or sparse."""
    features = digits.features.copy()
    features[3, 11] = bad
    for given in (features, csr_array(features)):
        with pytest.raises(CannotTrain, match=r"Row 3 .* column 11"):
            estimators.fit(spec, given, digits.codes, shape=PIXELS, seed=1)


def test_features_of_another_width_are_refused(estimators, spec, digits):
    """A model asked about other features than it knows says so, instead of guessing."""
    model = estimators.fit(spec, digits.features, digits.codes, shape=PIXELS, seed=1)
    with pytest.raises(InvalidFeatures, match="trained on 64 features"):
        model.probabilities(digits.unseen[:, :32])


def test_labels_that_do_not_match_the_rows_cannot_train(estimators, spec, digits):
    """Fewer labels than rows is a mix-up, not a training set."""
    with pytest.raises(CannotTrain, match="do not match"):
        estimators.fit(spec, digits.features, digits.codes[:-1], shape=PIXELS, seed=1)


def test_four_rows_are_enough_to_begin(estimators, spec, digits):
    """The first labels are few; a model of them is poor, but a model."""
    rows = np.concatenate([np.flatnonzero(digits.codes == code)[:2] for code in (2, 7)])
    model = estimators.fit(spec, digits.features[rows], digits.codes[rows], shape=PIXELS, seed=1)
    assert model.classes.tolist() == [2, 7]
    np.testing.assert_allclose(model.probabilities(digits.unseen).sum(axis=1), 1, atol=1e-6)


def test_a_failing_estimator_says_why_and_what_to_do(estimators, digits):
    """What scikit-learn raises reaches the engineer with the size of the smallest class."""
    spec = SklearnModel(estimator="sklearn.naive_bayes.MultinomialNB")
    with pytest.raises(CannotTrain, match=r"MultinomialNB could not be fitted on 120 rows.*[Nn]egative.*Change"):
        estimators.fit(spec, digits.features - 5, digits.codes, shape=None, seed=1)


def test_an_estimator_that_fails_only_when_asked_fails_in_training(estimators, digits):
    """Five neighbours of three rows are found out before a model is registered, not when the pool is scored."""
    rows = [np.flatnonzero(digits.codes == code)[0] for code in (2, 5, 7)]
    spec = SklearnModel(estimator="sklearn.neighbors.KNeighborsClassifier")
    with pytest.raises(CannotTrain, match="KNeighborsClassifier"):
        estimators.fit(spec, digits.features[rows], digits.codes[rows], shape=None, seed=1)


def test_what_is_not_ours_is_not_dumped(estimators):
    """Dumping a foreign object is a mistake of the program, and named as one."""
    with pytest.raises(TypeError, match="does not come from"):
        estimators.dump(object())
