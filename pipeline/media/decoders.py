"""Which decoders there are: software, and FFmpeg's hardware decoders on this machine."""

from __future__ import annotations

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from pipeline.errors import SourceError

SOFTWARE = "software"

#: FFmpeg's device types that its own decoders can use; ``vaapi`` serves Intel's and AMD's chips.
HARDWARE = (
    "cuda", "d3d11va", "d3d12va", "dxva2", "mediacodec", "vaapi", "vdpau", "videotoolbox", "vulkan",
)  # fmt: skip


class HardwareError(SourceError):
    """The hardware decoder is not there, or does not decode this video; another one may."""


def accelerator(name: str) -> HWAccel | None:
    """The handle with which PyAV opens a container; None for software.

    It never goes over to software by itself, so that nobody is told of another decoder than the one
    that ran. Decoded frames are copied to the host's memory.

    Args:
        name: ``software``, or a device type, such as ``cuda``, and if need be a device of that
            type behind a colon: ``cuda:1``, ``vaapi:/dev/dri/renderD129``.
    """
    kind, _, device = name.partition(":")
    if kind == SOFTWARE:
        return None
    return HWAccel(kind, device or None, allow_software_fallback=False)


def require(name: str) -> None:
    """Raises `HardwareError` where this machine has no such decoder."""
    handle = accelerator(name)
    if handle is None:
        return
    kind = name.partition(":")[0]
    there = hwdevices_available()
    if kind not in there:
        raise HardwareError(
            f"this FFmpeg is built without {kind} (it has {', '.join(there) or 'none'})"
        )
    try:
        handle.create(av.Codec("h264", "r"))  # any codec will do: it is the device that is asked
    except (av.FFmpegError, NotImplementedError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HardwareError(f"no such device opens: {reason[:1].lower()}{reason[1:]}") from None
