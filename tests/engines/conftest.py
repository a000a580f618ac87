"""Fixtures of the contract: each subject in turn, with the small network in its own format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import engines
from engines import Network, Program
from tests.engines.subjects import Subject, small_network, subjects


def parameters() -> list[object]:
    """The subjects; those on a GPU bear its mark."""
    gpu = pytest.mark.gpu
    return [pytest.param(one, marks=() if one.device == "cpu" else gpu) for one in subjects()]


@pytest.fixture(scope="session", params=parameters(), ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    """Every backend that is installed, one after another."""
    found: Subject = request.param
    return found


@pytest.fixture(scope="session")
def program(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The small network with declared tensors, as the subject runs it."""
    folder = tmp_path_factory.mktemp(subject.name)
    return subject.program(small_network(folder), folder / "converted")


@pytest.fixture
def network(tmp_path: Path) -> Network:
    """The small network as ONNX."""
    return small_network(tmp_path)


@pytest.fixture
def stored(subject: Subject, program: Program) -> Network:
    """The small network in the subject's own files."""
    if not isinstance(program, Network) or not subject.files:
        pytest.skip(f"{subject} loads no files")
    return program


@pytest.fixture
def prepared(subject: Subject, program: Program) -> Iterator[Callable[[], engines.Engine]]:
    """Makes engines of the subject with the small network in them; destroys them afterwards."""
    made: list[engines.Engine] = []

    def make() -> engines.Engine:
        engine = subject.create(f"e{len(made)}")
        made.append(engine)
        engine.init()
        engine.prepare(program)
        return engine

    yield make
    for engine in made:
        engine.destroy()
