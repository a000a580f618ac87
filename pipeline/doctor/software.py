"""What is installed."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import import_module

from engines import BackendInfo
from pipeline.doctor.check import Check, Grade

#: What nothing goes without: by the module's name what to install.
_NEEDED = {
    "av": "av",
    "cv2": "opencv-python-headless",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
}


def versions() -> dict[str, str]:
    """Of the modules that are needed; empty where one cannot be imported."""
    found = {}
    for name in _NEEDED:
        try:
            found[name] = str(import_module(name).__version__)
        except ImportError:
            found[name] = ""
    return found


def python(found: tuple[int, ...]) -> Check:
    """The interpreter."""
    text = f"{'.'.join(map(str, found))} on {platform.system()} {platform.machine()}"
    if found < (3, 11):
        return Check("Python", Grade.FAIL, text, "install Python 3.11 or later")
    return Check("Python", Grade.OK, text)


def modules(found: Mapping[str, str]) -> list[Check]:
    """Those that are needed."""
    return [
        Check(name, Grade.OK, version)
        if version
        else Check(name, Grade.FAIL, "cannot be imported", f"run: pip install {_NEEDED[name]}")
        for name, version in found.items()
    ]


def engines(found: Sequence[BackendInfo]) -> list[Check]:
    """The backends; one that is missing is no fault as long as nothing is bound to it."""
    return [
        Check(
            f"engine {info.name}",
            Grade.OK,
            info.missing
            or f"{info.version} on {', '.join(info.devices) or 'what it is told'}".strip(),
            f"if wanted, run: {info.install}" if info.install else "",
        )
        for info in found
    ]
