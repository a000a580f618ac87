from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from pipeline.crew import Batch
from pipeline.errors import GraphError
from pipeline.graph import SOURCES, Binding, Camera, Graph, Node, lanes
from pipeline.media.source import Source
from pipeline.packet import Packet
from pipeline.payloads import Decoded, Detected, ModelInput
from pipeline.queues import OnFull
from pipeline.stage import Join, Sink, Stage


class Prepare(Stage[Decoded, ModelInput]):
    consumes, produces = Decoded, ModelInput

    def process(self, packet: Packet[Decoded]) -> Iterable[Packet[ModelInput]]:
        return ()


class Find(Stage[ModelInput, Detected]):
    consumes, produces = ModelInput, Detected
    per_camera = True

    def process(self, packet: Packet[ModelInput]) -> Iterable[Packet[Detected]]:
        return ()


class Both(Join[Detected, Detected]):
    consumes, produces = Detected, Detected

    def join(self, packets: Any) -> Iterable[Packet[Detected]]:
        return ()


class Out(Sink[Detected]):
    consumes = Detected

    def write(self, packet: Packet[Detected]) -> None: ...


def no_source() -> Source:
    raise AssertionError("a graph starts nothing")


def camera(name: str = "gate", **settings: Any) -> Camera:
    return Camera(name, f"{name}.mp4", no_source, **settings)


def node(name: str, stage: type[Stage[Any, Any]], *after: str, **settings: Any) -> Node:
    return Node(name, stage, lambda run: stage(), after, **settings)


CHAIN = (
    node("prepare", Prepare, SOURCES),
    node("find", Find, "prepare"),
    node("out", Out, "find"),
)


def test_stages_are_sorted_so_that_predecessors_come_first() -> None:
    graph = Graph((camera(),), CHAIN[::-1])
    assert [n.name for n in graph.nodes] == ["prepare", "find", "out"]
    assert [n.name for n in graph.successors("find")] == ["out"]
    assert graph.ends() == ["find"]
    graph.check_runnable()


@pytest.mark.parametrize(
    ("cameras", "nodes", "message"),
    [
        pytest.param((), CHAIN, "there is no camera", id="no camera"),
        pytest.param(
            (camera(), camera()), CHAIN, "two cameras are called 'gate'", id="same camera"
        ),
        pytest.param(
            (camera(),), (*CHAIN, CHAIN[0]), "two stages are called 'prepare'", id="twice"
        ),
        pytest.param(
            (camera(),),
            (*CHAIN, node("out2", Out, "fnid")),
            "'out2' is after 'fnid', which is no stage; did you mean 'find'",
            id="unknown predecessor",
        ),
        pytest.param(
            (camera(),),
            (node("a", Both, "b"), node("b", Both, "a")),
            "wait for each other in a cycle: a, b",
            id="cycle",
        ),
        pytest.param(
            (camera(),),
            (CHAIN[0], node("out", Out, "prepare")),
            "'out' takes Detected, but 'prepare' gives ModelInput; no stage of this graph gives",
            id="misfit without remedy",
        ),
        pytest.param(
            (camera(),),
            (*CHAIN, node("again", Find, "find"), node("out2", Out, "again")),
            "'again' takes ModelInput, but 'find' gives Detected; set its `after` to 'prepare'",
            id="misfit with remedy",
        ),
        pytest.param(
            (camera(),),
            (*CHAIN, node("more", Out, "out")),
            "'more' cannot follow 'out', which is an output",
            id="after an output",
        ),
        pytest.param(
            (camera(),),
            (*CHAIN[:2], node("find2", Find, "prepare"), node("out", Out, "find", "find2")),
            "takes one predecessor, but `after` names 2 (find, find2); put a merge stage between",
            id="two predecessors without a merge",
        ),
    ],
)
def test_what_makes_no_graph_is_refused(
    cameras: tuple[Camera, ...], nodes: tuple[Node, ...], message: str
) -> None:
    with pytest.raises(GraphError) as caught:
        Graph(cameras, nodes)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ((), "no stage takes the cameras' frames"),
        (CHAIN[:2], "nothing takes what stage 'find' gives: add an output"),
    ],
)
def test_a_graph_with_a_loose_end_is_not_runnable(nodes: tuple[Node, ...], message: str) -> None:
    graph = Graph((camera(),), nodes)
    with pytest.raises(GraphError) as caught:
        graph.check_runnable()
    assert message in str(caught.value)


def test_lanes_follow_the_cameras_at_the_entrance_and_the_branches_at_a_join() -> None:
    cameras = (camera("gate", on_full=OnFull.DROP_OLDEST), camera("yard"))
    assert lanes(CHAIN[0], cameras) == {"gate": OnFull.DROP_OLDEST, "yard": OnFull.BLOCK}
    assert lanes(CHAIN[1], cameras) == {"": OnFull.BLOCK}
    assert list(lanes(node("both", Both, "a", "b"), cameras)) == ["a", "b"]


def test_the_drawings_show_every_camera_stage_and_binding() -> None:
    behind = Binding("cpu0", "onnxruntime", "cpu", "fp32")
    binding = Binding("npu0", "sim-npu", "core 1", "int8", "street-pico", behind=(behind,))
    nodes = (
        CHAIN[0],
        node("find", Find, "prepare", workers=2, batch=Batch(4, 0.005), binding=binding),
        CHAIN[2],
    )
    graph = Graph((camera(max_fps=15, realtime=True), camera("yard", every=2)), nodes)
    text = graph.text()
    for part in (
        "gate: gate.mp4  [entrance: block, ≤15 fps, real time]",
        "1 of 2",
        "street-pico on npu0 (sim-npu/core 1/int8), else cpu0 (onnxruntime/cpu/fp32); "
        "×2 workers, by camera; batch ≤4 in 5 ms",
        "▶ out      ⟵ find",
        "▶ prepare  ⟵ decode   [host]",
    ):
        assert part in text
    mermaid = graph.mermaid()
    assert mermaid.startswith("flowchart LR\n")
    assert "prepare --> find" in mermaid
    assert 'out[/"out"/]' in mermaid
