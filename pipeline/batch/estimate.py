"""What a batch would take, from a short real measurement; nothing is written into its folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.batch.clip import Clip
from pipeline.batch.fingerprint import fingerprint
from pipeline.batch.folder import BatchFolder
from pipeline.batch.inputs import expand
from pipeline.batch.probing import probe_all
from pipeline.batch.progress import Observer, length_s
from pipeline.batch.settings import settled
from pipeline.batch.staff import Staff, all_cores
from pipeline.batch.work import Halt, Work
from pipeline.builder import build
from pipeline.config import PipelineConfig
from pipeline.errors import BatchError

#: So much of a video is taken to measure with, seconds.
_SAMPLE_S = 10.0


@dataclass(frozen=True)
class Estimate:
    """What a batch has to do, and what that will take.

    Attributes:
        clips: all inputs, as probing found them.
        complete: names of those whose results are there already.
        video_s: of what is left to do, seconds of video.
        measured: the clip that was measured with; empty where there is none to do.
        time_s: that it will take, seconds; None where nothing could be measured.
        disk_bytes: that the results will take; None likewise.
    """

    clips: tuple[Clip, ...]
    complete: tuple[str, ...]
    video_s: float
    measured: str = ""
    time_s: float | None = None
    disk_bytes: int | None = None

    @property
    def todo(self) -> list[Clip]:
        """Clips that would be made."""
        return [c for c in self.clips if not c.error and c.name not in self.complete]

    @property
    def frames(self) -> int | None:
        """In the files of these clips; None where that is not known of one."""
        counts = [clip.frames for clip in self.todo]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None


def estimate(
    config: PipelineConfig,
    inputs: Sequence[str],
    out: Path | str,
    *,
    processes: int | None = None,
    observer: Observer | None = None,
    halt: Halt | None = None,
) -> Estimate:
    """Probes the inputs, and measures with the first seconds of the first video that is left to do.

    Args and errors are those of `pipeline.batch.batch.run_batch`.
    """
    observer, halt, processes = observer or Observer(), halt or Halt(), processes or all_cores()
    entries, folder = expand(inputs, sys.stdin), BatchFolder(Path(out))
    graph = build(config)
    config = settled(config, graph)
    mark = fingerprint(config, graph)
    found: list[Clip] = []

    def tell(clip: Clip) -> None:
        found.append(clip)
        observer.probed(clip, len(found), len(entries))

    clips = probe_all(entries, config.batch, processes, tell, lambda: halt.stopping)
    complete = tuple(clip.name for clip in clips if folder.manifest(clip.name))
    plain = Estimate(tuple(clips), complete, 0.0)
    whole = replace(plain, video_s=sum(length_s(clip) for clip in plain.todo))
    if halt.stopping or not whole.todo:
        return whole
    return _measured(config, mark, whole, processes, halt)


def _measured(
    config: PipelineConfig,
    mark: Mapping[str, Any],
    whole: Estimate,
    processes: int,
    halt: Halt,
) -> Estimate:
    """The estimate with what its first clip's first seconds took."""
    clip = whole.todo[0]
    first = clip.segments[0]
    end_ns = first.start_ns + round(_SAMPLE_S * 1e9)
    if first.end_ns is None or end_ns < first.end_ns:
        first = replace(first, end_ns=end_ns)
    sample = replace(clip, segments=(first,))
    with TemporaryDirectory() as made:
        folder = BatchFolder(Path(made))
        with Staff(config, processes) as staff:
            work = Work([sample], config.batch, mark, folder, staff, processes, Observer(), halt)
            work.run()
        if error := work.failed.get(sample.name) or work.ended_early:
            raise BatchError(f"{sample.uri}: the measurement failed: {error}")
        size = sum(p.stat().st_size for p in (folder.path / sample.name).rglob("*") if p.is_file())
    if not length_s(sample):
        return whole
    share = whole.video_s / length_s(sample)
    # What the stages were at work, and not what it takes to start them: that is done once.
    time_s = sum(work.stages.values()) * share / all_cores()
    return replace(whole, measured=clip.name, time_s=time_s, disk_bytes=round(size * share))
