"""Two bindings side by side: what their second networks say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.detection.detections import Detections
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.packet import FrameInfo, Packet
from pipeline.parity import difference
from pipeline.payloads import Detected, Tracked
from pipeline.recognition.looks import Looks
from pipeline.tracking.track import Attribute, Tracks

FRAME = FrameInfo("cam", 0, 0, 0, 10, 10)


def test_what_second_networks_say_is_compared() -> None:
    picture = BgrPicture(np.zeros((10, 10, 3), np.uint8))
    names = np.array(["no", "yes"])

    def detected(sure: float) -> Packet[Detected]:
        weights = np.array([[1 - sure, sure]], np.float32)
        found = Detections(
            np.array([[0, 0, 5, 5]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int32)
        )
        looks = {"hat": Looks(names, weights, np.ones(1, np.bool_))}
        return Packet(FRAME, Detected(picture, found, looks=looks), Ticket("cam"))

    def tracked(**values: str) -> Packet[Tracked]:
        shares = np.ones(1, np.float32)
        told = {name: Attribute(np.array([value]), shares) for name, value in values.items()}
        tracks = replace(Tracks.empty(), ids=np.array([7]), attributes=told)
        return Packet(FRAME, Tracked(picture, Detections.empty(), tracks), Ticket("cam"))

    assert difference(detected(0.75), detected(0.75))["looks hat"] == 0
    assert difference(detected(0.75), detected(0.5))["looks hat"] == pytest.approx(1 / 3)
    found = difference(tracked(hat="no", bag="no", age="old"), tracked(hat="yes", bag="no"))
    told = {name: found[f"attribute {name}"] for name in ("hat", "bag", "age")}
    assert told == {"hat": 1, "bag": 0, "age": float("inf")}
