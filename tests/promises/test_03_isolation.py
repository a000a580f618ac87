"""Promise 3: a dead, a flapping and a flooding camera change nothing for the others."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import quantiles
from typing import Any

import pytest

import engines.registry
import pipeline
from pipeline.graph import Graph, Node
from pipeline.packet import Packet
from pipeline.payloads import Tracked
from pipeline.report import RunReport
from pipeline.stage import Sink
from pipeline.supervisor import Supervisor
from tests.engines.faulty import order
from tests.promises.harness import free_port
from tests.rtsp.camera import Camera, Faults
from tests.rtsp.clip import encode

SECONDS, FPS = 3, 10
HEALTHY = [f"well{number}" for number in range(5)]
PAIRS, MOST_PAIRS = 3, 8
CONFIG = """
cameras:
{cameras}
engines:
  far: {{backend: faulty, orders: "{orders}", lag_s: 0.2}}
stages:
  detect: {{model: "{detector}", engine: far, workers: 24}}
  track: {{min_hits: 1, new_score: 0.2, high_score: 0.2}}
run: {{max_age_ms: 1000}}
"""


def serve(pipe: Connection) -> None:
    """A camera that comes and goes and one that sends broken pictures as fast as it can.

    In a process of their own, as cameras are. Sends their addresses, and ends when told anything.
    """
    clip = encode(width=160, height=96)
    with Camera(clip) as flapping, Camera(clip) as flooding:
        flooding.faults = Faults(speed=8.0, corruption=0.05)
        pipe.send((flapping.url, flooding.url))
        while not pipe.poll(0.5):
            flapping.go_away()
            pipe.poll(0.5)
            flapping.come_back()


@pytest.fixture(scope="module")
def faulty() -> Iterator[list[str]]:
    """Addresses of three cameras: nobody there, comes and goes, floods."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    yield [f"rtsp://127.0.0.1:{free_port()}/cam", *ours.recv()]
    ours.send("end")
    process.join(10)
    assert process.exitcode == 0


class Kept(Sink[Tracked]):
    """Keeps what came of the cameras that are well, and how old it was."""

    consumes = Tracked

    def __init__(self) -> None:
        self.ages_s: list[float] = []
        self.tracks: dict[str, list[tuple[Any, ...]]] = {name: [] for name in HEALTHY}

    def write(self, packet: Packet[Tracked]) -> None:
        frame, tracks = packet.frame, packet.payload.tracks
        if frame.camera in self.tracks:
            if frame.index >= FPS:  # in the first second everything begins at once
                self.ages_s.append((time.monotonic_ns() - frame.entered_ns) / 1e9)
            line = (frame.index, frame.pts_ns, packet.status)
            self.tracks[frame.camera].append(
                (*line, tracks.ids.tolist(), tracks.boxes_xyxy.tobytes(), tracks.labels.tolist())
            )

    @property
    def p95_s(self) -> float:
        return quantiles(self.ages_s, n=20)[-1]


def once(text: str) -> tuple[Kept, RunReport]:
    """Runs until the cameras that are well have ended."""
    kept = Kept()
    graph: Graph = pipeline.build(pipeline.loads(text))
    graph = graph.with_node(Node("kept", Kept, lambda run: kept, (graph.ends()[0],)))
    supervisor = Supervisor(graph)

    def end_with_the_last(report: RunReport) -> None:
        accounts = [report.ledger.get(name) for name in HEALTHY]
        if all(account and account.emitted == SECONDS * FPS for account in accounts):
            supervisor.stop()

    return kept, supervisor.run(end_with_the_last, interval_s=0.05)


def unchanged(alone_s: list[float], beside_s: list[float]) -> bool:
    """Whether ages grew by 10 % at most; the least is what other work disturbed least.

    A run has a hundred ages, so one hiccup of the machine moves a run's 95th percentile.
    """
    return min(beside_s) <= 1.10 * min(alone_s)


@pytest.mark.slow
@pytest.mark.usefixtures("alone")
def test_three_faulty_cameras_change_nothing_for_five_others(
    faulty: list[str],
    light_meter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, Any], None],
) -> None:
    monkeypatch.setitem(engines.registry.BUILT_IN, "faulty", "tests.engines.faulty:FaultyEngine")
    orders = tmp_path / "orders"
    # As over a network: what takes long takes no processor, so that other tests disturb it little.
    order(orders, "forward", "lag", after=1, times=-1)
    scene = f"rendered:day?size=160x96&fps={FPS}&seconds={SECONDS}"
    well = "".join(
        f'  - {{id: {name}, uri: "{scene}&seed={number}", pace: realtime}}\n'
        for number, name in enumerate(HEALTHY)
    )
    ill = "".join(
        f'  - {{id: ill{number}, uri: "{uri}", max_fps: {FPS}}}\n'
        for number, uri in enumerate(faulty)
    )
    alone = CONFIG.format(cameras=well, orders=orders, detector=light_meter)
    beside = CONFIG.format(cameras=well + ill, orders=orders, detector=light_meter)

    alone_s, beside_s = [], []
    while len(alone_s) < PAIRS or (len(alone_s) < MOST_PAIRS and not unchanged(alone_s, beside_s)):
        expected, undisturbed = once(alone)
        found, disturbed = once(beside)
        assert undisturbed.balanced
        assert disturbed.balanced
        assert found.tracks == expected.tracks
        assert all(any(line[3] for line in lines) for lines in expected.tracks.values())
        alone_s.append(expected.p95_s)
        beside_s.append(found.p95_s)
        conditions = {camera.id: camera.condition for camera in disturbed.cameras}
        assert disturbed.ledger["ill2"].dropped.get(("decode", "sampled"), 0) > 0
        assert "ill0" not in disturbed.ledger
        assert conditions["ill0"].sessions == 0
    record_property("p95_alone_ms", [round(1e3 * p95_s) for p95_s in alone_s])
    record_property("p95_beside_ms", [round(1e3 * p95_s) for p95_s in beside_s])
    assert unchanged(alone_s, beside_s)
