"""What this process has besides itself: children and descriptors."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def children() -> list[int]:
    """Processes of engines this one started, and any that ended and were not waited for.

    Not others that run: a server for other tests stays for the whole session.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, parent = _fields(path)[:2]
            command = path.with_name("cmdline").read_bytes()
            if int(parent) == os.getpid() and (state == "Z" or b"engines.isolation" in command):
                found.append(int(path.parent.name))
    return found


def descriptors() -> int:
    """How many pipes, sockets and blocks of shared memory are open."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found += str(path.readlink()).startswith(("pipe:", "socket:", "/memfd:sightline"))
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody waited for does not."""
    try:
        return _fields(Path(f"/proc/{pid}/stat"))[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _fields(stat: Path) -> list[str]:
    """State, parent and so on: what follows the name in proc_pid_stat(5)."""
    return stat.read_text().rpartition(")")[2].split()
