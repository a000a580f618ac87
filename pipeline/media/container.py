"""Opening a container with PyAV, and saying clearly why it cannot be opened."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from pipeline.errors import SourceError
from pipeline.media.boxes import lacks_index
from pipeline.media.decoders import HardwareError
from pipeline.media.uri import redact

# A title that is no UTF-8 is no reason not to play; PyAV 19 and later need not be told.
_TOLERANT: dict[str, Any] = (
    {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
)
# FFmpeg takes any text file for a recording of a terminal, and plays it.
_NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf"}
_POLL_S = 0.5
_GEN_PTS = 0x0001  # AVFMT_FLAG_GENPTS, which PyAV sets


@dataclass(frozen=True, slots=True)
class Address:
    """How to reach one container.

    Attributes:
        url: as PyAV takes it; may hold a password, so never shown.
        format: name of the demuxer; None: found by looking.
        options: for the demuxer and its protocols.
        open_timeout_s: None: wait for ever.
        read_timeout_s: None: wait for ever. The reader of a live one waits for half a second at a
            time and adds up.
        codecs: those allowed; None: all.
        live: a camera.
        remedy: what to check when it cannot be opened.
    """

    url: str = field(repr=False)
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    open_timeout_s: float | None = None
    read_timeout_s: float | None = None
    codecs: frozenset[str] | None = None
    live: bool = False
    remedy: str = "check that the file is a complete video"

    @property
    def name(self) -> str:
        """What people may see."""
        return redact(self.url).removeprefix("file:")


def open_container(
    address: Address, threads: int, hardware: HWAccel | None = None
) -> tuple[InputContainer, VideoStream]:
    """Opens a container and its first real video stream, ready for decoding.

    Args:
        address: what to open.
        threads: of the decoder; 0: all cores.
        hardware: what decodes; None: software.

    Raises:
        HardwareError: the hardware does not decode this video.
        SourceError: it cannot be opened, or has no video that may be decoded.
    """
    container = _open(address, hardware)
    try:
        # Where a container has no presentation times, FFmpeg's guesses are in the wrong order.
        container.flags &= ~_GEN_PTS
        stream = _video_stream(container, address)
        if hardware is not None and not stream.codec_context.is_hwaccel:
            raise HardwareError(f"it does not decode {stream.codec_context.name}")
        stream.codec_context.thread_count = threads
        stream.codec_context.thread_type = "AUTO" if threads != 1 else "SLICE"
    except BaseException:
        container.close()
        raise
    return container, stream


def _open(address: Address, hardware: HWAccel | None) -> InputContainer:
    began_s, remedy = time.monotonic(), address.remedy
    try:
        container: InputContainer = av.open(
            address.url,
            "r",
            format=address.format,
            options=dict(address.options),
            hwaccel=hardware,
            timeout=(address.open_timeout_s, _POLL_S if address.live else address.read_timeout_s),
            **_TOLERANT,
        )
        return container
    except (av.FFmpegError, OSError, ValueError) as error:
        # Some demuxers take the end of the wait for bad data.
        late = time.monotonic() - began_s >= (address.open_timeout_s or math.inf)
        reason = "no answer in time" if late else reason_of(error)
        remedy = "check its permissions" if isinstance(error, PermissionError) else remedy
    except RuntimeError:
        if hardware is None:
            raise
        # So PyAV says that no stream is one for this hardware.
        raise HardwareError("it does not decode this kind of video") from None
    if address.url.startswith("file:") and lacks_index(Path(address.url.removeprefix("file:"))):
        raise SourceError(
            f"{address.name}: its index (moov) is missing, as where a recording was cut off; "
            "recover it with a repair tool and a whole file of the same camera"
        )
    # Raised out here so that PyAV's error, whose text holds the password, is not chained to ours.
    raise SourceError(f"{address.name}: cannot be opened: {reason}; {remedy}")


def reason_of(error: Exception) -> str:
    """What FFmpeg says, without the URL."""
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text)[:1].lower() + str(text)[1:]


def _video_stream(container: InputContainer, address: Address) -> VideoStream:
    name, kind = address.name, container.format.name
    if kind in _NOT_VIDEO:
        raise SourceError(f"{name}: this is text, not a video; give a video file")
    videos = [s for s in container.streams.video if Disposition.attached_pic not in s.disposition]
    if not videos:
        pictures = {s.index: "a cover picture" for s in container.streams.video}
        kinds = {pictures.get(s.index, s.type) for s in container.streams}
        found = ", ".join(sorted(kinds)) or "nothing"
        raise SourceError(f"{name}: no video in this {kind} file, only {found}; give a video file")
    # PyAV leaves the context out, unlike its stubs, where FFmpeg has no decoder.
    stream = next((s for s in videos if getattr(s, "codec_context", None) is not None), None)
    if stream is None:
        raise SourceError(f"{name}: no decoder for this video; convert it, for example to H.264")
    codec = stream.codec_context.name
    if address.codecs is not None and codec not in address.codecs:
        raise SourceError(
            f"{name}: codec {codec!r} is not accepted from the network; set the camera to one of "
            f"{', '.join(sorted(address.codecs))}"
        )
    return stream
