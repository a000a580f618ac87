"""What is kept of a track: enough to show it, however long it was there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from pipeline.batch.report.sight import Sight
from pipeline.batch.report.thinned import Thinned

_MOST_POINTS = 64  # of a path
_MOST_SPANS = 16
#: A track that was not told of for so long was away meanwhile, seconds.
_AWAY_S = 1.0
#: How far a simplified path may be from the one that was gone, as a part of the picture's width.
_STRAY = 0.004


class Life:
    """One track.

    Attributes:
        track: its identity.
        name: of its class, as it was told last.
        frames: in which it was detected.
        evidence: sum of its scores in them; long and sure is much.
        spans: seconds from and to, in order of time; between them it was away.
        path: of its feet, in pixels of the digest's picture.
        fastest_kmh: highest speed over ground; None where none was told.
        best: moment to show it in; None where it was never seen.
    """

    __slots__ = ("best", "evidence", "fastest_kmh", "frames", "name", "path", "spans", "track")

    def __init__(self, track: int) -> None:
        self.track = track
        self.name = ""
        self.frames = 0
        self.evidence = 0.0
        self.spans = list[list[float]]()
        self.path = Thinned(_MOST_POINTS)
        self.fastest_kmh: float | None = None
        self.best: Sight | None = None

    @property
    def dwell_s(self) -> float:
        """How long it was there."""
        return sum(end - start for start, end in self.spans)

    def there(self, start_s: float, end_s: float, *, went_on: bool) -> None:
        """It was detected in a frame that was shown from `start_s` to `end_s`.

        Args:
            went_on: it was told of in the frame before, if only as predicted.
        """
        spans = self.spans
        if spans and (went_on or start_s - spans[-1][1] <= _AWAY_S or len(spans) == _MOST_SPANS):
            spans[-1][1] = end_s
        else:
            spans.append([start_s, end_s])

    def seen(self, told: Mapping[str, Any], feet: tuple[float, float]) -> None:
        """It was detected in a frame, in which its feet were there."""
        self.frames += 1
        self.evidence += told["score"]
        self.path.add(*feet)
        speed = told.get("speed_kmh")
        if speed is not None:
            self.fastest_kmh = max(speed, self.fastest_kmh or 0.0)

    def to_json(self, width: int) -> dict[str, Any]:
        """As the digest has it; without its picture.

        Args:
            width: of the picture in which its path is, pixels.
        """
        return {
            "id": self.track,
            "class": self.name,
            "first_s": round(self.spans[0][0], 3),
            "last_s": round(self.spans[-1][1], 3),
            "dwell_s": round(self.dwell_s, 3),
            "frames": self.frames,
            "score": round(self.evidence / max(self.frames, 1), 4),
            "fastest_kmh": None if self.fastest_kmh is None else round(self.fastest_kmh, 1),
            "spans": [[round(start, 3), round(end, 3)] for start, end in self.spans],
            "path": _simplified(self.path.points(), _STRAY * width),
            "best": None if self.best is None else _told(self.best),
        }


def _told(best: Sight) -> dict[str, Any]:
    return {"pts_ns": best.pts_ns, "box": [round(side, 1) for side in best.box_xyxy]}


def _simplified(points: list[tuple[float, float]], stray: float) -> list[list[int]]:
    """Fewer points, none of those left out further than `stray` from the line (Douglas-Peucker)."""
    if len(points) < 3:
        return [[round(x), round(y)] for x, y in points]
    line = cv2.approxPolyDP(np.array(points, np.float32)[:, None], stray, closed=False)
    rounded: list[list[int]] = line[:, 0].round().astype(int).tolist()
    return rounded
