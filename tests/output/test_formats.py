"""The lines of each file format."""

from __future__ import annotations

import csv
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.output.formats import CSV_COLUMNS, HEADERS, csv_lines, jsonl_lines, mot_lines
from pipeline.packet import Status
from pipeline.tracking.track import Attribute, Tracks


@pytest.fixture
def one_track() -> Tracks:
    """One lost track with numbers that need rounding."""
    return Tracks(
        ids=np.array([5], np.int64),
        boxes_xyxy=np.array([[-0.5, 10.126, 20, 30.5]], np.float32),
        scores=np.array([0.87654], np.float32),
        labels=np.array([1], np.int32),
        states=np.array([2], np.uint8),
        velocities=np.array([[1, -2]], np.float32),
        ages_s=np.array([1.5], np.float32),
        unseen_s=np.array([0.04], np.float32),
    )


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader((HEADERS["csv"] + text).splitlines()))


def test_mot_counts_frames_and_pixels_from_one(make_message: Any, one_track: Tracks) -> None:
    message = make_message(tracks=one_track, frame=0)
    assert mot_lines(message, ()) == "1,5,0.50,11.13,20.50,20.37,0.8765,-1,-1,-1\n"


def test_mot_has_a_line_a_track(make_message: Any) -> None:
    assert mot_lines(make_message(0), ()) == ""
    assert mot_lines(make_message(9), ()).count("\n") == 9


def test_csv_has_a_row_a_track(make_message: Any, one_track: Tracks) -> None:
    message = make_message(tracks=one_track, camera="gate")
    (row,) = rows(csv_lines(message, ("person", "car, red")))
    assert tuple(row) == CSV_COLUMNS
    assert list(row.values()) == [
        *("gate", "0", "12", "480000000", "ok", "", "cpu0"),
        *("5", "1", "car, red", "lost", "0.8765", "-0.5", "10.13", "20.0", "30.5"),
        *("1.0", "-2.0", "1.5", "0.04", ""),
    ]


def test_csv_has_attributes_as_json(make_message: Any, one_track: Tracks) -> None:
    colour = Attribute(np.array(["dark red"]), np.array([0.93], np.float32))
    tracks = replace(one_track, attributes={"colour": colour})
    (row,) = rows(csv_lines(make_message(tracks=tracks), ()))
    assert row["attributes"] == '{"colour":{"value":"dark red","share":0.93}}'


@pytest.mark.parametrize("status", [Status.OK, Status.BLIND])
def test_csv_tells_an_empty_frame_from_a_blind_one(make_message: Any, status: Status) -> None:
    (row,) = rows(csv_lines(make_message(0, status=status), ()))
    assert (row["status"], row["id"], row["x1"]) == (status.name.lower(), "", "")


def test_jsonl_has_a_line_a_frame(make_message: Any) -> None:
    text = jsonl_lines(make_message(9, reason="two\nlines"), ())
    assert text.endswith("}\n")
    assert text.count("\n") == 1
