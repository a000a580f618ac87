"""Files as recorders leave them: cut off, begun in the middle, mended by other tools, wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from pipeline.errors import SourceError
from tests.media.test_avsource import play

MS = 1_000_000
FRAMES = 75
STEADY = {"x264-params": "scenecut=0"}


@pytest.fixture
def film(make_clip) -> Callable[..., Path]:
    """75 frames with a key frame each second."""

    def make(name: str, **how) -> Path:
        times = [40 * i for i in range(FRAMES)]
        return make_clip(name, **{"pts": times, "gop": 25, "grain": True, "options": STEADY} | how)

    return make


def remuxed(path: Path, name: str, keep, shift_s: float = 0.0, **options: str) -> Path:
    """A copy with those packets for which `keep(number, packet)`, shown later by so much."""
    target = path.with_name(name)
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and keep(number, packet):
                if shift := round(shift_s / packet.time_base):
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = stream
                copy.mux(packet)
    return target


def test_frames_behind_a_damaged_part_have_their_numbers(film, tmp_path) -> None:
    whole = film("whole.mp4", container_options={"movflags": "faststart"})
    data = whole.read_bytes()
    start, stop = len(data) // 2, len(data) * 6 // 10
    path = tmp_path / "hole.mp4"
    path.write_bytes(data[:start] + bytes(stop - start) + data[stop:])
    _, clean, _ = play(whole)
    _, frames, faults = play(path)
    assert faults["decode_error"] > 2
    assert len(frames) < FRAMES
    assert frames[-1].index == FRAMES - 1
    assert [f.index for f in frames] == [f.pts_ns // (40 * MS) for f in frames]
    for frame in frames:
        if not frame.damaged:
            assert np.array_equal(frame.picture.bgr(), clean[frame.index].picture.bgr())


@pytest.mark.parametrize("name", ["a.ts", "a.mp4"])
def test_without_key_frames_there_is_nothing(film, name) -> None:
    path = remuxed(film(name), f"stripped-{name}", lambda number, packet: not packet.is_keyframe)
    with pytest.raises(SourceError, match=r"none of \d+ is a key frame"):
        play(path)


def test_what_a_decoder_makes_of_no_key_frame_is_damaged(film) -> None:
    path = film("a.avi", codec="mpeg4", options={"sc_threshold": "1000000000"})
    path = remuxed(path, "stripped.avi", lambda number, packet: 0 < number < 50)
    _, frames, _ = play(path)
    # The second key frame was the 26th.
    assert {frame.damaged for frame in frames[:24]} == {"before_key_frame"}
    assert {frame.damaged for frame in frames[24:]} == {""}


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4"])
def test_a_file_that_begins_between_key_frames(film, name) -> None:
    path = remuxed(film(name), f"late-{name}", lambda number, packet: number >= 10)
    _, frames, faults = play(path)
    assert [frame.pts_ns for frame in frames] == [40 * MS * i for i in range(50)]
    assert not faults
    assert not any(frame.damaged for frame in frames)
    _, keys, _ = play(path, key_frames=True)
    assert [(f.index, f.pts_ns) for f in keys] == [(0, 0), (25, 1000 * MS)]
    _, part, _ = play(path, start_s=1.2)
    assert [(f.index, f.pts_ns) for f in part] == [(f.index, f.pts_ns) for f in frames[30:]]


@pytest.mark.parametrize("start_s", [0.5, 2.5])
def test_a_part_of_a_file_that_is_refreshed_without_key_frames(film, start_s) -> None:
    path = film("a.ts", options={"x264-params": "intra-refresh=1:scenecut=0"})
    _, whole, _ = play(path)
    _, part, _ = play(path, start_s=start_s)
    expected = [frame for frame in whole if frame.pts_ns >= start_s * 1e9]
    assert [(f.index, f.pts_ns, f.damaged) for f in part] == [
        (f.index, f.pts_ns, f.damaged) for f in expected
    ]
    assert np.array_equal(part[0].picture.bgr(), expected[0].picture.bgr())


def test_no_frames_at_all(tmp_path) -> None:
    path = tmp_path / "a.mp4"
    options = {"movflags": "empty_moov+frag_keyframe"}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        container.start_encoding()
    with pytest.raises(SourceError, match=r"a\.mp4: no frame could be decoded \(there is none\)"):
        play(path)


@pytest.mark.parametrize(
    "matrix",
    [
        [0] * 9,
        [0x7FFFFFFF] * 9,
        [-(1 << 31)] * 9,
        [46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30],
    ],
    ids=["zero", "large", "small", "45 degrees"],
)
def test_a_rotation_that_is_none_does_no_harm(film, matrix) -> None:
    path = film("a.mp4")
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44  # ISO/IEC 14496-12, 8.3.2, version 0
    assert struct.unpack_from(">9i", data, at) == (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, at, *matrix)
    path.write_bytes(data)
    info, frames, faults = play(path)
    assert {(info.width, info.height)} == {(f.picture.width, f.picture.height) for f in frames}
    assert len(frames) == FRAMES
    assert not faults


def test_a_new_size_in_a_transport_stream(film, tmp_path) -> None:
    later = [40 * i for i in range(FRAMES, 2 * FRAMES)]
    parts = film("a.ts"), film("b.ts", size=(96, 64), pts=later)
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    _, frames, faults = play(path)
    sizes = [(frame.picture.width, frame.picture.height) for frame in frames]
    assert sizes == [(160, 120)] * FRAMES + [(96, 64)] * FRAMES
    assert faults["size_changed"] == 1


def test_a_recording_that_was_not_ended(film, tmp_path) -> None:
    data = film("whole.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: data.rindex(b"moov") - 4])
    with pytest.raises(SourceError, match=r"cut\.mp4: its index \(moov\) is missing") as caught:
        play(path)
    assert "recover it" in str(caught.value)


def test_a_matroska_file_that_is_still_written(film) -> None:
    whole = film("a.mkv", options=STEADY | {"bf": "0"})
    path = remuxed(whole, "live.mkv", lambda number, packet: True, live="1")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1000)
    _, frames, faults = play(path)
    assert FRAMES - 5 <= len(frames) < FRAMES
    assert [frame.pts_ns for frame in frames] == [40 * MS * i for i in range(len(frames))]
    assert set(faults) <= {"read_error"}


def test_time_stamps_that_begin_at_zero_again(film) -> None:
    """A transport stream counts 33 bits of 1/90000 s: 26 and a half hours."""
    begin = (1 << 33) // 90 - 1000
    path = film("a.ts", pts=[begin + 40 * i for i in range(FRAMES)])
    with av.open(str(path)) as container:
        stamps = [p.pts % (1 << 33) for p in container.demux(video=0) if p.size]
    assert min(stamps) < 90_000 < (1 << 33) - 90_000 < max(stamps)
    _, frames, faults = play(path)
    assert [f.pts_ns / MS for f in frames] == pytest.approx([40 * i for i in range(FRAMES)], abs=1)
    assert not faults
    _, part, _ = play(path, start_s=1.5)
    assert [(f.index, f.pts_ns) for f in part] == [
        (f.index, f.pts_ns) for f in frames if f.pts_ns >= 1500 * MS
    ]


@pytest.mark.parametrize("shift_s", [-0.4, 1.2])
def test_an_edit_list(film, shift_s) -> None:
    how = {"use_editlist": "1", "avoid_negative_ts": "disabled"}
    path = remuxed(film("a.mp4"), "edited.mp4", lambda number, packet: True, shift_s, **how)
    _, frames, faults = play(path)
    # What is before 0 is only there to decode the others.
    assert len(frames) == (FRAMES - 10 if shift_s < 0 else FRAMES)
    assert [frame.pts_ns for frame in frames] == [40 * MS * i for i in range(len(frames))]
    assert not faults
    _, part, _ = play(path, start_s=1.0)
    assert [(f.index, f.pts_ns) for f in part] == [(f.index, f.pts_ns) for f in frames[25:]]


def _say(container: av.container.OutputContainer, stream: av.AudioStream, second: int) -> None:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
    frame.sample_rate, frame.pts = 8000, second * 8000
    container.mux(stream.encode(frame))


def _show(container: av.container.OutputContainer, stream: av.VideoStream, pts: int) -> None:
    image = np.full((stream.height, stream.width, 3), pts, np.uint8)
    frame = av.VideoFrame.from_ndarray(image, format="bgr24")
    frame.pts, frame.time_base = pts, Fraction(1, 25)
    container.mux(stream.encode(frame))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_sound_that_begins_first_does_not_count(tmp_path, name) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for second in range(4):
            _say(container, sound, second)
        for pts in range(50, 70):
            _show(container, video, pts)
        for stream in (sound, video):
            container.mux(stream.encode(None))
    info, frames, faults = play(tmp_path / name)
    assert info.codec == "h264"
    assert [(f.index, f.pts_ns) for f in frames] == [(i, 40 * MS * i) for i in range(20)]
    assert not faults


def test_of_several_videos_the_first_is_taken(tmp_path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        streams = []
        for size in ((64, 48), (320, 240)):
            stream = container.add_stream("libx264", rate=25)
            (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
            streams.append(stream)
        for pts in range(10):
            for stream in streams:
                _show(container, stream, pts)
        for stream in streams:
            container.mux(stream.encode(None))
    info, frames, _ = play(path)
    assert (info.width, len(frames)) == (64, 10)


def test_a_cover_picture_is_no_video(tmp_path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        _say(container, sound, 0)
        _show(container, cover, 0)
        for stream in (sound, cover):
            container.mux(stream.encode(None))
    with pytest.raises(
        SourceError, match=r"no video in this .*, only a cover picture, audio; give"
    ):
        play(path)
