"""Each camera's messages as a row: numbered, and with an end."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from pipeline.output.message import SEQUENCE_MODULUS, Message
from pipeline.packet import Status
from pipeline.tracking.track import Tracks


class Rows:
    """Numbers the messages of each camera, in a session of the camera's own.

    A camera whose row was ended and that comes again begins a new session: its tracks and epochs
    begin anew as well. So does one whose numbers are used up, as none may come twice in a session.
    """

    def __init__(self) -> None:
        self._last: dict[str, Message] = {}

    def add(self, message: Message) -> Message:
        """The camera's next message, with its number."""
        last = self._last.get(message.camera)
        if last is None or last.sequence == SEQUENCE_MODULUS - 1:
            session, began_ns, sequence = secrets.randbits(64), time.time_ns(), 0
        else:
            session, began_ns, sequence = last.session, last.began_ns, last.sequence + 1
        told = replace(message, session=session, began_ns=began_ns, sequence=sequence)
        self._last[message.camera] = told
        return told

    def end(self, camera: str) -> Message | None:
        """Ends a camera's row: its last message, which says so; None where there was none."""
        if camera not in self._last:
            return None
        told = self.add(_ending(self._last[camera]))
        del self._last[camera]
        return told

    @property
    def cameras(self) -> list[str]:
        """Those whose row goes on."""
        return list(self._last)


def _ending(message: Message) -> Message:
    """What follows a row's last frame: its tracks have ended, and nothing else will come."""
    return replace(
        message,
        status=Status.OK,
        reason="ended",
        tracks=Tracks.empty(),
        age_ms=None,
        last=True,
        analysis=None,
    )
