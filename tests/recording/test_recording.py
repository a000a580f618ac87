"""Recordings: every stage boundary, there and back; one stage from a recording; damaged files."""

from __future__ import annotations

import json
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import pipeline
from pipeline.cli.main import app
from pipeline.errors import DataError, GraphError, PipelineError
from pipeline.graph import SOURCES, Graph
from pipeline.packet import Packet
from pipeline.parity import difference
from pipeline.recording.file import Recording
from pipeline.recording.replay import replay
from pipeline.recording.sink import recording_graph

STAGES = ("preprocess", "detect", "postprocess", "camera_motion", "embed", "track")
CONFIG = """
cameras:
  - {id: street, uri: "rendered:day?seconds=0.4"}
engines:
  cpu0: {backend: onnxruntime, threads: 1}
stages:
  detect: {model: street-pico, engine: cpu0}
  camera_motion: {width: 320}
  embed: {model: reid-pico, engine: cpu0}
outputs: []
"""


@pytest.fixture(scope="module")
def graph() -> Graph:
    return pipeline.build(pipeline.loads(CONFIG))


@pytest.fixture(scope="module")
def recordings(graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One recording of each boundary."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = {at: folder / f"{at}.slr" for at in (SOURCES, *STAGES)}
    for at, path in paths.items():
        pipeline.run(recording_graph(graph, at, path))
    return paths


@pytest.mark.parametrize(("before", "stage"), list(pairwise((SOURCES, *STAGES))))
def test_a_stage_gives_again_what_was_recorded(
    graph: Graph, recordings: dict[str, Path], before: str, stage: str
) -> None:
    with Recording(recordings[before]) as given, Recording(recordings[stage]) as wanted:
        pairs = list(zip(wanted.packets(), replay(graph, stage, given), strict=True))
    assert len(pairs) > 5
    for expected, found in pairs:
        assert (found.frame, found.status, found.engine) == (
            expected.frame, expected.status, expected.engine,
        )  # fmt: skip
        differences = difference(expected, found)
        assert differences
        assert set(differences.values()) == {0.0}


PARTS = ("kalman", "matching", "screening")


@pytest.fixture(scope="module")
def in_parts() -> Graph:
    text = CONFIG.replace("outputs:", "  kalman: {preset: deepsort}\noutputs:")
    street = '{id: street, uri: "rendered:day?seconds=0.4"}'
    return pipeline.build(
        pipeline.loads(text.replace(street, f"{street}\n  - {street.replace('street,', 'two,')}"))
    )


@pytest.fixture(scope="module")
def parts(in_parts: Graph, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One recording of each part of the tracker, and of what it takes."""
    folder = tmp_path_factory.mktemp("parts")
    paths = {at: folder / f"{at}.slr" for at in ("embed", *PARTS)}
    for at, path in paths.items():
        pipeline.run(recording_graph(in_parts, at, path))
    return paths


@pytest.mark.parametrize(("before", "stage"), list(pairwise(("embed", *PARTS))))
def test_each_part_of_the_tracker_runs_alone(
    in_parts: Graph, parts: dict[str, Path], before: str, stage: str
) -> None:
    with (
        Recording(parts[before]) as given,
        Recording(parts[stage]) as wanted,
        Recording(parts["screening"]) as feedback,
    ):
        found = {key(packet): packet for packet in replay(in_parts, stage, given, feedback)}
        expected = {key(packet): packet for packet in wanted.packets()}
    assert found.keys() == expected.keys()
    assert len(found) == 20
    for frame, packet in found.items():
        differences = difference(expected[frame], packet)
        assert differences
        assert set(differences.values()) == {0.0}


def key(packet: Packet[Any]) -> tuple[str, int]:
    return packet.frame.camera, packet.frame.sequence


def test_kalman_alone_needs_what_was_given_back(
    in_parts: Graph, parts: dict[str, Path], recordings: dict[str, Path]
) -> None:
    with Recording(parts["embed"]) as given, Recording(recordings["track"]) as short:
        with pytest.raises(GraphError, match=r"waits for what 'screening' gives back.*--feedback"):
            replay(in_parts, "kalman", given)
        with pytest.raises(DataError, match=r"embed\.slr: what 'embed' gives has no tracker's"):
            list(replay(in_parts, "kalman", given, given))
        with pytest.raises(DataError, match=r"track\.slr: "):  # it is of one camera
            list(replay(in_parts, "kalman", given, short))


def test_a_stage_needs_what_it_takes(graph: Graph, recordings: dict[str, Path]) -> None:
    with Recording(recordings[SOURCES]) as given:
        with pytest.raises(GraphError, match=r"takes ModelInput, but the recording has .* Decoded"):
            replay(graph, "detect", given)
        with pytest.raises(GraphError, match="no stage is called 'detekt'; there are preprocess"):
            replay(graph, "detekt", given)


@pytest.mark.parametrize("content", [b"", b"PK nothing", b"x" * 1000, None])
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bad.slr"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.slr: cannot be read as a recording"):
        Recording(path)


def test_a_truncated_recording_is_refused(recordings: dict[str, Path], tmp_path: Path) -> None:
    whole = recordings["track"].read_bytes()
    (tmp_path / "half.slr").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"half\.slr"):
        Recording(tmp_path / "half.slr")


def test_a_recording_may_be_older_than_a_field(recordings: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "old.slr"
    with (
        zipfile.ZipFile(recordings["camera_motion"]) as whole,
        zipfile.ZipFile(path, "w") as other,
    ):
        for name in whole.namelist():
            data = whole.read(name)
            if name.endswith(".json") and name != "recording.json":
                header = json.loads(data)
                del header["payload"]["camera_motion"]
                data = json.dumps(header).encode()
            other.writestr(name, data)
    with Recording(recordings["camera_motion"]) as new, Recording(path) as old:
        assert any(packet.payload.camera_motion for packet in new.packets())
        assert [packet.payload.camera_motion for packet in old.packets()] == [None] * 10


def test_a_damaged_packet_is_named(recordings: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "odd.slr"
    with (
        zipfile.ZipFile(recordings["postprocess"]) as whole,
        zipfile.ZipFile(path, "w") as other,
    ):
        for name in whole.namelist():
            if not name.endswith("scores.npy") or not name.startswith("000002"):
                other.writestr(name, whole.read(name))
    with Recording(path) as recording, pytest.raises(DataError, match=r"odd\.slr: packet 000002"):
        list(recording.packets())


def test_a_failed_run_leaves_no_recording(tmp_path: Path) -> None:
    broken = CONFIG.replace("rendered:day?seconds=0.4", f"{tmp_path}/nothing.mp4")
    graph = pipeline.build(pipeline.loads(broken))
    with pytest.raises(PipelineError):
        pipeline.run(recording_graph(graph, "detect", tmp_path / "out.slr"))
    assert not list(tmp_path.iterdir())


def test_the_commands(tmp_path: Path) -> None:
    config, one, two = tmp_path / "c.yaml", tmp_path / "1.slr", tmp_path / "2.slr"
    config.write_text(CONFIG)
    run = CliRunner()
    kept = run.invoke(app, ["record", str(config), "--at", "preprocess", "-o", str(one)])
    assert kept.exit_code == 0, kept.output
    assert "frames of what 'preprocess' gives" in kept.output
    arguments = ["replay", str(one), str(config), "--stage", "detect"]
    assert run.invoke(app, [*arguments, "-o", str(two)]).exit_code == 0
    same = run.invoke(app, [*arguments, "--expect", str(two)])
    assert same.exit_code == 0
    assert "0 of" in same.output
    other = ["--set", "engines.cpu0={backend: opencv}", "--expect", str(two)]
    assert "detect:" in run.invoke(app, [*arguments, *other]).output
