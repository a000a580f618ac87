"""``python -m pipeline.media.isolated_child SOCKET MEMORY MEMORY``: decodes for another process.

What `pipeline.media.isolated` starts. What to read comes over the socket; pictures go through two
blocks of shared memory in turn, so that one is decoded while the last one is copied.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import fields
from multiprocessing.connection import Connection
from typing import Any

from engines.isolation.shared import SharedTensors
from engines.isolation.spawn import from_the_parent
from pipeline.errors import SourceError
from pipeline.media.connection import Connect, Shot
from pipeline.media.isolated import packed
from pipeline.media.source import Source, SourceFrame


class Reader:
    """Reads one source to its end and tells the parent everything.

    Every message is its kind, faults, and what comes with it.

    Args:
        channel: to the parent, which answers each picture with its block once it was copied.
        memories: blocks of shared memory for pictures.
    """

    def __init__(self, channel: Connection, memories: tuple[int, ...]) -> None:
        self._channel = channel
        self._tensors = [SharedTensors(memory) for memory in memories]
        self._free = deque(range(len(memories)))

    def frames(self, make: Callable[[], Source], first: int) -> None:
        """Reads a recording; frames before `first` are decoded and left out."""
        source = make()
        try:
            self.tell("opened", source.faults, source.open())
            for frame in source.frames():
                if frame.index < first:
                    self.tell("tick")
                else:
                    self._send(frame, source.faults)
            self.tell("ended", source.faults)
        finally:
            source.close()

    def shots(self, make: Callable[[], Connect]) -> None:
        """Reads one connection to a camera; the faults told are those since the last message."""
        faults = Counter[str]()
        try:
            for shot in make()(faults):
                if shot is None:
                    self.tell("tick", faults)
                else:
                    self._send(shot, faults)
                faults.clear()
            self.tell("ended", faults)
        except SourceError:
            self.tell("tick", faults)
            raise

    def tell(self, kind: str, faults: Mapping[str, int] | None = None, value: Any = None) -> None:
        """Sends one message."""
        self._channel.send((kind, dict(faults or {}), value))

    def _send(self, item: SourceFrame | Shot, faults: Mapping[str, int]) -> None:
        while not self._free:
            self._free.append(self._channel.recv())
        block = self._free.popleft()
        planes, kept = packed(item.picture)
        placed = self._tensors[block].write(planes)
        rest = {f.name: getattr(item, f.name) for f in fields(item) if f.name != "picture"}
        self.tell("picture", faults, (type(item), rest, block, placed, kept))


def main() -> None:
    """Reads what the parent names, until its end or the parent's."""
    channel, memories = from_the_parent()
    reader = Reader(channel, memories)
    try:
        what, *arguments = channel.recv()
        getattr(reader, what)(*arguments)
    except SourceError as error:
        reader.tell("failed", value=str(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # nobody wants its frames any more


if __name__ == "__main__":
    main()
