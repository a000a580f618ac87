"""Whatever is written, the answer is a configuration or a `ConfigError`, never anything else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import PipelineConfig, loads
from pipeline.errors import ConfigError

WORDS = st.sampled_from(
    ["decode", "detect", "track", "embed", "merge", "preprocess", "postprocess", "a", "b", "auto",
     "onnxruntime", "opencv", "cpu0", "block", "rtsp://h/s", "a.mp4", "127.0.0.1:9", "2s", "${X}",
     "${file:/no}", "$$", ""]
)  # fmt: skip
KEYS = st.sampled_from(
    ["cameras", "engines", "stages", "outputs", "run", "id", "uri", "pace", "loop", "backend",
     "device", "threads", "detect", "track", "merge", "kind", "after", "model", "engine", "workers",
     "batch", "max", "udp", "to", "file", "path", "iou", "queue", "drain_s", "x"]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5)
)
STAGES = st.dictionaries(KEYS, st.none() | st.dictionaries(KEYS, VALUES, max_size=4), max_size=4)
TOP = st.fixed_dictionaries(
    {"cameras": VALUES | st.lists(st.dictionaries(KEYS, VALUES, max_size=3), max_size=3)},
    optional={"stages": STAGES | VALUES, "engines": VALUES, "outputs": VALUES, "run": VALUES},
)


def answer(text: str, overrides: list[str]) -> PipelineConfig | ConfigError:
    """What comes of a text."""
    try:
        return loads(text, "f.yaml", overrides, environment={})
    except ConfigError as error:
        return error


@settings(deadline=None, max_examples=150)
@given(TOP | VALUES)
def test_any_values(value: Any) -> None:
    found = answer(json.dumps(value), [])
    if isinstance(found, ConfigError):
        assert all(str(problem).startswith("f.yaml") for problem in found.problems)
        assert found.problems


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=30), VALUES)
def test_any_override(path: str, value: Any) -> None:
    text = "cameras: [{id: a, uri: a.mp4}]\nstages: {detect: {model: m}}"
    found = answer(text, [f"{path}={json.dumps(value)}", f"stages.detect.{path}=1"])
    assert isinstance(found, ConfigError | PipelineConfig)
