"""Promise 16: the network decides neither what is opened nor what decodes, and the doctor tells.

What servers of files may do is in tests/media/test_sources.py, the doctor's tables in tests/doctor.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipeline.doctor.ffmpeg import version_of
from tests.promises.harness import REPOSITORY, Running, Site, eventually

#: A camera that sends whoever asks to a service inside the network (CVE-2026-107698 of FFmpeg).
REDIRECT = "RTSP/1.0 302 Moved\r\nCSeq: {sequence}\r\nLocation: http://{trap}/admin\r\n\r\n"
#: A camera that offers what is decoded by code that nobody looks after.
_OFFER = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 THEORA/90000\r\na=control:track1\r\n"
STRANGE = (
    "RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\nContent-Type: application/sdp\r\n"
    f"Content-Length: {len(_OFFER)}\r\n\r\n{_OFFER}"
)


@contextmanager
def listening(answer: str = "", trap: str = "") -> Iterator[tuple[str, list[str]]]:
    """A server that gives every request the same answer.

    Yields:
        Its address, and the first lines of all that was asked.
    """
    asked: list[str] = []

    def serve(server: socket.socket) -> None:
        with suppress(OSError):  # closed
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    while request := connection.recv(4096).decode(errors="replace"):
                        asked.append(request.splitlines()[0])
                        sequence = request.partition("CSeq: ")[2].split("\r\n")[0]
                        reply = answer.format(sequence=sequence, trap=trap)
                        connection.sendall(reply.encode())

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)


def reason_of(daemon: Running, camera: str) -> str:
    """Why a camera gives nothing, as soon as the daemon says so."""
    line = daemon.wait_for(
        "camera", such_that=lambda line: line.get("camera") == camera and line.get("reason")
    )
    return str(line["reason"])


def test_a_camera_decides_neither_where_we_go_nor_what_decodes(site: Site) -> None:
    with (
        listening() as (trap, caught),
        listening(REDIRECT, trap) as (redirecting, redirected),
        listening(STRANGE) as (strange, offered),
    ):
        cameras = {
            "gate": site.camera().url,
            "mover": f"rtsp://{redirecting}/x",
            "odd": f"rtsp://{strange}/x",
        }
        daemon = site.watch(cameras)
        site.messages.wait_for("gate", status="ok")
        assert "not followed" in reason_of(daemon, "mover")
        assert "not accepted from the network" in reason_of(daemon, "odd")
        # Both are asked again, and still nobody goes where the first one points.
        eventually(lambda: len(redirected) > 3 and len(offered) > 3)
        report = daemon.stop()
    site.record("asked the camera that redirects", len(redirected))
    site.record("asked where it points", len(caught))
    assert caught == []
    assert report["ledger"]["gate"]["emitted"] > 0
    assert {name: report["ledger"].get(name) for name in ("mover", "odd")} == {
        "mover": None,
        "odd": None,
    }


def test_the_doctor_tells_every_ffmpeg_in_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.main", "doctor", "--json"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    copies = [check for name, check in checks.items() if name.startswith("FFmpeg of")]
    assert len(copies) == 2  # that of av, and that of cv2
    assert all(version_of(copy["found"]) >= (5, 1) for copy in copies)
    assert "engine onnxruntime" in checks
    assert {"open files", "threads", "memory", "processors", "time of day"} <= set(checks)
    assert done.returncode == any(check["grade"] == "fail" for check in checks.values())
