"""Engines that fail in a running pipeline: the shipped model on a shipped video."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import engines
import engines.registry
import pipeline
from engines.failover import Candidate
from pipeline.network import BoundNetwork
from pipeline.packet import Packet, Status
from pipeline.payloads import Tracked
from pipeline.resources import shipped
from pipeline.supervisor import Supervisor
from tests.engines.faulty import order
from tests.engines.processes import children, descriptors

CONFIG = """
cameras: [{{id: cam, uri: "file:{video}", loop: true}}]
engines:
  a: {{backend: faulty, orders: "{orders}", retry_s: 0.1}}
  b: {{backend: onnxruntime}}
stages:
  detect: {{model: street-pico, engine: [a, b], workers: 1}}
  track: {{}}
outputs: [{{file: {{path: "{path}"}}}}]
"""
UNDISTURBED = 30  # frames before something happens
INPUT_BYTES = 4 * 3 * 288 * 512  # of street-pico


class Street:
    """A street whose engine `a` is told what goes wrong."""

    def __init__(self, folder: Path) -> None:
        self.orders = folder / "orders"
        self.path = folder / "tracks.jsonl"

    def graph(self, *overrides: str) -> pipeline.Graph:
        video = shipped("sample_videos") / "day.mp4"
        text = CONFIG.format(video=video, orders=self.orders, path=self.path)
        return pipeline.build(pipeline.loads(text, overrides=overrides))

    def messages(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Street]:
    monkeypatch.setitem(engines.registry.BUILT_IN, "faulty", "tests.engines.faulty:FaultyEngine")
    before = descriptors()
    yield Street(tmp_path)
    assert children() == []
    assert descriptors() <= before


def until(
    packets: Iterator[Packet[Tracked]],
    last: Callable[[list[Packet[Tracked]]], bool],
    disturb: Callable[[], None],
) -> list[Packet[Tracked]]:
    """The first packets of a run that is disturbed on its way, up to one that is `last`."""
    seen: list[Packet[Tracked]] = []
    for packet in packets:
        seen.append(packet)
        if len(seen) == UNDISTURBED:
            disturb()
        if len(seen) > UNDISTURBED and last(seen):
            break
    return seen


def returned(seen: list[Packet[Tracked]]) -> bool:
    """Whether the first engine has been back for a while."""
    ids = [packet.engine for packet in seen]
    return "b" in ids and ids[-20:] == ["a"] * 20


def same_tracks(one: Packet[Tracked], other: Packet[Tracked]) -> bool:
    ours, theirs = one.payload.tracks, other.payload.tracks
    return np.array_equal(ours.ids, theirs.ids) and np.array_equal(
        ours.boxes_xyxy, theirs.boxes_xyxy
    )


def kill(number: int) -> None:
    for pid in children():
        os.kill(pid, number)


@pytest.mark.parametrize(
    ("fault", "workers"),
    [("killed", 1), ("stopped", 1), ("hung", 1), ("crashed", 1), ("killed", 2), ("hung", 2)],
)
def test_nothing_is_lost_when_the_first_engine_dies_or_hangs(
    fault: str, workers: int, street: Street
) -> None:
    disturb = {
        "killed": lambda: kill(signal.SIGKILL),
        "stopped": lambda: kill(signal.SIGSTOP),
        "hung": lambda: order(street.orders, "forward", "hang"),
        "crashed": lambda: order(street.orders, "forward", "segfault"),
    }[fault]
    graph = street.graph("engines.a.timeout_s=2", f"stages.detect.workers={workers}")
    seen = until(pipeline.stream(graph), returned, disturb)
    assert [packet.frame.sequence for packet in seen] == list(range(len(seen)))
    assert all(packet.status is Status.OK for packet in seen)

    plain = street.graph("stages.detect.engine=b", "outputs=[]")
    undisturbed = list(zip(seen, pipeline.stream(plain), strict=False))
    assert len(undisturbed) == len(seen)
    assert all(same_tracks(packet, other) for packet, other in undisturbed)
    assert sum(len(packet.payload.tracks) for packet in seen) > len(seen)

    used = [message["engine"] for message in street.messages()]
    assert used[: len(seen)] == [packet.engine for packet in seen]
    if workers == 1:
        assert [engine for engine, _ in groupby(used)] == ["a", "b", "a"]


def test_the_report_counts_every_move_and_keeps_the_reason(street: Street) -> None:
    order(street.orders, "forward", "raise", after=20)
    graph = street.graph("cameras[0].loop=false", "cameras[0].end_s=4", "engines.a.retry_s=0.01")
    report = Supervisor(graph).run()
    assert report.exit_code == 0
    assert (report.entered, report.emitted, report.dropped) == (100, 100, 0)
    detect = next(stage for stage in report.stages if stage.name == "detect")
    assert detect.counts == {"a failed": 1, "a returned": 1}
    assert detect.blind == 0
    assert "the device was removed" in detect.reasons["a"]
    assert " on a (faulty/cpu/fp32), else " in detect.binding
    (restart,) = report.restarts
    assert (restart.what, restart.count) == ("engine a of detect", 1)
    assert restart.reason == detect.reasons["a"]
    told = json.loads(json.dumps(report.to_json()))
    assert told["stages"][2]["reasons"] == detect.reasons
    on_a, on_b = report.boundaries
    assert [(one.stage, one.engine, one.frames) for one in (on_a, on_b)] == [
        ("detect", "a", 100),
        ("detect", "b", 100),
    ]
    # A frame is what both lines say together; a was given one more, on which it failed.
    assert on_a.forwards + on_b.forwards == 100
    assert on_b.bytes_in * 100 == on_b.forwards * INPUT_BYTES
    assert on_a.bytes_in * 100 == (on_a.forwards + 1) * INPUT_BYTES
    assert on_a.bytes_out + on_b.bytes_out == detect.array_bytes > 0
    assert on_a.wait_ms == on_b.wait_ms
    assert told["boundaries"][0]["bytes_in"] == on_a.bytes_in


def test_while_nothing_works_frames_are_blind_and_then_no_more(street: Street) -> None:
    graph = street.graph("stages.detect.engine=a", "engines.a.isolate=true")

    def sees_again(seen: list[Packet[Tracked]]) -> bool:
        return seen[-1].status is Status.OK and any(p.status is Status.BLIND for p in seen)

    seen = until(pipeline.stream(graph), sees_again, lambda: kill(signal.SIGKILL))
    assert [packet.frame.sequence for packet in seen] == list(range(len(seen)))
    spells = [status for status, _ in groupby(packet.status for packet in seen)]
    assert spells == [Status.OK, Status.BLIND, Status.OK]
    first_blind = next(packet for packet in seen if packet.status is Status.BLIND)
    assert "its process was killed by SIGKILL" in first_blind.reason
    told = [message["status"] for message in street.messages()]
    assert [status for status, _ in groupby(told)] == ["ok", "blind", "ok"]


def test_a_list_of_which_one_cannot_be_loaded_still_runs(street: Street) -> None:
    order(street.orders, "prepare", "refuse", after=-1, times=-1)
    graph = street.graph("cameras[0].loop=false", "cameras[0].end_s=1")
    report = Supervisor(graph).run()
    assert report.exit_code == 0
    assert {message["engine"] for message in street.messages()} == {"b"}
    detect = next(stage for stage in report.stages if stage.name == "detect")
    assert detect.counts == {"a failed": 1}
    assert " on a (not loaded), else " in detect.binding


def logarithm(folder: Path, batch: int, axis: int) -> BoundNetwork:
    """Of that many rows of 3, -1 for any; they lie on this axis of the output."""
    nodes = [
        helper.make_node("Log", ["rows"], ["log"]),
        helper.make_node("Transpose", ["log"], ["result"], perm=[1, 0] if axis else [0, 1]),
    ]
    count = "n" if batch < 0 else batch
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [count, 3])
    shape = [3, count] if axis else [count, 3]
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "logarithm", [rows], [result])
    path = folder / "logarithm.onnx"
    opset = helper.make_opsetid("", 13)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    make = partial(engines.create, "cpu0", "onnxruntime")
    return BoundNetwork([Candidate("cpu0", make, engines.Network(path, "onnx"))])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 11])
@pytest.mark.parametrize("batch", [-1, 1, 4])
def test_any_number_of_rows_runs_in_any_batch(
    batch: int, count: int, axis: int, tmp_path: Path
) -> None:
    """Also in one that must be filled up, though this network cannot stand zeros."""
    rows = np.random.default_rng(count).uniform(1, 2, (count, 3)).astype(np.float32)
    network = logarithm(tmp_path, batch, axis)
    network.open()
    try:
        result = network.run_rows(rows, axis)["result"]
    finally:
        network.close()
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.T if axis else result, np.log(rows), rtol=1e-6)
