"""Inputs of a network that were recorded: as arrays, or as what the stage before it handed on.

Of arrays, ``.npz`` has them by name, and ``.npy`` is for a single one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from engines import TensorSpec
from engines.program import Tensors
from pipeline.errors import DataError
from pipeline.recording.file import Recording

_ARRAYS = (".npz", ".npy")


#: Where a run is from, and its inputs.
_Run = tuple[str, Tensors]


def holds_inputs(path: Path, specs: Sequence[TensorSpec]) -> bool:
    """Whether a file or folder is of arrays, or a recording of tensors with these names."""
    return bool(_array_files(path)) or (
        path.is_file() and is_zipfile(path) and any(True for _ in _packets(path, specs))
    )


def recorded(path: Path, specs: Sequence[TensorSpec], batch: int | None = None) -> list[Tensors]:
    """The inputs of every run, all of the same lengths.

    Args:
        path: of a file or folder that `holds_inputs`; files count in the order of their names.
        specs: the network's inputs; an array without a name is that of the only one.
        batch: rows of a run, which are then taken one after another from all that was recorded;
            None for a run a file, or a packet.

    Raises:
        DataError: a file cannot be read, or what is in it does not fit; names it and the remedy.
    """
    files = _array_files(path)
    runs = [(str(f), _read(f, specs)) for f in files] if files else list(_packets(path, specs))
    if batch is not None:
        return _rows(runs, specs, batch)
    first, expected = runs[0]
    for place, run in runs[1:]:
        for spec in specs:
            if run[spec.name].shape != (shape := expected[spec.name].shape):
                raise DataError(
                    f"{place}: {spec.name} is {list(run[spec.name].shape)}, in {first} it is "
                    f"{list(shape)}; a device takes one shape: give --batch, or record alike"
                )
    return [run for _, run in runs]


def _array_files(path: Path) -> list[Path]:
    """Files of arrays: the one that is named, or all of a folder; none where that has others."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in _ARRAYS)
    return [path] if path.is_file() and path.suffix.lower() in _ARRAYS else []


def _packets(path: Path, specs: Sequence[TensorSpec]) -> Iterator[_Run]:
    """What a recording has of a network's inputs, packet by packet; frames without are left out."""
    with Recording(path) as recording:
        for number, packet in enumerate(recording.packets()):
            tensors = getattr(packet.payload, "tensors", {})
            if all(len(tensors.get(spec.name, ())) for spec in specs):
                place = f"{path}: packet {number}"
                yield (
                    place,
                    {spec.name: _fitting(place, spec, tensors[spec.name]) for spec in specs},
                )


def _rows(runs: list[_Run], specs: Sequence[TensorSpec], batch: int) -> list[Tensors]:
    """All rows one after another, cut into batches; what is left over is not used."""
    joined = {spec.name: np.concatenate([run[spec.name] for _, run in runs]) for spec in specs}
    count = min(map(len, joined.values())) // batch
    if not count:
        raise DataError(f"{runs[0][0]}: fewer than {batch} rows in all; give a smaller --batch")
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
    return {spec.name: _fitting(str(path), spec, found[spec.name]) for spec in specs}


def _fitting(place: str, spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    if not np.can_cast(array.dtype, spec.dtype, "same_kind") or not spec.accepts(array.shape):
        found = f"{array.dtype}{list(array.shape)}"
        raise DataError(f"{place}: expected {spec}, found {found}; record the network's own input")
    return array.astype(spec.dtype, copy=False)
