"""The sinks, driven by hand as a worker would."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.errors import OutputError, PacketError
from pipeline.output.listen import Listener
from pipeline.output.sinks import build_sink, sink_class
from pipeline.output.sinks.recording import camera_rows
from pipeline.output.spec import OutputSpec
from pipeline.packet import Packet, Status
from pipeline.payloads import Tracked
from pipeline.stage import Sink, drive

LABELS = ("person", "car")


def sink(said: dict[str, Any], cameras: tuple[str, ...] = ("gate",)) -> Sink[Tracked]:
    spec = OutputSpec.model_validate(said)
    made = build_sink(spec, cameras, LABELS)
    assert type(made) is sink_class(spec)
    assert made.consumes is Tracked
    return made


@pytest.mark.parametrize("form", ["telegram", "json"])
@pytest.mark.parametrize("secure", [False, True])
def test_udp_tells_all_that_happened(make_packet: Any, form: str, secure: bool) -> None:
    key = bytes(range(32)) if secure and form == "telegram" else None
    with Listener("127.0.0.1:0", key) as listener:
        said: dict[str, Any] = {"to": str(listener.address), "format": form, "mtu": 700}
        if key is not None:
            said["secure"] = {"key": key.hex()}
        packets = [make_packet(index, count=5, happened=12 * index) for index in range(3)]
        list(drive(sink({"udp": said}), packets))
        heard = list(listener.messages(timeout_s=0.2))
    statistics = listener.statistics
    assert (statistics.messages, statistics.lost, statistics.incomplete) == (4, 0, 0)
    assert (statistics.malformed, statistics.refused) == ({}, {})
    for packet in packets:
        parts = [message for message in heard if message.frame == packet.frame.index]
        found = [event for part in parts if part.analysis for event in part.analysis.events]
        assert packet.payload.analysis is not None
        sent = packet.payload.analysis.events
        assert [(e.rule, e.kind, e.track, e.pts_ns) for e in found] == [
            (e.rule, e.kind, e.track, e.pts_ns) for e in sent
        ]
        assert sum(len(part.tracks) for part in parts if not part.last) == 5
    assert not any(message.analysis for message in heard if message.last)


@pytest.mark.parametrize("form", ["telegram", "json"])
def test_udp_numbers_each_cameras_messages_without_gaps(make_packet: Any, form: str) -> None:
    with Listener("127.0.0.1:0") as listener:
        sending = sink({"udp": {"to": str(listener.address), "format": form, "mtu": 576}})
        packets = [make_packet(i, camera, 30) for i in (0, 5, 9) for camera in ("gate", "yard")]
        list(drive(sending, packets))
        heard = list(listener.messages(timeout_s=0.2))
    statistics = listener.statistics
    assert (statistics.messages, statistics.lost, statistics.incomplete) == (8, 0, 0)
    assert {m.sequence for m in heard if m.camera == "yard"} == {0, 1, 2, 3}
    assert {m.frame for m in heard} == {0, 5, 9}
    assert len({(m.session, m.camera) for m in heard}) == 2
    assert all(m.age_ms is not None for m in heard if not m.last)
    assert [(m.camera, m.sequence) for m in heard if m.last] == [("gate", 3), ("yard", 3)]
    assert sum(len(m.tracks) for m in heard) == 6 * 30


def test_a_camera_that_is_forgotten_ends_and_begins_anew(make_packet: Any) -> None:
    with Listener("127.0.0.1:0") as listener:
        sending = sink({"udp": {"to": str(listener.address)}}, ("gate", "yard"))
        sending.open()
        for camera in ("gate", "yard"):
            sending.write(make_packet(0, camera))
        sending.forget("gate")
        sending.forget("nobody")
        sending.write(make_packet(0, "gate"))
        list(sending.flush())
        sending.close()
        heard = list(listener.messages(timeout_s=0.2))
    gate = [message for message in heard if message.camera == "gate"]
    assert [(m.sequence, m.last) for m in gate] == [(0, False), (1, True)] * 2
    assert len({message.session for message in gate}) == 2
    assert sum(message.last for message in heard) == 3


def test_a_sealed_sink_stays_within_its_mtu(make_packet: Any) -> None:
    key = bytes(range(32))
    with Listener("127.0.0.1:0", key) as listener:
        said = {"to": str(listener.address), "mtu": 576, "secure": {"key": key.hex()}}
        packets = [
            make_packet(index, camera, 60) for index in (0, 1) for camera in ("gate", "yard")
        ]
        list(drive(sink({"udp": said}), packets))
        heard = list(listener.messages(timeout_s=0.2))
    assert sum(len(message.tracks) for message in heard) == 4 * 60
    assert (listener.statistics.lost, listener.statistics.incomplete) == (0, 0)
    assert (listener.statistics.refused, listener.statistics.malformed) == ({}, {})


def test_udp_counts_what_the_network_did_not_take(make_packet: Any) -> None:
    with Listener("127.0.0.1:0") as listener:
        address = str(listener.address)
    sending = sink({"udp": {"to": address}})
    list(drive(sending, [make_packet(i) for i in range(4)]))
    counts = sending.counts()
    assert sum(counts.values()) == 5  # the last one says that the camera ended
    assert counts["lost refused"] > 0


def test_a_packet_that_no_telegram_can_tell_is_dropped_with_a_reason(make_packet: Any) -> None:
    sending = sink({"udp": {"to": "127.0.0.1:9"}}, ("c" * 200,))
    sending.open()
    with pytest.raises(PacketError) as caught:
        sending.write(make_packet(camera="c" * 200))
    list(sending.flush())  # which has an ending to tell, and cannot either
    sending.close()
    assert caught.value.reason == "not_encodable"


def test_more_classes_than_a_telegram_can_number_are_refused() -> None:
    spec = OutputSpec.model_validate({"udp": {"to": "127.0.0.1:9"}})
    with pytest.raises(OutputError, match="use 'json'"):
        build_sink(spec, ("gate",), ("x",) * 8193)


@pytest.mark.parametrize("happened", [None, 5])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.mot.txt", "a.coco.json"])
def test_the_same_packets_give_the_same_bytes(
    tmp_path: Path, make_packet: Any, name: str, happened: int | None
) -> None:
    paths = [tmp_path / run / name for run in ("one", "two")]
    for path in paths:
        packets = [
            make_packet(i, status=Status.BLIND if i == 2 else Status.OK, happened=happened)
            for i in range(5)
        ]
        list(drive(sink({"file": {"path": str(path)}}), packets))
    first, second = (path.read_bytes() for path in paths)
    assert first == second != b""


def test_a_blind_frame_is_blind_in_the_file(tmp_path: Path, make_packet: Any) -> None:
    path = tmp_path / "a.jsonl"
    packets = [make_packet(0, count=0), make_packet(1, count=0, status=Status.BLIND)]
    list(drive(sink({"file": {"path": str(path)}}), packets))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["status"], line["tracks"]) for line in lines] == [("ok", []), ("blind", [])]


@pytest.mark.parametrize("name", ["a.csv", "a.mot.txt"])
def test_a_table_of_tracks_is_the_same_whatever_happened(
    tmp_path: Path, make_packet: Any, name: str
) -> None:
    for happened in (None, 3):
        path = tmp_path / str(happened) / name
        list(drive(sink({"file": {"path": str(path)}}), [make_packet(1, happened=happened)]))
    quiet, busy = ((tmp_path / str(happened) / name).read_bytes() for happened in (None, 3))
    assert quiet == busy != b""


def test_each_camera_gets_its_file(tmp_path: Path, make_packet: Any) -> None:
    writing = sink({"file": {"path": str(tmp_path / "{camera}.mot.txt")}}, ("gate", "yard"))
    list(drive(writing, [make_packet(0, "gate", 2), make_packet(0, "yard", 1)]))
    assert (tmp_path / "gate.mot.txt").read_text().count("\n") == 2
    assert (tmp_path / "yard.mot.txt").read_text().count("\n") == 1


def test_cameras_share_a_jsonl_file(tmp_path: Path, make_packet: Any) -> None:
    path = tmp_path / "a.jsonl"
    packets = [make_packet(0, camera) for camera in ("gate", "yard")]
    list(drive(sink({"file": {"path": str(path)}}, ("gate", "yard")), packets))
    cameras = [json.loads(line)["camera"] for line in path.read_text().splitlines()]
    assert cameras == ["gate", "yard"]


@pytest.mark.parametrize(
    ("said", "better"),
    [
        ({"file": {"path": "out/a.mot.txt"}}, r"out/\{camera\}\.mot\.txt"),
        ({"file": {"path": "out/a.coco.json"}}, r"out/\{camera\}\.coco\.json"),
        ({"annotate": {"path": "a.mp4"}}, r"\{camera\}\.mp4"),
    ],
)
def test_formats_for_one_camera_ask_for_a_file_each(said: dict[str, Any], better: str) -> None:
    with pytest.raises(OutputError, match=better):
        sink(said, ("gate", "yard"))


def test_one_file_that_cannot_be_finished_does_not_keep_the_others(
    tmp_path: Path, make_packet: Any
) -> None:
    writing = sink({"file": {"path": str(tmp_path / "{camera}.csv")}}, ("gate", "yard"))

    def packets() -> Any:
        yield make_packet(0, "gate")
        yield make_packet(0, "yard")
        (tmp_path / "gate.csv").mkdir()  # in the way of the name

    with pytest.raises(OutputError, match=r"cannot finish .*gate\.csv"):
        list(drive(writing, packets()))
    assert (tmp_path / "yard.csv").read_text().count("\n") == 4
    assert (tmp_path / "gate.csv.part").is_file()


def test_a_path_without_cameras_in_it_is_everyones() -> None:
    assert camera_rows("a.csv", ("x", "y"), shared=True) == {"x": "a.csv", "y": "a.csv"}


def failing(packets: list[Packet[Tracked]]) -> Any:
    yield from packets
    raise RuntimeError("upstream")


@pytest.mark.parametrize("kind", ["file", "events", "annotate"])
def test_a_run_that_fails_leaves_no_file_that_looks_finished(
    tmp_path: Path, make_packet: Any, kind: str
) -> None:
    name = "a.mp4" if kind == "annotate" else "a.jsonl"
    packets = failing([make_packet(happened=1)])
    with pytest.raises(RuntimeError, match="upstream"):
        list(drive(sink({kind: {"path": str(tmp_path / name)}}), packets))
    assert [p.name for p in tmp_path.iterdir()] == [f"{name}.part"]


@pytest.mark.parametrize("kind", ["annotate", "events", "file"])
def test_an_unwritable_path_is_known_at_open(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    name = "a.mp4" if kind == "annotate" else "a.csv"
    writing = sink({kind: {"path": str(tmp_path / "file" / name)}})
    with pytest.raises(OutputError, match="change the output's 'path'"):
        writing.open()
    writing.close()


def test_an_annotated_video_has_every_frame_at_its_time(tmp_path: Path, make_packet: Any) -> None:
    path = tmp_path / "a.mp4"
    packets = [make_packet(i, size=(160, 120)) for i in (0, 1, 2, 5)]
    packets.append(make_packet(6, size=(320, 240)))  # the camera changes its resolution
    list(drive(sink({"annotate": {"path": str(path)}}), packets))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    with av.open(str(path)) as video:
        times_s = [frame.time for frame in video.decode(video=0)]
    since_first = [time_s - times_s[0] for time_s in times_s]
    assert since_first == pytest.approx([0, 0.04, 0.08, 0.2, 0.24], abs=1e-3)


def test_a_camera_without_a_frame_leaves_no_video(tmp_path: Path) -> None:
    list(drive(sink({"annotate": {"path": str(tmp_path / "a.mp4")}}), []))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "said",
    [
        {"file": {"path": "{camera}.jsonl"}},
        {"events": {"path": "{camera}.csv"}},
        {"annotate": {"path": "{camera}.mp4"}},
    ],
)
def test_a_cameras_file_begins_and_ends_with_it(
    make_packet: Any, said: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suffix = next(iter(said.values()))["path"].removeprefix("{camera}")
    there = sink(said, ("gate",))
    there.open()
    there.write(make_packet(0, "gate", happened=1))
    for camera in ("yard", "never"):
        there.expect(camera)
    there.write(make_packet(0, "yard", happened=1))
    there.forget("yard")
    assert (tmp_path / f"yard{suffix}").stat().st_size, "it is finished"
    there.forget("never")
    assert not list(tmp_path.glob("never*")), "nothing was written, nothing is left"
    there.write(make_packet(1, "gate", happened=1))
    assert not (tmp_path / f"gate{suffix}").exists()
    list(there.flush())
    there.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"gate{suffix}", f"yard{suffix}"]


def test_a_file_for_all_cameras_outlives_each_of_them(make_packet: Any, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    there = sink({"file": {"path": str(path)}}, ("gate",))
    there.open()
    there.write(make_packet(0, "gate"))
    there.expect("yard")
    there.write(make_packet(0, "yard"))
    there.forget("gate")
    assert not path.exists()
    there.write(make_packet(1, "yard"))
    list(there.flush())
    there.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["camera"] for line in lines] == ["gate", "yard", "yard"]


def test_a_file_that_cannot_be_there_keeps_its_camera_away(tmp_path: Path) -> None:
    there = sink({"file": {"path": f"{tmp_path}/{{camera}}.jsonl"}})
    there.open()
    (tmp_path / "yard.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"yard\.jsonl"):
        there.expect("yard")
    there.forget("yard")
    there.close()
