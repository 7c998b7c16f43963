"""The model kinds `torch_mlp` and `torch_cnn`: networks as single voices, deep ensembles or with dropout on.

With `members` or `passes` the model is a committee, and its probabilities are the committee's mean. A pass drops the
same units in all rows (consistent MC-dropout; Kirsch et al. 2019, BatchBALD, section 5), so that what an item gets
does not depend on the rows beside it, nor on the shard it is in. Weights are saved as safetensors.
"""

from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import safetensors.torch
import torch

from labelloop.adapters.estimators.container import Packed
from labelloop.adapters.estimators.rows import blocks, same_width, trainable
from labelloop.adapters.estimators.torch_fit import Data, seeds, tensor, train
from labelloop.adapters.estimators.torch_nets import Network, dropping, outline
from labelloop.domain.errors import BadArtifact, CannotTrain, InvalidProject
from labelloop.maths.arrays import Floats, Ints, Matrix
from labelloop.projects import TorchCnn, TorchMlp

Spec = TorchMlp | TorchCnn


class TorchClassifier:
    """Trained networks of one shape. Implements ports.Classifier."""

    def __init__(
        self, spec: Spec, networks: list[Network], *, classes: Ints, shape: tuple[int, ...] | None, seed: int
    ) -> None:
        self.spec = spec
        self.networks = networks
        self.classes = classes
        self.shape = shape
        self.seed = seed

    def probabilities(self, features: Matrix) -> Floats:
        out = np.zeros((features.shape[0], self.classes.size))
        for start, stop, voices in self._voices(features):
            out[start:stop] = voices.mean(dim=0).cpu().numpy()
        return out

    def committee(self, features: Matrix) -> Floats | None:
        if self._members == 1:
            return None
        out = np.zeros((self._members, features.shape[0], self.classes.size), dtype=np.float32)
        for start, stop, voices in self._voices(features):
            out[:, start:stop] = voices.cpu().numpy()
        return out

    def packed(self) -> Packed:
        """Taken apart, to be saved."""
        weights = {
            f"{number}.{name}": value.detach().cpu().contiguous()
            for number, net in enumerate(self.networks)
            for name, value in net.state_dict().items()
        }
        shape = None if self.shape is None else list(self.shape)
        return Packed(
            kind=self.spec.kind,
            classes=tuple(self.classes.tolist()),
            versions={name: version(name) for name in ("torch", "safetensors")},
            facts={
                "spec": self.spec.model_dump(mode="json"),
                "inputs": self._inputs,
                "shape": shape,
                "seed": self.seed,
            },
            payloads={"weights": safetensors.torch.save(weights)},
        )

    @property
    def _inputs(self) -> int:
        return int(self.networks[0].mean.shape[0])

    @property
    def _members(self) -> int:
        return len(self.networks) * max(1, self.spec.passes)

    @torch.no_grad()
    def _voices(self, features: Matrix) -> Iterator[tuple[int, int, torch.Tensor]]:
        """(start, stop, probabilities (members, rows, classes) in float64) of each block of rows."""
        same_width(features, self._inputs)
        device = self.networks[0].mean.device
        for start, stop in blocks(features, width=self._inputs * _widening(self.spec)):
            rows = tensor(features[start:stop], device)
            logits = [
                voice for member, net in enumerate(self.networks) for voice in self._speak(member, net, net.stem(rows))
            ]
            yield start, stop, torch.stack(logits).double().softmax(dim=2)

    def _speak(self, member: int, net: Network, units: torch.Tensor) -> Iterator[torch.Tensor]:
        """Logits of one network, or of its passes with dropout on.

        Masks are drawn on the CPU, so that they are the same on every device.
        """
        if not self.spec.passes:
            yield net.head(units)
        for number in range(self.spec.passes):
            with dropping(net, torch.Generator().manual_seed(seeds(self.seed, member, 3, number)), shared=True):
                yield net.head(units)


def check(spec: Spec) -> None:
    """Raises InvalidProject for options that contradict each other."""
    if spec.passes == 1:
        raise InvalidProject("model.passes is 1, which is no committee. Give 0, or 10 or more.")
    if spec.passes and isinstance(spec, TorchMlp) and not spec.hidden:
        raise InvalidProject(
            "model.passes asks for dropout, but the network has no hidden layer. Give model.hidden one."
        )
    if spec.passes and not spec.dropout:
        raise InvalidProject("model.passes asks for dropout at prediction, but model.dropout is 0. Set it, to 0.2 say.")


def fit(spec: Spec, features: Matrix, codes: Ints, *, shape: tuple[int, ...] | None, seed: int) -> TorchClassifier:
    """See ports.Estimators.fit."""
    classes = trainable(features, codes)
    check(spec)
    channels = _channels(spec, shape, features.shape[1])
    data = Data(features=features, targets=np.searchsorted(classes, codes), device=_device(spec))
    networks = [
        train(
            outline(spec, inputs=features.shape[1], classes=classes.size, shape=shape),
            data,
            spec=spec,
            channels=channels,
            seed=seeds(seed, member),
        )
        for member in range(spec.members)
    ]
    return TorchClassifier(spec, networks, classes=classes, shape=shape, seed=seed)


def restore(packed: Packed) -> TorchClassifier:
    """The classifier that `packed()` took apart, on a GPU if it asks for one and one is there."""
    facts = packed.facts
    spec = (TorchMlp if packed.kind == "torch_mlp" else TorchCnn).model_validate(facts["spec"])
    shape = None if facts["shape"] is None else tuple(facts["shape"])
    weights = safetensors.torch.load(packed.payloads["weights"])
    device = torch.device("cuda" if spec.device != "cpu" and torch.cuda.is_available() else "cpu")
    networks = []
    for member in range(spec.members):
        own = {name.partition(".")[2]: value for name, value in weights.items() if name.split(".")[0] == str(member)}
        net = outline(spec, inputs=facts["inputs"], classes=len(packed.classes), shape=shape)
        try:
            net.load_state_dict(own, assign=True)
        except RuntimeError as error:
            raise BadArtifact(f"The weights do not fit the network they are saved with: {error}") from None
        networks.append(net.to(device))
    classes = np.asarray(packed.classes, dtype=np.int64)
    return TorchClassifier(spec, networks, classes=classes, shape=shape, seed=facts["seed"])


def _device(spec: Spec) -> torch.device:
    if spec.device == "cuda" and not torch.cuda.is_available():
        raise CannotTrain(
            'model.device is "cuda", but torch sees no GPU here. Set it to "auto", or train on another host.'
        )
    return torch.device("cpu" if spec.device == "cpu" or not torch.cuda.is_available() else "cuda")


def _channels(spec: Spec, shape: tuple[int, ...] | None, inputs: int) -> int | None:
    if isinstance(spec, TorchMlp):
        return None
    if shape is None or len(shape) not in {2, 3} or int(np.prod(shape)) != inputs:
        raise CannotTrain(
            f"torch_cnn needs pixels of a shape such as 28 × 28 or 32 × 32 × 3; these features have {inputs} columns "
            f"and the shape {shape}. Set features.kind to pixels, or choose torch_mlp."
        )
    return shape[2] if len(shape) == 3 else 1


def _widening(spec: Spec) -> int:
    """How many numbers a layer keeps per input, at most, to bound the memory of a block."""
    return max(spec.channels, default=1) if isinstance(spec, TorchCnn) else 1
