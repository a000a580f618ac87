"""Order restored: after several workers of one stage, and where branches of a frame meet.

Pure state, no threads; the workers call these under their own locks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Resequencer(Generic[T]):
    """Gives results back in the order in which their inputs were taken, per camera.

    Numbers are given out when packets are *taken*, after every drop at the queue, so that a number
    without a result cannot exist: a packet that was dropped in processing has an empty result.
    """

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._next: dict[str, int] = {}
        self._held: dict[str, dict[int, Sequence[T]]] = {}

    def number(self, camera: str) -> int:
        """The place of the packet that was just taken."""
        number = self._taken.get(camera, 0)
        self._taken[camera] = number + 1
        return number

    def submit(self, camera: str, number: int, results: Sequence[T]) -> list[T]:
        """Hands in the results of one packet; gives all results whose turn has come."""
        held = self._held.setdefault(camera, {})
        held[number] = results
        turn = self._next.get(camera, 0)
        ready: list[T] = []
        while turn in held:
            ready.extend(held.pop(turn))
            turn += 1
        self._next[camera] = turn
        return ready

    def ahead(self, camera: str, number: int) -> int:
        """How many places `number` is ahead of the camera's turn; 0 means it is its turn."""
        return number - self._next.get(camera, 0)

    def abandon(self) -> list[T]:
        """Everything still held back."""
        left = [r for held in self._held.values() for results in held.values() for r in results]
        self._held.clear()
        return left


class Meeting(Generic[T]):
    """Brings the branches of one frame together again.

    Every branch delivers a camera's frames in rising order, so one that delivers frame k has
    dropped whatever it did not deliver below k: those frames can never be complete.

    Args:
        branches: names of the branches; results keep this order.
    """

    def __init__(self, branches: Sequence[str]) -> None:
        self._branches = tuple(branches)
        self._waiting: dict[str, dict[int, dict[str, T]]] = {}

    def offer(
        self, branch: str, camera: str, sequence: int, item: T
    ) -> tuple[list[T] | None, list[T]]:
        """Takes one branch's packet of one frame.

        Returns:
            The frame's items, one a branch, if this one completed it, else None; and the items of
            earlier frames that cannot be completed any more.
        """
        frames = self._waiting.setdefault(camera, {})
        hopeless = [s for s, items in frames.items() if s < sequence and branch not in items]
        orphans = [item for s in sorted(hopeless) for item in frames.pop(s).values()]
        items = frames.setdefault(sequence, {})
        items[branch] = item
        if len(items) < len(self._branches):
            return None, orphans
        del frames[sequence]
        return [items[name] for name in self._branches], orphans

    def abandon(self) -> list[T]:
        """Everything that still waits for its counterpart."""
        frames = [items for waiting in self._waiting.values() for items in waiting.values()]
        self._waiting.clear()
        return [item for items in frames for item in items.values()]
