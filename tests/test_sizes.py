"""How large payloads are."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest

from pipeline.detection.detections import Detections
from pipeline.detection.proposals import Proposals
from pipeline.media.geometry import place
from pipeline.media.picture import BgrPicture, YuvPicture
from pipeline.payloads import Decoded, Detected, ModelInput, ModelOutput, Proposed
from pipeline.sizes import size_of

BGR = BgrPicture(np.zeros((4, 6, 3), np.uint8))
YUV = YuvPicture(*(np.zeros(shape, np.uint8) for shape in ((4, 6), (2, 3), (2, 3))))
PLACEMENT = place(6, 4, 8, 8)
TENSOR = np.zeros((1, 3, 8, 8), np.float32)
FOUND = Detections(
    np.zeros((5, 4), np.float32), np.zeros(5, np.float32), np.zeros(5, np.int32)
)  # 24 bytes each
PROPOSALS = Proposals(
    np.zeros((2, 4), np.float32), np.zeros(2, np.float32), np.zeros((2, 4), np.float32)
)  # 36 bytes each


@pytest.mark.parametrize(
    ("payload", "arrays", "picture"),
    [
        (Decoded(BGR), 0, 72),
        (Decoded(YUV), 0, 36),
        (ModelInput(BGR, TENSOR, PLACEMENT), 768, 72),
        (ModelInput(BGR, TENSOR[:, :, ::2], PLACEMENT), 384, 72),
        (ModelOutput(YUV, {}, PLACEMENT), 0, 36),
        (ModelOutput(YUV, {"a": TENSOR, "b": TENSOR[0]}, PLACEMENT), 1536, 36),
        (ModelOutput(YUV, MappingProxyType({"a": TENSOR}), PLACEMENT), 768, 36),
        (Proposed(YUV, PLACEMENT, {"p3": TENSOR}, PROPOSALS), 768 + 72, 36),
        (Detected(BGR, FOUND), 120, 72),
        (Detected(BGR, FOUND, np.zeros((5, 16), np.float32)), 120 + 320, 72),
        (TENSOR, 768, 0),
        ("no payload", 0, 0),
    ],
)
def test_arrays_and_the_picture_are_told_apart(payload: object, arrays: int, picture: int) -> None:
    assert size_of(payload) == (arrays, picture)
