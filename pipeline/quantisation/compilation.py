"""Compiles a model for a device, measures it there, and puts down what is good enough.

An artefact that is not goes below ``rejected``, where no model finds it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from engines import Network
from engines.sim_npu import artefact as artefacts
from engines.sim_npu import profiles
from engines.sim_npu.artefact import Artefact
from engines.sim_npu.compiler.blame import Blame, blame
from engines.sim_npu.compiler.compile import Choice, finish, prepare, quantised, told
from engines.sim_npu.compiler.inspection import inspect
from engines.sim_npu.profiles import Profile
from pipeline.errors import ModelError
from pipeline.models.comparison import declared, natural_engine, run
from pipeline.models.converted import REPORT, converted_folder, identity
from pipeline.models.subject import Subject
from pipeline.models.workshop import REJECTED, facts, put, require_free, versions, workshop
from pipeline.quantisation.inputs import Request, gather
from pipeline.quantisation.page import compile_page
from pipeline.quantisation.quality import judge_of, on_device
from pipeline.quantisation.search import Trial, best, choices, search

#: Held-out samples that the loss of each layer is told of.
PROBES = 2
SUFFIX = ".slnpu"
#: Beside ``report.json``, for people; beside an artefact of one's own it has that one's name.
PAGE = "report.html"
_PASSED = "good enough"
Listener = Callable[[str], None]


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


class Bench:
    """One network and one device: makes artefacts, and measures them.

    Args:
        network: ONNX, with declared tensors.
        subject: that it is a variant of.
        profile: name of a device profile, or a YAML file with one.
        request: what it is calibrated with.
        classes: see `Wishes`.
        listener: hears what is being done.

    Attributes:
        prepared: the network.
        device: the profile.
        told_of: the samples it is calibrated with and measured on, in words.
        judge: says how good an artefact is.

    Raises:
        EngineError: the network cannot be read or run.
        DataError, SourceError: the calibration is of no use.
    """

    def __init__(
        self,
        network: Network,
        subject: Subject,
        profile: str,
        request: Request,
        classes: Sequence[str] | None,
        listener: Listener,
    ) -> None:
        self.device, self._profile, self._hear = profiles.find(profile), profile, listener
        listener(f"reading {request.source}")
        material = gather(network.inputs, subject.manifest, request)
        self._integers = self.device.precision == "int8"
        self._held_out, self.told_of = material.held_out, material.told
        listener(f"running the network over {material.told}")
        inputs = [sample.tensors for sample in material.held_out]
        self._probes = inputs[:PROBES]
        expected = run(natural_engine(network), network, inputs)
        self.judge = judge_of(subject.manifest, material, expected, classes)
        self.prepared = prepare(network.path, (sample.tensors for sample in material.calibration))

    def choices(self, wishes: Wishes) -> list[Choice]:
        """What is tried first; where no ranges are needed there is nothing to choose."""
        base = Choice(rounding=wishes.rounding, keep_float=wishes.keep_float)
        if self.prepared.given is not None or not self._integers:
            return [base]
        return choices(base, wishes.method, wishes.per_channel)

    def attempt(self, choice: Choice) -> Trial:
        """An artefact made in this way, as measured on the device."""
        self._hear(f"trying {spoken(told(self.prepared, self.device, choice))}")
        artefact = finish(self.prepared, self.device, choice)
        found = on_device(artefact, self._profile, self._held_out)
        return Trial.of(choice, artefact, self.judge(found))

    def blame(self, choice: Choice) -> list[Blame]:
        """What each layer costs, the worst first; nothing on a device that computes in floats."""
        self._hear("looking for the layers to blame")
        return blame(quantised(self.prepared, choice), self._probes) if self._integers else []

    def inspect(self, choice: Choice) -> list[dict[str, Any]]:
        """What every tensor holds in float32 and in int8."""
        return inspect(quantised(self.prepared, choice), self._probes) if self._integers else []

    def suspects(self, choice: Choice) -> list[tuple[str, ...]]:
        """The nodes that go to the host with each layer, the costliest first."""
        return [one.keep for one in self.blame(choice)]

    def artefact(self, choice: Choice) -> Artefact:
        """An artefact that also reports the loss at every tensor."""
        self._hear(f"taking {spoken(told(self.prepared, self.device, choice))}")
        return finish(self.prepared, self.device, choice, self._probes)


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
    begun, network = time.monotonic(), _onnx(subject)
    place = _place(subject, profiles.find(profile), out)
    bench = Bench(declared(network), subject, profile, request, wishes.classes, listener)
    prepared_s = time.monotonic() - begun
    gate = bench.judge.gate if wishes.min_quality is None else wishes.min_quality
    first = bench.choices(wishes)
    trials = search(bench.prepared, first, bench.attempt, bench.suspects, gate)
    taken = best(trials, gate)
    artefact = bench.artefact(taken.choice)
    found = artefact.report | {
        "calibrated_on": bench.told_of,
        "measure": bench.judge.measure,
        "min_quality": gate,
        "quality": taken.to_json()["quality"],
        "trials": [trial.to_json() for trial in trials],
        "blame": [_plain(one) for one in bench.blame(taken.choice)],
    }
    seconds = {"prepare": prepared_s, "search": time.monotonic() - begun - prepared_s}
    report = {
        "schema": 1,
        "verdict": _PASSED if taken.quality.value >= gate else "not good enough",
        "source": facts(network, [network.path]),
        "profile": asdict(bench.device),
        **found,
        "tensors": bench.inspect(taken.choice),
        "versions": versions(),
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # What is in the artefact itself depends on its inputs alone: the same give the same bytes.
    path = _put_down(replace(artefact, report=found), report, place, out is not None)
    page = path.with_name(PAGE) if out is None else path.with_suffix(".html")
    return Compilation(path, page, taken.quality.value >= gate, tuple(trials), report)


def spoken(choice: Mapping[str, Any]) -> str:
    """A choice, as reports have it, in a few words."""
    words = [choice["method"]]
    if choice["per_channel"] is not None:
        words.append(f"weights by {'channel' if choice['per_channel'] else 'layer'}")
    if kept := len(choice["keep_float"]):
        words.append(f"{kept} nodes in float")
    return ", ".join(words)


def _onnx(subject: Subject) -> Network:
    """The variant that can be compiled. Raises `ModelError` with the remedy where none can."""
    network = subject.network
    if network.content is not None:
        raise ModelError(
            f"{network}: a sealed model is not compiled: it would lie open on the disk"
        )
    found = next((one for one in subject.variants if one.format == "onnx"), None)
    if found is None:
        name = subject.manifest.name if subject.manifest else network.path
        raise ModelError(
            f"{network}: it is {network.format}, and the compiler reads ONNX; convert it first: "
            f"sightline models convert {name} --to onnx"
        )
    return found


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


def _put_down(artefact: Artefact, report: dict[str, Any], place: Path, single: bool) -> Path:
    """Writes artefact and report to their place, or to that of the rejected."""
    passed = report["verdict"] == _PASSED
    stem = place.stem if single else Path(report["source"]["file"]).stem
    with workshop(place) as part:
        path = part / f"{stem}{SUFFIX}"
        artefacts.write(artefact, path)
        network = Network(
            path,
            artefacts.TARGET,
            precision=report["profile"]["precision"],
            target=artefact.profile,
        )
        report["network"] = facts(network, [path])
        (part / PAGE).write_text(compile_page(report), encoding="utf-8")
        if single:
            place = place if passed else place.with_name(f"{stem}.{REJECTED}{SUFFIX}")
            (part / PAGE).replace(place.with_suffix(".html"))
            path.replace(place)
            return place
        text = json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False)
        (part / REPORT).write_text(text, encoding="utf-8")
        place = place if passed else place.parent / REJECTED / place.name
        put(part, place)
        return place / path.name


def _plain(one: Blame) -> dict[str, Any]:
    """As JSON has it, which knows no infinity."""
    return asdict(one) | {"snr_db": one.snr_db if isfinite(one.snr_db) else None}
