"""Remakes the recordings: `python tests/output/record.py`, from the repository's top.

Each case is written as `recordings/NAME.bin`, the datagram, and `recordings/NAME.json`, what a
decoder must make of it. The JSON comes from the case, not from the decoder, so that a decoder and
an encoder that err alike are found out. What is in `recordings/sealed` is the case `three_tracks`
with the key `KEY`; in `recordings/analysed` are the two datagrams of `ANALYSED`. Remake them only
with a new version of the telegram: old receivers must go on reading old bytes.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.analytics.event import Analysis, Event
from pipeline.output import telegram
from pipeline.output.envelope import Seal
from pipeline.output.message import Message
from pipeline.packet import Status
from pipeline.tracking.track import Tracks, TrackState

FOLDER = Path(__file__).parent / "recordings"

#: Values that bfloat16 and the score's steps of 1/256 hold exactly, up to half a step.
TRACKS: list[dict[str, Any]] = [
    {"id": 1, "label": 0, "state": "confirmed", "predicted": False, "score": 230.5 / 256}
    | {"box": [10.25, 20.5, 110.125, 220.0], "velocity": [12.5, -3.0]},
    {"id": 7, "label": 79, "state": "lost", "predicted": True, "score": 77.5 / 256}
    | {"box": [-5.5, 0.0, 33.3125, 47.0], "velocity": [0.0, 0.0]},
    {"id": 4294967295, "label": 8191, "state": "tentative", "predicted": False, "score": 0.5 / 256}
    | {"box": [0.0, 0.0, 3839.5, 2159.75], "velocity": [-65536.0, 100000 / 3125 * 64]},
]

HEADER: dict[str, Any] = {
    "camera": "gate",
    "session": 0x0123456789ABCDEF,
    "sequence": 4294967295,
    "epoch": 2,
    "frame": 1234,
    "pts_ns": 49_360_000_000,
    "utc_ns": 1_700_000_000_123_456_789,
    "status": "ok",
    "engine": "npu0",
    "reason": "",
    "width": 3840,
    "height": 2160,
    "fragment": 0,
    "fragments": 1,
}

CASES: dict[str, dict[str, Any]] = {
    "three_tracks": {**HEADER, "tracks": TRACKS},
    "empty_scene": {**HEADER, "camera": "hof-küche", "utc_ns": None, "tracks": []},
    "blind": {**HEADER, "status": "blind", "reason": "nan in 'scores'", "tracks": []},
}


#: What happened in the case `three_tracks`; f32 holds the numbers exactly.
EVENTS: list[dict[str, Any]] = [
    {"rule": "gate-line", "kind": "cross", "direction": "hinüber", "pts_ns": 49_345_678_901}
    | {"track": 1, "label": 0, "at": [110.125, 220.0], "value": None},
    {"rule": "yard", "kind": "leave", "direction": "", "pts_ns": 49_360_000_000}
    | {"track": 4294967295, "label": 8191, "at": [-0.5, 2159.75], "value": 31.25},
    {"rule": "yard", "kind": "crowd", "direction": "", "pts_ns": 49_360_000_000}
    | {"track": 0, "label": -1, "at": [1920.0, 1080.0], "value": 12.0},
]
#: Of its tracks, as bfloat16 holds them.
SPEEDS = [62.5, None, 0.0]
ANALYSED: dict[str, dict[str, Any]] = {
    "tracks": HEADER
    | {"fragments": 2}
    | {"tracks": [t | {"speed_kmh": s} for t, s in zip(TRACKS, SPEEDS, strict=True)]},
    "events": HEADER | {"fragments": 2, "fragment": 1, "events": EVENTS},
}


def analysis() -> Analysis:
    """`EVENTS` and `SPEEDS`, with tallies, which no telegram tells."""
    events = [
        Event(**event | {"at": tuple(event["at"]), "value": _number(event["value"])})
        for event in EVENTS
    ]
    speeds = np.array([_number(speed) for speed in SPEEDS], np.float32)
    return Analysis(tuple(events), {"yard": {"inside": 12}}, speeds)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def message_of(case: dict[str, Any]) -> Message:
    """The message that a case describes."""
    rows = case["tracks"]
    unseen = [0.5 if row["predicted"] else 0.0 for row in rows]
    tracks = Tracks(
        ids=np.array([row["id"] for row in rows], np.int64),
        boxes_xyxy=np.array([row["box"] for row in rows], np.float32).reshape(-1, 4),
        scores=np.array([row["score"] for row in rows], np.float32),
        labels=np.array([row["label"] for row in rows], np.int32),
        states=np.array([TrackState[row["state"].upper()] for row in rows], np.uint8),
        velocities=np.array([row["velocity"] for row in rows], np.float32).reshape(-1, 2),
        ages_s=np.ones(len(rows), np.float32),
        unseen_s=np.array(unseen, np.float32),
    )
    skipped = ("fragment", "fragments", "tracks", "status")
    fields = {key: value for key, value in case.items() if key not in skipped}
    source = "none" if case["utc_ns"] is None else "rtcp"
    status = Status[case["status"].upper()]
    return Message(**fields, status=status, tracks=tracks, utc_source=source, age_ms=41.6)


#: The sealed recordings' key: 0, 1, 2 … 31; and when their session began.
KEY = bytes(range(32))
BEGAN_NS = 1_700_000_000_000_000_000


def main() -> None:
    """Writes all recordings."""
    sealed = replace(message_of(CASES["three_tracks"]), began_ns=BEGAN_NS)
    (FOLDER / "sealed").mkdir(parents=True, exist_ok=True)
    for name, encrypt in (("authenticated", False), ("encrypted", True)):
        (datagram,) = telegram.Encoder(envelope=Seal(KEY, encrypt)).encode(sealed)
        (FOLDER / "sealed" / f"{name}.bin").write_bytes(datagram)
    for name, case in CASES.items():
        (datagram,) = telegram.Encoder().encode(message_of(case))
        _write(FOLDER / name, datagram, case)
    analysed = replace(message_of(CASES["three_tracks"]), analysis=analysis())
    datagrams = telegram.Encoder().encode(analysed)
    for (name, case), datagram in zip(ANALYSED.items(), datagrams, strict=True):
        _write(FOLDER / "analysed" / name, datagram, case)


def _write(path: Path, datagram: bytes, case: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".bin").write_bytes(datagram)
    text = json.dumps(case, indent=1, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
