"""Camera motion from pictures that were moved by a known amount."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.tracking.camera_motion import CameraMotion, MotionEstimator

Floats = NDArray[np.float64]
Gray = NDArray[np.uint8]

STILL = np.eye(2, 3)
FRAME_NS = 40_000_000


def texture(width: int, height: int, grain: float = 2.0, seed: int = 1) -> Gray:
    """Noise with structure of `grain` pixels and, as in any street, of all larger sizes."""
    random, sum_ = np.random.default_rng(seed), np.zeros((height, width), np.float32)
    for octave in range(5):
        small = -(-width >> octave), -(-height >> octave)
        noise = random.normal(0, 1, small[::-1]).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), grain)
        sum_ += cv2.resize(smooth / smooth.std(), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 25 * sum_, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scene() -> Gray:
    """What the camera looks at; larger than its picture."""
    return texture(1000, 800)


def turned(width: int, height: int, x: float, y: float, degrees: float, zoom: float) -> Floats:
    """A similarity about the middle of a picture: turn, zoom, then shift by (x, y)."""
    angle = np.radians(degrees)
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([width, height]) / 2
    shift = np.array([x, y])
    return np.column_stack((turn, middle + shift - turn @ middle))


def after(second: Floats, first: Floats) -> Floats:
    """The affine map that does `first`, then `second`."""
    return np.column_stack((second[:, :2] @ first[:, :2], moved(second, first[:, 2])))


def moved(matrix: Floats, points: Floats) -> Floats:
    return points @ matrix[:, :2].T + matrix[:, 2]


def seen(scene: Gray, motion: Floats, width: int = 640, height: int = 480) -> Gray:
    """The camera's picture after `motion`, (2, 3) in continuous coordinates of its picture."""
    rows, columns = scene.shape
    start = np.column_stack((np.eye(2), [(width - columns) / 2, (height - rows) / 2]))
    to_index = after(motion, start)
    to_index[:, 2] += to_index[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from pixel centres
    return cv2.warpAffine(scene, to_index, (width, height), flags=cv2.INTER_LANCZOS4)


def estimated(*pictures: Gray, **options: int) -> CameraMotion | None:
    """The motion from the last but one of the pictures to the last."""
    estimator = MotionEstimator(**options)
    for number, picture in enumerate(pictures):
        motion = estimator.estimate(picture, number * FRAME_NS)
    return motion


def error_px(motion: CameraMotion | None, truth: Floats, width: int = 640, height: int = 480):
    """How far from the truth the motion takes the worst corner of the picture."""
    assert motion is not None
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], float)
    return np.abs(moved(motion.matrix, corners) - moved(truth, corners)).max()


MOTIONS = {
    "aside": (14, 0, 0, 1),
    "by parts of a pixel": (-1.3, 2.6, 0, 1),
    "fast": (90, -40, 0, 1),
    "turned": (0, 0, 3, 1),
    "nearer": (0, 0, 0, 1.05),
    "further": (0, 0, 0, 0.94),
    "all at once": (-9.5, 6.2, -2, 1.03),
}


@pytest.mark.parametrize("name", MOTIONS)
def test_a_known_motion_is_found(scene: Gray, name: str) -> None:
    truth = turned(640, 480, *MOTIONS[name])
    motion = estimated(seen(scene, STILL), seen(scene, truth))
    assert error_px(motion, truth) < 0.15
    assert motion is not None
    assert motion.since_ns == 0
    (a, b), (c, d) = motion.matrix[:, :2]
    assert (a, b) == pytest.approx((d, -c))  # a similarity


@pytest.mark.parametrize(
    ("size", "most_px"), [((160, 120), 0.15), ((959, 541), 0.3), ((1920, 1080), 0.5)]
)
def test_pictures_of_any_size(size: tuple[int, int], most_px: float) -> None:
    scene = texture(size[0] + 200, size[1] + 200, grain=size[0] / 240)
    truth = turned(*size, 7.3, -4.8, 1, 1.01)
    motion = estimated(seen(scene, STILL, *size), seen(scene, truth, *size))
    assert error_px(motion, truth, *size) < most_px


def test_what_moves_by_itself_is_left_out(scene: Gray) -> None:
    """Most of the picture is a lorry that drives on, while the camera turns the other way."""
    truth = turned(640, 480, -6, 0, 0, 1)
    lorry = texture(420, 400, seed=2)
    pictures = seen(scene, STILL), seen(scene, truth)
    for left, picture in zip((100, 112), pictures, strict=True):
        picture[40:440, left : left + 420] = lorry
    estimator = MotionEstimator()
    estimator.estimate(pictures[0], 0, np.array([[100, 40, 520, 440]], np.float32))
    assert error_px(estimator.estimate(pictures[1], FRAME_NS), truth) < 0.2
    assert error_px(estimated(*pictures), truth) > 10


def test_where_nobody_looked_objects_are_where_they_were(scene: Gray) -> None:
    """The same lorry in the second picture, in which nobody detects it."""
    truth, estimator = turned(640, 480, -6, 0, 0, 1), MotionEstimator()
    lorry, boxes = texture(420, 400, seed=2), np.array([[100, 40, 520, 440]], np.float32)
    for number, view in enumerate((STILL, truth, after(truth, truth))):
        picture, left = seen(scene, view), 100 + 12 * number
        picture[40:440, left : left + 420] = lorry
        motion = estimator.estimate(picture, number * FRAME_NS, None if number else boxes)
    assert error_px(motion, truth) < 0.2


def test_few_who_move_are_outvoted(scene: Gray) -> None:
    truth = turned(640, 480, -6, 2, 0, 1)
    pictures = seen(scene, STILL), seen(scene, truth)
    for left, picture in zip((300, 309), pictures, strict=True):
        picture[100:400, left : left + 150] = texture(150, 300, seed=2)
    assert error_px(estimated(*pictures), truth) < 0.2


def test_corners_that_are_hidden_have_no_vote(scene: Gray) -> None:
    """Most of the background is gone behind something that nobody detected."""
    truth = turned(640, 480, -6, 2, 0, 1)
    hidden = seen(scene, truth)
    hidden[:, :450] = texture(450, 480, seed=2)
    assert error_px(estimated(seen(scene, STILL), hidden), truth) < 0.3


def test_a_picture_that_is_covered_by_objects_has_no_background(scene: Gray) -> None:
    estimator = MotionEstimator()
    for number in range(2):
        boxes = np.array([[-50, -1e6, 700, 1e6]], np.float32)
        assert estimator.estimate(seen(scene, STILL), number * FRAME_NS, boxes) is None


def test_the_light_may_change(scene: Gray) -> None:
    truth = turned(640, 480, 5, 5, 0, 1)
    darker = (seen(scene, truth) * 0.9).astype(np.uint8)
    assert error_px(estimated(seen(scene, STILL), darker), truth) < 0.3


def in_one_corner(shift: int) -> Gray:
    """Texture that moves aside, dim and noisy, in an otherwise empty picture."""
    noise, picture = np.random.default_rng(shift), np.full((480, 640), 90, np.uint8)
    dim = texture(100, 80) + noise.normal(0, 30, (80, 100))
    picture[20:100, 20 + shift : 120 + shift] = np.clip(dim, 0, 255)
    return picture


def in_three_parts(shift: int) -> Gray:
    """Thirds of a picture that move aside, up and down."""
    wide = texture(900, 480)
    moves = ((0, 5), (5, 0), (-5, 0))
    parts = [np.roll(wide, np.multiply(move, shift), (0, 1)) for move in moves]
    return np.hstack([part[:, 300 * i : 300 * i + 213] for i, part in enumerate(parts)])


UNKNOWN = {
    "first": lambda scene: [seen(scene, STILL)],
    "without texture": lambda scene: [np.full((480, 640), 90, np.uint8)] * 2,
    "noise": lambda scene: [texture(640, 480, 0.8, seed) for seed in (1, 2)],
    "a cut": lambda scene: [seen(scene, STILL), seen(texture(1000, 800, seed=3), STILL)],
    "a flash": lambda scene: [seen(scene, STILL), np.full((480, 640), 255, np.uint8)],
    "another size": lambda scene: [seen(scene, STILL), seen(scene, STILL, 640, 360)],
    "texture in one corner": lambda scene: [in_one_corner(0), in_one_corner(3)],
    "upside down": lambda scene: [seen(scene, STILL), seen(scene, STILL)[::-1, ::-1].copy()],
    "texture that moves apart": lambda scene: [in_three_parts(0), in_three_parts(1)],
    "a zoom too far to follow": lambda scene: [
        seen(scene, STILL), seen(scene, turned(640, 480, 0, 0, 0, 1.8)),
    ],
    "a turn too far to follow": lambda scene: [
        seen(scene, STILL), seen(scene, turned(640, 480, 0, 0, 40, 1)),
    ],
    "a single pixel": lambda scene: [np.zeros((1, 1), np.uint8)] * 2,
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_known_is_unknown(scene: Gray, name: str) -> None:
    assert estimated(*UNKNOWN[name](scene)) is None


def test_after_a_cut_motion_is_known_again(scene: Gray) -> None:
    other, truth = texture(1000, 800, seed=3), turned(640, 480, 4, 0, 0, 1)
    motion = estimated(seen(scene, STILL), seen(other, STILL), seen(other, truth))
    assert error_px(motion, truth) < 0.15
    assert motion is not None
    assert motion.since_ns == FRAME_NS


def test_a_frame_that_is_not_later_changes_nothing(scene: Gray) -> None:
    truth = turned(640, 480, 4, 0, 0, 1)
    estimator = MotionEstimator()
    estimator.estimate(seen(scene, STILL), FRAME_NS)
    for pts_ns in (0, FRAME_NS):
        assert estimator.estimate(seen(scene, truth), pts_ns) is None
    assert error_px(estimator.estimate(seen(scene, truth), 2 * FRAME_NS), truth) < 0.15


def test_a_fixed_camera_has_no_motion_at_all(scene: Gray) -> None:
    """With the noise of a sensor, and somebody who walks through the picture."""
    noise, estimator = np.random.default_rng(5), MotionEstimator()
    for number in range(12):
        picture = seen(scene, STILL).astype(np.int16)
        picture[150:400, 100 + 9 * number : 200 + 9 * number] = 40
        picture += noise.normal(0, 3, picture.shape).astype(np.int16)
        motion = estimator.estimate(np.clip(picture, 0, 255).astype(np.uint8), number * FRAME_NS)
        if number:
            assert motion is not None
            assert np.array_equal(motion.matrix, STILL)
            assert motion.since_ns == (number - 1) * FRAME_NS


def test_slow_motion_adds_up(scene: Gray) -> None:
    """A tenth of a pixel a frame is too little to be told from noise; five pixels are not."""
    estimator, total = MotionEstimator(), STILL
    for number in range(51):
        picture = seen(scene, turned(640, 480, 0.1 * number, 0, 0, 1))
        motion = estimator.estimate(picture, number * FRAME_NS)
        if motion is not None:
            total = after(motion.matrix, total)
    assert total[:, 2] == pytest.approx((5, 0), abs=0.6)
    assert total[:, :2] == pytest.approx(np.eye(2), abs=2e-3)


similarities = st.builds(
    turned,
    st.just(640),
    st.just(480),
    st.floats(-20, 20),
    st.floats(-20, 20),
    st.floats(-2, 2),
    st.floats(0.97, 1.03),
)


@settings(max_examples=15)
@given(one=similarities, other=similarities)
def test_two_motions_compose(scene: Gray, one: Floats, other: Floats) -> None:
    """From the first picture to the third it is as far as by the second."""
    pictures = [seen(scene, m) for m in (STILL, one, after(other, one))]
    steps = [estimated(*pair) for pair in pairwise(pictures)]
    direct = estimated(pictures[0], pictures[2])
    assert steps[0] is not None
    assert steps[1] is not None
    assert error_px(direct, after(steps[1].matrix, steps[0].matrix)) < 0.7


@pytest.fixture
def threads() -> Iterator[None]:
    """Gives OpenCV's threads back as they were."""
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("threads")
def test_the_same_pictures_give_the_same_bytes(scene: Gray) -> None:
    pictures = [seen(scene, turned(640, 480, *m)) for m in MOTIONS.values()]

    def matrices() -> bytes:
        estimator = MotionEstimator()
        motions = [estimator.estimate(p, i * FRAME_NS) for i, p in enumerate(pictures)]
        return b"".join(m.matrix.tobytes() for m in motions if m is not None)

    expected = matrices()
    assert len(expected) > 3 * 48
    for count in (0, 1, 2, 5):
        cv2.setNumThreads(count)
        cv2.setRNGSeed(count)
        assert matrices() == expected
