"""The folder of a batch: what is in it, whose it is, and what an earlier run has left there."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.batch import durable
from pipeline.batch.clip import Clip
from pipeline.batch.fingerprint import sha256_of
from pipeline.batch.manifest import MANIFEST
from pipeline.errors import BatchError

_BATCH, _RUN, _CLIP = "batch.json", "run.json", "clip.json"
_LOCK, _PROBED, _WORK = ".lock", ".probed.json", ".work"


class BatchFolder:
    """The results of one batch; see docs/batch.md for what lies where.

    A clip's folder is complete or not there. What is unfinished lies in ``.work``.

    Args:
        path: need not be there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """While the block runs no other run can write here; the folder is made if needed.

        Raises:
            BatchError: another run has it, or it cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise BatchError(
                f"{self.path}: cannot be written: {error.strerror}; choose another folder with -o"
            ) from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pid = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
                raise BatchError(
                    f"{self.path}: another run (process {pid}) is writing here; wait for its end, "
                    "or choose another folder with -o"
                ) from None
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(lock)

    def read(self) -> dict[str, Any]:
        """What the last run wrote with `write`; empty where there was none.

        Raises:
            BatchError: it cannot be read.
        """
        return _read(self.path / _BATCH)

    def write(self, batch: Mapping[str, Any]) -> None:
        """Says what this batch is; raises `OSError`."""
        durable.write_json(self.path / _BATCH, batch)

    def read_run(self) -> dict[str, Any]:
        """What was written with `write_run`; empty where nothing was. Raises as `read`."""
        return _read(self.path / _RUN)

    def write_run(self, run: Mapping[str, Any]) -> None:
        """Says what the last run measured; raises `OSError`."""
        durable.write_json(self.path / _RUN, run)

    def manifest(self, clip: str) -> dict[str, Any]:
        """That of a clip that is complete; empty where it is not.

        Raises:
            BatchError: it cannot be read, or somebody else's folder is in its place.
        """
        place = self.path / clip
        if place.exists() and not (place / MANIFEST).is_file():
            raise BatchError(
                f"{place}: is there, and no result of a batch; move it away, or choose another "
                "folder with -o"
            )
        return _read(place / MANIFEST)

    @property
    def probed(self) -> Path:
        """Where what probing found is kept."""
        return self.path / _PROBED

    def work(self, clip: str) -> Path:
        """Where a clip's segments go."""
        return self.path / _WORK / clip

    def results(self, clip: str) -> Path:
        """Where a clip's results are made; new and empty."""
        folder = self.work(clip) / "results"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def begin(self, clip: Clip, fingerprint: str) -> Path:
        """A clip's folder for work, made if needed; what was done for the same clip stays.

        Args:
            clip: all of it is compared.
            fingerprint: what its results depend on beside that.

        Raises:
            OSError: it cannot be made.
        """
        # As a hash: the clip's URI may hold a password.
        now = {"sha256": sha256_of({"clip": asdict(clip), "fingerprint": fingerprint})}
        folder = self.work(clip.name)
        with suppress(BatchError):
            if _read(folder / _CLIP) == now:
                return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        durable.write_json(folder / _CLIP, now)
        return folder

    def finish(self, clip: str, manifest: Mapping[str, Any]) -> None:
        """Puts a clip's results in their place; raises `OSError`."""
        results = self.work(clip) / "results"
        durable.write_json(results / MANIFEST, manifest)
        durable.move(results, self.path / clip)
        shutil.rmtree(self.work(clip), ignore_errors=True)

    def clear(self, clips: Sequence[str]) -> None:
        """Removes the results of these clips, and all that is unfinished; raises `OSError`.

        What is no result of a batch stays.
        """
        work = self.path / _WORK
        work.mkdir(exist_ok=True)
        for clip in clips:
            place, gone = self.path / clip, work / f".{clip}"
            if (place / MANIFEST).is_file():
                shutil.rmtree(gone, ignore_errors=True)
                place.rename(gone)
        self.tidy(())

    def tidy(self, clips: Sequence[str]) -> None:
        """Removes what is unfinished of all clips but these."""
        work = self.path / _WORK
        for folder in work.iterdir() if work.is_dir() else ():
            if folder.name not in clips:
                shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            work.rmdir()  # where nothing is left in it


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BatchError(f"{path}: cannot be read: {error}; remove it") from None
    if not isinstance(value, dict):
        raise BatchError(f"{path}: is no JSON object; remove it")
    return value
