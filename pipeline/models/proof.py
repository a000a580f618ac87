"""A package proves itself: its test vector through an engine."""

from __future__ import annotations

from dataclasses import replace

from engines import Engine, Network, Program, border, registry
from engines.answer import difference
from pipeline.errors import ModelError
from pipeline.models.package import ModelPackage, known_answer


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
        chosen = [(backend, package.program_for(registry.create("verify", backend)))]
    else:
        chosen = [
            (name, program) for program in _alike(package) for name in _installed(program)[:1]
        ]
    return {
        name: max(verify(package, registry.create("verify", name), program).values())
        for name, program in chosen
    }


def _alike(package: ModelPackage) -> list[Program]:
    """The variants that must give these numbers; one in fewer bits gives others."""
    return [p for p in package.variants if not isinstance(p, Network) or p.answer]


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
    if package.manifest.test_vector is None:
        raise ModelError(f"model {package.name} has no test vector")
    answer = known_answer(package)
    program = program or package.program
    if isinstance(program, Network):
        program = replace(program, answer=None)  # the engine would refuse before it told how much
    with engine:
        engine.init()
        engine.prepare(program)
        for name, array in answer.inputs.items():
            border.give(engine, name, array)
        engine.forward()
        differences = {
            name: difference(border.take(engine, name), expected)
            for name, expected in answer.outputs.items()
        }
    for name, off in differences.items():
        if not off <= answer.atol:
            raise ModelError(
                f"model {package.name} on {engine}: output {name} is {off:g} away from its test "
                f"vector, allowed is {answer.atol:g}"
            )
    return differences
