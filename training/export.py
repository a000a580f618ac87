"""Turns trained weights into a model package: ONNX, manifest, test vector and licence.

`python -m training.export detector --checkpoint runs/detector.pt -o models/street-pico`
"""

from __future__ import annotations

import argparse
import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from pipeline.detection.proposals import propose
from pipeline.world import LABELS, World
from training.attribute import Attribute
from training.coloured import clear, cut_out
from training.colours import COLOURS
from training.dataset import NETWORK_HEIGHT, NETWORK_WIDTH, as_network_input, crop
from training.detector import STRIDES, Detector
from training.reid import EMBEDDING, Reid
from training.seeds import TRAINING, VALIDATION
from training.two_stage import ANCHORS, DELTA_WEIGHTS, PROPOSALS, TwoStage, pooled

OPSET = 17
_ATOL = 1e-3
_LICENCE = "Apache-2.0, the same as the project. Trained on pictures the project renders itself.\n"

AnyModule = TypeVar("AnyModule", bound=nn.Module)


@dataclass(frozen=True)
class Package:
    """What differs between the models."""

    name: str
    task: str
    network: nn.Module
    """Trained."""
    description: str
    input_name: str
    example: NDArray[Any]
    """(N, C, H, W): the input of the test vector."""
    output_names: tuple[str, ...]
    labels: tuple[str, ...]
    about: dict[str, Any]
    """The parts of the manifest that go with the task."""


def detector_package(checkpoint: Path) -> Package:
    """Returns the one-stage detector."""
    return Package(
        name="street-pico",
        task="detect",
        network=_trained(Detector(), checkpoint),
        description="Street objects of the project's rendered world only; not for real pictures.",
        input_name="images",
        example=_street(),
        output_names=("output",),
        labels=LABELS,
        about={
            "preprocess": _preprocess("letterbox"),
            "head": {"family": "yolox", "strides": list(STRIDES)},
        },
    )


def rpn_package(checkpoint: Path) -> Package:
    """Returns the two-stage detector's first network."""
    return Package(
        name="street-duo-rpn",
        task="rpn",
        network=_trained(TwoStage(), checkpoint).first,
        description="First half of street-duo: where objects may be; not for real pictures.",
        input_name="image",
        example=_street(),
        output_names=("features", "objectness", "anchor_deltas"),
        labels=(),
        about={"preprocess": _preprocess("letterbox"), "rpn": _rpn()},
    )


def head_package(checkpoint: Path) -> Package:
    """Returns the two-stage detector's second network."""
    networks = _trained(TwoStage(), checkpoint)
    with torch.no_grad():
        features, *scores = networks.first(torch.from_numpy(_street().astype(np.float32)))
    objectness, deltas = ([part.numpy()] for part in scores)
    boxes = propose(PROPOSALS, objectness, deltas, NETWORK_WIDTH, NETWORK_HEIGHT).boxes_xyxy
    return Package(
        name="street-duo-head",
        task="roi_head",
        network=networks.second,
        description="Second half of street-duo: what the proposals show; not for real pictures.",
        input_name="roi_features",
        example=pooled(features[0], boxes[:8]).numpy(),
        output_names=("box_deltas", "cls_logits"),
        labels=LABELS,
        about={
            "roi_head": {
                "pooling": {"method": "align", "sampling": 0},
                "weights": list(DELTA_WEIGHTS),
                "background": "last",
            }
        },
    )


def reid_package(checkpoint: Path) -> Package:
    """Returns the ReID network."""
    frame = World("day", VALIDATION[0]).render(60)
    rows = np.argsort(-frame.visibility, kind="stable")[:4]
    crops = np.stack([crop(frame.image_bgr, frame.boxes_xyxy[row]) for row in rows])
    return Package(
        name="reid-pico",
        task="embed",
        network=_trained(Reid(), checkpoint),
        description="Tells objects of the project's rendered world apart; not for real pictures.",
        input_name="crops",
        example=np.ascontiguousarray(crops.transpose(0, 3, 1, 2)),
        output_names=("embeddings",),
        labels=(),
        about={
            "preprocess": _preprocess("stretch"),
            "embedding": {"dim": EMBEDDING, "normalised": True},
        },
    )


def attribute_package(checkpoint: Path) -> Package:
    """Returns the network that names a vehicle's colour."""
    frame = World("day", VALIDATION[0]).render(60)
    crops = cut_out(frame.image_bgr, frame.boxes_xyxy[clear(frame)])
    return Package(
        name="colour-pico",
        task="classify",
        network=_trained(Attribute(), checkpoint),
        description="Names a rendered vehicle's colour; not for real pictures.",
        input_name="crops",
        example=np.ascontiguousarray(crops.transpose(0, 3, 1, 2)),
        output_names=("logits",),
        labels=COLOURS,
        about={
            "preprocess": _preprocess("stretch"),
            "classify": {"output": "logits", "attribute": "colour"},
        },
    )


_PACKAGES = {
    "detector": detector_package,
    "rpn": rpn_package,
    "head": head_package,
    "reid": reid_package,
    "attribute": attribute_package,
}


def _trained(network: AnyModule, checkpoint: Path) -> AnyModule:
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    return network.eval()


def _street() -> NDArray[np.uint8]:
    """Returns a picture (1, 3, H, W) in blocks of 4x4 pixels, without noise: it compresses."""
    image = as_network_input(World("day", VALIDATION[0]).render(60).image_bgr)
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    coarse = np.repeat(np.repeat(np.asarray(small, np.uint8), 4, axis=0), 4, axis=1)
    return np.ascontiguousarray(coarse.transpose(2, 0, 1)[None])


def _preprocess(resize: str) -> dict[str, Any]:
    return {
        "resize": resize,
        **({"align": "top_left"} if resize == "letterbox" else {}),
        "pad": 114,
        "color": "bgr",
        "scale": 1.0,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
    }


def _rpn() -> dict[str, Any]:
    level = {
        "features": "features",
        "objectness": "objectness",
        "deltas": "anchor_deltas",
        "stride": ANCHORS.stride,
        "sizes": list(ANCHORS.sizes),
        "ratios": list(ANCHORS.ratios),
        "offset": ANCHORS.offset,
    }
    limits = {key: getattr(PROPOSALS, key) for key in ("candidates", "nms_iou", "keep")}
    return {"levels": [level], "weights": list(PROPOSALS.weights), **limits}


def export(package: Package, folder: Path) -> None:
    """Writes the package to `folder`.

    Raises:
        ValueError: the exported network does not compute what the trained one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{package.name}.onnx"
    _write_onnx(package, path)
    outputs = _checked_outputs(package, path)
    vector: dict[str, Any] = {package.input_name: package.example, **outputs}
    np.savez_compressed(folder / "test_vector.npz", **vector)
    manifest = _manifest(package, path, outputs)
    (folder / "model.yaml").write_text(as_yaml(manifest), encoding="utf-8")
    (folder / "LICENSE").write_text(_LICENCE, encoding="utf-8")


def _write_onnx(package: Package, path: Path) -> None:
    example = torch.zeros(2, *package.example.shape[1:])
    names = [package.input_name, *package.output_names]
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
            output_names=list(package.output_names),
            dynamic_axes={name: {0: "batch"} for name in names},
        )
    model = onnx.load(path)
    for field in ("doc_string", "producer_version"):
        model.ClearField(field)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _checked_outputs(package: Package, path: Path) -> dict[str, NDArray[np.float32]]:
    """Returns the test vector's outputs after comparing both runtimes, for it and for it twice."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    example = package.example.astype(np.float32)
    for batch in (np.concatenate([example, example]), example):
        found = session.run(list(package.output_names), {package.input_name: batch})
        with torch.no_grad():
            wanted = package.network(torch.from_numpy(batch))
        pairs = zip(found, [wanted] if len(found) == 1 else wanted, strict=True)
        worst = max(float(np.abs(one - other.numpy()).max()) for one, other in pairs)
        if worst > _ATOL / 4:
            raise ValueError(f"{path.name}: ONNX differs from torch by {worst:.2g}")
    print(f"{path.name}: {path.stat().st_size} bytes, differs from torch by {worst:.2g}")
    return dict(zip(package.output_names, map(_compressible, found), strict=True))


def _compressible(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns the numbers rounded to a quarter of what they may be wrong by."""
    grain = np.float32(2.0 ** np.floor(np.log2(_ATOL / 2)))
    return np.asarray(np.round(array / grain) * grain, np.float32)


def _manifest(
    package: Package, path: Path, outputs: dict[str, NDArray[np.float32]]
) -> dict[str, Any]:
    seeds = f"{TRAINING[0]}..{TRAINING[-1]}"
    return {
        "schema": 1,
        "name": package.name,
        "task": package.task,
        "description": package.description,
        "licence": "Apache-2.0",
        "source": f"trained by training/ on the rendered world, seeds {seeds}",
        **({"labels": list(package.labels)} if package.labels else {}),
        "files": [file_entry(path, format="onnx")],
        "inputs": [_tensor(package.input_name, package.example) | {"layout": "nchw"}],
        "outputs": [_tensor(name, array) for name, array in outputs.items()],
        **package.about,
        "test_vector": {"path": "test_vector.npz", "atol": _ATOL},
    }


def file_entry(path: Path, **about: str) -> dict[str, Any]:
    """Returns what a manifest says of one of the package's files, as `FileEntry` has it."""
    data = path.read_bytes()
    known = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {"path": path.name, **about, **known}


def _tensor(name: str, array: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "shape": [-1, *array.shape[1:]], "dtype": "float32"}


def as_yaml(manifest: dict[str, Any]) -> str:
    """Returns the text of a manifest."""
    return yaml.safe_dump(manifest, sort_keys=False, width=100, default_flow_style=None)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=_PACKAGES)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    export(_PACKAGES[arguments.model](arguments.checkpoint), arguments.output)


if __name__ == "__main__":
    main()
