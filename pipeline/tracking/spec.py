"""The `track:` section of a configuration."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Ratio = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Gate = Annotated[float, Field(gt=0, le=1)]
Round = Literal["high", "low", "reid"]


class IouGates(BaseModel):
    """Least IoU of a predicted and a detected box that may match, by association round.

    Less the class penalty, and in the round `high` times the score where `fuse_score` is on.
    """

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    high: Gate = 0.2
    """Confirmed and lost tracks with detections of a high score."""
    tentative: Gate = 0.3
    """Tentative tracks with what the confirmed ones left."""
    low: Gate = 0.5
    """Confirmed tracks, not lost ones, with detections of a low score."""


class TrackSpec(BaseModel):
    """How one camera's detections become tracks. All times are in seconds, never in frames."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    motion: Literal["kalman", "filterpy"] = "kalman"
    """Motion filter: `kalman` is the batched one, `filterpy` the slow reference for checking."""

    # Not strict: a list is what YAML has for a tuple.
    association: Annotated[tuple[Round, ...], Field(strict=False, min_length=1)] = (
        "high",
        "low",
        "reid",
    )
    """Association rounds in their order; `reid` does nothing where no embeddings come."""

    high_score: Ratio = 0.6
    """Detections from this score on (0..1) take part in the round `high`."""

    low_score: Ratio = 0.1
    """Detections below this score (0..1) are ignored; from it on they take part in `low`."""

    new_score: Ratio = 0.6
    """An unmatched detection from this score on (0..1) starts a tentative track."""

    iou: IouGates = IouGates()
    """Least overlap by round, 0..1."""

    fuse_score: bool = True
    """In round `high` the overlap is multiplied by the detection's score (ByteTrack's fusion)."""

    class_penalty: Ratio = 0.2
    """Taken off the overlap where track and detection differ in class; 1 never lets them match."""

    max_lost_s: Seconds = 2.0
    """A track that was not matched for longer than this is removed, seconds."""

    tentative_lost_s: Seconds = 0.0
    """The same for a tentative track; with 0 the first miss removes it, seconds."""

    min_hits: Annotated[int, Field(ge=1)] = 3
    """Detections after which a track is confirmed and gets out; 1 confirms at once."""

    min_score: Ratio = 0.0
    """Screening: tracks of a lower mean score (0..1) are not given out."""

    min_area: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Screening: tracks of a smaller mean box area are not given out, pixels²."""

    measured_share: Ratio = 0.5
    """Of the box that goes out, how much is the detection's and not the filter's, 0..1."""

    reid_similarity: Gate = 0.6
    """Round `reid`: least cosine similarity of a lost track's gallery and a detection, 0..1."""

    reid_momentum: Ratio = 0.9
    """Share of the old gallery in its exponential average, per matched detection, 0..1."""

    @model_validator(mode="after")
    def _consistent(self) -> TrackSpec:
        if self.low_score > self.high_score:
            raise ValueError(f"low_score {self.low_score} is above high_score {self.high_score}")
        if len(set(self.association)) < len(self.association):
            raise ValueError("association names a round twice; each runs once a frame")
        return self
