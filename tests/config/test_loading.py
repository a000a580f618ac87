"""A configuration from text to the complete, checked object, and every mistake on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.config import PostprocessConfig, PreprocessConfig, json_schema, load, loads
from pipeline.errors import ConfigError

CAMERAS = "cameras: [{id: gate, uri: gate.mp4}]\n"
MINIMAL = CAMERAS + "stages: {detect: {model: m}}\n"
FULL = """
cameras:
  - {id: gate, uri: "rtsp://10.0.0.5/stream1", max_fps: 15}
  - {id: yard, uri: "file:videos/yard.mp4", pace: realtime}
engines:
  cpu0: {backend: onnxruntime, device: cpu, threads: 1}
  hog0: {backend: opencv}
stages:
  detect:      {model: street-pico, engine: cpu0, workers: 2, batch: {max: 4, wait_ms: 5}}
  postprocess: {score: 0.3, nms_iou: 0.5, classes: [person, car], max_detections: 300}
  embed:       {model: reid-pico, engine: cpu0}
  track:       {motion: kalman, association: [high, low], max_lost_s: 2.0, min_hits: 3}
outputs:
  - {udp: {to: "127.0.0.1:9000", format: telegram}}
  - {file: {path: out/tracks.jsonl}}
run: {queue: 4, drain_s: 5.0}
"""
TWO_DETECTORS = (
    CAMERAS
    + """
stages:
  pre_a:  {kind: preprocess, after: decode}
  det_a:  {kind: detect, after: pre_a, model: a}
  post_a: {kind: postprocess, after: det_a}
  pre_b:  {kind: preprocess, after: [decode]}
  det_b:  {kind: detect, after: pre_b, model: b}
  post_b: {kind: postprocess, after: det_b, score: 0.5}
  both:   {kind: merge, after: [post_a, post_b], nms_iou: 0.6}
  track:  {after: both}
outputs: [{file: {path: a.jsonl}}, {file: {path: b.jsonl}, after: track}]
"""
)


TWO_STAGE = """
cameras: [{id: gate, uri: a.mp4}]
stages:
  backbone: {model: street-duo-rpn}
  roi_head: {model: street-duo-head}
outputs: [{file: {path: out.jsonl}}]
"""


def errors_of(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loads(text, "f.yaml", environment={})
    return str(caught.value)


def test_the_chain_is_completed() -> None:
    stages = loads(MINIMAL).stages
    assert [(name, stage.after) for name, stage in stages.items()] == [
        ("preprocess", ("decode",)),
        ("detect", ("preprocess",)),
        ("postprocess", ("detect",)),
        ("track", ("postprocess",)),
    ]


def test_a_two_stage_chain_is_completed() -> None:
    stages = loads(TWO_STAGE).stages
    names = ["preprocess", "backbone", "proposals", "roi_align", "roi_head", "boxes", "track"]
    assert list(stages) == names
    assert [stages[name].after for name in names] == [(n,) for n in ["decode", *names[:-1]]]
    preprocess = stages["preprocess"]
    assert isinstance(preprocess, PreprocessConfig)
    assert preprocess.model == "street-duo-rpn"


def test_a_chain_has_one_detector() -> None:
    told = errors_of(
        TWO_STAGE.replace("  backbone:", "  detect: {model: street-pico}\n  backbone:")
    )
    assert "stages.backbone: a chain has no place beside 'detect'" in told
    assert "give every stage an 'after'" in told


def test_half_a_two_stage_detector_is_told() -> None:
    told = errors_of(TWO_STAGE.replace("  roi_head: {model: street-duo-head}\n", ""))
    assert "stages.roi_head: is missing; write roi_head: {model: NAME}" in told


def test_embed_is_in_the_chain_where_it_is_written() -> None:
    stages = loads(FULL).stages
    assert stages["embed"].after == ("postprocess",)
    assert stages["track"].after == ("embed",)


def test_so_is_camera_motion_before_it() -> None:
    stages = loads(FULL.replace("  embed:", "  camera_motion:\n  embed:")).stages
    assert stages["camera_motion"].after == ("postprocess",)
    assert stages["embed"].after == ("camera_motion",)


@pytest.mark.parametrize("stage", ["camera_motion", "embed"])
def test_no_output_follows_a_stage_that_is_not_written(stage: str) -> None:
    output = f"outputs: [{{file: {{path: a.jsonl}}, after: {stage}}}]"
    assert f"no stage is called '{stage}'" in errors_of(MINIMAL + output)


def test_outputs_follow_the_last_stage() -> None:
    assert [output.after for output in loads(FULL).outputs] == ["track", "track"]


def test_the_only_engine_need_not_be_named() -> None:
    config = loads(MINIMAL)
    assert config.stages["detect"].engine == ("cpu0",)
    assert config.engines["cpu0"].backend == "onnxruntime"
    assert config.engines["cpu0"].options == {"threads": 1}


def test_two_detectors_each_with_its_own_model() -> None:
    config = loads(TWO_DETECTORS)
    models = {name: getattr(stage, "model", None) for name, stage in config.stages.items()}
    assert models["pre_a"] == models["post_a"] == "a"
    assert models["pre_b"] == models["post_b"] == "b"
    assert config.outputs[0].after == "track"
    assert isinstance(config.stages["post_b"], PostprocessConfig)
    assert config.stages["post_b"].score == 0.5


def test_a_loaded_configuration_does_not_change() -> None:
    config = loads(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.run = config.run


def test_the_configuration_knows_where_its_keys_stand() -> None:
    config = loads(MINIMAL, "f.yaml", ["run.queue=2"])
    assert config.where("stages", "detect", "model") == "f.yaml:2:26: stages.detect.model"
    assert config.where("run", "queue") == "--set run.queue=2: run.queue"


# Every case: what is written, and the parts its one message must have.
MISTAKES = {
    "unknown key": (MINIMAL + "outptus: []", "f.yaml:3:1: outptus: unknown key", "'outputs'"),
    "unknown key deep inside": (
        MINIMAL + "outputs: [{udp: {to: 'a:1', mtuu: 9}}]", "outputs[0].udp.mtuu", "'mtu'",
    ),
    "unknown key of a stage": (
        CAMERAS + "stages:\n  detect: {modle: m, model: m}", "f.yaml:3:12", "'model'",
    ),
    "seconds with a unit": (
        CAMERAS + "stages: {detect: {model: m}, track: {max_lost_s: 2s}}",
        "expected a number of seconds, found '2s'; write 2",
    ),
    "milliseconds for seconds": (
        MINIMAL + "run: {drain_s: 500 ms}", "expected a number of seconds", "write 0.5",
    ),
    "a number in quotes": (MINIMAL + "run: {queue: '4'}", "expected a whole number", "write 4"),
    "a number for text": (
        CAMERAS.replace("gate,", "7,") + "stages: {detect: {model: m}}",
        "expected text, found 7", 'put it in quotes: "7"',
    ),
    "a number too large": (MINIMAL + "run: {queue: 65}", "expected at most 64, found 65"),
    "not a number": (MINIMAL + "run: {drain_s: .nan}", "expected a number of seconds, found nan"),
    "no such word": (
        CAMERAS + "stages: {detect: {model: m}, track: {motion: kalmn}}",
        "expected 'kalman' or 'filterpy', found 'kalmn'; did you mean 'kalman'?",
    ),
    "a word for a list": (
        CAMERAS + "stages: {detect: {model: m}, postprocess: {classes: person}}",
        "expected a list, found 'person'",
    ),
    "an empty list": (
        CAMERAS + "stages: {detect: {model: m}, postprocess: {classes: []}}",
        "expected at least 1 entries, found an empty list",
    ),
    "neither a number nor auto": (
        CAMERAS + "stages: {detect: {model: m, workers: all}}",
        "expected a whole number or 'auto', found 'all'",
    ),
    "no workers": (CAMERAS + "stages: {detect: {model: m, workers: 0}}", "expected at least 1"),
    "no cameras": ("stages: {detect: {model: m}}", "cameras: is missing"),
    "an empty list of cameras": ("cameras: []\nstages: {detect: {model: m}}", "at least 1"),
    "a camera without a uri": ("cameras: [{id: a}]\nstages: {detect: {model: m}}", "uri: is miss"),
    "a bad camera id": (
        CAMERAS.replace("gate,", "'a/b',") + "stages: {detect: {model: m}}", "expected text like",
    ),
    "two cameras with one id": (
        "cameras:\n- {id: a, uri: x}\n- {id: a, uri: y}\nstages: {detect: {model: m}}",
        "f.yaml:3:8: cameras[1].id: two cameras are called 'a'", "f.yaml:2:8",
    ),
    "an unknown kind of source": (
        CAMERAS.replace("gate.mp4", "'rtps://h/s'") + "stages: {detect: {model: m}}",
        "f.yaml:1:27: cameras[0].uri: no source is called 'rtps:'; did you mean 'rtsps'?",
    ),
    "a live camera from its middle": (
        CAMERAS.replace("gate.mp4", "'rtsp://h/s', start_s: 3") + "stages: {detect: {model: m}}",
        "cameras[0].start_s: a live camera has no such choice",
    ),
    "no stages": (CAMERAS, "stages: is missing"),
    "no detector": (CAMERAS + "stages: {track: {min_hits: 2}}", "stages.detect: is missing"),
    "no model": (CAMERAS + "stages: {detect: {}}", "stages.detect.model: is missing"),
    "no such kind": (
        MINIMAL.replace("}}", "}, embedd: {model: r}}"), "'embedd' is no kind", "'embed'",
    ),
    "no such engine": (
        CAMERAS + "engines: {cpu0: {backend: onnxruntime}}\n"
        "stages: {detect: {model: m, engine: cpu1}}",
        "no engine is called 'cpu1'; did you mean 'cpu0'?",
    ),
    "which engine": (
        CAMERAS + "engines: {a: {backend: opencv}, b: {backend: opencv}}\n"
        "stages: {detect: {model: m}}",
        "stages.detect.engine: is missing; say which one: a, b",
    ),
    "no such backend": (
        MINIMAL + "engines: {a: {backend: onnxrutime}}", "engines.a.backend", "'onnxruntime'",
    ),
    "no such option": (
        MINIMAL + "engines: {a: {backend: onnxruntime, thread: 1}}",
        "engines.a.thread:", "'threads'",
    ),
    "a bad option": (
        MINIMAL + "engines: {a: {backend: onnxruntime, threads: two}}",
        "engines.a.threads:", "'two'",
    ),
    "no engines": (MINIMAL + "engines: {}", "engines: expected at least 1 entries"),
    "a bad address": (
        MINIMAL + "outputs: [{udp: {to: '127.0.0.1'}}]", "outputs[0].udp.to", "host:port",
    ),
    "two outputs in one": (
        MINIMAL + "outputs: [{udp: {to: 'a:1'}, file: {path: a.csv}}]", "outputs[0]", "exactly one",
    ),
    "two outputs in one spool": (
        MINIMAL + "outputs: [{post: {to: 'https://a/', spool: {path: s}}},"
        " {post: {to: 'https://b/', spool: {path: s/}}}]",
        "outputs[1].post.spool.path: two outputs write 's/'",
        "give each its own",
    ),
    "two outputs in one file": (
        MINIMAL + "outputs: [{file: {path: a.csv}}, {file: {path: ./a.csv}}]",
        "outputs[1].file.path: two outputs write './a.csv'",
    ),
    "events in one folder": (
        MINIMAL + "outputs: [{events: {path: a.csv, pictures: p}},"
        " {events: {path: b.csv, pictures: p/}}]",
        "outputs[1].events.pictures: two outputs write 'p/'",
    ),
    "output after nothing": (
        MINIMAL + "outputs: [{file: {path: a.csv}, after: trck}]", "outputs[0].after", "'track'",
    ),
    "two detectors without after": (
        CAMERAS + "stages: {detect: {model: m}, second: {kind: detect, model: n}}",
        "stages.second: this stage needs an 'after'",
    ),
    "a stage of the graph without after": (
        CAMERAS + "stages:\n  preprocess: {after: decode}\n  detect: {model: m}",
        "stages.detect.after: is missing; once one stage says 'after', all do",
    ),
    "after nothing": (
        TWO_DETECTORS.replace("after: pre_a", "after: pre_x"),
        "no stage is called 'pre_x'", "'pre_",
    ),
    "a cycle": (
        TWO_DETECTORS.replace("after: det_a", "after: post_a"),
        "stages.post_a.after: the stages form a cycle: post_a after post_a",
    ),
    "one stage to merge": (
        TWO_DETECTORS.replace("[post_a, post_b]", "post_a"), "expected two or more stages, found 1",
    ),
    "two stages without merge": (
        TWO_DETECTORS.replace("after: both", "after: [post_a, post_b]"),
        "stages.track.after: expected one stage, found 2; put a stage of kind merge between",
    ),
    "two ends": (
        TWO_DETECTORS.replace("  both:   {kind: merge, after: [post_a, post_b], nms_iou: 0.6}", "")
        .replace("after: both", "after: post_a"),
        "outputs[0].after: is missing; say which stage's results it takes: post_b, track",
    ),
    "a preprocess in front of nothing": (
        CAMERAS + "stages: {pre: {kind: preprocess, after: decode}}",
        "stages.pre.model: is missing",
    ),
    "a stage called decode": (
        CAMERAS + "stages: {decode: {kind: preprocess, after: x}}", "'decode' means the cameras",
    ),
    "a list for the whole": ("- 1", "expected a mapping (key: value), found a list"),
    "text for the whole": ("hello", "expected a mapping (key: value), found 'hello'"),
    "nothing at all": ("", "cameras: is missing"),
    "an unset variable": (CAMERAS.replace("gate.mp4", "'${X}'"), "f.yaml:1:", "X is not set"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_with_place_and_remedy(case: tuple[str, ...]) -> None:
    text, *parts = case
    message = errors_of(text)
    for part in parts:
        assert part in message
    assert message.startswith("f.yaml")
    assert "pydantic" not in message
    assert "Input should" not in message


def test_all_mistakes_are_told_at_once_in_their_order() -> None:
    lines = errors_of(
        "cameras:\n- {id: a, uri: x, fsp: 3}\n- {id: a, uri: y}\n"
        "stages:\n  detect: {model: m, engine: cpu9, workers: x}\nrun: {queue: 0}\n"
    ).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "cameras[0].fsp", "cameras[1].id", "stages.detect.engine", "stages.detect.workers",
        "run.queue",
    ]  # fmt: skip


def test_the_error_holds_the_single_problems() -> None:
    with pytest.raises(ConfigError) as caught:
        loads("cameras: []\nrun: {queue: 0}", "f.yaml", environment={})
    assert [p.path for p in caught.value.problems] == [("cameras",), ("stages",), ("run", "queue")]


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"\xff\xfe\x00", "not UTF-8 text"), (b"", "cameras: is missing")],
    ids=["missing", "binary", "empty"],
)
def test_a_file_that_is_no_configuration(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "street.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("text", [MINIMAL, FULL, TWO_DETECTORS])
def test_the_json_schema_takes_what_is_right(text: str) -> None:
    jsonschema.validate(yaml.safe_load(text), json_schema())


@pytest.mark.parametrize(
    "name", ["unknown key", "unknown key of a stage", "seconds with a unit", "a number too large",
             "no such word", "no cameras", "no model", "no such kind", "no workers"],
)  # fmt: skip
def test_the_json_schema_refuses_what_is_wrong(name: str) -> None:
    value: Any = yaml.safe_load(MISTAKES[name][0])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(value, json_schema())


def test_the_dump_is_complete_and_can_be_loaded_again() -> None:
    config = loads(FULL)
    dump = config.redacted()
    for output in dump["outputs"]:
        output.pop("annotate")
    again = loads(yaml.safe_dump(dump), environment={})
    assert again.redacted() == config.redacted()
