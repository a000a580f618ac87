"""A deployment that really runs, and its page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline.config import load
from pipeline.daemon.control import Control
from pipeline.daemon.http.server import Server
from pipeline.daemon.insight import Insight
from pipeline.daemon.systemd import Notifier
from pipeline.health import Limits
from pipeline.reloading import Reloader
from pipeline.sharding.deployment import deploy
from tests.promises.harness import eventually

VIDEO = Path(__file__).resolve().parents[3] / "sample_videos/day.mp4"


class Page:
    """The page of a deployment that runs in this process.

    Attributes:
        insight: what it tells.
        control: what it may ask for.
        server: of the page.
        client: asks it, as a program on this machine would.
    """

    def __init__(self, folder: Path, detector: Path) -> None:
        self.path = folder / "page.yaml"
        self.path.write_text(
            f"cameras: [{{id: gate, uri: {VIDEO}, loop: true, pace: realtime}}]\n"
            "stages:\n"
            f"  detect: {{model: {detector}, workers: 1}}\n"
            "  analyse: {rules: {all: {kind: zone, points: [[0, 0], [1, 0], [1, 1], [0, 1]]}}}\n"
            f"outputs: [{{file: {{path: {folder / 'out.jsonl'}}}}}]\n"
            "http: {bind: '127.0.0.1:0'}\n"
        )
        self._deployment = deploy(load(self.path))
        self.insight = Insight(self._deployment, Limits())
        self.control = Control(Reloader(self._deployment, self.path), Notifier())
        self.server = Server(self._deployment.config, self.insight, self.control)
        self.server.start()
        self.client = httpx.Client(base_url=self.server.url, timeout=20)
        self._deployment.start()
        self._run = threading.Thread(target=self._wait, daemon=True)
        self._run.start()
        eventually(lambda: self._deployment.report().emitted and self.insight.health.ready, 30)

    def close(self) -> None:
        self.client.close()
        assert self.server.stop(10.0)
        self._deployment.stop()
        self._run.join(timeout=30)

    def _wait(self) -> None:
        self.report = self._deployment.wait(self.insight.look, 0.2)


# Not of the whole session: it decodes for ever, and other tests count pictures.
@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, spotter: Path) -> Iterator[Page]:
    running = Page(tmp_path_factory.mktemp("page"), spotter)
    yield running
    running.close()
    assert running.report.balanced
