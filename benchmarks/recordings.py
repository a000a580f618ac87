"""Sequences of MOTChallenge that trackers are measured on, as scenes; not a benchmark itself."""

from __future__ import annotations

from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.scene import Scene
from pipeline.evaluation.evaluate import Rules, Scores, evaluate
from pipeline.evaluation.mot_files import MotTable, read_mot, rows_of_frame, table_from_rows
from pipeline.evaluation.overlap import best_matches, iou_xywh, reaching, shared_frames
from pipeline.evaluation.preprocess import PEDESTRIAN, Benchmark


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One sequence.

    Attributes:
        folder: where it lies.
        rules: how it is scored.
        gt: what there was.
        detections: what was detected.
        scene: the same for trackers.
    """

    folder: Path
    rules: Rules
    gt: MotTable
    detections: MotTable
    scene: Scene

    def scores(self, result: MotTable, kept: NDArray[np.bool_] | None = None) -> Scores:
        """Of tracks, in all frames or in those of a mask (F,)."""
        if kept is None:
            return evaluate(self.gt, result, self.rules)
        frames = self.scene.indices[kept] + 1
        gt, result = (table.take(np.isin(table.frames, frames)) for table in (self.gt, result))
        return evaluate(gt, result, self.rules)

    def perfect(self) -> MotTable:
        """The detections of objects that count, each with the identity of its object."""
        counted = self.gt.take((self.gt.scores != 0) & np.isin(self.gt.classes, [-1, PEDESTRIAN]))
        ids = np.full(len(self.detections), -1)
        for _, i, j in shared_frames(counted.frames, self.detections.frames):
            iou = iou_xywh(counted.boxes_xywh[i], self.detections.boxes_xywh[j])
            rows, columns = best_matches(reaching(iou, 0.5))
            ids[j[columns]] = counted.ids[i[rows]]
        found = self.detections.take(ids >= 0)
        tracks = [found.frames - 1, ids[ids >= 0], found.boxes_xyxy]
        return as_tracks(np.column_stack(tracks).astype(np.float64))


def recordings(assets: Path, benchmark: Benchmark, *, stretched: bool = False) -> list[Recording]:
    """All sequences of a benchmark that are there.

    Args:
        assets: folder with real data.
        benchmark: whose; the folder has its name.
        stretched: scores s, all of them 0.5 or more, become 2 s - 1.
    """
    folders = sorted((assets / "tracking" / benchmark).glob("*/"))
    return [recording(folder, benchmark, stretched=stretched) for folder in folders]


def recording(folder: Path, benchmark: Benchmark, *, stretched: bool = False) -> Recording:
    """One sequence; the arguments are as for `recordings`."""
    about = ConfigParser()
    about.read(folder / "seqinfo.ini", encoding="utf-8")
    frames = about.getint("Sequence", "seqLength")
    found = read_mot(folder / "det" / "det.txt")
    found = found.take(np.argsort(found.frames, kind="stable"))
    scores = 2 * found.scores - 1 if stretched else found.scores
    scene = Scene(
        fps=about.getfloat("Sequence", "frameRate"),
        indices=np.arange(frames),
        counts=np.bincount(found.frames - 1, minlength=frames),
        boxes_xyxy=found.boxes_xyxy,
        scores=scores.astype(np.float32),
    )
    return Recording(folder, Rules(benchmark), read_mot(folder / "gt" / "gt.txt"), found, scene)


def as_tracks(rows: NDArray[np.float64]) -> MotTable:
    """Rows (M, 6) of a frame's index, identity, box_xyxy as tracks of pedestrians."""
    low, high = rows[:, 2:4], rows[:, 4:6]
    boxes_xyxy = np.hstack([low, np.maximum(low, high)])
    return table_from_rows(rows_of_frame(rows[:, 0], rows[:, 1], boxes_xyxy, 1, PEDESTRIAN))
