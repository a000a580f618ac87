"""`python -m benchmarks.int8 [NAME ...]`: what int8 costs and takes; writes tables of docs/npu.md.

Needs the real networks and videos. D2Go's halves run over TUD-Stadtmitte on ONNX Runtime in float32
and on the simulated NPU, calibrated on another video; what they find is tracked and scored.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from benchmarks import d2go
from benchmarks.__main__ import ASSETS
from benchmarks.d2go import Floats, Frame, Look
from benchmarks.harness import Goal, Row, interleaved, machine, per_call_us
from benchmarks.results import rewrite, table
from engines import Network
from engines.program import Tensors
from engines.sim_npu.compiler.calibration import METHODS
from pipeline.evaluation.detection_ap import average_precision
from pipeline.evaluation.evaluate import Rules, evaluate
from pipeline.evaluation.mot_files import MotTable, read_mot
from pipeline.evaluation.preprocess import Benchmark
from pipeline.media.preprocess import Preprocessor
from pipeline.models.manifest import PreprocessSpec

PAGE = Path(__file__).resolve().parent.parent / "docs" / "npu.md"
#: Method of calibration where no other is named.
DEFAULT = "min-max"
PROFILES = "hi3559a-nnie", "atlas500"
RULES = Rules(Benchmark.MOT15)
LOOKS = [Look(*how) for how in product((0, 6), (False, True))]
HEAD = (
    *("on the NPU", "numbers", "AP50", "MOTA", "IDF1", "HOTA"),
    *("mean MOTA", "mean DetA", "mean HOTA", "±"),
)
#: Calls a measurement, and measurements.
_CALLS, _ROUNDS = 5, 9


@dataclass(frozen=True, slots=True)
class Candidate:
    """D2Go in one of the ways it can run.

    Attributes:
        where: what of it runs on the simulated NPU.
        numbers: what it computes in, and how that was chosen.
        first: half.
        second: half.
    """

    where: str
    numbers: str
    first: Network
    second: Network


def candidates(assets: Path, folder: Path) -> Iterator[Candidate]:
    """In float32, calibrated by each method, and as it was published in int8."""
    inputs = d2go.recorded(assets)
    exact, given = (
        [d2go.network(assets, half, kind) for half in (1, 2)] for kind in ("fp32", "int8qdq")
    )
    yield Candidate("nothing", "float32", *exact)
    for method in METHODS:
        pairs = zip(exact, inputs, strict=True)
        made = [d2go.compiled(half, seen, folder, method) for half, seen in pairs]
        yield Candidate("both halves", f"int8, {method}", *made)
        if method == DEFAULT:
            yield Candidate("the first half", f"int8, {method}", made[0], exact[1])
    yield Candidate("nothing", "int8 as published", *given)
    pairs = zip(given, inputs, strict=True)
    made = [d2go.compiled(half, seen, folder, DEFAULT) for half, seen in pairs]
    yield Candidate("both halves", "int8 as published", *made)


def scores(candidate: Candidate, frames: Sequence[Frame], gt: MotTable) -> list[str]:
    """The cells of `HEAD`.

    With a dozen people, one mistaken identity more or less moves HOTA by several points, and the
    slightest change of a box may bring it about. So the same video is looked at in many ways, each
    with mistakes of its own: moved a little, in a mirror, backwards.
    """
    with d2go.detector(candidate.first, candidate.second) as detect:
        seen = [[d2go.found(detect, frame, look) for frame in frames] for look in LOOKS]
    times_ns, ap50 = [frame.pts_ns for frame in frames], average_precision(gt, d2go.people(seen[0]))
    summaries = [
        evaluate(gt, d2go.tracks(detections, times_ns, backwards=backwards), RULES).summary()
        for detections, backwards in product(seen, (False, True))
    ]
    plain = [100 * ap50, *(summaries[0][name] for name in ("MOTA", "IDF1", "HOTA"))]
    many = {name: [summary[name] for summary in summaries] for name in ("MOTA", "DetA", "HOTA")}
    error = stdev(many["HOTA"]) / len(summaries) ** 0.5
    return [f"{value:.1f}" for value in (*plain, *map(fmean, many.values()), error)]


def accuracy(assets: Path, folder: Path) -> str:
    """The table of what is lost."""
    lines = [f"| {' | '.join(HEAD)} |", "|---|---|" + "---:|" * (len(HEAD) - 2)]
    sequence = "TUD-Stadtmitte"
    frames = list(d2go.frames(assets / f"videos/{sequence}.mp4"))
    gt = read_mot(assets / f"tracking/MOT15/{sequence}/gt/gt.txt")
    for candidate in candidates(assets, folder):
        cells = [candidate.where, candidate.numbers, *scores(candidate, frames, gt)]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Subject:
    """A network whose time is measured.

    Attributes:
        name: for people.
        exact: in float32.
        beside: in int8, for ONNX Runtime, by what they are called.
        inputs: recorded.
        goal: of the ratios, if there is one.
    """

    name: str
    exact: Network
    beside: Mapping[str, Network]
    inputs: Sequence[Tensors]
    goal: Goal | None = None

    @property
    def example(self) -> Floats:
        """One of the inputs."""
        (image,) = self.inputs[0].values()
        return image


def subjects(assets: Path, folder: Path) -> Iterator[Subject]:
    """YOLOX-nano and D2Go's halves."""
    preprocessor = Preprocessor(PreprocessSpec(), 416, 416, np.dtype(np.float32), "nchw")
    pictures = d2go.pictures(assets / d2go.CALIBRATION, d2go.APART)
    images = [{"images": preprocessor(picture)[0]} for _, picture in pictures]
    yolox = Network(assets / "models/yolox_nano/yolox_nano_opencv_zoo.onnx", "onnx")
    beside = {
        types: quantised_by_onnxruntime(yolox, images, folder, types) for types in ("S8S8", "U8S8")
    }
    yield Subject("YOLOX-nano", yolox, beside, images, Goal("ratio", "at most", 3))
    for half, inputs in enumerate(d2go.recorded(assets), 1):
        exact, given = (d2go.network(assets, half, kind) for kind in ("fp32", "int8qdq"))
        yield Subject(f"D2Go, half {half}", exact, {"as published": given}, inputs)


def quantised_by_onnxruntime(
    network: Network, inputs: Sequence[Tensors], folder: Path, types: str
) -> Network:
    """The network as ONNX Runtime's own tool makes it int8: QDQ, by channel, min-max.

    Args:
        network: in float32.
        inputs: to calibrate with.
        folder: for the file.
        types: of activations and weights: ``S8S8``, the tool's default and the simulated device's,
            or ``U8S8``, for which a CPU with VNNI has instructions.
    """
    import onnx
    from onnxruntime import quantization as ort

    class Reader:
        def __init__(self) -> None:
            self._inputs = iter(inputs)

        def get_next(self) -> Tensors | None:
            return next(self._inputs, None)

    # Scales by channel came with opset 13.
    newer = onnx.version_converter.convert_version(onnx.load(network.path), 13)
    path = folder / f"{network.path.stem}-{types}.onnx"
    kinds = {"S8": ort.QuantType.QInt8, "U8": ort.QuantType.QUInt8}
    activations, weights = kinds[types[:2]], kinds[types[2:]]
    ort.quantize_static(
        newer, path, Reader(), per_channel=True, activation_type=activations, weight_type=weights
    )
    return Network(path, "onnx")


def times(assets: Path, folder: Path) -> str:
    """The tables of how long it takes: to simulate it here, and on the devices."""
    rows, lines = [], [f"| on the device | {' | '.join(PROFILES)} |", "|---|" + "---:|" * 2]
    for subject in subjects(assets, folder):
        exact, inputs = subject.exact, subject.inputs
        made = [d2go.compiled(exact, inputs, folder, DEFAULT, profile) for profile in PROFILES]
        rows += [_row(subject, made[0], how) for how in subject.beside]
        cells = [subject.name, *(_on_device(network, subject.example) for network in made)]
        lines.append(f"| {' | '.join(cells)} |")
    return table(rows) + "\n\n" + "\n".join(lines)


def _row(subject: Subject, compiled: Network, how: str) -> Row:
    """Processor time of a call here, in turn with ONNX Runtime's."""
    with d2go.opened(compiled) as device, d2go.opened(subject.beside[how]) as other:
        runs = {"ours": d2go.stage(device), "other": d2go.stage(other)}
        calls = {
            name: per_call_us(partial(run, subject.example), _CALLS) for name, run in runs.items()
        }
        numbers = interleaved(calls, _ROUNDS)
    ours, other_ms = ([us / 1000 for us in numbers[name]] for name in runs)
    return Row(subject.name, "ms", ours, f"ONNX Runtime, {how}", other_ms, subject.goal)


def _on_device(compiled: Network, example: Floats) -> str:
    """Simulated time of a call."""
    with d2go.opened(compiled) as device:
        d2go.stage(device)(example)
        report = device.report()
    return f"{1000 * report['device_s']:.2f} ms, {report['attained']:.0%} of a core's peak"


#: By the name that the command line takes.
TABLES = {"accuracy": accuracy, "times": times}


def main() -> None:
    """Measures, and rewrites the tables between their marks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.int8", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TABLES)}; both if none is given")
    names = parser.parse_args().names or list(TABLES)
    if unknown := [name for name in names if name not in TABLES]:
        parser.error(f"there is no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    if not ASSETS.is_dir():
        parser.error(f"no real models and videos at {ASSETS} (set SIGHTLINE_ASSETS)")
    for name in names:
        with tempfile.TemporaryDirectory(prefix="sightline-int8-") as folder:
            text = f"{machine(1)}.\n\n{TABLES[name](ASSETS.resolve(), Path(folder))}"
        print(text)
        rewrite(PAGE, f"int8 {name}", text)


if __name__ == "__main__":
    main()
