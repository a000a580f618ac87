import cv2
import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.media.color import BT601
from pipeline.media.picture import BgrPicture, YuvPicture
from pipeline.media.preprocess import Preprocessor
from pipeline.models.manifest import PreprocessSpec

IMAGENET = {
    "color": "rgb",
    "scale": 1 / 255,
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}
NANODET = {
    "resize": "stretch",
    "mean": (103.53, 116.28, 123.675),
    "std": (57.375, 57.12, 58.395),
}
CASES = [
    pytest.param({}, "float32", "nchw", id="raw, top left"),
    pytest.param({"align": "center", "pad": 0}, "float32", "nchw", id="raw, centred"),
    pytest.param(NANODET, "float32", "nchw", id="mean and std, stretched"),
    pytest.param(IMAGENET | {"align": "center"}, "float32", "nchw", id="RGB in 0..1, centred"),
    pytest.param({"color": "rgb"}, "float32", "nhwc", id="raw RGB, channels last"),
    pytest.param(IMAGENET, "float16", "nhwc", id="half precision, channels last"),
    pytest.param(IMAGENET, "float32", "chw", id="one picture, not counted"),
    pytest.param(IMAGENET, "float16", "nchw", id="half precision"),
    pytest.param({"color": "rgb", "align": "center"}, "uint8", "nhwc", id="bytes"),
]


def reference(image_bgr, spec: PreprocessSpec, placement, dtype: str, layout: str):
    """The definition, in float64, one step after the other."""
    p = placement
    canvas = np.full((p.input_height, p.input_width, 3), spec.pad, float)
    small = cv2.resize(image_bgr, (p.resized_width, p.resized_height))
    canvas[p.top : p.top + p.resized_height, p.left : p.left + p.resized_width] = small
    if spec.color == "rgb":
        canvas = canvas[..., ::-1]
    values = ((canvas * spec.scale - spec.mean) / spec.std).astype(dtype)
    if layout == "chw":
        return values.transpose(2, 0, 1)
    return values[None] if layout == "nhwc" else values.transpose(2, 0, 1)[None]


@pytest.fixture
def image():
    return np.random.default_rng(5).integers(0, 256, (90, 160, 3), dtype=np.uint8)


@pytest.mark.parametrize(("fields", "dtype", "layout"), CASES)
def test_equals_the_definition(image, fields, dtype, layout) -> None:
    spec = PreprocessSpec(**fields)
    preprocess = Preprocessor(spec, 96, 80, np.dtype(dtype), layout)
    tensor, placement = preprocess(BgrPicture(image))
    expected = reference(image, spec, placement, dtype, layout)
    assert tensor.dtype == dtype
    assert tensor.flags.c_contiguous
    assert np.array_equal(tensor, expected)


def test_equals_opencv_where_opencv_does_the_same(image) -> None:
    spec = PreprocessSpec(resize="stretch", color="rgb", mean=(104.0, 117.0, 123.0))
    tensor, _ = Preprocessor(spec, 64, 48, np.dtype("float32"), "nchw")(BgrPicture(image))
    blob = cv2.dnn.blobFromImage(image, 1, (64, 48), (104, 117, 123), swapRB=True)
    assert np.abs(tensor - blob).max() < 1e-5


def test_tensors_have_one_owner(image) -> None:
    preprocess = Preprocessor(PreprocessSpec(), 96, 80, np.dtype("float32"), "nchw")
    first, _ = preprocess(BgrPicture(image))
    copy = first.copy()
    preprocess(BgrPicture(255 - image))
    assert np.array_equal(first, copy)


def test_fast_and_exact_path_give_the_same_input() -> None:
    """Stated tolerance of the network's input in 0..255: 2 in the mean, 20 for 99 % of values."""
    rows, columns = np.mgrid[0:540, 0:960]
    y = (128 + 60 * np.sin(columns / 9) * np.cos(rows / 13)).astype(np.uint8)
    u = (128 + 50 * np.sin(columns / 31)).astype(np.uint8)[::2, ::2]
    v = (128 + 50 * np.cos(rows / 23)).astype(np.uint8)[::2, ::2]
    picture = YuvPicture(y, np.ascontiguousarray(u), np.ascontiguousarray(v), BT601)
    preprocess = Preprocessor(PreprocessSpec(), 416, 416, np.dtype("float32"), "nchw")
    fast, placement = preprocess(picture)
    exact, same = preprocess(BgrPicture(picture.bgr()))
    assert placement == same
    difference = np.abs(fast - exact)
    assert difference.mean() < 2
    assert np.percentile(difference, 99) < 20


def test_crops_are_cut_clipped_and_never_empty(image) -> None:
    spec = PreprocessSpec(resize="stretch")
    preprocess = Preprocessor(spec, 16, 32, np.dtype("float32"), "nhwc")
    boxes = np.array(
        [[10.4, 20.2, 40.6, 80.0], [-9, -9, 30, 300], [50, 50, 50, 50], [500, 500, 600, 600]],
        np.float32,
    )
    crops = preprocess.crops(BgrPicture(image), boxes)
    cuts = [image[20:80, 10:41], image[0:90, 0:30], image[50:51, 50:51], image[89:90, 159:160]]
    expected = np.stack([cv2.resize(cut, (16, 32)) for cut in cuts])
    assert np.array_equal(crops, expected.astype(np.float32))
    assert preprocess.crops(BgrPicture(image), boxes[:0]).shape == (0, 32, 16, 3)


@pytest.mark.parametrize(
    ("fields", "dtype", "layout", "says"),
    [
        ({}, "int8", "nchw", "int8"),
        ({}, "float32", "chwn", "chwn"),
        (IMAGENET, "uint8", "nchw", "scale, mean and std"),
    ],
)
def test_inputs_a_picture_cannot_become_are_refused(fields, dtype, layout, says) -> None:
    with pytest.raises(ModelError, match=says):
        Preprocessor(PreprocessSpec(**fields), 96, 80, np.dtype(dtype), layout)
