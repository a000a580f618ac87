"""Every frame's message to a receiver that acknowledges, over a spool on the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import PacketError
from pipeline.output.courier import Courier, Post
from pipeline.output.jsonmessage import encode_whole
from pipeline.output.message import Message, from_packet
from pipeline.output.room import MB
from pipeline.output.rows import Rows
from pipeline.output.spec import PostSpec
from pipeline.output.spool import Spool
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.stage import Sink
from pipeline.worker import Background

#: A run that ends waits so long for what is left to be delivered; the rest stays in the spool.
_LAST_S = 2.0
_STOP_S = 1.0


class PostSink(Sink[Tracked]):
    """Spools every frame's message as a line of JSON; a courier beside the graph delivers them.

    Args:
        spec: where to and how.
        labels: class names by label index.

    Raises:
        OutputError: the certificates of ``ca`` cannot be read.
    """

    consumes = Tracked

    def __init__(self, spec: PostSpec, labels: Sequence[str]) -> None:
        token = spec.token.get_secret_value() if spec.token else ""
        self._post = Post(spec.to, token, spec.ca, spec.timeout_s)
        self._spec = spec.spool
        self._labels = labels
        self._rows = Rows()
        self._spool: Spool | None = None
        self._courier: Courier | None = None
        self._threads: list[Background] = []

    def open(self) -> None:
        spec = self._spec
        spool = self._spool = Spool(Path(spec.path), round(spec.max_mb * MB), spec.min_free_bytes)
        courier = self._courier = Courier(spool, self._post)

        def keep(stop: threading.Event) -> None:
            while not stop.wait(spec.fsync_s):
                spool.sync()
                spool.adopt()

        self._threads = [Background("courier", courier.run), Background("spool", keep)]
        for thread in self._threads:
            thread.start()

    def write(self, packet: Packet[Tracked]) -> None:
        self._append(self._rows.add(from_packet(packet, time.monotonic_ns())))

    def _append(self, message: Message) -> None:
        assert self._spool is not None  # the worker opened us
        self._spool.append(encode_whole(message, self._labels).encode() + b"\n")

    def forget(self, camera: str) -> None:
        with suppress(PacketError):  # no room for it
            if (last := self._rows.end(camera)) is not None:
                self._append(last)

    def flush(self) -> Iterable[Packet[Any]]:
        for camera in self._rows.cameras:
            self.forget(camera)
        if self._courier is not None:
            self._courier.finish(_LAST_S)
        return ()

    def counts(self) -> Mapping[str, int]:
        """Messages ``delivered``, waiting, ``missing`` and dropped; failed attempts, by reason."""
        courier, spool = self._courier, self._spool
        if courier is None or spool is None:
            return {}
        failed = {f"failed {reason}": count for reason, count in dict(courier.failed).items()}
        return {
            "delivered": courier.delivered,
            "spooled bytes": spool.size_bytes,
            "dropped from spool": spool.dropped,
            "missing": spool.room.missing,
            "paused": int(spool.room.paused),
            **failed,
        }

    def close(self) -> None:
        for thread in self._threads:
            thread.stop(_STOP_S)
        if self._spool is not None:
            self._spool.close()
