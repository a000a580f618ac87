"""Convolutions of integers, exact although they are computed in floating point.

float32 holds every integer up to 2²⁴. A float32 convolution of integers is therefore exact, in
whatever order it adds, as long as the magnitudes it adds up stay below that; and the fastest
convolution of a CPU that is always at hand is one of float32. Where windows are single elements
it is a product of matrices of bytes, which ONNX Runtime has fast, and exact in int32. So a layer is
one small program for ONNX Runtime: bytes to sums, the rescaling in float32, and bytes again.

Where a layer could pass the bound, its weights are split into digits, each digit is convolved
apart, and the parts are joined and rescaled in float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError
from engines.sim_npu.runtime.rescaling import EXACT, Rescaling, Single, rescale
from engines.sim_npu.runtime.session import cpu_session
from engines.sim_npu.runtime.tables import Bytes

#: Bits of a weight's digits, tried in this order: whole weights first.
_DIGITS = (8, 4, 2)

_Constants = dict[str, NDArray[Any]]


class Convolution:
    """Sums of (x - zero point) · weight over windows, plus bias, rescaled; exact.

    Args:
        shape: of x, N, C, H, W.
        zero_point: of x.
        weights: int8 [O, C / groups, kh, kw].
        bias: int32 [O].
        geometry: the attributes of the operator `conv`.
        rescaling: of the sums.
        threads: that one call may use.

    Raises:
        ProgramError: the layer adds more than any splitting makes exact.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        zero_point: int,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        geometry: Mapping[str, Any],
        rescaling: Rescaling,
        threads: int = 1,
    ) -> None:
        self._rescaling = rescaling
        reach = max(127.0 - zero_point, zero_point + 128.0)
        layer = _Layer(shape, zero_point, geometry, threads)
        self._whole = None
        if _magnitude(weights, reach, bias) < EXACT and rescaling.single is not None:
            self._whole = layer.session(weights, bias, rescaling.single)
            self._unfit = rescaling.single.unfit
            self._again = rescaling.of(self._unfit)
            return
        self._bias = bias.astype(np.float64)[:, None, None]
        self._radix, digits = _split(weights, reach)
        self._parts = [layer.session(digit, np.zeros_like(bias)) for digit in digits]

    def __call__(self, values: Bytes) -> Bytes:
        """[N, O, H', W']."""
        fed = {"x": values}
        if self._whole is None:
            total = self._bias
            for place, part in enumerate(self._parts):
                total = total + part.run(None, fed)[0] * float(self._radix**place)
            return rescale(total, self._rescaling)
        made: Bytes
        made, *again = self._whole.run(None, fed)
        if again:
            made[:, self._unfit] = rescale(again[0], self._again)
        return made


class _Layer:
    """What all programs of a layer share."""

    def __init__(
        self, shape: tuple[int, ...], zero_point: int, geometry: Mapping[str, Any], threads: int
    ) -> None:
        self._shape, self._zero, self._threads = shape, zero_point + 128, threads
        self._attributes = {
            "strides": geometry["strides"],
            "pads": geometry["pads"],
            "dilations": geometry["dilations"],
            "group": geometry["groups"],
        }

    def session(
        self, weights: NDArray[Any], bias: NDArray[Any], single: Single | None = None
    ) -> Any:
        """The program that gives the sums in float32, or what becomes of them.

        With a rescaling in float32 it gives bytes, and second, where there are any, the sums of
        the channels that are unfit for it.
        """
        import onnx

        helper = onnx.helper
        made = self._product if self._pointwise(weights) else self._windows
        nodes, constants = made(onnx, weights, bias)
        outputs = [helper.make_tensor_value_info("sums", onnx.TensorProto.FLOAT, None)]
        if single is not None:
            tail, outputs = _tail(onnx, single, constants)
            nodes += tail
        shape = helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, self._shape)
        stored = [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()]
        graph = helper.make_graph(nodes, "layer", [shape], outputs, stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        return cpu_session(model.SerializeToString(), self._threads, as_written=True)

    def _pointwise(self, weights: NDArray[Any]) -> bool:
        """Whether every output element is made from one place of the input."""
        plain = {"strides": [1, 1], "pads": [0] * 4, "group": 1}
        return weights.shape[2:] == (1, 1) and all(
            self._attributes[name] == value for name, value in plain.items()
        )

    def _windows(
        self, onnx: Any, weights: NDArray[Any], bias: NDArray[Any]
    ) -> tuple[list[Any], _Constants]:
        """The sums, all in float32."""
        node = onnx.helper.make_node
        constants: _Constants = {
            "one": np.array(1, np.float32),
            "zero": np.array(self._zero, np.uint8),
            "weights": weights.astype(np.float32),
            "bias": bias.astype(np.float32),
        }
        return [
            node("DequantizeLinear", ["x", "one", "zero"], ["centred"]),
            node("Conv", ["centred", "weights", "bias"], ["sums"], **self._attributes),
        ], constants

    def _product(
        self, onnx: Any, weights: NDArray[Any], bias: NDArray[Any]
    ) -> tuple[list[Any], _Constants]:
        """The sums as products of matrices of bytes.

        Weights are stored as bytes like everything else, for ONNX Runtime's products of signed with
        unsigned numbers saturate on some CPUs.
        """
        node, (count, channels, *plane) = onnx.helper.make_node, self._shape
        constants: _Constants = {
            "zero": np.array(self._zero, np.uint8),
            "weights": (weights.reshape(len(weights), -1).astype(np.int16) + 128).astype(np.uint8),
            "weights/zero": np.array(128, np.uint8),
            "bias": bias.astype(np.float32)[:, None, None],
            "columns": np.array([count, channels, -1]),
            "planes": np.array([count, len(weights), *plane]),
        }
        return [
            node("Reshape", ["x", "columns"], ["flat"]),
            node("MatMulInteger", ["weights", "flat", "weights/zero", "zero"], ["whole"]),
            node("Cast", ["whole"], ["products"], to=onnx.TensorProto.FLOAT),
            node("Reshape", ["products", "planes"], ["pictures"]),
            node("Add", ["pictures", "bias"], ["sums"]),
        ], constants


def _tail(onnx: Any, single: Single, constants: _Constants) -> tuple[list[Any], list[Any]]:
    """Nodes and outputs from the sums on; adds the constants they take."""
    node = onnx.helper.make_node
    bytes_, floats = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
    constants |= {
        "factors": single.factors.reshape(-1, 1, 1),
        "one": np.array(1, np.float32),
        "made/zero": np.array(single.zero, np.uint8),
    }
    nodes = [
        node("Mul", ["sums", "factors"], ["product"]),
        node("QuantizeLinear", ["product", "one", "made/zero"], ["bytes"]),
    ]
    outputs = [onnx.helper.make_tensor_value_info("bytes", bytes_, None)]
    if len(single.unfit):
        constants["unfit"] = single.unfit
        nodes.append(node("Gather", ["sums", "unfit"], ["again"], axis=1))
        outputs.append(onnx.helper.make_tensor_value_info("again", floats, None))
    return nodes, outputs


def _magnitude(weights: NDArray[Any], reach: float, bias: NDArray[Any]) -> float:
    """The largest sum of magnitudes any input can cause."""
    taps = np.abs(weights.astype(np.float64)).reshape(len(weights), -1).sum(axis=1)
    return float((taps * reach + np.abs(bias.astype(np.float64))).max())


def _split(weights: NDArray[np.int8], reach: float) -> tuple[int, list[NDArray[np.int64]]]:
    """Radix and digits, lowest first, whose sums are exact; one digit where nothing must split."""
    nothing = np.zeros(len(weights))
    for bits in _DIGITS:
        digits = _digits(weights.astype(np.int64), 2**bits)
        if all(_magnitude(digit, reach, nothing) < EXACT for digit in digits):
            return 2**bits, digits
    raise ProgramError(
        f"a convolution of {weights[0].size} products a sum is beyond what is simulated exactly; "
        "split the layer's input channels"
    )


def _digits(rest: NDArray[np.int64], radix: int) -> list[NDArray[np.int64]]:
    """Balanced digits, in -radix/2 … radix/2 - 1."""
    digits: list[NDArray[np.int64]] = []
    while rest.any() or not digits:
        digit = (rest + radix // 2) % radix - radix // 2
        digits.append(digit)
        rest = (rest - digit) // radix
    return digits
