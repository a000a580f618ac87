"""Probes all inputs, several at once, each in a process that may die of a broken file."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from engines.isolation.spawn import ChildProcess
from pipeline.batch.clip import Clip
from pipeline.batch.inputs import Input
from pipeline.config import BatchRunConfig

_POLL_S = 0.01
#: Inputs that wait in a process, so that it has always something to do.
_AHEAD = 2


class _Prober:
    """One process, and what it was given and has not answered."""

    def __init__(self, options: BatchRunConfig) -> None:
        self.given: deque[Input] = deque()
        self._options = options
        self._process = ChildProcess("probing", "pipeline.batch.prober")

    def give(self, entry: Input) -> None:
        self.given.append(entry)
        self._process.send((entry, self._options))

    def answers(self) -> Iterator[Clip]:
        """What it has found by now."""
        while self._process.receive(0.0) and not self._process.closed:
            while self._process.messages:
                self.given.popleft()
                yield self._process.messages.popleft()

    @property
    def died(self) -> str:
        """How it ended; empty while it lives."""
        return self._process.how_it_ended() if self._process.closed else ""

    def end(self) -> None:
        self._process.end()


def probe_all(
    inputs: Sequence[Input],
    options: BatchRunConfig,
    processes: int,
    found: Callable[[Clip], None],
    stopped: Callable[[], bool],
) -> list[Clip]:
    """Probes inputs.

    Args:
        inputs: in any order.
        options: see `pipeline.batch.probe`.
        processes: that do it at once.
        found: is told of each clip as it comes.
        stopped: whether to end early.

    Returns:
        The clips in the order of the inputs; of one that kills whoever opens it, with that as its
        error. Those found so far where it was stopped.

    Raises:
        OSError: no process can be started.
    """
    left, clips = deque(inputs), dict[str, Clip]()
    probers = [_Prober(options) for _ in range(min(processes, len(inputs)))]

    def keep(clip: Clip) -> None:
        clips[clip.name] = clip
        found(clip)

    try:
        while len(clips) < len(inputs) and not stopped():
            for place, prober in enumerate(probers):
                while left and len(prober.given) < _AHEAD:
                    prober.give(left.popleft())
                for clip in prober.answers():
                    keep(clip)
                if how := prober.died:
                    prober.end()
                    probers[place] = _Prober(options)
                    if prober.given:
                        first, *others = prober.given
                        keep(Clip(first.name, first.uri, error=f"the process that read it {how}"))
                        left.extendleft(reversed(others))
            time.sleep(_POLL_S)
    finally:
        for prober in probers:
            prober.end()
    return [clips[entry.name] for entry in inputs if entry.name in clips]
