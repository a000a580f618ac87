"""Compiler and runtime meet in the artefact, and nowhere in the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "engines" / "sim_npu"
COMPILER, RUNTIME = "engines.sim_npu.compiler", "engines.sim_npu.runtime"
#: What the runtime needs of ONNX files: to write its sums, and to see what a host segment holds.
WRITES_ONNX = {"convolution.py", "host.py", "engine.py"}


def imports(path: Path, only_when_loaded: bool = False) -> Iterator[str]:
    """Modules a file imports, those inside its functions included unless said otherwise."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            assert node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (only_when_loaded and isinstance(node, ast.FunctionDef)):
            waiting += ast.iter_child_nodes(node)


def reached(path: Path) -> set[str]:
    """Modules of the engines that a file imports, directly and through others."""
    found, waiting = set[str](), [path]
    while waiting:
        for name in imports(waiting.pop()):
            for module in (name, name.rpartition(".")[0]):
                place = REPOSITORY / module.replace(".", "/")
                sources = (place.with_suffix(".py"), place / "__init__.py")
                there = [source for source in sources if source.is_file()]
                if module.startswith("engines.") and module not in found and there:
                    found.add(module)
                    waiting += there
    return found


def files(part: str) -> list[Path]:
    found = sorted((FOLDER / part).rglob("*.py")) if part else sorted(FOLDER.glob("*.py"))
    assert len(found) > 3
    return found


def test_imports_are_followed() -> None:
    found = reached(FOLDER / "compiler" / "compile.py")
    assert {"engines.convert.graph", "engines.sim_npu.operators"} <= found
    assert "engines.sim_npu.runtime.convolution" in reached(FOLDER / "runtime" / "engine.py")


@pytest.mark.parametrize("path", files("compiler"), ids=lambda path: path.stem)
def test_the_compiler_does_not_know_the_runtime(path: Path) -> None:
    assert not [name for name in reached(path) if name.startswith(RUNTIME)]


@pytest.mark.parametrize("path", files("runtime"), ids=lambda path: path.stem)
def test_the_runtime_knows_neither_compiler_nor_converters(path: Path) -> None:
    others = (COMPILER, "engines.convert", "engines.compress")
    assert not [name for name in reached(path) if name.startswith(others)]
    assert not [name for name in imports(path, only_when_loaded=True) if name.startswith("onnx")]
    if path.name not in WRITES_ONNX | {"session.py"}:
        assert not [name for name in imports(path) if name.startswith("onnx")]


@pytest.mark.parametrize("path", files(""), ids=lambda path: path.stem)
def test_what_lies_between_knows_neither(path: Path) -> None:
    assert not [name for name in reached(path) if name.startswith((COMPILER, RUNTIME))]
    assert not [name for name in imports(path) if name.startswith("onnx")]


def test_the_runtime_starts_without_any_of_them() -> None:
    """As a machine has it that only runs what others compiled."""
    lines = (
        "import sys, engines.sim_npu.runtime.engine",
        f"print(*(name for name in sys.modules if name.startswith({(COMPILER, 'onnx')})))",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
