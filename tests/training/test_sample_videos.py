"""The shipped clips are what the world renders, and their ground truth is its truth."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.world import LABELS, World
from training.render import truth_lines, write_clip
from training.seeds import SAMPLE_CLIPS, TEST, TRAINING, VALIDATION

CLIPS = Path(__file__).resolve().parents[2] / "sample_videos"
FRAMES = 40


@pytest.mark.parametrize(("scene", "seed"), SAMPLE_CLIPS.items())
def test_the_truth_beside_a_clip_is_what_the_world_renders(scene: str, seed: int) -> None:
    world = World(scene, seed)
    rendered = list(truth_lines(world.render(index) for index in range(FRAMES)))
    shipped = (CLIPS / scene / "gt" / "gt.txt").read_text().splitlines()
    assert shipped[: len(rendered)] == rendered
    assert int(shipped[-1].split(",")[0]) == 250


@pytest.mark.parametrize(("scene", "seed"), SAMPLE_CLIPS.items())
def test_a_clip_shows_what_the_world_renders(scene: str, seed: int) -> None:
    world = World(scene, seed)
    with av.open(str(CLIPS / f"{scene}.mp4")) as container:
        for index, picture in enumerate(container.decode(video=0)):
            if index in (0, 33):
                shown = picture.to_ndarray(format="bgr24").astype(int)
                assert np.abs(shown - world.render(index).image_bgr).mean() < 8
            if index == 33:
                break


@pytest.mark.parametrize("scene", SAMPLE_CLIPS)
def test_a_clip_is_small_and_says_what_it_is(scene: str) -> None:
    assert (CLIPS / f"{scene}.mp4").stat().st_size < 4_000_000
    info = (CLIPS / scene / "seqinfo.ini").read_text()
    assert "frameRate=25\nseqLength=250\nimWidth=640\nimHeight=360\n" in info
    assert (CLIPS / scene / "labels.txt").read_text().split() == list(LABELS)


def test_the_same_clip_is_written_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_clip(World("dusk", 3, 320, 180), 12, tmp_path / f"{name}.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_truth_counts_from_one_and_marks_what_is_ignored() -> None:
    frame = World("crowd", 2).render(0)
    lines = [line.split(",") for line in truth_lines([frame])]
    assert {line[0] for line in lines} == {"1"}
    for line, box, label, visibility in zip(
        lines, frame.boxes_xyxy, frame.labels, frame.visibility, strict=True
    ):
        assert float(line[2]) == box[0] + 1
        assert float(line[5]) == box[3] - box[1]
        assert int(line[7]) == label + 1
        assert (line[6] == "1") == (visibility >= 0.25 and box[3] - box[1] >= 8)


def test_no_world_serves_two_purposes() -> None:
    lists = [set(TRAINING), set(VALIDATION), set(TEST), set(SAMPLE_CLIPS.values())]
    assert sum(len(seeds) for seeds in lists) == len(set().union(*lists))
