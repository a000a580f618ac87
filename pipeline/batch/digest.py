"""A video's results in short: what its part of the report shows, in one small file.

The results are read line by line, so that a video of hours takes no more memory than its tracks
need, about a kilobyte each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.batch import durable
from pipeline.batch.clip import Clip
from pipeline.batch.report.account import Account
from pipeline.batch.report.pictures import BACKGROUND, take_pictures
from pipeline.errors import SourceError
from pipeline.media.timeline import NS_PER_S

DIGEST = "digest.json"
#: Increases with every change of what is in it.
VERSION = 1
THUMBS = "thumbs"
#: A longer time between two frames is a gap in the recording, seconds.
_GAP_S = 15.0
_UNKNOWN_FPS = 25.0


def write_digest(results: Path, clip: Clip, thumbnails: int) -> None:
    """Writes ``digest.json`` and ``thumbs/`` beside a clip's ``tracks.jsonl``.

    The same results and the same video give the same bytes. Where the video cannot be read any
    more there are no pictures, and the digest says so.

    Args:
        results: folder of the clip's results.
        clip: that they are of.
        thumbnails: tracks that get a picture; those seen longest and most surely.

    Raises:
        OSError: a file cannot be read or written.
    """
    account = Account(clip.width, clip.height)
    with (results / "tracks.jsonl").open(encoding="utf-8") as lines:
        for line, seconds in _shown(map(json.loads, lines), clip.fps or _UNKNOWN_FPS):
            account.add(line, seconds)
    if (results / "events.jsonl").exists():
        with (results / "events.jsonl").open(encoding="utf-8") as lines:
            for event in map(json.loads, lines):
                account.add_event(event)
    pictured, notes = _pictures(results / THUMBS, clip, account, thumbnails)
    digest = {
        "version": VERSION,
        **account.to_json(pictured),
        "background": (results / THUMBS / BACKGROUND).exists(),
        "notes": notes,
    }
    text = json.dumps(digest, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    durable.write(results / DIGEST, text.encode())


def _shown(
    lines: Iterable[Mapping[str, Any]], fps: float
) -> Iterator[tuple[Mapping[str, Any], float]]:
    """Each frame's line, and for how many seconds it was shown: until the next one."""
    before: Mapping[str, Any] | None = None
    seconds = 1 / fps
    for line in lines:
        if before is not None:
            seconds = min((line["pts_ns"] - before["pts_ns"]) / NS_PER_S, _GAP_S)
            yield before, seconds
        before = line
    if before is not None:
        yield before, seconds


def _pictures(
    folder: Path, clip: Clip, account: Account, thumbnails: int
) -> tuple[set[int], list[str]]:
    """The tracks that have a picture now, and what is to be said about the others."""
    chosen = {life.track: life.best for life in account.ranked()[:thumbnails] if life.best}
    try:
        pictured = take_pictures(clip.uri, folder, chosen, account.moments_ns())
    except SourceError as error:
        return set(), [f"There are no pictures: {error}."]
    missing = len(chosen) - len(pictured)
    return pictured, [f"{missing} tracks were not found again for a picture."] if missing else []
