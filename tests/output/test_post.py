"""Messages to a receiver that acknowledges, whatever it does meanwhile."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PacketError
from pipeline.output import courier as couriers
from pipeline.output.sinks import build_sink
from pipeline.output.spec import OutputSpec
from pipeline.payloads import Tracked
from pipeline.stage import Sink, drive
from tests.output.full import fill, small_disk
from tests.output.web import WebReceiver


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couriers, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(couriers, "LONGEST_WAIT_S", 0.1)


def sink(url: str, folder: Path, **keys: Any) -> Sink[Tracked]:
    spool = {"path": str(folder / "spool"), "min_free_mb": 0}
    spec = OutputSpec.model_validate({"post": {"to": url, "spool": spool} | keys})
    return build_sink(spec, ("gate",), ("person", "car"))


def sequences(web: WebReceiver) -> list[int]:
    return [message["sequence"] for message in web.messages]


def until(condition: Callable[[], bool]) -> None:
    """Waits for what another thread does."""
    end_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_message_is_delivered_in_order(tmp_path: Path, make_packet: Any) -> None:
    with WebReceiver() as web:
        posting = sink(web.url, tmp_path, token="open-sesame")
        list(drive(posting, [make_packet(index, happened=index % 3) for index in range(200)]))
        assert sequences(web) == list(range(201))
        told = [len(message["events"]) for message in web.messages[:-1]]
        assert told == [index % 3 for index in range(200)]
        assert {message["session"] for message in web.messages} == {web.messages[0]["session"]}
        assert web.messages[-1]["last"] is True
        assert {headers["Authorization"] for headers in web.seen} == {"Bearer open-sesame"}
        assert {headers["Content-Type"] for headers in web.seen} == {"application/x-ndjson"}
    assert posting.counts()["delivered"] == 201
    assert not list((tmp_path / "spool").rglob("*.segment"))


def test_a_receiver_that_is_away_gets_everything_when_it_is_back(
    tmp_path: Path, make_packet: Any
) -> None:
    port = free_port()
    posting = sink(f"http://127.0.0.1:{port}/", tmp_path)
    posting.open()
    for index in range(50):
        posting.write(make_packet(index))
    until(lambda: posting.counts().get("failed refused", 0) > 1)
    with WebReceiver(port) as web:
        for index in range(50, 60):
            posting.write(make_packet(index))
        web.wait_for(lambda: len(web.messages) == 60)
        posting.close()
        assert sequences(web) == list(range(60))


@pytest.mark.parametrize("status", [500, 302, 401, 204])
def test_only_a_2xx_acknowledges(tmp_path: Path, make_packet: Any, status: int) -> None:
    with WebReceiver() as web:
        web.statuses = [status]
        posting = sink(web.url, tmp_path)
        posting.open()
        posting.write(make_packet(0))
        web.wait_for(lambda: len(web.seen) >= (1 if status == 204 else 2))
        posting.close()
        assert [message["frame"] for message in web.messages] == ([] if status == 204 else [0])
        failed = {} if status == 204 else {f"failed status {status}": 1}
        assert {k: n for k, n in posting.counts().items() if k.startswith("failed")} == failed


def test_what_a_run_leaves_is_delivered_by_the_next(tmp_path: Path, make_packet: Any) -> None:
    nobody = sink(f"http://127.0.0.1:{free_port()}/", tmp_path)
    list(drive(nobody, [make_packet(index) for index in range(5)]))
    assert nobody.counts()["spooled bytes"] > 0
    with WebReceiver() as web:
        list(drive(sink(web.url, tmp_path), [make_packet(0)]))
        assert sequences(web) == [0, 1, 2, 3, 4, 5, 0, 1]
        assert len({message["session"] for message in web.messages}) == 2


def test_a_full_disk_at_the_end_fails_nothing(tmp_path: Path, make_packet: Any) -> None:
    with WebReceiver() as web, small_disk(tmp_path / "disk") as disk:
        posting = sink(web.url, disk)
        posting.open()
        posting.write(make_packet(0))
        web.wait_for(lambda: len(web.messages) == 1)
        fill(disk)
        with pytest.raises(PacketError, match="disk_full"):
            posting.write(make_packet(1, count=300))
        list(posting.flush())
        posting.close()
        assert posting.counts()["missing"] == 2


def test_a_receiver_that_hangs_stops_nothing(tmp_path: Path, make_packet: Any) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        posting = sink(f"http://127.0.0.1:{mute.getsockname()[1]}/", tmp_path, timeout_s=0.1)
        posting.open()
        posting.write(make_packet(0))
        until(lambda: "failed timeout" in posting.counts())
        posting.write(make_packet(1))
        posting.close()


def test_what_is_spooled_is_made_safe_in_time(
    tmp_path: Path, make_packet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss of power cannot be had in a test: the system call that guards against it can be."""
    safe: set[int] = set()
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        safe.add(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    posting = sink(
        f"http://127.0.0.1:{free_port()}/",
        tmp_path,
        spool={"path": str(tmp_path / "spool"), "fsync_s": 0.01, "min_free_mb": 0},
    )
    posting.open()
    posting.write(make_packet(0))
    (segment,) = (tmp_path / "spool").rglob("*.segment")
    written = {segment.stat().st_ino, segment.parent.stat().st_ino}
    until(lambda: written <= safe)
    posting.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 by itself, and its key."""
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_a_receiver_must_prove_who_it_is(
    tmp_path: Path, make_packet: Any, certificate: Path
) -> None:
    with WebReceiver(certificate=certificate) as web:
        stranger = sink(web.url, tmp_path / "a")
        stranger.open()
        stranger.write(make_packet(0))
        until(lambda: "failed tls" in stranger.counts())
        stranger.close()
        assert web.messages == []
        list(drive(sink(web.url, tmp_path / "b", ca=str(certificate)), [make_packet(0)]))
        assert sequences(web) == [0, 1]


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"to": "ftp://host/"}, "https://host/path"),
        ({"to": "nonsense"}, "https://host/path"),
        ({"to": "https://user:hunter2@host/"}, "use 'token'"),
        ({"to": "https://host/a b"}, "https://host/path"),
        ({"to": "http://10.0.0.5/", "token": "t"}, "use https"),
        ({"to": "https://host/", "token": "two\nlines"}, "one word"),
        ({"to": "https://h/", "spool": {"path": ""}}, "path"),
        ({"to": "https://h:99999/"}, "no URL"),
    ],
)
def test_what_is_wrong_is_named(keys: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        OutputSpec.model_validate({"post": {"spool": {"path": "spool"}} | keys})
