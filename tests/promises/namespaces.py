"""A camera behind a cable of its own that can be pulled: two network namespaces and a veth pair."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Self

_CLONE_NEWNET = 0x40000000


@cache
def not_permitted() -> str:
    """Why no namespaces can be made here; empty where they can."""
    if shutil.which("ip") is None:
        return "no command ip here, to make network namespaces: apt-get install iproute2"
    name = f"sightline-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if made.returncode:
        return "network namespaces are not permitted here"
    veth = subprocess.run(
        ["ip", "-n", name, "link", "add", "one", "type", "veth", "peer", "name", "two"],
        capture_output=True,
        check=False,
    )
    _ip("netns", "del", name)
    return "veth pairs are not permitted here" if veth.returncode else ""


class Street(ExitStack):
    """Two namespaces, for a camera and for a daemon, and the cable between them.

    What is entered into it is left before the namespaces are deleted.

    Attributes:
        CAMERA: the camera's address.
        DAEMON: the daemon's address.
        inside: what a command is started with to run where the daemon is.
    """

    CAMERA, DAEMON = "10.77.0.1", "10.77.0.2"

    def __init__(self) -> None:
        super().__init__()
        self._ends = {side: f"sightline-{side}-{os.getpid()}" for side in ("camera", "daemon")}
        self.inside = ("ip", "netns", "exec", self._ends["daemon"])

    def __enter__(self) -> Self:
        super().__enter__()
        camera, daemon = self._ends.values()
        for name in (camera, daemon):
            _ip("netns", "add", name)
            self.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("-n", camera, "link", "add", "cable", "type", "veth", "peer", "name", "cable",
            "netns", daemon)  # fmt: skip
        for name, address in ((camera, self.CAMERA), (daemon, self.DAEMON)):
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
        return self

    def pull(self) -> None:
        """Pulls the cable out of the camera."""
        _ip("-n", self._ends["camera"], "link", "set", "cable", "down")

    def plug(self) -> None:
        """Plugs it in again."""
        _ip("-n", self._ends["camera"], "link", "set", "cable", "up")

    @contextmanager
    def at_camera(self) -> Iterator[None]:
        """Sockets and threads that are made in the block are at the camera's end."""
        with _at(self._ends["camera"]):
            yield

    @contextmanager
    def at_daemon(self) -> Iterator[None]:
        """Sockets and threads that are made in the block are at the daemon's end."""
        with _at(self._ends["daemon"]):
            yield


@contextmanager
def _at(name: str) -> Iterator[None]:
    with Path("/proc/thread-self/ns/net").open() as here, Path("/run/netns", name).open() as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(here.fileno())


def _enter(descriptor: int) -> None:
    """setns(2), which Python has from 3.12 on."""
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
