"""The report of a batch: one HTML file, with all videos in a table and the chief ones in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from pipeline.batch import durable
from pipeline.batch.clip import Clip
from pipeline.batch.report.palette import Palette
from pipeline.batch.report.row import Row, row
from pipeline.batch.report.section import section
from pipeline.batch.report.speed import speed
from pipeline.page import charts
from pipeline.page.numbers import clock
from pipeline.page.rendering import render

REPORT = "report.html"
_MOST_IN_FULL = 24
_MOST_NOTES = 200


def write_report(out: Path, clips: Sequence[Clip], run: Mapping[str, Any]) -> None:
    """Writes ``report.html`` into the batch's folder, from the digests in its clips' folders.

    A clip whose digest cannot be read is told as failed; it is no failure of the report.

    Args:
        out: the batch's folder.
        clips: all of the batch.
        run: what the last run measured, as ``run.json`` has it.

    Raises:
        OSError: the report cannot be written.
    """
    rows = [row(clip, out / clip.name) for clip in clips]
    tracks = sum((Counter(one.classes) for one in rows), Counter[str]())
    palette = Palette(tracks)
    full = _in_full(rows)
    notes = _notes(rows, run)
    told = speed(run)
    page = render(
        "batch.html",
        title=f"Batch of {_videos(len(rows))}",
        sections=_sections(rows, full, notes, timed=told is not None),
        footer="Times are those of the videos, from their beginning.",
        lead=_lead(rows),
        facts=_facts(rows),
        rows=rows,
        anchors={rows[place].clip.name: f"video-{place + 1}" for place in full},
        parts=[section(rows[place].clip, out / rows[place].clip.name, palette) for place in full],
        any_events=any(one.events for one in rows),
        any_trouble=any(one.unseen_s or one.damaged_s for one in rows),
        mix=_mix(tracks),
        speed=told,
        notes=notes[:_MOST_NOTES],
        notes_left_out=max(0, len(notes) - _MOST_NOTES),
    )
    durable.write(out / REPORT, page.encode())


def _in_full(rows: Sequence[Row]) -> list[int]:
    """Places of the videos that are shown in full: those in which the most happened."""
    good = [place for place, one in enumerate(rows) if not one.error]
    good.sort(key=lambda place: (-rows[place].events, -rows[place].tracks))
    return sorted(good[:_MOST_IN_FULL])


def _sections(
    rows: Sequence[Row], full: Sequence[int], notes: Sequence[Any], *, timed: bool
) -> list[tuple[str, str]]:
    found = [("videos", "Videos")]
    if timed:
        found.append(("speed", "Speed"))
    if notes:
        found.append(("notes", "Notes"))
    if full:
        found.append((f"video-{full[0] + 1}", "In full"))
    return found


def _videos(count: int) -> str:
    return f"{count} video" + "s" * (count != 1)


def _lead(rows: Sequence[Row]) -> str:
    failed = sum(bool(one.error) for one in rows)
    unseen_s = sum(one.unseen_s for one in rows)
    sentences = [
        f"{clock(sum(one.length_s for one in rows))} of video",
        f"{failed} of {len(rows)} could not be analysed" if failed else "",
        f"nobody could look for {unseen_s:.1f} s of it" if unseen_s else "",
    ]
    return "; ".join(filter(None, sentences)) + "."


def _facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    facts = {
        "Videos": len(rows),
        "Tracks": sum(one.tracks for one in rows),
        "Events": sum(one.events for one in rows),
        "Frames": sum(one.frames for one in rows),
    }
    return [(name, str(count)) for name, count in facts.items() if count or name != "Events"]


def _mix(tracks: Mapping[str, int]) -> list[tuple[str, int, Markup]]:
    """Each class with its tracks, and their part of all as a bar; the most first."""
    total = sum(tracks.values())
    ordered = sorted(tracks.items(), key=lambda item: (-item[1], item[0]))
    return [(name, n, charts.bar(n / total, f"{n} of {total}")) for name, n in ordered]


def _notes(rows: Sequence[Row], run: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """What people should know: of which video, what, and whether it is a failure."""
    failures = [(one.clip.name, one.error, True) for one in rows if one.error]
    unseen = [
        (one.clip.name, f"nobody could look for {one.unseen_s:.1f} s", True)
        for one in rows
        if one.unseen_s
    ]
    damaged = [
        (one.clip.name, f"pictures are suspect for {one.damaged_s:.1f} s", False)
        for one in rows
        if one.damaged_s
    ]
    others = [(one.clip.name, note, False) for one in rows for note in one.notes]
    deaths = [
        ("", f"a process died and was started anew: {how}", True) for how in run.get("restarts", ())
    ]
    return [*failures, *unseen, *damaged, *others, *deaths]
