"""What was seen comes back bit by bit; what is damaged is said to be."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.batch.job import Seen
from pipeline.batch.seen import (
    About,
    Marker,
    SeenSegment,
    SeenWriter,
    finished,
    marker_of,
    path_of,
    write_marker,
)
from pipeline.detection.detections import Detections
from pipeline.detection.proposals import Proposals
from pipeline.errors import DataError, StageError
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Detected
from pipeline.recognition.looks import Looks
from pipeline.recording.codec import to_plain

AT = "postprocess"


def packet(index: int) -> Packet[Detected]:
    """A frame with everything in it that a detector and second networks say."""
    rng = np.random.default_rng(index)

    def floats(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32)

    count = index % 4
    detected = Detected(
        BgrPicture(np.zeros((24, 32, 3), np.uint8)),
        Detections(floats(count, 4), floats(count), np.arange(count, dtype=np.int32)),
        floats(count, 7) if index % 2 else None,
        None,
        Proposals(floats(5, 4), floats(5), floats(5, 4)) if index % 3 else None,
        {"colour": Looks(np.array(["red", "grün"]), floats(count, 2), np.ones(count, bool))},
    )
    detected.detections.scores[:1] = np.nan
    frame = FrameInfo("clip", index, 10 + index, 40_000_000 * index + 1, 32, 24, index // 3)
    status = Status.BLIND if index == 2 else Status.OK
    return Packet(frame, detected, Ticket("clip"), status, "broken" * (index == 2), "cpu0", True)


def kept(folder: Path, packets: int = 6) -> Seen:
    folder.mkdir(exist_ok=True)
    writer = SeenWriter(folder, About("clip", 3, AT, "Detected"))
    for index in range(packets):
        writer.write(packet(index))
    seen = Seen("clip", 3, packets, {"truncated": 1}, {"detect": "there"})
    write_marker(folder, Marker(seen, {5: "bad"}, {AT: writer.finish()}))
    return seen


def arrays(payload: Detected) -> dict[str, Any]:
    found: dict[str, Any] = {}
    to_plain(
        dataclasses.replace(payload, picture=BgrPicture(np.zeros((1, 1, 3), np.uint8))), "", found
    )
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in found.items()}


def test_every_bit_comes_back(tmp_path: Path) -> None:
    seen = kept(tmp_path)
    segment = SeenSegment(tmp_path, "clip", 3)
    assert segment.marker.seen == finished(tmp_path, "clip", 3) == seen
    assert segment.marker.dropped == {5: "bad"}
    for index, found in enumerate(segment.packets(AT)):
        given = packet(index)
        assert arrays(found.payload) == arrays(given.payload)
        assert found.frame == dataclasses.replace(given.frame, sequence=0)
        for name in ("status", "reason", "engine", "seen"):
            assert getattr(found, name) == getattr(given, name)
        with pytest.raises(StageError, match="was not kept"):
            found.payload.picture.bgr()
        with pytest.raises(ValueError, match="read-only"):
            found.payload.detections.boxes_xyxy[:] = 0
    assert index == 5
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "000003-postprocess.seen",
        "000003.json",
    ]


def test_the_same_packets_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        kept(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


@pytest.mark.parametrize("which", ["marker", "packets"])
def test_no_byte_can_be_changed_or_lost(tmp_path: Path, which: str) -> None:
    kept(tmp_path, 2)
    path = marker_of(tmp_path, 3) if which == "marker" else path_of(tmp_path, 3, AT)
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x15]) + whole[place + 1 :])
        with pytest.raises(DataError, match="000003"):
            finished(tmp_path, "clip", 3)
        path.write_bytes(whole[:place])
        with pytest.raises(DataError, match="000003"):
            finished(tmp_path, "clip", 3)
    path.write_bytes(whole)
    finished(tmp_path, "clip", 3)


def test_what_is_another_s_is_refused(tmp_path: Path) -> None:
    kept(tmp_path)
    with pytest.raises(DataError, match="was not seen to its end"):
        finished(tmp_path, "clip", 4)
    with pytest.raises(DataError, match="is of segment 3 of 'clip', not 3 of 'other'"):
        finished(tmp_path, "other", 3)
    path_of(tmp_path, 3, AT).unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        finished(tmp_path, "clip", 3)


def test_what_is_not_finished_goes(tmp_path: Path) -> None:
    writer = SeenWriter(tmp_path, About("clip", 0, AT, "Detected"))
    writer.write(packet(0))
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    writer.discard()
    assert not list(tmp_path.iterdir())
