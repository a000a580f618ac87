"""The best placements on paper: all of them where they are few, else one stage after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from pipeline.placing.model import Goal, Placement, Prediction, Step, predict

#: More placements than this are not looked at one by one.
MOST = 4096

_Key = tuple[float, float, float, int, int, tuple[int, ...]]


class Search:
    """Finds placements for one goal.

    Placements are compared by the goal, then by the other goal and the slowest stage, then by how
    little of the hand-written one changes, then by fewer copies, then by the order of the options:
    so the same measurements always give the same answer.

    Args:
        steps: each after its predecessors.
        written: the hand-written placement.
        processors: there are for the graph.
        goal: what counts first.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        written: Placement,
        processors: float,
        goal: Goal = "throughput",
    ) -> None:
        self._steps = steps
        self._written = written
        self._processors = processors
        self._goal = goal

    def best(self, keep: int, most: int = MOST) -> list[Placement]:
        """The best placements that differ in an engine, the best first; at most `keep`."""
        every = prod(len(step.options) for step in self._steps) <= most
        found: dict[tuple[str, ...], Placement] = {}
        for placement in self._all() if every else self._descents():
            engines = tuple(placement[step.name].engine for step in self._steps)
            known = found.get(engines)
            if known is None or self.key(placement) < self.key(known):
                found[engines] = placement
        return sorted(found.values(), key=self.key)[:keep]

    def expected(self, placement: Placement) -> Prediction:
        """What a placement is expected to give."""
        return predict(self._steps, placement, self._processors)

    def key(self, placement: Placement) -> _Key:
        """The smaller, the better; no two placements have the same."""
        expected = self.expected(placement)
        first, second = expected.period_ms, expected.latency_ms
        if self._goal == "latency":
            first, second = second, first
        options = [(step.options, placement[step.name]) for step in self._steps]
        return (
            first,
            second,
            expected.slowest_ms,
            sum(placement[step.name] != self._written[step.name] for step in self._steps),
            sum(option.workers for _, option in options),
            tuple(allowed.index(option) for allowed, option in options),
        )

    def _all(self) -> Iterator[Placement]:
        names = [step.name for step in self._steps]
        for options in product(*(step.options for step in self._steps)):
            yield dict(zip(names, options, strict=True))

    def _descents(self) -> Iterator[Placement]:
        """Every placement met on the way from each of the starts."""
        alone = {step.name: min(step.options, key=step.ms) for step in self._steps}
        first = {step.name: step.options[0] for step in self._steps}
        written = {
            step.name: self._written[step.name]
            if self._written[step.name] in step.options
            else step.options[0]
            for step in self._steps
        }
        for start in (written, alone, first):
            yield from self._descent(start)

    def _descent(self, start: Placement) -> Iterator[Placement]:
        """Changes one stage at a time, as long as that is better."""
        here = start
        yield here
        while True:
            before = here
            for step in self._steps:
                near = [{**here, step.name: option} for option in step.options]
                yield from near
                here = min(near, key=self.key)
            if here == before:
                return
