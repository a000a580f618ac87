"""Networks drawn at random in which a channel that is zero stays zero on its way."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import numpy_helper

from engines.compress import Compressed
from engines.convert import graph as onnx_graph
from engines.sim_npu.compiler.reference import Reference
from engines.tensor import TensorSpec
from tests.engines.sim_npu.compiler.drawn import SHAPE, Drawing, image

INPUTS = (TensorSpec("image", SHAPE, np.dtype(np.float32)),)
#: What may follow: every entry is a method of `Network`.
LAYERS = (
    *("wide", "depthwise", "normalised", "scaled", "relu", "silu", "prelu", "pool", "padded"),
    *(
        "residual",
        "gate",
        "dense_gate",
        "branches",
        "split",
        "sliced",
        "transposed",
        "resized",
        "viewed",
    ),
    *("grouped", "shuffled", "reduced"),
)


class Network(Drawing):
    """A network whose tensors keep four axes until a dense layer ends it."""

    def wide(self, out: int | None = None) -> str:
        out, channels = out or int(self.random.integers(3, 9)), self.shape[1]
        weight = self.normal(out, channels, 3, 3) / np.float32(3 * np.sqrt(channels))
        self.shape = (1, out, *self.shape[2:])
        return self.add("Conv", self.last, weight, self.normal(out), pads=[1] * 4)

    def depthwise(self) -> None:
        times, channels = int(self.random.integers(1, 3)), self.shape[1]
        weight, bias = self.normal(times * channels, 1, 3, 3), self.normal(times * channels)
        self.shape = (1, times * channels, *self.shape[2:])
        self.add("Conv", self.last, weight, bias, pads=[1] * 4, group=channels)

    def grouped(self) -> None:
        self.wide(6)
        self.add("Conv", self.last, self.normal(6, 3, 1, 1), group=2)

    def normalised(self) -> None:
        gamma, variance = self.random.uniform(0.5, 2, (2, self.shape[1])).astype(np.float32)
        none = np.zeros(self.shape[1], np.float32)
        self.add("BatchNormalization", self.last, gamma, none, none, variance)

    def scaled(self) -> None:
        factor = self.random.uniform(0.5, 2, (self.shape[1], 1, 1)).astype(np.float32)
        self.add("Mul", *[self.last, factor][:: self.random.choice([1, -1])])

    def prelu(self) -> None:
        self.add("PRelu", self.last, self.normal(self.shape[1], 1, 1))

    def padded(self) -> None:
        self.add("Pad", self.last, np.array([0, 0, 1, 0, 0, 0, 0, 1]))
        self.shape = (1, self.shape[1], self.shape[2] + 1, self.shape[3] + 1)

    def residual(self) -> None:
        x = self.last
        self.add("Add", self.wide(self.shape[1]), x)

    def gate(self) -> None:
        """Squeeze and excitation (Hu et al., 2018)."""
        x, shape = self.last, self.shape
        self.add("GlobalAveragePool", x)
        self.shape = (1, shape[1], 1, 1)
        self.wide(4)
        self.relu()
        self.wide(shape[1])
        self.add("Mul", self.add("Sigmoid", self.last), x)
        self.shape = shape

    def dense_gate(self) -> None:
        """The same with dense layers, there and back."""
        x, channels = self.last, self.shape[1]
        self.add("Flatten", self.add("GlobalAveragePool", x))
        self.add("Gemm", self.last, self.normal(channels, 4), self.normal(4))
        self.relu()
        self.add("Gemm", self.last, self.normal(channels, 4), self.normal(channels), transB=1)
        self.add("Reshape", self.add("Sigmoid", self.last), np.array([0, channels, 1, 1]))
        self.add("Mul", x, self.last)

    def branches(self) -> None:
        x, shape = self.last, self.shape
        one, first = self.wide(), self.shape[1]
        self.last, self.shape = x, shape
        other, second = self.wide(), self.shape[1]
        self.add("Concat", one, x, other, axis=1)
        self.shape = (1, first + shape[1] + second, *shape[2:])

    def split(self) -> None:
        one = int(self.random.integers(1, self.shape[1]))
        parts = np.array([one, self.shape[1] - one])
        self.add("Split", self.last, parts, axis=1)
        self.nodes[-1].output.append(f"{self.last}.more")
        self.add("Concat", f"{self.last}.more", self.last, axis=1)

    def sliced(self) -> None:
        """Some channels, counted from the front or from the back."""
        channels, one = self.shape[1], np.array([1])
        start, stop = sorted(self.random.choice(channels + 1, 2, replace=False).tolist())
        bounds = [n - channels * int(self.random.integers(2)) for n in (start, stop)]
        bounds[1] = stop if stop == channels else bounds[1]
        self.add("Slice", self.last, np.array(bounds[:1]), np.array(bounds[1:]), one, one)
        self.shape = (1, stop - start, *self.shape[2:])

    def resized(self) -> None:
        sizes = np.array([*self.shape[:2], 9, 9])
        self.add("Resize", self.last, "", "", sizes)
        self.shape = (*self.shape[:2], 9, 9)

    def viewed(self) -> None:
        """To (n, c, rows · columns) and back, the channels said both times."""
        self.add("Reshape", self.last, np.array([1, self.shape[1], -1]))
        self.relu()
        self.add("Reshape", self.last, np.array(self.shape))

    def shuffled(self) -> None:
        """Channels in two groups, mixed (Zhang et al., "ShuffleNet", 2018)."""
        self.wide(6)
        self.add("Reshape", self.last, np.array([1, 2, 3, *self.shape[2:]]))
        self.add("Transpose", self.last, perm=[0, 2, 1, 3, 4])
        self.add("Reshape", self.last, np.array(self.shape))

    def reduced(self) -> None:
        """A mean over the picture, given back to it."""
        x = self.last
        self.add("Add", x, self.add("ReduceMean", x, axes=[2, 3], keepdims=1))

    def dense(self) -> None:
        """Flattened, two layers: one as ``MatMul``, one as ``Gemm``."""
        size = int(np.prod(self.shape))
        self.add("Flatten", self.last)
        self.add("MatMul", self.last, self.normal(size, 6) / np.float32(np.sqrt(size)))
        self.relu()
        self.add("Gemm", self.last, self.normal(4, 6), self.normal(4), transB=1, alpha=0.5)


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    """A network of up to eight parts between two convolutions, or a dense end."""
    network = Network(draw(st.integers(0, 2**16)))
    network.wide()
    for name in draw(st.lists(st.sampled_from(LAYERS), max_size=8)):
        if min(network.shape[1:]) > 1:
            getattr(network, name)()
    if draw(st.booleans()):
        network.dense()
    else:
        network.wide()
    return network.model()


def outputs(model: onnx.ModelProto, seed: int = 0) -> dict[str, np.ndarray]:
    return Reference(model).run(image(seed))


def zeroed(model: onnx.ModelProto, pruned: Compressed) -> onnx.ModelProto:
    """The network with all filters zero, and their biases, that pruning took out of it."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    known = onnx_graph.constants(other.graph)
    for node in other.graph.node:
        stays = pruned.channels.get(node.output[0])
        if stays is None:
            continue
        given = onnx_graph.attributes(node)
        last = node.op_type == "MatMul" or (node.op_type == "Gemm" and not given.get("transB"))
        for place, axis in ((1, -1 if last else 0), (2, 0)):
            if place < len(node.input):
                array = np.moveaxis(known[node.input[place]].copy(), axis, 0)
                array[~stays] = 0
                name = f"{node.output[0]}/zeroed{place}"
                whole = np.ascontiguousarray(np.moveaxis(array, 0, axis))
                other.graph.initializer.append(numpy_helper.from_array(whole, name))
                node.input[place] = name
    return other
