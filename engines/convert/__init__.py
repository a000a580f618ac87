"""From one network format to another.

A converter is a module with ``convert(source: Network, folder: Path, precision: str) -> Network``,
imported only when it is used. Where there is none from one format to another, ONNX lies between.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from engines.convert.precision import told_precision
from engines.errors import ProgramError
from engines.program import PRECISIONS, Network

#: The module that converts, by the formats it converts from and to.
CONVERTERS = {
    ("caffe", "onnx"): "engines.convert.caffe",
    ("torchscript", "onnx"): "engines.convert.torch",
    ("torch-export", "onnx"): "engines.convert.torch",
    ("onnx", "torchscript"): "engines.convert.torch",
    ("onnx", "openvino"): "engines.convert.openvino",
    ("onnx", "ncnn"): "engines.convert.ncnn",
    ("onnx", "mnn"): "engines.convert.mnn",
    ("onnx", "tflite"): "engines.convert.litert",
    ("onnx", "tvm"): "engines.convert.tvm",
    ("onnx", "tensorrt"): "engines.convert.tensorrt",
}
_BETWEEN = "onnx"


def targets(source_format: str) -> tuple[str, ...]:
    """The formats that networks of one format can be converted to, directly or through ONNX."""
    direct = [to for from_, to in CONVERTERS if from_ == source_format]
    if _BETWEEN in direct:
        direct += [to for from_, to in CONVERTERS if from_ == _BETWEEN]
    return tuple(dict.fromkeys(to for to in direct if to != source_format))


def convert(source: Network, target: str, folder: Path, precision: str = "fp32") -> Network:
    """Converts a network.

    Args:
        source: with declared inputs and outputs where its format does not tell them.
        target: format wanted, one of `targets`.
        folder: that the new network's files go to; made where it is missing.
        precision: of the numbers in the new network.

    Returns:
        The new network with the tensors that were declared for `source`.

    Raises:
        ProgramError: the formats, the precision or something in the network cannot be converted.
        EngineUnavailable: a library is missing; with the command that installs it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if precision not in PRECISIONS:
        raise ProgramError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    if (source.format, target) in CONVERTERS:
        return _run(source, target, folder, precision)
    if target not in targets(source.format):
        raise ProgramError(
            f"{source}: {source.format} cannot become {target}; it can become "
            f"{' or '.join(targets(source.format)) or 'nothing else'}"
        )
    with TemporaryDirectory(prefix="sightline-convert-") as between:
        network = _run(source, _BETWEEN, Path(between), "fp32")
        return _run(network, target, folder, precision)


def _run(source: Network, target: str, folder: Path, precision: str) -> Network:
    module = import_module(CONVERTERS[source.format, target])
    made: Network = module.convert(_checked(source, target, precision), folder, precision)
    return made


def _checked(source: Network, target: str, precision: str) -> Network:
    """The source with the precision its file is in, where that is int8: whatever was declared.

    Quantised operators are kept or refused; none of them may end in a network called fp32.
    """
    if not source.path.is_file():
        raise ProgramError(f"{source}: no such file")
    if "int8" not in (source.precision, told_precision(source.path, source.format)):
        return source
    if precision != "int8":
        raise ProgramError(
            f"{source}: stored in int8 (it is quantised), so {target} can have it in int8, not in "
            f"{precision}; for {precision} convert the network that it was quantised from"
        )
    return replace(source, precision="int8")
