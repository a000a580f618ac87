"""Makes a network smaller, measures what that brings and costs, and puts both down.

The network and its report appear whole or not at all. Nothing is trained here: what is lost is in
the report, and whether it was worth it is its verdict.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import inf, isfinite
from pathlib import Path
from typing import Any

import engines
from engines import Network, ProgramError, TensorSpec, measure, paired
from engines.compress import Compressed
from engines.compress.timing import seconds_by_tensor
from engines.convert import graph as onnx_graph
from engines.difference import Difference
from engines.paired import Pair
from engines.program import Tensors
from pipeline.errors import ModelError
from pipeline.models.comparison import declared, run
from pipeline.models.subject import Subject
from pipeline.models.workshop import facts, versions, workshop
from pipeline.quantisation.inputs import Material, Request, gather
from pipeline.quantisation.quality import Outputs, Quality, judge_of
from pipeline.resources import shipped

#: Share of its quality that a network must keep for more speed to count as help.
GOOD = 0.95
#: A speed-up below is not worth the name, and what is measured beyond it is noise.
NOTICED = 1.05
#: What both networks run on.
BACKEND = "onnxruntime"
SUFFIX, REPORT = ".onnx", ".report.json"

#: Makes a smaller ONNX model of one, given its inputs with their lengths.
Method = Callable[[Any, tuple[TensorSpec, ...]], Compressed]


@dataclass(frozen=True, slots=True)
class Wish:
    """How a network shall become smaller.

    Attributes:
        name: of the method, such as ``prune``.
        told: its parameters, for the report.
        method: it.
        why_slower: what makes a network slower that has become smaller by it.
    """

    name: str
    told: dict[str, Any]
    method: Method
    why_slower: str


@dataclass(frozen=True, slots=True)
class Bound:
    """What can be won at best (Amdahl, "Validity of the single processor approach", 1967).

    Attributes:
        share: of the old network's time that the operators take that have changed, 0..1.
        at_best: speed-up where those took no time at all.
        by_multiply_adds: speed-up where their time fell as their multiply-adds did.
    """

    share: float
    at_best: float
    by_multiply_adds: float


@dataclass(frozen=True, slots=True)
class Compression:
    """What came of it.

    Attributes:
        path: of the new network; None where nothing could be made smaller.
        report: what is written beside it.
    """

    path: Path | None
    report: dict[str, Any]


def compress(
    subject: Subject, wish: Wish, path: Path, pictures: str | None = None, seconds: float = 2.0
) -> Compression:
    """Makes a network smaller, measures both, and writes the new one with a report.

    Args:
        subject: with an ONNX network in float among its variants.
        wish: how.
        path: of the new network; its report lies beside it.
        pictures: what both are given, as `Request.source`; None for a sample video.
        seconds: how long each is timed.

    Raises:
        ModelError: there is no such network, or `path` cannot be written.
        EngineError: the wish cannot be fulfilled, or one of the networks does not run.
        DataError, SourceError: the pictures are of no use.
    """
    source = declared(_exact(subject))
    _require_place(path, source)
    request = Request(pictures or str(shipped("sample_videos") / "day.mp4"))
    material = gather(source.inputs, subject.manifest, request)
    done, bound = _made(source, wish, material.held_out[0].tensors)
    report = _sizes(wish, source, done) | {"compared_on": material.told}
    if bound is None:
        return Compression(None, report | {"verdict": "changes nothing"})
    try:
        with workshop(path) as part:
            network = replace(source, path=part / path.name, sha256=None, answer=None)
            network.path.write_bytes(done.model.SerializeToString())
            found = _measured(subject, source, network, material, seconds)
            report |= _told(found, bound, wish) | {"network": facts(network, [network.path])}
            told = part / path.with_suffix(REPORT).name
            told.write_text(json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False))
            told.replace(path.with_suffix(REPORT))
            network.path.replace(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror}") from None
    return Compression(path, report)


def verdict(found: Pair, bound: Bound, kept: float, why_slower: str) -> str:
    """Whether a smaller network helps, in words.

    Args:
        found: how fast it is.
        bound: how fast it could be.
        kept: share of its quality.
        why_slower: what makes such a network slower.
    """
    speed = f"{found.speedup:.2f}x as fast ({found.low:.2f} to {found.high:.2f})"
    quality = f"{kept:.3f} of its quality"
    if found.high < 1:
        return f"does not help: {speed}, as {why_slower}; it keeps {quality}"
    if found.low <= 1:
        return f"does not help: {speed} cannot be told from noise; it keeps {quality}"
    if bound.at_best < NOTICED:
        return (
            f"does not help: what changed takes {bound.share:.1%} of the time, so that "
            f"{bound.at_best:.2f}x is the most to be won; it keeps {quality}"
        )
    if kept < GOOD:
        return f"does not help as it is: {speed}, but keeps only {quality}; train it further"
    return f"helps: {speed}, and keeps {quality}"


def _exact(subject: Subject) -> Network:
    """The variant to start from. Raises `ModelError` where it is quantised."""
    found = subject.in_onnx("made smaller")
    for network in found:
        if network.precision != "int8":
            return network
    raise ModelError(
        f"{found[0]}: it is quantised; compress the network in fp32 and quantise the result"
    )


def _require_place(path: Path, source: Network) -> None:
    if path.suffix != SUFFIX or path.is_dir():
        raise ModelError(f"{path}: expected a file NAME{SUFFIX}, by which engines know the format")
    if path.resolve() == source.path.resolve():
        raise ModelError(f"{path}: this is the network to start from; give another file with -o")


def _sizes(wish: Wish, source: Network, done: Compressed) -> dict[str, Any]:
    """What is known before anything runs."""
    return {
        "schema": 1,
        "method": wish.name,
        "wish": wish.told,
        "source": facts(source, [source.path]),
        "parameters": done.parameters,
        "multiply_adds": done.multiply_adds,
        "bytes": (source.path.stat().st_size, len(done.model.SerializeToString())),
        "layers": [asdict(change) for change in done.changes],
        "left": done.left,
        "versions": versions(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _made(source: Network, wish: Wish, first: Tensors) -> tuple[Compressed, Bound | None]:
    """The smaller network, and what it could bring on such input; None where nothing changed."""
    model = onnx_graph.load(source.path)
    specs = tuple(replace(spec, shape=first[spec.name].shape) for spec in source.inputs)
    try:
        done = wish.method(model, specs)
    except ProgramError as error:
        raise ProgramError(f"{source.path}: {error}") from error
    return done, _bound(done, seconds_by_tensor(model, first)) if done.changes else None


@dataclass(frozen=True, slots=True)
class _Findings:
    """What was measured of two networks.

    Attributes:
        time: of a forward.
        quality: that the new one keeps.
        measure: what that is, for people.
        outputs: how far each is away, in plain values.
    """

    time: Pair
    quality: Quality
    measure: str
    outputs: list[dict[str, Any]]


def _measured(
    subject: Subject, source: Network, network: Network, material: Material, seconds: float
) -> _Findings:
    inputs = [sample.tensors for sample in material.held_out]
    expected, found = (
        run(engines.create("compress", BACKEND), one, inputs) for one in (source, network)
    )
    judge = judge_of(subject.manifest, material, expected)
    before, after = (measure.Subject(BACKEND, one) for one in (source, network))
    time = paired.pair(before, after, inputs[0], seconds)
    return _Findings(time, judge(found), judge.measure, _differences(expected, found))


def _told(found: _Findings, bound: Bound, wish: Wish) -> dict[str, Any]:
    """What is known after both have run."""
    return {
        "verdict": verdict(found.time, bound, found.quality.value, wish.why_slower),
        "engine": f"{BACKEND} {engines.engine_class(BACKEND).describe().version}, one thread",
        "time": asdict(found.time),
        "bound": _plain(asdict(bound)),
        "quality": {"measure": found.measure, **asdict(found.quality)},
        "outputs": found.outputs,
    }


def _differences(expected: Outputs, found: Outputs) -> list[dict[str, Any]]:
    """How far each output is away over all samples."""
    rows = []
    for name in expected[0]:
        apart = Difference()
        for one, other in zip(expected, found, strict=True):
            apart.add(one[name], other[name])
        rows.append(_plain({"name": name, "snr_db": apart.snr_db, "cosine": apart.cosine,
                            "relative": apart.relative}))  # fmt: skip
    return rows


def _bound(done: Compressed, seconds: dict[str, float]) -> Bound:
    """What the operators that changed could bring, given the time of each tensor's making."""
    share = sum(seconds.get(name, 0.0) for name in done.touched) / sum(seconds.values())
    before, after = (sum(one.multiply_adds[n] for one in done.changes) for n in (0, 1))
    left = after / before if before else 1.0
    return Bound(share, 1 / (1 - share) if share < 1 else inf, 1 / (1 - share + share * left))


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it, which knows no infinity."""
    return {
        name: None if isinstance(value, float) and not isfinite(value) else value
        for name, value in values.items()
    }
