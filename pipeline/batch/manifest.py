"""What a clip's results say of themselves: what they were made of, with what, and how it went."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.batch.clip import Clip
from pipeline.batch.fingerprint import sha256_of
from pipeline.batch.job import Followed, Seen
from pipeline.media.uri import path_of

#: The file in a clip's folder; it is written last.
MANIFEST = "manifest.json"


def described(clip: Clip) -> dict[str, Any]:
    """A clip as its manifest has it: all of it that its results depend on."""
    return {
        "file": PurePosixPath(path_of(clip.uri).partition("?")[0]).name,
        "sha256": clip.sha256,
        "size": clip.size,
        "codec": clip.codec,
        "width": clip.width,
        "height": clip.height,
        "fps": clip.fps,
        "frames": clip.frames,
        "duration_ns": clip.duration_ns,
        "notes": list(clip.notes),
    }


def clip_of(name: str, entry: Mapping[str, Any]) -> Clip:
    """The clip that `described` describes, as far as it does; it has no segments."""
    known = {key: entry[key] for key in ("codec", "width", "height", "fps", "frames")}
    return Clip(
        name,
        entry["file"],
        **known,
        duration_ns=entry["duration_ns"],
        size=entry["size"],
        sha256=entry["sha256"],
        notes=tuple(entry["notes"]),
        error=entry.get("error", ""),
    )


def manifest(
    clip: Clip,
    fingerprint: Mapping[str, Any],
    seen: Iterable[Seen],
    followed: Followed,
    results: Path,
) -> dict[str, Any]:
    """The manifest of a clip's results, the same whoever made them and when.

    Args:
        clip: that they are of.
        fingerprint: see `pipeline.batch.fingerprint`.
        seen: what was told of each of its segments.
        followed: what was told of the whole.
        results: the folder with all other files.

    Raises:
        OSError: one of them cannot be read.
    """
    pieces = list(seen)
    told = [*(piece.bindings for piece in pieces), followed.bindings]
    stages = fingerprint["configuration"]["stages"]
    faults = sum((Counter(piece.faults) for piece in pieces), Counter[str]())
    report = followed.report
    return {
        "clip": clip.name,
        "input": described(clip),
        "configuration": {
            "sha256": sha256_of(fingerprint["configuration"]),
            **fingerprint["configuration"],
        },
        "models": fingerprint["models"],
        "versions": fingerprint["versions"],
        "stages": {
            name: _with_model(text, fingerprint["bindings"].get(name, ""))
            for one in told
            for name, text in one.items()
            if name in stages
        },
        "ledger": report.get("ledger", {}).get(clip.name, {}),
        "frames": sum(piece.frames for piece in pieces),
        "faults": dict(faults),
        "tracks": followed.tracks,
        "events": followed.events,
        "files": {
            path.relative_to(results).as_posix(): {
                "size": path.stat().st_size,
                "sha256": _sha256(path),
            }
            for path in sorted(results.rglob("*"))
            if path.is_file()
        },
    }


def _with_model(ran: str, planned: str) -> str:
    """What a stage ran on, with the model's name rather than the path of its file."""
    model, on, _ = planned.partition(" on ")
    return f"{model} on {ran.rpartition(' on ')[2]}" if on else ran


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
