"""What is known of a video before it is looked at, and pieces of it that are the whole."""

from __future__ import annotations

import hashlib
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.batch import probe as probing
from pipeline.batch.clip import Clip, Segment
from pipeline.batch.inputs import Input
from pipeline.batch.opening import source_options
from pipeline.batch.probe import probe
from pipeline.config import BatchRunConfig
from pipeline.media.sources import open_source
from tests.media.test_sources import serving

MS = 1_000_000
FRAMES = 90
TIMES = [40 * i for i in range(FRAMES)]
STEADY = {"x264-params": "scenecut=0"}
OPEN_GOP = {"x264-params": "scenecut=0:open-gop=1:bframes=3:b-adapt=0"}
FAST = {"movflags": "faststart"}
X265 = {"x265-params": "log-level=none:open-gop=1:scenecut=0"}


def probed(uri: Path | str, **options) -> Clip:
    return probe(Input(str(uri), "clip"), BatchRunConfig(**{"segment_s": 1.0} | options))


def frames(clip: Clip, segment: Segment, options: BatchRunConfig) -> list[tuple[object, ...]]:
    source = open_source(clip.uri, source_options(options, segment))
    source.open()
    try:
        return [(f.index, f.pts_ns, f.damaged, f.picture.bgr().tobytes()) for f in source.frames()]
    finally:
        source.close()


def test_a_video(make_clip) -> None:
    path = make_clip("a.mp4", pts=TIMES, gop=25, rotation=90, options=STEADY)
    clip = probed(path)
    assert (clip.name, clip.uri, clip.error, clip.notes) == ("clip", str(path), "", ())
    assert (clip.codec, clip.width, clip.height, clip.fps) == ("h264", 120, 160, 25.0)
    assert (clip.frames, clip.duration_ns) == (90, 3600 * MS)
    assert clip.size == path.stat().st_size
    assert clip.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [(s.start_ns, s.end_ns, s.frames) for s in clip.segments] == [
        (0, 1000 * MS, 25),
        (1000 * MS, 2000 * MS, 25),
        (2000 * MS, 3000 * MS, 25),
        (3000 * MS, None, 15),
    ]


CLIPS = {
    "closed.mp4": {"options": STEADY},
    "open.mp4": {"options": OPEN_GOP},
    "open.ts": {"options": OPEN_GOP},
    "h265.mkv": {"codec": "libx265", "options": X265},
    "h265.ts": {"codec": "libx265", "options": X265},
    "mpeg4.avi": {"codec": "mpeg4"},
    "h264.avi": {"options": STEADY | {"bf": "0"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "refresh.ts": {"options": {"x264-params": "intra-refresh=1:scenecut=0"}},
    "late.mkv": {"pts": [5000 + time for time in TIMES], "options": STEADY},
    "variable.mkv": {"pts": [time + (time * time) % 37 for time in TIMES], "options": STEADY},
    # Transport streams count to 2³³ in 1/90000 s; here the middle is 0 again.
    "wrap.ts": {"pts": [95_443_718 - 1800 + time for time in TIMES], "options": OPEN_GOP},
}
WINDOWS = [{}, {"key_frames": True}, {"start_s": 1.3, "end_s": 2.9, "segment_s": 0.5}]


@pytest.mark.parametrize("name", CLIPS)
def test_pieces_are_the_whole(make_clip, name: str) -> None:
    path = make_clip(name, **{"pts": TIMES, "gop": 20, "grain": True} | CLIPS[name])
    for window in WINDOWS:
        options = BatchRunConfig(**{"segment_s": 1.0} | window)
        clip = probe(Input(str(path), "clip"), options)
        first, last = clip.segments[0], clip.segments[-1]
        whole = frames(clip, Segment(0, first.start_ns, last.end_ns), options)
        pieces = [frames(clip, segment, options) for segment in clip.segments]
        assert [frame for piece in pieces for frame in piece] == whole
        assert len(clip.segments) > 1 or "intra-refresh" in str(CLIPS[name])
        if name != "refresh.ts":
            assert [segment.frames for segment in clip.segments] == [len(p) for p in pieces]


def test_pieces_of_a_damaged_video_are_the_whole(make_clip) -> None:
    """But for what the decoder makes up, which depends on what it saw before."""
    path = make_clip("a.mp4", pts=TIMES, gop=10, grain=True, container_options=FAST, options=STEADY)
    data = path.read_bytes()
    start, stop = len(data) // 2, len(data) * 7 // 10
    path.write_bytes(data[:start] + bytes(stop - start) + data[stop:])
    clip, options = probed(path, segment_s=0.5), BatchRunConfig()
    whole = frames(clip, Segment(0, 0, None), options)
    pieces = [frame for segment in clip.segments for frame in frames(clip, segment, options)]
    assert any(damaged for _, _, damaged, _ in whole)
    assert len(clip.segments) > 2
    assert len(whole) < FRAMES
    assert [frame[:3] for frame in pieces] == [frame[:3] for frame in whole]
    assert [f for f in pieces if not f[2]] == [f for f in whole if not f[2]]


def test_key_frames_are_those_of_the_whole(make_clip) -> None:
    for name in ("open.mp4", "h265.ts", "b.avi"):
        path = make_clip(
            name, **{"pts": TIMES, "gop": 20, "options": OPEN_GOP} | CLIPS.get(name, {})
        )
        clip = probed(path, segment_s=60.0)
        whole = frames(clip, Segment(0, 0, None), BatchRunConfig())
        keys = frames(clip, Segment(0, 0, None), BatchRunConfig(key_frames=True))
        assert 4 <= len(keys) <= 9
        assert [frame for frame in whole if frame in keys] == keys


@pytest.mark.skipif(sys.platform != "linux", reason="counts what is read as Linux does")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_later_piece_is_read_without_what_is_before_it(make_clip, name: str) -> None:
    def read() -> int:
        return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])

    # Noise, so that the file is larger than what is read of any to know it.
    how = {
        "codec": "mpeg4",
        "options": {"b": "80000000", "qmin": "1"},
        "size": (480, 360),
        "grain": True,
    }
    clip = probed(make_clip(name, pts=TIMES, gop=10, **how))
    assert clip.size > 4_000_000
    before = read()
    source = open_source(clip.uri, source_options(BatchRunConfig(), clip.segments[-1]))
    source.open()
    taken = read() - before
    source.close()
    assert taken < clip.size / 2


def text(path: Path) -> None:
    path.write_text("hello " * 1000)


def nothing(path: Path) -> None:
    path.write_bytes(b"")


def sound(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def no_frames(path: Path) -> None:
    options = {"movflags": "empty_moov+frag_keyframe"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        container.start_encoding()


UNREADABLE = {
    "text": (text, "cannot be opened|this is text"),
    "nothing": (nothing, "the file is empty"),
    "sound": (sound, "only audio; give a video file"),
    "no frames": (no_frames, "no frame could be decoded"),
    "pipe": (os.mkfifo, "this is no file"),
    "gone": (lambda path: None, "No such file"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_a_clip_with_an_error(tmp_path, kind: str) -> None:
    make, says = UNREADABLE[kind]
    path = tmp_path / "a.mp4"
    make(path)
    clip = probed(path)
    assert re.search(says, clip.error)
    assert str(path) in clip.error
    assert not clip.segments


def test_an_input_with_an_error_stays_one() -> None:
    clip = probe(Input("a.mp4", "a", "a.mp4: gone"), BatchRunConfig())
    assert (clip.name, clip.uri, clip.error, clip.segments) == ("a", "a.mp4", "a.mp4: gone", ())


def test_a_file_that_grows_is_not_taken(make_clip, monkeypatch) -> None:
    path = make_clip("growing.mkv", pts=TIMES)
    read = probing.list_packets

    def while_it_grows(address):
        with path.open("ab") as file:
            file.write(b"more")
        return read(address)

    monkeypatch.setattr(probing, "list_packets", while_it_grows)
    assert "changes while it is read" in probed(path).error


def test_what_nobody_thought_of_is_an_error_of_the_clip(make_clip, monkeypatch) -> None:
    def fails(address):
        raise RuntimeError("a library's own")

    path = make_clip("a.mp4", pts=TIMES)
    monkeypatch.setattr(probing, "list_packets", fails)
    assert probed(path).error == (
        f"{path}: cannot be probed: RuntimeError: a library's own; convert it"
    )


def test_a_time_without_frames_is_an_error(make_clip) -> None:
    clip = probed(make_clip("a.mp4", pts=TIMES), start_s=60.0)
    assert "no frame in the time that is wanted; its last one is at 3.560 s" in clip.error


def test_a_file_that_was_cut_off_says_so(make_clip, tmp_path) -> None:
    whole = make_clip("a.mp4", pts=TIMES, grain=True, container_options=FAST)
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    clip = probed(path)
    assert 0 < clip.frames < FRAMES
    assert clip.notes == (f"truncated: its header says 90 frames, there are {clip.frames}",)


def test_a_long_video_in_one_piece_says_why(make_clip) -> None:
    clip = probed(make_clip("a.mp4", pts=TIMES, gop=1000, options=STEADY))
    assert len(clip.segments) == 1
    assert clip.notes == ("looked at in one piece: it has no key frame where it could be cut",)
    assert not probed(clip.uri, segment_s=60.0).notes


def test_a_folder_of_images(tmp_path) -> None:
    for number in (10, 9):
        assert cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((20, 30, 3), np.uint8))
    clip = probed(f"dir:{tmp_path}")
    assert (clip.width, clip.height, clip.frames, len(clip.segments)) == (30, 20, 2, 1)
    sums = [
        f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("9.png", "10.png")
    ]
    assert clip.sha256 == hashlib.sha256("".join(sums).encode()).hexdigest()


def test_a_rendered_street_is_cut_anywhere() -> None:
    options = BatchRunConfig(segment_s=1.0, start_s=0.5)
    clip = probed("rendered:day?seconds=3&size=128x72&fps=10", start_s=0.5)
    assert (clip.width, clip.frames, clip.sha256, clip.error) == (128, 30, "", "")
    assert [segment.frames for segment in clip.segments] == [10, 15]
    pieces = [frame for segment in clip.segments for frame in frames(clip, segment, options)]
    assert pieces == frames(clip, Segment(0, 500 * MS, None), options)
    assert len(pieces) == 25


def test_what_has_no_end_is_refused() -> None:
    assert "it has no end; write one" in probed("rendered:day").error
    assert probed("rendered:day?size=128x72", end_s=1.0).segments[0].frames == 25
    assert (
        "no frame in the time that is wanted" in probed("rendered:day?seconds=1", start_s=2).error
    )


@pytest.mark.slow
def test_a_huge_file_in_a_small_memory(make_clip) -> None:
    path = make_clip("a.mp4", pts=TIMES, gop=25)
    os.truncate(path, 3 << 30)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipeline.batch.inputs import Input\n"
        "from pipeline.batch.probe import probe\n"
        "from pipeline.config import BatchRunConfig\n"
        "clip = probe(Input(sys.argv[1], 'a'), BatchRunConfig(segment_s=1.0))\n"
        "print(clip.frames, len(clip.segments), clip.error)\n"
        # Not getrusage, which counts what the forked test process had.
        "status = Path('/proc/self/status').read_text()\n"
        "print(next(line for line in status.splitlines() if line.startswith('VmHWM')).split()[1])\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)),
    )
    counted, peak_kib = found.stdout.splitlines()
    assert counted.split()[0] == "90"
    assert int(peak_kib) < 300_000


def test_a_file_on_a_server_is_one_piece(make_clip) -> None:
    path = make_clip("a.mp4", pts=TIMES, gop=25, container_options=FAST)
    with serving(path.parent) as host:
        clip = probed(f"http://{host}/a.mp4")
    assert (clip.frames, clip.duration_ns, clip.sha256, clip.error) == (90, 3600 * MS, "", "")
    assert clip.segments == (Segment(0, 0, None, 90),)
    assert clip.notes == ("looked at in one piece: it is on a server",)
