"""What is older than what came before, told by the session's beginning and by the epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.errors import RefusedError
from pipeline.output.message import SEQUENCE_MODULUS, Message


@dataclass(slots=True)
class EpochWatch:
    """Follows the epochs of one session of a camera; they never go back.

    A message of an earlier epoch is merely late where its number comes before the first one of the
    latest epoch; else it is none of this row.
    """

    _epoch: int = -1
    _since: int = 0

    def check(self, epoch: int, sequence: int) -> None:
        """Raises `RefusedError` (``older_epoch``) for a message that takes the row back."""
        if epoch > self._epoch:
            self._epoch, self._since = epoch, sequence
        elif _earlier(sequence, self._since):
            if epoch == self._epoch:
                self._since = sequence
        elif epoch < self._epoch:
            raise RefusedError("older_epoch", f"epoch {epoch} after epoch {self._epoch}")


@dataclass(slots=True)
class SessionWatch:
    """Follows the sessions of every camera, where their beginning is told (and authentic)."""

    _began_ns: dict[str, int] = field(default_factory=dict)

    def check(self, message: Message) -> None:
        """Raises `RefusedError` (``older_session``) where a later session has been seen."""
        if not message.began_ns:
            return
        latest_ns = self._began_ns.get(message.camera, 0)
        if message.began_ns < latest_ns:
            seconds = (latest_ns - message.began_ns) / 1e9
            raise RefusedError("older_session", f"began {seconds:g} s before the latest one")
        self._began_ns[message.camera] = message.began_ns


def _earlier(sequence: int, than: int) -> bool:
    """Whether a number comes before another one, modulo 2³²."""
    return (than - sequence - 1) % SEQUENCE_MODULUS < SEQUENCE_MODULUS // 2
