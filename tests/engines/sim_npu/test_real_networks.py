"""Real networks on real pictures: every layer against the reference and ONNX Runtime.

The reference works out `MOST` numbers of each tensor, at random places, from what really came into
that layer. ONNX Runtime's quantised operators are compared whole, in the rounding that is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from engines.program import Tensors
from engines.sim_npu import profiles
from engines.sim_npu.compiler.compile import Choice, finish, prepare
from tests.conftest import REPOSITORY
from tests.engines.sim_npu import qlinear
from tests.engines.sim_npu.checking import assert_as_reference
from tests.engines.sim_npu.compiler.running import through

#: Of each tensor, compared with the reference.
MOST = 200
Image = NDArray[np.float32]


def check(path: Path, inputs: list[Tensors]) -> int:
    """Calibrated with all inputs, run on the last; how many numbers the reference gave."""
    ready, compared = prepare(path, inputs), 0
    for rounding in ("fixed", "float"):
        artefact = finish(ready, profiles.find("hi3559a-nnie"), Choice(rounding=rounding))
        for segment, stored, made in through(artefact, dict(inputs[-1])):
            compared += assert_as_reference(artefact, segment, stored | made, MOST)
            if rounding == "float":
                expected = qlinear.run(segment.layers, artefact.tensors, stored)
                for name, array in made.items():
                    np.testing.assert_array_equal(array, expected[name], name)
    return compared


@pytest.mark.parametrize("name", ["street-pico", "reid-pico"])
def test_shipped(name: str) -> None:
    folder = REPOSITORY / "models" / name
    with np.load(folder / "test_vector.npz") as vector:
        (given,) = ort.InferenceSession(folder / f"{name}.onnx").get_inputs()
        image = vector[given.name].astype(np.float32)
    assert check(folder / f"{name}.onnx", [{given.name: image}]) > 2000


@pytest.fixture(scope="module")
def frames(assets: Path) -> list[Image]:
    """Two street scenes, BGR, rows x columns x 3."""
    clip = cv2.VideoCapture(str(assets / "videos/TUD-Stadtmitte.mp4"))
    found = [clip.read()[1].astype(np.float32) for _ in range(60)]
    clip.release()
    return [found[0], found[-1]]


def planes(image: Image, width: int, height: int) -> Image:
    """[1, 3, height, width]."""
    return cv2.resize(image, (width, height)).transpose(2, 0, 1)[None].copy()


def people(frame: Image) -> Iterator[Image]:
    """Upright parts of a scene, as wide as persons in it."""
    yield from (frame[100:420, left : left + 140] for left in (60, 250, 420))


@pytest.mark.assets
@pytest.mark.slow
def test_yolox_nano(assets: Path, frames: list[Image]) -> None:
    path = assets / "models/yolox_nano/yolox_nano_opencv_zoo.onnx"
    assert check(path, [{"images": planes(frame, 416, 416)} for frame in frames]) > 50_000


@pytest.mark.assets
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fp32", "int8qdq"])
def test_d2go(assets: Path, frames: list[Image], kind: str) -> None:
    """Both halves; the second on windows of what the first makes of the scene."""
    backbone, head = (assets / f"models/d2go/d2go_frcnn_stage{half}_{kind}.onnx" for half in (1, 2))
    images = [{"image": planes(frame, 320, 240)} for frame in frames]
    assert check(backbone, images) > 20_000
    session = ort.InferenceSession(backbone, providers=["CPUExecutionProvider"])
    (features,) = session.run(["features"], images[-1])
    windows = [features[0, :, 4:10, left : left + 6] for left in range(0, 14, 3)]
    assert check(head, [{"roi_features": np.stack(windows)}]) > 2000


@pytest.mark.assets
@pytest.mark.slow
def test_retail_0248(assets: Path, frames: list[Image]) -> None:
    path = assets / "models/reid/person-reidentification-retail-0248.onnx"
    crops = [cv2.resize(one, (128, 256))[None] for frame in frames for one in people(frame)]
    assert check(path, [{"inputs:0": crop} for crop in crops]) > 20_000


@pytest.mark.assets
@pytest.mark.slow
def test_osnet(assets: Path, frames: list[Image]) -> None:
    path = assets / "models/reid/osnet_x0_25_msmt17.onnx"
    mean, deviation = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    crops = [
        planes((one[..., ::-1] / 255 - mean) / deviation, 128, 256)
        for frame in frames
        for one in people(frame)
    ]
    assert check(path, [{"images": crop} for crop in crops]) > 20_000
