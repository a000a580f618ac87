"""What was changed from outside while the program runs, on top of what its file says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.config.document import Document
from pipeline.config.problem import KeyPath, Place

_CAMERAS = "cameras"


@dataclass(frozen=True, slots=True)
class Overlay:
    """Cameras that were added, removed or paused.

    Attributes:
        added: as they would be written, by id; nothing in them is replaced by the environment or by
            files, for whoever adds a camera need not be who may read those.
        removed: ids of cameras of the file.
        paused: for each id, whether it is.
    """

    added: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    paused: Mapping[str, bool] = field(default_factory=dict)

    def adding(self, camera: Mapping[str, Any]) -> Overlay:
        """And this camera."""
        return replace(self, added={**self.added, str(camera.get("id")): camera})

    def removing(self, camera: str) -> Overlay:
        """Without this camera, wherever it comes from."""
        added = {id_: entry for id_, entry in self.added.items() if id_ != camera}
        paused = {id_: value for id_, value in self.paused.items() if id_ != camera}
        return Overlay(added, self.removed | {camera}, paused)

    def pausing(self, camera: str, paused: bool) -> Overlay:
        """With this camera paused or not, whatever was said before."""
        return replace(self, paused={**self.paused, camera: paused})

    def settled(self, document: Document) -> Overlay:
        """What is left of it where a file has changed.

        A camera that was added and is in the file by now is the file's, and one that was removed
        and is not in the file any more may come back there.
        """
        written = {_id(camera) for camera in _cameras(document) or ()}
        files = written - self.removed
        added = {id_: entry for id_, entry in self.added.items() if id_ not in files}
        paused = {id_: value for id_, value in self.paused.items() if id_ in files | added.keys()}
        return Overlay(added, self.removed & written, paused)

    def apply(self, document: Document) -> None:
        """Changes what was written; what is no list of cameras is left for others to complain of.

        Of a camera that was added and is in the file as well, the file's is taken.
        """
        written = _cameras(document)
        if written is None:
            return
        kept = [at for at, camera in enumerate(written) if _id(camera) not in self.removed]
        cameras = [written[at] for at in kept]
        _renumber(document, {old: new for new, old in enumerate(kept)})
        known = {_id(camera) for camera in cameras}
        for id_, camera in self.added.items():
            if id_ not in known:
                document.places[_CAMERAS, len(cameras)] = Place(
                    f"camera {id_!r}, added at run time"
                )
                cameras.append(dict(camera))
        document.value[_CAMERAS] = [self._with_pause(camera) for camera in cameras]

    def _with_pause(self, camera: Any) -> Any:
        if _id(camera) not in self.paused:
            return camera
        return {**camera, "paused": self.paused[_id(camera)]}


def _cameras(document: Document) -> list[Any] | None:
    """What is written under `cameras:`, if that is a list."""
    written = document.value.get(_CAMERAS) if isinstance(document.value, dict) else None
    return written if isinstance(written, list) else None


def _id(camera: Any) -> str:
    return str(camera.get("id")) if isinstance(camera, dict) else ""


def _renumber(document: Document, new_of: Mapping[int, int]) -> None:
    """Moves the places of the cameras that are left to their new numbers."""
    for places in (document.keys, document.places):
        moved = dict(_moved(places, new_of))
        places.clear()
        places.update(moved)


def _moved(
    places: Mapping[KeyPath, Place], new_of: Mapping[int, int]
) -> Iterator[tuple[KeyPath, Place]]:
    for path, place in places.items():
        number = path[1] if path[:1] == (_CAMERAS,) and len(path) > 1 else None
        if not isinstance(number, int):
            yield path, place
        elif number in new_of:
            yield (_CAMERAS, new_of[number], *path[2:]), place
