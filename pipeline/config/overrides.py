"""``--set stages.detect.workers=2``: one value of a configuration, changed from outside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.config.document import Document, parse
from pipeline.config.problem import KeyPath, Place, Problem, spell, suggest

_PART = re.compile(r"(?:^|\.)([^.\[\]=]+)|\[([^\[\]]+)\]")


class _WrongPathError(ValueError):
    """The path leads nowhere; args are the message and the remedy."""


def apply(document: Document, override: str, environment: Mapping[str, str]) -> None:
    """Sets one value of `document`; what is wrong goes to its `problems`.

    Args:
        document: changed in place.
        override: ``path=value``. The path is written ``stages.detect.workers``, ``cameras[0].uri``,
            ``cameras.gate.uri`` (a camera by its id) or ``outputs[1].udp.to``; the value is YAML.
        environment: for ``${NAME}`` in the value.
    """
    place = Place(f"--set {override}")
    written, equals, text = override.partition("=")
    try:
        path = _parts(written.strip(), bool(equals))
        container, key, real = _descend(document, path, place)
    except _WrongPathError as error:
        document.problems.append(Problem(place, (), *error.args))
        return
    value = parse(text, place.source, environment)
    document.problems += [
        Problem(place, (*real, *p.path), p.message, p.remedy) for p in value.problems
    ]
    document.secrets.update(value.secrets)
    container[key] = value.value
    _relocate(document, real, value, place)


def _parts(written: str, has_value: bool) -> list[str]:
    parts = [match[1] or match[2] for match in _PART.finditer(written)]
    if not has_value or not parts or "".join(_PART.split(written)[::3]):
        raise _WrongPathError(
            "this is not KEY=VALUE", "write it like --set stages.detect.workers=2"
        )
    return parts


def _descend(document: Document, parts: list[str], place: Place) -> tuple[Any, str | int, KeyPath]:
    """The container of the last part, the last part as its key, and the whole path.

    Mappings that are not there yet are made, and stand at `place`.
    """
    if not isinstance(document.value, dict):
        document.value = {}
    here: Any = document.value
    path: list[str | int] = []
    for part in parts[:-1]:
        path.append(_key(here, part, tuple(path)))
        if isinstance(here, dict) and here.get(part) is None:
            here[part] = {}
            document.keys[tuple(path)] = document.places[tuple(path)] = place
        here = here[path[-1]]
    last = _key(here, parts[-1], tuple(path))
    return here, last, (*path, last)


def _key(here: Any, part: str, path: KeyPath) -> str | int:
    """The key in `here` that `part` means."""
    if isinstance(here, dict):
        return part
    if not isinstance(here, list):
        raise _WrongPathError(
            f"{spell(path)} is a single value, it has no '{part}'", f"set {spell(path)} itself"
        )
    ids = [str(item.get("id")) if isinstance(item, dict) else "" for item in here]
    if part in ids:
        return ids.index(part)
    if part.isdecimal() and int(part) < len(here):
        return int(part)
    remedy = suggest(part, filter(None, ids)) or f"write 0 to {len(here) - 1}"
    raise _WrongPathError(f"{spell(path)} has no '{part}', it has {len(here)} entries", remedy)


def _relocate(document: Document, path: KeyPath, value: Document, place: Place) -> None:
    """From now on everything at and below `path` stands in the override."""
    for places in (document.keys, document.places):
        for old in [old for old in places if old[: len(path)] == path]:
            del places[old]
    for new in value.places:
        document.places[*path, *new] = place
    document.places[path] = place
    for new in (path, *((*path, *key) for key in value.keys)):
        document.keys[new] = place
