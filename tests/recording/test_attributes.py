"""What second networks say goes into a recording and comes out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.detection.detections import Detections
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Detected, Tracked
from pipeline.recognition.looks import Looks
from pipeline.recording.file import About, Recording, RecordingWriter
from pipeline.tracking.track import Attribute, Tracks

PICTURE = BgrPicture(np.zeros((4, 4, 3), np.uint8))


def again(payload: Detected | Tracked, path: Path) -> Detected | Tracked:
    """The payload after it was written and read."""
    frame = FrameInfo("cam", 0, 0, 0, 4, 4)
    about = About(at="here", payload=type(payload).__name__)
    writer = RecordingWriter(path, about)
    writer.write(Packet(frame, payload, Ticket("cam")))
    writer.finish()
    with Recording(path) as recording:
        (packet,) = recording.packets()
    found = packet.payload
    assert isinstance(found, Detected | Tracked)
    return found


def test_looks_at_detections(tmp_path: Path) -> None:
    looks = {
        "plate": Looks(
            np.array(["käfer 7", "B"]),
            np.array([[0.5, 0], [0, 0]], np.float32),
            np.array([True, False]),
        ),
        "hat": Looks(np.array(["no", "yes"]), np.zeros((2, 2), np.float32), np.zeros(2, np.bool_)),
    }
    found = again(Detected(PICTURE, Detections.empty(), looks=looks), tmp_path / "a.slr")
    assert isinstance(found, Detected)
    assert list(found.looks) == ["plate", "hat"]
    for name, expected in looks.items():
        for part in ("values", "weights", "looked"):
            one, other = getattr(expected, part), getattr(found.looks[name], part)
            assert (one.dtype, one.tolist()) == (other.dtype, other.tolist())


def test_attributes_of_tracks(tmp_path: Path) -> None:
    colour = Attribute(np.array(["red"]), np.array([0.75], np.float32))
    for attributes in ({}, {"colour": colour}):
        tracks = replace(Tracks.empty(), attributes=attributes)
        found = again(Tracked(PICTURE, Detections.empty(), tracks), tmp_path / "a.slr")
        assert isinstance(found, Tracked)
        came = {name: one.values.tolist() for name, one in found.tracks.attributes.items()}
        assert came == ({"colour": ["red"]} if attributes else {})
