"""A real server of KServe's protocol, for tests: one a run, started where it is first needed."""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from functools import cache
from pathlib import Path

PROGRAM = Path(__file__).with_name("kserve_server.py")
OWN_ENVIRONMENT = PROGRAM.parent.parent.parent / ".venv-kserve" / "bin" / "python"
START_S = 60


@cache
def missing() -> str:
    """Why no server can be started; empty where one can."""
    look = "import importlib.util as u; raise SystemExit(not u.find_spec('kserve'))"
    if subprocess.run([_python(), "-c", look]).returncode == 0:
        return ""
    return f"{_python()} has no package kserve (make .venv-kserve, or set SIGHTLINE_KSERVE_PYTHON)"


def _python() -> str:
    """The interpreter that has the package kserve, whose pins are no concern of ours."""
    default = OWN_ENVIRONMENT if OWN_ENVIRONMENT.exists() else sys.executable
    return os.environ.get("SIGHTLINE_KSERVE_PYTHON", str(default))


class Server:
    """A server's process and the folder of the networks it serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"http": 0, "grpc": 0}
        self.start()

    def address(self, protocol: str) -> str:
        """Of this server, as an engine's device."""
        return f"{protocol}://127.0.0.1:{self.ports[protocol]}"

    def start(self) -> None:
        """Starts it, on the ports it had before, with the networks it had before."""
        ports = [str(port) for port in self.ports.values()]
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [_python(), PROGRAM, self.folder, *ports],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_S)
        line = self._process.stdout.readline() if ready else b""
        assert line, (self.folder / "log.txt").read_text()
        self.ports = json.loads(line)
        for path in self.folder.glob("*.onnx"):
            self._load(path.stem)

    def kill(self) -> None:
        """Ends it without a word, as a crash does."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()

    def stop(self) -> None:
        """Lets it hang, its connections open, until `resume`."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def host(self, network: Path, name: str) -> None:
        """Has it serve an ONNX network under a name."""
        shutil.copy(network, self.folder / f"{name}.onnx")
        self._load(name)

    def _load(self, name: str) -> None:
        url = f"{self.address('http')}/v2/repository/models/{name}/load"
        urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=START_S).close()


@cache
def shared_server() -> Server:
    """The server of this run; it ends with the run, however that ends."""
    folder = Path(tempfile.mkdtemp(prefix="sightline-kserve-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = Server(folder)
    atexit.register(server.kill)
    return server
