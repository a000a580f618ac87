"""The spool: kept, in order, bounded, and read after anything that may have happened to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import OutputError, PacketError
from pipeline.output import room
from pipeline.output.spool import Segment, Spool
from tests.output.full import fill, small_disk

MB = 1_000_000


def emptied(spool: Spool) -> list[bytes]:
    """All records, each segment acknowledged."""
    found = []
    while (segment := spool.take()) is not None:
        found += segment.records()
        spool.remove(segment)
    return found


def test_what_is_appended_comes_out_in_order_and_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 80 * 1000)
    records = [b"%d" % n * 50 for n in range(1000)]
    taken = []
    for number, record in enumerate(records):
        spool.append(record)
        if number % 300 == 0:
            taken += emptied(spool)
    assert taken + emptied(spool) == records
    assert (spool.size_bytes, spool.dropped) == (0, 0)
    spool.close()
    assert [path.name for path in (tmp_path / "spool").rglob("*") if path.is_file()] == ["lock"]


def test_what_was_not_acknowledged_comes_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MB)
    spool.append(b"first")
    first = spool.take()
    spool.append(b"second")
    assert first is not None
    assert spool.take() == first
    spool.close()
    again = Spool(tmp_path, MB)
    again.append(b"third")
    assert emptied(again) == [b"first", b"second", b"third"]
    again.close()


def test_a_full_spool_drops_the_oldest_and_counts_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, 10_000)
    for number in range(1000):
        spool.append(b"%04d" % number * 10)
        assert spool.size_bytes <= 10_000
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.segment")) <= 10_000
    left = emptied(spool)
    spool.close()
    assert spool.dropped + len(left) == 1000
    assert left[-1] == b"0999" * 10
    assert left == sorted(left)
    assert "the oldest" in caplog.text


def test_what_is_being_delivered_is_not_dropped(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool.append(b"precious")
    held = spool.take()
    assert held is not None
    for _ in range(1000):
        spool.append(bytes(40))
    assert held.records() == [b"precious"]
    spool.remove(held)
    spool.close()


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=8), st.data())
def test_a_torn_segment_gives_what_is_whole(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, MB)
    for record in records:
        spool.append(record)
    spool.close()
    (path,) = folder.rglob("*.segment")
    whole = path.read_bytes()
    kept = data.draw(st.integers(0, len(whole) - 1))
    path.write_bytes(whole[:kept])
    found = Segment(path, kept).records()
    assert found == records[: len(found)]
    assert sum(8 + len(record) for record in found) <= kept
    rest = kept - sum(8 + len(record) for record in found)
    assert rest < 8 + len(records[len(found)])


@given(st.integers(0, 8 * 60 - 1))
def test_a_flipped_bit_never_makes_a_record(
    tmp_path_factory: pytest.TempPathFactory, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool, records = Spool(folder, MB), [b"0123456", b"abcdef" * 4, b"xyz" * 2]
    for record in records:
        spool.append(record)
    spool.close()
    (path,) = folder.rglob("*.segment")
    changed = bytearray(path.read_bytes())
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    path.write_bytes(changed)
    found = Segment(path, len(changed)).records()
    assert len(found) < len(records)
    assert found == records[: len(found)]


def test_the_zeros_that_a_loss_of_power_leaves_are_no_records(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MB)
    spool.append(b"whole")
    spool.close()
    (path,) = tmp_path.rglob("*.segment")
    path.write_bytes(path.read_bytes() + bytes(4096))
    again = Spool(tmp_path, MB)
    assert emptied(again) == [b"whole"]
    again.close()


def test_a_segment_that_is_gone_does_not_stop_the_others(tmp_path: Path) -> None:
    spool = Spool(tmp_path, MB)
    spool.append(b"lost")
    first = spool.take()
    assert first is not None
    first.path.unlink()
    spool.append(b"next")
    assert emptied(spool) == [b"next"]
    spool.close()


def test_a_full_disk_pauses_and_room_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "RETRY_S", 0.0)
    with small_disk(tmp_path / "disk") as disk:
        spool = Spool(disk / "spool", 10 * MB)
        ballast = fill(disk, leave_kb=64)
        written = []
        with suppress(PacketError):
            while True:
                spool.append(b"%05d" % len(written) * 100)
                written.append(b"%05d" % len(written) * 100)
        assert spool.room.paused
        assert written
        ballast.unlink()
        spool.append(b"again")
        assert emptied(spool) == [*written, b"again"]
        spool.close()


def test_processes_share_a_folder_and_adopt_what_one_leaves(tmp_path: Path) -> None:
    first, second = Spool(tmp_path, MB), Spool(tmp_path, MB)
    first.append(b"of the first")
    second.append(b"of the second")
    second.adopt()
    segment = second.take()
    assert segment is not None
    assert segment.records() == [b"of the second"]
    first.close()
    second.append(b"later")
    second.adopt()
    assert emptied(second) == [b"of the second", b"later", b"of the first"]
    third = Spool(tmp_path, MB)
    assert emptied(third) == []
    third.close()
    second.close()
    assert not list(tmp_path.rglob("*.segment"))


def test_a_folder_that_cannot_be_used_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="change the spool's 'path'"):
        Spool(tmp_path / "file" / "spool", MB)


KILLED = """
import sys
from contextlib import suppress
from pathlib import Path
from pipeline.output.spool import Spool
spool = Spool(Path(sys.argv[1]), 100_000_000)
for number in range(10**9):
    spool.append(b"%09d" % number * 200)
    if number % 100 == 0:
        print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        reached = 0
        while reached < 3000:
            reached = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
    spool = Spool(tmp_path, 100 * MB)
    numbers = [int(record[:9]) for record in emptied(spool)]
    spool.close()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > reached
