"""Backends by name: those built in, and those other packages bring as an entry point.

A package adds a backend with an entry point of the group ``sightline.engines`` whose object is a
class derived from `engines.base.Engine`. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from dataclasses import fields
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from engines.base import BackendInfo, Engine
from engines.errors import EngineUnavailable, OptionError
from engines.isolation.isolated import isolated
from engines.program import Program

GROUP = "sightline.engines"
BUILT_IN = {
    "onnxruntime": "engines.onnxruntime:OnnxRuntimeEngine",
    "opencv": "engines.opencv:OpenCvEngine",
    "ncnn": "engines.ncnn:NcnnEngine",
    "mnn": "engines.mnn:MnnEngine",
    "litert": "engines.litert:LiteRtEngine",
    "tvm": "engines.tvm:TvmEngine",
    "host": "engines.host:HostEngine",
    "kserve": "engines.kserve.engine:KserveEngine",
    "openvino": "engines.openvino:OpenVinoEngine",
    "torch": "engines.torch:TorchEngine",
    "tensorrt": "engines.tensorrt:TensorRtEngine",
    "sim-npu": "engines.sim_npu.runtime.engine:SimNpuEngine",
}


def create(
    engine_id: str,
    backend: str,
    device: str = "cpu",
    precision: str = "",
    *,
    isolate: bool = False,
    timeout_s: float | None = None,
    **options: Any,
) -> Engine:
    """A new engine, not yet initialised: nothing of its library is loaded.

    Args:
        engine_id: its name in the configuration, used in reports and errors.
        backend: such as ``onnxruntime``.
        device: such as ``cpu`` or ``cuda:0``; checked in `init`.
        precision: to compute in, one of `engines.program.PRECISIONS`; empty: as the network is
            stored.
        isolate: in a process of its own, which may hang or die alone.
        timeout_s: the longest a `forward` may take before the engine counts as hung and is killed,
            seconds; isolates it. None: no limit.
        **options: of that backend.

    Raises:
        OptionError: no such backend, precision or option, or a value out of range.
        EngineUnavailable: the package that brings the backend cannot be imported.
    """
    kind = engine_class(backend)
    known = [field.name for field in fields(kind.options_type)]
    for name in options:
        if name not in known:
            raise OptionError(
                f"engine {engine_id!r}: backend {backend} has no option {name!r}"
                f"{_nearest(name, known)}; it has {', '.join(known) or 'none'}"
            )
    try:
        given = kind.options_type(**options)
        if isolate or timeout_s is not None:
            return isolated(kind)(engine_id, device, given, precision, timeout_s)
        return kind(engine_id, device, given, precision)
    except OptionError as error:
        raise OptionError(f"engine {engine_id!r}: {error}") from None


def names() -> tuple[str, ...]:
    """All backends there are."""
    others = {point.name for point in entry_points(group=GROUP)}
    return (*BUILT_IN, *sorted(others - set(BUILT_IN)))


def engine_class(backend: str) -> type[Engine]:
    """The class behind a backend's name. Raises as `create`."""
    if backend in BUILT_IN:
        module, _, name = BUILT_IN[backend].partition(":")
        kind: type[Engine] = getattr(import_module(module), name)
        return kind
    for point in entry_points(group=GROUP, name=backend):
        return _from_entry_point(backend, point.load)
    raise OptionError(
        f"no backend {backend!r}{_nearest(backend, names())}; there are {', '.join(names())}"
    )


def able(program: Program) -> tuple[str, ...]:
    """The backends that have what a program needs."""
    return tuple(name for name in names() if _can_run(name, program))


def describe() -> tuple[BackendInfo, ...]:
    """What there is of every backend on this machine."""
    found = []
    for name in names():
        try:
            found.append(engine_class(name).describe())
        except EngineUnavailable as error:
            found.append(BackendInfo(name, "", (), (), (), (), str(error), ""))
    return tuple(found)


def _from_entry_point(backend: str, load: Any) -> type[Engine]:
    try:
        kind = load()
    except Exception as error:
        raise EngineUnavailable(f"backend {backend}: its package does not load: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Engine)):
        raise EngineUnavailable(f"backend {backend}: {kind!r} is not an engines.base.Engine")
    return kind


def _can_run(name: str, program: Program) -> bool:
    try:
        return engine_class(name).can_run(program)
    except EngineUnavailable:
        return False


def _nearest(word: str, words: tuple[str, ...] | list[str]) -> str:
    near = get_close_matches(word, words, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
