"""Real networks on every backend: as ONNX Runtime in fp32, within what the backend promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

import engines
from engines import Network
from pipeline.media.picture import BgrPicture
from pipeline.media.preprocess import Preprocessor
from pipeline.models.package import ModelPackage, load_model
from pipeline.resources import shipped
from tests.engines.subjects import Subject

#: Of the assets: the catalogue's name → the file.
REAL = {
    "yolox-nano": "yolox_nano/yolox_nano_opencv_zoo.onnx",
    "nanodet-m-416": "nanodet_m/nanodet_m_416.onnx",
    "fastestdet": "fastestdet/FastestDet.onnx",
    "osnet-x0-25": "reid/osnet_x0_25_msmt17.onnx",
}
SHIPPED = ("street-pico", "reid-pico")

Outputs = dict[str, np.ndarray]


def picture() -> BgrPicture:
    """A frame with people on it, of a clip that is shipped."""
    clip = sorted(shipped("sample_videos").glob("*.mp4"))[0]
    with av.open(str(clip)) as container:
        return BgrPicture(next(iter(container.decode(video=0))).to_ndarray(format="bgr24"))


def model_input(package: ModelPackage) -> np.ndarray:
    manifest, tensor = package.manifest, package.input
    assert manifest.preprocess is not None
    size = manifest.input_size
    return Preprocessor(manifest.preprocess, *size, tensor.dtype, tensor.layout)(picture())[0]


def run(engine: engines.Engine, program: engines.Program, image: np.ndarray) -> Outputs:
    with engine:
        engine.init()
        engine.prepare(program)
        engine.set_tensor(engine.inputs[0].name, image)
        engine.forward()
        return {spec.name: engine.get_tensor(spec.name) for spec in engine.outputs}


def compare(
    subject: Subject, package: ModelPackage, folder: Path, record: Callable[[str, object], None]
) -> None:
    network = package.program
    assert isinstance(network, Network)
    kind = engines.engine_class(subject.backend)
    if not kind.formats:
        pytest.skip(f"{subject} runs no networks")
    if subject.precision == "int8":
        pytest.skip(f"{subject} computes in int8; sightline quant-report tells what that costs")
    image = model_input(package)
    expected = run(engines.create("reference", "onnxruntime"), network, image)
    found = run(subject.create("e"), subject.program(network, folder), image)
    assert list(found) == list(expected)
    worst = max(
        float(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max())
        for name in expected
    )
    record(f"network {package.name}", f"{worst:.0e}")
    assert worst <= kind.tolerance


@pytest.mark.conformance("shipped networks")
@pytest.mark.parametrize("name", SHIPPED)
def test_shipped(
    subject: Subject,
    name: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    compare(subject, load_model(name), tmp_path, record_property)


@pytest.mark.conformance("real networks")
@pytest.mark.slow
@pytest.mark.assets
@pytest.mark.parametrize("name", REAL)
def test_real(
    subject: Subject,
    name: str,
    assets: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    package = load_model(name, weights=assets / "models" / REAL[name])
    compare(subject, package, tmp_path, record_property)
