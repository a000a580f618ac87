"""Whether a file in a folder is a video, from its name and its first bytes."""

from __future__ import annotations

from pathlib import Path

#: Suffixes that only videos have; what they say is believed, so that a broken one is reported.
VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".f4v", ".3gp"),
        *(".3g2", ".mpg", ".mpeg", ".vob", ".m2ts", ".mxf", ".ogv", ".divx", ".dv", ".ivf", ".y4m"),
        *(".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg", ".nut", ".rm", ".rmvb"),
        *(".wtv", ".gxf", ".dav"),
    }
)
#: Suffixes of what begins as a video does and is none.
_OTHERS = frozenset(
    {
        *(".m4a", ".m4b", ".mka", ".ogg", ".oga", ".opus", ".wma", ".aac", ".mp3"),
        *(".heic", ".heif", ".avif", ".jpg", ".jpeg", ".png", ".webp", ".cr3"),
    }
)
_BRANDS_OF_OTHERS = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"M4A ", b"M4B ", b"crx ")
# First bytes: Matroska, ASF, FLV, MPEG program and video streams, Ogg.
_MAGIC = (
    b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"FLV\x01", b"\0\0\x01\xba",
    b"\0\0\x01\xb3", b"OggS",
)  # fmt: skip
# A transport stream: 0x47 every 188 bytes, behind a time stamp of 4 bytes on Blu-ray discs.
_PACKET, _PACKETS, _SYNC = 188, 5, 0x47


def is_video(path: Path) -> bool:
    """Whether it should be looked at; reads a kilobyte where its name does not say so.

    False also for what cannot be read, unless its name says that it is a video.
    """
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return True
    if suffix in _OTHERS:
        return False
    try:
        with path.open("rb") as file:
            return begins_as_video(file.read(1024))
    except OSError:
        return False


def begins_as_video(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a container for videos.

    Args:
        head: 1024 bytes of it, or all.
    """
    if head[4:8] == b"ftyp":
        return head[8:12] not in _BRANDS_OF_OTHERS
    if head[4:8] in (b"moov", b"mdat", b"wide"):
        return True
    if head[:4] == b"RIFF":
        return head[8:11] == b"AVI"
    return head.startswith(_MAGIC) or _is_transport(head, _PACKET) or _is_transport(head[4:], 192)


def _is_transport(head: bytes, step: int) -> bool:
    marks = head[: step * _PACKETS : step]
    return len(marks) > 1 and set(marks) == {_SYNC}
