"""What analytics found goes into a recording and comes out of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import pipeline
from pipeline.analytics.event import Analysis, Event
from pipeline.detection.detections import Detections
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Tracked
from pipeline.recording.file import About, Recording, RecordingWriter
from pipeline.recording.replay import replay
from pipeline.recording.sink import recording_graph
from pipeline.tracking.track import Tracks

PICTURE = BgrPicture(np.zeros((4, 4, 3), np.uint8))


def again(analysis: Analysis | None, path: Path) -> Analysis | None:
    """What was written, as it is read."""
    payload = Tracked(PICTURE, Detections.empty(), Tracks.empty(), analysis=analysis)
    writer = RecordingWriter(path, About(at="analyse", payload="Tracked"))
    writer.write(Packet(FrameInfo("cam", 0, 0, 0, 4, 4), payload, Ticket("cam")))
    writer.finish()
    with Recording(path) as recording:
        (packet,) = recording.packets()
    found: Analysis | None = packet.payload.analysis
    return found


def test_events_tallies_and_speeds(tmp_path: Path) -> None:
    crossing = Event("gate.1", "cross", 1_234_567_891, 7, 0, (10.25, 3.1), "in")
    crowd = Event("square", "crowd", 2, 0, -1, (1.0, 2.0), value=5.0)
    tallies = {"gate.1": {"in": 1, "out": 0}, "square": {"inside": 5, "crowds": 1}}
    speeds = np.array([31.5, np.nan], np.float32)
    found = again(Analysis((crossing, crowd), tallies, speeds), tmp_path / "a.slr")
    assert found is not None
    assert [repr(event) for event in found.events] == [repr(crossing), repr(crowd)]
    assert found.tallies == tallies
    assert found.speeds_kmh.dtype == np.float32
    assert np.array_equal(found.speeds_kmh, speeds, equal_nan=True)


def test_nothing_found_is_not_the_same_as_nobody_asked(tmp_path: Path) -> None:
    found = again(Analysis(), tmp_path / "a.slr")
    assert found is not None
    assert (found.events, found.tallies, len(found.speeds_kmh)) == ((), {}, 0)
    assert again(None, tmp_path / "b.slr") is None


CONFIG = """
cameras: [{id: street, uri: "rendered:day?seconds=0.6"}]
stages:
  detect: {model: street-pico}
  analyse: {rules: {all: {kind: zone, points: [[0, 0], [1, 0], [1, 1], [0, 1]], loiter_s: 0.2}}}
outputs: []
"""


def test_the_stage_runs_alone_on_recorded_tracks(tmp_path: Path) -> None:
    graph = pipeline.build(pipeline.loads(CONFIG))
    for stage in ("track", "analyse"):
        pipeline.run(recording_graph(graph, stage, tmp_path / stage))
    with Recording(tmp_path / "track") as given, Recording(tmp_path / "analyse") as wanted:
        found = [packet.payload.analysis for packet in replay(graph, "analyse", given)]
        expected = [packet.payload.analysis for packet in wanted.packets()]
    assert {event.kind for analysis in found for event in analysis.events} >= {"enter", "loiter"}
    assert [repr(analysis) for analysis in found] == [repr(analysis) for analysis in expected]
