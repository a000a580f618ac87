"""The `track:` section of a configuration: a preset, and what is different from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.tracking import presets
from pipeline.tracking.screening import ScreeningSpec

Ratio = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Gate = Annotated[float, Field(gt=0, le=1)]


class RoundSpec(BaseModel):
    """One round of the association: an assignment among what earlier rounds left free."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    # Not strict: a list is what YAML has for a tuple.
    tracks: Annotated[
        tuple[Literal["tentative", "confirmed", "lost", "removed"], ...],
        Field(strict=False, min_length=1),
    ] = ("confirmed", "lost")
    """Which tracks take part, by their state; removed ones are there while they are remembered."""

    detections: Literal["high", "low", "any"] = "high"
    """Which detections: from `high_score` on, below it, or all; none below `low_score`."""

    similarity: Literal["iou", "giou", "diou", "hmiou", "cosine"] = "iou"
    """What is compared: boxes by IoU, GIoU, DIoU or height-modulated IoU, or embeddings."""

    boxes: Literal["predicted", "observed"] = "predicted"
    """A track's box: where the filter expects it, or where it was last detected (OC-SORT)."""

    grow: Annotated[float, Field(ge=0, le=5)] = 0.0
    """Boxes grow by this share of their size to each side before they are compared (C-BIoU)."""

    at_least: Gate = 0.2
    """Least similarity of a pair, 0..1, with all that is taken off it and added to it."""

    newcomers: Ratio = 0.0
    """Tentative tracks then choose from what is left, with at least this similarity; 0: do not."""

    foot: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Weight k of where boxes stand: times exp(-k d²), d from foot to foot in heights of a box."""

    fuse_score: bool = False
    """The similarity is multiplied by the detection's score (ByteTrack)."""

    momentum: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0
    """Weight of how well the way to the detection keeps the track's direction (OC-SORT)."""

    appearance: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] = 0.0
    """Weight of how far the cosine of a pair is above `same_from`, added to that of its boxes."""

    same_from: Annotated[float, Field(ge=-1, le=1)] = 0.7
    """Cosine from which two embeddings speak for the same object; below it, against."""

    appearance_gate: Ratio = 0.0
    """Pairs with a cosine from here on count as alike as their looks are (BoT-SORT); 0: none."""

    margin: Ratio = 0.0
    """By `cosine`: a pair must be this much more alike than its track's and detection's next."""

    mahalanobis: bool = False
    """Only pairs inside the filter's 95 % gate (DeepSORT)."""

    recent_first: bool = False
    """Tracks seen more recently choose first (DeepSORT's matching cascade)."""


class TrackSpec(BaseModel):
    """How one camera's detections become tracks. All times are in seconds, never in frames."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    preset: str = presets.DEFAULT
    """sightline, sort, deepsort, bytetrack, ocsort, botsort or a YAML file; other keys override."""

    motion: Literal["kalman", "filterpy"] = "kalman"
    """Motion filter: `kalman` is the batched one, `filterpy` the slow reference for checking."""

    motion_model: Literal["xywh", "xyah", "xysr", "xywh-botsort"] = "xywh"
    """What describes a box, and its noise: our own, DeepSORT's, SORT's or BoT-SORT's (`forms`)."""

    reupdate: bool = False
    """A track found again is led to its new box by virtual observations first (OC-SORT)."""

    association: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] = ()
    """Names of the association's rounds in their order; one by `cosine` needs a stage `embed`."""

    rounds: dict[str, RoundSpec] = {}
    """The rounds by name; what is left out of one is the preset's."""

    high_score: Ratio = 0.6
    """Detections from this score on (0..1) are `high`."""

    low_score: Ratio = 0.1
    """Detections below this score (0..1) are ignored."""

    new_score: Ratio = 0.6
    """An unmatched detection from this score on (0..1) starts a tentative track."""

    far_s: Seconds = 0.2
    """Frames farther apart loosen the gates of boxes in proportion, and no camera is seen in them;
    seconds, 0: however far apart they are, they count as near."""

    class_penalty: Ratio = 0.2
    """Taken off a similarity where the classes differ; 1 never lets them match."""

    max_lost_s: Seconds = 2.0
    """A track that was not matched for longer than this is removed, seconds."""

    lost_per_age: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    """Nor is it kept for longer than 0.2 s and this times its age when it was lost; 0: no rule."""

    remember_s: Seconds = 60.0
    """The looks of a removed track are kept for so long, if a round takes removed ones, seconds."""

    tentative_lost_s: Seconds = 0.0
    """The same for a tentative track; with 0 the first miss removes it, seconds."""

    min_hits: Annotated[int, Field(ge=1)] = 3
    """Detections after which a track is confirmed and gets out; 1 confirms at once."""

    evidence: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    """It is confirmed earlier when its scores say so: Σ -ln(1 - score), nats; 0: it is not."""

    screening: ScreeningSpec = ScreeningSpec()
    """Which of the confirmed tracks are given out."""

    rivalry: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 2.0
    """Doubt about a box that another track overlaps: its variance is times 1 + this · their IoU."""

    common_motion: bool = True
    """Whether the shift that all objects share (a camera that moves) is read off their boxes."""

    extrapolate_s: Seconds = 0.5
    """An established track that was lost is given out as predicted for so long; 0: never."""

    extrapolate_score: Ratio = 0.9
    """Mean score (0..1) that such a track must have."""

    measured_share: Ratio = 0.55
    """Of the box that goes out, how much is the detection's and not the filter's, across, 0..1."""

    measured_share_down: Ratio = 0.2
    """The same of its top and bottom, which jitter more, 0..1."""

    gallery: Annotated[int, Field(ge=1, le=1000)] = 1
    """Embeddings kept of a track, of which the most alike counts; 1 keeps their average."""

    gallery_momentum: Ratio = 0.9
    """Share of the old gallery in its exponential average, per embedding, 0..1."""

    @model_validator(mode="before")
    @classmethod
    def _on_preset(cls, given: Any) -> Any:
        """The preset's keys under those that were given."""
        name = given.get("preset", presets.DEFAULT) if isinstance(given, dict) else None
        if not isinstance(name, str) or presets.problem(name):
            return given  # the fields' own checks say what is wrong
        return presets.merged(presets.read(name), given)

    @field_validator("preset")
    @classmethod
    def _known(cls, name: str) -> str:
        if problem := presets.problem(name):
            raise ValueError(problem)
        return name

    @model_validator(mode="after")
    def _consistent(self) -> TrackSpec:
        if self.low_score > self.high_score:
            raise ValueError(f"low_score {self.low_score} is above high_score {self.high_score}")
        if len(set(self.association)) < len(self.association):
            raise ValueError("association names a round twice; each runs once a frame")
        for name in self.association:
            if name not in self.rounds:
                known = ", ".join(self.rounds) or "none"
                raise ValueError(f"association: there is no round {name!r}; there are: {known}")
        if self.min_hits > 1 and not any(
            round_.newcomers or "tentative" in round_.tracks
            for round_ in (self.rounds[name] for name in self.association)
        ):
            raise ValueError("association: no round takes tentative tracks: none gets confirmed")
        return self
