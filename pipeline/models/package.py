"""A model, found and checked, ready for an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from engines import Engine, Kernel, Network, Program, TensorSpec
from pipeline.errors import ModelError
from pipeline.models.catalogue import Entry, find
from pipeline.models.download import check, matches
from pipeline.models.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model whose files are here and are what its manifest says.

    Attributes:
        manifest: what it says about itself; complete enough to run.
        folder: where its files lie.
        program: for an engine.
        own_weights: whether the user gave weights that are not those of the manifest; only their
            tensors are checked against it.
    """

    manifest: Manifest
    folder: Path
    program: Program
    own_weights: bool = False

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def input(self) -> TensorSpec:
        """The tensor that takes the picture."""
        return self.manifest.inputs[0].spec()


def load_model(
    model: str | Path, *, weights: str | Path | None = None, precision: str | None = None
) -> ModelPackage:
    """Finds a model and checks its files.

    Args:
        model: a name (shipped models first, then the catalogue), or the path of a package's folder
            or manifest.
        weights: another file instead of the package's network; same format and tensors.
        precision: which of the package's variants; None for its first.

    Raises:
        ModelError: no such model, not downloaded yet, damaged, or its manifest is wrong or not
            complete enough to run; with the remedy.
    """
    entry = find(model)
    manifest = entry.manifest
    if manifest.lacking:
        raise ModelError(
            f"model {manifest.name} can be pulled but not run: its manifest has no "
            f"{', '.join(manifest.lacking)}{'; ' + manifest.note if manifest.note else ''}"
        )
    if manifest.program is not None:
        if weights is not None:
            raise ModelError(f"model {manifest.name} has no weights: it is built into an engine")
        program = manifest.program
        kernel = Kernel(program.kernel, dict(program.parameters))
        return ModelPackage(manifest, entry.folder, kernel)
    return _with_network(entry, None if weights is None else Path(weights), precision)


def _with_network(entry: Entry, weights: Path | None, precision: str | None) -> ModelPackage:
    files = entry.files(precision)
    main = files[0]
    if weights is None:
        for file in files:
            _require(entry, entry.folder / file.path)
            try:
                check(entry.folder / file.path, file)
            except ModelError as error:
                raise ModelError(f"{error}; {_remedy(entry)}") from None
    elif not weights.is_file():
        raise ModelError(f"{weights}: no such file; check the path after weights:")
    elif weights.stat().st_size == 0:
        raise ModelError(f"{weights}: the file is empty; it should be a network ({main.format})")
    own = weights is not None and not matches(weights, main)
    network = Network(
        weights or entry.folder / main.path,
        main.format,
        tuple(tensor.spec() for tensor in entry.manifest.inputs),
        tuple(tensor.spec() for tensor in entry.manifest.outputs),
        None if own else main.sha256,
        "" if own else main.precision,
    )
    return ModelPackage(entry.manifest, entry.folder, network, own)


def _require(entry: Entry, path: Path) -> None:
    if not path.is_file():
        if entry.origin == "catalogue":
            raise ModelError(f"model {entry.manifest.name} is not downloaded; {_remedy(entry)}")
        raise ModelError(f"{path}: no such file; {_remedy(entry)}")


def _remedy(entry: Entry) -> str:
    if entry.origin == "catalogue":
        return f"run: sightline models pull {entry.manifest.name}"
    if entry.origin == "shipped":
        return "the installation is damaged: install sightline again"
    return "put the right file there, or correct its size and hash in model.yaml"


def verify(package: ModelPackage, engine: Engine) -> dict[str, float]:
    """Runs the package's test vector.

    Args:
        package: with a test vector.
        engine: new; destroyed afterwards.

    Returns:
        The largest absolute difference of each output.

    Raises:
        ModelError: there is no test vector, or an output differs by more than its tolerance.
        EngineError: the engine cannot run the model.
    """
    vector = package.manifest.test_vector
    if vector is None:
        raise ModelError(f"model {package.name} has no test vector")
    tensors = _read_vector(package.folder / vector.path, package)
    with engine:
        engine.init()
        engine.prepare(package.program)
        for spec in engine.inputs:
            engine.set_tensor(spec.name, tensors[spec.name].astype(spec.dtype))
        engine.forward()
        differences = {
            spec.name: _difference(engine.get_tensor(spec.name), tensors[spec.name])
            for spec in engine.outputs
        }
    for name, difference in differences.items():
        if not difference <= vector.atol:
            raise ModelError(
                f"model {package.name} on {engine}: output {name} is {difference:g} away from its "
                f"test vector, allowed is {vector.atol:g}"
            )
    return differences


def _read_vector(path: Path, package: ModelPackage) -> dict[str, NDArray[Any]]:
    wanted = [t.name for t in (*package.manifest.inputs, *package.manifest.outputs)]
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in wanted}
    except KeyError as error:
        raise ModelError(f"{path}: {str(error).strip(chr(39))}; it must hold {wanted}") from None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path}: cannot be read as a test vector: {error}") from None


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))
