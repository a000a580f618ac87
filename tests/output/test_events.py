"""What happened in files of its own, and pictures of it."""

from __future__ import annotations

import csv
import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest
from pydantic import ValidationError

from pipeline.errors import OutputError
from pipeline.output import room
from pipeline.output.events import KINDS, UNITS, in_words
from pipeline.output.overlay import Outline
from pipeline.output.sinks import build_sink, sink_class
from pipeline.output.spec import OutputSpec
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.stage import Sink, drive
from tests.output.full import largest_file

LABELS = ("person", "car")
SIZE = (640, 480)
OUTLINES = (Outline("rule-0", ((0.1, 0.5), (0.9, 0.5))), Outline("rule-1", ((1, 1), (9, 9))))


def sink(cameras: tuple[str, ...] = ("gate",), **said: Any) -> Sink[Tracked]:
    spec = OutputSpec.model_validate({"events": {"min_free_mb": 0} | said})
    made = build_sink(spec, cameras, LABELS, OUTLINES)
    assert type(made) is sink_class(spec)
    return made


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_kind_is_told_in_words(make_analysis: Any) -> None:
    said = [in_words(event) for event in make_analysis(3, len(KINDS)).events]
    assert said[:3] == ["rule-0 cross in", "rule-1 enter", "rule-2 leave 3 s"]
    assert said[KINDS.index("wrong_way")] == "rule-6 wrong way 9 degrees"
    assert [any(map(str.isdigit, text[6:])) for text in said] == [kind in UNITS for kind in KINDS]


def test_a_line_is_an_event_with_its_frame(tmp_path: Path, make_packet: Any) -> None:
    path = tmp_path / "events.jsonl"
    packets = [make_packet(0), make_packet(1, happened=0), make_packet(2, happened=2)]
    list(drive(sink(path=str(path)), packets))
    first, second = written(path)
    assert list(first.values()) == [
        *("gate", 0, 2, 80_000_000, None, "none", "rule-0", "cross", "in"),
        *(0, -1, None, [0.0, 20.5], None, "", None, None, None),
    ]
    assert list(first) == [
        *("camera", "epoch", "frame", "pts_ns", "utc_ns", "utc_source", "rule", "kind"),
        *("direction", "track", "label", "class", "at", "value", "unit", "box", "picture", "crop"),
    ]
    box = packets[2].payload.tracks.boxes_xyxy[0]
    assert second["pts_ns"] == 79_999_999
    assert (second["track"], second["class"]) == (1, "car")
    assert second["box"] == pytest.approx(box, abs=0.006)


def test_the_time_of_the_day_is_the_events_own(tmp_path: Path, make_packet: Any) -> None:
    packet = make_packet(2, happened=2)
    frame = replace(packet.frame, utc_ns=1_700_000_000_000_000_000, utc_source="rtcp")
    path = tmp_path / "events.jsonl"
    list(drive(sink(path=str(path)), [replace(packet, frame=frame)]))
    assert [(line["utc_ns"], line["utc_source"]) for line in written(path)] == [
        (1_700_000_000_000_000_000, "rtcp"),
        (1_699_999_999_999_999_999, "rtcp"),
    ]


def test_csv_has_the_same(tmp_path: Path, make_packet: Any) -> None:
    packets = [make_packet(index, happened=10) for index in range(2)]
    list(drive(sink(path=str(tmp_path / "e.jsonl")), packets))
    list(drive(sink(path=str(tmp_path / "e.csv")), packets))
    rows = list(csv.DictReader((tmp_path / "e.csv").read_text("utf-8").splitlines()))
    lines = written(tmp_path / "e.jsonl")
    assert len(rows) == len(lines) == 20
    for row, line in zip(rows, lines, strict=True):
        x1, _, _, y2 = line.pop("box") or ("", "", "", "")
        x, y = line.pop("at")
        assert (row["x1"], row["y2"], row["x"], row["y"]) == (str(x1), str(y2), str(x), str(y))
        for key, value in line.items():
            assert row[key] == ("" if value is None else str(value)), key


def test_a_csv_of_a_quiet_day_has_its_header(tmp_path: Path, make_packet: Any) -> None:
    list(drive(sink(path=str(tmp_path / "e.csv")), [make_packet(0, happened=0)]))
    assert (tmp_path / "e.csv").read_text().startswith("camera,epoch,frame,")


def test_an_event_has_two_pictures(tmp_path: Path, make_packet: Any) -> None:
    packets = [make_packet(index, size=SIZE, happened=2) for index in range(2)]
    path = tmp_path / "gate" / "events.jsonl"
    list(drive(sink(path=str(path), pictures=str(tmp_path / "gate" / "evidence")), packets))
    lines = written(path)
    assert [line["picture"] for line in lines] == [
        f"evidence/00000{number}-rule-{number % 2}.jpg" for number in range(4)
    ]
    assert [line["crop"] is not None for line in lines] == [line["track"] > 0 for line in lines]
    assert not list(tmp_path.rglob("*.part"))
    whole = cv2.imread(str(path.parent / lines[1]["picture"]))
    crop = cv2.imread(str(path.parent / lines[1]["crop"]))
    assert whole is not None
    assert crop is not None
    assert whole.shape == (480, 640, 3)
    assert len({tuple(pixel) for pixel in whole.reshape(-1, 3).tolist()}) > 10, "it is drawn on"
    x1, y1, x2, y2 = lines[1]["box"]
    columns = min(640, 1.25 * x2 - 0.25 * x1) - max(0, 1.25 * x1 - 0.25 * x2)
    rows = min(480, 1.25 * y2 - 0.25 * y1) - max(0, 1.25 * y1 - 0.25 * y2)
    assert crop.shape[:2] == pytest.approx((rows, columns), abs=2)


def test_the_same_packets_give_the_same_files(tmp_path: Path, make_packet: Any) -> None:
    found = []
    for run in ("one", "two"):
        said = {"path": f"{tmp_path}/{run}/e.jsonl", "pictures": f"{tmp_path}/{run}/pictures"}
        list(drive(sink(**said), [make_packet(i, size=SIZE, happened=3) for i in range(3)]))
        files = sorted(path for path in (tmp_path / run).rglob("*") if path.is_file())
        found.append([(path.relative_to(tmp_path / run), path.read_bytes()) for path in files])
    assert found[0] == found[1]
    assert len(found[0]) > 10


def test_each_camera_has_its_own_numbers(tmp_path: Path, make_packet: Any) -> None:
    said = {"path": f"{tmp_path}/all.jsonl", "pictures": f"{tmp_path}/{{camera}}"}
    there = sink(("gate",), **said)
    there.open()
    there.expect("yard")
    for index, camera in enumerate(("gate", "yard", "gate")):
        there.write(make_packet(index, camera, size=SIZE, happened=1))
    there.forget("yard")
    list(there.flush())
    there.close()
    assert [line["picture"] for line in written(tmp_path / "all.jsonl")] == [
        *("gate/000000-rule-0.jpg", "yard/000000-rule-0.jpg", "gate/000001-rule-0.jpg")
    ]
    assert there.counts() == {"events": 3}


def test_cameras_cannot_share_their_pictures() -> None:
    with pytest.raises(OutputError, match=r"\{camera\}"):
        sink(("gate", "yard"), path="events.jsonl", pictures="evidence")


def test_a_folder_that_cannot_be_made_is_known_at_open(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    there = sink(path=f"{tmp_path}/e.jsonl", pictures=f"{tmp_path}/file/pictures")
    with pytest.raises(OutputError, match="change the output's 'pictures'"):
        there.open()
    there.close()


def test_a_picture_that_cannot_be_written_loses_no_event(
    tmp_path: Path,
    make_packet: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room, "RETRY_S", 0.0)
    there = sink(path=f"{tmp_path}/e.jsonl", pictures=f"{tmp_path}/pictures")
    there.open()
    with largest_file(900):  # the lines fit, no picture does
        there.write(make_packet(0, size=SIZE, happened=2))
    (tmp_path / "pictures" / "000002-rule-0.jpg").mkdir()  # in the way of a name
    there.write(make_packet(1, size=SIZE, happened=2))
    list(there.flush())
    there.close()
    pictures = [line["picture"] for line in written(tmp_path / "e.jsonl")]
    assert pictures == [None, None, None, "pictures/000003-rule-1.jpg"]
    assert there.counts() == {"events": 4, "pictures missing": 4}
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert [any(why in text for text in said) for why in ("disk full", "cannot be written")] == [
        *(True, True)
    ]
    assert not [*tmp_path.rglob("*.missing"), *tmp_path.rglob("*.part")]


def test_old_pictures_go_with_the_old_files(tmp_path: Path, make_packet: Any) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = ["20260101T000000.000Z-000007-gate.jpg", "holiday-000007-gate.jpg"]
    for name in names:
        (folder / name).write_bytes(b"old")
        os.utime(folder / name, (0, 0))
    said = {"path": f"{tmp_path}/{{start}}.jsonl", "pictures": str(folder), "keep_h": 24}
    list(drive(sink(**said), [make_packet(0, size=SIZE, happened=1)]))
    left = sorted(path.name for path in folder.iterdir())
    assert left[-1] == "holiday-000007-gate.jpg"
    assert len(left) == 2
    (lines,) = tmp_path.glob("*.jsonl")
    assert written(lines)[0]["picture"] == f"pictures/{left[0]}"


def test_only_frames_with_events_need_room(
    tmp_path: Path, make_packet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RETRY_S", 0.0)
    there = sink(path=f"{tmp_path}/e.jsonl")
    there.open()
    with largest_file(1):
        for index in range(5):
            there.write(make_packet(index, happened=0))
    there.write(make_packet(5, happened=1))
    assert there.counts() == {"events": 1}
    list(there.flush())
    there.close()


WRONG = {
    "another suffix": ({"path": "e.json"}, "end in .jsonl or .csv"),
    "no folder": ({"path": "e.csv", "pictures": ""}, "pictures"),
    "a folder by time": ({"path": "{start}/e.csv", "pictures": "p"}, "cannot contain"),
    "pictures by time": ({"path": "e.csv", "pictures": "{start}"}, "cannot contain"),
    "a row without names": ({"path": "e.csv", "keep_h": 1}, r"e-\{start\}\.csv"),
}


@pytest.mark.parametrize(("said", "named"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(said: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        OutputSpec.model_validate({"events": said})


def test_packets_are_not_changed(tmp_path: Path, make_packet: Any) -> None:
    packet: Packet[Tracked] = make_packet(0, size=SIZE, happened=3)
    before = packet.payload.picture.bgr().copy()
    said = {"path": f"{tmp_path}/e.jsonl", "pictures": f"{tmp_path}/pictures"}
    list(drive(sink(**said), [packet]))
    assert (packet.payload.picture.bgr() == before).all()
