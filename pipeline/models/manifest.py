"""What a model package says about itself: the schema of ``model.yaml``.

The manifest is the only place where a network's size, preprocessing, decoding and labels are told;
no stage knows them. It is strict (an unknown key is an error that names the nearest right one) and
frozen.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Triple = tuple[float, float, float]


class Strict(BaseModel):
    """Base of all parts of a manifest: no unknown keys, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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
    """

    resize: Literal["letterbox", "stretch"] = "letterbox"
    align: Literal["top_left", "center"] = "top_left"
    pad: Annotated[int, Field(ge=0, le=255)] = 114
    color: Literal["bgr", "rgb"] = "bgr"
    scale: Annotated[float, Field(gt=0)] = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: tuple[
        Annotated[float, Field(gt=0)],
        Annotated[float, Field(gt=0)],
        Annotated[float, Field(gt=0)],
    ] = (1.0, 1.0, 1.0)
