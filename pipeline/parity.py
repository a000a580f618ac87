"""The same frames through two bindings: which stage differs first, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.detection.boxes import iou_matrix
from pipeline.detection.detections import Detections
from pipeline.evaluation.detection_ap import average_precision
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.mot_files import MotTable, table_from_rows
from pipeline.graph import Graph
from pipeline.packet import Packet
from pipeline.payloads import Detected, ModelInput, ModelOutput, Tracked
from pipeline.serial import Step, run_serially
from pipeline.tracking.track import TrackState

#: Up to here two tensors, relative to the larger one's magnitude, count as equal.
TOLERANCE = 1e-3
#: Up to here two boxes count as equal, pixels.
BOX_TOLERANCE = 0.5


@dataclass(slots=True)
class StageParity:
    """How two runs of one stage compare.

    Attributes:
        stage: its name.
        frames: compared.
        differing: frames that differ by more than the tolerance.
        largest: by what was compared (a tensor's name, ``boxes px``, ``objects``, ``ids``), the
            largest difference: of tensors relative, of boxes in pixels, else a count.
    """

    stage: str
    frames: int = 0
    differing: int = 0
    largest: dict[str, float] = field(default_factory=dict)

    def add(self, found: Mapping[str, float]) -> None:
        """Counts one frame."""
        self.frames += 1
        self.differing += any(value > tolerance(what) for what, value in found.items())
        for what, value in found.items():
            self.largest[what] = max(self.largest.get(what, 0.0), value)


@dataclass(frozen=True, slots=True)
class Parity:
    """How two bindings of one graph compare.

    Attributes:
        stages: in the order of the graph.
        ap50: of the second one's detections where the first one's are the truth, 0..1; None
            where no stage gives detections or there are none.
        tracks: scores of the second one's tracks where the first one's are the truth, ratios in
            percent; empty where no stage gives tracks or there are none.
    """

    stages: tuple[StageParity, ...]
    ap50: float | None
    tracks: dict[str, float]

    @property
    def first(self) -> StageParity | None:
        """The first stage that differs."""
        return next((stage for stage in self.stages if stage.differing), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        first = self.first.stage if self.first else None
        return {"first": first} | asdict(self)


def tolerance(what: str) -> float:
    """Up to which difference of this kind two frames count as equal."""
    if what == "boxes px":
        return BOX_TOLERANCE
    return 0 if what in ("objects", "ids") else TOLERANCE


def compare(one: Graph, other: Graph, frames: int | None = None) -> Parity:
    """Runs both side by side, frame by frame.

    Args:
        one: the reference.
        other: the same stages, bound otherwise.
        frames: how many at most, over all cameras; None for all.

    Raises:
        SourceError, StageError: a camera or a stage of either does not open.
    """
    names = [node.name for node in one.nodes if not node.is_sink]
    stages = {name: StageParity(name) for name in names}
    boxes: tuple[list[MotTable], list[MotTable]] = ([], [])
    tracks: tuple[list[MotTable], list[MotTable]] = ([], [])
    first, second = one.without_sinks(), other.without_sinks()
    with run_serially(first) as left, run_serially(second) as right:
        for number, pair in enumerate(_pairs(left, right, frames), 1):
            for name in names:
                for a, b in zip(pair[0][name], pair[1][name], strict=True):
                    stages[name].add(difference(a, b))
                    for side, packet in enumerate((a, b)):
                        _collect(packet, number, boxes[side], tracks[side])
    return Parity(tuple(stages.values()), _ap50(*boxes), _scores(*tracks))


def difference(a: Packet[Any], b: Packet[Any]) -> dict[str, float]:
    """How far one stage's results for a frame are apart, by what was compared."""
    one, other = a.payload, b.payload
    if isinstance(one, ModelInput):
        return {"tensor": relative(one.tensor, other.tensor)}
    if isinstance(one, ModelOutput):
        return {name: relative(one.tensors[name], other.tensors.get(name)) for name in one.tensors}
    if isinstance(one, Tracked):
        apart = _apart(one.tracks.boxes_xyxy, other.tracks.boxes_xyxy)
        return apart | {"ids": float(len(np.setxor1d(one.tracks.ids, other.tracks.ids)))}
    if isinstance(one, Detected):
        found = _apart(one.detections.boxes_xyxy, other.detections.boxes_xyxy)
        if one.embeddings is not None and not found["objects"]:
            found["embeddings"] = relative(one.embeddings, other.embeddings)
        return found
    return {}


def relative(one: NDArray[Any], other: NDArray[Any] | None) -> float:
    """Largest difference of two tensors over the larger magnitude; infinite if shapes differ."""
    if other is None or one.shape != other.shape:
        return float("inf")
    if not one.size:
        return 0.0
    a, b = one.astype(np.float64), other.astype(np.float64)
    magnitude = max(np.abs(a).max(), np.abs(b).max())
    return float(np.abs(a - b).max() / magnitude) if magnitude else 0.0


def _apart(one: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, float]:
    """Boxes of one frame, each with the one that overlaps it most: pixels, and how many more."""
    iou = iou_matrix(one, other)
    rows, columns = linear_sum_assignment(-iou)
    matched = iou[rows, columns] > 0.5
    pixels = np.abs(one[rows[matched]] - other[columns[matched]]).max(initial=0.0)
    alone = len(one) + len(other) - 2 * int(matched.sum())
    return {"boxes px": float(pixels), "objects": float(alone)}


def _pairs(
    left: Iterator[Step], right: Iterator[Step], frames: int | None
) -> Iterator[tuple[Step, Step]]:
    for number, pair in enumerate(zip(left, right, strict=True)):
        if number == frames:
            return
        yield pair


def _collect(
    packet: Packet[Any], frame: int, boxes: list[MotTable], tracks: list[MotTable]
) -> None:
    payload = packet.payload
    if isinstance(payload, Detected):
        found = payload.detections
        ids = np.full(len(found), -1)
        boxes.append(_table(frame, ids, found))
    elif isinstance(payload, Tracked):
        sure = payload.tracks.states == TrackState.CONFIRMED
        t = payload.tracks
        found = Detections(t.boxes_xyxy[sure], t.scores[sure], t.labels[sure])
        tracks.append(_table(frame, t.ids[sure], found))


def _table(frame: int, ids: NDArray[Any], found: Detections) -> MotTable:
    size = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
    columns = [
        np.full(len(found), frame), ids, *found.boxes_xyxy[:, :2].T, *size.T,
        found.scores, found.labels,
    ]  # fmt: skip
    return table_from_rows(np.column_stack(columns).tolist())


def _joined(tables: Sequence[MotTable]) -> MotTable:
    return MotTable(
        np.concatenate([table.frames for table in tables]),
        np.concatenate([table.ids for table in tables]),
        np.concatenate([table.boxes_xywh for table in tables]),
        np.concatenate([table.scores for table in tables]),
        np.concatenate([table.classes for table in tables]),
    )


def _ap50(truth: list[MotTable], found: list[MotTable]) -> float | None:
    if not truth or not any(map(len, truth)):
        return None
    return average_precision(_joined(truth), _joined(found))


def _scores(truth: list[MotTable], found: list[MotTable]) -> dict[str, float]:
    if not truth or not any(map(len, truth)):
        return {}
    summary = evaluate(_joined(truth), _joined(found)).summary()
    return {name: summary[name] for name in ("HOTA", "MOTA", "IDF1", "IDSW")}
