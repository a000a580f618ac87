"""What a model package says about itself: the schema of ``model.yaml``.

The manifest is the only place where a network's size, preprocessing, decoding and labels are told;
no stage knows them. It is strict (an unknown key is an error that names the nearest right one) and
frozen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
from pydantic import AfterValidator, Field, ValidationError, model_validator

from engines.tensor import TensorSpec
from pipeline.config.complaints import complain
from pipeline.config.document import parse
from pipeline.detection.heads import AnyHead
from pipeline.errors import ModelError
from pipeline.models.attributes import AttributeEntry, ClassifyEntry, RecogniseEntry
from pipeline.models.halves import RoiHeadEntry, RpnEntry
from pipeline.models.labels import NAMED_LABELS
from pipeline.models.strict import Strict

MANIFEST = "model.yaml"

Triple = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0)]
Dtype = Literal[
    "float32", "float16", "float64", "uint8", "int8", "uint16", "int16", "int32", "int64", "bool"
]

#: Of an input that takes pictures; the last is of one picture, without an axis to count it.
LAYOUTS = ("nchw", "nhwc", "chw")

Task = Literal["detect", "embed", "rpn", "roi_head", "classify", "recognise"]
#: What a model of each task must say beside its tensors before it can run.
_NEEDED: Mapping[Task, tuple[str, ...]] = {
    "detect": ("preprocess", "head"),
    "embed": ("preprocess", "embedding"),
    "rpn": ("preprocess", "rpn"),
    "roi_head": ("roi_head",),
    "classify": ("preprocess", "classify"),
    "recognise": ("preprocess", "recognise"),
}
#: Tasks whose networks look at single objects.
OF_CROPS = ("embed", "classify", "recognise")


def _inside(path: str) -> str:
    """The path, where it stays inside its package."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or not pure.parts:
        raise ValueError(f"{path!r} leaves the package; write a path inside its folder")
    return path


InnerPath = Annotated[str, AfterValidator(_inside)]


AnyStrict = TypeVar("AnyStrict", bound=Strict)


class PreprocessSpec(Strict):
    """How a picture becomes a network's input: ``value = (pixel * scale - mean) / std``.

    Attributes:
        resize: ``letterbox`` keeps the aspect ratio and fills the rest with `pad`; ``stretch``
            fills the whole input.
        align: where a letterboxed picture lies in the input.
        pad: grey value (0..255, before scale, mean and std) around a letterboxed picture.
        color: order of the input's channels.
        scale: factor on the 0..255 pixel.
        mean: subtracted per channel, in the order of `color`.
        std: divided by per channel, in the order of `color`.
        size: width and height of the input, pixels, where the network takes any.
    """

    resize: Literal["letterbox", "stretch"] = "letterbox"
    align: Literal["top_left", "center"] = "top_left"
    pad: Annotated[int, Field(ge=0, le=255)] = 114
    color: Literal["bgr", "rgb"] = "bgr"
    scale: Positive = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: tuple[Positive, Positive, Positive] = (1.0, 1.0, 1.0)
    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None


class FileEntry(Strict):
    """One file of a package.

    Attributes:
        path: inside the package's folder, with forward slashes.
        format: such as ``onnx``; an engine says which it loads.
        precision: of the numbers stored in it.
        target: the device profile it was compiled for; empty where it runs on any.
        size: in bytes.
        sha256: 64 hexadecimal digits.
        sha384: 96 digits, where upstream publishes that one instead.
        url: where `sightline models pull` gets it; None for shipped files.
        verified: True where size and hash were computed from the file itself, else where they
            are from.
    """

    path: InnerPath
    format: str
    precision: Literal["fp32", "bf16", "fp16", "int8"] = "fp32"
    target: str = ""
    size: Annotated[int, Field(gt=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    sha384: Annotated[str, Field(pattern=r"^[0-9a-f]{96}$")] | None = None
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    verified: Literal[True] | str = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.sha256 is None) == (self.sha384 is None):
            raise ValueError("a file has one hash; write sha256 or sha384")
        return self

    @property
    def kind(self) -> tuple[str, str, str]:
        """Files of one kind are one variant of the network."""
        return self.format, self.precision, self.target

    @property
    def algorithm(self) -> str:
        """Of `digest`, as `hashlib` names it."""
        return "sha256" if self.sha256 else "sha384"

    @property
    def digest(self) -> str:
        """The expected hash."""
        return self.sha256 or self.sha384 or ""


class TensorEntry(Strict):
    """One input or output of the network; see `engines.tensor.TensorSpec`."""

    name: str
    shape: tuple[Annotated[int, Field(ge=-1)], ...]
    dtype: Dtype
    layout: str = ""
    scale: float | None = None
    zero_point: int | None = None

    def spec(self) -> TensorSpec:
        """The same for an engine."""
        dtype = np.dtype(self.dtype)
        return TensorSpec(self.name, self.shape, dtype, self.layout, self.scale, self.zero_point)


class EmbeddingSpec(Strict):
    """What an ``embed`` model puts out.

    Attributes:
        dim: length of an embedding.
        normalised: whether the network itself gives them length 1.
    """

    dim: Annotated[int, Field(gt=0)]
    normalised: bool = False


class TestVector(Strict):
    """Inputs with the outputs they must give.

    Attributes:
        path: an ``.npz`` in the package with every input and output by its tensor's name.
        atol: largest absolute difference allowed.
    """

    path: InnerPath
    atol: Positive = 1e-3


class KernelEntry(Strict):
    """A detector built into an engine instead of a network in a file.

    Attributes:
        kernel: its name.
        parameters: by name; the engine says which exist.
    """

    kernel: str
    parameters: dict[str, float | int | bool | str] = Field(default_factory=dict)


class Manifest(Strict):
    """A model package's ``model.yaml``.

    Attributes:
        schema_version: written ``schema``; 1.
        name: of the package; also its folder's name.
        task: what stage it is for.
        description: for people.
        licence: of the weights.
        source: where they come from.
        note: what a user must know before using it; empty mostly.
        labels: class names, or ``coco80`` or ``coco90``.
        files: the network; empty where `program` is a kernel.
        program: a detector built into an engine; None where there are files.
        inputs: of the network.
        outputs: of the network.
        preprocess: how a picture becomes the input.
        head: how outputs become boxes.
        embedding: of an ``embed`` model.
        rpn: how outputs become proposals, of a two-stage detector's first network.
        roi_head: how outputs become boxes, of its second network.
        classify: how outputs become an object's attributes.
        recognise: how outputs become a text.
        test_vector: proof that an engine runs it right.
    """

    # Written `schema`, which pydantic's own base class already has as an attribute.
    schema_version: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    task: Task
    description: str = ""
    licence: str
    source: str
    note: str = ""
    labels: tuple[str, ...] | Literal["coco80", "coco90"] = ()
    files: tuple[FileEntry, ...] = ()
    program: KernelEntry | None = None
    inputs: tuple[TensorEntry, ...] = ()
    outputs: tuple[TensorEntry, ...] = ()
    preprocess: PreprocessSpec | None = None
    head: AnyHead | None = None
    embedding: EmbeddingSpec | None = None
    rpn: RpnEntry | None = None
    roi_head: RoiHeadEntry | None = None
    classify: ClassifyEntry | None = None
    recognise: RecogniseEntry | None = None
    test_vector: TestVector | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The labels, spelled out."""
        return NAMED_LABELS[self.labels] if isinstance(self.labels, str) else self.labels

    @property
    def attributes(self) -> AttributeEntry | None:
        """How outputs become attributes; None of other tasks."""
        return {"classify": self.classify, "recognise": self.recognise}.get(self.task)

    @property
    def lacking(self) -> tuple[str, ...]:
        """Keys without which the model can be pulled but not run; empty where it can."""
        keys = ("inputs", "outputs", *_NEEDED[self.task])
        return tuple(key for key in keys if not getattr(self, key))

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of the picture that goes into the first input, pixels; -1 where any."""
        if not self.inputs:
            return -1, -1
        layout, shape = self.inputs[0].layout, self.inputs[0].shape
        if layout not in LAYOUTS or len(shape) != len(layout) or shape[layout.index("c")] != 3:
            raise ValueError("a picture's input has a layout, nchw, nhwc or chw, and 3 channels")
        width, height = shape[layout.index("w")], shape[layout.index("h")]
        if self.preprocess and self.preprocess.size:
            wanted = self.preprocess.size
            if any(n not in (-1, own) for n, own in zip((width, height), wanted, strict=True)):
                raise ValueError(
                    f"preprocess.size is {list(wanted)}, but the input is {width} wide and "
                    f"{height} high"
                )
            return wanted
        return width, height

    @property
    def counted_outputs(self) -> tuple[TensorSpec, ...]:
        """The outputs as heads read them: with a leading 1 where the network counts no pictures."""
        leading = (1,) if self.inputs and self.inputs[0].layout == "chw" else ()
        specs = (entry.spec() for entry in self.outputs)
        return tuple(replace(spec, shape=leading + spec.shape) for spec in specs)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.preprocess and self.inputs and min(self.input_size) < 1:
            raise ValueError(
                "a model with preprocess needs an input of known width and height, or the "
                "preprocess.size of what it is to be given"
            )
        if bool(self.files) == (self.program is not None):
            raise ValueError("a package has files or a program; write one of them")
        paths = [entry.path for entry in self.files]
        vector = [self.test_vector.path] if self.test_vector else []
        for names, what in (
            (self.class_names, "labels"),
            ([entry.name for entry in self.inputs], "inputs"),
            ([entry.name for entry in self.outputs], "outputs"),
            (paths + vector, "files"),
        ):
            if twice := sorted({name for name in names if list(names).count(name) > 1}):
                raise ValueError(f"{what} have {twice[0]!r} twice")
        if self.head is not None:
            if not self.labels:
                raise ValueError("a model with a head needs labels")
            shapes = {spec.name: spec.shape for spec in self.counted_outputs}
            self.head.check(shapes, len(self.class_names), *self.input_size)
        self._check_halves()
        if self.attributes is not None:
            shapes = {entry.name: entry.shape for entry in self.outputs}
            self.attributes.check(shapes, self.class_names)
        return self

    def _check_halves(self) -> None:
        """Raises `ValueError` if a network of a two-stage detector does not fit what it says."""
        inputs, outputs = (
            {entry.name: entry.shape for entry in entries}
            for entries in (self.inputs, self.outputs)
        )
        if self.rpn is not None:
            self.rpn.check(outputs)
        if self.roi_head is not None:
            if not self.labels:
                raise ValueError("a model with a roi_head needs labels")
            self.roi_head.check(inputs, outputs, len(self.class_names))


def read_manifest(path: Path) -> Manifest:
    """Reads a ``model.yaml``; raises as `read_strict`."""
    return read_strict(path, Manifest, "manifest")


def read_strict(path: Path, kind: type[AnyStrict], what: str) -> AnyStrict:
    """Reads a YAML file into its model.

    Args:
        path: of the file.
        kind: of the model.
        what: the file is, for messages.

    Raises:
        ModelError: with every problem in it, each naming file, line, key and remedy.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{path}: the {what} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ModelError(f"{path}: this is not UTF-8 text; a {what} is YAML") from None
    document = parse(text, str(path), {})
    if not document.problems:
        try:
            # As JSON a list may become a tuple, yet no text a number.
            return kind.model_validate_json(json.dumps(document.value))
        except ValidationError as error:
            complain(document, error, kind.model_json_schema())
    raise ModelError("\n".join(map(str, document.problems)))
