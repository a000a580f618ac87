"""What a video's results come to, frame after frame."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from pipeline.batch.report.course import Counts, Statuses
from pipeline.batch.report.dwell import dwell_times
from pipeline.batch.report.heat import grid
from pipeline.batch.report.life import Life
from pipeline.batch.report.sight import look
from pipeline.batch.report.thinned import Thinned
from pipeline.media.timeline import NS_PER_S

_MOST_TRACKS = 300  # in full
_MOST_EVENTS = 200  # in full
#: Of an event's line, what is shown.
_OF_EVENT = ("rule", "kind", "direction", "pts_ns", "track", "class", "value", "unit", "picture")
_MOMENTS = 7  # of which the background is made
#: Nobody looked at frames of these statuses.
_ASLEEP = ("stalled", "blind")


class Account:
    """What is known after some of the lines of ``tracks.jsonl``.

    Args:
        width: of the picture in pixels, where there is no line.
        height: likewise.
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._frames = 0
        self._first_s = self._end_s = 0.0
        self._counts, self._statuses = Counts(), Statuses()
        self._lives: dict[int, Life] = {}
        self._told = set[int]()  # tracks in the last frame
        self._seconds = defaultdict[str, float](float)  # of tracks, by class
        self._heat = grid(width, height)
        self._moments = Thinned(8 * _MOMENTS, "d")  # how much is covered, and when
        self._events = list[dict[str, Any]]()
        self._kinds: Counter[tuple[str, str, str]] = Counter()

    def add(self, line: Mapping[str, Any], seconds: float) -> None:
        """The next frame.

        Args:
            line: its line, as `pipeline.output.jsonmessage` writes it.
            seconds: that it was shown for.
        """
        at_s = line["pts_ns"] / NS_PER_S
        if not self._frames:
            self._first_s = at_s
            self._size = line["width"], line["height"]
            self._heat = grid(*self._size)
        self._frames += 1
        self._end_s = at_s + seconds
        self._statuses.add(at_s, seconds, line["status"], line["reason"])
        self._counts.add(at_s - self._first_s, seconds, _counted(line))
        if line["status"] == "ok":
            self._moments.add(_covered(line), line["pts_ns"])
        for told in line["tracks"]:
            if told["unseen_s"] == 0 and told["state"] != "tentative":
                self._see(told, line, at_s, seconds)
        self._told = {told["id"] for told in line["tracks"]}

    def add_event(self, event: Mapping[str, Any]) -> None:
        """Something that happened.

        Args:
            event: its line, as `pipeline.output.eventlines` writes it.
        """
        self._kinds[event["rule"], event["kind"], event["direction"]] += 1
        if len(self._events) < _MOST_EVENTS:
            self._events.append({key: event[key] for key in _OF_EVENT})

    def ranked(self) -> list[Life]:
        """All tracks, those seen longest and most surely first."""
        return sorted(self._lives.values(), key=lambda life: (-life.evidence, life.track))

    def moments_ns(self) -> list[int]:
        """A few moments in which little is in the way, from all over the video."""
        moments = self._moments.points()
        enough = sorted(covered for covered, _ in moments)[:_MOMENTS][-1:]
        clear = [int(at) for covered, at in moments if [covered] <= enough]
        return clear[:: max(1, len(clear) // _MOMENTS)][:_MOMENTS]

    def to_json(self, pictured: Collection[int]) -> dict[str, Any]:
        """Plain values; times in seconds of the video, places in pixels of its first frame.

        Args:
            pictured: tracks that have a picture.
        """
        ranked = self.ranked()
        shown = sorted(ranked[:_MOST_TRACKS], key=lambda life: (life.spans[0][0], life.track))
        width, height = self._size
        return {
            "width": width,
            "height": height,
            "frames": self._frames,
            "first_s": round(self._first_s, 3),
            "end_s": round(self._end_s, 3),
            "statuses": self._statuses.to_json(),
            "counts": self._counts.to_json(),
            "classes": self._classes(),
            "dwell": dwell_times([life.dwell_s for life in ranked]),
            "heat": [[round(s, 2) or 0 for s in row] for row in self._heat.tolist()],
            "tracks": [life.to_json(width) | {"picture": life.track in pictured} for life in shown],
            "tracks_in_all": len(ranked),
            "events": self._events,
            "events_by_kind": [
                {"rule": rule, "kind": kind, "direction": direction, "count": count}
                for (rule, kind, direction), count in sorted(self._kinds.items())
            ],
        }

    def _see(
        self, told: Mapping[str, Any], line: Mapping[str, Any], at_s: float, seconds: float
    ) -> None:
        """A track that was detected in this frame."""
        life = self._lives.get(told["id"])
        if life is None:
            life = self._lives[told["id"]] = Life(told["id"])
        life.name = _name(told)
        x1, _, x2, y2 = told["box"]
        x, y = (x1 + x2) / 2 / line["width"], y2 / line["height"]
        life.seen(told, (x * self._size[0], y * self._size[1]))
        life.there(at_s, at_s + seconds, went_on=told["id"] in self._told)
        self._seconds[life.name] += seconds
        rows, columns = self._heat.shape
        cell = min(max(int(y * rows), 0), rows - 1), min(max(int(x * columns), 0), columns - 1)
        self._heat[cell] += seconds
        if line["status"] == "ok":
            life.best = look(told, line, life.best)

    def _classes(self) -> dict[str, Any]:
        """Of each class the tracks, and how long all of them together were there."""
        tracks = Counter(life.name for life in self._lives.values())
        return {
            name: {"tracks": tracks[name], "seconds": round(self._seconds[name], 3)}
            for name in sorted(tracks)
        }


def _counted(line: Mapping[str, Any]) -> Counter[str] | None:
    """How many of each class are there; None where nobody looked."""
    if line["status"] in _ASLEEP:
        return None
    return Counter(_name(told) for told in line["tracks"] if told["state"] == "confirmed")


def _covered(line: Mapping[str, Any]) -> float:
    """How much of the picture is under boxes, pixels²."""
    boxes = (told["box"] for told in line["tracks"])
    return float(sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes))


def _name(told: Mapping[str, Any]) -> str:
    """The class of a track, also where it has no name."""
    return told["class"] if told["class"] is not None else f"class {told['label']}"
