"""What a manifest says of attributes: mistakes are told, outputs are read as it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.models.attributes import ClassifyEntry, RecogniseEntry

COLOUR = {"output": "scores", "attribute": "colour"}
PLATE = {"output": "scores", "alphabet": "AB1", "blank": "last", "attribute": "plate"}


@pytest.mark.parametrize(
    ("part", "shape", "labels", "told"),
    [
        (COLOUR, (-1, 3), ("red", "blue"), r"2 labels need an output \(N, 2\), scores is \[-1, 3"),
        (COLOUR, (-1,), ("red",), r"1 labels need an output"),
        (COLOUR, (-1, 0), (), r"needs labels"),
        (COLOUR, (-1, 2), ("red", ""), r"needs labels, none of them empty"),
        (COLOUR | {"output": "logits"}, (-1, 1), ("red",), r"no output 'logits'; .* scores"),
        ({"output": "scores", "multi": True}, (-1, 1), ("Has Hat",), r"'Has Hat' should be small"),
    ],
)
def test_a_classifier_that_does_not_fit(
    part: dict[str, Any], shape: tuple[int, ...], labels: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        ClassifyEntry(**part).check({"scores": shape}, labels)


@pytest.mark.parametrize("shape", [(4, 3), (-1, 24, 5), (24, 1, 3)])
def test_a_recogniser_that_does_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"3 signs and a blank need .* the last of length 4"):
        RecogniseEntry(**PLATE).check({"scores": shape}, ())


@pytest.mark.parametrize(
    ("kind", "part", "told"),
    [
        (ClassifyEntry, {"output": "scores"}, "either .* or multi"),
        (ClassifyEntry, COLOUR | {"multi": True}, "either .* or multi"),
        (ClassifyEntry, COLOUR | {"attribute": "Colour of paint"}, "attribute"),
        (RecogniseEntry, PLATE | {"alphabet": "ABA"}, "alphabet has 'A' twice"),
        (RecogniseEntry, PLATE | {"alphabet": ""}, "alphabet"),
    ],
)
def test_parts_that_say_nothing_clear(kind: Any, part: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        kind(**part)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1, 1)])
def test_a_classifier_is_read(shape: tuple[int, ...]) -> None:
    entry, labels = ClassifyEntry(**COLOUR), ("red", "green", "blue")
    entry.check({"scores": (-1, *shape[1:])}, labels)
    scores = np.array([0, 9, 0, 0, 0, 9], np.float32).reshape(shape)
    (looks,) = entry.read({"scores": scores}, labels).values()
    assert looks.values[looks.weights.argmax(axis=1)].tolist() == ["green", "blue"]


def test_attributes_of_their_own_are_read() -> None:
    entry = ClassifyEntry(output="scores", multi=True, logits=False)
    entry.check({"scores": (-1, 2)}, ("hat", "bag"))
    found = entry.read({"scores": np.array([[1, 0.25]], np.float32)}, ("hat", "bag"))
    assert {name: looks.weights.tolist() for name, looks in found.items()} == {
        "hat": [[0, 1]],
        "bag": [[0.75, 0.25]],
    }


@pytest.mark.parametrize("layout", ["ntc", "tnc"])
def test_a_text_is_read_in_either_layout(layout: str) -> None:
    entry = RecogniseEntry.model_validate(PLATE | {"layout": layout})
    steps = np.array([[0, 3, 0, 2], [2, 2, 3, 1]])  # of N objects; 3 is the blank
    scores = np.where(np.eye(4)[steps], 9, 0).astype(np.float32)
    outputs = {"scores": scores if layout == "ntc" else scores.swapaxes(0, 1)}
    assert outputs["scores"].shape[entry.axis] == len(steps)
    looks = entry.read(outputs, ())["plate"]
    assert looks.values[looks.weights.argmax(axis=1)].tolist() == ["AA1", "1B"]
