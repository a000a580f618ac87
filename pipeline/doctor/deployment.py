"""What a configuration needs of this machine: secrets, ports, folders, receivers."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import PipelineConfig
from pipeline.doctor.check import Check, Grade
from pipeline.output.address import parse_address

_LITTLE_MB, _NEARLY_FULL_MB = 1000, 100
_FILE_REFERENCE = re.compile(r"\$\{file:([^{}]+)\}")
_WRITTEN_PASSWORD = re.compile(r"[a-z]+://[^\s/:@\"']*:(?!\$\{)[^\s/@\"'$]+@")
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere that will be written to.

    Attributes:
        key: of the configuration.
        folder: the nearest one of it that is there.
        writable: whether this user may write there.
        free_mb: on its disk.
    """

    key: str
    folder: Path
    writable: bool
    free_mb: float


def places(config: PipelineConfig) -> list[Place]:
    """All that a configuration names."""
    return [_place(key, path) for key, path in _paths(config)]


def check_places(found: Sequence[Place]) -> list[Check]:
    """Whether they can be written, and for how long."""
    return [_check_place(place) for place in found]


def check_secrets(path: Path) -> list[Check]:
    """Who else may read what is secret in a configuration file, and in the files it names."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    secret = [Path(name) for name in dict.fromkeys(_FILE_REFERENCE.findall(text))]
    checks = []
    if _WRITTEN_PASSWORD.search(text):
        checks.append(
            Check(
                f"secrets in {path}",
                Grade.WARN,
                "a camera's password is written in it",
                "write ${NAME} or ${file:…} in its place, see configuration.md",
            )
        )
        secret.append(path)
    return checks + [_check_permissions(file) for file in secret if file.exists()]


def check_port(config: PipelineConfig) -> list[Check]:
    """Whether the daemon's page can listen; nothing if there is none."""
    if config.http is None:
        return []
    name, address = f"port {config.http.bind}", parse_address(config.http.bind)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            remedy = "end what listens there (ss -ltnp shows it), or choose another http.bind"
            return [Check(name, Grade.FAIL, error.strerror or str(error), remedy)]
    return [Check(name, Grade.OK, "free")]


def check_receivers(config: PipelineConfig, *, ask: bool) -> list[Check]:
    """Whether the outputs' hosts are known.

    Args:
        ask: look names up, which asks the network; else only addresses are looked at.
    """
    hosts = [parse_address(o.udp.to) for o in config.outputs if o.udp is not None]
    return [_check_receiver(host, port, ask=ask) for host, port in dict.fromkeys(hosts)]


def _check_receiver(host: str, port: int, *, ask: bool) -> Check:
    name = f"receiver {host}:{port}"
    try:
        flags = 0 if ask else socket.AI_NUMERICHOST
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)
    except (OSError, UnicodeError) as error:
        if not ask:
            return Check(name, Grade.OK, "a name; --connect looks it up")
        remedy = "write an IP address, or a name that resolves"
        return Check(name, Grade.FAIL, f"not known: {error}", remedy)
    return Check(name, Grade.OK, str(found[0][4][0]))


def _paths(config: PipelineConfig) -> Iterator[tuple[str, Path]]:
    for index, output in enumerate(config.outputs):
        written = output.file or output.events or output.annotate
        if written is not None:
            yield f"outputs.{index}", _folder_of(written.path)
        if output.events is not None and output.events.pictures is not None:
            yield f"outputs.{index}.pictures", _folder_of(f"{output.events.pictures}/picture")
        if output.post is not None:
            yield f"outputs.{index}.spool", Path(output.post.spool.path)
    for name, stage in config.stages.items():
        if state := getattr(stage, "state", None):
            yield f"stages.{name}.state", Path(state)


def _folder_of(path: str) -> Path:
    """The folder of a file, up to the first part that depends on the camera or the time."""
    fixed = Path(path.partition("{")[0] + "x") if "{" in path else Path(path)
    return fixed.parent


def _place(key: str, folder: Path) -> Place:
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    free_mb = shutil.disk_usage(there).free / 1e6
    return Place(key, there, there.is_dir() and os.access(there, os.W_OK | os.X_OK), free_mb)


def _check_place(place: Place) -> Check:
    name = f"disk for {place.key}"
    if not place.writable:
        found = f"{place.folder} cannot be written by this user"
        return Check(name, Grade.FAIL, found, f"run: chown {os.getuid()} {place.folder}")
    found = f"{place.free_mb:.0f} MB free at {place.folder}"
    if place.free_mb >= _LITTLE_MB:
        return Check(name, Grade.OK, found)
    grade = Grade.WARN if place.free_mb >= _NEARLY_FULL_MB else Grade.FAIL
    return Check(name, grade, found, "free some, or choose a path on another disk")


def _check_permissions(path: Path) -> Check:
    name, mode = f"permissions of {path}", stat.S_IMODE(path.stat().st_mode)
    if not mode & _OTHERS:
        return Check(name, Grade.OK, f"{mode:04o}")
    found = f"{mode:04o}: others than its owner may use it"
    return Check(name, Grade.WARN, found, f"run: chmod 600 {path}")
