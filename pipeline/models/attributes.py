"""What the manifest of a network that names attributes of single objects says of its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from pipeline.models.strict import Strict
from pipeline.recognition import classes, ctc
from pipeline.recognition.looks import Looks

#: Such as ``colour``: a key of messages.
AttributeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]

Outputs = Mapping[str, NDArray[np.float32]]
Shapes = Mapping[str, tuple[int, ...]]


class ClassifyEntry(Strict):
    """How a classifier's output (N, classes) is read; the classes are the labels.

    Attributes:
        output: its name.
        attribute: what the classes are values of; None where `multi`.
        multi: whether each label is an attribute by itself, with the values ``yes`` and ``no``.
        logits: whether probabilities are still to be made of the output: by softmax, or where
            `multi` by sigmoid.
    """

    output: str
    attribute: AttributeName | None = None
    multi: bool = False
    logits: bool = True

    #: Of the output, on which the objects lie.
    axis: ClassVar[int] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.multi == (self.attribute is not None):
            raise ValueError("say either which attribute the classes are values of, or multi: true")
        return self

    def check(self, shapes: Shapes, labels: Sequence[str]) -> None:
        """Raises `ValueError` if outputs of these shapes, by name, do not fit the labels."""
        if not labels or "" in labels:
            raise ValueError("a model with classify needs labels, none of them empty")
        shape = _shape_of(shapes, "classify.output", self.output)
        if len(shape) < 2 or np.prod(shape[1:]) not in (len(labels), -len(labels)):
            raise ValueError(
                f"classify.output: {len(labels)} labels need an output (N, {len(labels)}), "
                f"{self.output} is {list(shape)}"
            )
        if self.multi:
            for label in labels:
                _require_name(label)

    def read(self, outputs: Outputs, labels: Sequence[str]) -> Mapping[str, Looks]:
        """Looks at N objects, by attribute."""
        scores = outputs[self.output]
        scores = scores.reshape(len(scores), len(labels))
        if self.multi:
            return classes.each_of(scores, labels, logits=self.logits)
        assert self.attribute is not None  # checked above
        return {self.attribute: classes.one_of(scores, labels, logits=self.logits)}


class RecogniseEntry(Strict):
    """How the output of a recogniser trained by CTC is read; see `pipeline.recognition.ctc`.

    Attributes:
        output: its name.
        alphabet: the signs in the order of the output's channels.
        blank: where the blank stands among them.
        layout: of the output: N objects, T steps along the text, C signs with the blank.
        attribute: what the text is.
        logits: whether probabilities are still to be made of the output, by softmax.
    """

    output: str
    alphabet: Annotated[str, Field(min_length=1)]
    blank: Literal["first", "last"]
    layout: Literal["ntc", "tnc"] = "ntc"
    attribute: AttributeName = "text"
    logits: bool = True

    @property
    def axis(self) -> int:
        """Of the output, on which the objects lie."""
        return self.layout.index("n")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if twice := sorted({sign for sign in self.alphabet if self.alphabet.count(sign) > 1}):
            raise ValueError(f"recognise.alphabet has {twice[0]!r} twice")
        return self

    def check(self, shapes: Shapes, labels: Sequence[str]) -> None:
        """Raises `ValueError` if outputs of these shapes, by name, do not fit the alphabet."""
        shape = _shape_of(shapes, "recognise.output", self.output)
        signs = len(self.alphabet) + 1
        if len(shape) != 3 or shape[2] not in (-1, signs):
            raise ValueError(
                f"recognise.output: {signs - 1} signs and a blank need an output of 3 axes, the "
                f"last of length {signs}; {self.output} is {list(shape)}"
            )

    def read(self, outputs: Outputs, labels: Sequence[str]) -> Mapping[str, Looks]:
        """Looks at N objects, by attribute; labels play no part."""
        scores = np.moveaxis(outputs[self.output], self.axis, 0)
        return {self.attribute: ctc.read(scores, self.alphabet, self.blank, logits=self.logits)}


AttributeEntry = ClassifyEntry | RecogniseEntry


def _shape_of(shapes: Shapes, key: str, name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise ValueError(f"{key}: there is no output {name!r}; there are {', '.join(shapes)}")
    return shapes[name]


def _require_name(label: str) -> None:
    try:
        TypeAdapter(AttributeName).validate_python(label)
    except ValidationError:
        raise ValueError(
            f"classify.multi makes each label a key of messages: {label!r} should be small "
            "letters, digits and _, beginning with a letter"
        ) from None
