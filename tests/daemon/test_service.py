"""How a daemon ends when something is wrong with the machine or with us."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.promises.harness import REPOSITORY

CONFIG = """
cameras: [{id: gate, uri: "rtsp://viewer:${GATE_PASSWORD}@127.0.0.1:9/x"}]
stages: {detect: {model: street-pico}}
outputs: [{udp: {to: "127.0.0.1:9"}}]
http: {bind: "127.0.0.1:0"}
"""
PASSWORD = "pa55-of-the-gate"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GATE_PASSWORD", PASSWORD)
    path = tmp_path / "service.yaml"
    path.write_text(CONFIG)
    return path


def run(config: Path, before: str) -> subprocess.CompletedProcess[str]:
    """Runs a daemon behind some lines of Python."""
    program = (
        f"import sys; {before}; sys.argv = ['sightline', 'run', '--daemon', {str(config)!r}]; "
        "from pipeline.cli.main import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, timeout=60
    )


def test_a_page_without_its_libraries_is_a_configuration_error_with_the_remedy(
    config: Path,
) -> None:
    ended = run(config, "sys.modules['uvicorn'] = None")
    assert ended.returncode == 2
    assert "service.yaml:5:7: http: uvicorn is not installed: pip install" in ended.stderr
    assert "'sightline[serve]'" in ended.stderr


def test_a_mistake_of_ours_is_a_line_of_the_log_without_secrets(config: Path) -> None:
    mistake = (
        "import os; from pipeline.deployment import LocalDeployment; "
        "wrong = RuntimeError('no ' + os.environ['GATE_PASSWORD']); "
        "LocalDeployment.start = lambda self: (_ for _ in ()).throw(wrong)"
    )
    ended = run(config, mistake)
    assert ended.returncode == 1
    assert PASSWORD not in ended.stdout + ended.stderr
    last = json.loads(ended.stdout.splitlines()[-1])
    assert last["event"] == "crashed"
    assert "RuntimeError: no ${GATE_PASSWORD}" in last["exception"]
    assert ended.stderr == ""
