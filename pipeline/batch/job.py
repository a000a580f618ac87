"""What the processes of a batch are asked to do, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.batch.clip import Clip, Segment


@dataclass(frozen=True, slots=True)
class SeeJob:
    """Look at a piece of a video.

    Attributes:
        folder: that its results go into; of this clip alone.
    """

    clip: Clip
    segment: Segment
    folder: Path


@dataclass(frozen=True, slots=True)
class Seen:
    """A piece was looked at: what was found in it is safe on the disk, or nothing is.

    Attributes:
        clip: name of the clip.
        segment: number of the segment.
        frames: that were looked at.
        faults: of the source, by name; see `Source.faults`.
        bindings: what each stage ran on, for people, by its name.
        error: why it could not be read to its end; empty where it could.
    """

    clip: str
    segment: int
    frames: int
    faults: Mapping[str, int] = field(default_factory=dict)
    bindings: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class FollowJob:
    """Follow a clip from its first frame to its last, by what was seen of it.

    Attributes:
        seen: the folder that its segments were written into.
        results: the folder for its results; empty, and of this job alone.
    """

    clip: Clip
    seen: Path
    results: Path


@dataclass(frozen=True, slots=True)
class Followed:
    """A clip was followed: its results are complete in their folder, or there is an error.

    Attributes:
        clip: name of the clip.
        report: the run's report as plain values; see `RunReport.to_json`.
        bindings: what each stage ran on, for people, by its name.
        tracks: how many identities there are.
        events: how many events.
        error: why it failed; empty where it did not.
    """

    clip: str
    report: Mapping[str, Any] = field(default_factory=dict)
    bindings: Mapping[str, str] = field(default_factory=dict)
    tracks: int = 0
    events: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Under:
    """A process is at work: how far it is, now and then.

    Attributes:
        clip: name of the clip it is at.
        frames: it has finished since it was last told.
        busy_s: seconds that the workers of each stage were busy since then.
    """

    clip: str
    frames: int
    busy_s: Mapping[str, float] = field(default_factory=dict)


Answer = Seen | Followed | Under
