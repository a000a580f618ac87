"""Small networks drawn at random, of the operators that exporters write."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

SHAPE = (1, 4, 8, 8)

#: What may follow: every entry is a method of `Drawing`.
LAYERS = (
    *("conv", "depthwise", "batchnorm", "per_channel", "relu", "leaky", "silu"),
    *("hard_swish_gate", "hard_swish_divided", "pool", "skip", "concat", "transposed"),
    *("reshaped", "idle"),
)


@dataclass
class Drawing:
    """A network that grows layer by layer; all images keep four axes.

    Attributes:
        seed: of the weights.
        nodes: so far, in the order they run.
        weights: by name.
        image: shape of the input.
        last: the last tensor.
        shape: of the last tensor.
        outputs: what the network gives besides the last tensor.
    """

    seed: int
    nodes: list[onnx.NodeProto] = field(default_factory=list, repr=False)
    weights: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    image: tuple[int, ...] = SHAPE
    last: str = "image"
    outputs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.shape = self.image

    def add(self, kind: str, *inputs: str | np.ndarray, **attributes: object) -> str:
        """A node of tensors and constants; its output is the last tensor then."""
        output, names = f"t{len(self.nodes)}", []
        for place, given in enumerate(inputs):
            names.append(given if isinstance(given, str) else f"{output}.{place}")
            if not isinstance(given, str):
                self.weights[names[-1]] = given
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))
        self.last = output
        return output

    def normal(self, *shape: int) -> np.ndarray:
        return self.random.normal(size=shape).astype(np.float32)

    def conv(self, group: int = 1) -> None:
        channels = self.shape[1]
        out = channels if group > 1 else int(self.random.integers(2, 7))
        weight = self.normal(out, channels // group, 3, 3) / np.float32(3 * np.sqrt(channels))
        self.add("Conv", self.last, weight, self.normal(out), pads=[1] * 4, group=group)
        self.shape = (1, out, *self.shape[2:])

    def depthwise(self) -> None:
        self.conv(group=self.shape[1])

    def batchnorm(self) -> None:
        parts = [self.normal(self.shape[1]) for _ in range(3)]
        variance = self.random.uniform(0.5, 2, self.shape[1]).astype(np.float32)
        self.add("BatchNormalization", self.last, *parts, variance, epsilon=1e-3)

    def per_channel(self) -> None:
        kind = str(self.random.choice(["Mul", "Add", "Sub", "Div"]))
        constant = self.random.uniform(0.5, 2, (self.shape[1], 1, 1)).astype(np.float32)
        names = [self.last, constant][:: 1 if kind == "Div" else self.random.choice([1, -1])]
        self.add(kind, *names)

    def relu(self) -> None:
        self.add("Relu", self.last)

    def leaky(self) -> None:
        self.add("LeakyRelu", self.last, alpha=0.1)

    def silu(self) -> None:
        x = self.last
        self.add("Mul", self.add("Sigmoid", x), x)

    def hard_swish_gate(self) -> None:
        x = self.last
        self.add("Mul", x, self.add("HardSigmoid", x, alpha=1 / 6, beta=0.5))

    def hard_swish_divided(self) -> None:
        x = self.last
        self.add("Add", x, np.float32(3))
        clipped = self.add("Clip", self.last, np.float32(0), np.float32(6))
        self.add("Div", self.add("Mul", x, clipped), np.float32(6))

    def pool(self) -> None:
        self.add("MaxPool", self.last, kernel_shape=[3, 3], pads=[1] * 4)

    def skip(self) -> None:
        x, shape = self.last, self.shape
        self.depthwise()
        self.add("Add", self.last, x)
        assert self.shape == shape

    def concat(self) -> None:
        x = self.last
        self.relu()
        self.add("Concat", self.last, x, axis=1)
        self.shape = (1, 2 * self.shape[1], *self.shape[2:])

    def transposed(self) -> None:
        self.add("Transpose", self.last, perm=[0, 2, 3, 1])
        self.relu()
        self.add("Transpose", self.last, perm=[0, 3, 1, 2])

    def reshaped(self) -> None:
        self.add("Reshape", self.last, np.array([1, -1]))
        self.add("Reshape", self.last, np.array(self.shape))

    def idle(self) -> None:
        self.add("Identity", self.last)

    def dense(self) -> None:
        size = int(np.prod(self.shape))
        self.add("Flatten", self.last)
        self.add("MatMul", self.last, self.normal(size, 5) / np.float32(np.sqrt(size)))
        self.add("Add", self.last, self.normal(5))

    def model(self) -> onnx.ModelProto:
        def value(name: str, shape: tuple[int, ...] | None) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        weights = [numpy_helper.from_array(np.asarray(a), n) for n, a in self.weights.items()]
        outputs = [value(name, None) for name in dict.fromkeys([*self.outputs, self.last])]
        graph = helper.make_graph(
            self.nodes, "drawn", [value("image", self.image)], outputs, weights
        )
        imports = [helper.make_opsetid("", 13)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=8)
        return onnx.shape_inference.infer_shapes(model, data_prop=True)


@st.composite
def models(draw: st.DrawFn, layers: tuple[str, ...] = LAYERS) -> onnx.ModelProto:
    """A network of up to eight layers, a dense one at the end of some."""
    drawing = Drawing(draw(st.integers(0, 2**16)))
    drawing.conv()
    for name in draw(st.lists(st.sampled_from(layers), max_size=8)):
        getattr(drawing, name)()
    if draw(st.booleans()):
        drawing.dense()
    return drawing.model()


def image(seed: int = 0) -> dict[str, np.ndarray]:
    """What the networks take."""
    values = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
    return {"image": values}
