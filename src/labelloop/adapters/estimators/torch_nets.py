"""The networks of the torch kinds: layers, standardisation inside, dropout that a generator of ours drives.

Imports torch, so it is itself imported only where a torch model is at work. Nothing here touches torch's global
random state: weights and dropout draw from generators that are handed in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from labelloop.projects import TorchCnn, TorchMlp

_GRID = 4
"""The convolutions end in at most so many cells by side, so that large pictures do not make large networks."""


class Network(nn.Module):
    """Standardises flat rows (n, d) and gives logits (n, classes). Mean and scale are saved with the weights."""

    mean: Tensor
    scale: Tensor

    def __init__(self, layers: list[nn.Module], inputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))

    def forward(self, rows: Tensor) -> Tensor:
        """Logits of these rows."""
        return self.head(self.stem(rows))

    def stem(self, rows: Tensor) -> Tensor:
        """What the layers before the first dropout make of the rows: the same in every pass, and most of the work."""
        out: Tensor = self.layers[: self._fork]((rows - self.mean) / self.scale)
        return out

    def head(self, units: Tensor) -> Tensor:
        """Logits of what `stem` gave."""
        out: Tensor = self.layers[self._fork :](units)
        return out

    @property
    def _fork(self) -> int:
        places = [place for place, layer in enumerate(self.layers) if isinstance(layer, Dropout)]
        return places[0] if places else len(self.layers)


class Dropout(nn.Module):
    """Drops units only while `dropping` hands in a generator; `shared` drops the same units in all rows."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None
        self.shared = False

    def forward(self, units: Tensor) -> Tensor:
        """The units, some of them zero and the others scaled up."""
        if self.generator is None or self.rate == 0:
            return units
        shape = (1, *units.shape[1:]) if self.shared else units.shape
        kept = torch.empty(shape, device=self.generator.device).bernoulli_(1 - self.rate, generator=self.generator)
        return units * kept.to(units.device) / (1 - self.rate)


class Images(nn.Module):
    """Flat rows as pictures: (n, h·w·c) → (n, c, h, w)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = (*shape, 1)[:3]

    def forward(self, rows: Tensor) -> Tensor:
        """The same numbers, channels first."""
        return rows.reshape(-1, *self.shape).permute(0, 3, 1, 2)


def outline(spec: TorchMlp | TorchCnn, *, inputs: int, classes: int, shape: tuple[int, ...] | None) -> Network:
    """The network of a spec without memory for its weights: load or `initialise` it."""
    with torch.device("meta"):
        layers = _mlp(spec, inputs, classes) if isinstance(spec, TorchMlp) else _cnn(spec, shape or (), classes)
        return Network(layers, inputs)


def initialise(net: Network, generator: torch.Generator) -> Network:
    """Give an outline memory and random weights (He et al. 2015, uniform); biases are zero."""
    net.to_empty(device="cpu")
    nn.init.zeros_(net.mean)
    nn.init.ones_(net.scale)
    for layer in net.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net


@contextmanager
def dropping(net: Network, generator: torch.Generator, *, shared: bool) -> Iterator[None]:
    """Dropout on, driven by this generator."""
    layers = [layer for layer in net.modules() if isinstance(layer, Dropout)]
    for layer in layers:
        layer.generator, layer.shared = generator, shared
    try:
        yield
    finally:
        for layer in layers:
            layer.generator = None


def _mlp(spec: TorchMlp, inputs: int, classes: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for wide, narrow in pairwise((inputs, *spec.hidden)):
        layers += [nn.Linear(wide, narrow), nn.ReLU(), Dropout(spec.dropout)]
    return [*layers, nn.Linear((inputs, *spec.hidden)[-1], classes)]


def _cnn(spec: TorchCnn, shape: tuple[int, ...], classes: int) -> list[nn.Module]:
    high, wide, colours = (*shape, 1)[:3]
    layers: list[nn.Module] = [Images(shape)]
    for before, after in pairwise((colours, *spec.channels)):
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU()]
        if min(high, wide) >= 2:
            layers.append(nn.MaxPool2d(2))
            high, wide = high // 2, wide // 2
    grid = (min(high, _GRID), min(wide, _GRID))
    flat = (colours, *spec.channels)[-1] * grid[0] * grid[1]
    return [
        *layers,
        nn.AdaptiveAvgPool2d(grid),
        nn.Flatten(),
        Dropout(spec.dropout),
        nn.Linear(flat, spec.hidden),
        nn.ReLU(),
        Dropout(spec.dropout),
        nn.Linear(spec.hidden, classes),
    ]
