"""Cameras, a daemon and a detector for the tests of what is promised; see `harness`."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.promises.harness import Messages, Running, Site
from tests.rtsp.camera import Camera
from tests.rtsp.clip import Clip


@pytest.fixture(autouse=True)
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """The machine, for this test and those beside it, or for this one `alone`."""
    whole = "alone" in request.fixturenames
    shared = tmp_path_factory.getbasetemp().parent  # by the processes of pytest-xdist
    with (shared / "machine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if whole else fcntl.LOCK_SH)
        yield


@pytest.fixture
def alone() -> None:
    """Asked for by a test that compares times, which others beside it would change."""


@pytest.fixture
def rtsp() -> Iterator[Callable[..., Camera]]:
    """Makes cameras that are there until the test ends: ``rtsp(clip, port=…)``, as `Camera`."""
    with ExitStack() as cameras:

        def make(clip: Clip | None = None, **options: Any) -> Camera:
            return cameras.enter_context(Camera(clip, **options))

        yield make


@pytest.fixture
def messages() -> Iterator[Messages]:
    """What the daemon's output ``udp: {to: messages.address, format: json}`` sends."""
    with Messages() as receiver:
        yield receiver


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts ``sightline run --daemon`` with a configuration's text and further arguments.

    Behind the test it is ended with SIGTERM, unless it has ended, and checked: exit code (as
    `Running.expected_code`), ledger, password. A test that wants its report calls `Running.stop`.
    Each daemon has a folder of its own, `Running.config.parent`.
    """
    started: list[Running] = []

    def start(text: str, *arguments: object, prefix: tuple[str, ...] = ()) -> Running:
        folder = tmp_path / f"daemon-{len(started)}"
        folder.mkdir()
        started.append(Running(text, folder, [str(a) for a in arguments], prefix))
        return started[-1]

    try:
        yield start
        for daemon in started:
            daemon.stop()
    finally:
        for daemon in started:
            if daemon.process.poll() is None:
                daemon.kill()
            print(daemon.text)  # shown where the test failed


@pytest.fixture
def site(
    rtsp: Callable[..., Camera],
    run: Callable[..., Running],
    messages: Messages,
    spotter: Path,
    record_property: Callable[[str, object], None],
) -> Site:
    return Site(rtsp, run, messages, spotter, record_property)
