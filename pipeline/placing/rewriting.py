"""A user's own YAML with other values of a few keys: comments and all else stay as they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from pipeline.config import PipelineConfig, loads
from pipeline.errors import ConfigError, DataError
from pipeline.placing.candidates import Change


def rewritten(text: str, changes: Sequence[Change]) -> str:
    """The text with the changes written into it.

    Args:
        text: YAML of a configuration.
        changes: each of a stage that is written there.

    Raises:
        DataError: a stage is not written there, or not as a mapping of its own.
    """
    for change in changes:
        text = _changed(text, change)
    return text


def _changed(text: str, change: Change) -> str:
    mapping = _value(_value(yaml.compose(text, Loader=yaml.SafeLoader), "stages"), change.stage)
    if not isinstance(mapping, yaml.MappingNode) or not mapping.value:
        raise DataError(f"stage {change.stage!r} is not written there, or not as a mapping")
    old = _value(mapping, change.key)
    if old is not None:
        return text[: old.start_mark.index] + change.value + text[_end(old) :]
    first = mapping.value[0][0].start_mark
    between = ", " if mapping.flow_style else "\n" + " " * first.column
    return f"{text[: first.index]}{change.key}: {change.value}{between}{text[first.index :]}"


def _end(node: yaml.Node) -> int:
    """Where a value's text ends; a list over several lines claims all up to the next key."""
    while isinstance(node, yaml.SequenceNode) and not node.flow_style and node.value:
        node = node.value[-1]
    return int(node.end_mark.index)


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
        for name, value in pairs:
            if name.value == key:
                return value
    return None


def write(path: Path, text: str, expected: PipelineConfig, overrides: Sequence[str]) -> None:
    """Writes a configuration, if it means what it should.

    Args:
        path: of the file; there is none after a failure, or the old one.
        text: YAML.
        expected: what it must mean.
        overrides: ``--set`` arguments it will be used with.

    Raises:
        DataError: it means something else, or cannot be written.
    """
    try:
        same = loads(text, str(path), overrides).stages == expected.stages
    except ConfigError as error:
        raise DataError(f"{path}: not written, it would be wrong: {error}") from None
    if not same:
        raise DataError(f"{path}: not written, the stages are not written one by one")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"{path}: cannot be written ({error.strerror})") from error
