"""Compiles a model for a device, measures it there, and puts down what is good enough.

An artefact that is not goes below ``rejected``, where no model finds it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from engines import Network
from engines.sim_npu import artefact as artefacts
from engines.sim_npu import profiles
from engines.sim_npu.artefact import Artefact
from engines.sim_npu.compiler.blame import Blame
from engines.sim_npu.compiler.compile import Choice
from engines.sim_npu.profiles import Profile
from pipeline.errors import ModelError
from pipeline.models.comparison import declared
from pipeline.models.converted import REPORT, converted_folder, identity
from pipeline.models.subject import Subject
from pipeline.models.workshop import REJECTED, facts, put, require_free, versions, workshop
from pipeline.quantisation.bench import Bench, Listener
from pipeline.quantisation.inputs import Request
from pipeline.quantisation.page import compile_page
from pipeline.quantisation.search import Trial, best, search

SUFFIX = ".slnpu"
#: Beside ``report.json``, for people; beside an artefact of one's own it has that one's name.
PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a user leaves no choice about.

    Attributes:
        method: of calibration; None for the best one.
        per_channel: whether weights have a scale a channel, or a layer; None for the better one.
        rounding: one of `operators.ROUNDINGS`.
        keep_float: layers that stay on the host.
        classes: of a detector, those its quality is measured on; None for all.
        min_quality: lowest share of its quality that the network must keep; None for what the
            judge of such networks asks for.
    """

    method: str | None = None
    per_channel: bool | None = None
    rounding: str = "fixed"
    keep_float: frozenset[str] = frozenset()
    classes: tuple[str, ...] | None = None
    min_quality: float | None = None


@dataclass(frozen=True, slots=True)
class Compilation:
    """What came of a compilation.

    Attributes:
        path: of the artefact.
        page: of the report, for people.
        passed: whether it is good enough.
        trials: all that was tried.
        report: what is written in ``report.json``.
    """

    path: Path
    page: Path
    passed: bool
    trials: tuple[Trial, ...]
    report: dict[str, Any]


def compile_model(
    subject: Subject,
    profile: str,
    request: Request,
    wishes: Wishes,
    out: Path | None = None,
    listener: Listener = lambda text: None,
) -> Compilation:
    """Compiles a model the best way that is found, and puts the artefact and its report down.

    Args:
        subject: with an ONNX network among its variants.
        profile: name of a device profile, or a YAML file with one.
        request: what it is calibrated with.
        wishes: what the user leaves no choice about.
        out: file of the artefact, its page beside it; None for the cache, where models find it.
        listener: hears what is being done.

    Raises:
        ModelError: there is no ONNX network, or `out` cannot be written.
        EngineError: it cannot be compiled for the profile; says what and why.
        DataError, SourceError: the calibration is of no use.
    """
    begun, network = time.monotonic(), subject.in_onnx("compiled")[0]
    place = _place(subject, profiles.find(profile), out)
    bench = Bench(declared(network), subject, profile, request, wishes.classes, listener)
    gate = bench.judge.gate if wishes.min_quality is None else wishes.min_quality
    base = Choice(rounding=wishes.rounding, keep_float=wishes.keep_float)
    first = bench.choices(base, wishes.method, wishes.per_channel)
    trials = search(bench.prepared, first, bench.attempt, bench.suspects, gate)
    taken = best(trials, gate)
    passed = taken.quality.value >= gate
    made = bench.artefact(taken.choice)
    found = made.report | _findings(bench, trials, taken, gate)
    report = {
        "schema": 1,
        "verdict": "good enough" if passed else "not good enough",
        "source": facts(network, [network.path]),
        "profile": asdict(bench.device),
        **found,
        "versions": versions(),
        "seconds": round(time.monotonic() - begun, 2),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # What is in the artefact depends on its inputs alone: the same give the same bytes. Histograms
    # of every tensor are for people, and would be as large as a small network.
    inside = {key: value for key, value in found.items() if key != "inspection"}
    put_it = _put_folder if out is None else _put_file
    path, page = put_it(replace(made, report=inside), report, place, passed)
    return Compilation(path, page, passed, tuple(trials), report)


def _findings(bench: Bench, trials: Sequence[Trial], taken: Trial, gate: float) -> dict[str, Any]:
    """What the search found, in plain values."""
    return {
        "calibrated_on": bench.told_of,
        "measure": bench.judge.measure,
        "min_quality": gate,
        "quality": taken.to_json()["quality"],
        "trials": [trial.to_json() for trial in trials],
        "blame": [_plain(one) for one in bench.blame(taken.choice)],
    }


def _place(subject: Subject, device: Profile, out: Path | None) -> Path:
    """Where the artefact goes: a folder of the cache, or the file that was asked for."""
    if out is None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", device.name):
            raise ModelError(
                f"profile {device.name!r}: its name cannot be that of a folder; give -o"
            )
        place = converted_folder(identity(subject.network))
        place /= f"{artefacts.TARGET}-{device.precision}-{device.name}"
        require_free(place)
        return place
    if out.suffix != SUFFIX or out.is_dir():
        raise ModelError(f"{out}: expected a file NAME{SUFFIX}, by which engines know the format")
    return out


def _put_folder(
    artefact: Artefact, report: dict[str, Any], place: Path, passed: bool
) -> tuple[Path, Path]:
    """Artefact, report and page in a folder of their own, or in one for the rejected."""
    with workshop(place) as part:
        path = _write(artefact, report, part / f"{Path(report['source']['file']).stem}{SUFFIX}")
        text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
        (part / REPORT).write_text(text, encoding="utf-8")
        place = place if passed else place.parent / REJECTED / place.name
        put(part, place)
    return place / path.name, place / PAGE


def _put_file(
    artefact: Artefact, report: dict[str, Any], place: Path, passed: bool
) -> tuple[Path, Path]:
    """The artefact and its page under a name that was asked for, or one for the rejected."""
    place = place if passed else place.with_name(f"{place.stem}.{REJECTED}{SUFFIX}")
    with workshop(place) as part:
        path, page = _write(artefact, report, part / place.name), place.with_suffix(".html")
        (part / PAGE).replace(page)
        path.replace(place)
    return place, page


def _write(artefact: Artefact, report: dict[str, Any], path: Path) -> Path:
    """Writes an artefact, adds it to its report, and writes the page beside it."""
    artefacts.write(artefact, path)
    precision = report["profile"]["precision"]
    network = Network(path, artefacts.TARGET, precision=precision, target=artefact.profile)
    report["network"] = facts(network, [path])
    path.with_name(PAGE).write_text(compile_page(report), encoding="utf-8")
    return path


def _plain(one: Blame) -> dict[str, Any]:
    """As JSON has it, which knows no infinity."""
    return asdict(one) | {"snr_db": one.snr_db if isfinite(one.snr_db) else None}
