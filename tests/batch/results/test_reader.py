"""A batch's results in Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.batch.results import read
from pipeline.errors import DataError
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.mot_files import read_mot
from pipeline.packet import Status
from tests.batch.results.conftest import BLIND, CLIPS, read_jsonl


def test_every_frame_and_event_is_read(out: Path) -> None:
    (out / ".work" / "late").mkdir(parents=True)
    clips = read(out)
    assert [clip.name for clip in clips] == list(CLIPS)
    for clip in clips:
        clip.verify()
        lines = read_jsonl(clip.folder / "tracks.jsonl")
        messages = list(clip.messages())
        assert [message.frame for message in messages] == [line["frame"] for line in lines]
        assert [m.frame for m in messages if m.status is Status.BLIND] == [BLIND]
        assert len(messages) == clip.manifest["frames"]
        assert list(clip.events()) == read_jsonl(clip.folder / "events.jsonl")
        assert (
            sum(len(m.analysis.events) for m in messages if m.analysis) == clip.manifest["events"]
        )


def test_a_clip_that_was_not_analysed_has_no_events(out: Path) -> None:
    (out / "day" / "events.jsonl").unlink()
    assert list(read(out)[0].events()) == []


@pytest.mark.parametrize("change", ["another", "gone"])
def test_files_that_are_not_the_batchs_are_named(out: Path, change: str) -> None:
    path = out / "day" / "tracks.csv"
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-2] + b"9\n")
    day, dusk = read(out)
    dusk.verify()
    with pytest.raises(DataError, match=r"day: not as the batch left them: tracks\.csv;"):
        day.verify()


def test_a_line_that_is_none_of_ours_is_named(out: Path) -> None:
    with (out / "day" / "tracks.jsonl").open("a") as file:
        file.write('{"camera": "day"}\n')
    count = len(read_jsonl(out / "day" / "tracks.jsonl"))
    with pytest.raises(DataError, match=rf"day/tracks\.jsonl:{count}: is no line of results"):
        list(read(out)[0].messages())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": []}'])
def test_a_manifest_that_is_none_is_named(out: Path, text: str) -> None:
    (out / "day" / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"day/manifest\.json: is no manifest"):
        read(out)


def test_any_other_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no folder of a batch: it has no batch\.json"):
        read(tmp_path)


def test_mot_and_coco_files_have_the_boxes_of_the_lines(out: Path) -> None:
    lines = read_jsonl(out / "day" / "tracks.jsonl")
    expected = [
        (line["frame"], track["id"], *track["box"]) for line in lines for track in line["tracks"]
    ]
    table = read_mot(out / "day" / "tracks.mot.txt")
    mot = zip(table.frames - 1, table.ids, *table.boxes_xyxy.T, strict=True)
    coco = json.loads((out / "day" / "coco.json").read_text())
    frames = {image["id"]: image["frame_index"] for image in coco["images"]}
    boxes = [
        (frames[a["image_id"]], a["track_id"], x, y, x + width, y + height)
        for a in coco["annotations"]
        for x, y, width, height in [a["bbox"]]
    ]
    assert len(expected) > 50
    for found in (list(mot), boxes):
        assert found == [pytest.approx(row, abs=0.02) for row in expected]


def test_mot_files_are_scored_as_they_are(out: Path) -> None:
    path = out / "day" / "tracks.mot.txt"
    scores = evaluate(read_mot(path), read_mot(path)).summary()
    assert (scores["HOTA"], scores["IDF1"], scores["IDSW"]) == (100, 100, 0)
