"""ncnn's files: read with suspicion, tried out in another process, then loaded.

A ``.param`` is a text: a magic number, the numbers of layers and tensors, and a line a layer (see
https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure). The ``.bin`` beside it is the
weights, in the order the layers ask for them. A damaged pair does not raise, it kills the process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import ProgramError
from engines.traffic import Traffic
from engines.trial import confine, trouble

MAGIC = "7767517"
#: What ncnn may compute in, by precision; all other of these switches are off.
SWITCHES = {
    "fp32": (),
    "bf16": ("use_bf16_storage", "use_bf16_packed"),
    "fp16": ("use_fp16_storage", "use_fp16_packed", "use_fp16_arithmetic"),
    "int8": ("use_int8_inference", "use_int8_storage", "use_int8_packed", "use_int8_arithmetic"),
}
_LAST_BYTES = 4


@dataclass(frozen=True, slots=True)
class Blobs:
    """Names of a network's tensors that come from outside, and of those that no layer reads."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One run in another process, on zeros.

    Attributes:
        path: of the ``.param``.
        precision: to compute in.
        inputs: (name, shape without batch axis) of what is fed; empty to load only.
        outputs: names of what is computed.
    """

    path: str
    precision: str
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    outputs: tuple[str, ...]


def weights_path(path: Path) -> Path:
    """Where the weights of a ``.param`` lie."""
    return path.with_suffix(".bin")


def read_blobs(path: Path) -> Blobs:
    """The tensors of a ``.param``. Raises `ProgramError` where it is not one from end to end."""
    try:
        lines = path.read_text("utf-8").split("\n")
    except UnicodeDecodeError:
        raise ProgramError(f"{path}: expected an ncnn .param text, found binary data") from None
    if lines[0].strip() != MAGIC:
        raise ProgramError(
            f"{path}: expected {MAGIC} in the first line of an ncnn .param, found {lines[0][:40]!r}"
        )
    layers = [line.split() for line in lines[2:] if line.strip()]
    inputs: list[str] = []
    made: dict[str, None] = {}
    read: set[str] = set()
    for number, fields in enumerate(layers, 3):
        kind, bottoms, tops = _layer(path, number, fields)
        unknown = [name for name in bottoms if name not in made]
        if unknown or any(name in made for name in tops):
            raise ProgramError(
                f"{path}, line {number}: reads {unknown or 'nothing'} before it is made, or makes "
                f"{tops} again"
            )
        made.update(dict.fromkeys(tops))
        read.update(bottoms)
        inputs += tops if kind == "Input" else []
    counts = lines[1].split() if len(lines) > 1 else []
    if counts != [str(len(layers)), str(len(made))] or not layers:
        raise ProgramError(
            f"{path}: truncated: it announces {' '.join(counts)[:40]!r} layers and tensors and has "
            f"{len(layers)} {len(made)}"
        )
    return Blobs(tuple(inputs), tuple(name for name in made if name not in read))


def load(path: Path, precision: str, threads: int) -> Any:
    """An `ncnn.Net` that computes in exactly this precision. Raises `ProgramError`."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for switches in SWITCHES.values():
        for switch in switches:
            setattr(net.opt, switch, switch in SWITCHES[precision])
    weights = weights_path(path)
    if net.load_param(str(path)) or net.load_model(str(weights)):
        raise ProgramError(
            f"{path}: ncnn cannot load it with {weights.name} ({weights.stat().st_size} bytes)"
        )
    return net


def run(
    net: Any,
    inputs: Iterable[tuple[str, NDArray[Any]]],
    outputs: Iterable[str],
    traffic: Traffic,
) -> list[NDArray[Any]]:
    """The outputs for one image, in arrays of their own, without the axes that ncnn leaves out.

    Args:
        net: of `load`.
        inputs: (name, contiguous float32 array without batch axis) of every input.
        outputs: names of what is computed.
        traffic: where the copies are counted.
    """
    from ncnn import Mat

    extractor = net.create_extractor()
    for name, array in inputs:
        started_ns = perf_counter_ns()
        # Without an owner of its own ncnn would write into the array, or crash.
        extractor.input(name, Mat(array).clone())
        traffic.copied_in.add(array.nbytes, started_ns)
    views = []
    for name in outputs:
        status, mat = extractor.extract(name)
        if status:
            raise RuntimeError(f"ncnn gives status {status} for {name}")
        views.append(np.asarray(mat))
    return traffic.copied_out.copies(views)


def survives(trial: Trial) -> str:
    """What went wrong in another process; empty where the network loaded and ran."""
    return trouble(__name__, "ncnn", json.dumps(asdict(trial)))


def main() -> None:
    """The other process: loads and runs what its argument says; exits 1 with the reason."""
    confine()
    given = json.loads(sys.argv[1])
    path = Path(given["path"])
    try:
        net = load(path, given["precision"], threads=1)
        _nothing_left_over(path, given["precision"])
        if given["inputs"]:
            zeros = [(name, np.zeros(shape, np.float32)) for name, shape in given["inputs"]]
            run(net, zeros, given["outputs"], Traffic())
    except Exception as error:
        print(error)
        sys.exit(1)


def _layer(path: Path, number: int, fields: list[str]) -> tuple[str, list[str], list[str]]:
    """Type, read and made tensors of a layer's line; its parameters must be ``number=value``."""
    import ncnn

    try:
        kind, reads, makes = fields[0], int(fields[2]), int(fields[3])
        names, parameters = fields[4 : 4 + reads + makes], fields[4 + reads + makes :]
        if reads < 0 or makes < 1 or len(names) != reads + makes:
            raise ValueError
        for parameter in parameters:
            key, value = parameter.split("=")
            int(key), [float(number) for number in value.strip('"').split(",")]
    except (ValueError, IndexError):
        found = " ".join(fields)[:60]
        raise ProgramError(f"{path}, line {number}: expected a layer, found {found!r}") from None
    if ncnn.layer_to_index(kind) < 0:
        raise ProgramError(f"{path}, line {number}: ncnn has no layer {kind!r}")
    return kind, names[:reads], names[reads:]


def _nothing_left_over(path: Path, precision: str) -> None:
    """Raises where the weights load without their last bytes: they belong to another network."""
    weights = weights_path(path)
    if not weights.stat().st_size:
        return
    with TemporaryDirectory(prefix="sightline-ncnn-") as folder:
        shorter = Path(folder) / path.name
        shorter.write_bytes(path.read_bytes())
        weights_path(shorter).write_bytes(weights.read_bytes()[:-_LAST_BYTES])
        try:
            load(shorter, precision, threads=1)
        except ProgramError:
            return
    raise ProgramError(f"{weights} holds more weights than the network takes")


if __name__ == "__main__":
    main()
