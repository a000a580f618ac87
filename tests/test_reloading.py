"""A deployment follows its file, and what is asked of it while it runs."""

from __future__ import annotations

import threading
from pathlib import Path

import pipeline
from pipeline.deployment import LocalDeployment
from pipeline.reloading import Reloader
from pipeline.worker import Background

FILE = """
cameras:
  - {{id: a, uri: "rendered:day?size=96x64&fps=50", pace: realtime}}
  - {{id: b, uri: "rendered:day?size=96x64&fps=50", pace: realtime}}
stages:
  detect: {{model: {model}, workers: 1}}
outputs: [{{file: {{path: "{folder}/{{camera}}.jsonl"}}}}]
"""
C = {"id": "c", "uri": "rendered:day?size=96x64&fps=50", "pace": "realtime"}


class Town:
    """A deployment at work on a file that can be written."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.path = folder / "town.yaml"
        self.text = FILE.format(model=model, folder=folder)
        self.path.write_text(self.text)
        self.deployment = LocalDeployment(pipeline.load(self.path))
        self.reloader = Reloader(self.deployment, self.path)
        assert self.deployment.start()

    @property
    def cameras(self) -> list[str]:
        assert [line.id for line in self.deployment.report().cameras] == [
            camera.id for camera in self.deployment.config.cameras
        ]
        return [camera.id for camera in self.deployment.config.cameras]

    def end(self) -> None:
        self.deployment.stop()
        report = self.deployment.wait()
        assert report.exit_code == 0, report.failures


def test_a_town_is_changed_while_it_runs(light_meter: Path, tmp_path: Path) -> None:
    town = Town(light_meter, tmp_path)
    reloader, path = town.reloader, town.path
    try:
        assert reloader.last is None
        added = reloader.add(C)
        assert (added.applied, added.what) == (True, "add c")
        assert "camera c came" in added.why
        assert town.cameras == ["a", "b", "c"]
        twice = reloader.add(C)
        assert not twice.applied
        assert "already" in twice.why

        path.write_text(town.text.replace("id: b", "id: bb"))
        assert town.cameras == ["a", "b", "c"], "nobody has asked for it yet"
        assert reloader.pause("a").applied
        assert town.cameras == ["a", "b", "c"], "what is not asked for is not read either"
        assert reloader.reload().applied
        assert town.cameras == ["a", "bb", "c"], "what was added stays on top of the file"
        assert town.deployment.config.cameras[0].paused
        assert reloader.resume("a").applied

        for text in ("cameras: [", "", town.text.replace("rendered:day", "rendered:dusk-ish")):
            path.write_text(text)
            refused = reloader.reload()
            assert not refused.applied
            assert str(path) in refused.why or "dusk-ish" in refused.why
            assert town.cameras == ["a", "bb", "c"]
            assert reloader.last == refused
        assert reloader.remove("c").applied, "a wrong file hinders nobody"
        path.unlink()
        assert "cannot be read" in reloader.reload().why
        nobody = reloader.remove("nobody")
        assert "there is no camera 'nobody'; there are a, bb" in nobody.why
        assert reloader.remove("a").applied
        last = reloader.remove("bb")
        assert not last.applied, "one camera has to be there"
        assert town.cameras == ["bb"]
    finally:
        town.end()


def test_no_password_is_told(light_meter: Path, tmp_path: Path) -> None:
    town = Town(light_meter, tmp_path)
    try:
        wrong = {"id": "c", "uri": "rtps://viewer:pa55-Gate-w0rd@10.0.0.1/s"}
        refused = town.reloader.add(wrong)
        assert not refused.applied
        assert "pa55" not in refused.why
    finally:
        town.end()


def test_a_file_that_changes_is_read(light_meter: Path, tmp_path: Path) -> None:
    town = Town(light_meter, tmp_path)
    changed = threading.Event()
    watcher = Background("watch", lambda stop: town.reloader.watch(stop, changed.set))
    watcher.start()
    try:
        town.path.write_text(town.text.replace("id: b", "id: bb"))
        assert changed.wait(10)
    finally:
        assert watcher.stop(10)
        town.end()
    assert watcher.error is None
