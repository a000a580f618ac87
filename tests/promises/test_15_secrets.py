"""Promise 15: no secret in logs, errors, metrics, status, dumps or the list of processes.

Every test of a promise looks for the cameras' password behind itself (see `harness`); here are the
other secrets, and the moments at which programs talk most: when something is wrong.
"""

from __future__ import annotations

import json
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import yaml

import pipeline
from pipeline.errors import ConfigError
from tests.promises.harness import (
    REPOSITORY,
    Running,
    Site,
    eventually,
    free_port,
)
from tests.rtsp.login import PASSWORD

TOKEN = "t0ken-of-the-page-81"
KEY = "8d1f0c5a77e94b20" * 4
WRONG = "wr0ng-Gate-pa55"
VIDEO = {"uri": str(REPOSITORY / "sample_videos/day.mp4"), "loop": True, "pace": "realtime"}
PAGES = ("/", "/metrics", "/health", "/health/live", "/status", "/config", "/cameras/nobody/x")


def secrets_in(text: str) -> list[str]:
    return [secret for secret in (PASSWORD, TOKEN, KEY, WRONG) if secret in text]


def everything(daemon: Running, port: int) -> str:
    """What a daemon shows to whoever asks, with the token."""
    texts = [daemon.http(page).text for page in PAGES]
    headers = {"authorization": f"Bearer {TOKEN}", "accept": "application/json"}
    texts.append(httpx.get(f"http://127.0.0.1:{port}/config", headers=headers).text)
    for process in daemon.processes():
        with suppress(psutil.NoSuchProcess):
            texts.append(" ".join(process.cmdline()))
    return "\n".join(texts)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Where the configuration finds its secrets: the environment, and a file."""
    monkeypatch.setenv("GATE_PASSWORD", PASSWORD)
    monkeypatch.setenv("PAGE_TOKEN", TOKEN)
    key = tmp_path / "udp.key"
    key.write_text(KEY)
    return {"password": "${GATE_PASSWORD}", "token": "${PAGE_TOKEN}", "key": f"${{file:{key}}}"}


def test_nothing_that_is_shown_or_said_has_a_secret_in_it(site: Site, told: dict[str, str]) -> None:
    camera, port = site.camera(), free_port()
    url = camera.url.replace(PASSWORD, told["password"])
    cameras = {
        "gate": url,
        "wrong": camera.url.replace(PASSWORD, WRONG),
        "gone": f"rtsp://viewer:{WRONG}@127.0.0.1:9/stream?token={WRONG}",
        "day": VIDEO,
    }
    outputs = [{"udp": {"to": "127.0.0.1:9", "format": "telegram", "secure": {"key": told["key"]}}}]
    engines = {"cpu0": {"backend": "onnxruntime", "threads": 1, "isolate": True}}
    http = {"bind": f"127.0.0.1:{port}", "token": told["token"]}
    daemon = site.watch(cameras, outputs=outputs, engines=engines, http=http)
    daemon._http["token"] = TOKEN
    site.messages.wait_for("gate", 30)
    daemon.wait_for("camera retrying", such_that=lambda line: line["camera"] == "wrong")
    daemon.wait_for("camera retrying", such_that=lambda line: line["camera"] == "gone")
    broken = daemon.config.read_text().replace("kind", "kynd") + f"\nhttpp: {{token: {TOKEN}}}\n"
    daemon.config.write_text(broken)
    refused = daemon.http("/reload", "POST", json={})
    assert refused.json()["applied"] is False
    added = {"id": "x", "uri": f"rtsp://viewer:{WRONG}@[/x", "every": PASSWORD}
    texts = [refused.text, daemon.http("/cameras", "POST", json=added).text]
    texts.append(everything(daemon, port))
    assert not secrets_in("\n".join(texts))
    daemon.stop()
    assert not secrets_in(daemon.text)


def test_children_get_no_secret_by_their_environment_or_arguments_that_they_do_not_need(
    site: Site, told: dict[str, str]
) -> None:
    engines = {"cpu0": {"backend": "onnxruntime", "threads": 1, "isolate": True}}
    http = {"bind": f"127.0.0.1:{free_port()}", "token": told["token"]}
    cameras = {"day": VIDEO, "gate": f"rtsp://viewer:{told['password']}@127.0.0.1:9/stream"}
    daemon = site.watch(cameras, engines=engines, http=http)
    daemon._http["token"] = TOKEN
    site.messages.wait_for("day", 30)
    children = eventually(lambda: daemon.processes()[1:], what="the engine's process")
    for child in children:
        assert not secrets_in(" ".join([*child.cmdline(), *child.environ().values()]))


@pytest.mark.parametrize(
    "broken",
    [
        {"cameras": [{"id": "gate", "uri": f"rtps://viewer:{WRONG}@host/x"}]},
        {"cameras": [{"id": "gate", "uri": f"rtsp://viewer:{WRONG}@host/x", "uri2": WRONG}]},
        {"http": {"bind": "127.0.0.1:80", "token": 8, "tokne": "${PAGE_TOKEN}"}},
        {"http": {"bind": "${PAGE_TOKEN}"}},
        {"outputs": [{"udp": {"to": "127.0.0.1:9", "secure": {"key": KEY + "zz"}}}]},
    ],
    ids=lambda keys: json.dumps(keys)[:30],
)
def test_an_error_about_a_secret_does_not_tell_it(
    broken: dict[str, Any], spotter: Path, tmp_path: Path, told: dict[str, str]
) -> None:
    whole = {"cameras": [{"id": "day", **VIDEO}], "stages": {"detect": {"model": str(spotter)}}}
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(whole | broken))
    with pytest.raises(ConfigError, match=r"broken\.yaml") as caught:
        pipeline.load(path)
    said = "".join(traceback.format_exception(caught.value))
    assert not secrets_in(said), said
