"""Small clips, encoded when a test asks for them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

ClipMaker = Callable[..., Path]


def _scene(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """A grey ramp with a red corner (top left), a blue one (bottom right) and a moving square."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.linspace(40, 200, width, dtype=np.uint8)[None, :, None]
    image[: height // 4, : width // 4] = (0, 0, 220)
    image[-(height // 4) :, -(width // 4) :] = (220, 0, 0)
    left = (index * 4) % (width // 2)
    image[height // 2 : height // 2 + 16, left : left + 16] = (60, 200, 60)
    return image


@pytest.fixture
def scene() -> Callable[[int, int, int], NDArray[np.uint8]]:
    """What the clips show: frame index, width, height → BGR picture."""
    return _scene


@pytest.fixture
def make_clip(tmp_path: Path) -> ClipMaker:
    """Encodes the scene; pts are in 1/1000 s, for AVI (which counts frames) whole 1/25 s."""

    def make(
        name: str,
        *,
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        size: tuple[int, int] = (160, 120),
        pts: list[int] | None = None,
        grain: bool = False,
        rotation: int = 0,
        hflip: bool = False,
        gop: int = 12,
        color: tuple[int, int] | None = None,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
    ) -> Path:
        path = tmp_path / name
        times = pts if pts is not None else [40 * index for index in range(30)]
        unit_ms = 40 if path.suffix == ".avi" else 1
        time_base = Fraction(unit_ms, 1000)
        with av.open(str(path), "w", options=container_options or {}) as container:
            stream = container.add_stream(codec, rate=25, options=options or {})
            stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
            stream.codec_context.gop_size = gop
            stream.codec_context.time_base = time_base
            if color is not None:
                stream.codec_context.colorspace, stream.codec_context.color_range = color
            if rotation or hflip:
                stream.set_display_rotation(rotation, hflip=hflip)
            for index, time in enumerate(times):
                image = _scene(index, *size)
                if grain:
                    noise = np.random.default_rng(index).integers(0, 40, image.shape[:2])
                    image += noise[..., None].astype(np.uint8) // 2
                frame = av.VideoFrame.from_ndarray(image, format="bgr24")
                if color is not None:
                    frame = frame.reformat(
                        format=pix_fmt, dst_colorspace=color[0], dst_color_range=color[1]
                    )
                frame.pts, frame.time_base = time // unit_ms, time_base
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return make
