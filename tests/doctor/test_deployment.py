import socket
from pathlib import Path

import pytest

import pipeline
from pipeline.config import PipelineConfig, loads
from pipeline.doctor import cameras, deployment
from pipeline.doctor.check import Grade
from pipeline.doctor.deployment import Place
from tests.rtsp.camera import Camera
from tests.rtsp.login import PASSWORD

CONFIG = """
cameras:
  - {{id: gate, uri: "{uri}", retry_s: 0.2}}
stages:
  detect: {{model: street-pico}}
  track: {{}}
"""


def load(uri: str = "rendered:day", more: str = "") -> PipelineConfig:
    return loads(CONFIG.format(uri=uri) + more)


@pytest.mark.parametrize(
    ("writable", "free_mb", "grade"),
    [
        (True, 1000.0, Grade.OK),
        (True, 999.0, Grade.WARN),
        (True, 99.0, Grade.FAIL),
        (False, 9999.0, Grade.FAIL),
    ],
)
def test_a_disk(writable: bool, free_mb: float, grade: Grade) -> None:
    (check,) = deployment.check_places([Place("outputs.0", Path("/data"), writable, free_mb)])
    assert check.grade is grade
    assert "/data" in check.found


def test_every_place_that_is_written_is_looked_at(tmp_path: Path) -> None:
    state = "  track: {state: STATE/tracks}\n"
    outputs = (
        "outputs:\n"
        "  - {file: {path: OUT/day/{camera}/tracks.jsonl}}\n"
        "  - {annotate: {path: OUT/video.mp4}}\n"
        "  - {udp: {to: 127.0.0.1:9000}}\n"
        "  - {post: {to: http://127.0.0.1/x, spool: {path: SPOOL}}}\n"
        "  - {events: {path: OUT/events.csv, pictures: EVIDENCE/{camera}}}\n"
    )
    text = CONFIG.format(uri="rendered:day").replace("  track: {}\n", state) + outputs
    for name in ("OUT", "STATE", "SPOOL", "EVIDENCE"):
        (tmp_path / name).mkdir()
        text = text.replace(name, str(tmp_path / name))
    found = deployment.places(loads(text.replace("{camera}", "x")))
    assert {place.key: place.folder.name for place in found} == {
        "outputs.0": "OUT",
        "outputs.1": "OUT",
        "outputs.3.spool": "SPOOL",
        "outputs.4": "OUT",
        "outputs.4.pictures": "EVIDENCE",
        "stages.track.state": "STATE",
    }
    assert all(place.writable for place in found)


def test_a_path_that_depends_on_the_camera(tmp_path: Path) -> None:
    more = f'outputs:\n  - {{file: {{path: "{tmp_path}/{{camera}}/tracks.jsonl"}}}}\n'
    assert [place.folder for place in deployment.places(load(more=more))] == [tmp_path]


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = load(more=f'http: {{bind: "127.0.0.1:{port}"}}\n')
        (check,) = deployment.check_port(config)
        assert check.grade is Grade.FAIL
        assert str(port) in check.name
    assert deployment.check_port(config)[0].grade is Grade.OK
    assert deployment.check_port(load()) == []


@pytest.mark.parametrize(
    ("receiver", "ask", "grade"),
    [
        ("[::1]", False, Grade.OK),
        ("10.0.0.5", True, Grade.OK),
        ("localhost", True, Grade.OK),
        ("no..name", False, Grade.OK),  # nobody was asked
        ("no..name", True, Grade.FAIL),  # which needs no network to be known
    ],
)
def test_names_are_looked_up_only_where_that_is_wanted(
    receiver: str, ask: bool, grade: Grade
) -> None:
    config = load(more=f'outputs: [{{udp: {{to: "{receiver}:9000"}}}}]\n')
    (check,) = deployment.check_receivers(config, ask=ask)
    assert check.grade is grade
    assert ("--connect" in check.found) == (receiver == "no..name" and not ask)


def test_who_may_read_secrets(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret-s3cret")
    path = tmp_path / "street.yaml"
    path.write_text(f'cameras: [{{id: a, uri: "rtsp://u:${{file:{secret}}}@10.0.0.5/x"}}]')
    path.chmod(0o644)
    secret.chmod(0o640)
    (check,) = deployment.check_secrets(path)
    assert check.grade is Grade.WARN
    assert check.remedy == f"run: chmod 600 {secret}"
    secret.chmod(0o400)
    assert deployment.check_secrets(path)[0].grade is Grade.OK


def test_a_password_that_is_written_in_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "street.yaml"
    path.write_text('cameras: [{id: a, uri: "rtsp://u:s3cret-s3cret@10.0.0.5/x"}]')
    path.chmod(0o644)
    written, mode = deployment.check_secrets(path)
    assert (written.grade, mode.grade) == (Grade.WARN, Grade.WARN)
    assert "s3cret" not in f"{written}{mode}"
    path.write_text('cameras: [{id: a, uri: "rtsp://u:${PASSWORD}@10.0.0.5/x"}]')
    assert deployment.check_secrets(path) == []


def test_a_camera_that_answers_and_one_that_does_not() -> None:
    with Camera() as camera:
        (there,) = cameras.connect(pipeline.build(load(camera.url)).cameras, 10.0)
        assert (there.grade, there.found) == (Grade.OK, "320x240")
        camera.go_away()
        (gone,) = cameras.connect(pipeline.build(load(camera.url)).cameras, 1.0)
        assert gone.grade is Grade.FAIL
        assert "refused" in gone.found
        assert PASSWORD not in gone.found


def test_a_camera_that_says_nothing_is_not_waited_for_longer() -> None:
    with Camera() as camera:
        camera.faults.hangs_at = "DESCRIBE"
        (silent,) = cameras.connect(pipeline.build(load(camera.url)).cameras, 0.5)
        assert silent.grade is Grade.FAIL
        camera.faults.hangs_at = ""


def test_a_file_is_not_opened() -> None:
    assert cameras.connect(pipeline.build(load()).cameras, 1.0) == []
