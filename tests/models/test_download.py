"""Downloads against a real web server: resumed, checked, nothing half-written."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.models import download as module
from pipeline.models.download import CHUNK, download
from pipeline.models.manifest import FileEntry
from tests.models.conftest import Web

CONTENT = np.random.default_rng(0).bytes(3 * CHUNK + 100)


def entry(content: bytes = CONTENT, algorithm: str = "sha256") -> FileEntry:
    digest = {algorithm: hashlib.new(algorithm, content).hexdigest()}
    return FileEntry(path="net.bin", format="onnx", size=len(content), **digest)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "net.bin"


@pytest.fixture
def part(target: Path) -> Path:
    return target.with_name("net.bin.part")


@pytest.fixture
def url(web: Web) -> str:
    web.files["/net.bin"] = CONTENT
    return f"{web.url}/net.bin"


@pytest.mark.parametrize("algorithm", ["sha256", "sha384"])
def test_gets_the_file_and_tells_progress(
    url: str, target: Path, part: Path, algorithm: str
) -> None:
    told: list[tuple[str, int, int]] = []
    download(url, entry(algorithm=algorithm), target, lambda *step: told.append(step))
    assert target.read_bytes() == CONTENT
    assert not part.exists()
    assert told[-1] == ("net.bin", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_where_an_earlier_run_stopped(
    web: Web, url: str, target: Path, part: Path, ranges: bool
) -> None:
    web.ranges = ranges
    part.parent.mkdir()
    part.write_bytes(CONTENT[:1000])
    download(url, entry(), target)
    assert target.read_bytes() == CONTENT
    assert web.asked == ["bytes=1000-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_survives_broken_connections(web: Web, url: str, target: Path, ranges: bool) -> None:
    web.ranges = ranges
    web.break_after = [CHUNK + 5, 7]
    download(url, entry(), target)
    assert target.read_bytes() == CONTENT
    assert len(web.asked) == 3


def test_gives_up_and_keeps_what_came(web: Web, url: str, target: Path, part: Path) -> None:
    web.break_after = [100] * module.ATTEMPTS
    with pytest.raises(ModelError, match=r"broke 4 times .*400 of \d+ bytes.*again to continue"):
        download(url, entry(), target)
    assert part.read_bytes() == CONTENT[:400]
    assert not target.exists()
    download(url, entry(), target)
    assert target.read_bytes() == CONTENT


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.models.download import download
from pipeline.models.manifest import FileEntry
url, target, size, digest = sys.argv[1:]
entry = FileEntry(path="net.bin", format="onnx", size=int(size), sha256=digest)
download(url, entry, Path(target), lambda *step: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_killed_in_the_middle_and_resumed(web: Web, url: str, target: Path, part: Path) -> None:
    wanted = entry()
    arguments = [url, str(target), str(wanted.size), wanted.digest]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    done = part.stat().st_size
    download(url, wanted, target)
    assert web.asked[-1] == f"bytes={done}-"
    assert target.read_bytes() == CONTENT


def test_a_wrong_hash_keeps_nothing(web: Web, url: str, target: Path, part: Path) -> None:
    web.files["/net.bin"] = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(ModelError, match=r"expected sha256 \w+, found \w+.*thrown away"):
        download(url, entry(), target)
    assert not part.exists()
    assert not target.exists()


def test_a_rotten_part_is_thrown_away_so_that_the_next_run_works(
    url: str, target: Path, part: Path
) -> None:
    part.parent.mkdir()
    part.write_bytes(b"rotten")
    with pytest.raises(ModelError, match="thrown away"):
        download(url, entry(), target)
    download(url, entry(), target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("left", [len(CONTENT), len(CONTENT) + 10])
def test_a_part_that_is_complete_or_too_long(url: str, target: Path, part: Path, left: int) -> None:
    part.parent.mkdir()
    part.write_bytes((CONTENT + bytes(10))[:left])
    download(url, entry(), target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("change", [-1, 1])
def test_another_file_is_noticed_before_it_comes(
    web: Web, url: str, target: Path, part: Path, change: int
) -> None:
    web.files["/net.bin"] = CONTENT[:-1] if change < 0 else CONTENT + b"x"
    size = len(CONTENT)
    with pytest.raises(ModelError, match=f"expected {size} bytes, the server has {size + change}"):
        download(url, entry(), target)
    assert not part.exists()


def test_not_found(web: Web, target: Path, part: Path) -> None:
    with pytest.raises(ModelError, match=r"not found \(404\).*--mirror"):
        download(f"{web.url}/nothing.bin", entry(), target)
    assert not part.exists()


def test_no_network(target: Path) -> None:
    with pytest.raises(ModelError, match=r"no connection .*--mirror"):
        download("http://127.0.0.1:1/net.bin", entry(), target)


def test_a_password_in_the_url_is_not_shown(target: Path) -> None:
    with pytest.raises(ModelError) as caught:
        download("http://me:s3cret@127.0.0.1:1/net.bin", entry(), target)
    assert "s3cret" not in str(caught.value)


def test_no_room(url: str, target: Path, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(100, 90, 10))
    with pytest.raises(ModelError, match=r"No space left.*10 are free; make room"):
        download(url, entry(), target)
    assert not part.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_the_disk_fills_while_writing(url: str, target: Path, part: Path) -> None:
    part.parent.mkdir()
    part.symlink_to("/dev/full")
    with pytest.raises(ModelError, match=re.escape(os.strerror(errno.ENOSPC))):
        download(url, entry(), target)
    assert not target.exists()


def test_two_at_once(url: str, target: Path, part: Path) -> None:
    part.parent.mkdir()
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ModelError, match="another process is downloading"):
            download(url, entry(), target)


def test_a_folder_that_cannot_be_made(url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        download(url, entry(), tmp_path / "file" / "net.bin")
