"""Keeping a camera's tracker on disk, so that the next run goes on with the same identities."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.clock import Clock
from pipeline.errors import DataError, StageError
from pipeline.packet import FrameInfo
from pipeline.tracking import snapshot
from pipeline.tracking.snapshot import Snapshot
from pipeline.tracking.tracker import Tracker

_log = logging.getLogger(__name__)

#: Ids that may be given out before the tracker must be saved again.
_AHEAD = 1000


@dataclass(frozen=True, slots=True)
class Keeping:
    """How trackers are kept.

    Attributes:
        folder: of the files, one a camera.
        every_s: between two savings, seconds of the frames' time.
        within_s: tracks are gone after more than this, seconds of the wall clock.
        made_by: all that tracks depend on beside the camera, as a text (tracker, models); what
            another made is not resumed.
    """

    folder: Path
    every_s: float
    within_s: float
    made_by: str


class Keeper:
    """Saves the tracker of one camera from time to time, and resumes it once.

    No id is given out twice, even if the program is killed between two savings: a file names the
    first id that may not have been given out when the next file must be written.

    Args:
        keeping: where and how.
        tracker: new; owned by the caller, who takes care that it is not at work in a call.
        frame: the camera's first.
        clock: the wall clock.

    Attributes:
        resumed: how many tracks came back from the last run.

    Raises:
        StageError: another run keeps this camera there, or the folder cannot be used.
    """

    def __init__(self, keeping: Keeping, tracker: Tracker, frame: FrameInfo, clock: Clock) -> None:
        made_by = f"{keeping.made_by} {frame.width}x{frame.height}"
        self._keeping = keeping
        self._tracker = tracker
        self._camera = frame.camera
        self._made_by = hashlib.sha256(made_by.encode()).hexdigest()
        self._clock = clock
        self._path = keeping.folder / f"{frame.camera}.npz"
        self._pts_ns = self._due_ns = frame.pts_ns
        self._ids_until = 0
        self._failing = False
        self._lock = _locked(keeping.folder / f"{frame.camera}.lock")
        self._resume()
        self.resumed = len(tracker)

    def _resume(self) -> None:
        """Gives the tracker what was saved, if there is something that can be used."""
        tracker = self._tracker
        try:
            saved = snapshot.read(self._path)
        except FileNotFoundError:
            return
        except (OSError, DataError) as error:
            _log.warning("%s starts without tracks, ids from 1: %s", self._camera, error)
            return
        away_s = max(self._clock.utc_ns() - saved.utc_ns, 0) / 1e9
        if away_s > self._keeping.within_s:
            _log.info("%s starts without tracks: saved %.0f s ago", self._camera, away_s)
        elif not self._fits(saved):
            _log.warning(
                "%s starts without tracks: %s is of another camera, size of the picture, model or "
                "configuration of the tracker",
                self._camera,
                self._path,
            )
        else:
            tracker.restore(saved.arrays)
            tracker.resume(self._pts_ns, away_s)
        tracker.next_id = max(tracker.next_id, saved.next_id)

    def keep(self, pts_ns: int, coming: int = 0) -> None:
        """Saves the tracker, which is at its frame at `pts_ns`, if it is time.

        Args:
            pts_ns: of the frame.
            coming: so many ids may be given out before the next call.
        """
        self._pts_ns, next_id = pts_ns, self._tracker.next_id + coming
        if pts_ns >= self._due_ns or next_id > self._ids_until:
            self._save(next_id + _AHEAD)

    def finish(self) -> None:
        """Saves the tracker; it gives out no ids after that."""
        self._save(self._tracker.next_id)

    def close(self) -> None:
        """Lets others keep this camera."""
        os.close(self._lock)

    def _save(self, next_id: int) -> None:
        self._due_ns = self._pts_ns + round(self._keeping.every_s * 1e9)
        self._ids_until = next_id
        utc_ns, arrays = self._clock.utc_ns(), self._tracker.saved()
        now = Snapshot(self._camera, self._pts_ns, utc_ns, self._made_by, next_id, arrays)
        try:
            snapshot.write(self._path, now)
        except OSError as error:
            if not self._failing:
                _log.warning("the tracks of %s are not saved: %s", self._camera, error)
            self._failing = True
        else:
            self._failing = False

    def _fits(self, saved: Snapshot) -> bool:
        """Whether the tracker, which is new, can take what was saved."""
        if (saved.camera, saved.made_by) != (self._camera, self._made_by):
            return False
        own = {name: array.dtype for name, array in self._tracker.saved().items()}
        return own == {name: array.dtype for name, array in saved.arrays.items()}


class Keepers:
    """A keeper for each camera of a stage, or none where nothing is kept.

    Args:
        keeping: where and how; None: trackers are not kept.
        clock: the wall clock.
    """

    def __init__(self, keeping: Keeping | None, clock: Clock) -> None:
        self._keeping = keeping
        self._clock = clock
        self._by_camera: dict[str, Keeper] = {}

    def begin(self, tracker: Tracker, frame: FrameInfo) -> None:
        """Resumes and keeps a new camera's tracker; see `Keeper`."""
        if self._keeping:
            self._by_camera[frame.camera] = Keeper(self._keeping, tracker, frame, self._clock)

    def keep(self, frame: FrameInfo, coming: int = 0) -> None:
        """As `Keeper.keep`, for the tracker of the frame's camera."""
        if keeper := self._by_camera.get(frame.camera):
            keeper.keep(frame.pts_ns, coming)

    def forget(self, camera: str) -> None:
        """Saves the tracker of a camera that is gone, and lets others keep it."""
        if keeper := self._by_camera.pop(camera, None):
            keeper.finish()
            keeper.close()

    def counts(self) -> Mapping[str, int]:
        """Tracks that were ``resumed``; nothing where trackers are not kept."""
        if not self._keeping:
            return {}
        return {"resumed": sum(keeper.resumed for keeper in list(self._by_camera.values()))}

    def finish(self) -> None:
        """Saves all trackers; they give out no ids after that."""
        for keeper in self._by_camera.values():
            keeper.finish()

    def close(self) -> None:
        """Lets others keep these cameras."""
        for keeper in self._by_camera.values():
            keeper.close()


def _locked(path: Path) -> int:
    """A descriptor that holds the lock of a file until it is closed, or the program ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StageError(f"the folder {path.parent} for `state` cannot be used: {error}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StageError(
            f"{path} is locked: another run keeps the tracks of the camera {path.stem} in this "
            "folder; stop it, or give each its own `state`"
        ) from error
    return lock
