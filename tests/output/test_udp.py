"""Sending and listening over the loopback."""

from __future__ import annotations

import errno
import socket
import threading
from typing import Any

import pytest

from pipeline.errors import OutputError
from pipeline.output import resolving, telegram
from pipeline.output.address import Address, parse_address
from pipeline.output.listen import Listener
from pipeline.output.udp import UdpSender


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_what_is_sent_is_heard(make_message: Any, host: str) -> None:
    try:
        listener = Listener(f"{host}:0")
    except OutputError as error:
        pytest.skip(f"no {host} here: {error}")
    with listener:
        sender = UdpSender(listener.address)
        for sequence in (0, 1, 3):
            for datagram in telegram.Encoder().encode(make_message(60, sequence=sequence)):
                assert sender.send(datagram)
        sender.close()
        heard = list(listener.messages(timeout_s=0.2))
    assert [(m.sequence, m.fragment) for m in heard] == [(s, f) for s in (0, 1, 3) for f in (0, 1)]
    statistics = listener.statistics
    assert (statistics.messages, statistics.lost, statistics.incomplete) == (3, 1, 0)
    assert (sender.sent, sender.lost) == (6, {})


def test_a_listener_goes_on_after_garbage(make_message: Any) -> None:
    with Listener("127.0.0.1:0") as listener:
        sender = UdpSender(listener.address)
        sender.send(b"garbage")
        sender.send(b"")
        sender.send(telegram.Encoder().encode(make_message(1))[0])
        assert len(list(listener.messages(timeout_s=0.2))) == 1
        sender.close()
    assert listener.statistics.malformed == {"short": 2}


def test_a_listener_can_be_stopped_from_inside_its_loop(make_message: Any) -> None:
    with Listener("127.0.0.1:0") as listener:
        sender = UdpSender(listener.address)
        for sequence in range(5):
            sender.send(telegram.Encoder().encode(make_message(0, sequence=sequence))[0])
        sender.close()
        heard = []
        for message in listener.messages():
            heard.append(message.sequence)
            if len(heard) == 3:
                listener.stop()
    assert heard == [0, 1, 2]


def test_a_port_in_use_is_named_with_a_remedy() -> None:
    with Listener("127.0.0.1:0") as listener, pytest.raises(OutputError) as caught:
        Listener(str(listener.address))
    assert str(listener.address) in str(caught.value)
    assert "choose another port" in str(caught.value)


@pytest.mark.parametrize("bind", ["nonsense", "192.0.2.1:9000"])
def test_a_wrong_bind_is_named(bind: str) -> None:
    with pytest.raises(OutputError, match=bind.split(":")[0]):
        Listener(bind)


def test_nobody_listening_is_counted_and_never_raised() -> None:
    sender = UdpSender(Address("127.0.0.1", free_port()))
    for _ in range(5):
        sender.send(b"x")
    sender.close()
    assert sender.sent + sender.lost["refused"] == 5
    assert sender.lost["refused"] >= 3  # the last refusal may not have been told yet


def test_a_receiver_that_comes_later_gets_what_is_sent_from_then_on() -> None:
    address = Address("127.0.0.1", free_port())
    sender = UdpSender(address)
    sender.send(b"too early")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
        late.bind(address)
        late.settimeout(2)
        assert sender.send(b"in time")
        assert late.recv(99) == b"in time"
    sender.close()


class BrokenSocket(socket.socket):
    """Fails as the kernel would; the reasons are hard to provoke on every machine."""

    number = 0

    def send(self, *args: Any) -> int:
        raise OSError(self.number, "")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EAGAIN, "buffer_full"),
        (errno.ENOBUFS, "buffer_full"),
        (errno.EMSGSIZE, "too_big"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EPERM, "forbidden"),
        (errno.EIO, "other"),
    ],
)
def test_what_cannot_be_sent_is_counted_by_reason(
    monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    monkeypatch.setattr(BrokenSocket, "number", number)
    monkeypatch.setattr(socket, "socket", BrokenSocket)
    sender = UdpSender(Address("127.0.0.1", 9))
    assert not sender.send(b"x")
    sender.close()
    assert (sender.sent, sender.lost) == (0, {reason: 1})


def test_a_datagram_too_large_for_udp_is_counted() -> None:
    with Listener("127.0.0.1:0") as listener:
        sender = UdpSender(listener.address)
        assert not sender.send(b"x" * 70_000)
        sender.close()
    assert sender.lost == {"too_big": 1}


def test_an_unknown_host_is_counted_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known = threading.Event()
    real = socket.getaddrinfo

    def names(host: str, port: int, **how: Any) -> Any:
        if how.get("flags") != socket.AI_NUMERICHOST and known.is_set():
            return real("127.0.0.1", port, **how)
        return real(host, port, **how)

    monkeypatch.setattr(resolving, "FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", names)
    with Listener("127.0.0.1:0") as listener:
        sender = UdpSender(parse_address(f"no-such-host.invalid:{listener.address.port}"))
        assert not sender.send(b"x")
        assert sender.lost == {"unresolved": 1}
        known.set()
        while not sender.send(b"x"):
            threading.Event().wait(0.01)
        sender.close()
        assert list(listener.messages(timeout_s=0.1)) == []
    assert listener.statistics.malformed == {"short": 1}


def test_a_name_server_that_never_answers_does_not_stop_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered, real = threading.Event(), socket.getaddrinfo

    def slow(host: str, port: int, **how: Any) -> Any:
        if how.get("flags") != socket.AI_NUMERICHOST:
            answered.wait(10)
        return real(host, port, **how)

    monkeypatch.setattr(resolving, "START_S", 0.05)
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    sender = UdpSender(parse_address("receiver.invalid:9000"))
    assert [sender.send(b"x") for _ in range(1000)] == [False] * 1000
    assert sender.lost == {"unresolved": 1000}
    answered.set()
    sender.close()
