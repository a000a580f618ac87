"""What a graph found, as the tables that evaluation takes."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.mot_files import ANY_CLASS, MotTable, rows_of_frame, table_from_rows
from pipeline.graph import Graph
from pipeline.payloads import Detected, Tracked
from pipeline.serial import Step
from pipeline.tracking.track import TrackState

_Rows = defaultdict[str, list[NDArray[np.float64]]]


class Results:
    """Detections and confirmed tracks of every camera, collected step by step.

    Attributes:
        detector: the last stage that gives detections, whose they are; empty where none does.
        tracker: the last stage that gives tracks, whose they are; empty where none does.

    Args:
        graph: whose steps are added.
        classes: (C,) the tables' class number of each label; None for tables without classes.
    """

    def __init__(self, graph: Graph, classes: NDArray[np.int64] | None = None) -> None:
        self.detector = _last(graph, Detected)
        self.tracker = _last(graph, Tracked)
        self._cameras = [camera.id for camera in graph.cameras]
        self._classes = classes
        self._detections: _Rows = defaultdict(list)
        self._tracks: _Rows = defaultdict(list)

    def add(self, step: Step) -> None:
        """Adds what the stages gave for one frame."""
        for packet in step.get(self.detector, ()):
            found, frame = packet.payload.detections, packet.frame
            row = frame.index, -1, found.boxes_xyxy, found.scores, self._of(found.labels)
            self._detections[frame.camera].append(rows_of_frame(*row))
        for packet in step.get(self.tracker, ()):
            tracks, frame = packet.payload.tracks, packet.frame
            sure = tracks.states == TrackState.CONFIRMED
            boxes, scores, labels = tracks.boxes_xyxy, tracks.scores, self._of(tracks.labels)
            rows = rows_of_frame(frame.index, tracks.ids, boxes, scores, labels)
            self._tracks[frame.camera].append(rows[sure])

    def detections(self) -> dict[str, MotTable]:
        """By camera; empty where no stage gives any."""
        return self._tables(self._detections) if self.detector else {}

    def tracks(self) -> dict[str, MotTable]:
        """By camera; empty where no stage gives any."""
        return self._tables(self._tracks) if self.tracker else {}

    def _of(self, labels: NDArray[np.int32]) -> NDArray[np.int64] | int:
        return ANY_CLASS if self._classes is None else self._classes[labels]

    def _tables(self, rows: _Rows) -> dict[str, MotTable]:
        nothing = np.empty((0, 8))
        return {
            camera: table_from_rows(np.concatenate([nothing, *rows[camera]]), camera)
            for camera in self._cameras
        }


def _last(graph: Graph, payload: type[Any]) -> str:
    """The last stage that gives this payload; predecessors come first in a graph."""
    names = [node.name for node in graph.nodes if node.stage.produces is payload]
    return names[-1] if names else ""
