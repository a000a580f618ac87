"""Calibration: the range of values that 256 levels shall cover, from recorded inputs.

Three ways to choose it: all that came (``min-max``), all but the rarest (``percentile``), or what
keeps most information (``entropy``: S. Migacz, "8-bit Inference with TensorRT", GTC 2017). Inputs
come one by one and only histograms are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.convert import graph as onnx_graph
from engines.errors import OptionError, TensorError
from engines.program import Tensors
from engines.sim_npu.compiler.histogram import Histogram
from engines.sim_npu.compiler.reference import Reference

#: Smallest and largest real number to tell apart.
Range = tuple[float, float]

#: Of all values, how many ``percentile`` keeps, the rest being cut at both ends alike.
KEPT = 0.9999
#: Levels of a magnitude in eight bits.
_LEVELS = 128
#: Values a bin that ``entropy`` needs, on average.
_FEW = 4
#: Bins between two thresholds that ``entropy`` tries; Migacz tries every one.
_STRIDE = 16


def collect(model: Any, inputs: Iterable[Tensors]) -> dict[str, Histogram]:
    """Runs a network over recorded inputs.

    Args:
        model: an `onnx.ModelProto` in float32.
        inputs: as recorded; each is needed once and not kept.

    Returns:
        A histogram for every float tensor that is no constant, the inputs included.

    Raises:
        TensorError: there are no inputs, every one of them is black or otherwise of one value, or a
            value is NaN or infinite; says in which input and tensor.
    """
    histograms: dict[str, Histogram] = {}
    fed = [value.name for value in onnx_graph.inputs(model.graph)]
    reference = Reference(model, (name for node in model.graph.node for name in node.output))
    for number, feeds in enumerate(inputs):
        for name in fed:
            _add(histograms, name, feeds[name], number)
        for name, values in reference.run(feeds).items():
            if values.dtype == np.float32:
                _add(histograms, name, values, number)
    if not histograms:
        raise TensorError("calibration: expected recorded inputs, there are none")
    if all(histograms[name].lowest == histograms[name].highest for name in fed):
        value = histograms[fed[0]].lowest
        what = "black" if value == 0 else f"of the one value {value:g}"
        raise TensorError(f"calibration: all inputs are {what}; record pictures of a real scene")
    return histograms


def _add(histograms: dict[str, Histogram], name: str, values: NDArray[Any], number: int) -> None:
    try:
        histograms.setdefault(name, Histogram()).add(values)
    except TensorError as error:
        raise TensorError(f"calibration: input {number}, tensor {name}: {error}") from None


def min_max(histogram: Histogram) -> Range:
    """All that came."""
    return histogram.lowest, histogram.highest


def percentile(histogram: Histogram) -> Range:
    """All but the rarest values, at both ends."""
    rest = (1 - KEPT) / 2
    return histogram.quantile(rest), histogram.quantile(1 - rest)


def entropy(histogram: Histogram) -> Range:
    """Magnitudes up to the threshold at which 128 levels lose least information.

    For each threshold the histogram P below it, what lies above counted into the last bin, is
    compared with Q, the same without what lies above, in 128 levels: the threshold is where
    the divergence sum(P log(P / Q)) is smallest. Zero is exact at any threshold, and the many zeros
    behind a rectifier would hide the rest, so that bin counts as much as its neighbour. Few values
    are no distribution: all of them are kept.
    """
    counts = histogram.magnitudes().astype(np.float64)
    counts[0] = min(counts[0], counts[1])
    if counts.sum() < _FEW * len(counts):
        return min_max(histogram)
    ends = range(_LEVELS, len(counts) + 1, _STRIDE)
    best = min(ends, key=lambda end: _divergence(counts, end))
    threshold = (best + 0.5) * histogram.limit / len(counts)
    return max(histogram.lowest, -threshold), min(histogram.highest, threshold)


def _divergence(counts: NDArray[np.float64], end: int) -> float:
    """Kullback-Leibler divergence of the first bins in 128 levels from what they stand for."""
    inside = counts[:end]
    wanted = inside.copy()
    wanted[-1] += counts[end:].sum()
    starts = np.arange(_LEVELS) * end // _LEVELS
    filled = inside > 0
    sums, places = np.add.reduceat(inside, starts), np.add.reduceat(filled, starts, dtype=np.int64)
    level = np.searchsorted(starts, np.arange(end), side="right") - 1
    shared = np.where(filled, (sums / np.maximum(places, 1))[level], 0.0)
    total, kept = wanted.sum(), shared.sum()
    there = wanted > 0
    if not kept or not shared[there].all():
        return float("inf")
    p, q = wanted[there] / total, shared[there] / kept
    return float((p * np.log(p / q)).sum())


#: The ways to choose a range, by their name.
METHODS: dict[str, Callable[[Histogram], Range]] = {
    "min-max": min_max,
    "percentile": percentile,
    "entropy": entropy,
}


def ranges(histograms: Mapping[str, Histogram], method: str) -> dict[str, Range]:
    """One range a tensor, as its activations came.

    Raises:
        OptionError: there is no such method.
    """
    chosen = _method(method)
    return {name: chosen(histogram) for name, histogram in histograms.items()}


def channel_ranges(weights: NDArray[Any], axis: int, method: str = "min-max") -> list[Range]:
    """One range for each channel of a weight.

    Raises:
        OptionError: there is no such method.
        TensorError: a weight is NaN or infinite.
    """
    chosen, found = _method(method), []
    for channel in np.moveaxis(weights, axis, 0):
        histogram = Histogram()
        histogram.add(channel)
        found.append(chosen(histogram))
    return found


def _method(name: str) -> Callable[[Histogram], Range]:
    if name not in METHODS:
        raise OptionError(f"calibration: expected one of {', '.join(METHODS)}, got {name!r}")
    return METHODS[name]
