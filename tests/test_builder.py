from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import pipeline
from pipeline.errors import ConfigError, GraphError
from pipeline.media.source import SourceState
from pipeline.queues import OnFull, Priority


def text(light_meter: Path, stages: str = "", outputs: str = "", camera: str = "") -> str:
    return f"""
cameras:
  - {{id: street, uri: "rendered:day?seconds=0.2&size=96x64"{camera}}}
engines:
  cpu0: {{backend: onnxruntime}}
stages:
  detect: {{model: {light_meter}, workers: 2, batch: {{max: 4, wait_ms: 5}}}}
{stages}
outputs: [{outputs}]
"""


def test_the_default_chain_is_built_with_its_bindings(light_meter: Path) -> None:
    graph = pipeline.build(pipeline.loads(text(light_meter)))
    assert [node.name for node in graph.nodes] == ["preprocess", "detect", "postprocess", "track"]
    detect = graph.node("detect")
    assert detect.workers == 2
    assert (detect.batch.most, detect.batch.wait_s) == (4, 0.005)
    assert "light-meter on cpu0 (onnxruntime/cpu" in str(detect.binding)
    assert graph.ends() == ["track"]


def test_a_recording_blocks_and_a_camera_drops_its_oldest(light_meter: Path) -> None:
    config = text(light_meter, camera="}\n  - {id: gate, uri: 'rtsp://u:secret@10.0.0.5/s'")
    graph = pipeline.build(pipeline.loads(config))
    assert [c.on_full for c in graph.cameras] == [OnFull.BLOCK, OnFull.DROP_OLDEST]
    assert "secret" not in graph.text() + graph.mermaid() + repr(graph)


def test_cameras_that_drop_have_an_entrance_before_all_other_stages(light_meter: Path) -> None:
    config = text(light_meter, camera="}\n  - {id: gate, uri: 'webcam:0', priority: high")
    graph = pipeline.build(pipeline.loads(config))
    entrance, first = graph.nodes[:2]
    assert (entrance.name, entrance.after, entrance.at_entrance) == ("entrance", ("decode",), True)
    assert (first.name, first.after) == ("preprocess", ("entrance",))
    assert [camera.priority for camera in graph.cameras] == [Priority.NORMAL, Priority.HIGH]


def test_two_detectors_two_branches_and_a_merge(light_meter: Path, tmp_path: Path) -> None:
    stages = f"""
  prepare: {{kind: preprocess, after: decode, model: {light_meter}}}
  left:    {{kind: detect, after: prepare, model: {light_meter}}}
  right:   {{kind: detect, after: prepare, model: {light_meter}}}
  post_l:  {{kind: postprocess, after: left}}
  post_r:  {{kind: postprocess, after: right}}
  merge:   {{after: [post_l, post_r]}}
  track:   {{after: merge, min_hits: 1, new_score: 0.2, high_score: 0.2}}
"""
    whole = text(light_meter, stages, f"{{file: {{path: {tmp_path}/t.jsonl}}}}")
    whole = whole.replace(
        f"  detect: {{model: {light_meter}, workers: 2, batch: {{max: 4, wait_ms: 5}}}}\n", ""
    )
    report = pipeline.run(pipeline.build(pipeline.loads(whole)))
    assert report.balanced
    assert report.emitted == 5
    lines = (tmp_path / "t.jsonl").read_text().splitlines()
    assert len(lines) == 5
    assert all('"class":"light"' in line for line in lines)


@pytest.mark.parametrize(
    ("stages", "overrides", "message"),
    [
        ("", ["stages.detect.model=street-pcio"], "stages.detect.model: "),
        ("", ["stages.detect.model=reid-retail-0248"], "stages.detect.model: "),
        ("  postprocess: {classes: [ligth]}", [], "did you mean 'light'"),
        (
            "",
            ["stages.detect.weights=no/such.onnx"],
            "stages.detect.weights: no/such.onnx: no such file",
        ),
        (
            "",
            ["stages.detect.model=hog-people"],
            "onnxruntime cannot run hog-people; bind it to an engine with backend opencv",
        ),
    ],
)
def test_what_cannot_be_bound_is_refused_with_its_place(
    stages: str, overrides: list[str], message: str, light_meter: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        pipeline.build(pipeline.loads(text(light_meter, stages), overrides=overrides))
    assert message in str(caught.value)


def test_an_empty_network_file_is_refused(light_meter: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.onnx"
    empty.touch()
    overrides = [f"stages.detect.weights={empty}"]
    with pytest.raises(ConfigError, match=r"empty\.onnx: the file is empty"):
        pipeline.build(pipeline.loads(text(light_meter), overrides=overrides))


def test_stages_that_do_not_fit_make_no_graph(light_meter: Path) -> None:
    stages = "  track: {after: detect}\n"
    whole = text(light_meter, stages).replace("workers: 2", "workers: 2, after: decode")
    with pytest.raises(GraphError, match="takes ModelInput"):
        pipeline.build(pipeline.loads(whole))


def same(before: str, after: str) -> set[str]:
    """Names of the stages and outputs that need not be made anew for another configuration."""
    old, new = (pipeline.build(pipeline.loads(whole)) for whole in (before, after))
    known = {node.name: node for node in old.nodes}
    return {node.name for node in new.nodes if node.name in known and node.same(known[node.name])}


CHAIN = {"preprocess", "detect", "postprocess", "track", "file"}


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (("size=96x64", "size=64x48"), set()),
        (("queue: 4", "queue: 8"), set()),
        (("max: 4", "max: 2"), set()),
        (("score: 0.1", "score: 0.2"), {"postprocess"}),
        (("workers: 2", "workers: 1"), {"detect"}),
        (("min_hits: 1", "min_hits: 2"), {"track"}),
        (("threads: 1", "threads: 2"), {"detect"}),
        (("t.jsonl", "u.jsonl"), {"file"}),
    ],
)
def test_only_what_a_stage_is_made_from_makes_it_another_one(
    change: tuple[str, str], changed: set[str], light_meter: Path
) -> None:
    stages = "  postprocess: {score: 0.1}\n  track: {min_hits: 1}\nrun: {queue: 4}"
    before = text(light_meter, stages, "{file: {path: t.jsonl}}")
    before = before.replace("backend: onnxruntime", "backend: onnxruntime, threads: 1")
    assert change[0] in before
    assert same(before, before.replace(*change)) == CHAIN - changed


def test_a_tracker_remembers_vectors_of_one_network_only(
    light_meter: Path, mean_color: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(mean_color, other)
    before = text(light_meter, f"  embed: {{model: {mean_color}, when: always}}")
    after = before.replace(str(mean_color), str(other))
    assert same(before, after) == {"preprocess", "detect", "postprocess"}
    scores = before.replace("when: always", "when: always, min_score: 0.3")
    assert same(before, scores) == {"preprocess", "detect", "postprocess", "track"}


def test_a_tracker_in_parts_stays_or_goes_as_a_whole(light_meter: Path) -> None:
    parts = "  kalman: {min_hits: 1}\n  matching:\n  screening:\n"
    before = text(light_meter, parts)
    assert same(before, before.replace("min_hits: 1", "min_hits: 2")) == {
        "preprocess",
        "detect",
        "postprocess",
    }
    for_labels = before.replace("workers: 2", "workers: 1")
    assert {"kalman", "matching", "screening"} <= same(before, for_labels)


def test_a_camera_is_another_one_if_anything_of_it_is(light_meter: Path) -> None:
    (before,) = pipeline.build(pipeline.loads(text(light_meter))).cameras
    (again,) = pipeline.build(pipeline.loads(text(light_meter))).cameras
    (slower,) = pipeline.build(pipeline.loads(text(light_meter, camera=", max_fps: 5"))).cameras
    assert again.same(before)
    assert not slower.same(before)


def test_results_are_kept_for_a_page_where_there_is_one(light_meter: Path) -> None:
    whole = text(light_meter) + "http: {bind: '127.0.0.1:8080'}\n"
    preview = pipeline.build(pipeline.loads(whole)).node("preview")
    assert preview.after == ("track",)
    with pytest.raises(GraphError):
        pipeline.build(pipeline.loads(text(light_meter))).node("preview")


def test_a_paused_camera_is_known_and_left_alone(light_meter: Path) -> None:
    config = text(light_meter, camera="}\n  - {id: gate, uri: 'missing.mp4', paused: true")
    graph = pipeline.build(pipeline.loads(config))
    gate = graph.cameras[1]
    source = gate.make()
    source.open()
    assert source.condition.state is SourceState.PAUSED
    source.interrupt()
    assert list(source.frames()) == []
    assert [camera.id for camera in graph.without_paused().cameras] == ["street"]
