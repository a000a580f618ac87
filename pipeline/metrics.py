"""What is counted while the graph runs. Each number says its unit and what it tells.

A worker writes its own `StageMetrics` without a lock; readers merge copies, so that a number may be
one packet old but never torn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

_SUB_BITS = 4  # 16 buckets an octave: a quantile is right to 1/16

#: The durations up to which a `Spread` counts, seconds.
SPREAD_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Spread:
    """How long things took, for what adds up and draws: a Prometheus histogram.

    Attributes:
        counts: how many took no longer than each of `SPREAD_S`; to 1/16 of it.
        count: of all.
        total_s: of all together, seconds.
    """

    counts: tuple[int, ...] = (0,) * len(SPREAD_S)
    count: int = 0
    total_s: float = 0.0

    def __add__(self, other: Spread) -> Spread:
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Spread(counts, self.count + other.count, self.total_s + other.total_s)


class Histogram:
    """Durations in nanoseconds, in buckets whose width is 1/16 of their value.

    Adding costs no allocation; quantiles are upper bounds, at most 6.25 % too large.
    """

    __slots__ = ("_counts", "count", "total_ns")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self.count = 0
        self.total_ns = 0

    def add(self, duration_ns: int) -> None:
        """Counts one duration; negative ones count as 0."""
        value = max(0, duration_ns)
        shift = max(0, value.bit_length() - _SUB_BITS - 1)
        bucket = (shift << (_SUB_BITS + 1)) | (value >> shift)
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self.count += 1
        self.total_ns += value

    def merge(self, other: Histogram) -> None:
        """Adds the durations of another histogram."""
        for bucket, count in list(other._counts.items()):
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.count += other.count
        self.total_ns += other.total_ns

    def spread(self) -> Spread:
        """All durations in few numbers that can be added up."""
        counts = list(self._counts.items())
        tops = [(_top_ns(bucket) / 1e9, count) for bucket, count in counts]
        return Spread(
            tuple(sum(count for top_s, count in tops if top_s <= most_s) for most_s in SPREAD_S),
            sum(count for _, count in counts),
            self.total_ns / 1e9,
        )

    @property
    def mean_ns(self) -> float:
        """Of all durations, exactly; 0 if none."""
        return self.total_ns / max(self.count, 1)

    def quantile_ns(self, q: float) -> int:
        """The duration that a share `q` (0..1) of all durations does not exceed; 0 if none."""
        rank = q * self.count
        seen = 0
        upper = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            upper = _top_ns(bucket)
            if seen >= rank:
                break
        return upper


def _top_ns(bucket: int) -> int:
    """The longest duration of a bucket."""
    shift, value = bucket >> (_SUB_BITS + 1), bucket & ((2 << _SUB_BITS) - 1)
    return ((value + 1) << shift) - 1


@dataclass(slots=True)
class StageMetrics:
    """One worker's counts; the sum over the workers of a stage is the stage's.

    Attributes:
        processed: packets taken from the inbox and worked on.
        emitted: packets handed on, or put out by a sink.
        blind: packets that left with nothing known because the engine failed.
        array_bytes: of the arrays in the packets handed on.
        picture_bytes: of the pictures in the packets handed on, as they are stored.
        busy_ns: wall time spent in the stage's own code; busy / run time near 1 is the bottleneck.
        cpu_ns: processor time of the worker's thread in the stage's own code; threads that an
            engine starts by itself are not in it.
        service: wall time of one `process` call.
        age: time from a frame's entrance into the graph to the end of this stage.
    """

    processed: int = 0
    emitted: int = 0
    blind: int = 0
    array_bytes: int = 0
    picture_bytes: int = 0
    busy_ns: int = 0
    cpu_ns: int = 0
    service: Histogram = field(default_factory=Histogram)
    age: Histogram = field(default_factory=Histogram)

    def hand_on(self, array_bytes: int, picture_bytes: int) -> None:
        """Counts a packet handed on, and how large it is."""
        self.emitted += 1
        self.array_bytes += array_bytes
        self.picture_bytes += picture_bytes

    @staticmethod
    def merged(parts: Iterable[StageMetrics]) -> StageMetrics:
        """The sum of several workers' counts, as a copy."""
        total = StageMetrics()
        for part in parts:
            total.processed += part.processed
            total.emitted += part.emitted
            total.blind += part.blind
            total.array_bytes += part.array_bytes
            total.picture_bytes += part.picture_bytes
            total.busy_ns += part.busy_ns
            total.cpu_ns += part.cpu_ns
            total.service.merge(part.service)
            total.age.merge(part.age)
        return total


@dataclass(slots=True)
class QueueMetrics:
    """One inbox's counts, kept under the queue's lock.

    Attributes:
        capacity: packets each lane holds at most.
        depth: packets waiting now, over all lanes.
        max_depth: the most that ever waited; at capacity, the stage behind is the slower one.
        put: packets accepted.
        got: packets taken out.
        dropped: packets that had to go because a lane was full.
        wait: how long packets waited.
        blocked_ns: how long producers waited for room, summed.
    """

    capacity: int
    depth: int = 0
    max_depth: int = 0
    put: int = 0
    got: int = 0
    dropped: int = 0
    wait: Histogram = field(default_factory=Histogram)
    blocked_ns: int = 0

    @staticmethod
    def merged(parts: Sequence[QueueMetrics]) -> QueueMetrics:
        """The sum of the counts of queues that followed each other, as a copy; the last is now."""
        total = QueueMetrics(parts[-1].capacity)
        for part in parts:
            total.depth += part.depth
            total.max_depth = max(total.max_depth, part.max_depth)
            total.put += part.put
            total.got += part.got
            total.dropped += part.dropped
            total.wait.merge(part.wait)
            total.blocked_ns += part.blocked_ns
        return total
