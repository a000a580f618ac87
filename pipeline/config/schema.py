"""What a configuration may say: strict, frozen, every key with its unit and default.

The descriptions are the reference: they appear in the JSON Schema and in error messages.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, WithJsonSchema

from pipeline.config.document import Document
from pipeline.config.problem import spell
from pipeline.media.decoders import SOFTWARE
from pipeline.output.spec import OutputSpec
from pipeline.queues import OnFull
from pipeline.tracking.spec import TrackSpec

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
_POLICIES = "block: wait; drop_oldest, drop_newest: a frame goes, counted."
_NO_DROPS = "Only block: the camera's next frame waits for what becomes of this one."

Name = Annotated[str, Field(pattern=_NAME, max_length=64)]
#: In place of an engine's id: the fastest one.
AUTO = "auto"
# In a file one text may stand for a list of one (see `loading`).
_ONE_OR_MORE = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)
Names = Annotated[tuple[Name, ...], _ONE_OR_MORE]
Texts = Annotated[tuple[str, ...], _ONE_OR_MORE]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pixels = Annotated[int, Field(ge=1, le=16_384)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Workers = Annotated[int, Field(ge=1, le=64)] | Literal["auto"]


class Strict(BaseModel):
    """Base of all parts: no unknown keys, no converted types, nothing changes once read."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class CameraConfig(Strict):
    """One camera, file or folder."""

    id: Name = Field(description="Unique; names the camera in every output.")
    uri: str = Field(
        min_length=1,
        repr=False,  # may hold a password
        description="A video file, a folder of images, dir:…, glob:…, webcam:0, rtsp://…, "
        "http://… or rendered:day.",
    )
    max_fps: float | None = Field(
        default=None,
        gt=0,
        description="Frames taken per second at most; the rest is left at the entrance.",
    )
    pace: Literal["asap", "realtime"] = Field(
        default="asap",
        description="Files: as fast as the graph goes, or at the recording's own speed.",
    )
    on_full: OnFull | None = Field(
        default=None,
        description=f"At the entrance. {_POLICIES} By default files block, live drops the oldest.",
    )
    every: int = Field(default=1, ge=1, description="Takes every n-th frame.")
    start_s: Seconds = Field(default=0.0, description="Files: begins here, seconds.")
    end_s: Seconds | None = Field(default=None, description="Files: ends here, seconds.")
    loop: bool = Field(default=False, description="Files: begins again at the end, for ever.")
    fps: float = Field(
        default=25.0, gt=0, description="Of a folder or list of images, frames per second."
    )
    decoder: Texts = Field(
        default=(SOFTWARE,),
        min_length=1,
        description="Of videos: software, or hardware such as cuda, cuda:1, vaapi or videotoolbox; "
        "of several the next is taken where one is not there.",
    )
    decoder_threads: int = Field(
        default=1, ge=0, le=64, description="Threads of the decoder; 0: all cores."
    )
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="Of RTSP; UDP loses packets where TCP waits."
    )
    open_timeout_s: PositiveSeconds = Field(
        default=10.0, description="How long a network source may take to answer, seconds."
    )
    read_timeout_s: PositiveSeconds = Field(
        default=5.0, description="How long a network source may be silent, seconds."
    )
    stall_s: PositiveSeconds = Field(
        default=2.0, description="A camera that is silent for so long is told as stalled, seconds."
    )
    freeze_s: Seconds = Field(
        default=10.0,
        description="A camera that sends the same picture for so long is told as frozen, seconds; "
        "0: never.",
    )
    retry_s: PositiveSeconds = Field(
        default=2.0,
        description="A lost camera is tried again after so long at most, for ever, seconds.",
    )
    priority: Literal["high", "normal", "low"] = Field(
        default="normal", description="Whose frames go first, and last, under overload."
    )
    isolate: bool = Field(
        default=False, description="Decodes in a process of its own, which may hang or die alone."
    )
    paused: bool = Field(default=False, description="Known, but not connected to.")


class EngineConfig(BaseModel):
    """One engine: a backend on a device. Further keys are the backend's own options."""

    model_config = ConfigDict(
        extra="allow", frozen=True, strict=True, hide_input_in_errors=True, allow_inf_nan=False
    )

    backend: str = Field(description="See `sightline engines`.")
    device: str = Field(default="cpu", description="Device of the backend.")
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = Field(
        default=None, description="To compute in; by default what the network is stored in."
    )
    isolate: bool = Field(
        default=False, description="In a process of its own, which may hang or die alone."
    )
    timeout_s: PositiveSeconds | None = Field(
        default=None,
        description="Longer than this for one call is a hang; isolates the engine. Seconds.",
    )
    retry_s: PositiveSeconds = Field(
        default=1.0,
        description="A failed engine is tried again after so long, seconds.",
    )

    @property
    def options(self) -> dict[str, Any]:
        """The backend's own options, checked by the engines' registry."""
        return dict(self.model_extra or {})


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
    on_full: OnFull = Field(default=OnFull.BLOCK, description=f"Policy of its inbox. {_POLICIES}")


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
    | ClassifyConfig,
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
)


class OutputConfig(OutputSpec):
    """One output, and the stage it takes its packets from."""

    after: str = Field(default="", description="A stage's name; by default the last stage.")


class RunConfig(Strict):
    """The run as a whole."""

    queue: int = Field(
        default=4, ge=1, le=64, description="Packets an inbox holds, by camera or in all."
    )
    drain_s: Seconds = Field(
        default=5.0, description="A stopped run finishes what is under way for so long, seconds."
    )
    max_age_ms: float = Field(
        default=500.0,
        gt=0,
        description="Of cameras: results are not older than this when they go out, milliseconds; "
        "see overload.md.",
    )
    shards: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = Field(
        default=1,
        description="Processes that share the cameras, or auto: one a core; see shards.md.",
    )
    watch: bool = Field(
        default=False, description="Daemon: reads the file again whenever it changes."
    )


class HttpConfig(Strict):
    """The daemon's page for operators and programs; see daemon.md."""

    bind: str = Field(
        default="127.0.0.1:8080", min_length=1, description="Address and port to listen at."
    )
    token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="What a client must show as `Authorization: Bearer …`; needed where bind is "
        "not loopback.",
    )


class PipelineConfig(Strict):
    """A whole deployment.

    Once loaded it is complete: every stage of the graph is there, says what it comes `after`, and
    has its model and engine.
    """

    cameras: tuple[CameraConfig, ...] = Field(min_length=1, description="Where frames come from.")
    engines: dict[Name, EngineConfig] = Field(
        default={"cpu0": EngineConfig.model_validate({"backend": "onnxruntime", "threads": 1})},
        min_length=1,
        description="What networks run on, by id.",
    )
    stages: dict[Name, AnyStage] = Field(description="What is done with the frames, by name.")
    outputs: tuple[OutputConfig, ...] = Field(default=(), description="Where the results go.")
    run: RunConfig = Field(default=RunConfig(), description="The run as a whole.")
    http: HttpConfig | None = Field(
        default=None, description="Metrics, health, control and pictures over HTTP."
    )

    _document: Document = PrivateAttr(default_factory=lambda: Document("configuration"))

    def where(self, *path: str | int) -> str:
        """Where a key is written, for messages: ``"street.yaml:7:12: stages.detect.model"``."""
        written = self._document.origins.get(path, path)
        return f"{self._document.place(written)}: {spell(written)}"

    def hide(self, text: str) -> str:
        """The text without the secrets of this configuration."""
        return self._document.secrets.hide(text)

    def hide_all(self, value: Any) -> Any:
        """The same for every text inside plain mappings and lists; a copy."""
        return self._document.secrets.hide_all(value)

    def redacted(self) -> dict[str, Any]:
        """The whole configuration as plain values, without secrets."""
        plain: dict[str, Any] = self._document.secrets.hide_all(self.model_dump(mode="json"))
        return plain
