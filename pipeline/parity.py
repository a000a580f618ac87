"""The same frames through two bindings: which stage differs first, and by how much."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.detection.boxes import iou_matrix
from pipeline.errors import GraphError
from pipeline.evaluation.detection_ap import average_precision
from pipeline.evaluation.evaluate import combine, evaluate
from pipeline.evaluation.mot_files import MotTable, one_after_another
from pipeline.graph import Graph
from pipeline.packet import Packet
from pipeline.payloads import (
    Detected,
    Matched,
    ModelInput,
    ModelOutput,
    Pooled,
    Predicted,
    Proposed,
    RoiOutput,
    Tracked,
    TrackerState,
)
from pipeline.results import Results
from pipeline.serial import Step, run_alone, run_serially
from pipeline.tracking.steps import Match
from pipeline.tracking.track import Tracks

#: Up to here two tensors, relative to the larger one's magnitude, count as equal.
TOLERANCE = 1e-3
#: Up to here two boxes, and two motions of the camera, count as equal, pixels.
BOX_TOLERANCE = 0.5


@dataclass(slots=True)
class StageParity:
    """How two runs of one stage compare.

    Attributes:
        stage: its name.
        frames: compared.
        differing: frames that differ by more than the tolerance.
        largest: by what was compared (a tensor's name, ``boxes px``, ``objects``, ``camera px``,
            ``ids``, ``attribute colour``), the largest difference: of tensors relative, of what
            ends in px in pixels, else a count.
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
            where no stage gives detections or there are none, or each stage ran alone.
        tracks: scores of the second one's tracks where the first one's are the truth, ratios in
            percent; empty where no stage gives tracks or there are none, or each stage ran alone.
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
    if what.endswith(" px"):
        return BOX_TOLERANCE
    return 0 if what in ("objects", "ids", "tracks", "pairs") else TOLERANCE


def compare(one: Graph, other: Graph, frames: int | None = None, *, alone: bool = False) -> Parity:
    """Runs both side by side, frame by frame.

    Args:
        one: the reference.
        other: the same stages, bound otherwise.
        frames: how many at most, over all cameras; None for all.
        alone: each stage of the other gets what the reference's stages gave before it, tracks that
            come back included, and so shows its own error only; else its own side's results, so
            that an error goes on to the stages behind it, up to the scores.

    Raises:
        GraphError: a camera is live.
        SourceError, StageError: a camera or a stage of either does not open.
    """
    names = [node.name for node in one.nodes if not node.is_sink]
    stages = {name: StageParity(name) for name in names}
    first, second = one.without_sinks(), other.without_sinks()
    require_recorded(first)
    results = Results(first), Results(second)
    with _steps(first, second, alone) as pairs:
        for pair in islice(pairs, frames):
            for name in names:
                for a, b in zip(pair[0][name], pair[1][name], strict=True):
                    stages[name].add(difference(a, b))
            for side, step in zip(results, pair, strict=True):
                side.add(step)
    compared = tuple(stages.values())
    if alone:
        return Parity(compared, None, {})
    return Parity(compared, agreement(*results), _scores(*results))


@contextmanager
def _steps(one: Graph, other: Graph, alone: bool) -> Iterator[Iterator[tuple[Step, Step]]]:
    """What the stages of both give, frame by frame."""
    with run_serially(one) as left:
        if alone:
            with run_alone(other) as follow:
                yield ((step, follow(step)) for step in left)
        else:
            with run_serially(other) as right:
                yield zip(left, right, strict=True)


def difference(a: Packet[Any], b: Packet[Any]) -> dict[str, float]:
    """How far one stage's results for a frame are apart, by what was compared."""
    one, other = a.payload, b.payload
    if isinstance(one, ModelInput):
        return {"tensor": relative(one.tensor, other.tensor)}
    if isinstance(one, Proposed):
        return _apart(one.proposals.boxes_xyxy, other.proposals.boxes_xyxy)
    if isinstance(one, ModelOutput | Pooled | RoiOutput):
        return {name: relative(one.tensors[name], other.tensors.get(name)) for name in one.tensors}
    if isinstance(one, Tracked):
        apart = _apart(one.tracks.boxes_xyxy, other.tracks.boxes_xyxy)
        apart["ids"] = float(len(np.setxor1d(one.tracks.ids, other.tracks.ids)))
        apart |= _attributes_apart(one.tracks, other.tracks)
        return apart | _states_apart(one.state or {}, other.state or {})
    if isinstance(one, Predicted):
        return _states_apart(one.state, other.state)
    if isinstance(one, Matched):
        return {"pairs": float(len(_pairs(one.match) ^ _pairs(other.match)))}
    if isinstance(one, Detected):
        found = _apart(one.detections.boxes_xyxy, other.detections.boxes_xyxy)
        if not found["objects"]:
            found |= _seen_apart(one, other)
        return found | _motion_apart(one, other)
    return {}


def relative(one: NDArray[Any], other: NDArray[Any] | None) -> float:
    """Largest difference of two tensors over the larger magnitude; infinite if shapes differ."""
    if other is None or one.shape != other.shape:
        return float("inf")
    if np.array_equal(one, other):
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


def _seen_apart(one: Detected, other: Detected) -> dict[str, float]:
    """How far apart is what second networks gave for the same detections."""
    apart = {}
    if one.embeddings is not None:
        apart["embeddings"] = relative(one.embeddings, other.embeddings)
    for name, looks in one.looks.items():
        theirs = other.looks.get(name)
        apart[f"looks {name}"] = relative(looks.weights, theirs.weights if theirs else None)
    return apart


def _attributes_apart(one: Tracks, other: Tracks) -> dict[str, float]:
    """How many tracks are called otherwise, by attribute; infinite beside none."""
    apart = {}
    _, here, there = np.intersect1d(one.ids, other.ids, return_indices=True)
    for name, ours in one.attributes.items():
        if (theirs := other.attributes.get(name)) is None:
            apart[f"attribute {name}"] = float("inf")
        else:
            differing = ours.values[here] != theirs.values[there]
            apart[f"attribute {name}"] = float(np.count_nonzero(differing))
    return apart


def _states_apart(one: TrackerState, other: TrackerState) -> dict[str, float]:
    """Two states of a tracker: identities that only one has, else how far the numbers are apart."""
    if not one or not other:
        return {"state": float("inf")} if one or other else {}
    ids, others = (state["book.records"]["id"] for state in (one, other))
    alone = len(np.setxor1d(ids, others))
    if alone:
        return {"tracks": float(alone)}
    numbers = [name for name, array in one.items() if array.dtype.kind == "f"]
    return {"state": max(relative(one[name], other.get(name)) for name in numbers)}


def _pairs(match: Match | None) -> set[tuple[int, int]]:
    """Tracks with their detections; nothing is matched where nothing is known."""
    if match is None:
        return set()
    return set(zip(match.tracks.tolist(), match.detections.tolist(), strict=True))


def _motion_apart(one: Detected, other: Detected) -> dict[str, float]:
    """How far apart two camera motions take the picture's corners, pixels; infinite beside none."""
    a, b = one.camera_motion, other.camera_motion
    if a is None or b is None:
        return {} if a is b else {"camera px": float("inf")}
    width, height = one.picture.width, one.picture.height
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]])
    return {"camera px": float(np.abs(corners @ (a.matrix - b.matrix).T).max())}


def require_recorded(graph: Graph) -> None:
    """Sees that every camera gives the same frames each time.

    Raises:
        GraphError: one is live.
    """
    for camera in graph.without_paused().cameras:
        if camera.live:
            raise GraphError(
                f"camera {camera.id!r} is live: it would show each side other frames; record it "
                "first, and compare on the recording"
            )


def agreement(one: Results, other: Results) -> float | None:
    """AP50 of the second's detections where the first's are the truth, 0..1.

    None where no stage gives detections, or the first has none.
    """
    pairs = _by_camera(one.detections(), other.detections())
    if not any(len(truth) for truth, _ in pairs):
        return None
    return average_precision(*one_after_another(pairs))


def _scores(one: Results, other: Results) -> dict[str, float]:
    pairs = _by_camera(one.tracks(), other.tracks())
    if not any(len(truth) for truth, _ in pairs):
        return {}
    summary = combine(evaluate(*pair) for pair in pairs).summary()
    return {name: summary[name] for name in ("HOTA", "MOTA", "IDF1", "IDSW")}


def _by_camera(
    one: Mapping[str, MotTable], other: Mapping[str, MotTable]
) -> list[tuple[MotTable, MotTable]]:
    return [(table, other[camera]) for camera, table in one.items() if camera in other]
