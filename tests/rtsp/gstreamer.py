"""GStreamer's RTSP server as a camera in a process of its own, where it is installed."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rtsp.clip import Codec
from tests.rtsp.login import Login

# The bindings come with the system, for the system's own interpreter.
_PYTHON = "/usr/bin/python3"
_SCRIPT = Path(__file__).with_name("gst_server.py")
_PROBE = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ("x264enc", "x265enc", "jpegenc", "rtph264pay")))
"""


@cache
def missing() -> str:
    """Why there is no such server here; empty where there is one."""
    if not Path(_PYTHON).exists():
        return f"no {_PYTHON} here, for GStreamer's RTSP server"
    probe = subprocess.run([_PYTHON, "-c", _PROBE], capture_output=True, check=False)
    packages = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-{base,good,bad,ugly}"
    return f"no GStreamer RTSP server: apt-get install {packages}" if probe.returncode else ""


class GstCamera:
    """A server that can be killed and started again at the same port.

    Args:
        port: to listen at, on loopback.
        codec: of its pictures.
        login: who may see them.
    """

    def __init__(self, port: int, codec: Codec, login: Login) -> None:
        self._arguments = [_PYTHON, str(_SCRIPT), str(port), codec, login.scheme]
        self._login = login
        self.url = f"rtsp://{login.user}:{login.password}@127.0.0.1:{port}/cam"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._arguments, stdin=pipe, stdout=pipe, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self._login.password}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """Ends it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
