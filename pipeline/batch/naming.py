"""Names for videos: readable, unique, and fit for a folder and a camera's id."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from pipeline.media.uri import path_of, scheme_of

#: Of a camera's id.
LONGEST = 64
_HASH = 8
#: What a batch's own folder holds beside the videos' folders; on some systems in any case.
TAKEN = frozenset(
    {
        *("batch.json", "run.json", "report.html", "results.ipynb"),
        *("tracks.parquet", "events.parquet", "batch.parquet"),
    }
)


def names(uris: Sequence[str]) -> list[str]:
    """A name for each URI, the same for the same set of them, in whatever order.

    A name is the file's without its suffix. Where several would have the same one, each gets as
    many of its folders in front, or its suffix behind, as tell them apart.

    >>> names(["a/gate.mp4", "b/gate.mp4", "b/yard.mkv", "b/yard.avi"])
    ['a-gate', 'b-gate', 'yard.mkv', 'yard.avi']

    Args:
        uris: all different.
    """
    ways = [_ways(uri) for uri in uris]
    chosen: dict[int, str] = {}
    for depth in range(max(map(len, ways), default=0)):
        groups = defaultdict(list)
        for number, way in enumerate(ways):
            if number not in chosen and depth < len(way):
                groups[way[depth].casefold()].append(number)
        used = TAKEN | {name.casefold() for name in chosen.values()}
        for name, group in groups.items():
            if len(group) == 1 and name not in used:
                chosen[group[0]] = ways[group[0]][depth]
    return [chosen.get(number) or _hashed(uri) for number, uri in enumerate(uris)]


def _ways(uri: str) -> list[str]:
    """Names for a URI, each saying more than the one before."""
    *folders, name = _parts(uri)
    # What is behind a dot is a suffix in the names of files only.
    stem = PurePath(name).stem if folders or scheme_of(uri) in ("", "file") else name
    ways = []
    for depth in range(len(folders) + 1):
        front = folders[len(folders) - depth :]
        ways += [_clean("-".join([*front, last])) for last in (stem, name)]
    return ways


def _parts(uri: str) -> list[str]:
    """The folders and the name in a URI; of what is no path one name."""
    scheme = scheme_of(uri)
    if scheme in ("http", "https"):
        parts = urlsplit(uri)
        path = [parts.hostname or "", *unquote(parts.path).split("/")]
    elif scheme in ("", "file"):
        path = list(PurePath(path_of(uri)).parts)
    elif scheme == "dir":
        path = [str(PurePath(uri.partition(":")[2]).name)]
    else:
        path = [uri]
    return [part for part in path if part.strip("./\\")] or ["clip"]


def _clean(text: str) -> str:
    """With nothing in it but plain letters, digits, and ``_.-`` between them."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", plain)[-LONGEST:].strip("_.-") or "clip"


def _hashed(uri: str) -> str:
    digest = hashlib.sha256(uri.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH]
    return f"{_ways(uri)[0][: LONGEST - _HASH - 1]}-{digest}"
