"""Every wanted frame is in exactly one piece, whatever the video is like."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch.division import Timetable, Window, divide, divide_steady
from pipeline.media.place import NO_TIME, Packets, Place

MS = 1_000_000


def video(pts: list[int], keys: list[int], shown: list[bool] | None = None) -> Packets:
    """Packets in the order of the file, in milliseconds; `keys` are places in that order."""
    key = np.isin(np.arange(len(pts)), keys)
    stamps = np.array(pts, np.int64)
    visible = np.array(shown if shown is not None else [True] * len(pts))
    return Packets(stamps, stamps - 80, key, visible, Fraction(1, 1000))


def steady(frames: int, gop: int) -> Packets:
    return video([40 * i for i in range(frames)], list(range(0, frames, gop)))


@st.composite
def videos(draw: st.DrawFn) -> Packets:
    """Groups of pictures of any length at any rate, with leading pictures and B-frames."""
    pts: list[int] = []
    keys = []
    now = draw(st.integers(-5000, 5000))
    for number in range(draw(st.integers(1, 12))):
        leading = draw(st.integers(0, 3)) if number else 0
        steps = draw(st.lists(st.integers(1, 200), min_size=leading + 1, max_size=leading + 12))
        times = (now + np.cumsum(steps)).tolist()
        now = times[-1]
        keys.append(len(pts))
        after = times[leading + 1 :]
        for i in range(0, len(after) - 1, 2):  # each B-frame behind the picture it needs
            after[i], after[i + 1] = after[i + 1], after[i]
        pts += [times[leading], *times[:leading], *after]
    return video(pts, keys)


windows = st.builds(
    Window,
    segment_ns=st.integers(1, 3000).map(lambda ms: ms * MS),
    start_ns=st.integers(0, 3000).map(lambda ms: ms * MS),
    end_ns=st.none() | st.integers(3001, 6000).map(lambda ms: ms * MS),
    key_frames=st.booleans(),
)


@given(videos(), windows, st.integers(0, 2**12))
def test_every_wanted_frame_is_in_exactly_one_piece(packets, window, unsound: int) -> None:
    table = Timetable(packets, int(packets.pts.min()))
    sound: list[Place] = []

    def try_it(place: Place) -> bool:
        good = not unsound >> (place.packets % 12) & 1
        sound.extend([place] * good)
        return good

    segments, _ = divide(table, window, try_it)
    chosen = packets.key if window.key_frames else np.ones(len(packets.pts), bool)
    times = [table.time_ns(int(pts)) for pts in packets.pts[chosen]]
    end_ns = window.end_ns or 10**18
    wanted = [time for time in times if window.start_ns <= time < end_ns]
    inside = [
        [time for time in wanted if s.start_ns <= time < (s.end_ns or 10**18)] for s in segments
    ]
    assert sorted(time for part in inside for time in part) == sorted(wanted)
    assert [segment.frames for segment in segments] == [len(part) for part in inside]
    assert [segment.number for segment in segments] == list(range(len(segments)))
    for segment in segments:
        if segment.begin is not None:
            assert segment.begin in sound
            assert packets.key[segment.begin.packets]
            assert segment.begin.index == np.sum(packets.pts < segment.begin.pts)
            assert table.time_ns(segment.begin.pts) <= segment.start_ns


@given(videos(), st.integers(1, 3000))
def test_pieces_are_as_long_as_they_should_be(packets, segment_ms: int) -> None:
    table = Timetable(packets, int(packets.pts.min()))
    segments, _ = divide(table, Window(segment_ms * MS), lambda place: True)
    starts = [segment.start_ns for segment in segments]
    assert all(b - a >= segment_ms * MS for a, b in pairwise(starts))
    if len(segments) > 1:
        assert table.end_ns - starts[-1] >= segment_ms * MS // 2


def test_a_short_tail_stays_with_the_piece_before_it() -> None:
    segments, reason = divide(Timetable(steady(60, 25), 0), Window(1000 * MS), lambda place: True)
    assert [(s.start_ns, s.end_ns, s.frames) for s in segments] == [
        (0, 1000 * MS, 25),
        (1000 * MS, None, 35),
    ]
    assert segments[1].begin == Place(25, 25, 1000, 0, 920)
    assert not reason


def test_leading_pictures_are_in_the_piece_before_their_key_frame() -> None:
    pts = [0, 40, 80, 120, 240, 160, 200, 280, 320, 360]
    segments, _ = divide(Timetable(video(pts, [0, 4]), 0), Window(100 * MS), lambda place: True)
    assert [segment.frames for segment in segments] == [6, 4]
    assert segments[1].begin == Place(4, 6, 240, 0, 160)


def test_hidden_packets_are_no_frames() -> None:
    shown = [i >= 10 for i in range(75)]
    table = Timetable(video([40 * i for i in range(75)], [0, 25, 50], shown), 400)
    segments, _ = divide(table, Window(500 * MS), lambda place: True)
    assert [segment.frames for segment in segments] == [15, 25, 25]
    assert segments[1].begin == Place(25, 15, 1000, 400, 920)
    assert table.frames == 65


def test_frames_before_the_first_that_can_be_decoded_have_no_numbers() -> None:
    table = Timetable(video([40 * i for i in range(75)], [10, 35, 60]), 400, first=2)
    segments, _ = divide(table, Window(500 * MS), lambda place: True)
    assert table.frames == 65
    # The source counted two that it could not decode.
    assert [s.begin.index for s in segments if s.begin] == [27, 52]


@given(st.integers(1, 500), st.sampled_from([5.0, 25.0, 29.97]), windows)
def test_what_is_steady_is_cut_anywhere(frames: int, fps: float, window: Window) -> None:
    segments = divide_steady(frames, fps, window)
    times = [round(i * 1e9 / fps) for i in range(frames)]
    wanted = [time for time in times if window.start_ns <= time < (window.end_ns or 10**18)]
    inside = [[t for t in wanted if s.start_ns <= t < (s.end_ns or 10**18)] for s in segments]
    assert [time for part in inside for time in part] == wanted
    assert [segment.frames for segment in segments] == [len(part) for part in inside]
    assert all(segment.frames for segment in segments)
    assert all(s.end_ns - s.start_ns >= window.segment_ns for s in segments[1:-1])


MISFITS = {
    "no time stamps": (video([NO_TIME] * 90, [0, 30, 60]), "no time stamps"),
    "one is missing": (video([*range(0, 800, 40), NO_TIME, *range(840, 3200, 40)], [0, 30]), "no"),
    "twice the same": (video([*range(0, 2000, 40), *range(1960, 4000, 40)], [0, 30]), "the same"),
    "begins anew": (video([*range(0, 2000, 40), *range(1, 2000, 40)], [0, 50]), "begin anew"),
    "one key frame": (steady(100, 1000), "no key frame where it could be cut"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_cannot_be_cut_is_one_piece_and_says_why(name: str) -> None:
    packets, says = MISFITS[name]
    origin = None if packets.pts[0] == NO_TIME else int(packets.pts[0])
    segments, reason = divide(Timetable(packets, origin), Window(500 * MS), lambda place: True)
    assert len(segments) == 1
    assert segments[0].frames == len(packets.pts)
    assert says in reason


def test_nothing_is_cut_where_decoding_cannot_begin() -> None:
    tried: list[Place] = []

    def refuse(place: Place) -> bool:
        tried.append(place)
        return False

    segments, reason = divide(Timetable(steady(1000, 10), 0), Window(500 * MS), refuse)
    assert len(segments) == 1
    assert reason == "decoding cannot begin at its key frames"
    assert len(tried) == 3
