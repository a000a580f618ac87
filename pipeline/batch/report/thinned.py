"""A row of things that may be long, kept short."""

from __future__ import annotations

from typing import Generic, TypeVar

T = TypeVar("T")


class Thinned(Generic[T]):
    """Every n-th of what it is given, and the last; n doubles whenever there are too many.

    Args:
        most: that are kept, even.
    """

    __slots__ = ("_every", "_given", "_kept", "_last", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = list[T]()
        self._last = list[T]()  # none or one
        self._every = 1
        self._given = 0

    def add(self, item: T) -> None:
        """The next of the row."""
        if self._given % self._every == 0:
            if len(self._kept) == self._most:
                del self._kept[1::2]
                self._every *= 2
            self._kept.append(item)
            self._last.clear()
        else:
            self._last[:] = [item]
        self._given += 1

    def items(self) -> list[T]:
        """Those that are kept, in order, `most` + 1 at most."""
        return self._kept + self._last
