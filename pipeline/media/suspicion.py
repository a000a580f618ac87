"""Which pictures may not be trusted after something was lost."""

from __future__ import annotations

from collections import Counter

import av


class Suspicion:
    """Remembers that something was lost, until a clean key frame makes the picture whole again.

    A decoder conceals what it cannot decode, and every later frame up to the next key frame is
    predicted from the concealed one. It says so for the first frame at most.

    Args:
        faults: counts what happened, by name.
        reason: why pictures up to the first clean key frame are suspect already; empty: they are
            not.
    """

    def __init__(self, faults: Counter[str], reason: str = "") -> None:
        self._faults = faults
        self._reason = reason
        self._begun = not reason
        self._since: int | None = None

    @property
    def doubts(self) -> bool:
        """Whether the pictures that come are suspect."""
        return bool(self._reason)

    def packet_lost(self, fault: str, pts: int | None) -> None:
        """A packet could not be decoded, or came damaged."""
        self._faults[fault] += 1
        self._reason, self._since = fault, pts

    def came_late(self) -> None:
        """A picture came after later ones, where something was lost."""
        self._faults["late"] += 1

    def judge(self, frame: av.VideoFrame) -> str:
        """Why the next frame in order is suspect; empty where it is not."""
        if frame.is_corrupt:
            if self._begun:  # in front of the first key frame nothing else is to be expected
                self.packet_lost("corrupt_frame", frame.pts)
        elif frame.key_frame and self._is_later(frame.pts):
            self._reason, self._begun = "", True
        return self._reason

    def _is_later(self, pts: int | None) -> bool:
        """False for a key frame that was in the decoder already when the loss happened."""
        return pts is None or self._since is None or pts > self._since
