"""What a configuration may say: strict, frozen, every key with its unit and default.

The descriptions are the reference: they appear in the JSON Schema and in error messages.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from pipeline.config.base import POLICIES, Name, PositiveSeconds, Seconds, Strict, Texts
from pipeline.config.document import Document
from pipeline.config.problem import spell
from pipeline.config.stages import AnyStage
from pipeline.media.decoders import SOFTWARE
from pipeline.output.spec import OutputSpec
from pipeline.queues import OnFull


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
        description=f"At the entrance. {POLICIES} By default files block, live drops the oldest.",
    )
    every: int = Field(default=1, ge=1, description="Takes every n-th frame.")
    start_s: Seconds = Field(default=0.0, description="Files: begins here, seconds.")
    end_s: Seconds | None = Field(default=None, description="Files: ends here, seconds.")
    key_frames: bool = Field(
        default=False, description="Files: takes key frames only; nothing else is decoded."
    )
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


class BatchRunConfig(Strict):
    """What `sightline batch` takes of each video, and makes of it; see batch.md."""

    every: int = Field(default=1, ge=1, description="Takes every n-th frame.")
    key_frames: bool = Field(
        default=False, description="Takes key frames only; nothing else is decoded."
    )
    start_s: Seconds = Field(default=0.0, description="Begins here, seconds.")
    end_s: Seconds | None = Field(default=None, description="Ends here, seconds.")
    decoder: Texts = Field(
        default=(SOFTWARE,), min_length=1, description="As a camera's `decoder`."
    )
    segment_s: PositiveSeconds = Field(
        default=60.0,
        description="Long videos are cut at key frames into pieces about so long, which several "
        "processes look at, seconds. Results do not depend on it.",
    )
    results: tuple[Literal["csv", "mot", "coco"], ...] = Field(
        default=(), description="Files for each video beside tracks.jsonl."
    )
    parquet: bool = Field(default=False, description="One table of all videos' tracks.")
    annotate: bool = Field(default=False, description="An annotated video for each video.")
    evidence: bool = Field(default=False, description="A picture for each event.")
    thumbnails: int = Field(
        default=24, ge=0, le=1000, description="Tracks of each video shown in the report."
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
    batch: BatchRunConfig = Field(
        default=BatchRunConfig(), description="What `sightline batch` makes of videos."
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
