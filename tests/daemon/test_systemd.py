"""The words for the service manager, heard by a socket of our own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.daemon.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    address = f"@sightline-test-{os.getpid()}" if request.param == "abstract" else f"{tmp_path}/n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + address[1:] if address.startswith("@") else address)
        listening.settimeout(10)
        yield listening, address


def test_each_word_is_one_datagram(manager: tuple[socket.socket, str]) -> None:
    listening, address = manager
    notifier = Notifier(address)
    notifier.ready()
    notifier.alive()
    notifier.status("2 of 3 cameras live\n10 frames/s")
    notifier.stopping()
    assert [listening.recv(4096).decode() for _ in range(4)] == [
        "READY=1",
        "WATCHDOG=1",
        "STATUS=2 of 3 cameras live 10 frames/s",
        "STOPPING=1\nSTATUS=stopping",
    ]


def test_a_reload_ends_with_ready_whatever_becomes_of_it(
    manager: tuple[socket.socket, str],
) -> None:
    listening, address = manager
    with suppress(ValueError), Notifier(address).reloading():
        raise ValueError
    begun, moment = listening.recv(4096).decode().splitlines()
    assert begun == "RELOADING=1"
    assert moment.removeprefix("MONOTONIC_USEC=").isdecimal()
    assert listening.recv(4096) == b"READY=1"


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_manager_says_whether_it_watches(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    given = {"NOTIFY_SOCKET": "/run/x", "HOME": "/"} | environment
    assert Notifier.from_environment(given).watchdog_s == watchdog_s
    assert given == {"HOME": "/"}


def test_without_a_manager_nothing_happens(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Notifier().ready()
    assert not caplog.records
    Notifier(str(tmp_path / "nobody")).ready()
    assert "does not listen" in caplog.text
