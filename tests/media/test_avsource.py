"""Video files as they come, and as they come broken."""

import gc
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.media.source import SourceFrame, SourceInfo
from pipeline.media.sources import SourceOptions, open_source

MS = 1_000_000


def play(path: Path | str, **options) -> tuple[SourceInfo, list[SourceFrame], dict[str, int]]:
    source = open_source(str(path), SourceOptions(**options))
    info = source.open()
    try:
        frames = list(source.frames())
        return info, frames, dict(source.faults)
    finally:
        source.close()
        source.close()


def corner(frame: SourceFrame, where: str) -> list[int]:
    """Mean colour of a corner of the picture."""
    bgr = frame.picture.bgr()
    rows = slice(2, 10) if "top" in where else slice(-10, -2)
    columns = slice(2, 10) if "left" in where else slice(-10, -2)
    return bgr[rows, columns].mean((0, 1)).round().astype(int).tolist()


def is_red(bgr: list[int]) -> bool:
    return bgr[2] > 170 and max(bgr[:2]) < 60


def is_blue(bgr: list[int]) -> bool:
    return bgr[0] > 170 and max(bgr[1:]) < 60


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "ts", "mov", "h264"])
def test_containers(make_clip, container) -> None:
    info, frames, faults = play(make_clip(f"clip.{container}"))
    assert (info.width, info.height, info.codec, info.live) == (160, 120, "h264", False)
    assert [f.index for f in frames] == list(range(30))
    assert [f.pts_ns for f in frames] == [40 * MS * i for i in range(30)]
    assert is_red(corner(frames[7], "top left"))
    assert is_blue(corner(frames[7], "bottom right"))
    assert not any(f.damaged for f in frames)
    # A bare stream has no time stamps; every other container is clean.
    assert faults == ({"pts_missing": 30} if container == "h264" else {})


FORMATS = [
    ("libx264", "yuv420p", "mp4", (160, 120)),
    ("libx264", "yuv422p", "mp4", (160, 120)),
    ("libx264", "yuv444p", "mp4", (161, 121)),
    ("libx264", "yuv420p10le", "mp4", (160, 120)),
    ("libx264", "yuv444p10le", "mkv", (161, 121)),
    ("mjpeg", "yuvj420p", "avi", (161, 121)),
    ("mjpeg", "yuvj422p", "avi", (160, 120)),
    ("ffv1", "bgra", "mkv", (161, 121)),
    ("ffv1", "yuv411p", "mkv", (160, 120)),
    ("rawvideo", "nv12", "mkv", (160, 120)),
    ("rawvideo", "yuyv422", "avi", (160, 120)),
    ("rawvideo", "bgr24", "avi", (162, 121)),
    ("png", "rgb24", "mov", (161, 121)),
    ("libx265", "yuv420p10le", "mp4", (160, 120)),
]


@pytest.mark.parametrize(("codec", "pix_fmt", "container", "size"), FORMATS)
def test_pixel_formats_show_the_same_picture(
    make_clip, scene, codec, pix_fmt, container, size
) -> None:
    # With B-frames x265 gives the first of two pictures a decoding time out of thin air.
    options = {"x265-params": "log-level=none:bframes=0"} if codec == "libx265" else {}
    path = make_clip(
        f"clip.{container}", codec=codec, pix_fmt=pix_fmt, size=size, pts=[0, 40], options=options
    )
    info, frames, faults = play(path)
    assert (info.width, info.height) == size
    assert not faults
    exact = frames[1].picture.bgr().astype(int)
    inner = np.abs(exact - scene(1, *size))
    assert inner.mean() < 6
    small = frames[1].picture.resized_bgr(80, 60).astype(int)
    assert is_red(small[3:12, 3:12].mean((0, 1)).tolist())


def test_grey_video(make_clip) -> None:
    _, frames, _ = play(make_clip("clip.mkv", codec="ffv1", pix_fmt="gray", pts=[0]))
    bgr = frames[0].picture.bgr()
    assert np.array_equal(bgr[..., 0], bgr[..., 2])
    # The ramp of the scene, at a row without coloured corners.
    assert bgr[50, [0, 80, 159], 0].astype(int) == pytest.approx([40, 120, 200], abs=4)


@pytest.mark.parametrize(
    "color", [(1, 1), (1, 2), (5, 1), (5, 2)], ids=["709", "709 full", "601", "601 full"]
)
def test_matrix_and_range_of_the_stream_are_honoured(make_clip, color) -> None:
    _, frames, _ = play(make_clip("clip.mp4", color=color, pts=[0], options={"crf": "5"}))
    red, blue = corner(frames[0], "top left"), corner(frames[0], "bottom right")
    assert red == pytest.approx([0, 0, 220], abs=8)
    assert blue == pytest.approx([220, 0, 0], abs=8)


@pytest.mark.parametrize(
    ("rotation", "hflip", "red_at"),
    [
        (0, False, "top left"),
        (90, False, "bottom left"),
        (180, False, "bottom right"),
        (-90, False, "top right"),
        (0, True, "top right"),
    ],
)
def test_rotation_is_honoured(make_clip, rotation, hflip, red_at) -> None:
    info, frames, _ = play(make_clip("clip.mp4", rotation=rotation, hflip=hflip, pts=[0, 40, 80]))
    turned = rotation in (90, -90)
    assert (info.width, info.height) == ((120, 160) if turned else (160, 120))
    for frame in frames:
        assert (frame.picture.width, frame.picture.height) == (info.width, info.height)
        assert frame.picture.bgr().shape == (info.height, info.width, 3)
        assert is_red(corner(frame, red_at))


def test_variable_frame_rate_is_kept(make_clip) -> None:
    times = [0, 40, 55, 300, 1300, 1317]
    _, frames, faults = play(make_clip("clip.mkv", pts=times))
    assert [f.pts_ns for f in frames] == [t * MS for t in times]
    assert not faults


def test_time_counts_from_the_first_frame(make_clip) -> None:
    _, frames, _ = play(make_clip("clip.mkv", pts=[5000, 5040, 5080]))
    assert [f.pts_ns for f in frames] == [0, 40 * MS, 80 * MS]


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "ts"])
@pytest.mark.parametrize(("start_s", "end_s"), [(0.5, None), (0.61, 1.0), (0.0, 0.2), (0.48, 0.49)])
def test_a_part_has_the_numbers_and_pictures_of_the_whole(
    make_clip, container, start_s, end_s
) -> None:
    path = make_clip(f"clip.{container}")
    _, whole, _ = play(path)
    _, part, faults = play(path, start_s=start_s, end_s=end_s)
    end_ns = 10**12 if end_s is None else end_s * 1e9
    expected = [f for f in whole if start_s * 1e9 <= f.pts_ns < end_ns]
    assert [(f.index, f.pts_ns) for f in part] == [(f.index, f.pts_ns) for f in expected]
    for mine, theirs in zip(part, expected, strict=True):
        assert np.array_equal(mine.picture.bgr(), theirs.picture.bgr())
    assert not faults


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.h264"])
def test_key_frames_have_the_numbers_and_pictures_of_the_whole(make_clip, name) -> None:
    path = make_clip(name, gop=10, options={"bf": "2", "x264-params": "scenecut=0"})
    _, whole, _ = play(path)
    _, keys, _ = play(path, key_frames=True)
    assert [(f.index, f.pts_ns) for f in keys] == [(i, i * 40 * MS) for i in (0, 10, 20)]
    for frame in keys:
        assert np.array_equal(frame.picture.bgr(), whole[frame.index].picture.bgr())
    _, part, _ = play(path, key_frames=True, start_s=0.3, end_s=0.8)
    assert [f.index for f in part] == [10]


def test_decoder_threads_change_nothing(make_clip) -> None:
    path = make_clip("clip.mp4")
    (_, one, _), (_, two, _) = play(path), play(path, threads=2)
    assert [f.pts_ns for f in one] == [f.pts_ns for f in two]
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.picture.bgr(), b.picture.bgr())


def test_a_new_size_in_the_middle(make_clip, tmp_path) -> None:
    first = make_clip("a.h264", size=(160, 120)).read_bytes()
    second = make_clip("b.h264", size=(96, 64)).read_bytes()
    path = tmp_path / "both.h264"
    path.write_bytes(first + second)
    _, frames, faults = play(path)
    sizes = [(f.picture.width, f.picture.height) for f in frames]
    assert sizes == [(160, 120)] * 30 + [(96, 64)] * 30
    assert faults["size_changed"] == 1
    assert frames[-1].picture.bgr().shape == (64, 96, 3)


def cut_off(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10]


def zeroed(data: bytes) -> bytes:
    start, stop = len(data) * 6 // 10, len(data) * 7 // 10
    return data[:start] + bytes(stop - start) + data[stop:]


def flipped(data: bytes) -> bytes:
    start, stop = len(data) * 6 // 10, len(data) * 9 // 10
    bad = bytes(byte ^ 0xFF if i % 97 == 0 else byte for i, byte in enumerate(data[start:stop]))
    return data[:start] + bad + data[stop:]


@pytest.mark.parametrize("harm", [cut_off, zeroed, flipped])
@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "ts"])
def test_a_broken_file_ends_with_what_could_be_decoded(
    make_clip, tmp_path, container, harm
) -> None:
    options = {"movflags": "faststart"} if container == "mp4" else None
    whole = make_clip(f"whole.{container}", grain=True, container_options=options)
    path = tmp_path / f"broken.{container}"
    path.write_bytes(harm(whole.read_bytes()))
    _, clean, _ = play(whole)
    _, frames, faults = play(path)
    assert 10 <= len(frames) <= len(clean)
    assert all(later.pts_ns > earlier.pts_ns for earlier, later in pairwise(frames))
    # A transport stream that was cut off looks like one that ended.
    if (container, harm) != ("ts", cut_off):
        assert faults
    assert set(faults) <= {
        *("decode_error", "corrupt_packet", "corrupt_frame", "read_error", "truncated"),
        *("pts_missing", "pts_repeated", "pts_restarted", "size_changed", "late"),
    }
    # What is not marked as damaged is what was recorded.
    by_time = {f.pts_ns: f for f in clean}
    for frame in frames[:8]:
        assert not frame.damaged
        assert np.array_equal(frame.picture.bgr(), by_time[frame.pts_ns].picture.bgr())


def test_suspicion_ends_at_the_next_clean_key_frame(make_clip, tmp_path) -> None:
    whole = make_clip(
        "whole.mkv", gop=10, options={"crf": "10", "bf": "0", "x264-params": "scenecut=0"}
    )
    with av.open(str(whole)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        assert [i for i, p in enumerate(packets) if p.is_keyframe] == [0, 10, 20]
        lost = bytes(packets[12])
    data = whole.read_bytes()
    assert data.count(lost) == 1
    path = tmp_path / "lost.mkv"
    path.write_bytes(data.replace(lost, bytes(len(lost))))
    _, frames, faults = play(path)
    damaged = {f.pts_ns // (40 * MS) for f in frames if f.damaged}
    assert {13, 14, 15, 16, 17, 18, 19} <= damaged
    assert damaged <= set(range(12, 20))
    assert faults


def frames_alive() -> list[av.VideoFrame]:
    return [each for each in gc.get_objects() if issubclass(type(each), av.VideoFrame)]


def test_memory_does_not_grow_with_the_film(make_clip) -> None:
    """The decoder's memory goes with the picture, without help of the garbage collector."""
    source = open_source(str(make_clip("clip.mp4", pts=list(range(0, 2000, 40)))))
    gc.collect()
    gc.freeze()  # what other tests left is neither counted nor looked through
    source.open()
    gc.disable()
    try:
        alive = [len(frames_alive()) for _ in source.frames()]
    finally:
        gc.enable()
        gc.unfreeze()
        source.close()
    assert len(alive) == 50
    assert 0 < max(alive) <= 4


def test_a_closed_source_leaves_no_picture_behind(make_clip) -> None:
    """Nor does it wait for the garbage collector: a lost camera is opened again and again."""
    clip = make_clip("clip.mp4", codec="libx264")  # whose first picture carries side data
    gc.collect()
    others = frames_alive()  # of tests before this one, whose memory is not to be touched
    gc.disable()
    try:
        for _ in range(3):
            assert len(play(clip)[1]) > 1
        known = {id(frame) for frame in others}
        left = [frame for frame in frames_alive() if id(frame) not in known]
        held = sum(plane.buffer_size for frame in left for plane in frame.planes)
        assert held < 3 * 1024  # less than a picture
    finally:
        gc.enable()


UNREADABLE = {
    "missing": (None, "there is no such file"),
    "empty": (b"", "the file is empty"),
    "text": (b"hello world\n" * 200, "cannot be opened|this is text"),
    "noise": (bytes(range(256)) * 40, "cannot be opened"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.avi"])
def test_what_is_not_a_video_is_refused_by_name(tmp_path, kind, name) -> None:
    data, says = UNREADABLE[kind]
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SourceError, match=says) as caught:
        play(path)
    assert str(path) in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_header_without_pictures_is_refused(make_clip, tmp_path) -> None:
    data = make_clip("whole.mp4", container_options={"movflags": "faststart"}).read_bytes()
    path = tmp_path / "head.mp4"
    path.write_bytes(data[: data.index(b"mdat") + 4])
    with pytest.raises(
        SourceError, match=r"head\.mp4: (no frame could be decoded|cannot be opened)"
    ):
        play(path)


def test_sound_alone_is_refused(tmp_path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(
        SourceError, match=r"no video in this .* file, only audio; give a video file"
    ):
        play(path)


def test_a_start_behind_the_end_is_said(make_clip) -> None:
    with pytest.raises(SourceError, match="no frame could be decoded from 60 s on"):
        play(make_clip("clip.mp4"), start_s=60.0)


def test_closing_ends_frames_that_somebody_still_holds(make_clip) -> None:
    source = open_source(str(make_clip("clip.mp4")))
    source.open()
    frames = source.frames()
    kept = next(frames).picture
    source.close()
    assert len(list(frames)) < 20
    assert is_red(kept.bgr()[2:10, 2:10].mean((0, 1)).tolist())


def test_interrupt_ends_the_frames_and_is_no_fault(make_clip) -> None:
    source = open_source(str(make_clip("clip.mp4")))
    source.open()
    frames = source.frames()
    for _ in range(5):
        next(frames)
    source.interrupt()
    assert len(list(frames)) < 20
    assert not source.faults
    source.close()


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "size", "count"),
    [
        ("TUD-Stadtmitte.mp4", (640, 480), 179),
        ("PETS09-S2L1_vtest_480x360.avi", (480, 360), 795),
        ("one-by-one-person-detection.mp4", (768, 432), 1394),
    ],
)
def test_real_videos(assets: Path, name, size, count) -> None:
    cv2 = pytest.importorskip("cv2")
    source = open_source(str(assets / "videos" / name))
    info = source.open()
    reader = cv2.VideoCapture(str(assets / "videos" / name))
    assert (info.width, info.height) == size
    interval_ns = round(1e9 / info.fps)
    total = 0
    for frame in source.frames():
        total += 1
        assert frame.pts_ns == pytest.approx(frame.index * interval_ns, abs=1000)
        if frame.index < 20:
            _, theirs = reader.read()
            ours = frame.picture.bgr().astype(int)
            # The other reader rounds down: one level in the mean, two at most for 99 %.
            assert np.abs(ours - theirs).mean() < 1.2
            assert np.percentile(np.abs(ours - theirs), 99) <= 3
    assert (total, info.frames) == (count, count)
    assert not source.faults
    source.close()
    reader.release()
