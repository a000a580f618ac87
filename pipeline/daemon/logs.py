"""The daemon's log: one line an event, for machines or for people, and never a secret."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Hide = Callable[[str], str]


class LogStyle(StrEnum):
    """How the log is written."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def set_up(style: LogStyle, hide: Hide, stream: TextIO = sys.stdout) -> None:
    """Lets this process log to `stream`, its libraries and warnings included.

    Args:
        style: AUTO is CONSOLE on a terminal, else JSON.
        hide: takes the secrets out of a text; every text of every line goes through it.
        stream: each line is written at once.
    """
    if style is LogStyle.AUTO:
        style = LogStyle.CONSOLE if stream.isatty() else LogStyle.JSON
    noted: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*noted, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.ExtraAdder(),  # first: an extra may be called "level"
                structlog.stdlib.add_logger_name,
                *noted,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                Redactor(hide),
                _head_first,
                _renderer(style, stream),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a reader of the log that went away must not fill stderr


def _renderer(style: LogStyle, stream: TextIO) -> Processor:
    if style is LogStyle.JSON:
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        exception_formatter=structlog.dev.plain_traceback,  # others show local variables
    )


def _head_first(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {**{key: event[key] for key in ("timestamp", "level", "event")}, **event}


class Redactor:
    """Takes the secrets out of everything one line says.

    Args:
        hide: takes them out of one text.
    """

    def __init__(self, hide: Hide) -> None:
        self._hide = hide

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """A structlog processor; the last one before the line is written."""
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, dict):
            return {self._hide(str(key)): self._clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(item) for item in value]
        return self._hide(str(value))
