"""The people detector built into OpenCV, and Caffe networks on its reader."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import engines
from engines import Kernel, Network, OptionError, ProgramError
from engines.convert.caffe import described
from tests.engines.convert.caffe.caffe_files import save
from tests.engines.subjects import WEIGHT, expected_features


def hog(**parameters: object) -> engines.Engine:
    engine = engines.create("cv0", "opencv")
    engine.init()
    engine.prepare(Kernel("hog-people", parameters))
    return engine


def run(engine: engines.Engine, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    engine.set_tensor("image", image[None])
    engine.forward()
    return engine.get_tensor("boxes"), engine.get_tensor("scores")


def stick_figure() -> np.ndarray:
    """A dark person of 190 pixels on a light ground, at x = 160."""
    import cv2

    image = np.full((320, 320, 3), 200, np.uint8)
    cv2.circle(image, (160, 82), 15, (40, 40, 40), -1)
    cv2.ellipse(image, (160, 145), (26, 50), 0, 0, 360, (60, 50, 40), -1)
    cv2.line(image, (150, 185), (142, 255), (50, 40, 40), 17)
    cv2.line(image, (170, 185), (178, 255), (50, 40, 40), 17)
    return cv2.GaussianBlur(image, (5, 5), 0)


def test_finds_a_figure_and_nothing_on_an_empty_wall() -> None:
    with hog() as engine:
        boxes, scores = run(engine, stick_figure())
        assert boxes.dtype == scores.dtype == np.float32
        assert boxes.shape == (1, scores.shape[1], 4)
        x1, y1, x2, y2 = boxes[0, 0]
        assert x1 < 135
        assert x2 > 185
        assert y1 < 75
        assert y2 > 255
        boxes, scores = run(engine, np.full((320, 320, 3), 128, np.uint8))
        assert boxes.shape == (1, 0, 4)
        assert scores.shape == (1, 0)


def test_order_is_by_score_and_repeats() -> None:
    with hog() as engine:
        boxes, scores = run(engine, stick_figure())
        assert (np.diff(scores[0]) <= 0).all()
        for _ in range(5):
            again = run(engine, stick_figure())
            assert again[0].tobytes() == boxes.tobytes()
            assert again[1].tobytes() == scores.tobytes()


def test_a_picture_smaller_than_the_window_has_nobody() -> None:
    with hog() as engine:
        assert run(engine, np.zeros((100, 60, 3), np.uint8))[0].shape == (1, 0, 4)


def test_unknown_parameters_name_the_nearest() -> None:
    with pytest.raises(ProgramError, match="did you mean 'win_stride'"):
        hog(winstride=4)


def test_needs_declared_tensors_for_networks(network: Network) -> None:
    engine = engines.create("cv0", "opencv")
    engine.init()
    with pytest.raises(ProgramError, match=re.escape("declared")):
        engine.prepare(Network(network.path, "onnx"))


def test_has_one_device() -> None:
    with pytest.raises(OptionError, match="there is cpu"):
        engines.create("cv0", "opencv", "cuda").init()


CAFFE = (
    'input: "data"\ninput_shape { dim: 1 dim: 3 dim: 8 dim: 10 }\n'
    'layer { name: "first" type: "Convolution" bottom: "data" top: "features"\n'
    "  convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }\n"
    'layer { name: "second" type: "ReLU" bottom: "features" top: "features" }\n'
)


def test_a_caffe_network_gives_its_blobs_by_name(tmp_path: Path) -> None:
    """OpenCV knows layers, a caller asks for what the last of them left in a blob."""
    source = save(tmp_path, CAFFE, {"first": [WEIGHT, np.zeros(4, np.float32)]})
    image = np.random.default_rng(0).normal(0, 1, (1, 3, 8, 10)).astype(np.float32)
    with engines.create("cv0", "opencv") as engine:
        engine.init()
        engine.prepare(described(source.path))
        engine.set_tensor("data", image)
        engine.forward()
        found = engine.get_tensor("features")
    np.testing.assert_allclose(found, np.maximum(expected_features(image), 0), atol=1e-5)


def test_a_broken_caffe_network_is_refused(tmp_path: Path) -> None:
    source = described(save(tmp_path, CAFFE, {"first": [WEIGHT, np.zeros(4, np.float32)]}).path)
    source.path.write_text("layer {")
    with engines.create("cv0", "opencv") as engine:
        engine.init()
        with pytest.raises(ProgramError, match=r"net\.prototxt"):
            engine.prepare(source)
