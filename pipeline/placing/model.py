"""What a placement of stages on engines is expected to give, from each stage measured alone.

Stages work side by side on different frames, so the graph is as fast as whatever is busiest for
one frame: a stage with its copies, a device that several stages share, or all the processors
together. That is the bottleneck bound on the throughput of a queueing network (Denning and Buzen,
"The Operational Analysis of Queueing Network Models", 1978). Queues and hand-overs cost extra.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Goal = Literal["throughput", "latency"]


class Option(NamedTuple):
    """Where one stage may run.

    Attributes:
        engine: its id; empty: plain code on the host.
        workers: copies side by side.
    """

    engine: str
    workers: int

    def __str__(self) -> str:
        return f"{self.engine or 'host'} ×{self.workers}"


#: By the stage's name.
Placement = Mapping[str, Option]


@dataclass(frozen=True, slots=True)
class Use:
    """What one frame takes of the machine where a stage runs on an engine.

    Attributes:
        ms: wall time a frame, by the number of copies side by side; there is always 1.
        cpu_ms: processor time a frame, all threads and processes together.
        device: taken beside the processors; engines of the same one take turns. Empty: none.
    """

    ms: Mapping[int, float]
    cpu_ms: float
    device: str = ""

    @property
    def device_ms(self) -> float:
        """Of the device, where enough copies keep it busy."""
        return min(self.ms.values()) if self.device else 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """One stage of the graph, as the search sees it.

    Attributes:
        name: of the stage.
        after: its predecessors.
        uses: by the engine.
        options: that are allowed, in the order of preference; at least one.
        wait_ms: that a frame waits for others to make a batch with, where none come.
        loop: the stage that waits at a camera's next frame until its last one is through this one;
            empty: none.
        loops: such loops side by side, one a camera.
        timed: whether it is part of a frame's latency; what comes before the entrance is not.
    """

    name: str
    after: tuple[str, ...]
    uses: Mapping[str, Use]
    options: tuple[Option, ...]
    wait_ms: float = 0.0
    loop: str = ""
    loops: int = 1
    timed: bool = True

    def ms(self, option: Option) -> float:
        """Wall time a frame there."""
        return self.uses[option.engine].ms[option.workers]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What is expected of a placement.

    Attributes:
        period_ms: between two frames that come out.
        latency_ms: from a frame's entrance to its end, where no other frame is under way.
        limit: what the period is due to, for people.
        slowest_ms: of the slowest stage; the smaller, the sooner a hold-up is made up for.
    """

    period_ms: float
    latency_ms: float
    limit: str = field(compare=False)
    slowest_ms: float

    def of(self, goal: Goal) -> float:
        """What counts for a goal, milliseconds."""
        return self.period_ms if goal == "throughput" else self.latency_ms

    @property
    def fps(self) -> float:
        """Frames a second."""
        return 1e3 / self.period_ms if self.period_ms else float("inf")


def predict(steps: Sequence[Step], placement: Placement, processors: float) -> Prediction:
    """What a placement is expected to give.

    Args:
        steps: each after its predecessors.
        placement: an option of every step.
        processors: there are for the graph.
    """
    limits: defaultdict[str, float] = defaultdict(float)
    for step in steps:
        use = step.uses[placement[step.name].engine]
        limits[f"stage {step.name}"] = step.ms(placement[step.name])
        limits["processors"] += use.cpu_ms / processors
        if use.device:
            limits[f"device {use.device}"] += use.device_ms
        if step.loop:
            limits[f"loop of {step.loop}"] += use.ms[1] / step.loops
    limit = max(limits, key=lambda name: limits[name])
    slowest_ms = max(step.ms(placement[step.name]) for step in steps)
    return Prediction(limits[limit], _latency_ms(steps, placement), limit, slowest_ms)


def _latency_ms(steps: Iterable[Step], placement: Placement) -> float:
    """The sum along the slowest chain of stages."""
    done: dict[str, float] = {}
    for step in (step for step in steps if step.timed):
        before = max((done.get(name, 0.0) for name in step.after), default=0.0)
        alone = step.uses[placement[step.name].engine].ms[1]
        done[step.name] = before + step.wait_ms + alone
    return max(done.values(), default=0.0)
