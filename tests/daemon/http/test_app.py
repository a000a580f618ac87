"""What the page answers, of a deployment that runs."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipeline.daemon.http.app import application
from pipeline.daemon.http.preview import Preview
from pipeline.daemon.insight import Insight
from pipeline.health import Health
from pipeline.metrics import SPREAD_S
from tests.daemon.http.conftest import Page
from tests.promises.harness import REPOSITORY, eventually


def metrics(page: Page) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample by its name and the values of its labels, these in alphabetical order."""
    answer = page.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_metrics_are_the_reports(page: Page) -> None:
    before, found, after = page.insight.report(), metrics(page), page.insight.report()

    def between(name: str, labels: tuple[str, ...], low: float, high: float) -> None:
        assert low <= found[f"sightline_{name}"][labels] <= high, name

    old, new = before.ledger["gate"], after.ledger["gate"]
    between("frames_entered_total", ("gate",), old.entered, new.entered)
    between("frames_emitted_total", ("gate",), old.emitted, new.emitted)
    between("run_seconds_total", (), before.wall_s, after.wall_s)
    between("cpu_seconds_total", (), before.cpu_s, after.cpu_s)
    names = [stage.name for stage in before.stages]
    assert names == [stage for (stage,) in found["sightline_stage_packets_total"]]
    at = names.index("detect")
    old_detect, new_detect = before.stages[at], after.stages[at]
    between("stage_packets_total", ("detect",), old_detect.processed, new_detect.processed)
    between(
        "stage_service_seconds_count", ("detect",),
        old_detect.service.count, new_detect.service.count,
    )  # fmt: skip
    buckets = found["sightline_stage_service_seconds_bucket"]
    counts = [count for labels, count in buckets.items() if "detect" in labels]
    assert len(counts) == len(SPREAD_S) + 1
    assert counts == sorted(counts)
    assert found["sightline_camera_state"]["gate", "live"] == 1
    assert sum(v for k, v in found["sightline_camera_state"].items() if k[0] == "gate") == 1
    assert found["sightline_ready"][()] == found["sightline_live"][()] == 1
    assert found["sightline_engine_calls_total"]["cpu0", "detect"] > 0


def test_health_is_the_verdict(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = page.client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.json()["cameras"]["gate"]["state"] == "live"
    assert answer.json()["stages"]["detect"] == {"state": "ok", "reason": ""}
    for unwell in (Health(False, False, ("detect: hung",)), Health(True, False, ("stopping",))):
        with monkeypatch.context() as patch:
            patch.setattr(Insight, "health", unwell)
            assert page.client.get("/health").status_code == 503
            assert page.client.get("/health").json()["reasons"] == list(unwell.reasons)
            live, ready = page.client.get("/health/live"), page.client.get("/health/ready")
            assert live.status_code == (200 if unwell.live else 503)
            assert (ready.status_code, ready.json()) == (503, {"ready": False})
            refused = page.client.post("/reload", json={})
            assert refused.status_code == 503


def test_status_has_the_report_and_what_a_frame_costs(page: Page) -> None:
    status = page.client.get("/status").json()
    assert status["report"]["ledger"]["gate"]["emitted"] > 0
    assert status["per_frame"]["cpu_s"] > 0
    assert set(status["energy"]) >= {"joules", "temperatures_c"}
    assert set(status) == {"version", "health", "report", "energy", "per_frame", "reload"}


def test_the_configuration_is_shown_as_yaml_or_json(page: Page) -> None:
    shown = yaml.safe_load(page.client.get("/config").text)
    assert shown["cameras"][0]["id"] == "gate"
    asked = {"accept": "application/json"}
    assert page.client.get("/config", headers=asked).json() == shown


def test_a_snapshot_is_the_cameras_picture_with_what_is_known_of_it(page: Page) -> None:
    answer = page.client.get("/cameras/gate/snapshot.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    frame = json.loads(answer.headers["x-frame"])
    assert picture.shape == (frame["height"], frame["width"], 3)
    assert frame["camera"] == "gate"


def test_a_picture_is_drawn_once_for_all_who_look(page: Page) -> None:
    drawn: list[str] = []

    def draw(camera: str) -> object:
        drawn.append(camera)
        return page.insight.deployment.snapshot(camera)

    preview = Preview(draw)  # type: ignore[arg-type]
    first, *_ = [preview.snapshot("gate") for _ in range(50)]
    assert len(drawn) < 5
    eventually(lambda: preview.snapshot("gate") is not first)


@pytest.mark.parametrize("path", ["snapshot.jpg", "stream.mjpeg"])
def test_nobody_sees_a_camera_that_is_not_there(page: Page, path: str) -> None:
    answer = page.client.get(f"/cameras/nobody/{path}")
    assert (answer.status_code, answer.json()) == (
        404, {"error": "there is no such camera; there are gate"},
    )  # fmt: skip


def test_cameras_come_go_and_pause_and_what_cannot_be_is_refused(page: Page) -> None:
    def ask(method: str, path: str, **options: object) -> tuple[int, str]:
        kind = {"content-type": "application/json"}
        answer = page.client.request(method, path, headers=kind, **options)
        return answer.status_code, answer.json().get("why") or answer.json()["error"]

    camera = {"id": "yard", "uri": page.insight.report().cameras[0].uri, "pace": "realtime"}
    assert ask("POST", "/cameras", json=camera) == (200, "camera yard came")
    eventually(lambda: page.insight.report().ledger["yard"].emitted)
    assert ask("POST", "/cameras/yard/pause")[0] == 200
    eventually(lambda: page.insight.report().cameras[1].condition.state == "paused")
    assert ask("POST", "/cameras/yard/resume")[0] == 200
    assert ask("DELETE", "/cameras/yard") == (200, "camera yard went")
    assert [c.id for c in page.insight.deployment.config.cameras] == ["gate"]
    code, why = ask("POST", "/cameras", json=camera | {"every": 0})
    assert code == 409
    assert "cameras[1].every: expected at least 1, found 0" in why
    assert ask("POST", "/cameras", content=b"[1")[0] == 400
    assert ask("POST", "/cameras", json=[1])[0] == 400
    assert ask("DELETE", "/cameras/yard")[0] == 404
    page.path.write_text(page.path.read_text().replace("workers: 1", "workers: 0"))
    code, why = ask("POST", "/reload")
    assert code == 409
    assert "stages.detect.workers" in why
    assert page.client.get("/status").json()["reload"]["why"] == why
    page.path.write_text(page.path.read_text().replace("workers: 0", "workers: 1"))
    assert ask("POST", "/reload") == (200, "nothing is different")


def test_events_are_counted_by_camera_rule_and_kind(page: Page) -> None:
    def entered() -> float:
        return metrics(page).get("sightline_events_total", {}).get(("gate", "enter", "all"), 0)

    eventually(lambda: entered() > 0)
    assert not any("preview" in labels for labels in metrics(page)["sightline_stage_counts"])


def test_the_page_for_people_refers_to_nothing_outside_itself(page: Page) -> None:
    for path in ("/", "/page.js", "/page.css"):
        answer = page.client.get(path)
        assert answer.status_code == 200
        assert "//" not in answer.text.replace("\n// ", "")
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_every_address_and_metric_is_documented(page: Page) -> None:
    documented = (REPOSITORY / "docs/daemon.md").read_text()
    app = application(page.insight, page.control)
    missing = [route.path for route in app.routes if f"`{route.path}`" not in documented]
    names = re.findall(r"^# TYPE (sightline_\w+) ", page.client.get("/metrics").text, re.MULTILINE)
    missing += [name for name in names if f"`{name.removesuffix('_total')}`" not in documented]
    assert not missing
