import threading

import cv2
import numpy as np
import pytest

from pipeline.media.color import BT601, BT601_FULL, BT709, BT709_FULL, YuvColor, yuv_to_bgr
from pipeline.media.orientation import UPRIGHT, Orientation
from pipeline.media.picture import BgrPicture, Picture, YuvPicture
from pipeline.world import World

# Fast path against exact path, in levels of 0..255, on a scene with noise in every pixel. Chroma is
# scaled to half the size before it is converted, so brightness agrees and sharp colours differ.
LUMA_MEAN, LUMA_P99 = 1.0, 6.0
COLOUR_MEAN, COLOUR_P99 = 3.0, 35.0
TURNED = Orientation(True, False, True)


def planes(bgr, color: YuvColor, sx: int = 2, sy: int = 2):
    """The planes of a picture, worked out with the inverse of the stated matrix."""
    matrix = color.to_bgr_matrix()
    inverse = np.linalg.inv(matrix[:, :3])
    yuv = (bgr.astype(float) - matrix[:, 3]) @ inverse.T
    height, width = yuv.shape[:2]
    chroma = cv2.resize(
        yuv[..., 1:], (-(-width // sx), -(-height // sy)), interpolation=cv2.INTER_AREA
    )
    return [
        np.clip(np.rint(p), 0, 255).astype(np.uint8)
        for p in (yuv[..., 0], chroma[..., 0], chroma[..., 1])
    ]


@pytest.fixture(scope="module")
def street():
    return World("day", 4, 320, 180).render(40).image_bgr


@pytest.mark.parametrize(
    ("color", "white", "red"),
    [
        (BT601, (235, 128, 128), (81, 90, 240)),
        (BT601_FULL, (255, 128, 128), (76, 85, 255)),
        (BT709, (235, 128, 128), (63, 102, 240)),
        (BT709_FULL, (255, 128, 128), (54, 99, 255)),
    ],
    ids=["601", "601 full", "709", "709 full"],
)
def test_colours_of_the_standard(color: YuvColor, white, red) -> None:
    """Code values of white and red from ITU-R BT.601 and BT.709, limited and full range."""
    for yuv, bgr in ((white, (255, 255, 255)), (red, (0, 0, 255))):
        y, u, v = (
            np.full((side, side), value, np.uint8)
            for side, value in zip((4, 2, 2), yuv, strict=True)
        )
        assert np.abs(yuv_to_bgr(y, u, v, color).astype(int) - bgr).max() <= 2


@pytest.mark.parametrize("color", [BT601, BT601_FULL, BT709, BT709_FULL])
@pytest.mark.parametrize("grid", [(1, 1), (2, 1), (2, 2)], ids=["444", "422", "420"])
@pytest.mark.parametrize("size", [(320, 180), (319, 179)], ids=["even", "odd"])
def test_conversion_is_the_matrix_rounded(street, color, grid, size) -> None:
    bgr = street[: size[1], : size[0]]
    y, u, v = planes(bgr, color, *grid)
    up = [
        np.repeat(np.repeat(c, grid[1], 0), grid[0], 1)[: y.shape[0], : y.shape[1]] for c in (u, v)
    ]
    matrix = color.to_bgr_matrix()
    exact = np.stack([y, *up], -1) @ matrix[:, :3].T + matrix[:, 3]
    converted = YuvPicture(y, u, v, color).bgr()
    assert np.abs(converted - np.clip(np.rint(exact), 0, 255)).max() <= 1


@pytest.mark.parametrize("size", [(208, 117), (160, 90), (100, 100), (480, 270)])
@pytest.mark.parametrize("color", [BT601, BT709_FULL])
def test_fast_path_equals_exact_path(street, size, color) -> None:
    picture = YuvPicture(*planes(street, color), color)
    exact = BgrPicture(picture.bgr()).resized_bgr(*size).astype(int)
    difference = picture.resized_bgr(*size) - exact
    luma = np.abs(difference @ [0.114, 0.587, 0.299])
    assert luma.mean() < LUMA_MEAN
    assert np.percentile(luma, 99) < LUMA_P99
    assert np.abs(difference).mean() < COLOUR_MEAN
    assert np.percentile(np.abs(difference), 99) < COLOUR_P99


@pytest.mark.parametrize("orientation", [UPRIGHT, TURNED, Orientation(False, True)])
@pytest.mark.parametrize("size", [(320, 180), (319, 179)], ids=["even", "odd"])
def test_a_crop_is_a_part_of_the_whole(street, orientation, size) -> None:
    picture = YuvPicture(*planes(street[: size[1], : size[0]], BT601), BT601, orientation)
    whole = picture.bgr().astype(int)
    assert whole.shape == (picture.height, picture.width, 3)
    w, h = picture.width, picture.height
    for x1, y1, x2, y2 in ((0, 0, w, h), (11, 7, 12, 8), (5, 6, 60, 91), (w - 3, h - 5, w, h)):
        crop = picture.crop_bgr(x1, y1, x2, y2)
        assert crop.shape == (y2 - y1, x2 - x1, 3)
        assert np.abs(crop - whole[y1:y2, x1:x2]).max() <= 1


def pictures(street) -> list[Picture]:
    return [BgrPicture(street.copy()), YuvPicture(*planes(street, BT601))]


def test_who_owns_what(street) -> None:
    for picture in pictures(street):
        same = picture.resized_bgr(picture.width, picture.height)
        assert same.flags.writeable
        same[:] = 0
        assert picture.bgr().any()
    with pytest.raises(ValueError, match="read-only"):
        BgrPicture(street.copy()).bgr()[:] = 0


def test_a_turned_picture_is_scaled_upright(street) -> None:
    turned = YuvPicture(*planes(street, BT601), BT601, TURNED)
    straight = YuvPicture(*planes(street, BT601))
    expected = np.rot90(straight.resized_bgr(160, 90))
    assert np.array_equal(turned.resized_bgr(90, 160), expected)


def test_the_brightness_alone(street) -> None:
    y, u, v = planes(street, BT601)
    upright, turned = (YuvPicture(y, u, v, BT601, o) for o in (UPRIGHT, TURNED))
    assert np.shares_memory(upright.gray(), y)
    assert np.array_equal(turned.gray(), np.rot90(y))
    assert (turned.width, turned.height) == turned.gray().shape[::-1]
    # Limited range: 16 is black, 235 is white.
    full = (y.astype(float) - 16) * 255 / 219
    assert np.abs(BgrPicture(street.copy()).gray() - full).max() < 1.5


def test_several_threads_read_one_picture(street) -> None:
    picture = YuvPicture(*planes(street, BT709), BT709)
    expected, wrong = picture.bgr(), []

    def read() -> None:
        wrong.extend(1 for _ in range(20) if not np.array_equal(picture.bgr(), expected))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
