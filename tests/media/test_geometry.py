import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.geometry import place

SIDE = st.integers(1, 4000)


@pytest.mark.parametrize(
    ("source", "target", "options", "expected"),
    [
        ((640, 480), (416, 416), {}, (416, 312, 0, 0)),
        ((1920, 1080), (416, 416), {}, (416, 234, 0, 0)),
        ((1080, 1920), (416, 416), {}, (234, 416, 0, 0)),
        ((480, 360), (640, 640), {"align": "center"}, (640, 480, 0, 80)),
        ((100, 75), (33, 32), {"align": "center"}, (33, 24, 0, 4)),
        ((640, 480), (352, 352), {"resize": "stretch"}, (352, 352, 0, 0)),
        ((4000, 1), (32, 32), {}, (32, 1, 0, 0)),
    ],
)
def test_places(source, target, options, expected) -> None:
    p = place(*source, *target, **options)
    assert (p.resized_width, p.resized_height, p.left, p.top) == expected


@given(
    SIDE, SIDE, st.integers(8, 1280), st.integers(8, 1280), st.sampled_from(["top_left", "center"])
)
def test_a_letterboxed_picture_fills_one_side_and_keeps_its_shape(w, h, iw, ih, align) -> None:
    p = place(w, h, iw, ih, align=align)
    assert p.resized_width == iw or p.resized_height == ih
    assert min(p.left, p.top) >= 0
    assert p.left + p.resized_width <= iw
    assert p.top + p.resized_height <= ih
    r = min(iw / w, ih / h)
    assert abs(p.resized_width - w * r) < 1 + 1e-6
    assert abs(p.resized_height - h * r) < 1 + 1e-6


@given(
    SIDE,
    SIDE,
    st.sampled_from(["letterbox", "stretch"]),
    st.sampled_from(["top_left", "center"]),
    st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 4), max_size=8),
)
def test_there_and_back(w, h, resize, align, fractions) -> None:
    p = place(w, h, 416, 320, resize=resize, align=align)
    corners = np.array(fractions, np.float32).reshape(-1, 4) * np.float32([w, h, w, h])
    back = p.to_source(p.to_input(corners))
    assert back.dtype == np.float32
    assert back.shape == corners.shape
    # float32 resolves 416 to 3e-5; one step there is that many source pixels.
    np.testing.assert_allclose(
        back, corners, atol=1e-4 * max(1, max(w, h) / min(p.resized_width, p.resized_height))
    )


def test_boxes_are_clipped_to_the_picture() -> None:
    p = place(640, 480, 416, 416)
    boxes = np.array([[-20, -20, 500, 500]], np.float32)
    assert p.to_source(boxes).tolist() == [[0, 0, 640, 480]]
