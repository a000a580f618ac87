"""Where converted networks lie, and which of them are whole.

``<cache>/converted/<identity of the source>/<format>-<precision>/`` holds one network and its
``report.json``, whose ``network`` says ``file``, ``format``, ``precision``, where it was compiled
for one device ``target``, and, as ``files``, the SHA-256 of every file. The folder appears by a
rename when all is complete.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from engines import Network
from engines.convert.caffe import weights_beside
from engines.sharing import file_sha256
from pipeline.errors import ModelError
from pipeline.models.catalogue import cache_folder

REPORT = "report.json"


def files_of(network: Network) -> tuple[Path, ...]:
    """The network's file, and its weights where the format keeps them in another file beside it."""
    path = network.path
    if network.format == "caffe":
        return path, weights_beside(path)
    if network.format in ("openvino", "ncnn"):
        return path, path.with_suffix(".bin")
    return (path,)


def identity(network: Network) -> str:
    """The SHA-256 that stands for a network: of its file, or of the hashes of its two files.

    Raises:
        EngineError: its weights are missing.
        OSError: a file cannot be read.
    """
    hashes = [file_sha256(path) for path in files_of(network)[1:]]
    main = network.sha256 or file_sha256(network.path)
    return hashlib.sha256(":".join([main, *hashes]).encode()).hexdigest() if hashes else main


def converted_folder(source: str) -> Path:
    """The folder of everything that was converted from one network, given its `identity`."""
    return cache_folder() / "converted" / source


def find_converted(source: str) -> tuple[Network, ...]:
    """The networks converted from the one with this `identity`, without declared tensors.

    Raises:
        ModelError: one of them is not what its report says.
    """
    reports = sorted(converted_folder(source).glob(f"*-*/{REPORT}"))
    return tuple(_read(report) for report in reports)


def _read(report: Path) -> Network:
    remedy = f"remove {report.parent} and convert again"
    try:
        network = json.loads(report.read_text(encoding="utf-8"))["network"]
        path = report.parent / Path(network["file"]).name
        format_, precision = str(network["format"]), str(network["precision"])
        target = str(network.get("target", ""))
        expected = {report.parent / Path(name).name: sha for name, sha in network["files"].items()}
        found = {path: file_sha256(path) for path in (path, *expected)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{report}: cannot be read: {error!r}; {remedy}") from None
    for file, sha256 in found.items():
        if sha256 != expected.get(file):
            raise ModelError(
                f"{file}: expected sha256 {expected.get(file)}, found {sha256}; {remedy}"
            )
    return Network(path, format_, sha256=found[path], precision=precision, target=target)
