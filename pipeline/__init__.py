"""Sightline: camera streams and files to tracked objects, on any mix of hardware.

Three steps, each an object that can be looked at before the next is taken::

    import pipeline

    config = pipeline.load("street.yaml")
    graph = pipeline.build(config)
    report = pipeline.run(graph)

or, to use the results in Python::

    for packet in pipeline.stream(graph):
        print(packet.frame.pts_ns, packet.payload.tracks.ids)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.builder import build as build
    from pipeline.config import load as load
    from pipeline.config import loads as loads
    from pipeline.graph import Graph as Graph
    from pipeline.report import RunReport as RunReport
    from pipeline.running import run as run
    from pipeline.running import stream as stream
    from pipeline.supervisor import Supervisor as Supervisor

_PUBLIC = {
    "Graph": "pipeline.graph",
    "RunReport": "pipeline.report",
    "Supervisor": "pipeline.supervisor",
    "build": "pipeline.builder",
    "load": "pipeline.config",
    "loads": "pipeline.config",
    "run": "pipeline.running",
    "stream": "pipeline.running",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: who needs one module does not pay for all."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
