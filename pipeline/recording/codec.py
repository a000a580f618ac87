"""A payload as plain values and arrays, and back. No code travels, so any file may be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from pipeline.media.color import YuvColor
from pipeline.media.orientation import Orientation
from pipeline.media.picture import BgrPicture, NoPicture, Picture, YuvPicture
from pipeline.payloads import (
    Decoded,
    Detected,
    Matched,
    ModelInput,
    ModelOutput,
    Pooled,
    Predicted,
    Proposed,
    RoiOutput,
    Tracked,
)

#: Every payload that travels, by the name in a recording.
PAYLOADS = {
    kind.__name__: kind
    for kind in (
        Decoded,
        ModelInput,
        ModelOutput,
        Proposed,
        Pooled,
        RoiOutput,
        Detected,
        Predicted,
        Matched,
        Tracked,
    )
}

Arrays = dict[str, NDArray[Any]]
_ARRAY = "in a file of its own"


def to_plain(value: Any, name: str, arrays: Arrays) -> Any:
    """Plain values, ready for JSON; arrays go to `arrays` under dotted names.

    Args:
        value: a payload, or a part of one.
        name: of the part, where its arrays' names begin.
        arrays: gets the arrays; those of the value itself, not copies.
    """
    if isinstance(value, np.ndarray):
        arrays[name] = value
        return _ARRAY
    if isinstance(value, Picture):
        return _picture_to_plain(value, name, arrays)
    if isinstance(value, tuple):
        return [to_plain(part, f"{name}.{index}", arrays) for index, part in enumerate(value)]
    if is_dataclass(value):
        parts = {f.name: getattr(value, f.name) for f in fields(value)}
    elif isinstance(value, Mapping):
        parts = dict(value)
    else:
        return value
    return {key: to_plain(part, f"{name}.{key}", arrays) for key, part in parts.items()}


def from_plain(kind: Any, plain: Any, name: str, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The value again.

    Args:
        kind: its class.
        plain: as `to_plain` gave it.
        name: as `to_plain` was given it.
        arrays: as `to_plain` filled it.

    Raises:
        KeyError, TypeError, ValueError: the values are not those of such a class.
    """
    if plain == _ARRAY:
        return arrays[name]
    if kind is Picture:
        return _picture_from_plain(plain, name, arrays)
    if isinstance(kind, UnionType):  # X | None
        if plain is None:
            return None
        kind = get_args(kind)[0]
    if is_dataclass(kind) and isinstance(kind, type):
        return kind(
            **{
                part: from_plain(hint, plain[part], f"{name}.{part}", arrays)
                for part, hint in _parts(kind)
                # A recording may be older than a field, which then has its default.
                if part in plain
            }
        )
    if isinstance(plain, list):  # tuple[X, ...] or tuple[X, X]
        part = get_args(kind)[0]
        return tuple(
            from_plain(part, one, f"{name}.{index}", arrays) for index, one in enumerate(plain)
        )
    if isinstance(plain, dict):
        part = get_args(kind)[1]  # of a mapping
        return {key: from_plain(part, plain[key], f"{name}.{key}", arrays) for key in plain}
    return plain


@cache
def _parts(kind: type) -> list[tuple[str, Any]]:
    """A dataclass's fields with their types; found once, as that takes longer than to fill them."""
    hints = get_type_hints(kind)
    return [(field.name, hints[field.name]) for field in fields(kind)]


def _picture_to_plain(picture: Picture, name: str, arrays: Arrays) -> dict[str, Any]:
    if isinstance(picture, YuvPicture):
        y, u, v, color, orientation = picture.parts()
        arrays |= {f"{name}.y": y, f"{name}.u": u, f"{name}.v": v}
        return {
            "color": to_plain(color, "", arrays),
            "orientation": to_plain(orientation, "", arrays),
        }
    if isinstance(picture, NoPicture):
        return {"width": picture.width, "height": picture.height}
    arrays[f"{name}.bgr"] = picture.bgr()
    return {}


def _picture_from_plain(plain: Any, name: str, arrays: Mapping[str, NDArray[Any]]) -> Picture:
    if f"{name}.bgr" in arrays:
        return BgrPicture(arrays[f"{name}.bgr"])
    if "width" in plain:
        return NoPicture(plain["width"], plain["height"])
    y, u, v = (arrays[f"{name}.{plane}"] for plane in "yuv")
    return YuvPicture(y, u, v, YuvColor(**plain["color"]), Orientation(**plain["orientation"]))
