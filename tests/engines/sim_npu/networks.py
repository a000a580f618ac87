"""Whole networks drawn at random: all the compiler lowers, joined in all ways, bad numbers too."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from onnx import helper

from tests.engines.sim_npu.compiler.drawn import Drawing

#: Every entry is a method of `Network`.
LAYERS = (
    *("convolution", "depthwise", "batchnorm", "per_channel", "scalar", "activation"),
    *("residual", "gate", "square", "branches", "split", "cut", "focus", "resize", "padded"),
    *("max_pool", "average_pool", "transpose", "shuffle", "picked", "given_out", "on_the_host"),
)
#: One node each, with attributes.
ACTIVATIONS: tuple[tuple[str, dict[str, float]], ...] = (
    *((name, {}) for name in ("Relu", "Sigmoid", "Tanh", "Softplus", "Neg", "Abs", "Elu")),
    ("LeakyRelu", {"alpha": 0.1}),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    ("Elu", {"alpha": 0.3}),
)


class Network(Drawing):
    """A network whose tensors keep four axes, of any lengths, until a dense layer ends it."""

    def between(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        return bool(self.random.random() < share)

    def extreme(self, *shape: int) -> np.ndarray:
        """Weights: some channels tiny, huge or zero."""
        values = self.normal(*shape)
        if self.chance(0.3):
            values[self.between(0, len(values) - 1)] *= np.float32(10.0 ** self.between(-9, 2))
        if self.chance(0.2):
            values[self.between(0, len(values) - 1)] = 0
        return values

    def geometry(self, largest: int) -> tuple[list[int], dict[str, list[int]], list[int]]:
        """A kernel that fits, its strides, pads and dilations, and the lengths it leaves."""
        pads = [self.between(0, 2) for _ in "tlbr"]
        kernel, strides, dilations, lengths = [], [], [], []
        for axis in (0, 1):
            room = self.shape[2 + axis] + pads[axis] + pads[2 + axis]
            kernel.append(self.between(1, min(largest, room)))
            fits = 1 if kernel[axis] == 1 else (room - 1) // (kernel[axis] - 1)
            dilations.append(self.between(1, min(2, fits)))
            strides.append(self.between(1, 2) if room > 4 else 1)
            span = (kernel[axis] - 1) * dilations[axis] + 1
            lengths.append((room - span) // strides[axis] + 1)
        return kernel, {"pads": pads, "strides": strides, "dilations": dilations}, lengths

    def convolution(self, groups: int = 0) -> None:
        channels = self.shape[1]
        whole = [n for n in range(1, channels + 1) if channels % n == 0]
        groups = groups or int(self.random.choice(whole))
        out = groups * self.between(1, max(1, 8 // groups))
        kernel, window, lengths = self.geometry(3)
        weights = self.extreme(out, channels // groups, *kernel)
        bias = [self.extreme(out)] if self.chance(0.8) else []
        self.add("Conv", self.last, weights, *bias, group=groups, **window)
        self.shape = (self.shape[0], out, *lengths)

    def depthwise(self) -> None:
        self.convolution(self.shape[1])

    def pointwise(self, out: int) -> None:
        """One that keeps rows and columns."""
        weights = self.extreme(out, self.shape[1], 1, 1)
        self.add("Conv", self.last, weights, self.extreme(out))
        self.shape = (self.shape[0], out, *self.shape[2:])

    def scalar(self) -> None:
        names: list[str | np.ndarray] = [self.last, np.float32(self.random.uniform(0.1, 9))]
        kind = str(self.random.choice(["Mul", "Add", "Sub", "Div"]))
        self.add(kind, *names[:: 1 if kind == "Div" else int(self.random.choice([1, -1]))])

    def activation(self) -> None:
        number = self.between(-5, len(ACTIVATIONS) - 1)
        if number >= 0:
            kind, attributes = ACTIVATIONS[number]
            self.add(kind, self.last, **attributes)
        elif number == -1:
            self.add("Clip", self.last, np.float32(0), np.float32(6))
        elif number == -2:
            each = (self.shape[1], 1, 1) if len(self.shape) == 4 and self.chance(0.5) else ()
            self.add("PRelu", self.last, np.asarray(self.random.uniform(-1, 2, each), np.float32))
        else:
            (self.silu, self.hard_swish_gate, self.hard_swish_divided)[number + 5]()

    def residual(self) -> None:
        x = self.last
        self.pointwise(self.shape[1])
        if self.chance(0.5):
            self.activation()
        self.add("Add", *self.random.permutation([self.last, x]).tolist())
        if self.chance(0.5):
            self.relu()

    def gate(self) -> None:
        """Squeeze and excite: one number a channel times all of it."""
        x, shape = self.last, self.shape
        if self.chance(0.5):
            self.add("GlobalAveragePool", x)
        else:
            self.add("ReduceMean", x, axes=[2, 3])
        self.shape = (*shape[:2], 1, 1)
        self.pointwise(shape[1])
        gate = self.add(str(self.random.choice(["Sigmoid", "HardSigmoid"])), self.last)
        self.add(str(self.random.choice(["Mul", "Add"])), x, gate)
        self.shape = shape

    def square(self) -> None:
        """One tensor read twice by one layer."""
        self.add("Tanh", self.last)
        self.add(str(self.random.choice(["Mul", "Add"])), self.last, self.last)

    def branches(self) -> None:
        x, shape, axis = self.last, self.shape, self.between(1, 3)
        ends = []
        for _ in range(self.between(1, 3)):
            self.last, self.shape = x, shape
            self.pointwise(shape[1])
            self.activation()
            ends.append(self.last)
        self.add("Concat", *ends, x, axis=axis)
        self.shape = tuple(
            n * (len(ends) + 1) if place == axis else n for place, n in enumerate(shape)
        )

    def split(self) -> None:
        axis = int(self.random.choice([n for n in (1, 2, 3) if self.shape[n] > 1] or [0]))
        if axis == 0:
            return
        first = self.between(1, self.shape[axis] - 1)
        sizes = np.array([first, self.shape[axis] - first])
        names = [f"s{len(self.nodes)}", f"t{len(self.nodes)}"]
        self.weights[f"{names[1]}.sizes"] = sizes
        self.nodes.append(
            helper.make_node("Split", [self.last, f"{names[1]}.sizes"], names, axis=axis)
        )
        self.last, shape = names[1], self.shape
        self.resized(axis, int(sizes[1]))
        self.activation()
        self.add("Concat", self.last, names[0], axis=axis)
        self.shape = shape

    def cut(self) -> None:
        axis = self.between(1, 3)
        start = self.between(0, (self.shape[axis] - 1) // 2)
        step = self.between(1, 2)
        ends = np.array([2**31 - 1])
        self.add("Slice", self.last, np.array([start]), ends, np.array([axis]), np.array([step]))
        self.resized(axis, len(range(start, self.shape[axis], step)))

    def resized(self, axis: int, length: int) -> None:
        self.shape = tuple(length if n == axis else old for n, old in enumerate(self.shape))

    def focus(self) -> None:
        """Every second row and column, four times, side by side."""
        if self.shape[2] % 2 or self.shape[3] % 2:
            return
        x, parts = self.last, []
        for row, column in ((0, 0), (1, 0), (0, 1), (1, 1)):
            starts, axes, steps = np.array([row, column]), np.array([2, 3]), np.array([2, 2])
            parts.append(self.add("Slice", x, starts, np.array(self.shape[2:]), axes, steps))
        self.add("Concat", *parts, axis=1)
        n, channels, height, width = self.shape
        self.shape = (n, 4 * channels, height // 2, width // 2)

    def resize(self) -> None:
        down, across = self.between(1, 2), self.between(1, 3)
        if self.shape[2] * self.shape[3] > 60:
            return
        factors = np.array([1, 1, down, across], np.float32)
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        self.add("Resize", self.last, "", factors, mode="nearest", **how)
        self.shape = (*self.shape[:2], self.shape[2] * down, self.shape[3] * across)

    def max_pool(self) -> None:
        self.pooled("MaxPool")

    def average_pool(self) -> None:
        self.pooled("AveragePool", count_include_pad=1)

    def pooled(self, kind: str, **attributes: int) -> None:
        kernel, window, lengths = self.geometry(4)
        window["pads"] = [min(n, kernel[place % 2] - 1) for place, n in enumerate(window["pads"])]
        del window["dilations"]
        for axis in (0, 1):
            room = self.shape[2 + axis] + window["pads"][axis] + window["pads"][2 + axis]
            lengths[axis] = (room - kernel[axis]) // window["strides"][axis] + 1
        self.add(kind, self.last, kernel_shape=kernel, **window, **attributes)
        self.shape = (*self.shape[:2], *lengths)

    def transpose(self) -> None:
        axes = [0, *(self.random.permutation(3) + 1).tolist()]
        self.add("Transpose", self.last, perm=axes)
        self.shape = tuple(self.shape[axis] for axis in axes)

    def shuffle(self) -> None:
        """Channels of two groups, interleaved, through five axes."""
        n, channels, height, width = self.shape
        if channels % 2:
            return
        self.add("Reshape", self.last, np.array([n, 2, channels // 2, height, width]))
        self.add("Transpose", self.last, perm=[0, 2, 1, 3, 4])
        self.add("Reshape", self.last, np.array(self.shape))

    def padded(self) -> None:
        """Zeros around what a convolution reads."""
        n, channels, height, width = self.shape
        top, left, bottom, right = (self.between(0, 2) for _ in "tlbr")
        self.add("Pad", self.last, np.array([0, 0, top, left, 0, 0, bottom, right]))
        self.shape = (n, channels, top + height + bottom, left + width + right)
        self.convolution()

    def picked(self) -> None:
        """One channel, row or column."""
        axis = self.between(1, 3)
        place = self.between(-self.shape[axis], self.shape[axis] - 1)
        self.add("Gather", self.last, np.array([place]), axis=axis)
        self.resized(axis, 1)

    def given_out(self) -> None:
        self.outputs.append(self.last)

    def on_the_host(self) -> None:
        """What the device lacks, between two layers it has."""
        self.add(str(self.random.choice(["Softmax", "Erf", "Sin"])), self.last)
        self.pointwise(self.shape[1])

    def dense(self) -> None:
        """One or two, in the two ways exporters write them."""
        self.add("Flatten", self.last)
        size = int(np.prod(self.shape[1:]))
        weight, bias = self.extreme(size, 6), self.extreme(6)
        self.add("Gemm", self.last, weight.T.copy(), bias, transB=1, alpha=0.5, beta=2.0)
        self.shape = (self.shape[0], 6)
        if self.chance(0.5):
            self.activation()
            self.add("MatMul", self.last, self.extreme(6, 3))
            self.add("Add", self.last, self.extreme(3))


@st.composite
def networks(draw: st.DrawFn, layers: tuple[str, ...] = LAYERS) -> Network:
    """A network of up to eight layers, a dense one at the end of some."""
    lengths = [draw(st.integers(low, high)) for low, high in ((1, 2), (1, 6), (2, 6), (1, 6))]
    network = Network(draw(st.integers(0, 2**16)), image=tuple(lengths))
    network.convolution()
    for name in draw(st.lists(st.sampled_from(layers), max_size=8)):
        getattr(network, name)()
    if draw(st.booleans()):
        network.dense()
    return network
