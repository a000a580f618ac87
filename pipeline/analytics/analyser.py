"""All rules of one camera, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.analytics.event import Analysis, Event
from pipeline.analytics.ground import GroundSpec, Speeds
from pipeline.analytics.paths import Classes, Paths, Steps
from pipeline.analytics.rule import Rule
from pipeline.analytics.rules import AnyRule, make_rule
from pipeline.tracking.track import Tracks


class View(NamedTuple):
    """What a camera's frames have in common; with another one all paths end.

    Attributes:
        width: of the picture, pixels.
        height: of the picture, pixels.
        epoch: of its time line.
    """

    width: int
    height: int
    epoch: int = 0


@dataclass(frozen=True)
class AnalysisSpec:
    """What is found out of one camera's tracks.

    Attributes:
        rules: by name, with numbers for classes.
        ground: where the picture shows the ground; None: that is not known.
        speed_window_s: see `Speeds`.
        patience_s: a track that was not detected for longer has ended, seconds.
    """

    rules: Mapping[str, AnyRule] = field(default_factory=dict)
    ground: GroundSpec | None = None
    speed_window_s: float = 1.0
    patience_s: float = 2.0


class Analyser:
    """The rules of one camera, and the paths of its tracks.

    Args:
        spec: what is found out.
    """

    def __init__(self, spec: AnalysisSpec) -> None:
        self._spec = spec
        self._rules: dict[str, Rule[Any]] = {
            name: make_rule(name, rule) for name, rule in spec.rules.items()
        }
        patience_ns = round(spec.patience_s * 1e9)
        groups = {group for rule in spec.rules.values() for group in rule.groups()}
        if spec.ground is not None:
            groups.add(None)
        self._paths: dict[Classes, Paths] = {g: Paths(g, patience_ns) for g in groups}
        self._speeds: Speeds | None = None
        self._view: View | None = None
        self._pts_ns = 0

    def step(self, tracks: Tracks, pts_ns: int, view: View) -> Analysis:
        """What a frame's tracks mean.

        Args:
            tracks: of the frame, detected and predicted ones.
            pts_ns: its time, later than the last frame's of its view.
            view: what its picture has in common with others.
        """
        found: list[Event] = []
        if view != self._view:
            found += self._ended()
            self._begin(view)
        self._pts_ns = pts_ns
        steps = {group: paths.step(tracks, pts_ns) for group, paths in self._paths.items()}
        if self._speeds is not None:
            self._speeds.step(steps[None])
            steps = {g: replace(s, speeds_kmh=self._speeds.of(s.ids)) for g, s in steps.items()}
        found += self._events(steps)
        return Analysis(
            tuple(sorted(found, key=lambda event: event.pts_ns)),
            {name: rule.tally() for name, rule in self._rules.items()},
            self._speeds_of(tracks),
        )

    def adopt(self, before: Analyser) -> None:
        """Goes on where another one of the camera was, in the rules that both have.

        Args:
            before: not used any more.
        """
        if before._view is None:
            return
        self._begin(before._view)
        self._pts_ns = before._pts_ns
        for group in self._paths.keys() & before._paths.keys():
            before._paths[group].patience_ns = self._paths[group].patience_ns
            self._paths[group] = before._paths[group]
        for name, rule in self._spec.rules.items():
            if before._spec.rules.get(name) == rule:
                self._rules[name] = before._rules[name]
        same = ("ground", "speed_window_s")
        if all(getattr(self._spec, key) == getattr(before._spec, key) for key in same):
            self._speeds = before._speeds

    def _begin(self, view: View) -> None:
        """From now on the camera has this view."""
        self._view = view
        size, spec = (view.width, view.height), self._spec
        for rule in self._rules.values():
            rule.place(*size)
        if spec.ground is not None:
            self._speeds = Speeds(spec.ground.plane(*size), spec.speed_window_s)

    def _ended(self) -> Iterator[Event]:
        """What happens because all paths end with the view."""
        if self._view is not None:
            yield from self._events({g: p.end(self._pts_ns) for g, p in self._paths.items()})

    def _events(self, steps: Mapping[Classes, Steps]) -> Iterator[Event]:
        for rule in self._rules.values():
            yield from rule.step(*(steps[group] for group in rule.spec.groups()))

    def _speeds_of(self, tracks: Tracks) -> NDArray[np.float32]:
        return np.empty(0, np.float32) if self._speeds is None else self._speeds.of(tracks.ids)
