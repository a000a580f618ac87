"""Turns trained weights into a model package: ONNX, manifest, test vector and licence.

`python -m training.export detector --checkpoint runs/detector.pt -o models/street-pico`
"""

from __future__ import annotations

import argparse
import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from pipeline.world import LABELS, World
from training.dataset import (
    as_network_input,
    crop,
)
from training.detector import STRIDES, Detector
from training.reid import EMBEDDING, Reid
from training.seeds import TRAINING, VALIDATION

OPSET = 17
_ATOL = 1e-3
_LICENCE = "Apache-2.0, the same as the project. Trained on pictures the project renders itself.\n"


@dataclass(frozen=True)
class Package:
    """What differs between the two models."""

    name: str
    network: nn.Module
    input_name: str
    output_name: str
    description: str
    resize: str
    picture_bgr: NDArray[np.uint8]
    """(N, H, W, 3): the input of the test vector."""
    manifest: dict[str, Any]


def detector_package() -> Package:
    """Returns the detector, without weights yet."""
    frame = World("day", VALIDATION[0]).render(60)
    return Package(
        name="street-pico",
        network=Detector(),
        input_name="images",
        output_name="output",
        description="Street objects of the project's rendered world only; not for real pictures.",
        resize="letterbox",
        picture_bgr=_coarse(as_network_input(frame.image_bgr))[None],
        manifest={"task": "detect", "head": {"family": "yolox", "strides": list(STRIDES)}},
    )


def _coarse(image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the picture in blocks of 4x4 pixels, without the noise that does not compress."""
    height, width = image_bgr.shape[:2]
    small = cv2.resize(image_bgr, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    return np.repeat(np.repeat(np.asarray(small, np.uint8), 4, axis=0), 4, axis=1)


def reid_package() -> Package:
    """Returns the ReID network, without weights yet."""
    frame = World("day", VALIDATION[0]).render(60)
    rows = np.argsort(-frame.visibility, kind="stable")[:4]
    crops = [crop(frame.image_bgr, frame.boxes_xyxy[row]) for row in rows]
    return Package(
        name="reid-pico",
        network=Reid(),
        input_name="crops",
        output_name="embeddings",
        description="Tells objects of the project's rendered world apart; not for real pictures.",
        resize="stretch",
        picture_bgr=np.stack(crops),
        manifest={"task": "embed", "embedding": {"dim": EMBEDDING, "normalised": True}},
    )


def export(package: Package, checkpoint: Path, folder: Path) -> None:
    """Writes the package of trained weights to `folder`.

    Raises:
        ValueError: the exported network does not compute what the trained one does.
    """
    network = package.network
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    network.eval()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package.name}.onnx"
    _write_onnx(package, path)
    pixels = np.ascontiguousarray(package.picture_bgr.transpose(0, 3, 1, 2))
    outputs = _checked_outputs(package, path, pixels)
    vector: dict[str, Any] = {package.input_name: pixels, package.output_name: outputs}
    np.savez_compressed(folder / "test_vector.npz", **vector)
    manifest = _manifest(package, path, outputs)
    (folder / "model.yaml").write_text(_as_yaml(manifest), encoding="utf-8")
    (folder / "LICENSE").write_text(_LICENCE, encoding="utf-8")


def _write_onnx(package: Package, path: Path) -> None:
    example = torch.zeros(2, 3, *package.picture_bgr.shape[1:3])
    free = {package.input_name: {0: "batch"}, package.output_name: {0: "batch"}}
    with warnings.catch_warnings():
        # The tracing exporter is deprecated, but needs no further packages and folds batch norms.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            package.network,
            (example,),
            str(path),
            opset_version=OPSET,
            dynamo=False,
            input_names=[package.input_name],
            output_names=[package.output_name],
            dynamic_axes=free,
        )
    model = onnx.load(path)
    for field in ("doc_string", "producer_version"):
        model.ClearField(field)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _checked_outputs(
    package: Package, path: Path, pixels: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Returns the test vector's outputs after comparing both runtimes, for one and for two."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (pixels.astype(np.float32), np.concatenate([pixels, pixels]).astype(np.float32)):
        found = np.asarray(session.run(None, {package.input_name: batch})[0], np.float32)
        with torch.no_grad():
            wanted = package.network(torch.from_numpy(batch)).numpy()
        worst = float(np.abs(found - wanted).max())
        if worst > _ATOL:
            raise ValueError(f"{path.name}: ONNX differs from torch by {worst:.2g}")
    print(f"{path.name}: {path.stat().st_size} bytes, differs from torch by {worst:.2g}")
    return found[: len(pixels)]


def _manifest(package: Package, path: Path, outputs: NDArray[np.float32]) -> dict[str, Any]:
    data = path.read_bytes()
    shape = [-1, 3, *package.picture_bgr.shape[1:3]]
    seeds = f"{TRAINING[0]}..{TRAINING[-1]}"
    resize = {"resize": package.resize}
    if package.resize == "letterbox":
        resize["align"] = "top_left"
    head = dict(package.manifest)
    return {
        "schema": 1,
        "name": package.name,
        "task": head.pop("task"),
        "description": package.description,
        "licence": "Apache-2.0",
        "source": f"trained by training/ on the rendered world, seeds {seeds}",
        **({"labels": list(LABELS)} if package.resize == "letterbox" else {}),
        "files": [
            {
                "path": path.name,
                "format": "onnx",
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        ],
        "inputs": [_tensor(package.input_name, shape, "nchw")],
        "outputs": [_tensor(package.output_name, [-1, *outputs.shape[1:]], None)],
        "preprocess": {
            **resize,
            "pad": 114,
            "color": "bgr",
            "scale": 1.0,
            "mean": [0, 0, 0],
            "std": [1, 1, 1],
        },
        **head,
        "test_vector": {"path": "test_vector.npz", "atol": _ATOL},
    }


def _tensor(name: str, shape: list[int], layout: str | None) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": name, "shape": shape, "dtype": "float32"}
    return spec | ({"layout": layout} if layout else {})


def _as_yaml(manifest: dict[str, Any]) -> str:
    return yaml.safe_dump(manifest, sort_keys=False, width=100, default_flow_style=None)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("detector", "reid"))
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    package = detector_package() if arguments.model == "detector" else reid_package()
    export(package, arguments.checkpoint, arguments.output)


if __name__ == "__main__":
    main()
