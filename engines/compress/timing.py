"""How long each operator of an ONNX network takes on ONNX Runtime.

ONNX Runtime merges operators and lays their tensors out anew, so what its profile names is traced
back to the network as it is written: an operator to the tensor it makes, a merged one to the layer
with weights in it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from engines.compress.layers import WEIGHTED
from engines.errors import EngineUnavailable
from engines.program import Tensors

_RUNS = 7
_ERRORS_ONLY = 3
#: How ONNX Runtime's profile ends the name of a node, and begins that of some merged ones.
_ENDING, _MERGED = "_kernel_time", "fused "


def seconds_by_tensor(model: Any, feeds: Tensors) -> dict[str, float]:
    """The time of one forward on one thread, by the tensor that each part of it makes.

    What ONNX Runtime adds, such as a change of layout, counts for the empty name.

    Args:
        model: an `onnx.ModelProto`; it is not changed.
        feeds: its inputs, by name.

    Raises:
        EngineUnavailable: ONNX Runtime is missing.
    """
    makers = {node.output[0]: node for node in model.graph.node}
    place = {name: number for number, name in enumerate(makers)}
    found = defaultdict[str, float](float)
    for name, operator, seconds in _profile(model, feeds):
        tensor = _traced(name, makers)
        if any(kind in operator for kind in WEIGHTED):
            tensor = _layer(tensor, makers, place)
        found[tensor] += seconds
    return dict(found)


def _profile(model: Any, feeds: Tensors) -> list[tuple[str, str, float]]:
    """Name, operator and median time of every node that runs."""
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise EngineUnavailable(f"{error}; run: pip install onnxruntime") from error
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = _ERRORS_ONLY
    settings.enable_profiling = True
    with TemporaryDirectory(prefix="sightline-profile-") as folder:
        settings.profile_file_prefix = str(Path(folder) / "profile")
        content = _named(model).SerializeToString()
        session = ort.InferenceSession(content, settings, ["CPUExecutionProvider"])
        for _ in range(_RUNS):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times = defaultdict[tuple[str, str], list[float]](list)
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(_ENDING):
            name = event["name"].removesuffix(_ENDING).removeprefix(_MERGED)
            times[name, event["args"]["op_name"]].append(event["dur"] / 1e6)
    return [(*key, median(taken)) for key, taken in times.items()]


def _named(model: Any) -> Any:
    """A copy whose nodes are named after what they make."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.name = node.output[0]
    return copy


def _traced(name: str, makers: dict[str, Any]) -> str:
    """The tensor whose name a node's name is, or begins with; the longest one."""
    whole = [
        n for n in makers if name.startswith(n) and name[len(n) : len(n) + 1] in ("", "_", "/")
    ]
    return max(whole, key=len, default="")


def _layer(tensor: str, makers: dict[str, Any], place: dict[str, int]) -> str:
    """The layer that, merged with what follows it, makes a tensor.

    Of the tensors that something merged reads, the last one made is that of the layer: what else
    there is to add has been made before.
    """
    while tensor and makers[tensor].op_type not in WEIGHTED:
        tensor = max(
            (name for name in makers[tensor].input if name in makers),
            key=place.__getitem__,
            default="",
        )
    return tensor
