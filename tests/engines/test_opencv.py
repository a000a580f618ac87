"""The people detector built into OpenCV."""

from __future__ import annotations

import re

import numpy as np
import pytest

import engines
from engines import Kernel, Network, OptionError, ProgramError


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
