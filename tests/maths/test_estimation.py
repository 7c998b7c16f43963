"""Scores against scikit-learn, intervals against published values and by their coverage."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, precision_recall_fscore_support

from labelloop.maths import estimation, metrics


def predictions(n, classes, seed=0, right=0.7):
    rng = np.random.default_rng(seed)
    codes = rng.integers(classes, size=n)
    return codes, np.where(rng.random(n) < right, codes, rng.integers(classes, size=n))


# --- point scores ------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 200), n=st.integers(1, 60), classes=st.integers(1, 6))
@settings(max_examples=80, deadline=None)
def test_scores_are_those_of_scikit_learn(seed, n, classes):
    """Accuracy, macro-F1, F1 and average precision equal scikit-learn's, ties and missing classes included."""
    codes, guessed = predictions(n, classes, seed)
    assert metrics.accuracy(codes, guessed) == pytest.approx(accuracy_score(codes, guessed))
    expected = f1_score(codes, guessed, average="macro", zero_division=0)
    assert metrics.macro_f1(codes, guessed) == pytest.approx(expected)
    assert metrics.f1(codes, guessed, code=0) == pytest.approx(f1_score(codes == 0, guessed == 0, zero_division=0))
    scores = np.random.default_rng(seed).integers(4, size=n) / 4
    if (codes == 0).any():
        theirs = average_precision_score(codes == 0, scores)
        assert metrics.average_precision(codes == 0, scores) == pytest.approx(theirs)
    else:
        assert metrics.average_precision(codes == 0, scores) == 0


def test_weights_stand_for_repeated_rows():
    """A row of weight 3 counts as three rows, in every resample of a stack."""
    codes, guessed = predictions(30, 3)
    weights = np.random.default_rng(1).integers(0, 4, size=(5, 30))
    for metric in (metrics.accuracy, metrics.macro_f1):
        expected = [metric(np.repeat(codes, row), np.repeat(guessed, row)) for row in weights]
        np.testing.assert_allclose(metric(codes, guessed, weights), expected)


# --- intervals -----------------------------------------------------------------------------------------------------


@given(trials=st.integers(1, 400), part=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.9, 0.95, 0.99]))
@settings(max_examples=60, deadline=None)
def test_wilson_is_scipys(trials, part, confidence):
    """The interval is scipy's Wilson interval, and holds the mean."""
    successes = round(part * trials)
    ours = estimation.wilson(successes, trials, confidence)
    theirs = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert ours.low <= ours.mean <= ours.high


def test_wilson_without_trials_and_with_nonsense():
    """Nothing seen says nothing; more successes than trials is refused."""
    assert estimation.wilson(0, 0) == (0, 0, 1)
    with pytest.raises(ValueError, match="3 successes in 2 trials"):
        estimation.wilson(3, 2)
    with pytest.raises(ValueError, match="confidence"):
        estimation.wilson(1, 2, 95)


@pytest.mark.parametrize("cells, low, high", [
    # Rows by (both right, only a, only b, neither); method 10 at 95 %.
    ((36, 12, 2, 0), 0.0569, 0.3404),
    ((14, 5, 0, 22), 0.0115, 0.2265),
])  # fmt: skip
def test_paired_difference_is_newcombes(cells, low, high):
    """The interval of a paired difference is that of Newcombe's method 10, and turns round with the models."""
    a = np.repeat([True, True, False, False], cells)
    b = np.repeat([True, False, True, False], cells)
    found, mirrored = estimation.paired_difference(a, b), estimation.paired_difference(b, a)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_paired_difference_at_the_edges():
    """Models that agree everywhere still have a width; none seen, anything is possible."""
    alike = estimation.paired_difference(np.ones(20, bool), np.ones(20, bool))
    assert alike.low < 0 == alike.mean < alike.high
    assert estimation.paired_difference(np.zeros(0, bool), np.zeros(0, bool)) == (0, -1, 1)
    with pytest.raises(ValueError, match="1 rows of one model and 2"):
        estimation.paired_difference(np.ones(1, bool), np.ones(2, bool))


def coverage(true, trial, trials=300):
    hits = sum(low <= true <= high for _, low, high in (trial(np.random.default_rng(seed)) for seed in range(trials)))
    return hits / trials


def test_intervals_cover_what_they_promise():
    """At 90 % the intervals of a paired difference and of macro-F1 hold the truth about nine times in ten."""

    def difference(rng):
        shared = rng.random(80)
        return estimation.paired_difference(shared < 0.8, (shared + rng.normal(0, 0.1, 80)) < 0.7, confidence=0.9)

    big = np.random.default_rng(1)
    shared = big.random(400_000)
    true = 0.8 - float(((shared + big.normal(0, 0.1, 400_000)) < 0.7).mean())
    assert 0.85 <= coverage(true, difference) <= 0.97

    def macro(rng):
        codes, guessed = predictions(150, 3, rng.integers(2**32))
        return estimation.bootstrap(metrics.macro_f1, guessed, codes, rng, confidence=0.9)

    codes, guessed = predictions(400_000, 3, 1)
    assert 0.84 <= coverage(float(metrics.macro_f1(codes, guessed)), macro, trials=150) <= 0.96


def test_f1_interval_covers():
    """At 90 % the interval of one class's F1 holds the truth about nine times in ten, on 60 rows."""

    def f1(rng):
        codes, guessed = predictions(60, 3, rng.integers(2**32))
        one = estimation.per_class(guessed, codes, classes=3, confidence=0.9)[0]["f1"]
        return one["mean"], one["low"], one["high"]

    codes, guessed = predictions(400_000, 3, 1)
    assert 0.85 <= coverage(metrics.f1(codes, guessed, code=0), f1) <= 0.98


def test_paired_bootstrap_uses_the_pairing():
    """Two models that err on the same rows are told apart where unpaired intervals would overlap."""
    rng = np.random.default_rng(0)
    codes = rng.integers(3, size=400)
    b = np.where(rng.random(400) < 0.7, codes, (codes + 1) % 3)
    a = np.where((np.arange(400) % 20 == 0) & (a_wrong := b != codes), codes, b)
    assert a_wrong.any()
    paired = estimation.paired_bootstrap(metrics.macro_f1, a, b, codes, np.random.default_rng(1), 0.95)
    assert 0 < paired.low <= paired.mean <= paired.high < 0.05
    alone = [estimation.bootstrap(metrics.macro_f1, guess, codes, np.random.default_rng(1)) for guess in (a, b)]
    assert alone[0].low < alone[1].high
    same = estimation.paired_bootstrap(metrics.macro_f1, a, a, codes, np.random.default_rng(1), 0.95)
    assert same == (0, 0, 0)


def test_sign_test_is_scipys():
    """The exact p-value is a binomial test on the rows where the two models differ."""
    rng = np.random.default_rng(3)
    a, b = rng.random(60) < 0.6, rng.random(60) < 0.8
    wins, losses = int((a & ~b).sum()), int((~a & b).sum())
    expected = binomtest(wins, wins + losses, alternative="less").pvalue
    assert estimation.sign_test(a, b) == pytest.approx(expected)
    assert estimation.sign_test(a, a) == 1.0


def test_mean_interval_is_students():
    """The interval over seeds is scipy's t-interval; one seed has no width; none is refused."""
    values = np.array([0.7, 0.75, 0.72, 0.9])
    theirs = ttest_1samp(values, 0).confidence_interval(0.9)
    assert estimation.mean_interval(values, 0.9)[1:] == pytest.approx((theirs.low, theirs.high))
    assert estimation.mean_interval(np.array([0.5])) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="no values"):
        estimation.mean_interval(np.array([]))


# --- the whole measure -----------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 50), n=st.integers(1, 50), classes=st.integers(2, 5))
@settings(max_examples=15, deadline=None)
def test_measure_is_whole_plain_and_repeatable(seed, n, classes):
    """Every interval holds its mean, JSON can carry it, scikit-learn agrees, the same seed gives the same."""
    rng = np.random.default_rng(seed)
    p, codes = rng.dirichlet(np.ones(classes), size=n).astype(np.float32), rng.integers(classes, size=n)
    found = estimation.measure(p, codes, np.random.default_rng(1))
    assert found == estimation.measure(p, codes, np.random.default_rng(1))
    assert found["audit_items"] == n
    json.dumps(found, allow_nan=False)
    whole = [found["accuracy"], found["macro_f1"], found["calibration_error"]]
    single = [one[name] for one in found["per_class"].values() for name in ("precision", "recall", "f1")]
    assert all(0 <= each["low"] <= each["mean"] <= each["high"] <= 1 for each in whole + single)
    theirs = precision_recall_fscore_support(codes, p.argmax(axis=1), labels=range(classes), zero_division=0)
    for code, one in found["per_class"].items():
        ours = (one["precision"]["mean"], one["recall"]["mean"], one["f1"]["mean"], one["support"])
        assert ours == pytest.approx(tuple(part[code] for part in theirs))


def test_measure_of_nothing_and_of_a_misfit():
    """Without rows there is nothing to say; rows of another length are refused."""
    assert estimation.measure(np.zeros((0, 3)), np.zeros(0, dtype=int), np.random.default_rng(0)) == {}
    with pytest.raises(ValueError, match="do not fit"):
        estimation.measure(np.zeros((2, 3)), np.zeros(1, dtype=int), np.random.default_rng(0))


@pytest.mark.parametrize("rows", [1, 2, 10])
def test_few_rows_that_are_all_right_prove_no_perfect_macro_f1(rows):
    """A handful of hits leaves as much open for macro-F1 as for accuracy."""
    codes = np.arange(rows) % 2
    found = estimation.measure(np.eye(2)[codes], codes, np.random.default_rng(0))
    accuracy, macro = found["accuracy"], found["macro_f1"]
    assert macro["high"] == 1
    assert macro["mean"] - macro["low"] >= min(macro["mean"], accuracy["mean"] - accuracy["low"]) - 1e-12
    assert macro["low"] < 0.8
