"""What an ONNX model computes, by ONNX Runtime: what every step of the compiler is held against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import EngineUnavailable, ProgramError
from engines.program import Tensors

_ERRORS_ONLY = 3


class Reference:
    """One model, ready to run as it is written: on one thread, no two of its operators merged.

    Args:
        model: an `onnx.ModelProto`; it is not changed.
        watched: tensors inside the model to give besides its outputs.

    Raises:
        EngineUnavailable: ONNX Runtime is missing.
        ProgramError: ONNX Runtime cannot load the model.
    """

    def __init__(self, model: Any, watched: Iterable[str] = ()) -> None:
        try:
            import onnxruntime as ort
        except ImportError as error:
            raise EngineUnavailable(f"{error}; run: pip install onnxruntime") from error
        settings = ort.SessionOptions()
        settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        settings.log_severity_level = _ERRORS_ONLY
        content = _with_outputs(model, watched).SerializeToString()
        try:
            self._session = ort.InferenceSession(content, settings, ["CPUExecutionProvider"])
        except Exception as error:
            raise ProgramError(f"ONNX Runtime cannot load the model: {error}") from error
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, feeds: Tensors) -> Tensors:
        """Every output and watched tensor, by name."""
        return dict(zip(self._names, self._session.run(self._names, feeds), strict=True))


def difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest difference of two tensors, as a part of the largest magnitude expected."""
    if found.shape != expected.shape:
        raise ProgramError(f"expected a tensor {expected.shape}, got {found.shape}")
    if not expected.size:
        return 0.0
    apart = float(np.abs(np.subtract(found, expected, dtype=np.float64)).max())
    largest = float(np.abs(expected).max())
    return apart / largest if largest else apart


def _with_outputs(model: Any, names: Iterable[str]) -> Any:
    """A copy of the model that gives further tensors."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    there = {value.name for value in model.graph.output}
    more = dict.fromkeys(name for name in names if name not in there)
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in more)
    return copy
