"""The shipped models are what their manifests say, and good enough on worlds they never saw."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.world import LABELS, SCENES, World
from training.coloured import clear, cut_out
from training.colours import named
from training.evaluate import Detector, average_precisions_of, open_model, rank_one

MODELS = Path(__file__).resolve().parents[2] / "models"
NAMES = ("street-pico", "reid-pico", "street-duo-rpn", "street-duo-head", "colour-pico")


def manifest(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((MODELS / name / "model.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_a_manifest_tells_the_truth_about_its_files(name: str) -> None:
    for entry in manifest(name)["files"]:
        data = (MODELS / name / entry["path"]).read_bytes()
        assert len(data) == entry["size"] < 3_000_000
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_computes_its_test_vector(name: str) -> None:
    about = manifest(name)
    session = open_model(MODELS / name / about["files"][0]["path"])
    vector = np.load(MODELS / name / about["test_vector"]["path"])
    (entry,), results = about["inputs"], about["outputs"]
    given = vector[entry["name"]].astype(np.float32)
    assert list(given.shape[1:]) == entry["shape"][1:]
    outputs = session.run([result["name"] for result in results], {entry["name"]: given})
    for result, found in zip(results, outputs, strict=True):
        assert list(found.shape[1:]) == result["shape"][1:]
        np.testing.assert_allclose(found, vector[result["name"]], atol=about["test_vector"]["atol"])


def test_the_detector_finds_objects_of_unseen_worlds() -> None:
    worlds = [World(scene, 9500 + seed) for scene in SCENES for seed in range(4)]
    frames = (world.render(step) for world in worlds for step in (40, 260))
    by_name = average_precisions_of(Detector(MODELS / "street-pico"), frames)
    assert by_name.keys() <= set(LABELS)
    assert np.mean(list(by_name.values())) >= 0.90


def test_embeddings_tell_objects_of_unseen_worlds_apart() -> None:
    session = open_model(MODELS / "reid-pico" / "reid-pico.onnx")
    hits = asked = 0
    for scene in SCENES:
        world = World(scene, 9600)
        right, total = rank_one(session, [world.render(step) for step in range(0, 126, 25)])
        hits, asked = hits + right, asked + total
    assert asked > 50
    assert hits / asked >= 0.9


def test_colours_of_vehicles_of_unseen_worlds_are_named() -> None:
    session = open_model(MODELS / "colour-pico" / "colour-pico.onnx")
    hits: list[bool] = []
    for frame in (World(s, 9700 + n).render(90) for s in ("day", "dusk") for n in range(16)):
        rows = clear(frame)
        crops = cut_out(frame.image_bgr, frame.boxes_xyxy[rows]).transpose(0, 3, 1, 2)
        (logits,) = session.run(None, {"crops": crops.astype(np.float32)})
        hits += (logits.argmax(axis=1) == named(frame.colours_bgr[rows])).tolist()
    assert len(hits) > 40
    assert np.mean(hits) >= 0.9
