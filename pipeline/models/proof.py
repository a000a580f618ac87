"""A package proves itself: its test vector through an engine."""

from __future__ import annotations

from io import BytesIO
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from engines import Engine, Program, registry
from pipeline.errors import ModelError
from pipeline.models.package import ModelPackage, stored_precision


def prove(package: ModelPackage, backend: str = "") -> dict[str, float]:
    """Runs the test vector on every variant that is stored in the default's precision.

    Args:
        package: with a test vector.
        backend: runs the variant it is for; empty to take, for each, the first that is installed.

    Returns:
        The largest absolute difference by backend; empty where none is installed.

    Raises:
        ModelError, EngineError: see `verify`.
    """
    if backend:
        chosen = [(backend, package.program_for(registry.engine_class(backend)))]
    else:
        chosen = [
            (name, program) for program in _alike(package) for name in _installed(program)[:1]
        ]
    return {
        name: max(verify(package, registry.create("verify", name), program).values())
        for name, program in chosen
    }


def _alike(package: ModelPackage) -> list[Program]:
    """The variants that must give the same numbers; one of fewer bits gives others."""
    precision = stored_precision(package.program)
    return [program for program in package.variants if stored_precision(program) == precision]


def _installed(program: Program) -> list[str]:
    able = registry.able(program)
    return [name for name in able if not registry.engine_class(name).describe().missing]


def verify(
    package: ModelPackage, engine: Engine, program: Program | None = None
) -> dict[str, float]:
    """Runs the package's test vector.

    Args:
        package: with a test vector.
        engine: new; destroyed afterwards.
        program: which of the package's variants; None for the default.

    Returns:
        The largest absolute difference of each output.

    Raises:
        ModelError: there is no test vector, or an output differs by more than its tolerance.
        EngineError: the engine cannot run the model.
    """
    vector = package.manifest.test_vector
    if vector is None:
        raise ModelError(f"model {package.name} has no test vector")
    tensors = _read_vector(vector.path, package)
    with engine:
        engine.init()
        engine.prepare(program or package.program)
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


def _read_vector(name: str, package: ModelPackage) -> dict[str, NDArray[Any]]:
    path = package.folder / name
    source = BytesIO(package.sealed.files[name]) if package.sealed else path
    wanted = [t.name for t in (*package.manifest.inputs, *package.manifest.outputs)]
    try:
        with np.load(source, allow_pickle=False) as stored:
            return {name: stored[name] for name in wanted}
    except KeyError as error:
        raise ModelError(f"{path}: {str(error).strip(chr(39))}; it must hold {wanted}") from None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path}: cannot be read as a test vector: {error}") from None


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))
