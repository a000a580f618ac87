"""One table of all videos' tracks, one of their frames, one of their events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from pipeline.batch.results import columns
from pipeline.batch.results.columns import Columns, Row
from pipeline.batch.results.lines import EVENTS, TRACKS, read_lines
from pipeline.batch.results.parquet import Table

_SORTED = ("video", "frame")


def write_tables(out: Path, clips: Sequence[str]) -> None:
    """Writes frames.parquet and tracks.parquet, and events.parquet where a clip was analysed.

    In the same memory whatever the number and the length of the clips. The same results give the
    same bytes, in whatever order the clips are named.

    Args:
        out: the folder of the batch.
        clips: those in the tables; each is complete.

    Raises:
        OutputError: a table cannot be written, or pyarrow is not installed.
        DataError: a clip's results cannot be read.
    """
    with ExitStack() as stack:
        tables: list[Table] = []

        def begin(name: str, of: Columns) -> Table:
            table = Table(out / f"{name}.parquet", of, _SORTED)
            tables.append(stack.enter_context(closing(table)))
            return table

        frames, tracks = begin("frames", columns.FRAMES), begin("tracks", columns.TRACKS)
        for clip in sorted(clips):
            for frame, its_tracks in _frames(out, clip):
                frames.add([frame])
                tracks.add(its_tracks)
        analysed = [clip for clip in sorted(clips) if (out / clip / EVENTS).exists()]
        if analysed:
            events = begin("events", columns.EVENTS)
            for clip in analysed:
                for event in _events(out, clip):
                    events.add([event])
        else:
            (out / "events.parquet").unlink(missing_ok=True)
        for table in tables:
            table.end()
        for table in tables:
            table.finish()


def _frames(out: Path, clip: str) -> Iterator[tuple[Row, list[Row]]]:
    """Each frame's row, and those of its tracks."""

    def rows(text: bytes) -> tuple[Row, list[Row]]:
        line = json.loads(text)
        return columns.frame_row(clip, line), list(columns.track_rows(clip, line))

    return read_lines(out / clip / TRACKS, rows)


def _events(out: Path, clip: str) -> Iterator[Row]:
    return read_lines(out / clip / EVENTS, lambda text: columns.event_row(clip, json.loads(text)))
