"""From outputs to objects in source pixels; and on a real network and real video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import engines
from pipeline.detection.boxes import iou_matrix
from pipeline.detection.heads import BoxesHead, SsdHead
from pipeline.detection.postprocess import Postprocessor
from pipeline.errors import ConfigError
from pipeline.media.geometry import Placement
from pipeline.models import load_model

LABELS = ("person", "bicycle", "car")
HEAD = BoxesHead(family="boxes", labels="labels")
SAME = Placement(100, 100, 100, 100, 100, 100)


def outputs(*rows: tuple[float, ...], dtype: str = "float32") -> dict[str, np.ndarray]:
    """Rows of x1, y1, x2, y2, score, label."""
    table = np.array(rows, dtype).reshape(-1, 6)
    return {
        "boxes": table[None, :, :4],
        "scores": table[None, :, 4],
        "labels": table[None, :, 5].astype(np.int64),
    }


def test_best_first_doubles_gone() -> None:
    found = Postprocessor(HEAD, LABELS, score=0.3)(
        outputs(
            (0, 0, 10, 10, 0.4, 0),
            (0, 0, 10, 9, 0.9, 0),  # the same person, better
            (0, 0, 10, 10, 0.5, 2),  # a car in the same place
            (50, 50, 60, 60, 0.29, 0),  # too weak
        ),
        SAME,
    )
    np.testing.assert_allclose(found.scores, [0.9, 0.5])
    assert found.labels.tolist() == [0, 2]
    assert found.boxes_xyxy[0].tolist() == [0, 0, 10, 9]


def test_back_to_source_pixels_and_clipped() -> None:
    placement = Placement(100, 100, 400, 200, 100, 50, 0, 25)
    found = Postprocessor(HEAD, LABELS)(outputs((-5, 30, 20, 40, 0.9, 0)), placement)
    assert found.boxes_xyxy.tolist() == [[0, 20, 80, 60]]


def test_boxes_outside_the_picture_are_no_objects() -> None:
    placement = Placement(100, 100, 400, 200, 100, 50, 0, 25)
    rows = ((0, 0, 20, 20, 0.9, 0), (10, 10, 10, 40, 0.9, 0), (0, 30, 20, 40, 0.8, 0))
    found = Postprocessor(HEAD, LABELS)(outputs(*rows), placement)
    np.testing.assert_allclose(found.scores, [0.8])


def test_only_wanted_classes() -> None:
    rows = ((0, 0, 9, 9, 0.9, 0), (20, 0, 29, 9, 0.8, 1), (40, 0, 49, 9, 0.7, 2))
    some = Postprocessor(HEAD, LABELS, classes=["car", "person"])(outputs(*rows), SAME)
    assert some.labels.tolist() == [0, 2]
    none = Postprocessor(HEAD, LABELS, classes=[])(outputs(*rows), SAME)
    assert len(none) == 0


def test_an_unknown_class_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no 'persn'.*'person'"):
        Postprocessor(HEAD, LABELS, classes=["persn"])


def test_at_most_the_best_so_many() -> None:
    rows = [(20.0 * i, 0, 20.0 * i + 9, 9, 0.5 + i / 100, 0) for i in range(5)]
    found = Postprocessor(HEAD, LABELS, max_detections=2)(outputs(*rows), SAME)
    np.testing.assert_allclose(found.scores, [0.54, 0.53])


def test_nothing_found() -> None:
    found = Postprocessor(HEAD, LABELS)(outputs(), SAME)
    assert len(found) == 0
    assert found.boxes_xyxy.shape == (0, 4)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions_come_out_as_float32(dtype: str) -> None:
    found = Postprocessor(HEAD, LABELS)(outputs((0, 0, 10, 10, 0.5, 0), dtype=dtype), SAME)
    assert found.boxes_xyxy.dtype == found.scores.dtype == np.float32


def test_a_set_detector_keeps_its_doubles() -> None:
    tensors = {
        "detection_boxes": np.array([[[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]]], np.float32),
        "detection_classes": np.ones((1, 2), np.float32),
        "detection_scores": np.array([[0.6, 0.7]], np.float32),
        "num_detections": np.array([2], np.float32),
    }
    found = Postprocessor(SsdHead(family="ssd"), LABELS)(tensors, SAME)
    np.testing.assert_allclose(found.scores, [0.7, 0.6])


@pytest.mark.assets
def test_yolox_nano_equals_the_recorded_boxes(assets: Path) -> None:
    """The same network on the same video, recorded by another program (score 0.3, IoU 0.5)."""
    import av
    import cv2

    recorded = np.loadtxt(
        assets / "tracking/MOT15/TUD-Stadtmitte/ref/det_yolox_nano.txt", delimiter=","
    )
    weights = assets / "models/yolox_nano/yolox_nano_opencv_zoo.onnx"
    package = load_model("yolox-nano", weights=weights)
    manifest = package.manifest
    assert manifest.head is not None
    post = Postprocessor(
        manifest.head, manifest.class_names, score=0.3, nms_iou=0.5, classes=["person"]
    )
    placement = Placement(416, 416, 640, 480, 416, 312)
    compared = 0
    with (
        av.open(str(assets / "videos/TUD-Stadtmitte.mp4")) as video,
        engines.create("det0", "onnxruntime") as engine,
    ):
        engine.init()
        engine.prepare(package.program)
        for number, frame in enumerate(video.decode(video=0), 1):
            if number > 12:
                break
            canvas = np.full((416, 416, 3), 114, np.uint8)
            canvas[:312] = cv2.resize(frame.to_ndarray(format="bgr24"), (416, 312))
            engine.set_tensor("images", canvas.transpose(2, 0, 1)[None].astype(np.float32))
            engine.forward()
            found = post({"output": engine.get_tensor("output")}, placement)
            rows = recorded[recorded[:, 0] == number]
            boxes = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)
            assert len(found) == len(rows)
            np.testing.assert_allclose(found.scores, rows[:, 6], atol=0.01)
            overlap = iou_matrix(boxes.astype(np.float32), found.boxes_xyxy)
            assert overlap.max(axis=1).min() > 0.98
            compared += len(rows)
    assert compared > 60


@pytest.mark.assets
@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("yolox-nano", "yolox_nano/yolox_nano_opencv_zoo.onnx"),
        ("nanodet-m-416", "nanodet_m/nanodet_m_416.onnx"),
        ("fastestdet", "fastestdet/FastestDet.onnx"),
        ("hog-people", None),
    ],
)
def test_real_detectors_find_the_people_of_a_real_street(
    assets: Path, model: str, weights: str | None
) -> None:
    """Six people are annotated in the first frame; each manifest alone says how to find them."""
    import av

    from pipeline.media.avpicture import PictureMaker
    from pipeline.media.preprocess import Preprocessor

    package = load_model(model, weights=assets / "models" / weights if weights else None)
    manifest = package.manifest
    assert manifest.head is not None
    assert manifest.preprocess is not None
    width, height = manifest.input_size
    spec = package.input
    preprocess = Preprocessor(manifest.preprocess, width, height, spec.dtype, spec.layout)
    post = Postprocessor(
        manifest.head, manifest.class_names, score=0.35, nms_iou=0.4, classes=["person"]
    )
    backend = engines.able(package.program)[0]
    with (
        av.open(str(assets / "videos/TUD-Stadtmitte.mp4")) as video,
        engines.create("det0", backend) as engine,
    ):
        picture = PictureMaker().picture(next(video.decode(video=0)))
        engine.init()
        engine.prepare(package.program)
        tensor, placement = preprocess(picture)
        engine.set_tensor(spec.name, tensor)
        engine.forward()
        found = post({s.name: engine.get_tensor(s.name) for s in engine.outputs}, placement)
    table = np.loadtxt(assets / "tracking/MOT15/TUD-Stadtmitte/gt/gt.txt", delimiter=",")
    truth = table[table[:, 0] == 1]
    people = np.concatenate([truth[:, 2:4], truth[:, 2:4] + truth[:, 4:6]], axis=1)
    overlap = iou_matrix(people.astype(np.float32), found.boxes_xyxy).max(axis=1)
    assert (overlap > 0.5).sum() >= len(people) - 2, overlap
