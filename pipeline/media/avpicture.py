"""From PyAV's frame to a picture of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import av
import numpy as np
from av.sidedata.sidedata import SideData, Type
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.media.color import BT601, BT709, YuvColor
from pipeline.media.orientation import UPRIGHT, Orientation
from pipeline.media.picture import BgrPicture, Picture, YuvPicture

# Numbers of ITU-T H.273, table 4. An unspecified matrix is BT.601, as in FFmpeg and OpenCV.
_MATRIX = {
    1: BT709,
    7: YuvColor(0.212, 0.087),
    9: YuvColor(0.2627, 0.0593),
    10: YuvColor(0.2627, 0.0593),
}
_FULL_RANGE = 2

_PLANAR = {
    *("yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p"),
    *("yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p", "yuvj411p"),
}
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


class PictureMaker:
    """Turns PyAV's frames into pictures; belongs to the thread that decodes.

    Two threads that convert one PyAV frame can crash the process, because the frame keeps its
    converter. So no frame leaves this thread: a picture gets read-only views of the decoder's
    planes (0 ms and no second copy; a 1080p copy costs as much as scaling the luma plane), which
    keep the memory alive and which numpy and OpenCV read from any number of threads. Formats that
    are not 8-bit planar YUV are converted here, once: other YUV to 8-bit planes of the same chroma
    grid, all else to BGR.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._rotation: int | None = None
        self._orientation = UPRIGHT

    def picture(self, frame: av.VideoFrame) -> Picture:
        """The picture in `frame`; the frame must not be used after this."""
        if frame.rotation != self._rotation:
            # Once a change, and of a tiny copy: PyAV's side data and its frame hold each other,
            # and so keep the picture's memory until the garbage collector comes by.
            tiny = self._reformatter.reformat(frame, width=16, height=16, format="gray")
            self._rotation, self._orientation = frame.rotation, _orientation(tiny)
        orientation = self._orientation
        if frame.format.name not in _PLANAR:
            target = _planar_like(frame.format)
            if target is None:
                return BgrPicture(orientation.apply(self._bgr(frame)))
            # The matrix stays; without a given target range, swscale would change the range.
            frame = self._reformatter.reformat(
                frame, format=target, dst_color_range=frame.color_range, threads=1
            )
        y, u, v = (_plane(plane) for plane in frame.planes)
        return YuvPicture(y, u, v, _color(frame), orientation)

    def _bgr(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        bgr = self._reformatter.reformat(frame, format="bgr24", interpolation=_EXACT, threads=1)
        rows = _plane(bgr.planes[0], frame.width * 3)
        return np.ascontiguousarray(rows).reshape(frame.height, frame.width, 3)


def _plane(plane: av.video.plane.VideoPlane, width: int | None = None) -> NDArray[np.uint8]:
    """A read-only view of a plane without the padding at the end of its rows."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
    rows.setflags(write=False)
    return rows[:, : plane.width if width is None else width]


def _planar_like(format_: av.VideoFormat) -> str | None:
    """The 8-bit planar format with the same chroma grid; None where the format is not YUV."""
    if format_.is_rgb or format_.has_palette or len(format_.components) < 3:
        return None
    chroma = format_.chroma_width(64), format_.chroma_height(64)
    grids = {(32, 32): "yuv420p", (32, 64): "yuv422p", (64, 64): "yuv444p"}
    return grids.get(chroma, "yuv444p")


def _color(frame: av.VideoFrame) -> YuvColor:
    color = _MATRIX.get(frame.colorspace, BT601)
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    return YuvColor(color.kr, color.kb, full) if full else color


def _orientation(frame: av.VideoFrame) -> Orientation:
    # PyAV's stub knows one kind of side data only.
    by_type: Mapping[Type, SideData] = cast(Any, frame.side_data)
    matrix = by_type.get(Type.DISPLAYMATRIX)
    return UPRIGHT if matrix is None else Orientation.from_display_matrix(bytes(matrix))
