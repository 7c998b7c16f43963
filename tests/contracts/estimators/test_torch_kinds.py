"""What only the networks promise: seeds without side effects, early stopping, dropout as committee, devices."""

import numpy as np
import pytest
import torch
from estimator_cases import SPECS
from scipy.sparse import csr_array

from labelloop.adapters.estimators import torch_fit
from labelloop.domain.errors import CannotTrain
from labelloop.projects import TorchCnn, TorchMlp

PIXELS = (8, 8)


@pytest.mark.parametrize("name", ["mlp", "mlp dropout", "cnn"])
def test_the_global_random_state_is_neither_used_nor_changed(estimators, digits, name):
    """A training beside other code changes none of its random numbers, nor is it changed by them."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = estimators.fit(SPECS[name], digits.features, digits.codes, shape=PIXELS, seed=3)
    answers = first.probabilities(digits.unseen)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = estimators.fit(SPECS[name], digits.features, digits.codes, shape=PIXELS, seed=3)
    np.testing.assert_array_equal(second.probabilities(digits.unseen), answers)


def test_large_pools_are_answered_in_blocks(estimators, digits, monkeypatch):
    """Dropout passes and sparse rows give the same in one block or in many."""
    model = estimators.fit(SPECS["mlp dropout"], digits.features, digits.codes, shape=None, seed=3)
    whole = model.committee(digits.unseen)
    monkeypatch.setattr("labelloop.adapters.estimators.rows._BLOCK_BYTES", 8 * 64 * 9)
    np.testing.assert_allclose(model.committee(csr_array(digits.unseen)), whole, atol=1e-6)
    np.testing.assert_allclose(model.probabilities(digits.unseen), whole.mean(axis=0), atol=1e-6)


def test_scale_and_shift_of_columns_do_not_matter(estimators, digits):
    """Columns in other units are standardised inside the model."""
    units = np.random.default_rng(0).choice([1e-3, 1.0, 1e3], size=64)
    moved, unseen = digits.features * units + 50 * units, digits.unseen * units + 50 * units
    model = estimators.fit(SPECS["mlp"], moved, digits.codes, shape=None, seed=3)
    chosen = model.classes[model.probabilities(unseen).argmax(axis=1)]
    assert np.mean(chosen == digits.truth) > 0.85


def test_colours_keep_their_place(estimators):
    """A picture whose class is its colour is learned from pixels of three channels, any shape."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, size=150)
    pictures = rng.normal(size=(150, 5, 7, 3))
    pictures[np.arange(150), :, :, codes] += 1
    rows = pictures.reshape(150, -1).astype(np.float32)
    spec = TorchCnn(channels=(8,), hidden=16, epochs=30)
    model = estimators.fit(spec, rows[:100], codes[:100], shape=(5, 7, 3), seed=1)
    assert np.mean(model.probabilities(rows[100:]).argmax(axis=1) == codes[100:]) > 0.9


@pytest.mark.parametrize("shape", [(1, 64), (64, 1), (2, 32), (16, 4, 1)])
def test_thin_pictures_are_pictures(estimators, digits, shape):
    """Pooling stops before nothing is left."""
    spec = TorchCnn(channels=(4, 4, 4), hidden=8, epochs=2)
    model = estimators.fit(spec, digits.features, digits.codes, shape=shape, seed=1)
    assert model.probabilities(digits.unseen).shape[1] == 3


@pytest.mark.parametrize("shape", [None, (8, 9), (64,)])
def test_a_convolution_without_pixels_cannot_train(estimators, digits, shape):
    """Features that are no picture are answered with what to choose instead."""
    with pytest.raises(CannotTrain, match=r"torch_cnn needs pixels.*torch_mlp"):
        estimators.fit(TorchCnn(), digits.features, digits.codes, shape=shape, seed=1)


def test_hold_out_takes_from_every_class_that_can_spare():
    """Rows to watch are stratified; a class of three keeps all, and small sets hold nothing out."""
    targets = np.repeat([0, 1, 2], [80, 10, 3])
    learned, held = torch_fit.hold_out(targets, np.random.default_rng(0))
    assert np.bincount(targets[held], minlength=3).tolist() == [12, 2, 0]
    assert np.array_equal(np.sort(np.concatenate([learned, held])), np.arange(93))
    assert torch_fit.hold_out(targets[:39], np.random.default_rng(0))[1].size == 0


def test_training_stops_when_it_no_longer_helps(estimators, digits, monkeypatch):
    """With noise for labels, patience ends the training long before the epochs do."""
    epochs = []
    real = torch_fit._epoch
    monkeypatch.setattr(torch_fit, "_epoch", lambda *given, **named: epochs.append(1) or real(*given, **named))
    noise = np.random.default_rng(0).permutation(digits.codes)
    estimators.fit(TorchMlp(epochs=500, patience=3), digits.features, noise, shape=None, seed=1)
    assert 4 <= len(epochs) < 100


def test_the_weights_are_those_of_the_best_epoch(estimators, digits, monkeypatch):
    """What was learned after the best epoch is forgotten."""
    watched, seen = iter([3.0, 1.0, 2.0, 2.0, 2.0]), []

    def loss(net, *_):
        seen.append(net.layers[0].weight.detach().clone())
        return next(watched)

    monkeypatch.setattr(torch_fit, "_loss", loss)
    model = estimators.fit(TorchMlp(epochs=50, patience=3), digits.features, digits.codes, shape=None, seed=1)
    assert len(seen) == 5
    assert torch.equal(model.networks[0].layers[0].weight, seen[1])
    assert not torch.equal(seen[4], seen[1])


def test_a_diverging_network_cannot_train(estimators, digits):
    """A learning rate far too high is named as the cause."""
    spec = TorchMlp(learning_rate=1e30, epochs=5)
    with pytest.raises(CannotTrain, match=r"model\.learning_rate"):
        estimators.fit(spec, digits.features, digits.codes, shape=None, seed=1)


def test_a_gpu_that_is_asked_for_and_missing_cannot_train(estimators, digits, monkeypatch):
    """The error names the setting; `auto` would have taken the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CannotTrain, match=r'"cuda".*"auto"'):
        estimators.fit(TorchMlp(device="cuda"), digits.features, digits.codes, shape=None, seed=1)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["mlp", "mlp dropout", "cnn"])
def test_a_gpu_learns_as_well_and_its_model_serves_on_a_cpu(estimators, digits, name, monkeypatch):
    """Trained on the GPU, saved, restored on a host without one: nearly the same answers."""
    spec = SPECS[name].model_copy(update={"device": "cuda"})
    model = estimators.fit(spec, digits.features, digits.codes, shape=PIXELS, seed=1)
    assert model.networks[0].mean.is_cuda
    answers = model.probabilities(digits.unseen)
    assert np.mean(model.classes[answers.argmax(axis=1)] == digits.truth) > 0.85
    blob = estimators.dump(model)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    np.testing.assert_allclose(estimators.restore(blob).probabilities(digits.unseen), answers, atol=1e-2)
