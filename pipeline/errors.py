"""The errors of the pipeline, as one small tree.

SightlineError
├── ConfigError          a configuration is wrong: file, line, key and remedy are named
├── GraphError           the stages make no graph (cycle, misfit); before any thread
├── ReloadError          a running graph cannot become another one; it runs on
├── ModelError           a model package is missing, damaged or does not fit its manifest
├── SourceError          a camera or file cannot be opened or read; ends that camera only
├── PacketError          this packet is dropped and counted, the stage goes on
├── StageError           the stage cannot go on; the run stops
├── OutputError          a sink cannot be opened or written
├── MessageError         bytes received are not a message of ours
│   └── RefusedError     they may be one, but must not be believed
├── BatchError           a folder of results cannot be worked on
│   └── ChangedError     what is in it was made of something else
├── DataError            a table of boxes or a recording cannot be read, written or scored
└── PipelineError        everything that failed in one run, first failure first (an ExceptionGroup)

The engines have their own tree in `engines/errors.py`.
"""

from __future__ import annotations


class SightlineError(Exception):
    """Base of every error this program raises on purpose. Its text is meant for people."""


class ConfigError(SightlineError):
    """The configuration is wrong. The message names file, line, key and the remedy.

    Args:
        problems: everything that is wrong, each a text or something that reads as one line.
    """

    def __init__(self, *problems: object) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class GraphError(SightlineError):
    """The stages do not make a graph. Raised before any thread exists."""


class ReloadError(SightlineError):
    """A running graph cannot become another one. It runs on as it was."""


class ModelError(SightlineError):
    """A model package is missing, damaged, or its network does not fit its manifest."""


class SourceError(SightlineError):
    """A camera or file cannot be opened or read. It ends that camera, not the run."""


class PacketError(SightlineError):
    """One packet cannot be processed.

    Args:
        reason: a short constant word for the ledger, such as ``"bad_picture"``.
        detail: what was expected and what came.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class StageError(SightlineError):
    """A stage cannot go on; the whole run stops and reports it."""


class OutputError(SightlineError):
    """A sink cannot be opened or written (path not writable, port in use)."""


class MessageError(SightlineError):
    """Bytes or text that arrived are not a message of ours.

    Args:
        reason: a short constant word to count by, such as ``"bad_checksum"``.
        detail: what was expected and what came.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class RefusedError(MessageError):
    """A message that must not be believed: not authentic, or older than what was believed."""


class BatchError(SightlineError):
    """A batch cannot work in its folder: another run does, or the folder is none of a batch."""


class ChangedError(BatchError):
    """What is in a batch's folder was made with another configuration, model or video."""


class DataError(SightlineError):
    """A table of boxes (ground truth, results, detections) or a recording cannot be used."""


class PipelineError(ExceptionGroup[Exception]):
    """All failures of one run; ``exceptions[0]`` is the first that happened."""

    def derive(self, excs):  # type: ignore[no-untyped-def]
        return PipelineError(self.message, excs)
