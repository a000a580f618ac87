"""entrance: where cameras' frames are let in, no more than can be worked on in time."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.governor import Governor
from pipeline.packet import Packet
from pipeline.payloads import Decoded
from pipeline.stage import Stage

#: The stage's name.
ENTRANCE = "entrance"


class EntranceStage(Stage[Decoded, Decoded]):
    """Waits until there is room, then lets in the frame whose turn it is, or refuses it.

    While it waits, the lanes of its inbox drop what they cannot hold.

    Args:
        governor: of the run; None where nothing is under way but one frame.
    """

    consumes = Decoded
    produces = Decoded

    def __init__(self, governor: Governor | None) -> None:
        self._governor = governor

    def ready(self) -> None:
        if self._governor is not None:
            self._governor.wait_for_room()

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[Decoded]]:
        return (packet if self._governor is None else self._governor.admit(packet),)
