"""Writing pictures as an H.264 video."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import NoReturn, Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from pipeline.errors import OutputError
from pipeline.media.timeline import NS_PER_S

_TICKS_PER_S = 90_000
# Each fragment, of a second or a group of pictures, is complete on the disk before the next begins.
_FRAGMENTED = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "1000000",  # microseconds
    "flush_packets": "1",
}
_GROUP_S = 2
# ITU-T H.273: 6 is BT.601. Readers that ignore the tag assume it, those that heed it find it.
_BT601, _LIMITED_RANGE = 6, 1


class VideoWriter:
    """Writes BGR pictures into a fragmented MP4, which stays playable if the process is killed.

    H.264 with subsampled chroma has even sides only: an odd picture is padded by repeating its last
    column or row, so that nothing is cut off and coordinates stay what they were. The frame's own
    time stamps are kept, so a variable frame rate stays variable.

    Args:
        path: overwritten; its folder is made if needed.
        width: of all pictures, pixels.
        height: of all pictures, pixels.
        fps: nominal rate; steers the encoder's bit rate, not the time stamps.
        crf: quality, 0 (lossless) to 51; 23 is x264's usual.
        preset: x264's name for its trade of time against size.
        threads: of the encoder; the file's bytes depend on it.

    Raises:
        OutputError: the file cannot be written, or this FFmpeg has no H.264 encoder.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float,
        *,
        crf: int = 23,
        preset: str = "veryfast",
        threads: int = 1,
    ) -> None:
        self.path = path
        self.width, self.height = width, height
        self._tick = -1
        self._container: OutputContainer | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(path), "w", format="mp4", options=dict(_FRAGMENTED))
            self._stream = self._add_stream(self._container, fps)
            # Frames that look ahead would delay the first one, which a fragmented file cannot undo.
            self._stream.codec_context.options = {"crf": str(crf), "preset": preset, "bf": "0"}
            self._stream.codec_context.thread_count = threads
            self._container.start_encoding()
        except (av.FFmpegError, OSError, ValueError) as error:
            self._fail(error)

    def write(self, image_bgr: NDArray[np.uint8], pts_ns: int) -> None:
        """Appends one picture.

        Args:
            image_bgr: (height, width, 3) uint8; read only, not kept.
            pts_ns: nanoseconds, later than that of the last picture.

        Raises:
            OutputError: it cannot be written (disk full), has another size, or the writer is
                closed.
        """
        if self._container is None or image_bgr.shape != (self.height, self.width, 3):
            raise OutputError(
                f"{self.path}: expected a {self.width}x{self.height} BGR picture for an open file, "
                f"got {image_bgr.shape}{'' if self._container else ' after closing'}"
            )
        frame = av.VideoFrame.from_ndarray(self._even(image_bgr), format="bgr24")
        frame.pts = self._next_tick(pts_ns)
        frame.time_base = Fraction(1, _TICKS_PER_S)
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            self._fail(error)

    def close(self) -> None:
        """Writes what the encoder still holds; may be called more than once.

        Raises:
            OutputError: it cannot be written.
        """
        container = self._container
        if container is None:
            return
        try:
            container.mux(self._stream.encode(None))
            container.close()
        except (av.FFmpegError, OSError) as error:
            self._fail(error)
        self._container = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _add_stream(self, container: OutputContainer, fps: float) -> VideoStream:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = self.width + self.width % 2, self.height + self.height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.gop_size = max(1, round(_GROUP_S * rate))
        context.time_base = Fraction(1, _TICKS_PER_S)
        context.colorspace, context.color_range = _BT601, _LIMITED_RANGE
        return stream

    def _even(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        right, bottom = self.width % 2, self.height % 2
        if not (right or bottom):
            return np.ascontiguousarray(image_bgr)
        return np.pad(image_bgr, ((0, bottom), (0, right), (0, 0)), mode="edge")

    def _next_tick(self, pts_ns: int) -> int:
        """The time stamp in ticks; strictly later than the last one, as the container demands."""
        self._tick = max(self._tick + 1, round(Fraction(pts_ns * _TICKS_PER_S, NS_PER_S)))
        return self._tick

    def _fail(self, error: Exception) -> NoReturn:
        """Gives the file back and says what went wrong."""
        container, self._container = self._container, None
        if container is not None:
            with suppress(av.FFmpegError, OSError):
                container.close()
        reason = error.strerror if isinstance(error, (av.FFmpegError, OSError)) else error
        raise OutputError(f"{self.path}: cannot be written: {reason}") from error
