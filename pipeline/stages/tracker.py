"""What the stages share that make a tracker, whole (`track`) or in parts (`kalman` and so on)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.config.stages import ClassifyConfig, EmbedConfig, NetworkConfig, TrackerConfig
from pipeline.errors import ConfigError
from pipeline.network import BoundNetwork
from pipeline.packet import FrameInfo
from pipeline.planning import Planner
from pipeline.tracking.cost import Pairs, Similarity, positive
from pipeline.tracking.motion import Floats
from pipeline.tracking.spec import TrackSpec
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.warm_restart import Keeping

AnyTracker = TypeVar("AnyTracker", bound=TrackerConfig)


class FreeIds:
    """From where on a camera's ids are free; no track gets one that another had in this run."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}

    def left(self, camera: str, tracker: Tracker) -> None:
        """A tracker of that camera is gone."""
        self._first[camera] = tracker.next_id

    def begin(self, camera: str, tracker: Tracker) -> None:
        """A tracker of that camera is new."""
        tracker.next_id = max(tracker.next_id, self._first.get(camera, 0))

    def take_over(self, before: FreeIds, trackers: Mapping[str, Tracker]) -> None:
        """Those of another stage are gone: what it knew itself, and what its trackers know."""
        self._first |= before._first
        for camera, tracker in trackers.items():
            self.left(camera, tracker)


def tracker_for(spec: TrackSpec, frame: FrameInfo, similarity: Similarity | None = None) -> Tracker:
    """A new tracker for pictures of the frame's size."""
    screening = spec.screening.in_pixels((frame.width, frame.height))
    return Tracker(spec.model_copy(update={"screening": screening}), similarity)


def similarity(on_iou: BoundNetwork, on_cosine: BoundNetwork) -> Similarity:
    """What compares on engines, which see no empty lists: not all of them can."""

    def overlaps(a_xyxy: NDArray[Any], b_xyxy: NDArray[Any]) -> Pairs:
        return positive(_matrix(on_iou, a_xyxy, b_xyxy))

    def cosines(a: NDArray[Any], b: NDArray[Any]) -> Floats:
        return _matrix(on_cosine, a, b)

    return Similarity(overlaps, cosines)


def _matrix(network: BoundNetwork, a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """What a kernel of two lists gives, (N, M)."""
    if not len(a) or not len(b):
        return np.zeros((len(a), len(b)))
    (matrix,) = network.run({"a": a.astype(np.float32), "b": b.astype(np.float32)}).values()
    return matrix.astype(np.float64)


def check_rounds(spec: TrackSpec) -> None:
    """Sees that kernels can compare what the association's rounds compare.

    Raises:
        ConfigError: one compares what no kernel does.
    """
    for round_name in spec.association:
        kind = spec.rounds[round_name].similarity
        if kind not in ("iou", "cosine"):
            raise ConfigError(
                f"no engine compares by {kind}, as the round {round_name} does; leave `engine` out "
                "or compare by iou"
            )


def numbered(planner: Planner, name: str, config: AnyTracker) -> AnyTracker:
    """The stage's configuration with numbers for the labels that its screening names.

    Raises:
        ConfigError: there is no such label.
    """
    with planner.located("stages", name):
        screening = config.screening.numbered(planner.labels(name))
    # What another network says of an object cannot be compared with what tracks remember.
    for other, embed in planner.all_ahead(name, EmbedConfig).items():
        planner.model(other, "embed", embed.model, embed.weights)
    for other, classify in planner.all_ahead(name, ClassifyConfig).items():
        planner.model(other, ("classify", "recognise"), classify.model, classify.weights)
    return config.model_copy(update={"screening": screening})


def keeping(planner: Planner, name: str, config: TrackerConfig) -> Keeping | None:
    """How the trackers are kept; for those of another tracker or other models they are not."""
    if config.state is None:
        return None
    tracker = config.model_dump(mode="json", include=TrackSpec.model_fields.keys() - {"preset"})
    stages = planner.config.stages.values()
    models = [(s.model, s.weights) for s in stages if isinstance(s, NetworkConfig)]
    made_by = json.dumps([tracker, models, planner.labels(name)], sort_keys=True)
    planner.note(made_by)
    return Keeping(Path(config.state), config.state_every_s, config.resume_within_s, made_by)
