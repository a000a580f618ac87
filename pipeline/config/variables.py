"""``${NAME}`` in a configuration's values: from the environment, or from a file.

=====================  ==========================================================
``${NAME}``            the environment variable; unset is an error
``${NAME:-default}``   the default where the variable is unset or empty
``${file:/run/x}``     the file's text without its last line break
``$$``                 a dollar sign
=====================  ==========================================================

Substitution works on parsed values, so that no variable can add keys to the configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.media.uri import redact

_REFERENCE = re.compile(r"\$(?:\$|\{([^{}]*)\})")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
#: Shorter values would be found inside unrelated words.
_SHORTEST_HIDDEN = 4


class VariableError(ValueError):
    """A reference that leads nowhere; the message names it and the remedy."""


class Secrets:
    """What came from outside the configuration, so that it is never shown."""

    def __init__(self) -> None:
        self._written: dict[str, str] = {}

    def add(self, value: str, written: str, shortest: int = _SHORTEST_HIDDEN) -> None:
        """From now on shows `value` as `written`, unless it is known under another name."""
        if len(value) >= shortest:
            self._written.setdefault(value, written)

    def update(self, other: Secrets) -> None:
        """Hides what `other` hides, too."""
        self._written.update(other._written)

    def hide(self, text: str) -> str:
        """The text with every secret as it was written, and URLs without users and passwords."""
        for value in sorted(self._written, key=len, reverse=True):
            text = text.replace(value, self._written[value])
        return redact(text)

    def hide_all(self, value: Any) -> Any:
        """The same for every text inside plain mappings and lists; a copy."""
        if isinstance(value, dict):
            return {key: self.hide_all(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide_all(item) for item in value]
        return self.hide(value) if isinstance(value, str) else value


def substitute(text: str, environment: Mapping[str, str], secrets: Secrets) -> str:
    """The text with its references replaced.

    Args:
        text: one value of the configuration.
        environment: variables by name.
        secrets: gets everything that came from outside.

    Raises:
        VariableError: for an unset variable, an unreadable file or a misspelt reference.
    """
    outside = False

    def replacement(match: re.Match[str]) -> str:
        nonlocal outside
        if match[0] == "$$":
            return "$"
        value, came_from_outside = _look_up(match[1], environment)
        if came_from_outside:
            outside = True
            secrets.add(value, match[0])
        return value

    result = _REFERENCE.sub(replacement, text)
    if outside:
        secrets.add(result, text, shortest=1)
    return result


def _look_up(reference: str, environment: Mapping[str, str]) -> tuple[str, bool]:
    """A reference's value, and whether it came from outside the configuration."""
    if reference.startswith("file:"):
        return _read(reference.removeprefix("file:")), True
    match = _NAME.fullmatch(reference)
    if match is None:
        raise VariableError(
            f"'${{{reference}}}' is not a reference; write ${{NAME}}, ${{NAME:-default}}, "
            "${file:PATH}, or $$ for a dollar sign"
        )
    name, default = match[1], match[2]
    value = environment.get(name)
    if value or (value is not None and default is None):
        return value, True
    if default is None:
        raise VariableError(
            f"the environment variable {name} is not set; "
            f"set it, or give a default: ${{{name}:-default}}"
        )
    return default, False


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise VariableError(
            f"the file of ${{file:{path}}} cannot be read: {reason}; "
            "check the path and its permissions"
        ) from error
