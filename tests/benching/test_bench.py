"""Measuring, claims, and the choice of an engine: real engines, the shipped ReID network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import engines
from engines import EngineError, Network, OptionError
from engines.cost import cost_of
from engines.measure import Measurement, Subject, measure
from pipeline.benching.bench import Row, bench, sample_inputs
from pipeline.benching.choice import choose
from pipeline.benching.claims import Claim, compare, read_claims
from pipeline.config import EngineConfig
from pipeline.errors import ConfigError, ModelError
from pipeline.models import load_model

FOUND = Measurement("fp32", 0.5, 10.0, 12.0, 1.0, {1: 100.0, 2: 190.0}, 50.0)


def engine(backend: str, **options: object) -> EngineConfig:
    return EngineConfig.model_validate({"backend": backend, **options})


def test_measures_in_a_process_of_its_own() -> None:
    package = load_model("reid-pico")
    found = measure(Subject("onnxruntime", package.program), sample_inputs(package), (1, 2), 0.1)
    assert found.precision == "fp32"
    assert 0 < found.p50_ms <= found.p95_ms
    assert set(found.fps) == {1, 2}
    assert 1 < found.memory_mb < 1000


def test_what_does_not_run_says_why(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    with pytest.raises(EngineError, match=r"bad\.onnx.*cannot load it"):
        measure(Subject("onnxruntime", Network(tmp_path / "bad.onnx", "onnx")), {}, (1,), 0.1)


def test_costs_are_those_of_the_convolutions() -> None:
    package = load_model("reid-pico")
    assert isinstance(package.program, Network)
    cost = cost_of(package.program.path, package.program.inputs)
    assert cost.weight_bytes == pytest.approx(package.program.path.stat().st_size, rel=0.05)
    twice = tuple(replace(s, shape=(2, *s.shape[1:])) for s in package.program.inputs)
    assert cost_of(package.program.path, twice).flops == 2 * cost.flops
    assert 1e7 < cost.flops < 1e8


ON_GPU = [
    f"{info.name}@cuda:0"
    for info in engines.describe()
    if "onnx" in info.formats and "cuda:0" in info.devices
]
with_gpu = (
    pytest.mark.gpu,
    pytest.mark.skipif(not ON_GPU, reason="nothing here runs ONNX networks on a GPU"),
)


@pytest.mark.parametrize(
    "names", [["onnxruntime", "opencv"], pytest.param(ON_GPU, marks=with_gpu, id="on a GPU")]
)
def test_a_row_for_each_engine_with_its_share_of_the_peak(names: list[str]) -> None:
    rows = bench("reid-pico", ",".join(names), None, "", (1,), 0.1)
    assert [row.engine for row in rows] == names
    for row in rows:
        assert not row.error
        assert row.attained is not None
        assert 0 < row.attained < 1.5
        json.dumps(row.to_json())


def test_an_engine_that_cannot_is_a_row_with_its_reason() -> None:
    (row,) = bench("reid-pico", "onnxruntime", None, "int8", (1,), 0.1)
    assert row.found is None
    assert "onnxruntime cannot run reid-pico in int8" in row.error
    with pytest.raises(OptionError, match="no backend 'abacus'"):
        bench("reid-pico", "abacus")


@pytest.mark.parametrize(
    ("row", "claim", "ratio", "suspicion"),
    [
        (Row("a@npu", FOUND), {"fps": 200}, 0.95, ""),
        (Row("a@npu", FOUND), {"latency_ms": 5}, 0.5, ""),
        (Row("a@npu", FOUND), {"fps": 1900}, 0.1, "only 10% of the claim"),
        (Row("a@npu", replace(FOUND, cpu_ms=9.5)), {"fps": 200}, 0.95, "fell back"),
        (Row("a", replace(FOUND, cpu_ms=9.5)), {"fps": 200}, 0.95, ""),
        (Row("a", error="no device"), {"fps": 200}, None, "does not run: no device"),
    ],
)
def test_claims_beside_what_was_measured(
    row: Row, claim: dict[str, float], ratio: float | None, suspicion: str
) -> None:
    (verdict,) = compare([row], [Claim(engine=row.engine, **claim)])
    assert verdict.ratio == (ratio if ratio is None else pytest.approx(ratio))
    assert verdict.suspicion.startswith(suspicion)
    assert bool(verdict.suspicion) == bool(suspicion)


def test_claims_are_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "vendor.yaml"
    path.write_text("engine: onnxruntime\nfps: 700\nsource: data sheet\n")
    assert read_claims(path) == (Claim(engine="onnxruntime", fps=700, source="data sheet"),)
    for text, told in (
        ("engine: x\nfps: fast\n", "fps"),
        ("engine: x\nspeed: 3\n", "speed"),
        ("[", "no YAML"),
        ("- 3", "claim 0"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=f"vendor.yaml.*{told}"):
            read_claims(path)
    with pytest.raises(ConfigError, match="'b', which was not measured; measured were a"):
        compare([Row("a", FOUND)], [Claim(engine="b", fps=1)])


def test_the_choice_is_made_once_and_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    package = load_model("reid-pico")
    configs = {"slow": engine("opencv"), "quick": engine("onnxruntime", threads=1)}
    first = choose(package, configs)
    assert first.path.is_file()
    assert first.engine in configs
    assert "slow" in first.why
    assert "quick" in first.why
    edited = json.loads(first.path.read_text())
    edited["fps"] = {"slow": 100.0, "quick": 103.0}
    first.path.write_text(json.dumps(edited))
    assert choose(package, configs).engine == "slow", "three percent are noise"
    assert choose(package, {"only": engine("onnxruntime")}).path != first.path


def test_no_choice_where_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    package = load_model("reid-pico")
    with pytest.raises(ModelError, match=r"no engine runs reid-pico: a: .*in int8"):
        choose(package, {"a": engine("onnxruntime", precision="int8")})
    assert not list(tmp_path.rglob("*.json"))
