"""The page over a real socket."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import cv2
import httpx
import numpy as np
import pytest

from pipeline.config import loads
from pipeline.daemon.http import preview, server
from pipeline.daemon.http.server import Server
from pipeline.errors import ConfigError
from tests.daemon.http.conftest import Page


def test_a_stream_is_one_picture_after_the_other_for_so_many_and_no_more(page: Page) -> None:
    url = f"{page.server.url}/cameras/gate/stream.mjpeg"

    together = Barrier(preview._MOST_VIEWERS + 2)

    def watch(_: int) -> int:
        """Takes three pictures; gives their number, or the code of a refusal."""
        with httpx.stream("GET", url, timeout=20) as answer:
            together.wait(20)
            if answer.status_code != 200:
                return answer.status_code
            assert answer.headers["content-type"] == preview.MJPEG
            read = b""
            for piece in answer.iter_raw():
                read += piece
                if read.count(b"--frame") > 3:
                    break
        parts = read.split(b"--frame\r\n")[1:-1]
        for part in parts:
            jpeg = np.frombuffer(part.partition(b"\r\n\r\n")[2], np.uint8)
            assert cv2.imdecode(jpeg, cv2.IMREAD_COLOR).ndim == 3
        return len(parts)

    with ThreadPoolExecutor(preview._MOST_VIEWERS + 2) as viewers:
        seen = sorted(viewers.map(watch, range(preview._MOST_VIEWERS + 2)))
    assert seen == [3] * preview._MOST_VIEWERS + [503] * 2


def test_whoever_does_not_come_to_the_point_is_left(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_PATIENCE_S", 0.2)
    url = httpx.URL(page.server.url)
    for begun in (b"", b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "):
        with socket.create_connection((url.host, url.port), timeout=10) as connection:
            connection.sendall(begun)
            assert connection.recv(1) == b""
    assert page.client.get("/health/live").status_code == 200


def test_an_address_in_use_is_told_with_its_key(page: Page) -> None:
    taken = page.server.url.removeprefix("http://")
    config = loads(page.path.read_text().replace("127.0.0.1:0", taken), "page.yaml")
    with pytest.raises(ConfigError, match=r"page\.yaml:6:.*: http\.bind: nobody can listen at"):
        Server(config, page.insight, page.control)
