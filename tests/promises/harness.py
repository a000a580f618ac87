"""A real daemon under test, what it sends, and what it must never do.

A test has a `Site`: it makes cameras there, starts a daemon that watches them, does harm, and looks
at what came out of it::

    def test_something(site):
        camera = site.camera()
        daemon = site.watch({"gate": camera.url})
        first = site.messages.wait_for("gate", status="ok")
        camera.faults.stalled = True
        site.messages.wait_for("gate", status="stalled", after_s=first.at_s, timeout_s=5)
        assert daemon.stop()["cameras"][0]["faults"]

What every daemon promises is checked when it ends, by the test or behind it: exit code 0, every
frame accounted for, the cameras' password nowhere.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
import yaml

from tests.rtsp.camera import Camera
from tests.rtsp.login import PASSWORD

REPOSITORY = Path(__file__).resolve().parents[2]
_POLL_S = 0.01
#: So long is waited for what must happen; what is promised to take less is asserted beside it.
_PATIENCE_S = 30.0
_PAGES = ("/metrics", "/health", "/status", "/config")

Json = dict[str, Any]


def eventually(condition: Callable[[], Any], timeout_s: float = _PATIENCE_S, what: str = "") -> Any:
    """The condition's value as soon as it is true.

    Raises:
        AssertionError: it did not become true in time.
    """
    end_s = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < end_s, f"not within {timeout_s:g} s: {what or condition}"
        time.sleep(_POLL_S)
    return value


def configuration(
    cameras: Mapping[str, str | Json],
    detector: Path,
    messages: Messages,
    **sections: Any,
) -> str:
    """A configuration whose results go to `messages`: preprocess, detect, postprocess, track.

    Args:
        cameras: by id a URI, or all keys of a camera but its id.
        detector: folder of a model package, such as the fixture `spotter`.
        sections: further top-level keys, such as ``run={"drain_s": 2}``; ``outputs`` come on top.
    """
    listed = [
        {"id": name, **({"uri": keys} if isinstance(keys, str) else keys)}
        for name, keys in cameras.items()
    ]
    outputs = [{"udp": {"to": messages.address, "format": "json"}}, *sections.pop("outputs", [])]
    stages = {"detect": {"model": str(detector), "workers": 1}}
    document = {"cameras": listed, "stages": stages, "outputs": outputs} | sections
    return yaml.safe_dump(document, sort_keys=False)


def assert_balanced(report: Json) -> None:
    """Every frame that entered was emitted or dropped for a reason: promise 8."""
    for camera, account in report["ledger"].items():
        ended = account["emitted"] + sum(line["frames"] for line in account["dropped"])
        assert account["entered"] == ended, f"{camera}: {account}"
        assert account["missing"] == 0, f"{camera}: {account}"
    assert report["balanced"] is True


def free_port() -> int:
    """A TCP port on loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Message:
    """What came for one frame.

    Attributes:
        at_s: `time.monotonic` when it came.
        body: as docs/message.schema.json says.
    """

    at_s: float
    body: Json


class Messages:
    """Receives what a daemon's output ``udp`` with ``format: json`` sends.

    Attributes:
        address: ``host:port`` for the output's key ``to``.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._came: list[Message] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="messages", daemon=True)
        self._thread.start()

    def of(self, camera: str, after_s: float = 0.0, **keys: Any) -> list[Message]:
        """A camera's messages so far that came later, with these values."""
        wanted = {"camera": camera, **keys}.items()
        return [
            message
            for message in list(self._came)
            if message.at_s > after_s and all(message.body[key] == value for key, value in wanted)
        ]

    def wait_for(
        self,
        camera: str,
        timeout_s: float = _PATIENCE_S,
        after_s: float = 0.0,
        such_that: Callable[[Json], bool] = lambda body: True,
        **keys: Any,
    ) -> Message:
        """A camera's first message that came later, with these values, as soon as it is there."""

        def found() -> Message | None:
            came = self.of(camera, after_s, **keys)
            return next((message for message in came if such_that(message.body)), None)

        message: Message = eventually(found, timeout_s, f"a message of {camera} with {keys}")
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops receiving."""
        self._closed.set()
        self._thread.join(timeout=10)
        self._socket.close()

    def _receive(self) -> None:
        while not self._closed.is_set():
            with suppress(TimeoutError):
                datagram = self._socket.recv(65536)
                self._came.append(Message(time.monotonic(), json.loads(datagram)))


class Running:
    """A ``sightline run --daemon`` process.

    Args:
        text: its configuration, written to ``daemon.yaml`` in `folder`.
        folder: it works in.
        arguments: behind the configuration.
        prefix: what it is started with, such as ``ip netns exec NAME``.

    Attributes:
        config: path of the configuration.
        expected_code: what it is to end with.
        report: its last word; empty until it ended, and after `kill`.
    """

    def __init__(
        self, text: str, folder: Path, arguments: Sequence[str] = (), prefix: Sequence[str] = ()
    ) -> None:
        self.config = folder / "daemon.yaml"
        self.config.write_text(text)
        self.expected_code = 0
        self.report: Json = {}
        self._http: Json = yaml.safe_load(text).get("http") or {}
        self._lines: list[str] = []
        self._checked = False
        program = [sys.executable, "-m", "pipeline.cli.main", "run", "--daemon", "--log", "json"]
        self.process = subprocess.Popen(
            [*prefix, *program, str(self.config), *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._thread = threading.Thread(target=self._read, name="daemon's log", daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """All it printed so far."""
        return "".join(self._lines)

    @property
    def log(self) -> list[Json]:
        """The lines of its log so far."""
        return [json.loads(line) for line in list(self._lines) if line.startswith("{")]

    def wait_for(
        self,
        event: str,
        timeout_s: float = _PATIENCE_S,
        such_that: Callable[[Json], bool] = lambda line: True,
    ) -> Json:
        """The first line of the log whose event begins so, as soon as it is there."""

        def found() -> Json | None:
            ended = not self._thread.is_alive()
            lines = (line for line in self.log if str(line.get("event", "")).startswith(event))
            line = next(filter(such_that, lines), None)
            assert line or not ended, f"it ended without {event!r}; it printed:\n{self.text}"
            return line

        line: Json = eventually(found, timeout_s, f"event {event!r}")
        return line

    def http(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        """Asks its page at ``http.bind``, with the token if there is one."""
        token = self._http.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"http://{self._http['bind']}{path}"
        return httpx.request(method, url, headers=headers, timeout=10, **options)

    def processes(self) -> list[psutil.Process]:
        """It and all its children."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, as the kernel does when memory is out; there is no report then."""
        self.process.kill()
        self.expected_code = -signal.SIGKILL
        self.wait()

    def stop(self, timeout_s: float = 20.0) -> Json:
        """Ends it with SIGTERM, checks what every daemon promises, and gives its report."""
        if self._checked:
            return self.report
        self._checked = True
        secrets = self._told() if self.process.poll() is None else ""
        if self.process.poll() is None:
            self.process.terminate()
        self.wait(timeout_s)
        self._check(secrets)
        return self.report

    def wait(self, timeout_s: float = 20.0) -> None:
        """Waits for its end."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end; it printed:\n{self.text}") from None
        finally:
            self._thread.join(timeout=10)
            assert self.process.stdout is not None
            self.process.stdout.close()
        ends = [line for line in self.log if line.get("event") == "report"]
        self.report = ends[-1] if ends else {}

    def _check(self, told: str) -> None:
        code = self.process.returncode
        assert code == self.expected_code, f"exit code {code}; it printed:\n{self.text}"
        if self.report:
            assert_balanced(self.report)
        else:
            assert code == -signal.SIGKILL, f"no report; it printed:\n{self.text}"
        written = [
            path
            for path in self.config.parent.rglob("*")
            if path != self.config and path.is_file() and PASSWORD.encode() in path.read_bytes()
        ]
        assert not written, f"the password is in {written}"
        assert PASSWORD not in self.text, "the password is in what it printed"
        assert PASSWORD not in told, "the password is on a page, or in the list of processes"

    def _told(self) -> str:
        """What it shows of itself while it runs: its pages, its processes' command lines."""
        texts = []
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                texts.append(" ".join(process.cmdline()))
        if self._http:
            texts += [self.http(path).text for path in _PAGES]
        return "\n".join(texts)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with suppress(ValueError):  # closed
            for line in self.process.stdout:
                self._lines.append(line)


@dataclass(frozen=True, slots=True)
class Site:
    """What a test of a promise has: cameras, a daemon that watches them, and what it says.

    Attributes:
        camera: makes a camera that is there until the test ends; arguments as `Camera`.
        run: starts a daemon with a configuration's text; see the fixture of that name.
        messages: what `watch` makes daemons send.
        detector: folder of the model package that `watch` makes daemons use.
        record: notes what was measured, by name, for docs/reliability.md.
    """

    camera: Callable[..., Camera]
    run: Callable[..., Running]
    messages: Messages
    detector: Path
    record: Callable[[str, object], None]

    def configuration(self, cameras: Mapping[str, str | Json], **sections: Any) -> str:
        """As the function of that name, for this site's detector and messages."""
        return configuration(cameras, self.detector, self.messages, **sections)

    def watch(self, cameras: Mapping[str, str | Json], **sections: Any) -> Running:
        """Starts a daemon that watches these cameras."""
        return self.run(self.configuration(cameras, **sections))
