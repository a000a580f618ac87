"""COCO files: whole, valid, and the same however they were written."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import OutputError, PacketError
from pipeline.output import room
from pipeline.output.coco import CocoFile
from pipeline.output.message import Message
from pipeline.output.recorder import Recorder
from pipeline.output.room import is_full
from pipeline.output.spec import FileSpec
from pipeline.packet import Status
from pipeline.tracking.track import Tracks
from tests.output.full import largest_file, small_disk

LABELS = ("person", "car")


def written(path: Path, messages: list[Message], labels: tuple[str, ...] = LABELS) -> Any:
    """What a reader finds in the file of these messages."""
    with closing(CocoFile(path, labels)) as file:
        for message in messages:
            file.write(message)
        assert file.finish()
    return json.loads(path.read_text())


def check(data: dict[str, Any]) -> None:
    """Holds what COCO's readers take for granted."""
    assert set(data) == {"info", "licenses", "videos", "images", "annotations", "categories"}
    ids = {kind: [entry["id"] for entry in data[kind]] for kind in ("images", "annotations")}
    images = {image["id"]: image for image in data["images"]}
    categories = {category["id"]: category["name"] for category in data["categories"]}
    videos = {video["id"] for video in data["videos"]}
    assert len(images) == len(ids["images"]), "an image's id is its own"
    assert ids["annotations"] == list(range(1, len(ids["annotations"]) + 1))
    assert len(categories) == len(data["categories"]) == len(set(categories.values()))
    for image in data["images"]:
        assert image["video_id"] in videos
        assert image["file_name"]
    seen = set()
    for annotation in data["annotations"]:
        assert annotation["image_id"] in images
        assert annotation["category_id"] in categories
        _, _, width, height = annotation["bbox"]
        assert annotation["area"] == pytest.approx(width * height, rel=1e-2)
        assert annotation["iscrowd"] == 0
        seen.add((annotation["image_id"], annotation["track_id"]))
    assert len(seen) == len(data["annotations"]), "an identity is once in an image"


def test_every_frame_and_every_track_is_there(tmp_path: Path, make_message: Any) -> None:
    messages = [make_message(count, frame=frame) for frame, count in ((0, 3), (4, 0), (5, 2))]
    data = written(tmp_path / "a.coco.json", messages)
    check(data)
    assert [image["frame_index"] for image in data["images"]] == [0, 4, 5]
    assert [a["image_id"] for a in data["annotations"]] == [1, 1, 1, 6, 6]
    assert [category["name"] for category in data["categories"]] == list(LABELS)
    assert [path.name for path in tmp_path.iterdir()] == ["a.coco.json"]


def test_an_annotation_has_what_is_known_of_the_track(tmp_path: Path, make_message: Any) -> None:
    tracks = Tracks(
        ids=np.array([5], np.int64),
        boxes_xyxy=np.array([[-0.5, 10.126, 20, 30.5]], np.float32),
        scores=np.array([0.87654], np.float32),
        labels=np.array([1], np.int32),
        states=np.array([1], np.uint8),
        velocities=np.zeros((1, 2), np.float32),
        ages_s=np.zeros(1, np.float32),
        unseen_s=np.zeros(1, np.float32),
    )
    data = written(tmp_path / "a.coco.json", [make_message(tracks=tracks, frame=11)])
    assert data["annotations"] == [
        {
            "id": 1,
            "image_id": 12,
            "video_id": 1,
            "track_id": 5,
            "category_id": 2,
            "bbox": [-0.5, 10.13, 20.5, 20.37],
            "area": 417.67,
            "iscrowd": 0,
            "score": 0.8765,
        }
    ]


def test_attributes_are_as_in_the_other_formats(tmp_path: Path, make_message: Any) -> None:
    message = make_message(9)
    known = [a.get("attributes") for a in written(tmp_path / "a.json", [message])["annotations"]]
    values = message.tracks.attributes["colour"].values.tolist()
    assert [own and own["colour"]["value"] for own in known] == [value or None for value in values]


def test_a_blind_frame_is_not_an_empty_one(tmp_path: Path, make_message: Any) -> None:
    messages = [
        make_message(0, frame=0),
        make_message(0, frame=1, status=Status.BLIND, reason="the engine failed"),
    ]
    images = written(tmp_path / "a.coco.json", messages)["images"]
    assert [(image["status"], image["reason"]) for image in images] == [
        ("ok", ""),
        ("blind", "the engine failed"),
    ]


def test_a_class_without_a_name_is_a_category(tmp_path: Path, make_message: Any) -> None:
    data = written(tmp_path / "a.coco.json", [make_message(20)], ("person",))
    check(data)
    assert data["categories"] == [{"id": 1, "name": "person"}, {"id": 2, "name": "1"}]


def test_nothing_at_all_is_valid(tmp_path: Path) -> None:
    data = written(tmp_path / "a.coco.json", [])
    check(data)
    assert data["images"] == data["annotations"] == data["videos"] == []


def test_the_same_messages_give_the_same_bytes(tmp_path: Path, make_message: Any) -> None:
    for name in ("a", "b"):
        written(tmp_path / name, [make_message(4, frame=frame) for frame in range(30)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_images_beyond_one_read_are_all_there(tmp_path: Path, make_message: Any) -> None:
    message = make_message(0, reason="r" * 60_000)
    frames = [make_message(0, frame=frame, reason=message.reason) for frame in range(40)]
    data = written(tmp_path / "a.coco.json", frames)
    check(data)
    assert [image["frame_index"] for image in data["images"]] == list(range(40))


def test_a_run_that_fails_leaves_whole_annotations(tmp_path: Path, make_message: Any) -> None:
    path = tmp_path / "a.coco.json"
    with closing(CocoFile(path, LABELS)) as file:
        file.write(make_message(3, frame=0))
        file.write(make_message(2, frame=1))
    assert [found.name for found in tmp_path.iterdir()] == ["a.coco.json.part"]
    begun = path.with_name("a.coco.json.part").read_text()
    assert len(json.loads(begun + "]}")["annotations"]) == 5


def test_a_full_disk_never_leaves_half_a_frame(tmp_path: Path, make_message: Any) -> None:
    path = tmp_path / "a.coco.json"
    with closing(CocoFile(path, LABELS)) as file:
        file.write(make_message(3, frame=0))
        for size in (0, 700):  # neither the image nor the annotations; the image only
            with largest_file(size), pytest.raises(OutputError) as caught:
                file.write(make_message(9, frame=1))
            assert is_full(caught.value)
        file.write(make_message(2, frame=2))
        file.finish(missing=1)
    data = json.loads(path.read_text())
    check(data)
    assert [image["frame_index"] for image in data["images"]] == [0, 2]
    assert len(data["annotations"]) == 5


def test_a_recorder_goes_on_when_there_is_room_again(
    tmp_path: Path, make_message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RETRY_S", 0.0)
    with small_disk(tmp_path / "disk", 64) as disk:
        spec = FileSpec(path=str(disk / "a.coco.json"), min_free_mb=0)
        recorder = Recorder(spec.path, spec, lambda path: CocoFile(path, LABELS))
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(48 * 1024))
        refused = 0
        for frame in range(40):
            try:
                recorder.write(make_message(5, frame=frame))
            except PacketError:
                refused += 1
                if refused == 3:
                    ballast.unlink()
        recorder.finish()
        data = json.loads((disk / "a.coco.json").read_text())
        check(data)
        assert len(data["images"]) == 40 - refused
        assert json.loads((disk / "a.coco.json.missing").read_text())["missing_frames"] == refused


def test_a_new_file_begins_when_one_is_large(tmp_path: Path, make_message: Any) -> None:
    spec = FileSpec(path=str(tmp_path / "a-{start}.coco.json"), rotate_mb=0.002)
    recorder = Recorder(spec.path, spec, lambda path: CocoFile(path, LABELS))
    for frame in range(20):  # their images alone are larger
        recorder.write(make_message(0, frame=frame))
    recorder.finish()
    found = [json.loads(path.read_text()) for path in sorted(tmp_path.iterdir())]
    assert len(found) > 1
    for data in found:
        check(data)
    assert sum(len(data["images"]) for data in found) == 20
