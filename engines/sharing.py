"""Loaded networks that the engines of one process share, as long as one of them uses them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from engines.program import Network


class Shared:
    """One backend's networks, each loaded once for the same content and the same settings."""

    def __init__(self) -> None:
        self._loaded: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
        self._loading = threading.Lock()

    def get(self, network: Network, settings: tuple[Any, ...], load: Callable[[], Any]) -> Any:
        """What `load` gave for this network and these settings; it ends with its last user."""
        key = (str(network.path), digest(network), _beside(network), *settings)
        with self._loading:
            loaded = self._loaded.get(key)
            if loaded is None:
                loaded = self._loaded[key] = load()
        return loaded


def digest(network: Network) -> str:
    """The SHA-256 of the network's file, in hexadecimal."""
    if network.sha256:
        return network.sha256
    if network.content is not None:
        return hashlib.sha256(network.content).hexdigest()
    return file_sha256(network.path)


def _beside(network: Network) -> object:
    """What tells weights beside a description from others.

    Their hashes where they are in memory, else when they were written, in ns; 0 without any.
    """
    if network.content is not None:
        return tuple(hashlib.sha256(part).digest() for part in network.companions.values())
    weights = network.path.with_suffix(".bin")
    return weights.stat().st_mtime_ns if weights.is_file() else 0


def file_sha256(path: Path) -> str:
    """A file's SHA-256, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
