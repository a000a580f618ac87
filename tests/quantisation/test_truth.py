"""Ground truth: beside a clip, of a file, of a rendered world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError
from pipeline.quantisation.truth import FileTruth, WorldTruth, at_hand
from pipeline.resources import shipped
from pipeline.world import World

DAY = shipped("sample_videos") / "day"


def test_a_world_knows_what_lies_beside_its_clip() -> None:
    written, known = FileTruth(DAY), WorldTruth(World("day", 11))
    assert written.numbers == known.numbers == {
        "person": 1, "bicycle": 2, "car": 3, "van": 4, "bus": 5,
    }  # fmt: skip
    for one, other in ((written.over([0, 7]), known.over([0, 7])),):
        for column in ("frames", "ids", "boxes_xywh", "scores", "classes"):
            np.testing.assert_array_equal(getattr(one, column), getattr(other, column))
    assert set(known.over([0, 7]).frames.tolist()) == {1, 8}
    assert (written.objects(7).scores != 0).all()
    assert len(written.objects(7)) < len(written.over([7]))


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        (f"{DAY}.mp4", f"{DAY / 'gt' / 'gt.txt'}"),
        (f"file:{DAY}.mp4", f"{DAY / 'gt' / 'gt.txt'}"),
        ("rendered:dusk?seed=4&seconds=1", "rendered dusk, seed 4"),
    ],
)
def test_it_is_at_hand(uri: str, source: str) -> None:
    truth = at_hand(uri)
    assert truth is not None
    assert truth.source == source


@pytest.mark.parametrize("uri", ["elsewhere.mp4", "rtsp://10.0.0.5/stream", "webcam:0"])
def test_elsewhere_there_is_none(uri: str) -> None:
    assert at_hand(uri) is None


def test_a_file_of_a_resized_video(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("1,5,11,21,40,80,1,-1,-1,-1\n2,5,12,21,40,80,0,-1,-1,-1\n")
    truth = FileTruth(path, 0.5)
    assert truth.numbers == {}
    assert truth.objects(0).boxes_xywh.tolist() == [[5.5, 10.5, 20, 40]]
    assert truth.objects(0).boxes_xyxy.tolist() == [[4.5, 9.5, 24.5, 49.5]]
    assert len(truth.objects(1)) == 0
    assert len(truth.over([0, 1, 2])) == 2


def test_a_file_without_rows_is_no_truth(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    path.write_text("")
    with pytest.raises(DataError, match=r"gt\.txt: expected ground truth, found no row"):
        FileTruth(path)
