"""The page of a compilation: what it gave, what it cost and which layers are to blame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from engines.sim_npu.compiler.tiling import WEIGHTED
from pipeline.page import charts
from pipeline.page.numbers import quantity, share
from pipeline.page.rendering import render

Report = Mapping[str, Any]

#: Of the layers to blame, as many are listed.
_WORST = 15
_SECTIONS = {
    "search": "Search",
    "blame": "To blame",
    "partition": "Device and host",
    "passes": "Graph passes",
    "schedule": "Schedule",
    "layers": "Layers",
}
#: A layer's colour in the schedule, by what it waits for.
_KINDS = {"arithmetic": "second", "bandwidth": "third"}


@dataclass(frozen=True, slots=True)
class LayerView:
    """One layer of the device, as a row that opens.

    Attributes:
        told: its row of the report: name, operator, cycles …
        number: from 1, in the order they run.
        start_s: from the start of the first device segment; the host's time is not known.
        time_s: on the device.
        of_peak: of the multiply-adds a core could do in that time.
        tensor: what was inspected of its output; empty where there were no probes.
        blame: its share of the loss; None where it rounds nothing, or nobody asked.
        histogram: of its output in float32 and int8.
    """

    told: Report
    number: int
    start_s: float
    time_s: float
    of_peak: float
    tensor: Report
    blame: float | None
    histogram: Markup | None

    @property
    def beyond(self) -> float:
        """Part of its values in float32 that its range cuts off."""
        outside: int = self.tensor["below"] + self.tensor["above"]
        return outside / max(1, outside + sum(self.tensor["float32"]))


def compile_page(report: Report) -> str:
    """The report of a compilation as one HTML file.

    Args:
        report: plain values: what `compile.finish` gives, with what a search adds. What is missing
            (there were no probes, nothing was searched) is left out.
    """
    layers = _layers(report)
    absent = {"search": "trials", "blame": "blame"}
    sections = [item for item in _SECTIONS.items() if report.get(absent.get(item[0], "layers"))]
    return render(
        "compile.html",
        title=_title(report),
        sections=sections,
        footer=_footer(report),
        report=report,
        verdict=report.get("verdict", ""),
        facts=_facts(report),
        outputs=_outputs(report),
        trials=report.get("trials", []),
        figures=_figures(report),
        chosen=_chosen(report),
        progress=_progress(report),
        worst=_worst(report, layers),
        segments=_segments(report, layers),
        host=_host(report),
        layers=layers,
        skyline=_skyline(layers),
        device_s=report["device_s"],
        ridge=_ridge(report.get("profile")),
    )


def _title(report: Report) -> str:
    names = report.get("source", {}).get("file"), report.get("profile", {}).get("name")
    return " on ".join(filter(None, names)) or "A compiled network"


def _footer(report: Report) -> str:
    versions = " · ".join(f"{name} {found}" for name, found in report.get("versions", {}).items())
    return " · ".join(filter(None, [report.get("when", ""), versions]))


def _facts(report: Report) -> list[tuple[str, str]]:
    """What is said first, as name and value; the first four are large."""
    choice, quality = report["choice"], report.get("quality")
    changes = [cut["change"] for cut in report["cuts"]]
    scales = {True: "a scale per channel", False: "a scale per layer", None: "as given"}
    kept = len(choice["keep_float"])
    facts = []
    if quality:
        facts.append(("Quality kept", share(quality["value"])))
    facts += [
        ("Device time, one run", quantity(report["device_s"], "s")),
        ("Of a core's peak", share(report["attained"])),
        ("On the device", f"{len(report['layers'])} layers"),
        ("On the host", f"{len(report['host'])} nodes"),
        ("Calibration", choice["method"]),
        ("Weights", scales[choice["per_channel"]]),
        ("Rounding", choice["rounding"]),
        ("Kept in float", f"{kept} nodes" if kept else "none"),
        ("Copied, one run", f"{quantity(report['bytes_copied'], 'B')} in {len(changes)} cuts"),
        (
            "Quantised at cuts",
            f"{changes.count('quantise')}, back at {changes.count('dequantise')}",
        ),
    ]
    if quality:
        facts += [("Asked for", share(report["min_quality"])), ("Measured by", report["measure"])]
    if "calibrated_on" in report:
        facts.append(("Calibrated on", report["calibrated_on"]))
    return facts


def _outputs(report: Report) -> list[Report]:
    """What was inspected of tensors that leave the network."""
    left = {cut["tensor"] for cut in report["cuts"] if cut["target"] == _segment_count(report)}
    return [one for one in report.get("inspection", []) if one["tensor"] in left]


def _segment_count(report: Report) -> int:
    """The number that cuts to the caller have as their target."""
    return max(int(cut["target"]) for cut in report["cuts"])


def _figures(report: Report) -> list[str]:
    """Names of the figures a trial's quality is made of."""
    names = (name for trial in report.get("trials", []) for name in trial["quality"]["figures"])
    return list(dict.fromkeys(names))


def _chosen(report: Report) -> int:
    """Number of the trial that was taken, from 0; the first where it cannot be told."""
    trials = [trial["choice"] for trial in report.get("trials", [])]
    return trials.index(report["choice"]) if report["choice"] in trials else 0


def _progress(report: Report) -> Markup | None:
    """Quality, trial by trial, with what is asked for."""
    values = [trial["quality"]["value"] for trial in report.get("trials", [])]
    if len(values) < 2:
        return None
    return charts.line(values, "Quality of each trial", report["min_quality"])


def _worst(report: Report, layers: Sequence[LayerView]) -> list[tuple[Report, int, Markup]]:
    """The layers to blame, with the number of each and a bar of its share."""
    numbers = {layer.told["name"]: layer.number for layer in reversed(layers)}
    worst = report.get("blame", [])[:_WORST]
    most = max((one["share"] for one in worst), default=0) or 1
    return [
        (
            one,
            numbers[one["layer"]],
            charts.bar(one["share"] / most, f"{one['layer']}: {share(one['share'])} of the loss"),
        )
        for one in worst
    ]


def _segments(report: Report, layers: Sequence[LayerView]) -> list[tuple[str, float, int]]:
    """For each segment: where it runs, for how long on the device, and its number."""
    found = []
    for number in range(_segment_count(report)):
        inside = [layer for layer in layers if layer.told["segment"] == number]
        place = f"device, {len(inside)} layers" if inside else "host, float32"
        found.append((place, sum(layer.time_s for layer in inside), number))
    return found


def _host(report: Report) -> list[tuple[Report, list[str]]]:
    """Nodes on the host, alike ones together: one of them, and the names of all."""
    alike: dict[tuple[str, ...], list[Report]] = {}
    for one in report["host"]:
        alike.setdefault((one["operator"], one["reason"], one["suggestion"]), []).append(one)
    return [(nodes[0], [node["node"] for node in nodes]) for nodes in alike.values()]


def _layers(report: Report) -> list[LayerView]:
    tensors = {one["tensor"]: one for one in report.get("inspection", [])}
    shares = {one["layer"]: one["share"] for one in report.get("blame", [])}
    cycles = sum(layer["cycles"] for layer in report["layers"])
    macs = sum(_work(layer) for layer in report["layers"])
    second, peak = report["device_s"] / cycles, macs / (cycles * report["attained"] or 1)
    views, now = list[LayerView](), 0.0
    for number, layer in enumerate(report["layers"], 1):
        tensor, time_s = tensors.get(layer["output"], {}), layer["cycles"] * second
        of_peak = _work(layer) / layer["cycles"] / peak if peak else 0.0
        blame, histogram = shares.get(layer["name"]), _histogram(tensor)
        views.append(LayerView(layer, number, now, time_s, of_peak, tensor, blame, histogram))
        now += time_s
    return views


def _ridge(profile: Report | None) -> float | None:
    """Multiply-adds a byte at which a layer waits for arithmetic and memory alike."""
    if profile is None:
        return None
    peak: float = profile["macs_per_cycle"] * profile["clock_hz"] * profile["cores"]
    return peak / float(profile["bandwidth"])


def _work(layer: Report) -> int:
    """Multiply-adds that count against the peak: those with weights."""
    return int(layer["macs"]) if layer["operator"] in WEIGHTED else 0


def _histogram(tensor: Report) -> Markup | None:
    if not tensor.get("float32"):
        return None
    title = f"{tensor['tensor']}: values in float32 and in int8"
    ends = tensor["below"], tensor["above"]
    return charts.histogram_pair(tensor["float32"], tensor["int8"], title, *ends)


def _skyline(layers: Sequence[LayerView]) -> Markup:
    blocks = [
        charts.Block(
            layer.start_s,
            layer.time_s,
            max(layer.of_peak, 0.01),
            _KINDS[layer.told["limit"]],
            f"{layer.told['name']} ({layer.told['operator']}): {quantity(layer.time_s, 's')}, "
            f"{share(layer.of_peak)} of the peak, waits for {layer.told['limit']}",
        )
        for layer in layers
    ]
    return charts.skyline(blocks, "Layers over time, and what part of a core's peak each uses")
