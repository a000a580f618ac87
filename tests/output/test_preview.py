"""The latest result of each camera, for whoever asks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from pipeline.output.preview import PreviewSink
from pipeline.packet import Status


def test_the_last_packet_is_drawn_when_somebody_asks(make_packet: Any) -> None:
    preview = PreviewSink(("person", "car"))
    assert preview.snapshot("gate") is None
    packets = [make_packet(index, "gate", 3) for index in range(3)]
    for packet in packets:
        preview.write(packet)
    snapshot = preview.snapshot("gate")
    assert snapshot is not None
    picture = cv2.imdecode(np.frombuffer(snapshot.jpeg, np.uint8), cv2.IMREAD_COLOR)
    frame = packets[-1].frame
    assert picture is not None
    assert picture.shape == (frame.height, frame.width, 3)
    assert len(np.unique(picture)) > 10, "something is drawn"
    told = dict(snapshot.frame)
    assert told.pop("age_ms") > 0
    assert told == {
        "camera": "gate",
        "frame": 2,
        "epoch": frame.epoch,
        "pts_ns": frame.pts_ns,
        "width": frame.width,
        "height": frame.height,
        "status": packets[-1].status.name.lower(),
        "reason": packets[-1].reason,
        "tracks": 3,
    }


def test_what_is_known_of_a_frame_goes_with_it(make_packet: Any) -> None:
    preview = PreviewSink(())
    preview.write(make_packet(0, "gate").marked(Status.BLIND, "the engine failed"))
    snapshot = preview.snapshot("gate")
    assert snapshot is not None
    assert (snapshot.frame["status"], snapshot.frame["reason"]) == ("blind", "the engine failed")


def test_what_happened_is_counted(make_packet: Any) -> None:
    preview = PreviewSink(())
    for index, camera in enumerate(("gate", "yard", "gate")):
        preview.write(make_packet(index, camera, happened=2))
    preview.write(make_packet(3, "gate"))
    assert preview.counts() == {
        "gate rule-0 cross": 2,
        "gate rule-1 enter": 2,
        "yard rule-0 cross": 1,
        "yard rule-1 enter": 1,
    }


def test_a_camera_that_is_gone_has_no_picture(make_packet: Any) -> None:
    preview = PreviewSink(())
    preview.write(make_packet(0, "gate"))
    preview.forget("gate")
    preview.forget("nobody")
    assert preview.snapshot("gate") is None
