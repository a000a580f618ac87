"""Inputs of a network that were recorded as arrays: ``.npz`` by name, ``.npy`` for a single one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from engines import TensorSpec
from engines.program import Tensors
from pipeline.errors import DataError

_ARRAYS = (".npz", ".npy")


def array_files(path: Path) -> list[Path]:
    """Files of arrays: the one that is named, or all of a folder; none where that has others."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in _ARRAYS)
    return [path] if path.is_file() and path.suffix.lower() in _ARRAYS else []


def recorded(
    files: Sequence[Path], specs: Sequence[TensorSpec], batch: int | None = None
) -> list[Tensors]:
    """The inputs of every run, all of the same lengths.

    Args:
        files: in the order of the runs, at least one.
        specs: the network's inputs; an array without a name is that of the only one.
        batch: rows of a run, which are then taken one after another from the files; None for a run
            a file.

    Raises:
        DataError: a file cannot be read, or what is in it does not fit; names it and the remedy.
    """
    runs = [(file, _read(file, specs)) for file in files]
    if batch is not None:
        return _rows(runs, specs, batch)
    first, expected = runs[0]
    for file, run in runs[1:]:
        for spec in specs:
            if run[spec.name].shape != (shape := expected[spec.name].shape):
                raise DataError(
                    f"{file}: {spec.name} is {list(run[spec.name].shape)}, in {first} it is "
                    f"{list(shape)}; a device takes one shape: give --batch, or record alike"
                )
    return [run for _, run in runs]


def _rows(
    runs: list[tuple[Path, Tensors]], specs: Sequence[TensorSpec], batch: int
) -> list[Tensors]:
    """All rows one after another, cut into batches; what is left over is not used."""
    joined = {spec.name: np.concatenate([run[spec.name] for _, run in runs]) for spec in specs}
    count = min(map(len, joined.values())) // batch
    if not count:
        raise DataError(f"{runs[0][0].parent}: fewer than {batch} rows; give a smaller --batch")
    return [
        {name: array[n * batch : (n + 1) * batch] for name, array in joined.items()}
        for n in range(count)
    ]


def _read(path: Path, specs: Sequence[TensorSpec]) -> Tensors:
    """The inputs in one file. Raises `DataError` naming it."""
    names = [spec.name for spec in specs]
    try:
        with path.open("rb") as file:
            stored: Any = np.load(file, allow_pickle=False)
            found = {names[0]: stored} if isinstance(stored, np.ndarray) else dict(stored.items())
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as arrays: {error}; save it again") from None
    if missing := [name for name in names if name not in found]:
        raise DataError(
            f"{path}: expected arrays {', '.join(names)}, there are {', '.join(found) or 'none'}; "
            f"{', '.join(missing)} is missing: write it with numpy.savez(file, **arrays)"
        )
    return {spec.name: _fitting(path, spec, found[spec.name]) for spec in specs}


def _fitting(path: Path, spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    if not np.can_cast(array.dtype, spec.dtype, "same_kind") or not spec.accepts(array.shape):
        found = f"{array.dtype}{list(array.shape)}"
        raise DataError(f"{path}: expected {spec}, found {found}; record the network's own input")
    return array.astype(spec.dtype, copy=False)
