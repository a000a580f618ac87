"""Converts a model, compares the result with its source, and puts both down where they are found.

A folder of a converted network appears whole or not at all. Where its outputs differ too much it
goes below ``rejected``, to be looked at; `find_converted` does not see it there.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import engines
from engines import Engine, Network
from engines.convert import convert, targets
from pipeline.errors import ModelError
from pipeline.models.comparison import Comparison, Difference, compare
from pipeline.models.converted import REPORT, converted_folder, files_of, identity
from pipeline.models.manifest import PreprocessSpec
from pipeline.models.workshop import REJECTED, facts, put, require_free, versions, workshop


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of a conversion.

    Attributes:
        network: the new network, at its final place, with the tensors of its source.
        comparison: of it with its source.
        report: what is written in ``report.json``.
    """

    network: Network
    comparison: Comparison
    report: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where the network and its report lie."""
        return self.network.path.parent


def convert_model(
    source: Network,
    target: str,
    *,
    precision: str = "fp32",
    preprocess: PreprocessSpec | None = None,
    pictures: str | None = None,
    folder: Path | None = None,
) -> Conversion:
    """Converts a network and compares the result with it on real input.

    Args:
        source: the network; its tensors need be declared only where its format does not tell them.
        target: format wanted.
        precision: of the numbers in the new network.
        preprocess: what its manifest says about pictures; None where there is none.
        pictures: a video, an image or a folder to compare with; None for a sample video.
        folder: where it goes; None for the cache, where models find it.

    Raises:
        ModelError: it is sealed or nothing to convert, or `folder` holds something else.
        EngineError: it cannot be converted, or one of the two cannot be run.
        SourceError: the pictures cannot be read.
    """
    if source.content is not None:
        raise ModelError(
            f"{source}: a sealed model is not converted: it would lie open on the disk"
        )
    if source.format == target and precision == (source.precision or precision):
        raise ModelError(f"{source}: it is {target} already; it can be converted to "
                         f"{', '.join(targets(source.format)) or 'nothing else'}")  # fmt: skip
    place = folder or converted_folder(identity(source)) / f"{target}-{precision}"
    require_free(place)
    with workshop(place) as part:
        begun = time.monotonic()
        made = convert(source, target, part, precision)
        converted_s = time.monotonic() - begun
        comparison = compare(source, made, precision, preprocess, pictures)
        report = _report(comparison)
        report["seconds"] = {
            "convert": round(converted_s, 2),
            "compare": round(time.monotonic() - begun - converted_s, 2),
        }
        text = json.dumps(report, indent=1, ensure_ascii=False)
        (part / REPORT).write_text(text, encoding="utf-8")
        if folder is None and not comparison.equal:
            place = place.parent / REJECTED / place.name
        put(part, place)
    network = replace(comparison.network, path=place / made.path.name)
    return Conversion(network, comparison, report)


def _report(comparison: Comparison) -> dict[str, Any]:
    source, network = comparison.source, comparison.network
    theirs, ours = comparison.engines
    return {
        "schema": 1,
        "verdict": "equal" if comparison.equal else "differs",
        "source": facts(source, files_of(source)),
        "network": facts(network, network.path.parent.iterdir()),
        "compared_on": comparison.told,
        "engines": {"source": _engine(theirs), "network": _engine(ours)},
        "tolerance": comparison.tolerance,
        "outputs": [_row(difference) for difference in comparison.differences],
        "versions": versions(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _engine(engine: Engine) -> str:
    info = engines.engine_class(engine.backend).describe()
    return f"{engine.backend} {info.version} on {engine.device}, {engine.precision}"


def _row(difference: Difference) -> dict[str, Any]:
    """Of an output; what is infinite is no JSON and becomes null."""
    row = asdict(difference) | {"within": difference.within}
    return {key: None if value == float("inf") else value for key, value in row.items()}
