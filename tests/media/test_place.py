"""Where in a file one may begin."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import SourceError
from pipeline.media.container import Address
from pipeline.media.place import Place, list_packets, place_before
from tests.media.test_avsource import play

MS = 1_000_000
STEADY = {"x264-params": "scenecut=0"}


@pytest.fixture
def film(make_clip):
    return make_clip("a.mkv", pts=[40 * i for i in range(75)], gop=25, options=STEADY | {"bf": "0"})


def test_what_packets_say(film) -> None:
    packets = list_packets(Address(f"file:{film}"))
    assert packets.pts.tolist() == [40 * i for i in range(75)]
    assert packets.key.nonzero()[0].tolist() == [0, 25, 50]
    assert packets.shown.all()
    assert float(packets.time_base) == 0.001
    assert not packets.error


@pytest.mark.parametrize(
    ("start_ms", "frame"), [(0, None), (999, None), (1000, 25), (1999, 25), (2000, 50), (9000, 50)]
)
def test_the_key_frame_before_a_moment(film, start_ms, frame) -> None:
    expected = None if frame is None else Place(frame, frame, 40 * frame, 0)
    assert place_before(Address(f"file:{film}"), start_ms * MS) == expected


@pytest.mark.parametrize("dts", [None, 2000])
def test_beginning_at_a_place(film, dts) -> None:
    _, whole, _ = play(film)
    _, part, faults = play(film, start_s=2.2, begin=Place(50, 50, 2000, 0, dts))
    assert [(f.index, f.pts_ns) for f in part] == [(f.index, f.pts_ns) for f in whole[55:]]
    assert not faults


def test_a_place_that_is_not_there_is_an_error(film) -> None:
    place = Place(50, 50, 2000, 0, 2000)
    with pytest.raises(SourceError, match="the key frame at frame 50 cannot be found"):
        play(film, begin=replace(place, pts=2040, dts=2040))
