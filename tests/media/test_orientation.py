import struct

import numpy as np
import pytest

from pipeline.media.orientation import Orientation

ONE = 1 << 16


def matrix(a: int, b: int, c: int, d: int) -> bytes:
    return struct.pack("=9i", a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)


EIGHT = {
    "upright": (matrix(1, 0, 0, 1), lambda m: m),
    "quarter turn clockwise": (matrix(0, 1, -1, 0), lambda m: np.rot90(m, -1)),
    "half turn": (matrix(-1, 0, 0, -1), lambda m: np.rot90(m, 2)),
    "quarter turn counter-clockwise": (matrix(0, -1, 1, 0), np.rot90),
    "mirrored": (matrix(-1, 0, 0, 1), np.fliplr),
    "upside down": (matrix(1, 0, 0, -1), np.flipud),
    "transposed": (matrix(0, 1, 1, 0), lambda m: m.swapaxes(0, 1)),
    "transposed the other way": (matrix(0, -1, -1, 0), lambda m: np.rot90(m, 2).swapaxes(0, 1)),
}


@pytest.mark.parametrize(("data", "turned"), EIGHT.values(), ids=EIGHT)
def test_each_of_the_eight(data: bytes, turned) -> None:
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    orientation = Orientation.from_display_matrix(data)
    expected = turned(image)
    assert np.array_equal(orientation.apply(image), expected)
    height, width = expected.shape[:2]
    assert orientation.size(7, 5) == (width, height)
    x1, y1, x2, y2 = orientation.stored_box(1, 2, 4, 5, width, height)
    assert np.array_equal(orientation.apply(image[y1:y2, x1:x2]), expected[2:5, 1:4])


def test_a_matrix_cut_short_is_refused() -> None:
    with pytest.raises(ValueError, match="36 bytes, got 35"):
        Orientation.from_display_matrix(bytes(35))
