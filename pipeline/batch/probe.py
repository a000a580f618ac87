"""What is known of a video before it is looked at, so that progress is honest."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.batch.clip import Clip, Segment
from pipeline.batch.division import Timetable, Window, divide, divide_steady
from pipeline.batch.inputs import Input
from pipeline.batch.opening import source_options
from pipeline.config import BatchRunConfig
from pipeline.errors import SightlineError, SourceError
from pipeline.media.avsource import AvSource
from pipeline.media.place import Packets, Place, list_packets
from pipeline.media.playlist import Playlist
from pipeline.media.sources import files_of, open_source
from pipeline.media.steady import Steady
from pipeline.media.timeline import NS_PER_S
from pipeline.media.uri import redact

_DEFAULT_FPS = 25.0


def probe(entry: Input, options: BatchRunConfig) -> Clip:
    """Looks a video through, once; decodes its first picture, and one for each cut.

    Never raises: what cannot be read is a clip with an error.

    Args:
        entry: the video.
        options: what is wanted of it, and how long its pieces are.
    """
    clip = Clip(entry.name, entry.uri, error=entry.error)
    if entry.error:
        return clip
    try:
        return _probed(clip, options)
    except SightlineError as error:
        return replace(clip, error=str(error))
    except OSError as error:
        file = error.filename or redact(entry.uri)
        return replace(clip, error=f"{file}: {error.strerror}; check that it can be read")
    except Exception as error:  # of a library, upon a file that nobody thought of
        what = f"{type(error).__name__}: {error}"
        return replace(clip, error=f"{redact(entry.uri)}: cannot be probed: {what}; convert it")


def _probed(clip: Clip, options: BatchRunConfig) -> Clip:
    files = files_of(clip.uri)
    before = [_state(file) for file in files]
    source = open_source(clip.uri, source_options(options))
    try:
        info = source.open()
        first = next(iter(source.frames()))
    finally:
        source.close()
    clip = replace(
        clip,
        codec=info.codec,
        width=info.width,
        height=info.height,
        fps=info.fps,
        frames=info.frames,
        duration_ns=info.duration_ns,
        size=sum(size for size, _ in before),
        sha256=_sha256(files),
    )
    if isinstance(source, AvSource) and files:
        clip = _divided(clip, list_packets(source.address), source.origin, first.index, options)
    elif isinstance(source, AvSource | Playlist):
        clip = _whole(clip, options, "it is several files" if files else "it is on a server")
    else:
        clip = _steady(clip, options)
    if [_state(file) for file in files] != before:
        raise SourceError(
            f"{redact(clip.uri)}: it changes while it is read, as if it were still being "
            "recorded; run again when it is complete"
        )
    return clip


def _state(file: Path) -> tuple[int, int]:
    """Size and time of change; both stay the same unless somebody writes into the file."""
    found = file.stat()
    if not stat.S_ISREG(found.st_mode):
        raise SourceError(f"{file}: this is no file; give a video file")
    return found.st_size, found.st_mtime_ns


def _sha256(files: Sequence[Path]) -> str:
    """Of a file; of several that of the list of their sums, as `sha256sum` prints it."""
    sums = []
    for path in files:
        with path.open("rb", buffering=0) as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(files) < 2:
        return "".join(sums)
    lines = "".join(f"{digest}  {path.name}\n" for digest, path in zip(sums, files, strict=True))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _window(options: BatchRunConfig) -> Window:
    start_ns, segment_ns = round(options.start_s * NS_PER_S), round(options.segment_s * NS_PER_S)
    end_ns = None if options.end_s is None else round(options.end_s * NS_PER_S)
    return Window(segment_ns, start_ns, end_ns, options.key_frames)


def _whole(clip: Clip, options: BatchRunConfig, reason: str) -> Clip:
    """In one piece."""
    window = _window(options)
    all_of_it = not window.start_ns and window.end_ns is None and not window.key_frames
    frames = clip.frames if all_of_it else None
    segment = Segment(0, window.start_ns, window.end_ns, frames)
    return replace(clip, segments=(segment,), notes=_told(clip, window, reason))


def _steady(clip: Clip, options: BatchRunConfig) -> Clip:
    """In pieces of equal length."""
    window, fps = _window(options), clip.fps or _DEFAULT_FPS
    frames = clip.frames
    if frames is None and window.end_ns is not None:
        frames = Steady(fps).first_from(window.end_ns)
    if frames is None:
        raise SourceError(f"{clip.uri}: it has no end; write one, as in rendered:day?seconds=60")
    segments = divide_steady(frames, fps, window)
    if not segments:
        raise _nothing_wanted(clip, Steady(fps).pts_ns(frames - 1))
    return replace(clip, segments=segments)


def _nothing_wanted(clip: Clip, last_ns: int) -> SourceError:
    return SourceError(
        f"{redact(clip.uri)}: no frame in the time that is wanted; its last one is at "
        f"{last_ns / NS_PER_S:.3f} s, set start_s and end_s to suit"
    )


def _divided(
    clip: Clip, packets: Packets, origin: int | None, first: int, options: BatchRunConfig
) -> Clip:
    """In pieces as far as possible, with what was counted."""
    window = _window(options)
    table = Timetable(packets, origin, first)
    segments, reason = divide(table, window, partial(_is_sound, clip.uri, options, table))
    notes = []
    if packets.error:
        notes.append(f"it can be read up to frame {table.frames} only: {packets.error}")
    elif clip.frames is not None and clip.frames > len(packets.pts):
        notes.append(f"truncated: its header says {clip.frames} frames, there are {table.frames}")
    if not packets.key.any():
        notes.append("it has no key frame: its frames count as damaged, and no detector sees them")
    if not table.fault:
        last_ns = table.end_ns
        if not sum(segment.frames or 0 for segment in segments):
            raise _nothing_wanted(clip, last_ns)
        clip = replace(clip, duration_ns=last_ns + round(NS_PER_S / (clip.fps or _DEFAULT_FPS)))
    clip = replace(clip, frames=table.frames, segments=segments)
    return replace(clip, notes=(*notes, *_told(clip, window, reason)))


def _told(clip: Clip, window: Window, reason: str) -> tuple[str, ...]:
    """What is said of a long video that is looked at in one piece."""
    short = clip.duration_ns is not None and clip.duration_ns < window.segment_ns * 3 // 2
    return () if short or not reason else (f"looked at in one piece: {reason}",)


def _is_sound(uri: str, options: BatchRunConfig, table: Timetable, place: Place) -> bool:
    """Opens the file there, as those will that look at it, and sees whether that frame comes."""
    start_ns = table.time_ns(place.pts)
    source = open_source(uri, source_options(options, Segment(0, start_ns, None, begin=place)))
    try:
        source.open()
        first = next(iter(source.frames()))
    except SourceError:
        return False
    finally:
        source.close()
    return (first.index, first.pts_ns, first.damaged) == (place.index, start_ns, "")
