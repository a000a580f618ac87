"""Messages and packets to put out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.analytics.event import Analysis, Event
from pipeline.detection.detections import Detections
from pipeline.ledger import Ledger
from pipeline.media.picture import Picture
from pipeline.output.events import KINDS, UNITS
from pipeline.output.message import Message
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Tracked
from pipeline.tracking.track import Attribute, Tracks

MakeTracks = Callable[..., Tracks]
MakeMessage = Callable[..., Message]
MakeAnalysis = Callable[..., Analysis]
MakePacket = Callable[..., Packet[Tracked]]


class PlainPicture(Picture):
    """A grey picture."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self._image = np.full((height, width, 3), 90, np.uint8)

    @property
    def nbytes(self) -> int:
        return self._image.nbytes

    def bgr(self) -> NDArray[np.uint8]:
        return self._image

    def gray(self) -> NDArray[np.uint8]:
        return self._image[:, :, 0]

    def resized_bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        return np.full((height, width, 3), 90, np.uint8)

    def crop_bgr(self, x1: int, y1: int, x2: int, y2: int) -> NDArray[np.uint8]:
        return self._image[y1:y2, x1:x2]


def _tracks(count: int = 3, seed: int = 1) -> Tracks:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(-20, 500, (count, 2))
    boxes_xyxy = np.concatenate([corner, corner + rng.uniform(5, 200, (count, 2))], 1)
    return Tracks(
        ids=np.arange(1, count + 1, dtype=np.int64),
        boxes_xyxy=boxes_xyxy.astype(np.float32),
        scores=rng.uniform(0, 1, count).astype(np.float32),
        labels=rng.integers(0, 2, count).astype(np.int32),
        states=np.ones(count, np.uint8),
        velocities=rng.normal(0, 50, (count, 2)).astype(np.float32),
        ages_s=rng.uniform(0, 9, count).astype(np.float32),
        unseen_s=np.zeros(count, np.float32),
        attributes={
            "colour": Attribute(
                rng.choice(["red", "dark blue", ""], count), rng.random(count).astype(np.float32)
            )
        },
    )


def _analysis(tracks: int = 3, happened: int = len(KINDS), pts_ns: int = 480_000_000) -> Analysis:
    events = tuple(
        Event(
            rule=f"rule-{number % len(KINDS)}",
            kind=(kind := KINDS[number % len(KINDS)]),
            pts_ns=pts_ns - number,
            track=number % (tracks + 1),
            label=-1 if number % (tracks + 1) == 0 else number % 2,
            at=(10.25 * number, 20.5),
            direction="in" if kind == "cross" else "",
            value=1.5 * number if kind in UNITS else float("nan"),
        )
        for number in range(happened)
    )
    speeds = np.linspace(0, 60, tracks, dtype=np.float32)
    speeds[1::3] = np.nan
    tallies = {"rule-0": {"in": 7, "out": 0}, "zone": {"inside": 2}}
    return Analysis(events, tallies, speeds)


@pytest.fixture
def make_analysis() -> MakeAnalysis:
    """(tracks, happened, pts_ns) → an analysis of so many tracks, with so many events."""
    return _analysis


@pytest.fixture
def make_tracks() -> MakeTracks:
    """(count, seed) → that many confirmed tracks."""
    return _tracks


@pytest.fixture
def make_message() -> MakeMessage:
    """(count, **fields) → a message with that many tracks."""

    def make(count: int = 3, **fields: object) -> Message:
        usual: dict[str, object] = {
            "camera": "gate",
            "epoch": 0,
            "frame": 12,
            "pts_ns": 480_000_000,
            "width": 640,
            "height": 360,
            "status": Status.OK,
            "reason": "",
            "engine": "cpu0",
            "tracks": _tracks(count),
            "session": 0xFEDCBA9876543210,
            "sequence": 7,
        }
        return Message(**(usual | fields))  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_packet() -> MakePacket:
    """(index, camera, count, size, status, happened) → a packet at the end of the graph."""

    def make(
        index: int = 0,
        camera: str = "gate",
        count: int = 3,
        size: tuple[int, int] = (64, 48),
        status: Status = Status.OK,
        happened: int | None = None,
    ) -> Packet[Tracked]:
        frame = FrameInfo(camera, index, index, index * 40_000_000, *size)
        analysis = None if happened is None else _analysis(count, happened, frame.pts_ns)
        payload = Tracked(
            PlainPicture(*size), Detections.empty(), _tracks(count, index), analysis=analysis
        )
        return Packet(frame, payload, Ledger().enter(camera), status, engine="cpu0")

    return make
