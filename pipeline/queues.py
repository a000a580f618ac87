"""Bounded queues that close.

A queue has lanes, each bounded by itself and served in turn, so that a flood on one lane costs the
others nothing. The inbox behind the sources has a lane per camera, the inbox of a joining stage a
lane per predecessor, every other inbox a single lane.

Lanes of a higher priority are served first, but nobody starves: those of a lower one that wait are
passed over `PATIENCE` times in a row, and once more if both lower ones are due, so that at least
every ninth item is theirs.

There are no sentinels. When every producer has called `close_put`, the consumer drains what is left
and then meets `Closed`. When the consumer calls `close_get`, producers meet `Closed` at their next
`put`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pipeline.metrics import QueueMetrics

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 - not an error: the orderly end of a queue
    """The other side of the queue is gone."""


class OnFull(StrEnum):
    """What `put` does on a full lane."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"


class Priority(StrEnum):
    """Whose turn comes first; the highest is the first."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


#: How often lanes that wait are passed over for those of a higher priority.
PATIENCE = 7


class _Lane(Generic[T]):
    """One lane. Where it blocks, `room` holds a token for each free place."""

    __slots__ = ("blocks", "items", "name", "on_full", "room", "waiting")

    def __init__(self, name: str, on_full: OnFull, capacity: int, waiting: _Waiting[T]) -> None:
        self.name = name
        self.waiting = waiting
        self.on_full = on_full
        self.blocks = on_full is OnFull.BLOCK
        self.items: deque[tuple[T, int]] = deque()
        self.room: SimpleQueue[None] = SimpleQueue()
        for _ in range(capacity):
            self.room.put(None)


class _Waiting(Generic[T]):
    """The lanes of one priority that hold something, next to serve first."""

    __slots__ = ("lanes", "passed")

    def __init__(self) -> None:
        self.lanes: deque[_Lane[T]] = deque()
        self.passed = 0  # times in a row that others were served


class LaneQueue(Generic[T]):
    """A bounded queue of one or more lanes; any number of producers and consumers.

    Threads wait on `SimpleQueue`s of tokens, one for each item and one for each free place: these
    wait and wake in C, at a quarter of the processor time of a `threading.Condition`. A token more
    than there are items or places wakes somebody, who finds the queue closed and passes it on.

    Args:
        capacity: items a lane holds at most, ≥1.
        lanes: the lanes by name, each with its policy when full.
        producers: how many times `close_put` must be called before the queue ends.
        priorities: of lanes that are not `Priority.NORMAL`, by name.
        follows: the queue in whose place this one comes; what that counts is counted here as well.

    Raises:
        ValueError: no lane, no producer or no capacity.
    """

    def __init__(
        self,
        capacity: int,
        lanes: Mapping[str, OnFull],
        producers: int = 1,
        priorities: Mapping[str, Priority] = MappingProxyType({}),
        follows: LaneQueue[T] | None = None,
    ) -> None:
        if capacity < 1 or producers < 1 or not lanes:
            raise ValueError(f"{capacity=}, {producers=} and lanes={len(lanes)} must all be ≥1")
        self._capacity = capacity
        self._producers = producers
        self._lock = threading.Lock()
        given = {priorities.get(name, Priority.NORMAL) for name in lanes}
        by_priority = {one: _Waiting[T]() for one in Priority if one in given}
        self._waiting = tuple(by_priority.values())
        self._lanes = {
            name: _Lane(name, policy, capacity, by_priority[priorities.get(name, Priority.NORMAL)])
            for name, policy in lanes.items()
        }
        self._items: SimpleQueue[None] = SimpleQueue()
        self._abandoned = False
        self._metrics = QueueMetrics(capacity)
        self._follows = follows

    def put(self, lane: str, item: T) -> T | None:
        """Puts one item; gives back the item that had to go for it, if any (maybe itself).

        Raises:
            Closed: the consumer is gone; the item was not taken.
        """
        target = self._lanes[lane]
        blocked_ns = _wait_for_room(target) if target.blocks else 0
        with self._lock:
            if self._abandoned:
                target.room.put(None)
                raise Closed
            metrics = self._metrics
            metrics.blocked_ns += blocked_ns
            full = not target.blocks and len(target.items) == self._capacity
            metrics.dropped += full
            if full and target.on_full is OnFull.DROP_NEWEST:
                return item
            self._append(target, item)
            # Only now, so that a lane of one item keeps its turn.
            gone = self._pop(target) if full else None
            metrics.max_depth = max(metrics.max_depth, metrics.depth)
        if gone is None:  # else the token of the item that went is the new one's
            self._items.put(None)
        return gone

    def get(self) -> tuple[str, T]:
        """Waits for the next item of the lane whose turn it is; gives (lane, item).

        Raises:
            Closed: every producer is done and the queue is empty, or `close_get` was called.
        """
        self._items.get()
        return self._take()

    def get_batch(self, most: int, wait_s: float) -> list[tuple[str, T]]:
        """Waits for one item, then for up to `most` items but no longer than `wait_s` seconds.

        Raises:
            Closed: as `get`; never while it holds an item.
        """
        batch = [self.get()]
        deadline = time.monotonic() + wait_s
        while len(batch) < most:
            try:
                self._items.get(timeout=max(0.0, deadline - time.monotonic()))
                batch.append(self._take())
            except (Empty, Closed):
                break
        return batch

    def _take(self) -> tuple[str, T]:
        """The next item, for the token that was just taken."""
        with self._lock:
            waiting = self._next()
            if waiting is None:
                self._items.put(None)
                raise Closed
            lane = waiting.lanes[0]
            item, put_ns = lane.items[0]
            self._pop(lane)
            if lane.items:
                waiting.lanes.rotate(-1)
            metrics = self._metrics
            metrics.got += 1
            metrics.wait.add(time.monotonic_ns() - put_ns)
        if lane.blocks:
            lane.room.put(None)
        return lane.name, item

    def _next(self) -> _Waiting[T] | None:
        """The lanes whose turn it is: the highest that wait, unless others have waited enough."""
        due: _Waiting[T] | None = None
        for waiting in self._waiting:
            if not waiting.lanes:
                waiting.passed = 0
            elif due is None:
                due = waiting
            elif waiting.passed >= PATIENCE:
                due.passed += 1
                due = waiting
            else:
                waiting.passed += 1
        if due is not None:
            due.passed = 0
        return due

    def _append(self, lane: _Lane[T], item: T) -> None:
        if not lane.items:
            lane.waiting.lanes.append(lane)
        lane.items.append((item, time.monotonic_ns()))
        metrics = self._metrics
        metrics.put += 1
        metrics.depth += 1

    def _pop(self, lane: _Lane[T]) -> T:
        """The oldest item of a lane, which waits no more once it is empty."""
        item, _ = lane.items.popleft()
        if not lane.items:
            lane.waiting.lanes.remove(lane)
        self._metrics.depth -= 1
        return item

    def close_put(self) -> None:
        """One producer is done; after the last one, `get` drains and then raises `Closed`."""
        with self._lock:
            self._producers = max(0, self._producers - 1)
            if not self._producers:
                self._items.put(None)

    def close_get(self) -> list[T]:
        """The consumer is done: gives what was left, and every later `put` raises `Closed`."""
        with self._lock:
            self._abandoned = True
            left = [item for lane in self._lanes.values() for item, _ in lane.items]
            for lane in self._lanes.values():
                lane.items.clear()
                lane.room.put(None)
            for waiting in self._waiting:
                waiting.lanes.clear()
            self._metrics.depth = 0
            self._items.put(None)
            return left

    def statistics(self) -> QueueMetrics:
        """A consistent copy of the counts."""
        with self._lock:
            before = self._follows
            if before is None:
                return QueueMetrics.merged([self._metrics])
            over = before._over
            total = QueueMetrics.merged([before.statistics(), self._metrics])
            if over:
                self._metrics, self._follows = QueueMetrics.merged([total]), None
            return total

    @property
    def _over(self) -> bool:
        """Whether nothing will be counted any more."""
        return self._abandoned or not (self._producers or self._metrics.depth)


def _wait_for_room(lane: _Lane[Any]) -> int:
    """Takes a free place in a lane that blocks; gives how long that took, in nanoseconds."""
    try:
        lane.room.get_nowait()
    except Empty:
        started_ns = time.monotonic_ns()
        lane.room.get()
        return time.monotonic_ns() - started_ns
    return 0
