"""``--set key=value``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.config import loads
from pipeline.errors import ConfigError

TEXT = """
cameras:
  - {id: gate, uri: a.mp4}
  - {id: yard, uri: b.mp4}
stages:
  detect: {model: m, workers: 1}
outputs:
  - {udp: {to: "127.0.0.1:9000"}}
  - {file: {path: out/tracks.jsonl}}
"""


@pytest.mark.parametrize(
    ("override", "look", "value"),
    [
        ("stages.detect.workers=2", lambda c: c.stages["detect"].workers, 2),
        ("cameras.1.uri=c.mp4", lambda c: c.cameras[1].uri, "c.mp4"),
        ("cameras[1].uri=c.mp4", lambda c: c.cameras[1].uri, "c.mp4"),
        ("cameras.yard.uri=a=b.mp4", lambda c: c.cameras[1].uri, "a=b.mp4"),
        ("cameras[yard].max_fps=7.5", lambda c: c.cameras[1].max_fps, 7.5),
        ("outputs=[]", lambda c: c.outputs, ()),
        ("outputs[1].file.path=x.csv", lambda c: c.outputs[1].file.path, "x.csv"),
        ("run.queue=2", lambda c: c.run.queue, 2),
        ("run={queue: 3, drain_s: 1}", lambda c: c.run.drain_s, 1.0),
        ("stages.embed.model=reid", lambda c: c.stages["embed"].model, "reid"),
        ("engines.cpu1.backend=onnxruntime", lambda c: list(c.engines), ["cpu1"]),
        ("cameras.gate.id=${WHO}", lambda c: c.cameras[0].id, "door"),
    ],
)
def test_any_key_can_be_set(override: str, look: Callable[[Any], Any], value: object) -> None:
    assert look(loads(TEXT, overrides=[override], environment={"WHO": "door"})) == value


def test_later_ones_win() -> None:
    config = loads(TEXT, overrides=["run.queue=2", "run.queue=3"])
    assert config.run.queue == 3


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.detect.wrkers=2", "did you mean 'workers'?"),
        ("stages.detect.workers=two", "found 'two'"),
        ("stages.detct.workers=2", "did you mean 'detect'?"),
        ("cameras.yrd.uri=x", "did you mean 'yard'?"),
        ("cameras.7.uri=x", "has no '7', it has 2 entries"),
        ("run.queue.depth=2", "expected a whole number, found a mapping"),
        ("stages.detect.workers.x=2", "a single value"),
        ("stages.detect.workers", "is not KEY=VALUE"),
        ("=2", "is not KEY=VALUE"),
        ("a..b=2", "is not KEY=VALUE"),
        ("run.queue=[1", "is not YAML"),
        ("cameras=[]", "expected at least 1 entries"),
        ("run.queue=${NONE}", "NONE is not set"),
        ("run={queue: 1, queue: 2}", "run.queue: written twice"),
    ],
)
def test_a_wrong_one_is_told_by_its_own_text(override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loads(TEXT, overrides=[override], environment={})
    assert f"--set {override}" in str(caught.value)
    assert words in str(caught.value)
