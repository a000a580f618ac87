"""The report: whole, harmless, with all there is to say, and something to look at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from pipeline.batch.clip import Clip
from pipeline.batch.digest import write_digest
from pipeline.batch.report.page import write_report
from pipeline.evaluation.mot_files import read_mot
from pipeline.resources import shipped
from tests.batch.browser import Look, look
from tests.batch.lines import HEIGHT, WIDTH, event, line, of_table, track, write
from tests.page.reading import Page, read

NASTY = '</title><script>alert("1")</script>'
#: Colours of style.css in the light, BGR: of what is counted, and of the first tracks' lanes.
_COUNTS = (0x88, 0x6A, 0x0B)
_LANES = ((178, 137, 56), (98, 56, 178))
BOX = (100.0, 60.0, 140.0, 160.0)
RUN = {
    "wall_s": 61.2,
    "cpu_s": 110.0,
    "cores": 2,
    "processes": 2,
    "efficiency": 0.9,
    "made": 2,
    "failed": {},
    "frames": 3221,
    "dropped": 0,
    "video_s": 256.0,
    "fps": 52.6,
    "speed": 4.18,
    "bottleneck": "detect",
    "stages": [
        {"name": "detect", "busy": 0.61, "binding": "street-pico on cpu0"},
        {"name": "track", "busy": 0.05, "binding": ""},
    ],
    "peak_bytes": 812_000_000,
    "restarts": ["seer 1: killed by signal 9"],
}


def _clip(
    out: Path, name: str, lines: list[dict[str, Any]], events: Sequence[dict[str, Any]] = ()
) -> Clip:
    clip = Clip(name, "gone.mp4", "h264", WIDTH, HEIGHT, 25.0, len(lines))
    write_digest(write(out / name, lines, events), clip, 24)
    return clip


def _report(out: Path, clips: list[Clip], run: dict[str, Any]) -> Page:
    write_report(out, clips, run)
    return read((out / "report.html").read_text(encoding="utf-8"))


def test_all_is_there(tmp_path: Path) -> None:
    lines = [line(i, track(1, BOX)) for i in range(100)]
    lines += [line(i, status="blind", reason="npu0: gone") for i in range(100, 150)]
    clips = [
        _clip(tmp_path, "yard", lines, [event(60)]),
        _clip(tmp_path, "gate", [line(i) for i in range(50)]),
        Clip("broken", "broken.mp4", error="broken.mp4: cannot be opened: invalid data"),
    ]
    found = _report(tmp_path, clips, RUN)
    assert set(found.anchors) <= {*found.ids, "top"}
    assert {"videos", "speed", "notes", "video-1", "video-2"} <= set(found.ids)
    assert "0:08 of video; 1 of 3 could not be analysed; nobody could look for 2.0 s" in "".join(
        found.listed("p")
    )
    assert ["yard", "0:06", "150", "1", "1", "1", "", "2.0 s", "0.0 s"] in [
        [*row[:6], "", *row[7:]] for row in found.rows
    ]
    assert ["broken", "broken.mp4: cannot be opened: invalid data"] in found.rows
    assert "shown in full below" not in found.text("p")
    assert ["detect", "street-pico on cpu0", "61.0 %", "detect: 61.0 %"] in found.rows
    assert ["", "a process died and was started anew: seer 1: killed by signal 9"] in found.rows
    assert ["0:02", "gate", "cross", "in", "person 1", ""] in found.rows
    assert ["gate", "cross", "in", "1"] in found.rows
    assert "blind from 0:04 to 0:06: npu0: gone" in found.listed("title")
    assert "person 1, 0:00 to 0:04, 4.0 s" in found.listed("title")
    assert [row for row in found.rows if row[0] == "yard" and "no such file" in row[-1]]


def test_what_others_wrote_stays_text(tmp_path: Path) -> None:
    lines = [line(i, track(1, BOX, **{"class": NASTY}), reason=NASTY) for i in range(10)]
    lines += [line(i, status="damaged", reason=NASTY) for i in range(10, 20)]
    yard = _clip(tmp_path, "yard", lines, [event(3, rule=NASTY)])
    clips = [yard, Clip("broken", NASTY, error=NASTY)]
    found = _report(tmp_path, clips, RUN | {"bottleneck": NASTY})
    assert "script" not in found.tags
    assert ["broken", NASTY] in found.rows
    assert [row for row in found.rows if row[0] == NASTY]


def test_what_is_too_much_is_cut_and_said(tmp_path: Path) -> None:
    many = [line(i, *(track(n, BOX) for n in range(i * 10, i * 10 + 10))) for i in range(50)]
    clips = [_clip(tmp_path, "crowd", many, [event(0)] * 300)]
    clips += [_clip(tmp_path, f"clip{n}", [line(0)]) for n in range(30)]
    found = _report(tmp_path, clips, {})
    said = found.text("p")
    assert "24 of 31 are shown in full below" in said
    assert "40 of 500, those seen longest and most surely." in said
    assert "The first 40 of 300; events.jsonl has them all." in said
    assert "Ways of 150 of 500 tracks" in found.text("figcaption")
    assert len([name for name in found.ids if name.startswith("video-")]) == 24
    assert len([row for row in found.rows if row[0].startswith("clip") and row[2:]]) == 30
    assert len((tmp_path / "report.html").read_bytes()) < 1_000_000


def test_a_video_without_a_digest_is_told_as_failed(tmp_path: Path) -> None:
    whole = _clip(tmp_path, "whole", [])
    _clip(tmp_path, "torn", [line(0)])
    digest = tmp_path / "torn" / "digest.json"
    digest.write_text(digest.read_text()[:50])
    _clip(tmp_path, "old", [line(0)])
    (tmp_path / "old" / "digest.json").write_text('{"version": 0}')
    names = ("torn", "gone", "old")
    found = _report(tmp_path, [whole, *(Clip(name, f"{name}.mp4") for name in names)], {})
    failures = [row for row in found.rows if row[0] in names]
    assert len(failures) == 6  # in the table, and in the notes
    assert all("cannot be read" in row[1] for row in failures)


def test_there_is_one_also_of_nothing(tmp_path: Path) -> None:
    found = _report(tmp_path, [], {"frames": 0})
    assert found.listed("h1") == ["Batch of 0 videos"]
    assert "speed" not in found.ids


def test_events_are_shown_by_their_pictures_each_kind_in_turn(tmp_path: Path) -> None:
    events = [event(i, picture=f"{i}.jpg") for i in range(20)]
    events += [event(30, rule="yard", kind="enter", direction="", picture="30.jpg")]
    events += [event(40, rule="gone", picture="40.jpg"), event(50, rule="none")]
    clip = _clip(tmp_path, "yard", [line(i, track(1, BOX)) for i in range(60)], events)
    for i in (*range(20), 30):
        cv2.imwrite(str(tmp_path / f"yard/{i}.jpg"), np.full((30, 40, 3), 5 * i, np.uint8))
    captions = _report(tmp_path, [clip], {}).listed("figcaption")
    assert [text for text in captions if ": cross in" in text] == [
        "0:00 gate: cross in person 1"
    ] * 6
    assert [text for text in captions if "enter" in text] == ["0:01 yard: enter  person 1"]


def _sample(out: Path, name: str, video: Path, boxes: Path, labels: Sequence[str] = ()) -> Clip:
    """A video with what is known of it as its results."""
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        clip = Clip(name, str(video), "h264", stream.width, stream.height, 25.0, stream.frames)
    write_digest(write(out / name, of_table(clip, read_mot(boxes), labels)), clip, 24)
    return clip


def _rendered(out: Path) -> Clip:
    folder = shipped("sample_videos")
    labels = (folder / "day/labels.txt").read_text().split()
    return _sample(out, "day", folder / "day.mp4", folder / "day/gt/gt.txt", labels)


def test_pictures_that_were_removed_are_left_out(tmp_path: Path) -> None:
    clips = [_rendered(tmp_path)]
    whole = _report(tmp_path, clips, {})
    shutil.rmtree(tmp_path / "day" / "thumbs")
    found = _report(tmp_path, clips, {})
    assert whole.text("figcaption").count(" s from ") == 24
    assert found.text("figcaption").count(" s from ") == 0
    assert found.rows == whole.rows


def _looked_at(out: Path, clip: Clip, record: Callable[..., None]) -> Look:
    """The report of a clip as a browser shows it; the picture stays among the artefacts."""
    write_report(out, [clip], RUN | {"made": 1})
    folder = Path(os.environ.get("SIGHTLINE_ARTEFACTS", out)).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / f"batch-report-{clip.name}.png"
    record("screenshot", str(picture))
    return look(out / "report.html", picture, out, 3000)


def _part(image_bgr: np.ndarray, color_bgr: tuple[int, int, int]) -> float:
    """How much of a picture has this colour."""
    return float((np.abs(image_bgr.astype(int) - color_bgr).max(axis=2) <= 3).mean())


def _check(seen: Look) -> None:
    """Nothing was asked for, nothing complained of, and all that is drawn is there."""
    assert seen.requests == []
    assert seen.console == []
    assert _part(seen.image_bgr, _COUNTS) > 0.01
    assert min(_part(seen.image_bgr, color) for color in _LANES) > 0.0003
    pictures = seen.image_bgr.astype(int).std(axis=2) > 15
    assert pictures.mean() > 0.03


@pytest.mark.slow
def test_a_browser_shows_the_rendered_street(
    tmp_path: Path, record_property: Callable[..., None]
) -> None:
    _check(_looked_at(tmp_path, _rendered(tmp_path), record_property))


@pytest.mark.slow
@pytest.mark.assets
def test_a_browser_shows_a_real_street(
    tmp_path: Path, assets: Path, record_property: Callable[..., None]
) -> None:
    boxes = assets / "tracking/MOT15/TUD-Stadtmitte/ref/e2e_yolox_nano_sort.txt"
    clip = _sample(tmp_path, "tud", assets / "videos/TUD-Stadtmitte.mp4", boxes, ["person"])
    _check(_looked_at(tmp_path, clip, record_property))


@pytest.mark.slow
def test_the_browser_would_tell_of_requests_and_complaints(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<img src="http://somewhere.invalid/x.png"><script>console.error("bad")</script>'
    )
    seen = look(page, tmp_path / "page.png", tmp_path, 200)
    assert seen.requests == ["http://somewhere.invalid/x.png"]
    assert len(seen.console) == 1
    assert _part(seen.image_bgr, (255, 255, 255)) > 0.9
