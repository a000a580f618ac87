"""JSON that may come from anybody: every value is checked as it is read, and named on failure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from typing import Any

#: What no count of anything exceeds here: integers that a float64 holds too.
MAX_WHOLE = 2**53


class Value:
    """One value of a JSON text. Each method raises `ValueError` where it is of another kind.

    Args:
        found: as parsed.
        way: from the text's top to it, such as ``segments[0].layers[2].cycles``.
    """

    def __init__(self, found: Any, way: str = "") -> None:
        self._found, self._way = found, way

    def __getitem__(self, name: str) -> Value:
        """A member of an object."""
        way = f"{self._way}.{name}".removeprefix(".")
        if name not in self._kind(dict, "an object"):
            raise ValueError(f"{way} is missing")
        return Value(self._found[name], way)

    def members(self) -> Iterator[tuple[str, Value]]:
        """Of an object, by name."""
        return ((name, self[name]) for name in self._kind(dict, "an object"))

    def each(self, most: int = MAX_WHOLE, least: int = 0) -> list[Value]:
        """The elements of a list, which has at least and at most so many."""
        found = self._kind(list, "a list")
        if not least <= len(found) <= most:
            raise ValueError(f"{self._way}: expected {least} … {most} elements, got {len(found)}")
        return [Value(one, f"{self._way}[{place}]") for place, one in enumerate(found)]

    def text(self) -> str:
        """A string."""
        return str(self._kind(str, "a string"))

    def texts(self) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(one.text() for one in self.each())

    def whole(self, low: int = 0, high: int = MAX_WHOLE) -> int:
        """An integer from `low` to `high`."""
        found = self._kind(int, "an integer")
        if not low <= found <= high:
            raise ValueError(f"{self._way}: expected {low} … {high}, got {self._told()}")
        return int(found)

    def number(self, low: float, high: float) -> float:
        """A number from `low` to `high`."""
        if type(self._found) not in (int, float) or not low <= self._found <= high:
            raise ValueError(f"{self._way}: expected {low:.6g} … {high:.6g}, got {self._told()}")
        return float(self._found)

    def plain(self) -> dict[str, Any]:
        """An object as it is, whatever is in it."""
        return dict(self._kind(dict, "an object"))

    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self._found, list)

    def _kind(self, kind: type, name: str) -> Any:
        if type(self._found) is not kind:
            raise ValueError(f"{self._way or 'it'}: expected {name}, got {self._told()}")
        return self._found

    def _told(self) -> str:
        return f"{type(self._found).__name__} {str(self._found)[:40]!r}"


def parsed(text: bytes) -> Value:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON, names a member twice, holds a number that is none (NaN) or
            infinite, or is nested too deep.
    """
    try:
        found = json.loads(
            text, object_pairs_hook=_object, parse_constant=_number, parse_float=_number
        )
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return Value(found)


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict[str, Any]()
    for name, value in members:
        if name in found:
            raise ValueError(f"it names {name[:40]!r} twice")
        found[name] = value
    return found


def _number(text: str) -> float:
    found = float(text)
    if not isfinite(found):
        raise ValueError(f"{text[:40]} is no finite number")
    return found
