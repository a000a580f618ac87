"""What the `outputs:` list of a configuration may say, checked and frozen."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from pipeline.output.address import parse_address
from pipeline.output.envelope import parse_key

FileFormat = Literal["jsonl", "csv", "mot"]

#: Longest name first, so that `.mot.txt` is met before `.txt`.
FORMAT_BY_SUFFIX: dict[str, FileFormat] = {
    ".mot.txt": "mot",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".txt": "mot",
}


def _checked_address(text: str) -> str:
    if parse_address(text).port == 0:
        raise ValueError(f"{text!r} has port 0, which nobody can be reached at; use 1 to 65535")
    return text


def _checked_video_path(path: str) -> str:
    if PurePath(path).suffix.lower() != ".mp4":
        raise ValueError(f"the video {path!r} must end in .mp4")
    return path


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def _checked_key(key: SecretStr) -> SecretStr:
    parse_key(key.get_secret_value())
    return key


class SecureSpec(_Spec):
    """A key that sender and receivers share, so that nobody else is believed."""

    key: Annotated[SecretStr, AfterValidator(_checked_key)] = Field(
        description="32 bytes as 64 hexadecimal digits or base64, such as ${UDP_KEY} or "
        "${file:/run/keys/udp}; never shown."
    )
    encrypt: bool = Field(
        True, description="Nobody else can read texts and records; false: only authenticated."
    )

    @property
    def key_bytes(self) -> bytes:
        """The key itself."""
        return parse_key(self.key.get_secret_value())


class UdpSpec(_Spec):
    """One message a frame, sent to one address."""

    to: Annotated[str, AfterValidator(_checked_address)] = Field(
        description="Receiver: host:port, 10.0.0.5:9000 or [::1]:9000."
    )
    format: Literal["telegram", "json"] = Field(
        "telegram",
        description="telegram: binary, docs/telegram.md; json: docs/message.schema.json.",
    )
    mtu: int = Field(
        1500,
        ge=576,
        le=65535,
        description="Largest IP packet of the way, bytes; longer messages are cut into fragments.",
    )
    secure: SecureSpec | None = Field(
        None, description="Authenticated and encrypted with a shared key; telegrams only."
    )

    @model_validator(mode="after")
    def _only_telegrams_are_sealed(self) -> Self:
        if self.secure is not None and self.format != "telegram":
            raise ValueError(
                f"format {self.format!r} cannot be authenticated; use telegram, or leave out secure"
            )
        return self


class FileSpec(_Spec):
    """Results in a file, or in one file a camera where the path says {camera}."""

    path: str = Field(min_length=1, description="May contain {camera}, such as out/{camera}.jsonl.")
    format: FileFormat | None = Field(
        None, description="By the suffix where not given: .jsonl, .csv, .mot.txt or .txt."
    )

    @model_validator(mode="after")
    def _format_known(self) -> Self:
        if self.format is None and self._format_by_suffix() is None:
            known = ", ".join(FORMAT_BY_SUFFIX)
            raise ValueError(
                f"path {self.path!r} does not tell its format; use one of {known} or set 'format'"
            )
        return self

    def _format_by_suffix(self) -> FileFormat | None:
        name = self.path.lower()
        return next((f for suffix, f in FORMAT_BY_SUFFIX.items() if name.endswith(suffix)), None)

    @property
    def file_format(self) -> FileFormat:
        """`format`, or what the suffix says."""
        form = self.format or self._format_by_suffix()
        assert form is not None  # by _format_known
        return form


class AnnotateSpec(_Spec):
    """The pictures with what was found drawn on them, as a video a camera."""

    path: Annotated[str, AfterValidator(_checked_video_path)] = Field(
        description="An .mp4 file; may contain {camera}."
    )
    trails_s: float = Field(
        2.0, ge=0, le=60, strict=False, description="Length of the trails, seconds; 0: none."
    )
    latency: bool = Field(True, description="Show the frame's age when it was drawn.")
    proposals: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Show so many of the best proposals of a two-stage detector, beneath the rest.",
    )
    anchors: bool = Field(False, description="Show the anchor of each proposal that is shown.")
    crf: int = Field(23, ge=0, le=51, description="H.264 quality: 0 lossless, 51 worst.")


class OutputSpec(_Spec):
    """One entry of `outputs:`; says exactly one of udp, file, annotate."""

    udp: UdpSpec | None = None
    file: FileSpec | None = None
    annotate: AnnotateSpec | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        said = [name for name in ("udp", "file", "annotate") if getattr(self, name) is not None]
        if len(said) != 1:
            found = " and ".join(said) or "nothing"
            raise ValueError(f"an output is exactly one of udp, file, annotate; found {found}")
        return self

    @property
    def spec(self) -> UdpSpec | FileSpec | AnnotateSpec:
        """The one that was said."""
        said = self.udp or self.file or self.annotate
        assert said is not None  # by _exactly_one
        return said

    @property
    def about(self) -> str:
        """Where it goes, for people."""
        spec = self.spec
        return f"{spec.format} to {spec.to}" if isinstance(spec, UdpSpec) else spec.path

    @property
    def name(self) -> str:
        """A stage name for the report, such as ``"udp"`` or ``"file"``."""
        return "udp" if self.udp else "file" if self.file else "annotate"
