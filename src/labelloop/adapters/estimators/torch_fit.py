"""Trains one network: standardisation, AdamW, early stopping on held-out rows; which networks is left to torch_kind.

The same seed gives the same weights on one kind of device; no global random state is read or changed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import issparse
from torch import Tensor
from torch.nn import functional

from labelloop.adapters.estimators.rows import blocks, dense32
from labelloop.adapters.estimators.torch_nets import Network, dropping, initialise
from labelloop.domain.errors import CannotTrain
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.projects import TorchCnn, TorchMlp

_HELD_OUT = 0.15
_ENOUGH = 40
"""Rows from which some are held out; with fewer the training loss is watched."""
_ENOUGH_OF_CLASS = 4
_STEPS = 4
"""Least batches of an epoch: with a few rows an epoch would else be one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Training rows and the positions of their classes; sparse rows become dense batch by batch."""

    features: Matrix
    targets: Ints
    device: torch.device

    def batch(self, numbers: Ints) -> tuple[Tensor, Tensor]:
        """Rows (b, d) and targets (b,) on the device."""
        targets = torch.from_numpy(self.targets[numbers].astype(np.int64)).to(self.device)
        return tensor(self.features[numbers], self.device), targets

    def batches(self, numbers: Ints, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All of these rows, in this order, `size` at a time."""
        for start in range(0, numbers.size, size):
            yield self.batch(numbers[start : start + size])


def seeds(*entropy: int) -> int:
    """One seed for torch out of a seed and what it is for."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def train(net: Network, data: Data, *, spec: TorchMlp | TorchCnn, channels: int | None, seed: int) -> Network:
    """The outline `net`, trained; weights are those of its best epoch.

    Args:
        net: made by `outline`, without weights yet.
        data: what to learn.
        spec: epochs, patience, batch and rates.
        channels: colours of a pixel; None standardises every column by itself.
        seed: of the weights, the order of rows, the rows held out and dropout.

    Raises:
        CannotTrain: the loss became NaN or infinite.
    """
    initialise(net, torch.Generator().manual_seed(seeds(seed, 0)))
    mean, scale = standard(data.features, channels=channels)
    net.mean.copy_(torch.from_numpy(mean))
    net.scale.copy_(torch.from_numpy(scale))
    net.to(data.device)
    rng = np.random.default_rng(seeds(seed, 1))
    noise = torch.Generator(device=data.device).manual_seed(seeds(seed, 2))
    learned, held = hold_out(data.targets, rng)
    size = max(1, min(spec.batch, math.ceil(learned.size / _STEPS)))
    optimiser = torch.optim.AdamW(net.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay)
    best, kept, waited = math.inf, _copy(net), 0
    for _ in range(spec.epochs):
        loss = _epoch(net, optimiser, noise, batches=data.batches(rng.permutation(learned), size))
        watched = _loss(net, data, held) if held.size else loss
        if not math.isfinite(watched):
            raise CannotTrain(
                f"The loss of the network became {watched}. Lower model.learning_rate (now {spec.learning_rate}), or "
                "scale the features."
            )
        best, kept, waited = (watched, _copy(net), 0) if watched < best else (best, kept, waited + 1)
        if waited >= spec.patience:
            break
    net.load_state_dict(kept)
    return net


def standard(features: Matrix, *, channels: int | None) -> tuple[Floats, Floats]:
    """Mean and scale (d,), float32, to subtract and divide by.

    Dense columns get mean 0 and deviation 1, pixels by channel instead. Sparse columns are of one unit and mostly
    zero: they are not shifted, and no scale is below the root mean square of all, so that a word seen once does not
    outweigh the rest.
    """
    if issparse(features):
        squares = np.asarray(features.multiply(features).mean(axis=0), dtype=np.float64).ravel()
        return np.zeros(squares.size, dtype=np.float32), _usable(np.sqrt(np.maximum(squares, squares.mean())))
    values = np.asarray(features, dtype=np.float64)
    if channels is None:
        return values.mean(axis=0).astype(np.float32), _usable(values.std(axis=0))
    pixels = values.reshape(-1, channels)
    times = values.shape[1] // channels
    mean, deviation = np.tile(pixels.mean(axis=0), times), np.tile(pixels.std(axis=0), times)
    return mean.astype(np.float32), _usable(deviation)


def hold_out(targets: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Row numbers to learn from and to watch: 15 % of each class that has four rows, of 40 rows or more."""
    everything = np.arange(targets.size)
    watched = everything[:0]
    if targets.size >= _ENOUGH:
        for position in np.unique(targets):
            own = rng.permutation(np.flatnonzero(targets == position))
            if own.size >= _ENOUGH_OF_CLASS:
                watched = np.append(watched, own[: max(1, round(_HELD_OUT * own.size))])
    return np.setdiff1d(everything, watched), watched


def tensor(features: Matrix, device: torch.device) -> Tensor:
    """Rows as dense float32 on the device."""
    return torch.from_numpy(dense32(features)).to(device)


def _epoch(
    net: Network,
    optimiser: torch.optim.Optimizer,
    noise: torch.Generator,
    *,
    batches: Iterator[tuple[Tensor, Tensor]],
) -> float:
    total, count = torch.zeros((), device=noise.device), 0
    with dropping(net, noise, shared=False):
        for rows, targets in batches:
            optimiser.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(net(rows), targets)
            torch.autograd.backward(loss)
            optimiser.step()
            total += loss.detach() * len(targets)
            count += len(targets)
    return float(total) / count


@torch.no_grad()
def _loss(net: Network, data: Data, numbers: Ints) -> float:
    total = 0.0
    for start, stop in blocks(data.features[numbers]):
        rows, targets = data.batch(numbers[start:stop])
        total += float(functional.cross_entropy(net(rows), targets, reduction="sum"))
    return total / numbers.size


def _copy(net: Network) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def _usable(deviation: Floats) -> Floats:
    """A column without deviation keeps its unit: it says nothing in training, and must not become infinite later."""
    return np.where(deviation > 1e-12, deviation, 1.0).astype(np.float32)
