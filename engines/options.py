"""A backend's own options: fields with defaults, checked once for all backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from engines.errors import OptionError


@dataclass(frozen=True, slots=True)
class Options:
    """A backend's options and their defaults; a backend with options derives its own.

    A value must be of its default's type, and a number at least 0; or what `whole` or `parsed`
    says. Raises `OptionError` where it is not.
    """

    @property
    def target(self) -> str:
        """The device that a network must have been compiled for; empty where it need not be."""
        return ""

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if parse := option.metadata.get("parse"):
                object.__setattr__(self, option.name, parse(value))
            else:
                _check_option(option.name, option.default, option.metadata, value)


def whole(default: int, least: int) -> Any:
    """A whole number among a backend's options, with the least value it may have."""
    return field(default=default, metadata={"least": least})


def parsed(default: Any, parse: Callable[[Any], Any]) -> Any:
    """An option of a form of its own.

    Args:
        default: as it is kept.
        parse: makes what is kept of what is written, or of what is kept; raises `OptionError`, its
            text beginning with the option's name.
    """
    return field(default=default, metadata={"parse": parse})


def _check_option(name: str, default: Any, limits: Mapping[str, Any], value: Any) -> None:
    least = limits.get("least", 0)
    if isinstance(default, bool):
        fits, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, str):
        fits, expected = isinstance(value, str), "text"
    else:
        whole = isinstance(default, int)
        kinds = int if whole else (int, float)
        fits = isinstance(value, kinds) and not isinstance(value, bool) and value >= least
        expected = f"a {'whole ' if whole else ''}number ≥ {least}"
    if not fits:
        raise OptionError(f"{name}: expected {expected}, got {value!r}")
