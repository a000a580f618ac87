"""classify: votes of tracks, looks of detections, texts, and what a failing engine leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import engines
import pipeline
from engines.failover import Candidate
from pipeline.detection.detections import Detections
from pipeline.errors import ConfigError
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.media.preprocess import Preprocessor
from pipeline.models.attributes import ClassifyEntry, RecogniseEntry
from pipeline.models.manifest import PreprocessSpec
from pipeline.network import BoundNetwork
from pipeline.packet import FrameInfo, Packet, Status
from pipeline.payloads import Detected, Tracked
from pipeline.resources import shipped
from pipeline.stages.classify import (
    ClassifyDetectionsStage,
    ClassifySpec,
    ClassifyTracksStage,
)
from pipeline.tracking.track import Tracks

WIDTH, HEIGHT = 200, 120
STEP_NS = 200_000_000  # each frame is worth another look
COLOURS = ("blue", "green", "red")
DIGITS = "0123"
MakeNetwork = Callable[..., BoundNetwork]


def saved(path: Path, nodes: list[Any], first: Any, rows: int, constants: dict[str, Any]) -> Path:
    """A network of crops (first, 3, 16, 4 steps) in `path`."""
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, [first, 3, 16, rows])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 13)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def bound(path: Path) -> BoundNetwork:
    make = partial(engines.create, "cpu0", "onnxruntime")
    return BoundNetwork([Candidate("cpu0", make, engines.Network(path, "onnx"))])


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> MakeNetwork:
    """Networks for that many crops, -1 for any: the root of each channel's mean above 9."""

    def make(batch: int = -1) -> BoundNetwork:
        nodes = [
            helper.make_node("ReduceMean", ["crops"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Sub", ["mean", "nine"], ["above"]),
            helper.make_node("Sqrt", ["above"], ["scores"]),  # not a number in the dark
        ]
        path = tmp_path_factory.mktemp("colours") / "colours.onnx"
        return bound(saved(path, nodes, "n" if batch < 0 else batch, 16, {"nine": np.float32(9)}))

    return make


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> MakeNetwork:
    """Networks that read grey columns: each four of them are a sign, or the blank, by level."""

    def make(layout: str, batch: int = -1) -> BoundNetwork:
        nodes = [
            helper.make_node("ReduceMean", ["crops"], ["line"], axes=[1, 2], keepdims=0),
            helper.make_node("Unsqueeze", ["line", "one"], ["wide"]),
            helper.make_node("AveragePool", ["wide"], ["steps"], kernel_shape=[4], strides=[4]),
            helper.make_node("Transpose", ["steps"], ["levels"], perm=[0, 2, 1]),
            helper.make_node("Sub", ["levels", "centres"], ["apart"]),
            helper.make_node("Abs", ["apart"], ["far"]),
            helper.make_node("Neg", ["far"], ["ntc"]),
            helper.make_node(
                "Transpose", ["ntc"], ["scores"], perm=[0, 1, 2] if layout == "ntc" else [1, 0, 2]
            ),
        ]
        centres = np.array([grey(sign) for sign in (*DIGITS, " ")], np.float32)
        path = tmp_path_factory.mktemp("digits") / "digits.onnx"
        constants = {"one": np.array([1], np.int64), "centres": centres}
        return bound(saved(path, nodes, "n" if batch < 0 else batch, 32, constants))

    return make


def grey(sign: str) -> int:
    """The level that stands for a digit, or for the blank."""
    return 30 + 50 * (*DIGITS, " ").index(sign)


def colour_spec(**changes: Any) -> ClassifySpec:
    entry = ClassifyEntry(output="scores", attribute="colour")
    return replace(ClassifySpec(entry, COLOURS, sure=0.6, refresh_s=1.0), **changes)


def text_spec(layout: Any) -> ClassifySpec:
    entry = RecogniseEntry(output="scores", alphabet=DIGITS, blank="last", layout=layout)
    return ClassifySpec(entry, ())


def preprocessor(width: int = 16) -> Preprocessor:
    return Preprocessor(PreprocessSpec(resize="stretch"), width, 16, np.dtype("float32"), "nchw")


def painted(seed: int, boxes: Sequence[Sequence[int]], colour: str = "red") -> BgrPicture:
    """A noisy picture whose boxes are mostly of one colour."""
    image = np.random.default_rng(seed).integers(20, 60, (HEIGHT, WIDTH, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2, COLOURS.index(colour)] += 150
    return BgrPicture(image)


def written(boxes: Sequence[Sequence[int]], texts: Sequence[str]) -> BgrPicture:
    """A picture with a strip of eight signs in each box."""
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for (x1, y1, x2, y2), text in zip(boxes, texts, strict=True):
        image[y1:y2, x1:x2] = np.repeat([grey(sign) for sign in text], (x2 - x1) // 8)[
            None, :, None
        ]
    return BgrPicture(image)


def frame_of(sequence: int, camera: str) -> FrameInfo:
    return FrameInfo(camera, sequence, sequence, (sequence + 1) * STEP_NS, WIDTH, HEIGHT)


def detected(
    boxes: Sequence[Sequence[float]], picture: BgrPicture, sequence: int = 0, camera: str = "cam"
) -> Packet[Detected]:
    found = Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.ones(len(boxes), np.float32),
        np.zeros(len(boxes), np.int32),
    )
    return Packet(frame_of(sequence, camera), Detected(picture, found), Ticket(camera))


def tracked(
    boxes: Sequence[Sequence[float]],
    picture: BgrPicture,
    sequence: int = 0,
    camera: str = "cam",
    **changes: Any,
) -> Packet[Tracked]:
    count = len(boxes)
    tracks = Tracks(
        np.arange(1, count + 1, dtype=np.int64),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
        np.ones(count, np.uint8),
        np.zeros((count, 2), np.float32),
        np.zeros(count, np.float32),
        np.zeros(count, np.float32),
    )
    payload = Tracked(picture, Detections.empty(), replace(tracks, **changes))
    return Packet(frame_of(sequence, camera), payload, Ticket(camera))


BOXES = [[10, 10, 40, 60], [60, 10, 100, 60], [120, 20, 180, 100]]


def street(frames: int) -> list[Packet[Tracked]]:
    """Frames of two cameras, of which one brings two at a time; each has a blind one."""
    packets = []
    for index in range(frames):
        for camera, number in (("a", index), ("b", 2 * index), ("b", 2 * index + 1)):
            colour = "green" if number == 1 else "red"  # one look at a bad moment
            boxes = BOXES[: 1 + number % 3]
            one = tracked(boxes, painted(number, boxes, colour), number, camera)
            packets.append(one.marked(Status.BLIND, "gone") if number == 5 else one)
    return packets


def together(stage: Any, packets: Sequence[Packet[Any]], most: int) -> list[Packet[Any]]:
    stage.open()
    batches = [packets[start : start + most] for start in range(0, len(packets), most)]
    out = [result for batch in batches for (result,) in stage.process_batch(batch)]
    stage.close()
    return out


def one_by_one(stage: Any, packets: Iterable[Packet[Any]]) -> list[Packet[Any]]:
    return together(stage, list(packets), 1)


def told(packet: Packet[Tracked], name: str = "colour") -> list[tuple[str, float]]:
    attribute = packet.payload.tracks.attributes[name]
    return list(zip(attribute.values.tolist(), attribute.shares.tolist(), strict=True))


@pytest.mark.parametrize("batch", [-1, 1, 4])
@pytest.mark.parametrize("most", [2, 7, 64])
def test_together_is_as_one_by_one(colours: MakeNetwork, batch: int, most: int) -> None:
    packets = street(8)
    stages = [
        ClassifyTracksStage(colours(size), preprocessor(), colour_spec()) for size in (-1, batch)
    ]
    single = one_by_one(stages[0], packets)
    several = together(stages[1], packets, most)
    assert list(map(told, single)) == list(map(told, several))
    assert stages[0].counts() == stages[1].counts()
    assert [p.status for p in several] == [p.status for p in packets]
    assert {value for value, _ in told(several[-1])} == {"red"}


def test_a_track_keeps_its_name_where_nobody_looks(colours: MakeNetwork) -> None:
    picture = painted(1, BOXES)
    unseen = {"unseen_s": np.array([0, 0.2, 0], np.float32)}
    packets = [
        tracked(BOXES, picture, 0),
        tracked(BOXES, painted(2, BOXES, "blue"), 1, **unseen),
        tracked(BOXES, picture, 2).marked(Status.COASTING, "not detected"),
    ]
    stage = ClassifyTracksStage(colours(), preprocessor(), colour_spec())
    first, second, third = map(told, one_by_one(stage, packets))
    assert [value for value, _ in first] == ["red"] * 3
    assert second[1] == first[1]  # predicted: not looked at
    assert second[0][1] < first[0][1]
    assert third == second
    assert stage.counts() == {"tracks": 5, "looked at": 5}


def test_a_sure_vote_is_refreshed_now_and_then(colours: MakeNetwork) -> None:
    picture = painted(1, BOXES)
    stage = ClassifyTracksStage(colours(), preprocessor(), colour_spec())
    out = one_by_one(stage, (tracked(BOXES[:1], picture, k) for k in range(50)))
    assert stage.counts() == {"tracks": 50, "looked at": 12}
    assert {value for packet in out for value, _ in told(packet)} == {"red"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"of": (1,)}, ["", "red", ""]),
        ({"min_size": 36}, ["", "red", "red"]),
        ({"min_score": 0.5}, ["red", "", "red"]),
    ],
)
def test_only_those_that_are_wanted_are_looked_at(
    colours: MakeNetwork, changes: dict[str, Any], expected: list[str]
) -> None:
    packet = tracked(
        BOXES,
        painted(1, BOXES),
        labels=np.array([0, 1, 2], np.int32),
        scores=np.array([0.9, 0.4, 0.9], np.float32),
    )
    stage = ClassifyTracksStage(colours(), preprocessor(), colour_spec(**changes))
    (out,) = one_by_one(stage, [packet])
    known = out.payload.tracks.attributes
    assert known["colour"].values.tolist() == expected


def test_nobody_to_look_at(colours: MakeNetwork) -> None:
    stage = ClassifyTracksStage(colours(), preprocessor(), colour_spec())
    (out,) = one_by_one(stage, [tracked([], painted(1, []))])
    assert (out.status, len(out.payload.tracks)) == (Status.OK, 0)


def test_a_failing_engine_costs_a_look_and_no_name(colours: MakeNetwork) -> None:
    dark = BgrPicture(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    packets = [
        tracked(BOXES, painted(1, BOXES), 0, "a"),
        tracked(BOXES, dark, 1, "a"),
        tracked(BOXES, painted(1, BOXES), 1, "b"),
    ]
    stage = ClassifyTracksStage(colours(), preprocessor(), colour_spec())
    first, second, other = together(stage, packets, 3)
    assert (second.status, told(second)) == (Status.DAMAGED, told(first))
    assert second.reason.startswith("no attributes: ")
    assert "not finite" in second.reason
    assert (other.status, told(other)) == (Status.OK, told(first))


def test_detections_carry_what_was_seen_of_them(colours: MakeNetwork) -> None:
    boxes = [*BOXES, [-30, 0, -5, 50]]
    dark = BgrPicture(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    packets = [detected(boxes, painted(1, BOXES), 0, "a"), detected(boxes, dark, 0, "b")]
    stage = ClassifyDetectionsStage(colours(), preprocessor(), colour_spec())
    first, second = together(stage, packets, 2)
    looks = first.payload.looks["colour"]
    assert looks.looked.tolist() == [True, True, True, False]
    assert looks.values[looks.weights[:3].argmax(axis=1)].tolist() == ["red"] * 3
    assert (second.status, second.payload.looks) == (Status.DAMAGED, {})
    assert stage.counts()["looked at"] == 6


@pytest.mark.parametrize("batch", [-1, 1, 2])
@pytest.mark.parametrize("layout", ["ntc", "tnc"])
def test_texts_are_read_and_voted_for(digits: MakeNetwork, layout: str, batch: int) -> None:
    boxes = [[8, 8, 72, 40], [100, 8, 164, 40], [8, 60, 72, 100]]
    readings = [
        ("11 22 33", "3 3 3 3 ", "        "),
        ("11 22 33", "3 3 0 3 ", "        "),
        ("01 22 33", "3 3 3 3 ", "        "),
    ]
    packets = [tracked(boxes, written(boxes, texts), k) for k, texts in enumerate(readings)]
    stage = ClassifyTracksStage(digits(layout, batch), preprocessor(32), text_spec(layout))
    *_, last = together(stage, packets, 2)
    values = [value for value, _ in told(last, "text")]
    assert values == ["123", "3333", ""]
    assert told(last, "text")[0][1] == pytest.approx(2 / 3, abs=1e-3)


CHAIN = """
cameras:
  - {id: a, uri: "rendered:day?seconds=0.6"}
  - {id: b, uri: "rendered:dusk?seconds=0.6"}
engines:
  cpu0: {backend: onnxruntime, threads: 1}
  cpu1: {backend: onnxruntime, threads: 1}
stages:
  detect: {model: street-pico, engine: cpu0}
  classify: {model: colour-pico, engine: cpu1, of: [car, van, bus]}
"""

BEFORE_AND_AFTER = """
cameras: [{id: a, uri: "rendered:day?seconds=0.6"}]
stages:
  preprocess: {after: decode}
  detect: {after: preprocess, model: street-pico}
  postprocess: {after: detect}
  seen: {kind: classify, after: postprocess, model: %s, of: [car, van, bus]}
  track: {after: seen}
  voted: {kind: classify, after: track, model: colour-pico, of: [bus, van, car]}
"""


def names(config: str, *overrides: str) -> dict[tuple[str, int], list[tuple[int, dict[str, str]]]]:
    """Of each frame, what each track is called."""
    frames = {}
    for packet in pipeline.stream(pipeline.build(pipeline.loads(config, overrides=overrides))):
        tracks = packet.payload.tracks
        values = {name: one.values.tolist() for name, one in tracks.attributes.items()}
        frames[packet.frame.camera, packet.frame.index] = [
            (label, {name: column[row] for name, column in values.items()})
            for row, label in enumerate(tracks.labels.tolist())
        ]
    return frames


def test_a_second_network_on_an_engine_of_its_own() -> None:
    alone = names(CHAIN, "stages.classify.workers=1")
    batch = "stages.classify.batch={max: 8, wait_ms: 20}"
    assert names(CHAIN, "stages.classify.workers=2", batch) == alone
    for camera in "ab":
        last = [(label, known["colour"]) for label, known in alone[camera, 14]]
        assert all(colour for label, colour in last if label >= 2)
        assert not any(colour for label, colour in last if label < 2)
        assert any(label >= 2 for label, _ in last)


def test_tracks_inherit_what_a_network_before_the_tracker_saw(tmp_path: Path) -> None:
    package = shipped("models") / "colour-pico"
    for file in package.iterdir():
        text = file.read_bytes().replace(b"attribute: colour}", b"attribute: paint}")
        (tmp_path / file.name).write_bytes(text)
    frames = names(BEFORE_AND_AFTER % tmp_path)
    last = [known for label, known in frames["a", 14] if label >= 2]
    assert len(last) >= 2
    assert all(known["paint"] == known["colour"] != "" for known in last)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("stages.classify.of=[cars]", r"stages.classify.of: no label is called 'cars'; .*'car'"),
        ("stages.classify.model=reid-pico", r"is for embed, not classify or recognise"),
        ("stages.classify.sure=2", r"sure: expected at most 1"),
    ],
)
def test_what_does_not_fit_is_told(override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        pipeline.build(pipeline.loads(CHAIN, overrides=[override]))
