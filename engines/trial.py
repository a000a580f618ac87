"""Running a network once in a process that may die of it, before it runs in this one.

A damaged file makes some libraries read or write where they must not, or ask for more memory than
there is: that kills the process, and no exception is raised. What survives in another process is
not proven harmless, but what does not survive is refused with its reason.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

TIMEOUT_S = 120


def trouble(module: str, library: str, argument: str = "", content: bytes = b"") -> str:
    """What went wrong in another process; empty where nothing did.

    Args:
        module: run as ``python -m MODULE ARGUMENT``; exits with 0 where all went well, else prints
            why not. It begins with `confine`.
        library: that is tried, for the message.
        argument: told on the command line.
        content: given on stdin.
    """
    command = [sys.executable, "-m", module, argument]
    package = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            command, cwd=package.parent, input=content, capture_output=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"{library} was still busy with it after {TIMEOUT_S} s"
    if done.returncode < 0:
        return f"it kills the process that runs it ({signal.Signals(-done.returncode).name})"
    if done.returncode:
        told = (done.stdout or done.stderr).decode(errors="replace")
        return f"{library} cannot run it: {told.strip()[-300:]}"
    return ""


def confine() -> None:
    """Lets this process have no more memory than the machine has, and be the first to go."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(ValueError, OSError):  # a lower limit stands already, or the system has none
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    with suppress(OSError):  # Linux only: the kernel kills this one where memory runs out
        Path("/proc/self/oom_score_adj").write_text("1000")
