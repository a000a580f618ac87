"""A quantisation report as a page, for people who were not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.models.workshop import versions
from pipeline.page import charts
from pipeline.page.rendering import render
from pipeline.quantisation.figures import FIGURES, Verdict
from pipeline.quantisation.quant_report import QuantReport

_SECTIONS = (
    ("figures", "Figures"),
    ("frames", "Frames"),
    ("tensors", "Tensors"),
    ("engines", "What ran where"),
)


def quant_page(report: QuantReport, verdicts: Sequence[Verdict], subject: str) -> str:
    """One HTML file.

    Args:
        report: of both sides.
        verdicts: on its figures; none where no gate was asked for.
        subject: what was compared.
    """
    plain = report.to_json()
    sides = {"reference": report.reference, "candidate": report.candidate}
    return render(
        "quant_report.html",
        title=subject,
        sections=_SECTIONS,
        footer=", ".join(f"{name} {version}" for name, version in versions().items()),
        frames=report.frames,
        truths=sorted(set(report.truths.values())),
        verdicts=verdicts,
        complaints=[verdict.complaint for verdict in verdicts if verdict.complaint],
        incidents=[f"{name}: {line}" for name, side in sides.items() for line in side.incidents],
        groups=list(_groups(report, verdicts)),
        cameras=_cameras(report.agreement),
        tensors=plain["tensors"],
        engines=[(name, engine) for name in sides for engine in plain[name]["engines"]],
    )


def _groups(report: QuantReport, verdicts: Sequence[Verdict]) -> Iterator[tuple[str, list[Any]]]:
    """Of each group of figures that are there its name, and its figures with their verdicts."""
    judged = {verdict.name: verdict for verdict in verdicts}
    for group, names in FIGURES.items():
        rows = [(f, judged.get(f.name)) for f in report.figures if f.name in names]
        if rows:
            yield group, rows


def _cameras(agreement: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """Each camera's agreement as a chart, with its range, and its worst frame."""
    return [
        {
            "id": camera,
            "count": len(values),
            "chart": charts.line(values, f"agreement in the frames of {camera}"),
            "least": min(values),
            "most": max(values),
            "at": values.index(min(values)),
        }
        for camera, values in agreement.items()
        if values
    ]
