"""What a test camera sees: a short loop, encoded once, so that many cameras cost little."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

Codec = Literal["h264", "h265", "mjpeg"]
#: The picture at an index: (height, width, 3) uint8, RGB.
Scene = Callable[[int, int, int], NDArray[np.uint8]]

#: Of NAL units: what it takes to decode the others (ITU-T H.264 table 7-1, H.265 table 7-1).
_PARAMETER_SETS = {"h264": (7, 8), "h265": (32, 33, 34), "mjpeg": ()}
_START_CODE = re.compile(b"\x00\x00\x00?\x01")


@dataclass(frozen=True, slots=True)
class Unit:
    """One encoded picture.

    Attributes:
        nals: its NAL units without start codes; of MJPEG the JPEG file.
        key: whether decoding can begin here.
    """

    nals: tuple[bytes, ...]
    key: bool


@dataclass(frozen=True, slots=True)
class Clip:
    """A loop of encoded pictures that begins with a key picture.

    Attributes:
        codec: what it is encoded with.
        width: pixels.
        height: pixels.
        fps: frames per second.
        units: the pictures; each key picture has its parameter sets with it.
    """

    codec: Codec
    width: int
    height: int
    fps: int
    units: tuple[Unit, ...] = field(repr=False)

    @property
    def parameter_sets(self) -> tuple[bytes, ...]:
        """VPS, SPS and PPS, as far as the codec has them."""
        kinds = _PARAMETER_SETS[self.codec]
        return tuple(n for n in self.units[0].nals if kind_of(n, self.codec) in kinds)

    def key_before(self, position: int) -> int:
        """The last key picture at or before a position in the loop."""
        return max(i for i in range(position + 1) if self.units[i].key)


def kind_of(nal: bytes, codec: Codec) -> int:
    """The type in a NAL unit's header."""
    return nal[0] & 31 if codec == "h264" else nal[0] >> 1 & 63


def spot(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """A bright square that goes round on a dark, patterned ground; a fresh place in each picture.

    It is back where it began after 100 pictures.
    """
    rows, columns = np.mgrid[:height, :width]
    grey = 30 + (rows // 16 + columns // 16) % 2 * 20
    image = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    side, angle = height // 5, index * 2 * math.pi / 100
    x = round((width - side) * (0.5 + 0.4 * math.cos(angle)))
    y = round((height - side) * (0.5 + 0.4 * math.sin(angle)))
    image[y : y + side, x : x + side] = (240, 250, 230)
    return image


@cache
def encode(
    codec: Codec = "h264",
    width: int = 320,
    height: int = 240,
    fps: int = 25,
    count: int = 100,
    gop: int = 25,
    scene: Scene = spot,
) -> Clip:
    """Encodes a scene as a loop; the same arguments give the same clip.

    Args:
        count: pictures in the loop.
        gop: every so many is a key picture.
        scene: gives the picture at an index, of a width and height.
    """
    context = _encoder(codec, width, height, fps, gop)
    units = []
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(scene(index, width, height), format="rgb24")
        frame = frame.reformat(format=context.pix_fmt)
        frame.pts, frame.time_base = index, Fraction(1, fps)
        units += [_unit(codec, packet) for packet in context.encode(frame)]
    units += [_unit(codec, packet) for packet in context.encode(None)]
    return Clip(codec, width, height, fps, tuple(units))


def _encoder(codec: Codec, width: int, height: int, fps: int, gop: int) -> av.VideoCodecContext:
    name, options = {
        "h264": ("libx264", {"x264-params": "repeat-headers=1:scenecut=0"}),
        "h265": (
            "libx265",
            {
                "x265-params": "repeat-headers=1:scenecut=0:bframes=0:open-gop=0:log-level=none"
                ":pools=none:frame-threads=1"
            },
        ),
        # RFC 2435 knows the standard Huffman tables only.
        "mjpeg": ("mjpeg", {"huffman": "default"}),
    }[codec]
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height = width, height
    context.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    context.time_base, context.framerate = Fraction(1, fps), Fraction(fps)
    context.gop_size = gop
    context.thread_count = 1  # with more, a JPEG would have restart markers
    speed = {} if codec == "mjpeg" else {"preset": "ultrafast", "tune": "zerolatency"}
    context.options = options | speed
    return context


def _unit(codec: Codec, packet: av.Packet[av.VideoStream]) -> Unit:
    data = bytes(packet)
    nals = (data,) if codec == "mjpeg" else tuple(filter(None, _START_CODE.split(data)))
    return Unit(nals, packet.is_keyframe)
