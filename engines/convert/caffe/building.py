"""The ONNX graph while it grows, one Caffe layer after another.

A Caffe layer may overwrite its input; an ONNX tensor is written once. So a blob has as many tensors
as layers write it, and the last of them has the blob's own name.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engines.convert.caffe.network import CaffeNetwork, Layer, Shape
from engines.convert.caffe.text import MAX_INT, Message
from engines.convert.caffe.weights import Blobs
from engines.errors import ProgramError
from engines.tensor import TensorSpec

#: Read by ONNX Runtime since 1.14; the operators used here have not changed much since opset 13.
OPSET, IR_VERSION = 17, 8


class Graph:
    """An ONNX graph made of the layers of one network.

    Args:
        network: its inputs are the graph's.
    """

    def __init__(self, network: CaffeNetwork) -> None:
        self._network = network
        self._tensors = {name: name for name in network.inputs}  # of each blob, its tensor now
        self._shapes: dict[str, Shape] = dict(network.inputs)
        self._unread = dict.fromkeys(network.inputs)  # blobs, in the order they were written
        self._last_writer = {top: layer for layer in network.layers for top in layer.tops}
        self._nodes: list[Any] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._count = 0

    def fresh(self, layer: Layer) -> str:
        """A name for a tensor within a layer."""
        self._count += 1
        return f"{layer.name}:{self._count}"

    def read(self, layer: Layer, blob: str) -> tuple[str, Shape]:
        """The tensor a blob is in now, and its shape. Raises `ProgramError` if none is."""
        if blob not in self._tensors:
            raise ProgramError(f"{layer}: bottom {blob!r} is made by no layer above it")
        self._unread.pop(blob, None)
        tensor = self._tensors[blob]
        return tensor, self._shapes[tensor]

    def add(self, node: Any) -> None:
        """Adds an ONNX node; its inputs are there already."""
        self._nodes.append(node)

    def constant(self, name: str, array: NDArray[Any]) -> None:
        """Adds a constant tensor."""
        self._constants[name] = array

    def write(self, layer: Layer, blob: str, shape: Shape) -> str:
        """The name of the tensor in which `layer` has to leave a blob."""
        last = self._last_writer[blob] is layer and blob not in self._network.inputs
        name = blob if last else self.fresh(layer)
        self._tensors[blob], self._shapes[name] = name, shape
        self._unread[blob] = None
        return name

    def model(self, outputs: Sequence[str] = ()) -> Any:
        """The whole as an `onnx.ModelProto`.

        Args:
            outputs: blobs that are its outputs; empty for those that nobody reads, as in Caffe.

        Raises:
            ProgramError: there is no such blob, or the model would be longer than 2 GiB.
        """
        from onnx import TensorProto, helper, numpy_helper

        if sum(array.nbytes for array in self._constants.values()) > MAX_INT - (1 << 20):
            raise ProgramError(f"{self._network.name}: its weights are longer than 2 GiB")

        def value(name: str) -> Any:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, self._shapes[name])

        graph = helper.make_graph(
            self._nodes,
            self._network.name or "network",
            [value(name) for name in self._network.inputs],
            [value(name) for name in self._outputs(outputs)],
            [numpy_helper.from_array(array, name) for name, array in self._constants.items()],
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="sightline",
        )

    def specs(
        self, outputs: Sequence[str] = ()
    ) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        """The inputs, and the outputs as in `model`. Raises as it does."""

        def spec(name: str) -> TensorSpec:
            return TensorSpec(name, self._shapes[name], np.dtype(np.float32))

        return tuple(map(spec, self._network.inputs)), tuple(map(spec, self._outputs(outputs)))

    def _outputs(self, blobs: Sequence[str]) -> list[str]:
        """The tensors of blobs, or of those that nobody reads."""
        for blob in blobs:
            if blob not in self._tensors:
                raise ProgramError(
                    f"{self._network.name}: no blob {blob!r} that could be an output; there are "
                    f"{', '.join(self._tensors)}"
                )
        return [self._tensors[blob] for blob in blobs or self._unread]


class Work:
    """One layer on its way into the graph: what its function is given, and what it does.

    Attributes:
        layer: the layer.
        inputs: the tensors of its bottoms.
        shapes: of `inputs`, all axes known.
    """

    def __init__(self, layer: Layer, graph: Graph, blobs: Blobs) -> None:
        self.layer = layer
        self._graph, self._blobs = graph, blobs
        read = [graph.read(layer, bottom) for bottom in layer.bottoms]
        self.inputs = [name for name, _ in read]
        self.shapes = [shape for _, shape in read]
        self._nodes: list[Any] = []
        self._given = 0

    def parameters(self, name: str) -> Message:
        """The layer's parameters, such as ``convolution_param``."""
        return self.layer.message.message(name)

    def blob(self, index: int, what: str, shape: Shape) -> NDArray[np.float32]:
        """One of the layer's weights in a shape. Raises `ProgramError` if it cannot have it."""
        if index >= len(self._blobs):
            raise self.error(f"its {what} are not in the .caffemodel")
        blob = self._blobs[index]
        if blob.size != prod(shape):
            raise self.error(f"expected {what} {list(shape)}, the .caffemodel has "
                             f"{list(blob.shape)}")  # fmt: skip
        return blob.reshape(shape)

    def constant(self, values: ArrayLike, dtype: type = np.float32) -> str:
        """A constant tensor's name."""
        name = self._graph.fresh(self.layer)
        self._graph.constant(name, np.ascontiguousarray(values, dtype))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds an ONNX node with one output, and gives the output's name."""
        from onnx import helper

        output = self._graph.fresh(self.layer)
        self._nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def give(self, tensor: str, shape: Shape) -> None:
        """Makes a tensor of this layer's nodes the layer's next top."""
        if self._given >= len(self.layer.tops):
            raise self.error(f"it gives more than its {self._given} tops")
        if any(n < 1 for n in shape) or prod(shape) > MAX_INT:
            raise self.error(f"its top would have the impossible shape {list(shape)}")
        name = self._graph.write(self.layer, self.layer.tops[self._given], tuple(shape))
        self._given += 1
        if not any(tensor in node.output for node in self._nodes):
            tensor = self.node("Identity", tensor)
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [name if old == tensor else old for old in names]

    def finish(self) -> None:
        """Puts the layer's nodes into the graph."""
        if self._given != len(self.layer.tops):
            raise self.error(f"expected {self._given} tops, found {len(self.layer.tops)}")
        for node in self._nodes:
            self._graph.add(node)

    def axis(self, value: int, rank: int) -> int:
        """An axis counted from the front. Raises `ProgramError` where there is none."""
        if not -rank <= value < rank:
            raise self.error(f"axis {value} of {rank}")
        return value % rank

    def require(self, *, bottoms: int = 1, rank: int = 0) -> None:
        """Raises `ProgramError` unless it has so many bottoms, the first with `rank` axes."""
        if len(self.inputs) < bottoms:
            raise self.error(f"expected {bottoms} bottoms, found {len(self.inputs)}")
        if rank and len(self.shapes[0]) != rank:
            raise self.error(f"expected a bottom with {rank} axes, found {list(self.shapes[0])}")

    def error(self, text: str) -> ProgramError:
        """An error that names the layer and its place."""
        return ProgramError(f"{self.layer}: {text}")


def save(model: Any, path: Path) -> None:
    """Writes a model after checking it, its shapes included.

    Raises:
        ProgramError: the checker finds a fault.
    """
    import onnx

    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ProgramError(f"{path.stem}: the ONNX network made of it is wrong: {error}") from None
    onnx.save(model, path)
