"""A module of ours in a process of its own: started, heard, and told how it ended.

What engines, decoders and shards in processes of their own have in common. The two processes talk
over a socket; what the other one prints is logged, and its last line is kept.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engines import allocator
from engines.isolation.shared import SharedTensors, new_memory

_log = logging.getLogger(__name__)
#: How much is kept of what the process prints, bytes.
_KEPT = 4096
#: How long a process that closed its socket may take to end by itself, seconds.
_ENDING_S = 1.0
#: A message that began may take so long to come or go: its sender was stopped in the midst of it.
_MESSAGE_S = 5
#: Who asks a whole group of processes to end asks the parent too, which still needs its children.
_NOT_FOR_CHILDREN = (signal.SIGINT, signal.SIGTERM)


class ChildProcess:
    """One process, started by the constructor, which raises `OSError` where it cannot be.

    Every wait ends at once where the process dies. After `end` nothing of it remains: no zombie, no
    descriptor. Owned by one thread at a time.

    Attributes:
        closed: True once the process has closed its socket: it has died, or is about to.
        messages: that came and nobody took yet.

    Args:
        name: of what runs there, for the log.
        module: run as ``python -P -m module SOCKET DESCRIPTORS…``; the command line is for all to
            read, so whatever is secret goes over the socket.
        descriptors: further ones the process inherits; they stay the caller's.
    """

    def __init__(self, name: str, module: str, *descriptors: int) -> None:
        self.closed = False
        self.messages: deque[Any] = deque()
        self._name = name
        self._printed = b""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            limit = struct.pack("ll", _MESSAGE_S, 0)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
            self._process = _spawn(module, (theirs.fileno(), *descriptors))
            self._socket = Connection(ours.detach())
        assert self._process.stdout is not None  # it is a pipe
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)
        self._poll.register(self._output, select.POLLIN)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """Readable where a message, or the end, can be received."""
        return self._socket.fileno()

    def send(self, message: Any) -> None:
        """Sends a small message; raises what `pickle` raises where it cannot be sent."""
        data = pickle.dumps(message)
        try:
            self._socket.send_bytes(data)
        except OSError:
            self.closed = True

    def receive(self, timeout_s: float | None) -> bool:
        """Waits for a message, an end or something printed; says whether one came.

        Args:
            timeout_s: the longest wait, seconds; None: as long as the process lives.
        """
        ready = dict(self._poll.poll(None if timeout_s is None else max(0.0, timeout_s) * 1e3))
        if self._output in ready and not self._listen():
            self._poll.unregister(self._output)
        if self._socket.fileno() in ready:
            try:
                self.messages.append(self._socket.recv())
            except (EOFError, OSError):
                self.closed = True
        return bool(ready)

    def kill(self) -> None:
        """Ends the process, whatever it hangs in."""
        self._process.kill()

    def how_it_ended(self) -> str:
        """Such as ``was killed by SIGSEGV ('its last line')``; waits for the end a little."""
        try:
            code = self._process.wait(_ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._listen()
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        lines = self._printed.decode(errors="replace").split("\n")
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how} ({words!r})" if words else how

    def end(self) -> None:
        """Kills the process, waits for its end and gives everything back; any number of times."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._socket.close()

    def _listen(self) -> bool:
        """Takes what the process printed, so that it need not wait for room; False at its end."""
        try:
            chunk = os.read(self._output, 1 << 16)
        except BlockingIOError:
            return True
        if chunk:
            self._printed = (self._printed + chunk)[-_KEPT:]
            _log.info("%s: %s", self._name, chunk.decode(errors="replace").rstrip())
        return bool(chunk)


class ChildWithMemory(ChildProcess):
    """A child process and two blocks of memory that both see; `end` gives these back too.

    Attributes:
        blocks: what lies in them; the child finds their descriptors behind its socket's.

    Args:
        name, module: as those of `ChildProcess`.
    """

    def __init__(self, name: str, module: str) -> None:
        self._memories: tuple[int, ...] = (new_memory(), new_memory())
        self.blocks = tuple(map(SharedTensors, self._memories))
        try:
            super().__init__(name, module, *self._memories)
        except OSError:
            self._let_go()
            raise

    def end(self) -> None:
        super().end()
        self._let_go()

    def _let_go(self) -> None:
        for block in self.blocks:
            block.close()
        for fd in self._memories:
            os.close(fd)
        self._memories = ()


def _spawn(module: str, descriptors: tuple[int, ...]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(folder or str(Path.cwd()) for folder in sys.path)
    # Inherited: so the child is deaf to them before it can say so itself.
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_CHILDREN)
    try:
        return subprocess.Popen(
            # -P: only what we can import ourselves, and not what lies in the current directory.
            [sys.executable, "-P", "-m", module, *map(str, descriptors)],
            bufsize=0,
            stdin=subprocess.PIPE,  # nothing is written: that it closes is the sign of our death
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # our own stdout may be data that somebody reads
            pass_fds=descriptors,
            process_group=0,  # Ctrl-C is for us: what is under way is finished first
            env=os.environ | {"PYTHONPATH": path},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def from_the_parent() -> tuple[Connection, tuple[int, ...]]:
    """In the child: the socket to its parent, and the further descriptors; first of all calls.

    Makes the kernel kill this process as soon as nobody holds the other end of its stdin. So a
    process that hangs inside a library does not outlive its parent, however that ended. The signal
    of PR_SET_PDEATHSIG would come at the end of the thread that started us instead.
    Source: fcntl(2), O_ASYNC and F_SETSIG.
    """
    allocator.keep_flat()
    for number in _NOT_FOR_CHILDREN:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _NOT_FOR_CHILDREN)
    stdin = sys.stdin.fileno()
    fcntl.fcntl(stdin, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(stdin, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(stdin, fcntl.F_SETFL, fcntl.fcntl(stdin, fcntl.F_GETFL) | os.O_ASYNC)
    channel, *descriptors = map(int, sys.argv[1:])
    return Connection(channel), tuple(descriptors)
