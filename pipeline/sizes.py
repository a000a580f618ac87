"""How large a payload is: what moving its stage to another chip or machine would carry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from operator import attrgetter, methodcaller
from typing import Any

import numpy as np

from pipeline.media.picture import Picture

_Open = Callable[[Any], Collection[Any]]


def size_of(payload: Any) -> tuple[int, int]:
    """Bytes of a payload's arrays, and of its picture as it is stored.

    Between the stages of one process all of it goes by reference: nothing is copied.
    """
    arrays = pictures = 0
    parts = [payload]
    while parts:
        part = parts.pop()
        if isinstance(part, np.ndarray):
            arrays += part.nbytes
        elif _is_picture(part.__class__):
            pictures += part.nbytes
        elif opened := _opener(part.__class__):
            parts += opened(part)
    return arrays, pictures


# Both are asked for each part of each frame's payload, several times a frame.
@cache
def _is_picture(kind: type) -> bool:
    return issubclass(kind, Picture)


@cache
def _opener(kind: type) -> _Open | None:
    """What takes a value of this class apart; None where there is nothing in it."""
    if issubclass(kind, Mapping):
        return methodcaller("values")
    if not is_dataclass(kind):
        return None
    names = [field.name for field in fields(kind)]
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: [getattr(value, name) for name in names]
