"""What the benchmarks measure with; nothing here looks at a clock's value."""

from pathlib import Path

import pytest

import pipeline
from benchmarks.clips import clip
from benchmarks.harness import Goal, Row, Usage, interleaved, machine
from benchmarks.idle import SIDE, detector
from benchmarks.results import page, table
from pipeline.graph import SOURCES
from pipeline.serial import run_serially


def test_variants_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []

    def variant(name: str) -> int:
        calls.append(name)
        return len(calls)

    numbers = interleaved({"a": lambda: variant("a"), "b": lambda: variant("b")}, rounds=2)
    assert "".join(calls) == "abbaab"
    assert numbers == {"a": [4, 5], "b": [3, 6]}


def test_a_ratio_is_the_median_of_neighbours() -> None:
    row = Row("x", "ms", ours=[1, 20, 3], beside="y", other=[2, 10, 3])
    assert row.value == 3
    assert row.ratio == 1.0


@pytest.mark.parametrize(
    ("goal", "met"),
    [
        (Goal("value", "at most", 3), True),
        (Goal("value", "at most", 2.9), False),
        (Goal("value", "at least", 3), True),
        (Goal("ratio", "at most", 0.5), True),
        (Goal("ratio", "at least", 0.6), False),
    ],
)
def test_goals(goal: Goal, met: bool) -> None:
    assert goal.met(Row("x", "ms", [3.0], "y", [6.0], goal)) is met


def test_table() -> None:
    rows = [
        Row("fast", "µs", [3.14159], "slow", [314.159], Goal("ratio", "at most", 0.5)),
        Row("small", "MB", [200.0], goal=Goal("value", "at most", 100)),
    ]
    lines = table(rows).splitlines()
    assert lines[2] == "| fast | 3.14 µs | slow | 314 µs | 0.01× | ≤0.5× | met |"
    assert lines[3] == "| small | 200 MB |  |  |  | ≤100 MB | **missed** |"
    assert "## things\n\nAbout things.\n\n| measured" in page(
        "m", "k", {"things": ("About things.", rows)}
    )


def test_usage_counts_this_process_and_the_machine() -> None:
    with Usage() as usage:
        sum(range(200_000))
    assert usage.wall_s > 0
    assert usage.cpu_s > 0
    assert usage.others >= 0
    assert "2 of" in machine(2)


def test_the_serial_loop_does_what_the_graph_does(tmp_path: Path) -> None:
    video, model = clip(tmp_path, 12, SIDE, SIDE), detector(tmp_path / "idle")
    texts = []
    for name in ("graph", "loop"):
        result = tmp_path / f"{name}.jsonl"
        graph = pipeline.build(
            pipeline.loads(
                f'cameras: [{{id: tiny, uri: "{video}"}}]\n'
                "engines: {cpu0: {backend: onnxruntime, device: cpu}}\n"
                f'stages: {{detect: {{model: "{model}", engine: cpu0}}}}\n'
                f'outputs: [{{file: {{path: "{result}.csv"}}}}, {{file: {{path: "{result}"}}}}]\n'
            )
        )
        if name == "graph":
            pipeline.run(graph)
        else:
            with run_serially(graph) as loop:
                assert [step[SOURCES][0].frame.index for step in loop] == list(range(12))
        texts.append(result.read_text())
    assert texts[0] == texts[1]
    assert texts[0].count('"id"') > 12
