"""Promise 14: what is forged, replayed or old is refused; an unreachable receiver blocks nothing.

Injected: somebody on the way who changes, repeats, mixes up and keeps datagrams; a closed port, a
host name that does not resolve, an address without a route, a network that takes nothing.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.output import telegram
from pipeline.output.envelope import parse_key
from pipeline.output.receiver import Receiver
from tests.promises.harness import (
    REPOSITORY,
    Site,
    eventually,
    free_port,
)
from tests.promises.namespaces import not_permitted
from tests.rtsp.clip import encode

KEY = "5e" * 32
MTU = 576
HEADERS = 48  # of IPv6 and UDP


def captured(site: Site, text: str, bound: socket.socket) -> list[bytes]:
    """What a daemon sends to a socket until it has said 30 datagrams, and then its last words."""
    daemon = site.run(text)
    datagrams = [bound.recv(65536) for _ in range(30)]
    assert KEY not in json.dumps(daemon.log)
    daemon.stop()
    bound.settimeout(0.3)
    try:
        while True:
            datagrams.append(bound.recv(65536))
    except TimeoutError:
        bound.settimeout(60)
        return datagrams


@pytest.mark.slow
def test_only_what_is_true_and_new_is_believed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UDP_KEY", KEY)
    camera = site.camera(encode(fps=15))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(60)
        to = f"127.0.0.1:{bound.getsockname()[1]}"
        sealed = {"to": to, "mtu": MTU, "secure": {"key": "${UDP_KEY}"}}
        text = site.configuration({"gate": camera.url}, outputs=[{"udp": sealed}])
        old = captured(site, text, bound)
        new = captured(site, text, bound)
    assert max(map(len, old + new)) <= MTU - HEADERS
    chance = random.Random(14)
    receiver = Receiver(parse_key(KEY))
    (plain,) = telegram.Encoder().encode(told(receiver, old[:1])[0])
    believed = told(receiver, old[1:20])
    mixed = chance.sample(new, len(new))
    believed += told(receiver, mixed)
    forged = [flipped(datagram, chance) for datagram in new for _ in range(10)]
    assert told(receiver, [*new, *old, *forged, plain]) == []
    assert len(believed) == 19 + len(new)
    statistics = receiver.statistics
    assert (statistics.lost, statistics.duplicates) == (0, len(new))
    assert statistics.refused["older_session"] == len(old)
    assert statistics.refused["unauthenticated"] >= 1
    bad = sum(statistics.refused.values()) + sum(statistics.malformed.values())
    assert bad == len(old) + len(forged) + 1
    site.record("refused", statistics.refused)
    assert told(Receiver(), new) == []
    assert told(Receiver(bytes(32)), new) == []


def told(receiver: Receiver, datagrams: list[bytes]) -> list[Any]:
    """The messages that a receiver believes."""
    return [message for datagram in datagrams if (message := receiver.receive(datagram))]


def flipped(datagram: bytes, chance: random.Random) -> bytes:
    """With one bit changed."""
    bit = chance.randrange(8 * len(datagram))
    changed = bytearray(datagram)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.slow
def test_receivers_that_cannot_be_reached_block_nothing(site: Site) -> None:
    lost = {  # by what cannot be reached
        f"127.0.0.1:{free_port()}": "lost refused",
        "no-such-host.invalid:9000": "lost unresolved",
        "255.255.255.255:9000": "lost forbidden",  # no datagram leaves for a broadcast
    }
    outputs = [{"udp": {"to": address}} for address in lost]
    camera = site.camera(encode(fps=15))
    daemon = site.watch({"gate": camera.url}, outputs=outputs)
    first = site.messages.wait_for("gate", timeout_s=30)
    eventually(lambda: len(site.messages.of("gate")) >= 45)
    took_s = site.messages.of("gate")[44].at_s - first.at_s
    report = daemon.stop()
    site.record("fps", round(44 / took_s, 1))
    assert 44 / took_s > 0.9 * 15
    emitted = report["ledger"]["gate"]["emitted"]
    assert report["ledger"]["gate"]["dropped"] == []
    stages = {stage["name"]: stage for stage in report["stages"]}
    for name, reason in zip(("udp-2", "udp-3", "udp-4"), lost.values(), strict=True):
        counts = stages[name]["counts"]
        assert sum(counts.values()) == emitted + 1, counts
        assert counts.get(reason, 0) >= emitted / 2 - 1, counts
    assert stages["udp"]["counts"] == {"sent": emitted + 1}


SETUP = """
ip link add cable type veth peer name other &&
ip addr add 10.78.0.1/24 dev cable && ip link set cable up && ip link set other up &&
echo 100000000 > /proc/sys/net/ipv4/neigh/cable/unres_qlen_bytes || exit 77
exec "$@"
"""
FLOOD = """
import json, time
from pipeline.output.address import Address
from pipeline.output.udp import UdpSender

counts, longest_s = {}, 0
for host in ("10.78.0.2", "10.99.0.1"):
    sender = UdpSender(Address(host, 9000))
    for _ in range(2000):
        before_s = time.monotonic()
        sender.send(bytes(1400))
        longest_s = max(longest_s, time.monotonic() - before_s)
    counts[host] = {"sent": sender.sent, **sender.lost}
print(json.dumps({"longest_s": longest_s, "counts": counts}))
"""


def test_a_network_that_takes_nothing_does_not_block(
    record_property: Callable[[str, object], None],
) -> None:
    """A cable at whose other end nobody answers keeps what it is given; and there is no route."""
    if why := not_permitted():
        pytest.skip(why)
    command = ["unshare", "--net", "sh", "-c", SETUP, "-", sys.executable, "-c", FLOOD]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY
    )
    if done.returncode == 77:
        pytest.skip(f"no such network can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    record_property("longest_send_s", found["longest_s"])
    assert found["counts"]["10.78.0.2"]["buffer_full"] > 1000
    assert found["counts"]["10.99.0.1"] == {"sent": 0, "unreachable": 2000}
    assert found["longest_s"] < 1  # a send that waits would wait for good
