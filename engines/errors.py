"""The errors of the engines, as one small tree.

EngineError
├── OptionError        unknown backend, device or option; names the nearest right one
├── EngineStateError   a call out of order: init, prepare, set, forward, get, destroy
├── EngineUnavailable  library or device is missing; names the command that installs it
├── ProgramError       a network or kernel cannot be loaded or is not what was declared
├── TensorError        an array does not fit its TensorSpec
├── ForwardError       the backend failed while it ran
└── EngineLost         an isolated engine's process died or hung; only a new engine helps

Each is also the builtin a caller would expect: a ValueError where something given was wrong, a
RuntimeError where the time or the machine was.
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of everything an engine raises on purpose."""


class OptionError(EngineError, ValueError):
    """A backend, device or option that does not exist, or a value out of range."""


class EngineStateError(EngineError, RuntimeError):
    """A call came in the wrong order."""


class EngineUnavailable(EngineError, RuntimeError):  # noqa: N818 - says what is, as StopIteration
    """The library or the device is not there. The message has the install command."""


class ProgramError(EngineError, ValueError):
    """A program cannot be loaded: missing, truncated, of another format, or not as declared."""


class TensorError(EngineError, ValueError):
    """An array does not fit its specification, or no tensor has that name."""


class ForwardError(EngineError, RuntimeError):
    """The backend failed while running; the inputs were in order."""


class EngineLost(EngineError, RuntimeError):  # noqa: N818 - says what is, as StopIteration
    """Its process died or hung and was killed, or its device lost it. Only a new engine helps."""
