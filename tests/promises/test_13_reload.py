"""Promise 13: a change is whole or not at all, and what did not change loses no frame.

Injected, while two recordings play in real time: twenty changes by SIGHUP, by the file and by HTTP
(a threshold, a camera that comes, changes, is paused, resumed and removed); files that are no YAML,
name no model, no video or what is settled at the start; SIGTERM and SIGKILL in the middle of it.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.promises.harness import (
    Json,
    Running,
    Site,
    configuration,
    eventually,
    free_port,
)

FPS = 25
PACED = {"uri": f"rendered:day?size=96x64&fps={FPS}", "pace": "realtime"}
TOKEN = "t0ken-of-the-t0wn"  # 16 characters at least
TURNS = 20


class Town:
    """A daemon with two recordings that play, and a third camera that changes.

    Attributes:
        daemon: at work.
        document: what its file says now.
    """

    def __init__(self, site: Site, model: Path, **sections: Any) -> None:
        text = configuration(
            {"a": PACED, "b": PACED},
            model,
            site.messages,
            outputs=[{"file": {"path": "{camera}.jsonl"}}],
            http={"bind": f"127.0.0.1:{free_port()}", "token": TOKEN},
            **sections,
        )
        self.document: Json = yaml.safe_load(text)
        self.document["stages"] |= {
            "postprocess": {"score": 0.1},
            "track": {"min_hits": 1, "high_score": 0.2, "new_score": 0.2},
        }
        self.daemon: Running = site.run(yaml.safe_dump(self.document, sort_keys=False))
        self.daemon.wait_for("ready")

    def write(self, text: str = "") -> None:
        """Replaces the file at once, as editors do."""
        other = self.daemon.config.with_suffix(".new")
        other.write_text(text or yaml.safe_dump(self.document, sort_keys=False))
        other.rename(self.daemon.config)

    def reload(self, text: str = "") -> Json:
        """Writes the file, sends SIGHUP and gives what the log says of it."""
        told = len(self.outcomes())
        self.write(text)
        self.daemon.signal(signal.SIGHUP)
        return self.outcome(told)

    def outcomes(self) -> list[Json]:
        return [line for line in self.daemon.log if line.get("event") == "reload"]

    def outcome(self, number: int) -> Json:
        """What the log says of a change, by its number."""
        eventually(lambda: len(self.outcomes()) > number, 20, "the end of a reload")
        return self.outcomes()[number]

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """Asks its page for a change; gives the outcome."""
        answer: Json = self.daemon.http(path, method, json=body or {}).json()
        assert "applied" in answer, answer
        return answer

    def lines(self, camera: str) -> list[Json]:
        """The results of a camera in its file, which is finished."""
        path = self.daemon.config.parent / f"{camera}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def assert_whole(self, camera: str) -> int:
        """Every frame is there, and everybody is who they were; gives how many frames."""
        lines = self.lines(camera)
        assert [line["frame"] for line in lines] == list(range(len(lines)))
        assert {track["id"] for line in lines for track in line["tracks"]} == {1}
        account = self.daemon.report["ledger"][camera]
        assert (account["dropped"], account["emitted"]) == ([], len(lines))
        return len(lines)


def _changes(town: Town, third: Json) -> Iterator[Json]:
    """One change after another; gives the outcome of each."""
    cameras, stages = town.document["cameras"], town.document["stages"]
    for turn in range(TURNS // 10):
        for score in (0.11, 0.12):
            stages["postprocess"]["score"] = score + turn / 10
            yield town.reload()
        cameras.append(third)
        yield town.reload()
        cameras[-1] = third | {"max_fps": 5.0 + turn}
        yield town.reload()
        yield town.ask("POST", "/cameras/c/pause")
        yield town.ask("POST", "/cameras/c/resume")
        yield town.ask("DELETE", "/cameras/c")
        del cameras[-1]
        yield town.ask("POST", "/cameras", third)
        stages["track"]["min_hits"] = 1
        stages["detect"]["workers"] = 2 - turn
        yield town.reload()
        yield town.ask("DELETE", "/cameras/c")


@pytest.mark.slow
def test_twenty_changes_cost_the_others_nothing(site: Site, light_meter: Path) -> None:
    live, camera = site.camera(), site.camera()
    town = Town(site, light_meter)
    town.document["cameras"].append({"id": "live", "uri": live.url})
    assert town.reload()["applied"]
    site.messages.wait_for("live")
    took_s = []
    began_s = time.monotonic()
    for outcome in _changes(town, {"id": "c", "uri": camera.url}):
        assert outcome["applied"], outcome["why"]
        took_s.append(time.monotonic() - began_s)
        time.sleep(0.2)
        began_s = time.monotonic()
    assert len(took_s) == TURNS
    assert site.messages.of("c"), "the third camera was seen"
    assert camera.most_connections == 1
    assert live.connections_ever == 1, "its connection was not touched"
    assert {message.body["epoch"] for message in site.messages.of("live")} == {0}
    town.daemon.stop()
    frames = {camera: town.assert_whole(camera) for camera in "ab"}
    pauses = [now.at_s - before.at_s for now, before in _in_turn(site.messages.of("a"))]
    site.record("frames", frames)
    site.record("longest_change_s", max(took_s))
    site.record("longest_pause_s", max(pauses))
    assert max(pauses) < 1.0, "the others hardly notice"


def _in_turn(came: list[Any]) -> Iterator[tuple[Any, Any]]:
    for before, now in pairwise(came):
        yield now, before


def test_what_is_wrong_changes_nothing_and_is_told(site: Site, light_meter: Path) -> None:
    town = Town(site, light_meter)
    right = town.daemon.config.read_text()
    wrong = {
        "daemon.yaml:1:": "cameras: [",
        "stages.detect.model: no model 'nothing'": right.replace(str(light_meter), "nothing"),
        "postprocess.score": right.replace("score: 0.1", "score: 11"),
        "missing.mp4": right.replace(PACED["uri"], "missing.mp4", 1),
        "start the program again": right.replace("127.0.0.1", "127.0.0.2"),
    }
    site.messages.wait_for("b")
    for why, text in wrong.items():
        outcome = town.reload(text)
        assert not outcome["applied"]
        assert why in outcome["why"]
        last = town.daemon.http("/status").json()["reload"]
        assert not last["applied"]
        assert why in last["why"]
    town.daemon.config.unlink()
    town.daemon.signal(signal.SIGHUP)
    assert "cannot be read" in town.outcome(len(wrong))["why"]
    before = time.monotonic()
    site.messages.wait_for("a", after_s=before)
    site.messages.wait_for("b", after_s=before)
    assert town.ask("POST", "/cameras", {"id": "a", "uri": "x.mp4"})["applied"] is False
    town.daemon.stop()
    for camera in "ab":
        town.assert_whole(camera)


def test_a_file_that_changes_is_read_by_itself(site: Site, light_meter: Path) -> None:
    town = Town(site, light_meter, run={"watch": True})
    town.document["cameras"].append({"id": "c", **PACED})
    town.write()
    site.messages.wait_for("c", timeout_s=20)
    town.daemon.stop()
    for camera in "ab":
        town.assert_whole(camera)


def test_an_end_in_the_middle_of_a_change_is_an_orderly_one(site: Site, light_meter: Path) -> None:
    town = Town(site, light_meter)
    site.messages.wait_for("a")
    town.document["stages"]["detect"]["workers"] = 2
    town.document["cameras"].append({"id": "c", **PACED})
    town.write()
    town.daemon.signal(signal.SIGHUP)
    time.sleep(0.05)
    town.daemon.stop()
    for camera in "ab":
        town.assert_whole(camera)


def test_a_kill_in_the_middle_of_a_change_leaves_nothing_that_hinders(
    site: Site, light_meter: Path
) -> None:
    town = Town(site, light_meter)
    site.messages.wait_for("a")
    town.document["cameras"].append({"id": "c", **PACED})
    town.write()
    town.daemon.signal(signal.SIGHUP)
    town.daemon.kill()
    folder = town.daemon.config.parent
    assert not list(folder.glob("*.jsonl")), "a file with its name is a complete one"
    again = site.run(town.daemon.config.read_text().replace("{camera}", f"{folder}/{{camera}}"))
    again.wait_for("ready")
    site.messages.wait_for("c")
    again.stop()
    assert sorted(path.name for path in folder.glob("*.jsonl")) == ["a.jsonl", "b.jsonl", "c.jsonl"]
