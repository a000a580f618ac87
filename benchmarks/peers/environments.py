"""The environments that peers are installed in: one each, for their requirements conflict."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_SAME = ("numpy==2.4.6", "scipy==1.17.1")
REQUIREMENTS = {
    "roboflow": ("trackers==2.6.1", "supervision==0.31.2", *_SAME),
    "supervision": ("supervision==0.27.0", *_SAME),
    "norfair": ("norfair==2.3.0", "filterpy==1.4.5", "numpy==1.26.4", "scipy==1.17.1"),
    "boxmot": ("boxmot==25.0.0", "torch==2.13.0", "torchvision==0.28.0", "lapx==0.11.1", *_SAME),
}
"""Library of trackers → what pip installs. norfair needs a numpy before 2."""

PIPELINES = {
    "ultralytics": (
        *("ultralytics==8.4.190", "torch==2.13.0", "torchvision==0.28.0", "lap==0.5.13"),
        *("onnx==1.23.2", "onnxslim==0.1.98", "onnxruntime==1.31.1", *_SAME),
    ),
}
"""Whole pipelines, likewise."""

_ALL = REQUIREMENTS | PIPELINES

_COMPILED = ("bytetrack", "ocsort", "botsort")
"""BoxMOT's trackers in C++, which it compiles itself."""


def title(library: str, tracker: str) -> str:
    """A tracker as the tables call it, with its library's version."""
    if library not in REQUIREMENTS:
        return f"**ours, `{tracker}`**"
    version = REQUIREMENTS[library][0].partition("==")[2]
    return f"{library} {version} {tracker}"


def interpreters(
    folder: Path | None, libraries: Iterable[str] = tuple(REQUIREMENTS)
) -> dict[str, Path]:
    """Library → its interpreter: this one for ours, and those of the peers in `folder`.

    A peer that is not there, or was installed from other requirements, is left out.
    """
    found = {"sightline": Path(sys.executable)}
    if folder is None:
        return found
    for library in libraries:
        home = folder / library
        if _stamp(home).exists() and _stamp(home).read_text() == _wanted(library):
            found[library] = home / "bin" / "python"
    return found


def missing(folder: Path | None) -> str:
    """Which peers are not installed in `folder` and how to get them; empty where all are."""
    names = [name for name in REQUIREMENTS if name not in interpreters(folder)]
    if not names:
        return ""
    return (
        f"not installed: {', '.join(names)}. Get them with `python -m benchmarks.peers install "
        f"{folder or 'FOLDER'}`" + ("" if folder else ", then name the folder with --peers")
    )


def install(folder: Path, library: str) -> None:
    """Makes the environment of a library; one that is complete is left as it is.

    Raises:
        subprocess.CalledProcessError: pip failed.
    """
    home = folder / library
    if library in interpreters(folder, (library,)):
        print(f"{library}: is there")
        return
    _stamp(home).unlink(missing_ok=True)
    venv.create(home, with_pip=True, clear=True, symlinks=True)
    pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *_ALL[library]], check=True)
    if library == "boxmot":
        _compile(home)
    _stamp(home).write_text(_wanted(library))
    print(f"{library}: installed {', '.join(_ALL[library])}")


def _compile(home: Path) -> None:
    """Builds BoxMOT's trackers in C++; without what that takes, only those in Python are run."""
    for tracker in _COMPILED:
        command = [home / "bin" / "boxmot", "build", "--tracker", tracker]
        if subprocess.run(command).returncode:
            print(
                f"boxmot: {tracker} in C++ was not built and will not be measured. It takes CMake, "
                "a C++17 compiler, OpenCV 4 and Eigen 3 (Debian: apt-get install cmake g++ "
                f"libopencv-dev libeigen3-dev); remove {home} and install again"
            )


def _stamp(home: Path) -> Path:
    """The file that says what was installed completely."""
    return home / "installed.txt"


def _wanted(library: str) -> str:
    return "\n".join(_ALL[library]) + "\n"
