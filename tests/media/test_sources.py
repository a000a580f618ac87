"""Every kind of source from its text."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import SourceError
from pipeline.media.images import natural_key
from pipeline.media.source import SourceFrame
from pipeline.media.sources import SCHEMES, SourceOptions, is_live, open_source

MS = 1_000_000


@contextmanager
def opened(uri: str | Path, **options) -> Iterator:
    source = open_source(str(uri), SourceOptions(**options))
    try:
        yield source, source.open()
    finally:
        source.close()


def times_ms(frames: list[SourceFrame]) -> list[float]:
    return [frame.pts_ns / MS for frame in frames]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 10, 9):
        image = np.full((20, 30, 3), number * 10, np.uint8)
        assert cv2.imwrite(str(tmp_path / f"img{number}.png"), image)
    (tmp_path / "notes.txt").write_text("not an image")
    return tmp_path


def test_names_are_sorted_as_people_count() -> None:
    names = ["b1", "a10.png", "a2.png", "a02.png", "a2b.png"]
    assert sorted(names, key=lambda n: natural_key(Path(n))) == [
        *("a02.png", "a2.png", "a2b.png", "a10.png", "b1"),
    ]


@pytest.mark.parametrize("uri", ["{}", "dir:{}", "file:{}", "glob:{}/*.png"])
def test_a_folder_of_images(folder, uri) -> None:
    with opened(uri.format(folder), image_fps=12.5) as (source, info):
        frames = list(source.frames())
    assert (info.width, info.height, info.frames, info.fps, info.live) == (30, 20, 4, 12.5, False)
    assert [int(f.picture.bgr()[0, 0, 0]) for f in frames] == [10, 20, 90, 100]
    assert times_ms(frames) == [0, 80, 160, 240]


def test_a_part_of_a_folder_of_images(folder) -> None:
    with opened(folder, image_fps=10, start_s=0.05, end_s=0.3) as (source, info):
        frames = list(source.frames())
    assert info.frames == 4
    assert [(f.index, f.pts_ns // MS) for f in frames] == [(1, 100), (2, 200)]
    with pytest.raises(SourceError, match="no image from 9 s on, there are 4"):
        opened(folder, start_s=9.0).__enter__()


def test_a_part_of_the_rendered_street() -> None:
    uri = "rendered:day?seconds=2&size=128x72&fps=10"
    with opened(uri) as (source, _):
        whole = list(source.frames())
    with opened(uri, start_s=0.5, end_s=1.2) as (source, _):
        part = list(source.frames())
    assert [(f.index, f.pts_ns) for f in part] == [(f.index, f.pts_ns) for f in whole[5:12]]
    assert np.array_equal(part[0].picture.bgr(), whole[5].picture.bgr())


def test_a_broken_image_leaves_its_moment_empty(folder) -> None:
    (folder / "img2.png").write_bytes(b"\x89PNG broken")
    (folder / "img9.png").write_bytes(b"")
    with opened(folder) as (source, _):
        frames = list(source.frames())
        assert [f.index for f in frames] == [0, 3]
        assert times_ms(frames) == [0, 120]
        assert source.faults == {"unreadable_image": 2}


def test_files_of_a_pattern_play_one_after_another(make_clip, tmp_path) -> None:
    make_clip("clip10.mp4", pts=[0, 40, 80], size=(64, 48))
    make_clip("clip9.mkv", pts=[0, 40, 120])
    (tmp_path / "clip11.mp4").write_bytes(b"broken")
    with opened(f"glob:{tmp_path}/clip*.*") as (source, info):
        frames = list(source.frames())
        assert source.faults == {"unreadable_source": 1}
    assert (info.width, info.frames, info.duration_ns) == (160, None, None)
    assert times_ms(frames) == [0, 40, 120, 160, 200, 240]
    assert [f.index for f in frames] == list(range(6))
    assert [f.epoch for f in frames] == [0, 0, 0, 1, 1, 1]
    assert [f.picture.width for f in frames] == [160] * 3 + [64] * 3


def test_faults_of_all_files_add_up(make_clip, tmp_path) -> None:
    for name in ("a.mkv", "b.mkv"):
        make_clip(name, pts=[0, 40, 80])
        (tmp_path / name).with_suffix(".h264").write_bytes(make_clip("x.h264").read_bytes())
    with opened(f"glob:{tmp_path}/[ab].h264") as (source, _):
        assert len(list(source.frames())) == 60
        assert source.faults == {"pts_missing": 60}


def test_a_loop_goes_on_in_time(make_clip) -> None:
    with opened(make_clip("clip.mkv", pts=[0, 40, 80]), loop=True, start_s=0.04) as (source, _):
        frames = [frame for frame, _ in zip(source.frames(), range(7), strict=False)]
        source.interrupt()
    assert times_ms(frames) == [40, 80, 120, 160, 200, 240, 280]
    assert [f.epoch for f in frames] == [0, 0, 1, 1, 2, 2, 3]
    assert all(later.index > earlier.index for earlier, later in pairwise(frames))


def test_a_loop_whose_file_goes_away_ends(make_clip) -> None:
    path = make_clip("clip.mkv", pts=[0, 40, 80])
    with opened(path, loop=True) as (source, _):
        frames = source.frames()
        next(frames)
        path.unlink()
        with pytest.raises(SourceError, match=r"clip\.mkv: there is no such file"):
            list(frames)


def test_interrupting_a_playlist(make_clip, tmp_path) -> None:
    make_clip("a.mkv")
    make_clip("b.mkv")
    with opened(f"glob:{tmp_path}/*.mkv") as (source, _):
        frames = source.frames()
        next(frames)
        source.interrupt()
        assert len(list(frames)) < 29


def test_the_rendered_street_is_the_same_each_time() -> None:
    uri = "rendered:dusk?seed=3&seconds=0.2&size=128x96&fps=20"
    runs = []
    for _ in range(2):
        with opened(uri) as (source, info):
            runs.append(list(source.frames()))
    assert (info.width, info.height, info.frames, info.duration_ns) == (128, 96, 4, 200 * MS)
    assert times_ms(runs[0]) == [0, 50, 100, 150]
    for first, second in zip(*runs, strict=True):
        assert np.array_equal(first.picture.bgr(), second.picture.bgr())


def test_a_file_whose_name_looks_like_a_protocol(make_clip, tmp_path, monkeypatch) -> None:
    make_clip("clip.mp4").rename(tmp_path / "cam 100%25.mp4")
    monkeypatch.chdir(tmp_path)
    for uri in ("cam 100%25.mp4", "file:cam 100%25.mp4", f"file://{tmp_path}/cam%20100%2525.mp4"):
        with opened(uri) as (_, info):
            assert info.width == 160


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("rstp://10.0.0.1/a", "unknown kind of source 'rstp'; there are dir, file"),
        ("ftp://u:secret@h/a.mp4", "unknown kind of source 'ftp'"),
        ("dir:/nowhere", "/nowhere: there is no such folder"),
        ("glob:/nowhere/*.mp4", "no file matches"),
        ("rendered:noon", "unknown scene 'noon'"),
        ("rendered:day?size=640", "expected such as rendered:day"),
        ("rendered:day?colour=1", "unknown colour; there are seed, size"),
        ("rendered:day?seconds=-1", "seconds"),
        ("rendered:day?fps=nan", "fps"),
    ],
)
def test_what_cannot_be_is_said_at_once(uri, says) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_folder_without_images(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(SourceError, match=r"no image in this folder; expected \.bmp"):
        open_source(str(tmp_path))


def test_which_sources_are_live() -> None:
    assert {scheme for scheme in SCHEMES if is_live(f"{scheme}://x")} == {"rtsp", "rtsps", "webcam"}
    assert not is_live("video.mp4")
    assert is_live("/dev/null")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_on_a_server(make_clip, tmp_path) -> None:
    make_clip("clip.mkv")
    make_clip("raw.avi", codec="huffyuv", pix_fmt="yuv422p", pts=[0, 40])
    with serving(tmp_path) as host:
        with opened(f"http://{host}/clip.mkv") as (source, info):
            assert len(list(source.frames())) == 30
            assert not info.live
        with pytest.raises(SourceError, match="'huffyuv' is not accepted from the network"):
            open_source(f"http://{host}/raw.avi").open()
        with pytest.raises(
            SourceError, match=r"http://\*\*\*@.*: cannot be opened: .*404"
        ) as caught:
            open_source(f"http://me:hush@{host}/none.mp4").open()
    assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"


@pytest.fixture
def bait(make_clip, tmp_path) -> Path:
    """A video at this machine that nothing on a server may make us open."""
    folder = tmp_path / "private"
    folder.mkdir()
    return make_clip("bait.ts", pts=[0, 40, 80]).rename(folder / "bait.ts")


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
#: Each is opened by FFmpeg where all protocols and names are allowed.
LURES = {
    "list.m3u8": PLAYLIST.format("file://{path}"),
    "parts.ffconcat": "ffconcat version 1.0\nfile 'file:{path}'\n",
    "session.sdp": "v=0\nm=video 5004 RTP/AVP 96\nc=IN IP4 127.0.0.1\na=rtpmap:96 H264/90000\n",
}


@pytest.mark.parametrize("name", LURES)
def test_what_a_server_sends_opens_nothing_here(bait, tmp_path, name) -> None:
    (tmp_path / name).write_text(LURES[name].format(path=bait))
    options = SourceOptions(open_timeout_s=2.0, read_timeout_s=1.0)
    with serving(tmp_path) as host, pytest.raises(SourceError, match="cannot be opened"):
        open_source(f"http://{host}/{name}", options).open()


def test_a_playlist_on_a_server_may_name_what_is_there(bait, tmp_path) -> None:
    (tmp_path / "list.m3u8").write_text(PLAYLIST.format("private/bait.ts"))
    with serving(tmp_path) as host, opened(f"http://{host}/list.m3u8") as (source, info):
        assert info.width == 160
        assert len(list(source.frames())) == 3


def test_nobody_answers() -> None:
    """A port where nothing listens, and one where somebody listens and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = server.getsockname()[1]
        options = SourceOptions(open_timeout_s=0.3)
        with pytest.raises(SourceError, match="no answer in time") as caught:
            open_source(f"http://me:hush@127.0.0.1:{silent}/a", options).open()
    assert "hush" not in f"{caught.value!r} {caught.value.__cause__!r} {caught.value.__context__!r}"
    with pytest.raises(
        SourceError, match=r"\*\*\*@127.0.0.1:\d+/a: cannot be opened: connection refused"
    ):
        open_source(f"http://me:hush@127.0.0.1:{silent}/a", options).open()
