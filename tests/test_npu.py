"""The simulated NPU in a running pipeline: what happens to identities when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

import pipeline
from engines.sim_npu.runtime.device import Device
from engines.sim_npu.runtime.devices import DEVICES
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.mot_files import MotTable, rows_of_frame, table_from_rows
from pipeline.models.subject import subject
from pipeline.packet import Packet, Status
from pipeline.payloads import Tracked
from pipeline.quantisation.compilation import Wishes, compile_model
from pipeline.quantisation.inputs import Request
from pipeline.resources import shipped
from pipeline.tracking.track import TrackState

CONFIG = """
cameras: [{{id: cam, uri: "file:{video}"}}]
engines:
  npu: {{backend: sim-npu, retry_s: 0.1, {options}}}
  cpu: {{backend: onnxruntime}}
stages:
  detect: {{model: street-pico, engine: [npu, cpu], workers: 1}}
  track: {{}}
"""
PULLED, PLUGGED, FRAMES = 30, 60, 150
VIDEO = shipped("sample_videos") / "day.mp4"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that holds the shipped detector compiled for the device."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(folder))
        made = compile_model(
            subject("street-pico"),
            "hi3559a-nnie",
            Request(str(VIDEO)),
            Wishes("min-max", per_channel=True),
        )
        assert made.passed
        yield folder
    DEVICES.forget("npu")


def run(
    options: str = "", at: Callable[[int, Device], None] = lambda frame, device: None
) -> list[Packet[Tracked]]:
    """The first packets, with the device's engine told of each frame that has come out."""
    graph = pipeline.build(pipeline.loads(CONFIG.format(video=VIDEO, options=options)))
    packets = []
    for packet in pipeline.stream(graph):
        packets.append(packet)
        at(len(packets), DEVICES.of("npu"))
        if len(packets) == FRAMES:
            break
    return packets


def table(packets: list[Packet[Tracked]]) -> MotTable:
    rows = []
    for packet in packets:
        tracks = packet.payload.tracks
        sure = tracks.states == TrackState.CONFIRMED
        boxes, scores = tracks.boxes_xyxy, tracks.scores
        rows.append(rows_of_frame(packet.frame.index, tracks.ids, boxes, scores, 1)[sure])
    return table_from_rows(np.concatenate(rows), "tracks")


@pytest.fixture(scope="module")
def undisturbed(cache: Path) -> list[Packet[Tracked]]:
    return run()


FAULTS: dict[str, tuple[Callable[[Device], None], Callable[[Device], None]]] = {
    "gone": (Device.pull, Device.plug),
    "hung": (Device.hang, lambda device: None),
    "crashed": (Device.crash, lambda device: None),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_device_that_fails_and_comes_back_changes_no_identity(
    fault: str, undisturbed: list[Packet[Tracked]]
) -> None:
    begin, end = FAULTS[fault]

    def disturb(frame: int, device: Device) -> None:
        if frame == PULLED:
            begin(device)
        if frame == PLUGGED:
            end(device)

    packets = run(at=disturb)
    assert [packet.frame.index for packet in packets] == [p.frame.index for p in undisturbed]
    assert all(packet.status is Status.OK for packet in packets)
    assert [engine for engine, _ in groupby(p.engine for p in packets)] == ["npu", "cpu", "npu"]
    scores = evaluate(table(undisturbed), table(packets)).summary()
    assert scores["IDSW"] == 0
    assert scores["IDF1"] > 98
