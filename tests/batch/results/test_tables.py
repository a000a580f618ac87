"""Tables of what a batch found."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet as pq

from pipeline.batch.results import check_installed, parquet, write_tables
from pipeline.batch.results.columns import EVENTS, FRAMES, TRACKS
from pipeline.errors import DataError, OutputError
from tests.batch.results.conftest import BLIND, CLIPS, read_jsonl
from tests.output.full import largest_file

LINE: dict[str, Any] = {
    "camera": "a",
    "epoch": 0,
    "frame": 7,
    "pts_ns": 280_000_000,
    "width": 64,
    "height": 48,
    "status": "ok",
    "reason": "",
    "engine": "cpu0",
}
TRACK: dict[str, Any] = {
    "id": 3,
    "label": 9,
    "class": None,
    "state": "confirmed",
    "score": 0.5,
    "box": [1.25, 2, 3, 4],
    "velocity": [-5, 6.5],
    "age_s": 0.28,
    "unseen_s": None,
}


def clip(out: Path, name: str, *lines: dict[str, Any] | str) -> None:
    """A clip whose tracks are these lines."""
    (out / name).mkdir(parents=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (out / name / "tracks.jsonl").write_text("".join(f"{text}\n" for text in texts))


def test_every_track_of_every_frame_is_a_row(out: Path) -> None:
    write_tables(out, CLIPS)
    expected = [
        (name, line["frame"], track["id"], track["class"], *track["box"])
        for name in CLIPS
        for line in read_jsonl(out / name / "tracks.jsonl")
        for track in line["tracks"]
    ]
    rows = pq.read_table(out / "tracks.parquet").to_pylist()
    keys = ("video", "frame", "id", "class", "x1", "y1", "x2", "y2")
    found = [tuple(row[key] for key in keys) for row in rows]
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    assert [row[4:] for row in found] == [pytest.approx(row[4:], abs=1e-3) for row in expected]
    assert len(found) > 100


def test_blind_frames_are_told(out: Path) -> None:
    write_tables(out, CLIPS)
    rows = pq.read_table(out / "frames.parquet").to_pylist()
    assert len(rows) == sum(len(read_jsonl(out / name / "tracks.jsonl")) for name in CLIPS)
    blind = [
        (row["video"], row["frame"], row["reason"]) for row in rows if row["status"] == "blind"
    ]
    assert blind == [(name, BLIND, "engine failed") for name in CLIPS]
    assert sum(row["tracks"] for row in rows) == pq.read_metadata(out / "tracks.parquet").num_rows


def test_every_event_is_a_row(out: Path) -> None:
    write_tables(out, CLIPS)
    rows = pq.read_table(out / "events.parquet").to_pylist()
    lines = [line for name in CLIPS for line in read_jsonl(out / name / "events.jsonl")]
    keys = ("rule", "kind", "track", "class", "pts_ns")
    assert [[row[key] for key in keys] for row in rows] == [
        [line[key] for key in keys] for line in lines
    ]
    assert [(row["x"], row["y"], row["x1"], row["y2"]) for row in rows] == [
        pytest.approx((*line["at"], line["box"][0], line["box"][3]), abs=1e-3) for line in lines
    ]
    assert {row["value"] for row in rows if row["kind"] == "enter"} == {None}
    assert {row["value"] for row in rows if row["kind"] == "leave"} == {0.5}


def test_what_is_not_known_is_null(tmp_path: Path) -> None:
    known = {"speed_kmh": 36.5, "attributes": {"colour": {"value": "red", "share": 0.9}}}
    clip(tmp_path, "a", LINE | {"tracks": [TRACK, TRACK | {"id": 4} | known]})
    write_tables(tmp_path, ["a"])
    assert not (tmp_path / "events.parquet").exists()
    without, whole = pq.read_table(tmp_path / "tracks.parquet").to_pylist()
    assert [without[key] for key in ("class", "unseen_s", "speed_kmh", "attributes")] == [None] * 4
    assert (whole["speed_kmh"], json.loads(whole["attributes"])) == (36.5, known["attributes"])
    assert [whole[key] for key in ("x1", "y1", "x2", "y2", "vx", "vy")] == [1.25, 2, 3, 4, -5, 6.5]


def test_types_and_order_are_told(out: Path) -> None:
    write_tables(out, CLIPS)
    for name, columns in (("tracks", TRACKS), ("frames", FRAMES), ("events", EVENTS)):
        file = pq.ParquetFile(out / f"{name}.parquet")
        types = {"word": "dictionary<values=string, indices=int32, ordered=0>", "text": "string"}
        assert {field.name: str(field.type) for field in file.schema_arrow} == {
            column: types.get(kind, {"float32": "float"}.get(kind, kind))
            for column, kind in columns.items()
        }
        order = [entry.column_index for entry in file.metadata.row_group(0).sorting_columns]
        assert order == [0, 1]


def test_the_same_results_give_the_same_bytes_in_any_order(out: Path) -> None:
    names = [f"{name}.parquet" for name in ("frames", "tracks", "events")]
    write_tables(out, CLIPS)
    first = [(out / name).read_bytes() for name in names]
    write_tables(out, CLIPS[::-1])
    assert [(out / name).read_bytes() for name in names] == first
    assert not list(out.glob("*.part"))


def test_tables_of_before_do_not_stay(out: Path) -> None:
    write_tables(out, CLIPS)
    for name in CLIPS:
        (out / name / "events.jsonl").unlink()
    write_tables(out, CLIPS[:1])
    assert not (out / "events.parquet").exists()
    assert set(pq.read_table(out / "tracks.parquet").column("video").to_pylist()) == {CLIPS[0]}


def test_long_tables_are_divided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP", 10)
    for name in ("a", "b"):
        clip(tmp_path, name, *(LINE | {"frame": n, "tracks": [TRACK] * 3} for n in range(9)))
    write_tables(tmp_path, ["a", "b"])
    file = pq.ParquetFile(tmp_path / "tracks.parquet").metadata
    assert [file.row_group(i).num_rows for i in range(file.num_row_groups)] == [10] * 5 + [4]
    frames = pq.read_table(tmp_path / "tracks.parquet").column("frame").to_pylist()
    assert frames == [n for n in range(9) for _ in range(3)] * 2


def test_no_clips_make_empty_tables(tmp_path: Path) -> None:
    write_tables(tmp_path, [])
    assert pq.read_table(tmp_path / "tracks.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("{", r"tracks\.jsonl:2: is no line of results"),
        ("[]", r"tracks\.jsonl:2: is no line of results"),
        ({"frame": 8}, r"tracks\.jsonl:2: .*KeyError"),
        (LINE | {"tracks": [TRACK | {"box": 3}]}, r"tracks\.jsonl:2: .*TypeError"),
        (
            LINE | {"tracks": [TRACK | {"score": "high"}]},
            r"tracks\.parquet: a line of results does not fit",
        ),
        (
            LINE | {"tracks": [TRACK | {"box": [1, 2]}]},
            r"tracks\.parquet: a line of results does not fit",
        ),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, bad: Any, told: str) -> None:
    clip(tmp_path, "a", LINE | {"tracks": []}, bad)
    with pytest.raises(DataError, match=told):
        write_tables(tmp_path, ["a"])
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_clip_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a/tracks\.jsonl: cannot be read: No such file"):
        write_tables(tmp_path, ["a"])


def test_a_full_disk_leaves_the_tables_of_before(out: Path) -> None:
    write_tables(out, CLIPS)
    before = (out / "tracks.parquet").read_bytes()
    for size in (0, 2000):
        with largest_file(size), pytest.raises(OutputError, match=r"cannot write .*\.parquet"):
            write_tables(out, CLIPS)
    assert (out / "tracks.parquet").read_bytes() == before
    assert not list(out.glob("*.part"))


def test_a_missing_library_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OutputError, match=r"pip install 'sightline\[tables\]'"):
        check_installed()
