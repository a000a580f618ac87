"""Bounded queues that close.

A queue has lanes, each bounded by itself and served in turn, so that a flood on one lane costs the
others nothing. The inbox behind the sources has a lane per camera, the inbox of a joining stage a
lane per predecessor, every other inbox a single lane.

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
from typing import Generic, TypeVar

from pipeline.metrics import Histogram, QueueMetrics

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 - not an error: the orderly end of a queue
    """The other side of the queue is gone."""


class OnFull(StrEnum):
    """What `put` does on a full lane."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"


class _Lane(Generic[T]):
    __slots__ = ("items", "name", "not_full", "on_full")

    def __init__(self, name: str, on_full: OnFull, lock: threading.Lock) -> None:
        self.name = name
        self.on_full = on_full
        self.items: deque[tuple[T, int]] = deque()
        self.not_full = threading.Condition(lock)


class LaneQueue(Generic[T]):
    """A bounded queue of one or more lanes; any number of producers and consumers.

    Args:
        capacity: items a lane holds at most, ≥1.
        lanes: the lanes by name, each with its policy when full.
        producers: how many times `close_put` must be called before the queue ends.

    Raises:
        ValueError: no lane, no producer or no capacity.
    """

    def __init__(self, capacity: int, lanes: Mapping[str, OnFull], producers: int = 1) -> None:
        if capacity < 1 or producers < 1 or not lanes:
            raise ValueError(f"{capacity=}, {producers=} and lanes={len(lanes)} must all be ≥1")
        self._capacity = capacity
        self._producers = producers
        self._lock = threading.Lock()
        self._not_empty = threading.Condition(self._lock)
        self._lanes = {name: _Lane[T](name, on_full, self._lock) for name, on_full in lanes.items()}
        self._waiting: deque[_Lane[T]] = deque()  # lanes that hold something, next to serve first
        self._abandoned = False
        self._metrics = QueueMetrics(capacity)

    def put(self, lane: str, item: T) -> T | None:
        """Puts one item; gives back the item that had to go for it, if any (maybe itself).

        Raises:
            Closed: the consumer is gone; the item was not taken.
        """
        with self._lock:
            target = self._lanes[lane]
            gone = self._make_room(target, item)
            if gone is item:
                return gone
            if not target.items:
                self._waiting.append(target)
            target.items.append((item, time.monotonic_ns()))
            metrics = self._metrics
            metrics.put += 1
            metrics.depth += 1
            metrics.max_depth = max(metrics.max_depth, metrics.depth)
            self._not_empty.notify()
            return gone

    def _make_room(self, lane: _Lane[T], item: T) -> T | None:
        if self._abandoned:
            raise Closed
        if len(lane.items) < self._capacity:
            return None
        if lane.on_full is OnFull.BLOCK:
            self._wait_for_room(lane)
            return None
        self._metrics.dropped += 1
        if lane.on_full is OnFull.DROP_NEWEST:
            return item
        self._metrics.depth -= 1
        oldest, _ = lane.items.popleft()
        if not lane.items:  # capacity 1: `put` will line the lane up again
            self._waiting.remove(lane)
        return oldest

    def _wait_for_room(self, lane: _Lane[T]) -> None:
        started_ns = time.monotonic_ns()
        while len(lane.items) >= self._capacity and not self._abandoned:
            lane.not_full.wait()
        self._metrics.blocked_ns += time.monotonic_ns() - started_ns
        if self._abandoned:
            raise Closed

    def get(self) -> tuple[str, T]:
        """Waits for the next item of the lane whose turn it is; gives (lane, item).

        Raises:
            Closed: every producer is done and the queue is empty, or `close_get` was called.
        """
        with self._lock:
            while not self._waiting:
                self._raise_if_ended()
                self._not_empty.wait()
            return self._take()

    def get_batch(self, most: int, wait_s: float) -> list[tuple[str, T]]:
        """Waits for one item, then for up to `most` items but no longer than `wait_s` seconds.

        Raises:
            Closed: as `get`; never while it holds an item.
        """
        batch = [self.get()]
        deadline = time.monotonic() + wait_s
        with self._lock:
            while len(batch) < most:
                if self._waiting:
                    batch.append(self._take())
                    continue
                remaining = deadline - time.monotonic()
                if remaining <= 0 or self._ended:
                    break
                self._not_empty.wait(remaining)
        return batch

    def _take(self) -> tuple[str, T]:
        lane = self._waiting.popleft()
        item, put_ns = lane.items.popleft()
        if lane.items:
            self._waiting.append(lane)
        lane.not_full.notify()
        metrics = self._metrics
        metrics.got += 1
        metrics.depth -= 1
        metrics.wait.add(time.monotonic_ns() - put_ns)
        return lane.name, item

    @property
    def _ended(self) -> bool:
        return self._abandoned or not self._producers

    def _raise_if_ended(self) -> None:
        if self._ended:
            raise Closed

    def close_put(self) -> None:
        """One producer is done; after the last one, `get` drains and then raises `Closed`."""
        with self._lock:
            self._producers = max(0, self._producers - 1)
            if not self._producers:
                self._not_empty.notify_all()

    def close_get(self) -> list[T]:
        """The consumer is done: gives what was left, and every later `put` raises `Closed`."""
        with self._lock:
            self._abandoned = True
            left = [item for lane in self._lanes.values() for item, _ in lane.items]
            for lane in self._lanes.values():
                lane.items.clear()
                lane.not_full.notify_all()
            self._waiting.clear()
            self._metrics.depth = 0
            self._not_empty.notify_all()
            return left

    def statistics(self) -> QueueMetrics:
        """A consistent copy of the counts."""
        with self._lock:
            now = self._metrics
            wait = Histogram()
            wait.merge(now.wait)
            return QueueMetrics(
                now.capacity,
                now.depth,
                now.max_depth,
                now.put,
                now.got,
                now.dropped,
                wait,
                now.blocked_ns,
            )
