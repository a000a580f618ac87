"""Every kernel on every engine that reads ONNX equals the host, within its stated tolerance."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

import engines
from engines import EngineUnavailable, Kernel, ProgramError, TensorError, TensorSpec
from engines.program import Tensors
from pipeline.detection.anchors import Anchors
from pipeline.detection.heads import (
    BoxesHead,
    FastestdetHead,
    Head,
    NanodetHead,
    Yolov5Head,
    Yolov8Head,
    YoloxHead,
)
from pipeline.detection.postprocess import Postprocessor
from pipeline.detection.proposals import ProposalSpec
from pipeline.detection.pyramid import Pooling
from pipeline.detection.roi_head import RoiHeadSpec
from pipeline.kernels.cosine import cosine
from pipeline.kernels.head_decode import head_decode
from pipeline.kernels.iou import iou
from pipeline.kernels.kalman_predict import kalman_predict
from pipeline.kernels.letterbox import letterbox
from pipeline.kernels.pooling import pooling
from pipeline.kernels.proposals import proposals
from pipeline.kernels.roi_objects import roi_objects
from pipeline.media.preprocess import Preprocessor
from pipeline.models.manifest import PreprocessSpec
from pipeline.tracking.forms import FORMS, Form
from tests.kernels.running import READERS, UNREADABLE, by_score, readers, run

LABELS = ("person", "bicycle", "car")
SIZE = 64
CELLS = 64 + 16 + 4


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def boxes(count: int, seed: int = 0) -> np.ndarray:
    low = random(seed).uniform(-20, 200, (count, 2))
    high = low + random(seed + 1).uniform(0, 120, (count, 2))
    return np.concatenate([low, high], axis=1).astype(np.float32)


def units(count: int, seed: int = 0) -> np.ndarray:
    vectors = random(seed).normal(size=(count, 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


# letterbox


@pytest.mark.parametrize("reader", readers("letterbox"))
@pytest.mark.parametrize(
    ("width", "height", "written"),
    [
        (97, 55, {"resize": "letterbox", "align": "top_left", "pad": 114, "color": "bgr"}),
        (
            40,
            90,
            {
                "resize": "letterbox",
                "align": "center",
                "pad": 7,
                "color": "rgb",
                "scale": 1 / 255,
                "mean": (0.485, 0.456, 0.406),
                "std": (0.229, 0.224, 0.225),
            },
        ),
        (128, 96, {"resize": "stretch", "color": "rgb"}),  # half the size
        (64, 48, {"resize": "stretch", "color": "bgr"}),  # no change of size
    ],
    ids=["top left", "centred and normalised", "stretched", "same size"],
)
@pytest.mark.parametrize(
    ("dtype", "layout"),
    [("float32", "nchw"), ("float32", "chw"), ("float16", "nhwc"), ("uint8", "nhwc")],
)
def test_letterbox(
    reader: str, width: int, height: int, written: dict[str, object], dtype: str, layout: str
) -> None:
    if dtype == "uint8" and "mean" in written:
        return  # such values are no uint8
    spec = PreprocessSpec.model_validate(written)
    kernel = letterbox(Preprocessor(spec, 64, 48, np.dtype(dtype), layout), width, height)
    image = random().integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    expected = run("host", kernel, {"image": image})["tensor"].astype(np.float64)
    found = run(reader, kernel, {"image": image})["tensor"].astype(np.float64)
    assert found.shape == expected.shape
    # One level of the picture, and for float16 the rounding of its largest value.
    level = spec.scale / min(spec.std) + np.abs(expected).max() * np.finfo(np.float16).eps
    assert np.abs(found - expected).max() <= level
    assert (np.abs(found - expected) > level / 100).mean() < 0.2, "few pixels differ at all"


# head-decode


def yolox() -> Tensors:
    rows = np.zeros((1, CELLS, 5 + len(LABELS)), np.float32)
    rows[..., :4] = random().normal(1, 0.8, (1, CELLS, 4))
    rows[..., 4:] = random(1).random((1, CELLS, 1 + len(LABELS)))
    return {"output": rows}


def nanodet() -> Tensors:
    tensors = {}
    for stride, cells in ((8, 64), (16, 16), (32, 4)):
        tensors[f"c{stride}"] = random(stride).random((1, cells, len(LABELS))).astype(np.float32)
        tensors[f"d{stride}"] = random(stride).normal(0, 2, (1, cells, 32)).astype(np.float32)
    return tensors


def fastestdet() -> Tensors:
    maps = random().normal(size=(1, 5 + len(LABELS), 8, 8)).astype(np.float32)
    maps[:, 0], maps[:, 5:] = random(1).random((8, 8)), random(2).random((len(LABELS), 8, 8))
    return {"maps": maps}


def yolov5() -> Tensors:
    rows = random().random((1, CELLS, 5 + len(LABELS))).astype(np.float32)
    rows[..., :4] *= SIZE
    return {"rows": rows}


def yolov8() -> Tensors:
    columns = random().random((1, 4 + len(LABELS), CELLS)).astype(np.float32)
    columns[:, :4] *= SIZE
    return {"columns": columns}


HEADS: dict[str, tuple[Head, Tensors]] = {
    "yolox": (YoloxHead(family="yolox"), yolox()),
    "nanodet": (
        NanodetHead(family="nanodet", classes=("c8", "c16", "c32"), distances=("d8", "d16", "d32")),
        nanodet(),
    ),
    "nanodet-one": (
        NanodetHead(family="nanodet"),
        {
            "both": np.concatenate(
                [
                    np.concatenate([nanodet()[f"{kind}{s}"] for s in (8, 16, 32)], axis=1)
                    for kind in "cd"
                ],
                axis=2,
            )
        },
    ),
    "fastestdet": (FastestdetHead(family="fastestdet"), fastestdet()),
    "yolov5": (Yolov5Head(family="yolov5"), yolov5()),
    "yolov8": (Yolov8Head(family="yolov8"), yolov8()),
}


def decoder(name: str, **choices: object) -> tuple[Kernel, Tensors]:
    head, tensors = HEADS[name]
    postprocessor = Postprocessor(head, LABELS, **choices)  # type: ignore[arg-type]
    specs = [TensorSpec(n, (-1, *a.shape[1:]), a.dtype) for n, a in tensors.items()]
    return head_decode(postprocessor, specs, SIZE, SIZE), tensors


def assert_same_objects(found: Tensors, expected: Tensors) -> None:
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
    assert (np.diff(found["scores"]) <= 0).all()
    np.testing.assert_allclose(by_score(found), by_score(expected), atol=1e-3)


@pytest.mark.parametrize("reader", readers("head-decode"))
@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("classes", [None, ("car", "person")], ids=["all", "two"])
def test_head_decode(reader: str, name: str, classes: tuple[str, ...] | None) -> None:
    kernel, tensors = decoder(name, score=0.3, nms_iou=0.4, classes=classes)
    expected = run("host", kernel, tensors)
    assert len(expected["scores"]) > 3
    assert_same_objects(run(reader, kernel, tensors), expected)


@pytest.mark.parametrize("reader", readers("head-decode"))
@pytest.mark.parametrize(
    ("choices", "count"),
    [({"max_detections": 2}, 2), ({"score": 1.0}, 0), ({"score": 0.0, "nms_iou": 1.0}, CELLS)],
    ids=["at most two", "nothing found", "all there are"],
)
def test_head_decode_at_its_limits(reader: str, choices: dict[str, object], count: int) -> None:
    kernel, tensors = decoder("yolox", **choices)
    expected = run("host", kernel, tensors)
    assert len(expected["scores"]) == count
    assert_same_objects(run(reader, kernel, tensors), expected)


def test_a_head_without_onnx_form_runs_on_the_host_only() -> None:
    specs = [
        TensorSpec("boxes", (1, 5, 4), np.dtype("float32")),
        TensorSpec("scores", (1, 5), np.dtype("float32")),
    ]
    kernel = head_decode(Postprocessor(BoxesHead(family="boxes"), ["light"]), specs, SIZE, SIZE)
    assert engines.able(kernel) == ("host",)


@pytest.mark.parametrize(("name", "cells"), [("scores", CELLS), ("rows", -1)])
def test_outputs_that_no_graph_can_take_are_for_the_host_only(name: str, cells: int) -> None:
    postprocessor = Postprocessor(YoloxHead(family="yolox"), LABELS)
    spec = TensorSpec(name, (-1, cells, 8), np.dtype("float32"))
    assert engines.able(head_decode(postprocessor, [spec], SIZE, SIZE)) == ("host",)


# proposals


ONE = ProposalSpec((Anchors((32, 64), (0.5, 1, 2), 16),), candidates=50, keep=10)
PYRAMID = ProposalSpec(
    tuple(Anchors((4.0 * s,), (0.5, 1, 2), s, 0.5) for s in (8, 16)), candidates=60, keep=20
)


def map_outputs(spec: ProposalSpec, maps: list[tuple[int, int]]) -> Tensors:
    tensors = {}
    for i, (anchors, shape) in enumerate(zip(spec.levels, maps, strict=True)):
        logits = random(i).normal(size=(1, anchors.per_cell, *shape))
        moves = random(i).normal(0, 0.7, (1, 4 * anchors.per_cell, *shape))
        tensors[f"objectness{i}"] = logits.astype(np.float32)
        tensors[f"deltas{i}"] = moves.astype(np.float32)
    return tensors


@pytest.mark.parametrize("reader", readers("proposals"))
@pytest.mark.parametrize(
    ("spec", "maps"),
    [
        (ONE, [(5, 7)]),
        (PYRAMID, [(10, 14), (5, 7)]),
        (replace(ONE, candidates=1000), [(5, 7)]),
    ],
    ids=["one level", "pyramid", "fewer anchors than candidates"],
)
def test_proposals(reader: str, spec: ProposalSpec, maps: list[tuple[int, int]]) -> None:
    kernel, tensors = proposals(spec, maps, 112, 80), map_outputs(spec, maps)
    expected = run("host", kernel, tensors)
    assert len(expected["scores"]) > 4
    assert_same_objects(run(reader, kernel, tensors), expected)


@pytest.mark.parametrize("reader", readers("proposals"))
def test_no_proposals(reader: str) -> None:
    kernel, tensors = proposals(ONE, [(5, 7)], 112, 80), map_outputs(ONE, [(5, 7)])
    tensors["deltas0"].reshape(6, 4, -1)[:, 1] = 1000  # far below the picture
    expected = run("host", kernel, tensors)
    assert len(expected["scores"]) == 0
    assert_same_objects(run(reader, kernel, tensors), expected)


# roi-objects


def head_outputs(count: int, classes: int) -> Tensors:
    return {
        "proposals": boxes(count) + np.array([20, 20, 30, 30], np.float32),
        "box_deltas": random(1).normal(0, 2, (count, 4 * classes)).astype(np.float32),
        "cls_logits": random(2).normal(0, 2, (count, classes + 1)).astype(np.float32),
    }


HEAD_SPECS = {
    "background last": RoiHeadSpec(keep=30),
    "background first": RoiHeadSpec(background="first", score=0.2, nms_iou=0.3),
    "two classes": RoiHeadSpec(wanted=(1, 3), score=0.1),
    "nothing": RoiHeadSpec(score=1.0),
}


@pytest.mark.parametrize("reader", readers("roi-objects"))
@pytest.mark.parametrize("spec", HEAD_SPECS)
@pytest.mark.parametrize("count", [0, 1, 60])
def test_roi_objects(reader: str, spec: str, count: int) -> None:
    kernel = roi_objects(HEAD_SPECS[spec], 5, 240, 200)
    tensors = head_outputs(count, 5)
    expected = run("host", kernel, tensors)
    assert len(expected["scores"]) > 10 or count < 60 or spec == "nothing"
    assert_same_objects(run(reader, kernel, tensors), expected)


@pytest.mark.parametrize("reader", readers("roi-objects"))
def test_roi_objects_outside_the_picture(reader: str) -> None:
    kernel, tensors = roi_objects(RoiHeadSpec(), 5, 240, 200), head_outputs(9, 5)
    tensors["proposals"] += 1000
    expected = run("host", kernel, tensors)
    assert len(expected["scores"]) == 0
    assert_same_objects(run(reader, kernel, tensors), expected)


@pytest.mark.parametrize("backend", ["host", "onnxruntime"])
def test_a_head_of_another_class_count_is_told(backend: str) -> None:
    kernel = roi_objects(RoiHeadSpec(), 5, 240, 200)
    with pytest.raises(TensorError, match=r"20.*16"):
        run(backend, kernel, head_outputs(3, 4))


# roi-align, roi-pool


POOLINGS = {
    "align": Pooling(6, 5, (16,)),
    "align, four samples": Pooling(6, 5, (16,), sampling=2),
    "align, pyramid": Pooling(6, 5, (8, 16, 32), canonical_size=50),
    "pool": Pooling(6, 5, (16,), "pool"),
    "pool, pyramid": Pooling(6, 5, (8, 16, 32), "pool", canonical_size=50),
}


@pytest.mark.parametrize(
    ("reader", "name"),
    [(r, name) for name, how in POOLINGS.items() for r in readers(f"roi-{how.method}")],
)
@pytest.mark.parametrize("count", [0, 1, 40])
def test_pooling(reader: str, name: str, count: int) -> None:
    how = POOLINGS[name]
    kernel, tensors = pooling(how, 3), {"boxes": boxes(count)}
    tensors["boxes"][::2] = tensors["boxes"][::2] // 8 * 8  # with edges halfway between cells
    tensors["boxes"][:, 2:] += 8  # no engine but the host is sure of empty boxes
    for i, stride in enumerate(how.strides):
        shape = (1, 3, 144 // stride, 224 // stride)
        tensors[f"features{i}"] = random(i).normal(-1, 1, shape).astype(np.float32)
    expected = run("host", kernel, tensors)["roi_features"]
    found = run(reader, kernel, tensors)["roi_features"]
    assert found.shape == (count, 3, 6, 5)
    largest = max(np.abs(array).max() for name, array in tensors.items() if name != "boxes")
    np.testing.assert_allclose(found, expected, atol=1e-5 * largest)


# iou, cosine


@pytest.mark.parametrize("reader", readers("iou"))
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (40, 60)])
def test_iou(reader: str, n: int, m: int) -> None:
    tensors = {"a": boxes(n), "b": boxes(m, 5)}
    tensors["a"][0, 2:] = tensors["a"][0, :2]  # an empty box
    expected = run("host", iou(), tensors)["iou"]
    found = run(reader, iou(), tensors)["iou"]
    assert found.shape == (n, m)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("reader", readers("cosine"))
@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 3), (40, 60)])
def test_cosine(reader: str, n: int, m: int) -> None:
    tensors = {"a": units(n), "b": units(m, 5)}
    expected = run("host", cosine(), tensors)["cosine"]
    found = run(reader, cosine(), tensors)["cosine"]
    assert found.shape == (n, m)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# kalman-predict


@pytest.mark.parametrize("reader", readers("kalman-predict"))
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("count", [1, 40])
def test_kalman_predict(reader: str, form: Form, count: int) -> None:
    kernel, rng = kalman_predict(form), random()
    state = rng.uniform(0, 1, (8, 4, count))
    state[[0, 2]] *= 1000
    state[1] = rng.normal(0, 300, (4, count))  # some shrink through zero
    tensors = {"state": state.astype(np.float32), "dt": np.array([0.5], np.float32)}
    expected = run("host", kernel, tensors)["predicted"]
    found = run(reader, kernel, tensors)["predicted"]
    assert found.shape == (8, 4, count)
    largest = np.abs(expected).max(axis=(1, 2), keepdims=True)
    assert (np.abs(found - expected) / largest).max() < 1e-6


@pytest.mark.parametrize("kernel", [iou(), cosine()], ids=str)
@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_no_rows(kernel: Kernel, n: int, m: int) -> None:
    make = boxes if kernel.name == "iou" else units
    for backend in ("host", "onnxruntime"):
        (found,) = run(backend, kernel, {"a": make(n), "b": make(m)}).values()
        assert found.shape == (n, m)


@pytest.mark.parametrize(
    ("backend", "name"), [(backend, name) for backend in UNREADABLE for name in UNREADABLE[backend]]
)
def test_what_an_engine_cannot_read_it_says_before_the_first_frame(backend: str, name: str) -> None:
    assert backend in READERS
    kernels = [
        decoder("yolox")[0],
        proposals(ONE, [(5, 7)], 112, 80),
        roi_objects(RoiHeadSpec(), 5, 112, 80),
        pooling(POOLINGS["align"], 3),
        pooling(POOLINGS["pool"], 3),
        kalman_predict(FORMS["xywh"]),
    ]
    (kernel,) = (kernel for kernel in kernels if kernel.name == name)
    with engines.create("e", backend) as engine:
        engine.init()
        with pytest.raises(ProgramError, match=f"{name}.onnx"):
            engine.prepare(kernel)


def test_without_the_package_onnx_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineUnavailable, match=r"pip install 'sightline\[convert\]'"):
        run("onnxruntime", iou(), {"a": boxes(1), "b": boxes(1)})
    assert run("host", iou(), {"a": boxes(1), "b": boxes(1)})["iou"] == pytest.approx(1)
