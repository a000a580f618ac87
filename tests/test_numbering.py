"""The headers of a camera's frames go on from source to source."""

from __future__ import annotations

import numpy as np

from pipeline.clock import ManualClock
from pipeline.media.picture import BgrPicture
from pipeline.media.source import SourceFrame
from pipeline.numbering import Numbering

PICTURE = BgrPicture(np.zeros((4, 6, 3), np.uint8))


def test_numbers_go_on_from_source_to_source() -> None:
    clock, numbering = ManualClock(), Numbering("a")
    first = numbering.header(SourceFrame(7, 1_000, PICTURE, epoch=2), clock.now_ns())
    assert (first.sequence, first.index, first.pts_ns, first.epoch) == (0, 7, 1_000, 2)
    numbering.renew()
    second = numbering.header(SourceFrame(0, 0, PICTURE), first.entered_ns + 500)
    assert (second.sequence, second.index, second.pts_ns, second.epoch) == (1, 8, 1_500, 3)
    third = numbering.header(SourceFrame(1, 40, PICTURE), second.entered_ns + 40)
    assert (third.sequence, third.index, third.pts_ns, third.epoch) == (2, 9, 1_540, 3)
