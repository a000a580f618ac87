"""Real numbers outside, stored integers inside: between a pipeline and a quantised engine.

An engine whose tensors have a scale takes and gives integers only. Whoever calls it with real
numbers does so through `give` and `take`, which leave every other tensor as it is. What they
convert is counted in the engine's `traffic`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.base import Engine
from engines.tensor import TensorSpec


def outside(spec: TensorSpec) -> TensorSpec:
    """A tensor as a caller of `give` and `take` has it: float32 where the engine's has a scale."""
    if spec.scale is None:
        return spec
    return replace(spec, dtype=np.dtype(np.float32), scale=None, zero_point=None)


def give(engine: Engine, name: str, array: NDArray[Any]) -> None:
    """`Engine.set_tensor`, quantised where the engine wants that and the array is of reals."""
    spec = _named(name, engine.inputs)
    if spec is not None and spec.scale is not None and array.dtype.kind == "f":
        started_ns, reals = perf_counter_ns(), array
        array = quantised(reals, spec)
        engine.traffic.quantised.add(reals.nbytes, started_ns)
    engine.set_tensor(name, array)


def take(engine: Engine, name: str) -> NDArray[Any]:
    """`Engine.get_tensor`, in float32 where the engine gives stored integers."""
    array = engine.get_tensor(name)
    spec = _named(name, engine.outputs)
    if spec is None or spec.scale is None:
        return array
    started_ns = perf_counter_ns()
    reals = dequantised(array, spec)
    engine.traffic.dequantised.add(array.nbytes, started_ns)
    return reals


def _named(name: str, specs: Iterable[TensorSpec]) -> TensorSpec | None:
    return next((spec for spec in specs if spec.name == name), None)


def quantised(array: NDArray[Any], spec: TensorSpec) -> NDArray[Any]:
    """Real numbers as a tensor stores them: ONNX's QuantizeLinear.

    round(x / scale) + zero point, halves to even, saturated to what the tensor's type holds; a NaN
    becomes the zero point.
    """
    assert spec.scale is not None
    limits, zero_point = np.iinfo(spec.dtype), spec.zero_point or 0
    work = np.asarray(array, np.float32) / np.float32(spec.scale)
    np.rint(work, out=work)
    work += np.float32(zero_point)
    np.clip(work, limits.min, limits.max, out=work)
    if np.isnan(work.max(initial=limits.min)):  # a maximum costs a third of a sum
        work[np.isnan(work)] = zero_point
    return work.astype(spec.dtype)


def dequantised(array: NDArray[Any], spec: TensorSpec) -> NDArray[np.float32]:
    """What stored integers stand for: ONNX's DequantizeLinear, (q - zero point) · scale."""
    assert spec.scale is not None
    work = array.astype(np.float32)
    work -= np.float32(spec.zero_point or 0)
    work *= np.float32(spec.scale)
    return work
