from __future__ import annotations

import threading
from pathlib import Path

import pytest

import pipeline
from pipeline.errors import PipelineError

CONFIG = """
cameras:
  - {{id: a, uri: "rendered:day?seconds=1&size=96x64"}}
  - {{id: b, uri: "rendered:dusk?seconds=0.4&size=96x64"}}
engines:
  cpu0: {{backend: onnxruntime}}
stages:
  detect: {{model: {model}}}
  track: {{min_hits: 1, new_score: 0.2, high_score: 0.2}}
outputs: [{outputs}]
"""


def config(model: Path, outputs: str = "", *overrides: str) -> pipeline.Graph:
    text = CONFIG.format(model=model, outputs=outputs)
    return pipeline.build(pipeline.loads(text, overrides=overrides))


def test_results_can_be_iterated(light_meter: Path) -> None:
    seen: dict[str, list[int]] = {"a": [], "b": []}
    for packet in pipeline.stream(config(light_meter)):
        seen[packet.frame.camera].append(packet.frame.sequence)
        assert len(packet.payload.detections) == 1
        assert packet.payload.tracks.ids.tolist() == [1]
    assert seen == {"a": list(range(25)), "b": list(range(10))}


def test_leaving_the_loop_early_ends_the_run(light_meter: Path, tmp_path: Path) -> None:
    path = tmp_path / "{camera}.jsonl"
    graph = config(light_meter, f"{{file: {{path: '{path}'}}}}", "cameras[0].loop=true")
    others = set(threading.enumerate())  # libraries that earlier tests used have threads of theirs
    results = pipeline.stream(graph)
    first = next(results)
    results.close()
    assert first.frame.sequence == 0
    assert set(threading.enumerate()) <= others


def test_an_error_comes_after_the_results(light_meter: Path) -> None:
    graph = config(light_meter, "", "cameras[1].uri=no/such/video.mp4")
    results = pipeline.stream(graph)
    seen = []
    with pytest.raises(PipelineError, match="1 errors") as caught:
        seen.extend(packet.frame.camera for packet in results)
    assert "no/such/video.mp4: there is no such file" in str(caught.value.exceptions[0])
    assert len(seen) == 0 or set(seen) == {"a"}


@pytest.mark.parametrize("output", ["jsonl", "csv"])
def test_the_same_recording_gives_the_same_bytes(
    output: str, light_meter: Path, tmp_path: Path
) -> None:
    results = set()
    for number, overrides in enumerate(
        (
            ["stages.detect.workers=1"],
            ["stages.detect.workers=3"],
            ["stages.detect.workers=2", "engines.cpu0.threads=2", "cameras[0].pace=realtime"],
            ["stages.detect.workers=2", "stages.preprocess={workers: 2}", "run.queue=1"],
        )
    ):
        folder = tmp_path / str(number)
        outputs = f"{{file: {{path: '{folder}/{{camera}}.{output}'}}}}"
        pipeline.run(config(light_meter, outputs, *overrides))
        results.add(tuple((folder / f"{c}.{output}").read_bytes() for c in "ab"))
    assert len(results) == 1
