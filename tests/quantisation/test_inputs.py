"""What a network is calibrated with and judged on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import TensorSpec
from pipeline.detection.detections import Detections
from pipeline.errors import DataError, SourceError
from pipeline.ledger import Ticket
from pipeline.media.picture import BgrPicture
from pipeline.models.manifest import Manifest, read_manifest
from pipeline.packet import FrameInfo, Packet
from pipeline.payloads import Detected
from pipeline.quantisation.inputs import MOST_CROPS, ZOOMS, Request, gather
from pipeline.recording.file import About, RecordingWriter

PICTURE = TensorSpec("images", (-1, 3, 32, 48), np.dtype("float32"), "nchw")
CROP = TensorSpec("crops", (-1, 3, 16, 8), np.dtype("float32"), "nchw")
FEATURES = TensorSpec("features", (-1, 4), np.dtype("float32"))


@pytest.fixture
def detector(light_meter: Path) -> Manifest:
    return read_manifest(light_meter / "model.yaml")


@pytest.fixture
def embedder(mean_color: Path) -> Manifest:
    return read_manifest(mean_color / "model.yaml")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven pictures, each lighter than the one before."""
    for index in range(7):
        picture = np.full((24, 36, 3), 20 + 30 * index, np.uint8)
        picture[:12] = 0
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
    return tmp_path


def test_every_third_picture_is_held_out(folder: Path, detector: Manifest) -> None:
    found = gather([PICTURE], detector, Request(str(folder)))
    assert [(s.frame, s.zoom) for s in found.held_out] == [
        (frame, zoom) for frame in (2, 5) for zoom in ZOOMS
    ]
    assert [s.frame for s in found.calibration if s.zoom == 1] == [0, 1, 3, 4, 6]
    whole, middle, _ = (sample.tensors["images"] for sample in found.held_out[:3])
    assert whole.shape == middle.shape == (1, 3, 32, 48)
    assert whole.max() == middle.max() == 80
    assert found.held_out[0].placement is not None
    assert found.truth is None
    assert found.told == (
        f"7 pictures of {folder}, each also enlarged 2 and 4 times; 2 of 7 held out to judge on"
    )


def test_the_middle_is_enlarged(tmp_path: Path) -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[8:24, 12:36] = 100  # the middle half
    image[12:20, 18:30] = 200  # the middle quarter
    cv2.imwrite(str(tmp_path / "a.png"), image)
    whole, half, quarter = gather([PICTURE], None, Request(str(tmp_path))).held_out
    assert [np.unique(s.tensors["images"]).tolist() for s in (whole, quarter)] == [
        [0, 100, 200], [200]
    ]  # fmt: skip
    assert half.tensors["images"].min() == 100


def test_two_pictures_are_too_few_for_both(folder: Path, detector: Manifest) -> None:
    found = gather([PICTURE], detector, Request(str(folder), frames=2))
    assert found.calibration == found.held_out
    assert {sample.frame for sample in found.held_out} == {0, 3}  # spread over the folder
    assert "judged on the same" in found.told


def test_without_a_manifest_any_size_is_the_pictures_own(folder: Path) -> None:
    anything = replace(PICTURE, shape=(1, 3, -1, -1))
    one = Request(str(folder / "1.png"))
    for size, shape in ((None, (1, 3, 24, 36)), ((64, 32), (1, 3, 32, 64))):
        found = gather([anything], None, replace(one, size=size)).calibration
        assert {sample.tensors["images"].shape for sample in found} == {shape}
    with pytest.raises(DataError, match="--size: the network takes 48x32 only"):
        gather([PICTURE], None, replace(one, size=(64, 32)))


def test_a_rendered_street_has_its_truth(detector: Manifest, embedder: Manifest) -> None:
    request = Request("rendered:crowd?seconds=0.2", frames=3)
    found = gather([PICTURE], detector, request)
    assert found.truth is not None
    assert len(found.truth.over([sample.frame for sample in found.held_out]))
    crops = gather([CROP], embedder, request)
    assert {sample.frame for sample in crops.calibration} == {0, 1}
    assert len(crops.held_out) == MOST_CROPS
    assert min(sample.identity for sample in crops.held_out) >= 0
    assert crops.held_out[0].tensors["crops"].shape == (1, 3, 16, 8)


def test_crops_are_cut_where_the_boxes_are(folder: Path, embedder: Manifest) -> None:
    boxes = folder / "boxes.txt"
    # The lower right quarter of the second picture; one that is not scored; one of no picture.
    boxes.write_text("2,7,19,13,18,12,1\n2,8,1,1,18,12,0\n40,7,1,1,9,9,1\n")
    [sample] = gather([CROP], embedder, Request(str(folder), boxes=boxes)).calibration
    assert (sample.frame, sample.identity) == (1, 7)
    np.testing.assert_array_equal(np.unique(sample.tensors["crops"]), [50])
    half = gather([CROP], embedder, Request(str(folder), boxes=boxes, scale=0.5)).calibration
    np.testing.assert_array_equal(np.unique(half[0].tensors["crops"])[0], 0)


def test_pictures_of_a_folder_are_crops_themselves(folder: Path, embedder: Manifest) -> None:
    found = gather([CROP], embedder, Request(str(folder)))
    assert len(found.calibration) + len(found.held_out) == 7
    assert found.held_out[0].identity == -1


def test_a_recording_has_pictures_and_boxes(tmp_path: Path, embedder: Manifest) -> None:
    writer = RecordingWriter(tmp_path / "street.rec", About("postprocess", "Detected"))
    for index in range(4):
        image = np.full((24, 36, 3), 60 * index, np.uint8)
        image[:12] = 5
        boxes = np.array([[0, 12, 36, 24]], np.float32)
        seen = Detections(boxes, np.ones(1, np.float32), np.zeros(1, np.int32))
        frame = FrameInfo("gate", index, index, 0, 36, 24)
        writer.write(Packet(frame, Detected(BgrPicture(image), seen), Ticket("gate")))
    writer.finish()
    found = gather([CROP], embedder, Request(str(tmp_path / "street.rec"), frames=2))
    assert [sample.frame for sample in found.calibration] == [0, 2]
    np.testing.assert_array_equal(np.unique(found.calibration[1].tensors["crops"]), [120])


def test_recorded_tensors(tmp_path: Path) -> None:
    rows = np.arange(40, dtype=np.float64).reshape(10, 4)
    np.savez(tmp_path / "a.npz", features=rows[:6], more=rows)
    np.save(tmp_path / "b.npy", rows[6:])
    with pytest.raises(DataError, match=r"b.npy: features is \[4, 4\], in .*a.npz it is \[6, 4\]"):
        gather([FEATURES], None, Request(str(tmp_path)))
    found = gather([FEATURES], None, Request(str(tmp_path), batch=3))
    runs = sorted((s.frame, s) for s in (*found.calibration, *found.held_out))
    np.testing.assert_array_equal(
        np.concatenate([sample.tensors["features"] for _, sample in runs]), rows[:9]
    )
    assert runs[0][1].tensors["features"].dtype == np.float32
    one = gather([FEATURES], None, Request(str(tmp_path / "b.npy")))
    assert one.told == f"1 recorded inputs of {tmp_path / 'b.npy'}; judged on the same"


def test_a_password_is_not_told() -> None:
    assert Request("rtsp://viewer:secret@gate/1").name == "rtsp://***@gate/1"


def test_what_is_of_no_use_is_refused(
    tmp_path: Path, folder: Path, detector: Manifest, embedder: Manifest
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"empty: no image in this folder; expected \.bmp"):
        gather([PICTURE], detector, Request(str(tmp_path / "empty")))
    with pytest.raises(SourceError, match="no such file"):
        gather([PICTURE], detector, Request(str(tmp_path / "none.mp4")))
    for name, value, word in (("black", 0, "black"), ("wall", 200, "of one colour")):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.full((24, 36, 3), value, np.uint8))
        with pytest.raises(DataError, match=f"{name}: all 1 are {word}; .*: record a real scene"):
            gather([PICTURE], detector, Request(str(tmp_path / name)))
    with pytest.raises(DataError, match=r"takes features.*, which no picture makes; give a folder"):
        gather([FEATURES], None, Request(str(folder)))
    with pytest.raises(DataError, match="--boxes goes with a model of crops"):
        gather([PICTURE], detector, Request(str(folder), boxes=tmp_path / "gt.txt"))
    with pytest.raises(DataError, match="--truth goes with a detector"):
        gather([CROP], embedder, Request(str(folder), truth=tmp_path / "gt.txt"))
    with pytest.raises(DataError, match="--batch goes with recorded tensors"):
        gather([PICTURE], detector, Request(str(folder), batch=2))
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("90,7,1,1,9,9,1\n")
    with pytest.raises(DataError, match=r"boxes\.txt: no box in any of the 7 pictures of"):
        gather([CROP], embedder, Request(str(folder), boxes=boxes))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"nose": np.ones((2, 4))},
            "expected arrays features, there are nose; features is missing",
        ),
        (
            {"features": np.ones((2, 5))},
            r"expected features: float32\[\?, 4\], found float64\[2, 5",
        ),
        ({"features": np.ones((2, 4), complex)}, "found complex128"),
        ({"features": np.zeros((2, 4))}, "are black"),
        ({"features": np.zeros((0, 4))}, "there is nothing in it"),
    ],
)
def test_recorded_tensors_that_do_not_fit(
    tmp_path: Path, arrays: dict[str, np.ndarray], words: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=words):
        gather([FEATURES], None, Request(str(tmp_path)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x93NUMPY\x01\x00"])
def test_a_damaged_recording_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: cannot be read as arrays: .*; save it again"):
        gather([FEATURES], None, Request(str(tmp_path)))
