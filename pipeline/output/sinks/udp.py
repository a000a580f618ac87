"""Every frame's message to one address."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pipeline.errors import OutputError, PacketError
from pipeline.output import jsonmessage, telegram
from pipeline.output.address import parse_address
from pipeline.output.envelope import Checksum, Seal
from pipeline.output.message import Message, from_packet
from pipeline.output.rows import Rows
from pipeline.output.spec import UdpSpec
from pipeline.output.udp import UdpSender
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.stage import Sink

_IP_AND_UDP_HEADERS = 48  # IPv6's 40, which is the larger one, and UDP's 8


class UdpSink(Sink[Tracked]):
    """Sends every frame's message; see docs/telegram.md.

    Args:
        spec: where to and how.
        labels: class names by label index, for JSON.

    Raises:
        OutputError: the model has more classes than a telegram can number, or what encrypts is not
            installed.
    """

    consumes = Tracked

    def __init__(self, spec: UdpSpec, labels: Sequence[str]) -> None:
        if spec.format == "telegram" and len(labels) > telegram.MOST_LABELS:
            raise OutputError(
                f"udp.format: a telegram can number {telegram.MOST_LABELS} classes, the model has "
                f"{len(labels)}; use 'json'"
            )
        self._spec = spec
        self._labels = labels
        self._payload = spec.mtu - _IP_AND_UDP_HEADERS
        secure = spec.secure
        envelope = Seal(secure.key_bytes, secure.encrypt) if secure else Checksum()
        self._encoder = telegram.Encoder(self._payload, envelope)
        self._rows = Rows()
        self._sender: UdpSender | None = None

    def open(self) -> None:
        self._sender = UdpSender(parse_address(self._spec.to))

    def write(self, packet: Packet[Tracked]) -> None:
        self._send(self._rows.add(from_packet(packet, time.monotonic_ns())))

    def forget(self, camera: str) -> None:
        with suppress(PacketError):  # not one of its messages could be told
            if (last := self._rows.end(camera)) is not None:
                self._send(last)

    def flush(self) -> Iterable[Packet[Any]]:
        for camera in self._rows.cameras:
            self.forget(camera)
        return ()

    def _send(self, message: Message) -> None:
        assert self._sender is not None  # the worker opened us
        for datagram in self._encode(message):
            self._sender.send(datagram)

    def _encode(self, message: Message) -> list[bytes]:
        if self._spec.format == "json":
            return jsonmessage.encode(message, self._labels, self._payload)
        try:
            return self._encoder.encode(message)
        except ValueError as error:
            raise PacketError("not_encodable", str(error)) from error

    def counts(self) -> Mapping[str, int]:
        """Datagrams ``sent``, and those that the network did not take, as ``lost <reason>``."""
        if self._sender is None:
            return {}
        lost = {f"lost {reason}": count for reason, count in dict(self._sender.lost).items()}
        return {"sent": self._sender.sent} | lost

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()
