"""A whole batch, from inputs to a folder of results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.batch.clip import Clip
from pipeline.batch.fingerprint import differences, fingerprint, sha256_of
from pipeline.batch.folder import BatchFolder
from pipeline.batch.halves import last_stage
from pipeline.batch.inputs import Input, expand
from pipeline.batch.manifest import clip_of, described
from pipeline.batch.outcome import BatchReport, cpu_s, measured
from pipeline.batch.probed import Probed
from pipeline.batch.probing import probe_all
from pipeline.batch.progress import Observer
from pipeline.batch.report.page import write_report
from pipeline.batch.results import check_installed, write_notebook, write_tables
from pipeline.batch.settings import settled
from pipeline.batch.staff import Staff, all_cores
from pipeline.batch.work import Halt, Work
from pipeline.builder import build
from pipeline.config import PipelineConfig
from pipeline.errors import BatchError, ChangedError

_MOST_TOLD = 10
#: By clip what batch.json says of it: see `described`, and why it is not complete.
_Known = dict[str, dict[str, Any]]


def run_batch(
    config: PipelineConfig,
    inputs: Sequence[str],
    out: Path | str,
    *,
    processes: int | None = None,
    force: bool = False,
    only_failed: bool = False,
    observer: Observer | None = None,
    halt: Halt | None = None,
) -> BatchReport:
    """Makes the results of many videos in a folder; see docs/batch.md.

    What an earlier run has completed there is kept, and what it left unfinished is gone on with.

    Args:
        config: as `pipeline.batch.settings.load` gives it.
        inputs: files, folders, globs, URLs, or ``-`` for a list on stdin.
        out: the folder; made if needed.
        processes: that work at once; None: one a core.
        force: begins anew, whatever is there.
        only_failed: takes of the inputs only those that failed in the last run.
        observer: is told what goes on, in this thread.
        halt: ends it early, from another thread.

    Raises:
        ConfigError, GraphError, ModelError: the configuration cannot run.
        ChangedError: what is in the folder was made of something else, and `force` is not given.
        BatchError: there are no inputs, or the folder cannot be worked in.
        StageError: no process can be started.
    """
    entries = expand(inputs, sys.stdin)
    batch = _Batch(config, Path(out), processes, observer or Observer(), halt or Halt())
    with batch.folder.claimed():
        try:
            return batch.run(entries, force, only_failed)
        except OSError as error:
            raise BatchError(f"{out}: cannot be written: {error}") from error


class _Batch:
    """One run of a batch."""

    def __init__(
        self,
        config: PipelineConfig,
        out: Path,
        processes: int | None,
        observer: Observer,
        halt: Halt,
    ) -> None:
        self._begun_s, self._used_s = time.monotonic(), cpu_s()
        graph = build(config)
        last_stage(graph)
        if config.batch.parquet:
            check_installed()
        self.folder = BatchFolder(out)
        self._config = settled(config, graph)
        self._fingerprint = fingerprint(self._config, graph)
        self._processes = processes or all_cores()
        self._observer, self._halt = observer, halt

    def run(self, entries: Sequence[Input], force: bool, only_failed: bool) -> BatchReport:
        """Does it all, in a folder that is claimed."""
        known = self._known(entries, force)
        if only_failed:
            entries = [e for e in entries if known.get(e.name, {}).get("error")]
        made = {entry.name: self.folder.manifest(entry.name) for entry in entries}
        with Staff(self._config, self._processes) as staff:
            if not all(made.values()):
                staff.warm_up()
            clips = self._probed(entries)
            _require_same(clips, made)
            known |= {clip.name: _entry(clip, known, made) for clip in clips}
            self._save(known)
            self.folder.tidy([name for name in known if not made.get(name)])
            todo = [clip for clip in clips if not clip.error and not made[clip.name]]
            work = self._work(todo, staff)
            work.run()
        return self._end(known, clips, work, staff)

    def _known(self, entries: Sequence[Input], force: bool) -> _Known:
        """What an earlier run has left in the folder; nothing where it is to be begun anew."""
        before = self.folder.read()
        known: _Known = before.get("clips", {})
        given = {entry.name for entry in entries}
        if force:
            self.folder.clear([*known, *given])
            return {}
        changes = differences(before.get("fingerprint", self._fingerprint), self._fingerprint)
        if changes:
            raise ChangedError(
                f"{self.folder.path}: what is there was made with something else:\n"
                f"{_listed(changes)}\nuse --force to make all of it anew, or choose another folder "
                "with -o"
            )
        if missing := [name for name in known if name not in given]:
            self._observer.note(
                f"{len(missing)} videos of the last run are not among the inputs; what is there of "
                f"them stays: {_listed(missing, ', ')}"
            )
        return known

    def _probed(self, entries: Sequence[Input]) -> list[Clip]:
        """The clips of all inputs; only files that were touched since the last run are read."""
        options, halt = self._config.batch, self._halt
        depends = {"batch": options.model_dump(mode="json"), "by": self._fingerprint["versions"]}
        probed = Probed(self.folder.probed, sha256_of(depends))
        clips = {e.name: clip for e in entries if (clip := probed.get(e.uri, e.name))}
        unknown = [entry for entry in entries if entry.name not in clips]
        for done, clip in enumerate(clips.values(), 1):
            self._observer.probed(clip, done, len(entries))

        def found(clip: Clip) -> None:
            clips[clip.name] = clip
            probed.keep(clip)
            self._observer.probed(clip, len(clips), len(entries))

        probe_all(unknown, options, self._processes, found, lambda: halt.stopping)
        if unknown:
            probed.save()
        return [clips[entry.name] for entry in entries if entry.name in clips]

    def _work(self, todo: Sequence[Clip], staff: Staff) -> Work:
        return Work(
            todo,
            self._config.batch,
            self._fingerprint,
            self.folder,
            staff,
            self._processes,
            self._observer,
            self._halt,
        )

    def _end(self, known: _Known, clips: Sequence[Clip], work: Work, staff: Staff) -> BatchReport:
        """Says what became of it all, and makes of it what people look at."""
        for name, error in {**dict.fromkeys(work.complete, ""), **work.failed}.items():
            known[name]["error"] = error
        wall_s = time.monotonic() - self._begun_s
        bindings, used_s = self._fingerprint["bindings"], cpu_s() - self._used_s
        run = measured(work, staff, bindings, wall_s, used_s)
        complete = tuple(name for name in known if self.folder.manifest(name))
        self.folder.tidy([name for name in known if name not in complete])
        try:
            self._save(known)
            if work.complete or work.failed:
                self.folder.write_run(run)
            if complete and not work.ended_early:
                clips_known = [clip_of(name, entry) for name, entry in known.items()]
                # Where there was nothing to do, what the run before has measured says more.
                self._show(clips_known, complete, self.folder.read_run() or run)
        except OSError:
            if not work.ended_early:
                raise
        failed = {clip.name: e for clip in clips if (e := known[clip.name]["error"])}
        made = tuple(work.complete)
        return BatchReport(self.folder.path, complete, made, failed, work.ended_early, run)

    def _show(self, clips: Sequence[Clip], complete: Sequence[str], run: Mapping[str, Any]) -> None:
        if self._config.batch.parquet:
            write_tables(self.folder.path, complete)
        write_notebook(self.folder.path)
        write_report(self.folder.path, clips, run)

    def _save(self, known: _Known) -> None:
        self.folder.write({"fingerprint": self._fingerprint, "clips": known})


def _require_same(clips: Iterable[Clip], made: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises `ChangedError` where a video is not what results were made of."""
    changes = []
    for clip in clips:
        if made[clip.name] and not clip.error:
            lines = differences(made[clip.name]["input"], described(clip))
            changes += [f"{clip.name}: {line}" for line in lines]
    if changes:
        raise ChangedError(
            f"videos have changed since their results were made:\n{_listed(changes)}\nremove the "
            "folders of these results to make them anew, or use --force to make all anew"
        )


def _entry(clip: Clip, known: _Known, made: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What batch.json says of a clip as it is now."""
    if made[clip.name]:
        return known.get(clip.name) or described(clip) | {"error": ""}
    before = known.get(clip.name, {}).get("error", "")
    return described(clip) | {"error": clip.error or before}


def _listed(lines: Sequence[str], between: str = "\n") -> str:
    shown = between.join(lines[:_MOST_TOLD])
    return shown + (
        f"{between}and {len(lines) - _MOST_TOLD} more" if len(lines) > _MOST_TOLD else ""
    )
