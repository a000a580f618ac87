"""Which tracks went over a border, and are really beyond it.

A box jitters, so one that stands on a border goes over it again and again. What it does counts when
its way has got farther from the border than a margin: from the last time that it was so far, all
goings there and back are taken together. The moment is that of the last one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pipeline.analytics.border import Border, gap
from pipeline.analytics.paths import Steps
from pipeline.tracking.motion import Floats


@dataclass(frozen=True, slots=True)
class Crossing:
    """A track that went over a border.

    Attributes:
        row: of the steps.
        net: how often it went to the right side, less how often to the left one.
        pts_ns: when it went over it last.
        at: where, (2,) pixels.
        beyond: where it was far enough from it, (2,) pixels.
    """

    row: int
    net: int
    pts_ns: int
    at: Floats
    beyond: Floats


class Crossings:
    """The tracks at one border. Remembers those only that have not got away from it yet.

    Args:
        border: in pixels.
        margin: how far a track has to get from it, in heights of its box.
    """

    def __init__(self, border: Border, margin: float) -> None:
        self._border = border
        self._margin = margin
        #: By track: what it did since it was far from the border.
        self._open: dict[int, Crossing] = {}

    def step(self, steps: Steps, a: Floats, b: Floats) -> Iterator[Crossing]:
        """The crossings that are sure now, of each track in order of time.

        Args:
            steps: all that the tracks do in this frame.
            a: (N, 2) where each was, pixels.
            b: (N, 2) where each is.
        """
        for track in steps.ended.ids.tolist():
            self._open.pop(track, None)
        over = self._border.crossings(a, b)
        concerned = set(over)
        if self._open:
            concerned.update(np.isin(steps.ids, list(self._open)).nonzero()[0].tolist())
        for row in sorted(concerned):
            yield from self._walk(steps, row, a[row], b[row], over.get(row, []))

    def _walk(
        self, steps: Steps, row: int, a: Floats, b: Floats, over: list[tuple[float, int]]
    ) -> Iterator[Crossing]:
        """The same for one track."""
        track, way = int(steps.ids[row]), b - a
        near = self._border.near(a, b, self._margin * float(steps.heights()[row]))
        done, open_ = 0.0, self._open.pop(track, None)
        for share, net in (*over, (1.0, 0)):
            far = gap(near, done, share)
            if open_ is not None and far is not None:
                yield replace(open_, row=row, beyond=a + far * way)
                open_ = None
            if net:
                at, before = a + share * way, open_.net if open_ else 0
                open_ = Crossing(row, before + net, steps.moment(row, share), at, at)
            done = share
        if open_ is not None:
            self._open[track] = open_
