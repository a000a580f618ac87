"""The headers of a camera's frames: numbers, times and epochs that go on from source to source."""

from __future__ import annotations

from pipeline.media.source import SourceFrame
from pipeline.packet import FrameInfo


class Numbering:
    """Gives each frame of one camera its header.

    The camera's source may be exchanged while the graph runs (`renew`). To everybody behind that is
    what a lost connection is: the next frame begins an epoch, later by the time that passed, and
    nothing is counted twice.

    Args:
        camera: the camera's id.
    """

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self._sequence = 0
        self._last: FrameInfo | None = None
        self._renewed = False
        # What is added to what the source says.
        self._index = self._pts_ns = self._epoch = 0

    def renew(self) -> None:
        """The next frame is of another source."""
        self._renewed = True

    def header(self, frame: SourceFrame, now_ns: int) -> FrameInfo:
        """The header of the camera's next frame.

        Args:
            now_ns: monotonic time.
        """
        if self._renewed:
            self._anchor(frame, now_ns)
        header = FrameInfo(
            self.camera,
            self._sequence,
            frame.index + self._index,
            frame.pts_ns + self._pts_ns,
            frame.picture.width,
            frame.picture.height,
            frame.epoch + self._epoch,
            now_ns,
            frame.utc_ns,
            frame.utc_source,
        )
        self._sequence += 1
        self._last = header
        return header

    def _anchor(self, frame: SourceFrame, now_ns: int) -> None:
        """Puts another source's first frame behind the last one."""
        self._renewed = False
        if self._last is None:
            return
        last = self._last
        self._index = last.index + 1 - frame.index
        self._pts_ns = last.pts_ns + max(now_ns - last.entered_ns, 1) - frame.pts_ns
        self._epoch = last.epoch + 1 - frame.epoch
