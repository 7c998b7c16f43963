"""Temperature scaling and the calibration error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from labelloop.maths.calibration import apply_temperature, expected_calibration_error, fit_temperature


def said(n, temperature, seed=0, classes=4):
    """Probabilities that are right after division by `temperature`, and codes drawn from the right ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, classes))
    truth = softmax(logits, axis=1)
    codes = (truth.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return softmax(logits * temperature, axis=1), codes


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_known_temperature_is_found(temperature):
    """A model that is too sure by a known factor is found out, and calibrated by applying it."""
    probabilities, codes = said(20_000, temperature)
    found = fit_temperature(probabilities, codes)
    assert found == pytest.approx(temperature, rel=0.05)
    calibrated = apply_temperature(probabilities, found)
    assert expected_calibration_error(calibrated, codes) < 0.02


def test_without_prior_it_is_maximum_likelihood():
    """With prior 0 the temperature is where another optimiser finds the least loss."""
    probabilities, codes = said(400, 3.0)

    def loss(t):
        return -np.log(apply_temperature(probabilities, t)[np.arange(400), codes]).sum()

    other = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-8}).x
    assert fit_temperature(probabilities, codes, prior=0) == pytest.approx(other, rel=1e-3)


def test_few_rows_all_right_stay_near_one():
    """Five rows, all right, do not make a model infinitely sure; no rows change nothing."""
    probabilities = np.array([[0.9, 0.1]] * 5)
    assert 0.2 < fit_temperature(probabilities, np.zeros(5, dtype=int)) < 1
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1.0


def test_all_wrong_softens():
    """A model that is sure and always wrong ends near uniform, within bounds."""
    probabilities = np.array([[0.999, 0.001]] * 500)
    assert 5 < fit_temperature(probabilities, np.ones(500, dtype=int)) <= 20


def test_unknown_class_is_left_out():
    """Rows of a class the model gives probability 0 do not drag the temperature, and the 0 stays."""
    probabilities, codes = said(2_000, 2.0)
    wide = np.hstack([probabilities, np.zeros((2_000, 1))])
    mixed = np.where(np.arange(2_000) % 10 == 0, 4, codes)
    kept = codes[mixed < 4], probabilities[mixed < 4]
    assert fit_temperature(wide, mixed) == pytest.approx(fit_temperature(kept[1], kept[0]), rel=1e-6)
    assert (apply_temperature(wide, 3.0)[:, 4] == 0).all()


@given(temperature=st.floats(0.05, 20), seed=st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_temperature_keeps_ranks_and_sums(temperature, seed):
    """Every row stays a distribution with its likeliest class, for float32 and extreme rows too."""
    p = np.random.default_rng(seed).dirichlet(np.full(5, 0.05), size=20).astype(np.float32)
    out = apply_temperature(p, temperature)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.sum(axis=1), 1, atol=1e-5)
    assert (out[np.arange(20), p.argmax(axis=1)] == out.max(axis=1)).all()


def test_bad_input_is_refused():
    """No temperature of 0, no rows that are no distributions, no codes of other rows."""
    with pytest.raises(ValueError, match="above 0"):
        apply_temperature(np.array([[1.0, 0.0]]), 0.0)
    with pytest.raises(ValueError, match="row 0"):
        fit_temperature(np.array([[np.nan, 0.0]]), np.array([0]))
    with pytest.raises(ValueError, match="do not fit"):
        fit_temperature(np.array([[1.0, 0.0]]), np.array([0, 1]))


@given(seed=st.integers(0, 50), n=st.integers(1, 80))
@settings(max_examples=40, deadline=None)
def test_calibration_error_by_definition(seed, n):
    """The error equals the sum over bins, counted bin by bin."""
    rng = np.random.default_rng(seed)
    p, codes = rng.dirichlet(np.ones(3), size=n), rng.integers(3, size=n)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == codes
    expected = 0.0
    for at in range(15):
        inside = (confidence > at / 15) & (confidence <= (at + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(p, codes) == pytest.approx(expected)
    assert expected_calibration_error(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 0
