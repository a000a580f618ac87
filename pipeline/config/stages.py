"""What the stages of a configuration may say, one class a kind."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.analytics.ground import GroundSpec
from pipeline.analytics.rules import AnyRule
from pipeline.config.base import (
    POLICIES,
    Name,
    Names,
    Pixels,
    PositiveSeconds,
    Seconds,
    Share,
    Strict,
    Workers,
)
from pipeline.queues import OnFull
from pipeline.tracking.spec import TrackSpec

_NO_DROPS = "Only block: the camera's next frame waits for what becomes of this one."


class BatchConfig(Strict):
    """How many packets a worker takes at once. Results do not depend on it."""

    max: int = Field(
        default=1, ge=1, le=64, description="Packets of all cameras together, at most."
    )
    wait_ms: float = Field(
        default=0.0, ge=0, le=1000, description="Waits this long for a full batch, milliseconds."
    )


class StageConfig(Strict):
    """What every stage may say."""

    after: Names = Field(
        default=(),
        description="Predecessors: decode or stages' names. Not written: a chain is built.",
    )
    workers: Workers = Field(default=1, description="Copies side by side, or auto: one a core.")
    queue: int | None = Field(
        default=None, ge=1, le=64, description="Packets its inbox holds; run.queue by default."
    )
    on_full: OnFull = Field(default=OnFull.BLOCK, description=f"Policy of its inbox. {POLICIES}")


class NetworkConfig(StageConfig):
    """A stage that runs a network."""

    model: str = Field(min_length=1, description="Name of a model, or path of its folder.")
    weights: str | None = Field(
        default=None, min_length=1, description="Another file for the model's weights."
    )
    engine: Names = Field(
        default=(),
        description="Id of an engine, or of several: the next takes over where one fails; auto: "
        "the fastest, measured on this machine. Not needed if there is only one.",
    )
    workers: Workers = Field(
        default="auto", description="Copies side by side, or auto: one a core."
    )
    batch: BatchConfig = Field(default=BatchConfig(), description="Packets taken at once.")


class DetectConfig(NetworkConfig):
    """Runs the detector's network."""

    kind: Literal["detect"] = "detect"


class BackboneConfig(NetworkConfig):
    """Runs a two-stage detector's first network: features, and where something might be."""

    kind: Literal["backbone"] = "backbone"


class RoiHeadConfig(NetworkConfig):
    """Runs a two-stage detector's second network on the features of all proposals."""

    kind: Literal["roi_head"] = "roi_head"
    rois: int = Field(
        default=256,
        ge=1,
        le=4096,
        description="Proposals in one call, at most; of all packets of a batch together. A network "
        "compiled for a number takes that.",
    )


class EmbedConfig(NetworkConfig):
    """Runs the ReID network on the crops of the detections."""

    kind: Literal["embed"] = "embed"
    when: Literal["needed", "always"] = Field(
        default="needed",
        description="Looks at detections that are new, ambiguous or stale (see tracking.md), or "
        "at all in every frame.",
    )
    refresh_s: PositiveSeconds = Field(
        default=1.0,
        description="Where needed: stale after so long without a look, seconds.",
    )
    min_score: Share = Field(
        default=0.6, description="Detections with less are not looked at, 0 to 1."
    )


class ClassifyConfig(NetworkConfig):
    """Runs a classifier or a text recogniser on crops: of the tracks behind a tracker, else of the
    detections."""

    kind: Literal["classify"] = "classify"
    of: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Labels to look at; all by default."
    )
    min_size: int = Field(
        default=16, ge=1, description="Narrower or lower objects are not looked at, pixels."
    )
    min_score: Share = Field(
        default=0.5, description="Objects with less are not looked at, 0 to 1."
    )
    sure: Share = Field(
        default=0.9,
        description="Of tracks: looked at until a value has this share of the votes (see "
        "cascade.md), 0 to 1.",
    )
    refresh_s: PositiveSeconds = Field(
        default=2.0, description="Looked at again after so long, seconds."
    )


class KernelConfig(StageConfig):
    """A stage of plain code that an engine can run as a kernel."""

    engine: Names = Field(
        default=(),
        description="Id of an engine that runs it as a kernel (see kernels.md), or of several: the "
        "next takes over where one fails. By default plain code on the host.",
    )


class PreprocessConfig(KernelConfig):
    """Makes the network's input of a picture, as the model says."""

    kind: Literal["preprocess"] = "preprocess"
    model: str = Field(default="", description="By default that of the detector behind it.")
    weights: str | None = Field(default=None, description="Goes with the model.")
    size: tuple[Pixels, Pixels] | None = Field(
        default=None,
        description="Width and height of the network's input, pixels, where it takes any; by "
        "default as the model says.",
    )
    fast: bool = Field(
        default=True,
        description="Resizes the decoder's planes before colour conversion; else after.",
    )


class ObjectsConfig(KernelConfig):
    """What a stage may say that makes detections of a network's outputs."""

    score: Share = Field(default=0.1, description="Detections with less are left out, 0 to 1.")
    nms_iou: Share = Field(
        default=0.5,
        description="Of two boxes of a class that overlap more the better stays, IoU 0 to 1.",
    )
    classes: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Labels to keep; all by default."
    )
    max_detections: int = Field(default=300, ge=1, le=10_000, description="The best of one frame.")


class PostprocessConfig(ObjectsConfig):
    """Makes detections in source pixels of the network's outputs."""

    kind: Literal["postprocess"] = "postprocess"
    model: str = Field(default="", description="By default that of the detector before it.")
    weights: str | None = Field(default=None, description="Goes with the model.")


class ProposalsConfig(KernelConfig):
    """Makes proposals of the first network's outputs: anchors, deltas, clipping, suppression."""

    kind: Literal["proposals"] = "proposals"
    keep: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="The best of one frame; by default as the model says, and so the next two.",
    )
    candidates: int | None = Field(
        default=None, ge=1, le=100_000, description="Of each level, before suppression."
    )
    nms_iou: Share | None = Field(
        default=None,
        description="Of two of a level that overlap more the better stays, IoU 0 to 1.",
    )


class RoiAlignConfig(KernelConfig):
    """Pools the features under each proposal to the second network's size."""

    kind: Literal["roi_align"] = "roi_align"


class BoxesConfig(ObjectsConfig):
    """Makes detections in source pixels of the second network's outputs."""

    kind: Literal["boxes"] = "boxes"


class CameraMotionConfig(StageConfig):
    """Measures how a camera moves, so that the tracks can move with it."""

    kind: Literal["camera_motion"] = "camera_motion"
    width: int = Field(
        default=480, ge=64, le=4096, description="Of the small picture it looks at, pixels."
    )
    features: int = Field(
        default=100, ge=16, le=5000, description="Corners of the background it follows, at most."
    )


class MergeConfig(StageConfig):
    """Joins the detections of several detectors."""

    kind: Literal["merge"] = "merge"
    nms_iou: Share = Field(default=0.6, description="As in postprocess, between the detectors.")


class TrackerConfig(TrackSpec):
    """A tracker, and where it is kept."""

    state: str | None = Field(
        default=None,
        min_length=1,
        description="Folder in which tracks are kept, so that a restarted run goes on with the "
        "same identities. One run at a time.",
    )
    state_every_s: PositiveSeconds = Field(
        default=1.0, description="Tracks are saved so often, seconds of the frames' time."
    )
    resume_within_s: Seconds = Field(
        default=60.0,
        description="Tracks saved longer ago are gone; only their ids are not used again. Seconds.",
    )


class TrackConfig(KernelConfig, TrackerConfig):
    """Gives objects their identities."""

    kind: Literal["track"] = "track"


class KalmanConfig(KernelConfig, TrackerConfig):
    """The tracker in parts, the first: predicts the tracks. Its keys are those of all parts."""

    kind: Literal["kalman"] = "kalman"


class MatchingConfig(KernelConfig):
    """The second part: finds out which track has which detection."""

    kind: Literal["matching"] = "matching"
    on_full: Literal[OnFull.BLOCK] = Field(default=OnFull.BLOCK, description=_NO_DROPS)


class ScreeningConfig(StageConfig):
    """The last part: brings the tracks up to date and gives them out."""

    kind: Literal["screening"] = "screening"
    on_full: Literal[OnFull.BLOCK] = Field(default=OnFull.BLOCK, description=_NO_DROPS)


class AnalyseConfig(StageConfig):
    """Finds out what tracks mean: lines crossed, zones entered, crowds; see analytics.md."""

    kind: Literal["analyse"] = "analyse"
    rules: dict[Name, AnyRule] = Field(
        default={}, description="What is found out, by names of your own; each of one kind."
    )
    ground: tuple[GroundSpec, ...] = Field(
        default=(), description="Where pictures show the ground; then tracks have speeds."
    )
    speed_window_s: PositiveSeconds = Field(
        default=1.0, description="Speeds are means over about so long, seconds."
    )

    @model_validator(mode="after")
    def _speeds_are_known(self) -> Self:
        for name, rule in self.rules.items():
            if rule.kind == "speed" and not all(map(self._has_ground, rule.cameras or (None,))):
                raise ValueError(f"rule '{name}' needs to know the ground; write ground: [...]")
        return self

    def _has_ground(self, camera: str | None) -> bool:
        """Whether the ground is known at this camera; None: at any."""
        grounds = [spec.cameras for spec in self.ground]
        return None in grounds or any(camera in (None, *cameras) for cameras in grounds if cameras)


AnyStage = Annotated[
    PreprocessConfig
    | DetectConfig
    | PostprocessConfig
    | BackboneConfig
    | ProposalsConfig
    | RoiAlignConfig
    | RoiHeadConfig
    | BoxesConfig
    | CameraMotionConfig
    | EmbedConfig
    | MergeConfig
    | TrackConfig
    | KalmanConfig
    | MatchingConfig
    | ScreeningConfig
    | ClassifyConfig
    | AnalyseConfig,
    Field(discriminator="kind"),
]
KINDS = (
    "preprocess",
    "detect",
    "postprocess",
    "backbone",
    "proposals",
    "roi_align",
    "roi_head",
    "boxes",
    "camera_motion",
    "embed",
    "merge",
    "track",
    "kalman",
    "matching",
    "screening",
    "classify",
    "analyse",
)
