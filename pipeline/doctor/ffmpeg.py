"""The copies of FFmpeg in this process, and what is known to be wrong with some versions."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.doctor.check import Check, Grade

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """One FFmpeg.

    Attributes:
        owner: the package it came with.
        release: such as ``"8.1.2"``; empty where it cannot be told.
    """

    owner: str
    release: str


@dataclass(frozen=True, slots=True)
class Flaw:
    """A flaw of some releases.

    Attributes:
        name: under which it can be looked up at cve.org.
        about: where it is, in a few words.
        affected: pairs of the first release that has it and the first one that has not.
    """

    name: str
    about: str
    affected: tuple[tuple[Version, Version], ...]

    def concerns(self, release: Version) -> bool:
        """Whether a release has it."""
        return any(first <= release < fixed for first, fixed in self.affected)


#: Releases as their records at cve.org give them (November 2026), of what video of cameras and
#: files can reach; CVE-2023-6605's fix as in ffmpeg.org/security.html.
FLAWS = (
    Flaw("CVE-2026-8461", "MagicYUV decoder writes out of bounds", (((0,), (8, 1, 2)),)),
    Flaw("CVE-2026-40962", "encrypted MP4 writes out of bounds", (((4, 1), (8, 1)),)),
    Flaw(
        "CVE-2026-107698",
        "an RTSP redirect leads past the list of protocols",
        (((0,), (7, 1, 4)), ((8, 0), (8, 0, 2))),
    ),
    Flaw("CVE-2023-6605", "a DASH playlist sends requests anywhere", (((0,), (7, 1, 1)),)),
)


def loaded() -> list[Copy]:
    """The copies that this process has loaded, as Linux lists them; none elsewhere."""
    maps = Path("/proc/self/maps")
    text = maps.read_text(encoding="utf-8", errors="replace") if maps.exists() else ""
    return [Copy(_owner(path), _release(path)) for path in sorted(_libraries(text))]


def check(copies: Sequence[Copy]) -> list[Check]:
    """One check a copy, and one of them together."""
    checks = [_check_one(copy) for copy in copies]
    releases = {copy.release for copy in copies}
    if len(releases) > 1:
        found = ", ".join(f"{copy.release or 'unknown'} of {copy.owner}" for copy in copies)
        remedy = "install packages of one age; only av's decodes here, and cv2.imshow may freeze"
        checks.append(Check("two FFmpegs", Grade.WARN, found, remedy))
    return checks


def version_of(release: str) -> Version:
    """``"n8.1.2-3-gabc"`` as (8, 1, 2); empty where it begins with no number."""
    match = re.match(r"n?(\d+(?:\.\d+)*)", release)
    return tuple(map(int, match[1].split("."))) if match else ()


def _check_one(copy: Copy) -> Check:
    name = f"FFmpeg of {copy.owner}"
    release = version_of(copy.release)
    if not release:
        found = copy.release or "its version cannot be told"
        return Check(name, Grade.WARN, found, "look up whether it is maintained")
    flaws = [f"{flaw.name} ({flaw.about})" for flaw in FLAWS if flaw.concerns(release)]
    if not flaws:
        return Check(name, Grade.OK, copy.release)
    remedy = f"run: pip install --upgrade {copy.owner}; until then read only what you trust"
    return Check(name, Grade.WARN, f"{copy.release}: {'; '.join(flaws)}", remedy)


def _libraries(maps: str) -> Iterable[str]:
    return set(re.findall(r"(/\S*libavutil[^/\s]*)$", maps, re.MULTILINE))


def _owner(path: str) -> str:
    """The package whose wheel brought a library, from the folder that holds a wheel's libraries."""
    match = re.search(r"/([^/]+)\.libs/[^/]*$", path)
    return match[1].replace("_", "-") if match else path


def _release(path: str) -> str:
    try:
        function = ctypes.CDLL(path).av_version_info
    except (OSError, AttributeError):
        return ""
    function.restype = ctypes.c_char_p
    return bytes(function()).decode("ascii", "replace")
