"""Lines of ``tracks.jsonl``, as a batch leaves them, for tests of what is made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pipeline.batch.clip import Clip
from pipeline.evaluation.mot_files import MotTable

FRAME_NS = 40_000_000
WIDTH, HEIGHT = 320, 240


def track(number: int, box: tuple[float, float, float, float], **known: Any) -> dict[str, Any]:
    """A track in a frame: a confirmed person that was detected, where nothing else is said."""
    told = {
        "id": number,
        "label": 0,
        "class": "person",
        "state": "confirmed",
        "score": 0.9,
        "box": list(box),
        "velocity": [0.0, 0.0],
        "age_s": 1.0,
        "unseen_s": 0.0,
    }
    return told | known


def line(frame: int, *tracks: dict[str, Any], **known: Any) -> dict[str, Any]:
    """A frame, 25 a second."""
    told = {
        "camera": "yard",
        "epoch": 0,
        "frame": frame,
        "pts_ns": frame * FRAME_NS,
        "utc_ns": None,
        "utc_source": "none",
        "width": WIDTH,
        "height": HEIGHT,
        "status": "ok",
        "reason": "",
        "engine": "cpu0",
        "tracks": list(tracks),
    }
    return told | known


def event(frame: int, **known: Any) -> dict[str, Any]:
    """A crossing."""
    told = {
        "rule": "gate",
        "kind": "cross",
        "direction": "in",
        "pts_ns": frame * FRAME_NS,
        "track": 1,
        "label": 0,
        "class": "person",
        "at": [10.0, 20.0],
        "value": None,
        "unit": "",
        "picture": None,
    }
    return told | known


def of_table(clip: Clip, table: MotTable, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The lines of a clip, 25 frames a second, in which these boxes are the tracks."""
    known = {"width": clip.width, "height": clip.height}
    lines = [line(i, **known) for i in range(clip.frames or 0)]
    rows = zip(table.frames, table.ids, table.boxes_xyxy.tolist(), table.classes, strict=True)
    for frame, number, box, label in rows:
        name = labels[max(int(label) - 1, 0)]
        lines[frame - 1]["tracks"].append(track(int(number), tuple(box), **{"class": name}))
    return lines


def write(
    folder: Path, lines: Iterable[dict[str, Any]], events: Iterable[dict[str, Any]] = ()
) -> Path:
    """The folder, with these lines in it, and with events where there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in {"tracks.jsonl": lines, "events.jsonl": events}.items():
        text = "".join(json.dumps(one) + "\n" for one in rows)
        if text or name == "tracks.jsonl":
            (folder / name).write_text(text, encoding="utf-8")
    return folder
