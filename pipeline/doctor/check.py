"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How good it is."""

    OK = "ok"
    WARN = "warn"  # it runs, but somebody should know
    FAIL = "fail"  # it will not run, or not for long


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: what was looked at, such as ``"open files"``.
        grade: how good it is.
        found: what was found, without secrets.
        remedy: what to do; empty where nothing needs to be done.
    """

    name: str
    grade: Grade
    found: str
    remedy: str = ""
