"""A placement goes into the user's own file, and nothing else of it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from pipeline.errors import DataError
from pipeline.placing.candidates import Change
from pipeline.placing.rewriting import rewritten, write

TEXT = """\
# Two engines, one street.
cameras: [{id: street, uri: "rendered:day?seconds=1"}]
engines:
  cpu0: {backend: onnxruntime, threads: 1}
  cv0: {backend: opencv}   # comes along
stages:
  detect: {model: street-pico, engine: cpu0}  # the detector
  embed:
    # Of the crops.
    model: reid-pico
    engine:
      - cpu0   # first
      - cv0
    when: always
  track: {}   # as it is
outputs: []
"""


def test_only_the_values_change() -> None:
    changes = [
        Change("detect", "engine", "cv0"),
        Change("detect", "workers", "2"),
        Change("embed", "engine", "[cv0, cpu0]"),
        Change("embed", "workers", "1"),
    ]
    text = rewritten(TEXT, changes)
    expected = pipeline.loads(TEXT, overrides=[str(change) for change in changes])
    assert pipeline.loads(text).stages == expected.stages
    before, after = TEXT.splitlines(), text.splitlines()
    assert {line.partition("#")[2] for line in before} - {" first"} <= {
        line.partition("#")[2] for line in after
    }
    assert [line for line in before if line in after] == [
        line for line in before if "detect:" not in line and "- c" not in line
    ]


@pytest.mark.parametrize("change", [Change("track", "engine", "cv0"), Change("none", "k", "1")])
def test_a_stage_that_is_not_written_is_told(change: Change) -> None:
    with pytest.raises(DataError, match=f"stage '{change.stage}' is not written there"):
        rewritten(TEXT, [change])


def test_a_name_with_a_dot_is_written_so_that_it_can_be_set() -> None:
    assert str(Change("a.b", "workers", "2")) == "stages[a.b].workers=2"
    assert str(Change("detect", "workers", "2")) == "stages.detect.workers=2"


def test_what_would_mean_something_else_is_not_written(tmp_path: Path) -> None:
    shared = TEXT.replace("cpu0}", "&own cpu0}").replace("  track: {}", "  track: {engine: *own}")
    change = Change("track", "engine", "cv0")
    expected = pipeline.loads(shared, overrides=[str(change)])
    path = tmp_path / "new.yaml"
    with pytest.raises(DataError, match="not written"):
        write(path, rewritten(shared, [change]), expected, ())
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    write(path, TEXT, pipeline.loads(TEXT), ())
    assert path.read_text(encoding="utf-8") == TEXT
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(DataError, match="cannot be written"):
        write(tmp_path / "nowhere" / "new.yaml", TEXT, pipeline.loads(TEXT), ())
