"""``sightline check``, ``schema``, ``engines``, ``models`` and the command itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Command = Callable[..., Any]


def test_check_draws_the_graph_and_starts_nothing(sightline: Command, street: Path) -> None:
    result = sightline("check", street)
    assert result.code == 0, result.err
    assert "gate: pictures" in result.out
    assert "tiny on cpu0 (onnxruntime/cpu" in result.out
    assert not Path("out").exists()


def test_check_draws_mermaid(sightline: Command, street: Path) -> None:
    lines = sightline("check", street, "--mermaid").out.splitlines()
    assert lines[0] == "flowchart LR"
    assert "  preprocess --> detect" in lines


def test_check_dumps_everything_but_secrets(
    sightline: Command, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PW", "hush-1234")
    uri = "cameras.gate.uri=rtsp://viewer:${PW}@10.0.0.5/s"
    dump = sightline("check", street, "--dump", "--set", uri)
    assert yaml.safe_load(dump.out)["stages"]["track"]["min_hits"] == 3
    as_json = sightline("check", street, "--json", "--set", uri)
    assert json.loads(as_json.out) == yaml.safe_load(dump.out)
    assert "hush" not in dump.out + as_json.out + sightline("check", street, "--set", uri).out


def test_schema_is_a_json_schema(sightline: Command) -> None:
    schema = json.loads(sightline("schema").out)
    keys = ["cameras", "engines", "stages", "outputs", "run", "http", "batch"]
    assert list(schema["properties"]) == keys


def test_schema_can_be_read_by_people(sightline: Command) -> None:
    assert "| `max_lost_s` |" in sightline("schema", "--markdown").out


def test_engines_are_listed_with_what_they_have(sightline: Command) -> None:
    found = {info["name"]: info for info in json.loads(sightline("engines", "--json").out)}
    (cpu,) = [d for d in found["onnxruntime"]["devices"] if d["device"] == "cpu"]
    assert cpu["memory_bytes"] > 2**28
    assert "peak_gflops" not in cpu, "measured only where that is asked for"
    assert "onnxruntime" in sightline("engines").out


def test_models_are_listed_shown_and_verified(sightline: Command, package: Any) -> None:
    names = {
        model["name"]: model for model in json.loads(sightline("models", "list", "--json").out)
    }
    assert names["hog-people"]["state"] == "built in"
    assert "yolox-nano" in sightline("models", "list").out
    shown = yaml.safe_load(sightline("models", "show", "yolox-nano").out)
    assert shown["head"]["family"] == "yolox"
    tiny = package(0.0)
    result = sightline("models", "verify", tiny)
    assert result.code == 0, result.err
    assert "hashes are right" in result.out


def test_models_are_pulled_from_a_mirror(
    sightline: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mirror" / "yolox-nano").mkdir(parents=True)
    (tmp_path / "mirror" / "yolox-nano" / "yolox_nano.onnx").write_bytes(b"not the network")
    result = sightline("models", "pull", "yolox-nano", "--mirror", tmp_path / "mirror")
    assert result.code == 2
    assert "expected 3659407 bytes" in result.err
    assert not list((tmp_path / "cache").rglob("*.onnx"))


def test_the_version_is_said(sightline: Command) -> None:
    assert sightline("--version").out.startswith("sightline ")
    assert sightline("version").out == sightline("--version").out


def test_debug_shows_where_an_error_arose(sightline: Command) -> None:
    from pipeline.errors import ConfigError

    with pytest.raises(ConfigError):
        sightline("--debug", "check", "no.yaml")


@pytest.mark.parametrize("arguments", [("rnu",), ("run",), ("run", "a.yaml", "--quite")])
def test_wrong_usage_is_told_without_traceback(
    arguments: tuple[str, ...], sightline: Command
) -> None:
    result = sightline(*arguments)
    assert result.code == 2
    assert "Traceback" not in result.err


CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SHIPPED = sorted([*CONFIGS.glob("*.yaml"), *CONFIGS.glob("acceptance/*.yaml")])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.name)
def test_the_shipped_configurations_are_right(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pipeline

    monkeypatch.setenv("GATE_PASSWORD", "hush-1234")
    assert pipeline.load(path).outputs
