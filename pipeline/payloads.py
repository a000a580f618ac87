"""What packets carry from stage to stage. Every array has one owner and is read-only once sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.detection.detections import Detections
from pipeline.media.geometry import Placement
from pipeline.media.picture import Picture
from pipeline.tracking.camera_motion import CameraMotion
from pipeline.tracking.track import Tracks


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """decode → preprocess: the picture as it was decoded."""

    picture: Picture


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """preprocess → detect.

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
    """detect → postprocess.

    Attributes:
        tensors: the network's outputs by name, each with a leading 1; empty on a blind frame.
    """

    picture: Picture
    tensors: Mapping[str, NDArray[Any]]
    placement: Placement


@dataclass(frozen=True, slots=True, eq=False)
class Detected:
    """postprocess → embed → track.

    Attributes:
        detections: in source pixels, sorted by falling score; empty on a blind frame.
        embeddings: (N, D) float32, L2-normalised, one a detection, zero where it was
            not looked at; None where no `embed` ran.
        camera_motion: since the camera's last frame; None where it is not known.
    """

    picture: Picture
    detections: Detections
    embeddings: NDArray[np.float32] | None = None
    camera_motion: CameraMotion | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tracked:
    """track → outputs."""

    picture: Picture
    detections: Detections
    tracks: Tracks
