"""What packets carry from stage to stage. Every array has one owner and is read-only once sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.analytics.event import Analysis
from pipeline.detection.detections import Detections
from pipeline.detection.proposals import Proposals
from pipeline.media.geometry import Placement
from pipeline.media.picture import Picture
from pipeline.recognition.looks import Looks
from pipeline.tracking.camera_motion import CameraMotion
from pipeline.tracking.steps import Match, Step
from pipeline.tracking.track import Tracks

#: As `Tracker.saved` gives it.
TrackerState = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """decode → preprocess: the picture as it was decoded."""

    picture: Picture


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """preprocess → detect or backbone.

    Attributes:
        picture: kept for later crops and drawing.
        tensor: one network input with a leading 1, in the model's layout and dtype; empty on a
            blind frame.
        placement: how source pixels map to input pixels.
    """

    picture: Picture
    tensor: NDArray[Any]
    placement: Placement


@dataclass(frozen=True, slots=True, eq=False)
class ModelOutput:
    """detect → postprocess, backbone → proposals.

    Attributes:
        tensors: the network's outputs by name, each with a leading 1; empty on a blind frame.
    """

    picture: Picture
    tensors: Mapping[str, NDArray[Any]]
    placement: Placement


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """proposals → roi_align.

    Attributes:
        features: the feature maps that are pooled from, finest first, each (1, C, rows, columns);
            empty on a blind frame.
        proposals: in pixels of the network's input; none on a blind frame.
    """

    picture: Picture
    placement: Placement
    features: Mapping[str, NDArray[np.float32]]
    proposals: Proposals


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """roi_align → roi_head.

    Attributes:
        proposals: N, in pixels of the first network's input.
        tensors: the second network's input by name, (N, C, rows, columns); empty on a blind frame.
    """

    picture: Picture
    placement: Placement
    proposals: Proposals
    tensors: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class RoiOutput:
    """roi_head → boxes.

    Attributes:
        proposals: N, in pixels of the first network's input.
        tensors: the second network's outputs by name, N rows each; empty on a blind frame.
    """

    picture: Picture
    placement: Placement
    proposals: Proposals
    tensors: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """postprocess or boxes → embed → track.

    Attributes:
        detections: in source pixels, sorted by falling score; empty on a blind frame.
        embeddings: (N, D) float32, L2-normalised, one a detection, zero where it was
            not looked at; None where no `embed` ran.
        camera_motion: since the camera's last frame; None where it is not known.
        proposals: that a two-stage detector looked at, in source pixels; None of any other.
        looks: at the N detections' attributes, by name.
    """

    picture: Picture
    detections: Detections
    embeddings: NDArray[np.float32] | None = None
    camera_motion: CameraMotion | None = None
    proposals: Proposals | None = None
    looks: Mapping[str, Looks] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """kalman → matching.

    Attributes:
        detected: what the tracks are to be matched with.
        step: how far they were predicted.
        state: all that is known of the camera's tracks, in this frame.
    """

    detected: Detected
    step: Step
    state: TrackerState


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """matching → screening.

    Attributes:
        detected: as in `Predicted`.
        match: which track has which detection; None where nothing is known of the frame.
        state: as in `Predicted`.
    """

    detected: Detected
    match: Match | None
    state: TrackerState


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """track or screening → outputs.

    Attributes:
        proposals: as in `Detected`.
        state: for the camera's next frame, see `Predicted`; None of a tracker that is one stage.
        analysis: what the tracks mean; None where no `analyse` ran.
    """

    picture: Picture
    detections: Detections
    tracks: Tracks
    proposals: Proposals | None = None
    state: TrackerState | None = None
    analysis: Analysis | None = None
