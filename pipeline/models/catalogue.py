"""Which models there are, where their files lie, and how those that are not here come here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from pipeline.config.problem import suggest
from pipeline.errors import ModelError
from pipeline.models.download import Progress, check, download
from pipeline.models.manifest import MANIFEST, FileEntry, Manifest, read_manifest
from pipeline.resources import shipped


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that can be named.

    Attributes:
        manifest: what it says about itself.
        folder: where its files lie or will lie.
        origin: ``shipped`` with the program, in the ``catalogue``, or at a ``path`` of the user's.
    """

    manifest: Manifest
    folder: Path
    origin: Literal["shipped", "catalogue", "path"]

    def files(self, precision: str | None = None) -> tuple[FileEntry, ...]:
        """The files of one precision; by default that of the first file.

        Raises:
            ModelError: the model has no files of that precision.
        """
        every = self.manifest.files
        if not every:
            return ()
        wanted = precision or every[0].precision
        chosen = tuple(file for file in every if file.precision == wanted)
        if not chosen:
            known = sorted({file.precision for file in every})
            raise ModelError(
                f"model {self.manifest.name} has no files in {wanted}; {suggest(wanted, known)}"
            )
        return chosen

    @property
    def missing(self) -> tuple[FileEntry, ...]:
        """Files of the default precision that are not here yet."""
        return tuple(file for file in self.files() if not (self.folder / file.path).is_file())


def cache_folder() -> Path:
    """Where downloads go: ``$SIGHTLINE_CACHE``, else the user's cache folder."""
    return Path(os.environ.get("SIGHTLINE_CACHE") or platformdirs.user_cache_dir("sightline"))


def entries() -> tuple[Entry, ...]:
    """All models that can be named, those shipped first."""
    return tuple(find(name) for name in (*_names(shipped("models")), *_catalogued()))


def find(model: str | Path) -> Entry:
    """A model by name, or by the path of its folder or manifest.

    Raises:
        ModelError: there is none; the nearest name is suggested. Or its manifest is wrong.
    """
    if isinstance(model, Path) or os.sep in model or model.endswith((".yaml", ".yml")):
        path = Path(model)
        manifest = path / MANIFEST if path.is_dir() else path
        return Entry(read_manifest(manifest), manifest.parent, "path")
    if model in _names(shipped("models")):
        folder = shipped("models") / model
        return Entry(read_manifest(folder / MANIFEST), folder, "shipped")
    if model in _catalogued():
        manifest = shipped("configs") / "models" / model / MANIFEST
        return Entry(read_manifest(manifest), cache_folder() / "models" / model, "catalogue")
    known = (*_names(shipped("models")), *_catalogued())
    raise ModelError(f"no model {model!r}; {suggest(model, known)}")


def pull(
    model: str | Path,
    *,
    mirror: str | None = None,
    precision: str | None = None,
    progress: Progress | None = None,
) -> Entry:
    """Downloads what is not here yet of a model; what is here is checked again.

    Args:
        model: its name in the catalogue.
        mirror: a folder or URL that has ``NAME/PATH`` of each file, such as a copy of another
            machine's ``models`` folder in the cache; None for upstream.
        precision: of the files; None for the manifest's first.
        progress: told about every chunk.

    Raises:
        ModelError: see `download`; what was complete before stays.
    """
    entry = find(model)
    for file in entry.files(precision):
        target = entry.folder / file.path
        if target.is_file():
            try:
                check(target, file)
                continue
            except ModelError:
                if entry.origin != "catalogue":
                    raise
        download(_url(entry.manifest.name, file, mirror), file, target, progress)
    return entry


def _url(name: str, file: FileEntry, mirror: str | None) -> str:
    if mirror is None:
        if file.url is None:
            raise ModelError(f"model {name}: {file.path} has no URL; give --mirror DIR|URL")
        return file.url
    if mirror.startswith(("http://", "https://")):
        return f"{mirror.rstrip('/')}/{name}/{file.path}"
    source = Path(mirror).expanduser().resolve() / name / file.path
    if not source.is_file():
        raise ModelError(f"{source}: the mirror has no such file")
    return source.as_uri()


def _catalogued() -> tuple[str, ...]:
    return _names(shipped("configs") / "models")


def _names(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.parent.name for path in folder.glob(f"*/{MANIFEST}")))
