"""From a decoded frame to a picture of a network's size: processor time a frame.

Ours keeps the decoder's planes, scales them, and converts the small picture. The other converts
the frame to BGR at full size (PyAV's `to_ndarray`) and scales it with `cv2.resize`, as is usual.
Both take the same frames, in turn first and second. The last rows say what that is to the whole
ingest, with the decoding, which costs both the same and depends on the video.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import cv2

from benchmarks.clips import clip
from benchmarks.harness import Goal, Options, Row, cpu_time
from pipeline.media.avpicture import PictureMaker

SIZES = {"1080p": (1920, 1080), "720p": (1280, 720)}
SMALL = (640, 360)
_BESIDE = "full-size BGR + cv2.resize"


def rows(options: Options) -> list[Row]:
    """Two rows a size: the scaling, and the scaling with the decoding."""
    scaling, ingest = [], []
    for name, size in SIZES.items():
        path = clip(options.folder, options.take(50, 150), *size)
        passes = [_one_pass(path) for _ in range(options.take(3, 7))]
        planes, full = [p.planes_ms for p in passes], [p.full_ms for p in passes]
        to = f"{name} to {SMALL[0]}x{SMALL[1]}"
        scaling.append(Row(to, "ms", planes, _BESIDE, full, Goal("ratio", "at most", 0.75)))
        planes = [p.decode_ms + p.planes_ms for p in passes]
        full = [p.decode_ms + p.full_ms for p in passes]
        ingest.append(Row(f"{to}, with the decoding", "ms", planes, _BESIDE, full))
    return scaling + ingest


@dataclass(frozen=True, slots=True)
class _Pass:
    """Processor time a frame, by what was done."""

    decode_ms: float
    planes_ms: float
    full_ms: float


def _one_pass(path: Path) -> _Pass:
    """Decodes the clip once, and does with each frame what either way does."""
    maker = PictureMaker()
    spent_s = dict.fromkeys(("decode", "planes", "full"), 0.0)
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        frames = container.decode(video=0)
        for count in itertools.count():
            frame, seconds = cpu_time(lambda: next(frames, None))
            spent_s["decode"] += seconds
            if frame is None:
                break
            ways = {"planes": partial(_by_planes, maker, frame), "full": partial(_by_bgr, frame)}
            # Who comes first meets the frame outside of the processor's cache.
            for name in ways if count % 2 else reversed(ways):
                spent_s[name] += cpu_time(ways[name])[1]
    return _Pass(*(seconds / count * 1e3 for seconds in spent_s.values()))


def _by_planes(maker: PictureMaker, frame: av.VideoFrame) -> object:
    return maker.picture(frame).resized_bgr(*SMALL)


def _by_bgr(frame: av.VideoFrame) -> object:
    return cv2.resize(frame.to_ndarray(format="bgr24"), SMALL)
