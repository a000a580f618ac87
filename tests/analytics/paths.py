"""Tracks whose ways are written down, for the tests of the rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pipeline.analytics.analyser import Analyser, AnalysisSpec, View
from pipeline.analytics.event import Analysis, Event
from pipeline.analytics.rules import AnyRule
from pipeline.tracking.track import Tracks, TrackState

VIEW = View(1000, 1000)
HEIGHT = 40
#: Where a track's foot is: x, y; three values: and its class.
Place = Sequence[float]
#: Of each frame: its time in seconds, and where each track is detected.
Frames = Iterable[tuple[float, Mapping[int, Place]]]


def tracks(places: Mapping[int, Place], unseen: Sequence[int] = ()) -> Tracks:
    """Tracks whose boxes are 20 wide and 40 high, with their feet there.

    Args:
        places: by id.
        unseen: ids of those that are only predicted.
    """
    ids = np.array(sorted(places), np.int64)
    feet = np.array([places[track][:2] for track in ids.tolist()], np.float32).reshape(-1, 2)
    labels = np.array([int((*places[i], 0)[2]) for i in ids.tolist()], np.int32)
    count, none = len(ids), np.zeros(len(ids), np.float32)
    return Tracks(
        ids,
        np.concatenate((feet - np.float32([10, HEIGHT]), feet + np.float32([10, 0])), axis=1),
        np.ones(count, np.float32),
        labels,
        np.full(count, TrackState.CONFIRMED, np.uint8),
        np.zeros((count, 2), np.float32),
        none,
        np.where(np.isin(ids, unseen), 0.04, 0).astype(np.float32),
    )


def analyses(spec: AnalysisSpec, frames: Frames) -> list[Analysis]:
    """What is found in each frame."""
    analyser = Analyser(spec)
    return [analyser.step(tracks(places), round(seconds * 1e9), VIEW) for seconds, places in frames]


def events(rule: AnyRule, frames: Frames) -> list[Event]:
    """All that one rule finds."""
    spec = AnalysisSpec({"rule": rule})
    return [event for analysis in analyses(spec, frames) for event in analysis.events]


def told(found: Iterable[Event]) -> list[str]:
    """Kinds of events, of crossings their directions."""
    return [event.direction or event.kind for event in found]


def one(way: Iterable[Place], every_s: float = 0.04) -> list[tuple[float, Mapping[int, Place]]]:
    """The frames of a single track."""
    return [(index * every_s, {1: place}) for index, place in enumerate(way)]
