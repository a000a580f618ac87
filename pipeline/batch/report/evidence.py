"""Pictures of events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pipeline.batch.report.pictures import jpeg
from pipeline.page.pictures import data_uri

_MOST = 8
_WIDTH = 400  # of what is shown at most, pixels


def evidence(
    events: Sequence[Mapping[str, Any]], folder: Path
) -> list[tuple[Mapping[str, Any], str]]:
    """Some events with their pictures, of each kind in turn, in order of time.

    Args:
        events: as a digest has them; those without a picture are left out.
        folder: of the clip's results.
    """
    pictured = [event for event in events if event["picture"]]
    turns: Counter[tuple[str, str, str]] = Counter()
    ranked = []
    for place, event in enumerate(pictured):
        kind = event["rule"], event["kind"], event["direction"]
        ranked.append((turns[kind], place))
        turns[kind] += 1
    chosen = sorted(place for _, place in sorted(ranked)[:_MOST])
    shown = [(pictured[place], _small(folder / pictured[place]["picture"])) for place in chosen]
    return [(event, uri) for event, uri in shown if uri]


def _small(path: Path) -> str:
    """A picture as an address that holds it; empty where it cannot be read."""
    image = cv2.imread(str(path))
    if image is None:
        return ""
    height, width = image.shape[:2]
    size = min(width, _WIDTH), max(1, round(height * min(width, _WIDTH) / width))
    return data_uri(jpeg(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))))
