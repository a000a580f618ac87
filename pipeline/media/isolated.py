"""Decoding in a process of its own: what hangs or dies there, hangs or dies alone.

The child (`isolated_child`) opens, reads and decodes; pictures come through shared memory as the
planes they are, all else over a socket. A picture is copied out of the shared memory, so that it
lives as long as anybody holds it, and the child decodes the next one meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

from engines.isolation.restarts import Budget, Restart
from engines.isolation.shared import Placed
from engines.isolation.spawn import ChildWithMemory
from pipeline.errors import SourceError
from pipeline.media.connection import TICK_S, Connect, Shot
from pipeline.media.live import LiveSource
from pipeline.media.picture import BgrPicture, Picture, YuvPicture
from pipeline.media.source import Source, SourceFrame, SourceInfo

#: A child that should read and gave no sign of life for so long hangs, and is killed, seconds.
SILENCE_S = 3.0
#: Until its first sign of life, seconds: of a long recording all before `start_s` is read.
OPENING_S = 60.0
#: A recording is given up where so many children in a row died at the same frame.
TRIES = 3

T = TypeVar("T", Shot, SourceFrame)


class DecoderLostError(Exception):
    """The child died, or hung and was killed; says how."""


class IsolatedSource(Source):
    """A recording, read in a child process.

    A child that dies, or that hangs and is killed, is started anew and goes on with the frame after
    the last one: none is missing, none comes twice. A recording on which several children die at
    the same frame ends there.

    Args:
        name: of the recording, for people.
        make: makes its source in the child; can be pickled.
        silence_s: longest that a frame may take, seconds.
    """

    def __init__(self, name: str, make: Callable[[], Source], silence_s: float = SILENCE_S) -> None:
        super().__init__()
        self._name, self._make, self._silence_s = name, make, silence_s
        self._interrupted = threading.Event()
        self._decoder: Decoder | None = None
        self._restart = Restart(f"decoder of {name}")
        self._next = 0  # index of the frame that is wanted
        self._deaths = 0  # since the last frame

    def open(self) -> SourceInfo:
        info = self._await("opened")
        if info is None:
            raise SourceError(f"{self._name}: ended before it was open")
        opened: SourceInfo = info
        return opened

    def frames(self) -> Iterator[SourceFrame]:
        while (frame := self._await("picture")) is not None:
            self._next, self._deaths = frame.index + 1, 0
            yield frame

    def close(self) -> None:
        self._interrupted.set()
        if self._decoder is not None:
            self._decoder.close()

    def interrupt(self) -> None:
        self._interrupted.set()

    @property
    def restart(self) -> Restart:
        return self._restart

    @property
    def faults(self) -> Mapping[str, int]:
        return +Counter({**self._faults, "decoder_restart": self._restart.count})

    def _await(self, wanted: str) -> Any:
        """What comes with the next message of that kind; None at the source's end."""
        while not self._interrupted.is_set():
            try:
                if self._decoder is None:
                    self._decoder = Decoder(self._name)
                    self._decoder.ask("frames", self._make, self._next)
                kind, faults, value = self._decoder.take(self._silence_s)
            except (DecoderLostError, OSError) as error:
                self._died(str(error))
                continue
            if kind != "tick":
                # Of the whole recording so far, also where a child read it again.
                self._faults = Counter(faults)
            if kind == "ended" or kind == wanted:
                return value
        return None

    def _died(self, why: str) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        self._deaths += 1
        if self._deaths >= TRIES:
            raise SourceError(
                f"{self._name}: {why}, {self._deaths} times at frame {self._next}; convert the "
                "recording, or end it before this frame with end_s"
            )
        self._restart = self._restart.again(why)
        self._condition = replace(self._condition, last_error=why)


class IsolatedCamera(LiveSource):
    """A camera whose connections live in child processes, one after another.

    That a child died is to the session what the loss of a connection is: it tries again. It does
    so for ever; a child that dies again and again is started less often.

    Args:
        name: what people may see of the camera's address.
        make: makes, in the child, what connects; can be pickled.
        budget: for children that died.
        session: keywords of `LiveSource`.
    """

    def __init__(
        self, name: str, make: Callable[[], Connect], budget: Budget | None = None, **session: Any
    ) -> None:
        super().__init__(name, self._connect_isolated, **session)
        self._make = make
        self._budget = budget or Budget()
        self._restart = Restart(f"decoder of {name}")
        self._again_s = 0.0

    @property
    def restart(self) -> Restart:
        return self._restart

    def _connect_isolated(self, faults: Counter[str]) -> Generator[Shot | None, None, None]:
        while time.monotonic() < self._again_s:
            self._clock.wait(self._interrupted, TICK_S)
            yield None
        try:
            with closing(Decoder(self._name)) as decoder:
                decoder.ask("shots", self._make)
                kind = ""
                while kind != "ended":
                    kind, counted, shot = decoder.take(SILENCE_S)
                    faults.update(counted)
                    yield shot
        except (DecoderLostError, OSError) as error:
            faults["decoder_restart"] += 1
            self._restart = self._restart.again(str(error))
            wait_s = self._budget.spend(time.monotonic())
            self._again_s = time.monotonic() + wait_s
            later = f"; it has used up {self._budget}, next in {wait_s:g} s" if wait_s else ""
            # Raised as what the session knows: this connection is lost.
            raise SourceError(f"{self._name}: {error}{later}") from None


class Decoder:
    """One child that decodes.

    Args:
        name: of the source, for the log.

    Raises:
        OSError: no process can be started.
    """

    def __init__(self, name: str) -> None:
        self._process = ChildWithMemory(f"decoder of {name}", "pipeline.media.isolated_child")
        self._heard = False  # whether it has said anything yet

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, *request: Any) -> None:
        """Says what to read: a method of `isolated_child.Reader` and its arguments."""
        self._process.send(request)

    def take(self, silence_s: float) -> tuple[str, Mapping[str, int], Any]:
        """The next message: its kind, the source's faults, and what came with it.

        Args:
            silence_s: longest wait for it, but for the first, which may take `OPENING_S`; a child
                that takes longer hangs.

        Raises:
            DecoderLostError: the child died, or hung and was killed.
            SourceError: the source's own.
        """
        process = self._process
        limit_s = silence_s if self._heard else OPENING_S
        until_s = time.monotonic() + limit_s
        while not process.messages:
            process.receive(until_s - time.monotonic())
            if process.messages:
                break
            if process.closed:
                raise DecoderLostError(f"decoder process {process.how_it_ended()}")
            if time.monotonic() >= until_s:
                process.kill()
                raise DecoderLostError(
                    f"decoder process gave no sign of life for {limit_s:g} s and was killed"
                )
        self._heard = True
        kind, faults, value = process.messages.popleft()
        if kind == "failed":
            raise SourceError(value)
        return kind, faults, self._copied(*value) if kind == "picture" else value

    def close(self) -> None:
        """Kills the process and gives everything back; any number of times."""
        self._process.end()

    def _copied(
        self, made: type[T], fields: Mapping[str, Any], block: int, placed: list[Placed], kept: Any
    ) -> T:
        shared = self._process.blocks[block].read(placed)
        planes = {name: plane.copy() for name, plane in shared.items()}
        self._process.send(block)  # the child may write there again
        return made(picture=unpacked(planes, kept), **fields)


def packed(picture: Picture) -> tuple[dict[str, Any], Any]:
    """A picture as its planes, not copied, and what else `unpacked` needs."""
    if isinstance(picture, YuvPicture):
        y, u, v, *kept = picture.parts()
        return {"y": y, "u": u, "v": v}, kept
    return {"bgr": picture.bgr()}, None


def unpacked(planes: Mapping[str, Any], kept: Any) -> Picture:
    """The picture again; it owns the planes."""
    if kept is None:
        return BgrPicture(planes["bgr"])
    for plane in planes.values():
        plane.setflags(write=False)
    return YuvPicture(planes["y"], planes["u"], planes["v"], *kept)
