"""Plain text never touches the disk: not while a package is opened, loaded, run or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.conftest import Package
from tests.models.sealed.conftest import Keys, Seal, require_installed

#: Loads, runs and proves a sealed package; tells which files were opened to be written, and which
#: are open or mapped while the network is loaded.
PROGRAM = """
import json, os, sys

written = []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(os.fsdecode(arguments[0]))

sys.addaudithook(watch)

import numpy as np
import engines
from pipeline.models import load_model, prove

package = load_model(sys.argv[1])
prove(package, sys.argv[2])
with engines.create("e", sys.argv[2]) as engine:
    engine.init()
    engine.prepare(package.program)
    engine.set_tensor("images", np.zeros((1, 3, 16, 32), np.float32))
    engine.forward()
    held = {os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")}
    with open("/proc/self/maps") as maps:
        held |= {line.split(maxsplit=5)[5].strip() for line in maps if line.count("/")}
print(json.dumps({"written": written, "held": sorted(held)}))
"""


@pytest.mark.parametrize("backend", ["onnxruntime", "opencv", "openvino"])
def test_no_file_has_it(
    seal: Seal, keys: Keys, package: Package, tmp_path: Path, backend: str
) -> None:
    require_installed(backend)
    if backend == "opencv":
        package.manifest["test_vector"]["atol"] = 0.1  # its mean is less exact
        package.write()
    sealed = seal()
    plain = package.weights.read_bytes()
    for file in package.folder.iterdir():
        file.unlink()
    places = {name: tmp_path / name for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "work")}
    for place in places.values():
        place.mkdir()
    memory_disk = set(Path("/dev/shm").iterdir())
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, str(sealed), backend],
        cwd=places.pop("work"),
        env=os.environ
        | {name: str(place) for name, place in places.items()}
        | {"SIGHTLINE_MODEL_KEY": keys.encrypt, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    seen = json.loads(done.stdout)
    assert [path for path in seen["written"] if path != "/dev/null"] == []
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    files |= {Path(path) for path in seen["held"] if path.startswith(str(tmp_path))}
    files |= set(Path("/dev/shm").iterdir()) - memory_disk
    assert sealed in files
    assert [path for path in files if path.is_file() and _holds(path, plain)] == []
    assert not [path for path in seen["held"] if "(deleted)" in path or "memfd:" in path]


def _holds(path: Path, plain: bytes) -> bool:
    """Whether a file has a part of the network: its graph, or its numbers."""
    content = path.read_bytes()
    return any(plain[at : at + 64] in content for at in range(0, len(plain) - 64, 32))
