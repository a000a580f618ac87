"""Segments in one graph that runs on: each is answered when it is safe, whatever becomes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import pipeline
from pipeline.batch.clip import Clip, Segment
from pipeline.batch.footage import Footage
from pipeline.batch.job import Answer, SeeJob, Seen, Under
from pipeline.batch.piece import Piece, Pieces
from pipeline.batch.seeing import Seer
from pipeline.batch.seen import SeenSegment, finished
from pipeline.config import BatchRunConfig, PipelineConfig
from pipeline.graph import SOURCES
from pipeline.ledger import Ledger
from pipeline.media.picture import NoPicture
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Decoded
from pipeline.worker import Background
from tests.batch.pieces import cut

CONFIG = """
cameras: [{{id: clip, uri: clip.mp4}}]
engines: {{cpu0: {{backend: onnxruntime, threads: 1}}}}
stages: {{detect: {{model: "{model}"}}}}
batch: {{every: {every}}}
"""
WAIT_S = 60


def config_of(light_meter: Path, every: int = 1) -> PipelineConfig:
    return pipeline.loads(CONFIG.format(model=light_meter, every=every))


def see(config: PipelineConfig, *jobs: SeeJob) -> list[Answer]:
    answers: list[Answer] = []
    seer = Seer(config, answers.append)
    for job in jobs:
        seer.give(job)
    seer.finish()
    seer.run()
    return answers


def jobs_of(clip: Clip, folder: Path) -> list[SeeJob]:
    return [SeeJob(clip, segment, folder) for segment in clip.segments]


def test_segments_of_several_clips_are_seen_in_turn(light_meter, make_clip, tmp_path) -> None:
    one = cut(make_clip("one.mp4", gop=10), "one")
    other = cut(make_clip("other.mp4", gop=10, size=(96, 64)), "other")
    answers = see(
        config_of(light_meter),
        *jobs_of(one, tmp_path / "1"),
        SeeJob(Clip("gone", str(tmp_path / "gone.mp4")), Segment(0, 0, None), tmp_path / "2"),
        *jobs_of(other, tmp_path / "3"),
    )
    seen = [answer for answer in answers if isinstance(answer, Seen)]
    (failed,) = (answer for answer in seen if answer.error)
    assert (failed.clip, failed.frames) == ("gone", 0)
    assert "there is no such file" in failed.error
    assert not list((tmp_path / "2").iterdir())
    seen.remove(failed)
    thirds = [(number, 10) for number in range(3)]
    told = [(answer.clip, answer.segment, answer.frames) for answer in seen]
    assert told == [(name, *third) for name in ("one", "other") for third in thirds]
    for answer in seen:
        folder = tmp_path / ("1" if answer.clip == "one" else "3")
        assert finished(folder, answer.clip, answer.segment) == answer
        assert "light-meter/network.onnx on cpu0" in answer.bindings["detect"]
        assert "h264" in answer.bindings[SOURCES]
    frames = sum(answer.frames for answer in answers if isinstance(answer, Under))
    assert frames == 60


def test_every_second_frame_is_so_in_the_whole_clip(light_meter, make_clip, tmp_path) -> None:
    clip = cut(make_clip("clip.mp4", gop=9))
    see(config_of(light_meter, every=2), *jobs_of(clip, tmp_path))
    kept = [
        SeenSegment(tmp_path, clip.name, s.number).packets("postprocess") for s in clip.segments
    ]
    assert [packet.frame.index for packets in kept for packet in packets] == list(range(0, 30, 2))


def test_a_segment_waits_for_no_other_one(light_meter, make_clip, tmp_path) -> None:
    clip = cut(make_clip("clip.mp4", gop=15))
    answers: SimpleQueue[Answer] = SimpleQueue()
    seer = Seer(config_of(light_meter), answers.put)
    running = Background("seer", lambda stop: seer.run())
    running.start()
    for job in jobs_of(clip, tmp_path):
        seer.give(job)
        while not isinstance(answer := answers.get(timeout=WAIT_S), Seen):
            pass
        assert answer.segment == job.segment.number
    seer.finish()
    assert running.stop(WAIT_S)
    assert running.error is None


def test_a_frame_that_is_dropped_is_told_and_waited_for(make_clip, tmp_path) -> None:
    over: list[Piece] = []
    pieces = Pieces({SOURCES: "Decoded", "detect": "Decoded"}, over.append)
    clip = Clip("clip", str(make_clip("clip.mp4")))
    piece = pieces.begin(SeeJob(clip, Segment(0, 0, None), tmp_path))
    ledger, packets = Ledger(), []
    for number in range(3):
        ticket = ledger.enter("clip")
        ledger.fork(ticket, 2)
        pieces.let_in(piece)
        frame = FrameInfo("clip", number, number, 40 * number, 32, 24)
        packets.append(Packet(frame, Decoded(NoPicture(32, 24)), ticket))
        pieces.follow(packets[-1])
        piece.write(SOURCES, packets[-1])
        ledger.emit(ticket)
    footage = Footage(clip, Segment(0, 0, None), BatchRunConfig())
    piece.source_ended(footage, "")
    for packet in (packets[0], packets[2]):
        piece.write("detect", packet)
        ledger.emit(packet.ticket)
    assert not over
    assert pieces.news() == {"clip": 2}
    ledger.drop(packets[1].ticket, "postprocess", "bad_picture")
    assert over == [piece]
    assert all(packet.ticket.ended is None for packet in packets), "a circle of references"
    assert piece.finish({}).frames == 3
    kept = SeenSegment(tmp_path, "clip", 0)
    assert kept.marker.dropped == {40: "bad_picture"}
    assert [packet.frame.index for packet in kept.packets(SOURCES)] == [0, 1, 2]
    assert [packet.frame.index for packet in kept.packets("detect")] == [0, 2]


def test_what_cannot_be_written_is_that_segment_s_end_only(
    light_meter, make_clip, tmp_path
) -> None:
    clip = cut(make_clip("clip.mp4", gop=15))
    (tmp_path / "file").write_text("no folder")
    first, second = jobs_of(clip, tmp_path / "folder")
    answers = see(config_of(light_meter), replace(first, folder=tmp_path / "file"), second)
    one, other = (answer for answer in answers if isinstance(answer, Seen))
    assert "cannot be written" in one.error
    assert not other.error
    assert finished(tmp_path / "folder", "clip", 1) == other
