"""What the `outputs:` list of a configuration may say, checked and frozen."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

from pipeline.output.address import parse_address
from pipeline.output.envelope import parse_key
from pipeline.output.room import MB

FileFormat = Literal["jsonl", "csv", "mot", "coco"]

#: Longest name first, so that `.mot.txt` is met before `.txt`.
FORMAT_BY_SUFFIX: dict[str, FileFormat] = {
    ".mot.txt": "mot",
    ".coco.json": "coco",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".txt": "mot",
}


_ROWS = ("rotate_s", "rotate_mb", "keep_h", "keep_mb")


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


class DiskSpec(_Spec):
    """What all that writes on a disk can say of it."""

    min_free_mb: float = Field(
        100.0,
        ge=0,
        strict=False,
        description="It pauses while less is free on the disk, megabytes.",
    )

    @property
    def min_free_bytes(self) -> int:
        """`min_free_mb`, as a disk counts."""
        return round(self.min_free_mb * MB)


class RecordingSpec(DiskSpec):
    """What all that writes files can say of them."""

    path: str = Field(min_length=1, description="May contain {camera} and {start}.")
    rotate_s: float | None = Field(
        None, gt=0, strict=False, description="A new file begins after so long, seconds."
    )
    rotate_mb: float | None = Field(
        None, gt=0, strict=False, description="A new file begins when one is so large, megabytes."
    )
    keep_h: float | None = Field(
        None, gt=0, strict=False, description="Files older than this are deleted, hours."
    )
    keep_mb: float | None = Field(
        None,
        gt=0,
        strict=False,
        description="The oldest files are deleted beyond so much, megabytes; by camera.",
    )

    @model_validator(mode="after")
    def _rows_have_names(self) -> Self:
        said = [key for key in _ROWS if getattr(self, key) is not None]
        if said and "{start}" not in PurePath(self.path).name:
            suffixes = "".join(PurePath(self.path).suffixes)
            better = self.path.removesuffix(suffixes) + "-{start}" + suffixes
            raise ValueError(
                f"{said[0]} makes many files of the path {self.path!r}; put {{start}} into their "
                f"name, such as {better!r}"
            )
        return self


class FileSpec(RecordingSpec):
    """Results in a file, or in one file a camera where the path says {camera}."""

    path: str = Field(
        min_length=1,
        description="May contain {camera}, such as out/{camera}.jsonl, and {start}, the file's "
        "beginning in UTC.",
    )
    format: FileFormat | None = Field(
        None,
        description="By the suffix where not given: .jsonl, .csv, .mot.txt, .txt or .coco.json.",
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


def _checked_events_path(path: str) -> str:
    if PurePath(path).suffix.lower() not in (".jsonl", ".csv"):
        raise ValueError(f"the events' file {path!r} must end in .jsonl or .csv")
    return path


class EventsSpec(RecordingSpec):
    """What happened, a line an event, with pictures as evidence."""

    path: Annotated[str, AfterValidator(_checked_events_path)] = Field(
        description="A .jsonl or .csv file; may contain {camera}, and {start}, its beginning in "
        "UTC."
    )
    pictures: str | None = Field(
        None,
        min_length=1,
        description="A folder for two JPEG files an event, the frame and the object; may contain "
        "{camera}. By default there are none.",
    )

    @model_validator(mode="after")
    def _pictures_stay_beside_the_lines(self) -> Self:
        folder = str(PurePath(self.path).parent)
        if self.pictures is not None and "{start}" in folder + self.pictures:
            raise ValueError(
                "the folders of events with pictures cannot contain {start}, only the name of the "
                "file can"
            )
        return self


class AnnotateSpec(RecordingSpec):
    """The pictures with what was found drawn on them, as a video a camera."""

    path: Annotated[str, AfterValidator(_checked_video_path)] = Field(
        description="An .mp4 file; may contain {camera}, and {start}, its beginning in UTC."
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


class SpoolSpec(DiskSpec):
    """A folder on the disk in which messages wait until they are acknowledged."""

    path: str = Field(min_length=1, description="A folder of this output alone.")
    max_mb: float = Field(
        1000.0,
        ge=1,
        strict=False,
        description="It holds so much, megabytes; then the oldest messages are dropped.",
    )
    fsync_s: float = Field(
        1.0,
        gt=0,
        le=60,
        strict=False,
        description="So often it is made safe from a loss of power, seconds.",
    )


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"it is no URL: {error}; write https://host/path") from None
    strange = not url.isascii() or not url.isprintable() or " " in url
    if parts.scheme not in ("http", "https") or not host or strange:
        raise ValueError("it is no URL of the web; write https://host/path")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL has no place for a password here; use 'token'")
    return url


def _checked_token(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("a token is one word of ASCII letters, digits and signs")
    return token


class PostSpec(_Spec):
    """Every frame's message to a receiver that acknowledges, as JSON lines over HTTP."""

    to: Annotated[str, AfterValidator(_checked_url)] = Field(
        description="Where they are posted: https://host/path, or http://…."
    )
    token: Annotated[SecretStr, AfterValidator(_checked_token)] | None = Field(
        None, description="Shown as `Authorization: Bearer …`, such as ${TOKEN}."
    )
    ca: str = Field(
        "", description="A PEM file of who vouches for the receiver; by default the system's."
    )
    timeout_s: float = Field(
        10.0, gt=0, strict=False, description="How long the receiver may be silent, seconds."
    )
    spool: SpoolSpec = Field(description="Where messages wait.")

    @model_validator(mode="after")
    def _token_is_not_overheard(self) -> Self:
        parts = urlsplit(self.to)
        if self.token and parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise ValueError("over http:// anybody can overhear the token; use https://")
        return self


_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_KINDS = ("udp", "file", "events", "annotate", "post")


class OutputSpec(_Spec):
    """One entry of `outputs:`; says exactly one of udp, file, events, annotate, post."""

    udp: UdpSpec | None = None
    file: FileSpec | None = None
    events: EventsSpec | None = None
    annotate: AnnotateSpec | None = None
    post: PostSpec | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        said = [name for name in _KINDS if getattr(self, name) is not None]
        if len(said) != 1:
            found = " and ".join(said) or "nothing"
            raise ValueError(f"an output is exactly one of {', '.join(_KINDS)}; found {found}")
        return self

    @property
    def spec(self) -> UdpSpec | FileSpec | EventsSpec | AnnotateSpec | PostSpec:
        """The one that was said."""
        said = self.udp or self.file or self.events or self.annotate or self.post
        assert said is not None  # by _exactly_one
        return said

    @property
    def about(self) -> str:
        """Where it goes, for people."""
        spec = self.spec
        if isinstance(spec, UdpSpec):
            return f"{spec.format} to {spec.to}"
        return f"to {spec.to}" if isinstance(spec, PostSpec) else spec.path

    @property
    def name(self) -> str:
        """A stage name for the report, such as ``"udp"`` or ``"file"``."""
        return next(name for name in _KINDS if getattr(self, name) is not None)
