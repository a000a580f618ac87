"""From a picture to a network's input, as the model's manifest says."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.tensor import TensorSpec
from pipeline.errors import ModelError
from pipeline.media.geometry import Placement, place
from pipeline.media.picture import Picture
from pipeline.models.manifest import LAYOUTS, PreprocessSpec

_DTYPES = tuple(np.dtype(name) for name in ("float32", "float16", "uint8"))


class Preprocessor:
    """Scales a picture, reorders its channels, and maps each pixel through a table.

    A pixel has 256 values, so ``(pixel * scale - mean) / std`` is worked out once per value and
    channel, in float64, and looked up: the result is exactly rounded and costs the same for every
    model. May be called from several threads at once.

    Args:
        spec: the manifest's preprocess part.
        width: of the network's input, pixels.
        height: of the network's input, pixels.
        dtype: float32, float16, or uint8 (values are then rounded and must lie in 0..255).
        layout: of `LAYOUTS`.

    Attributes:
        spec: the manifest's preprocess part.
        size: width and height of the network's input, pixels.
        output: what a call gives, as a tensor.

    Raises:
        ModelError: the dtype or layout is another one, or uint8 cannot hold the values.
    """

    def __init__(
        self, spec: PreprocessSpec, width: int, height: int, dtype: np.dtype[Any], layout: str
    ) -> None:
        dtype = np.dtype(dtype)
        if dtype not in _DTYPES or layout not in LAYOUTS:
            raise ModelError(
                f"a picture can become float32, float16 or uint8 in {', '.join(LAYOUTS)}; "
                f"the model's input is {dtype} in {layout!r}"
            )
        self.spec, self.size = spec, (width, height)
        self._width, self._height = width, height
        self._dtype, self._planar, self._counted = dtype, layout != "nhwc", "n" in layout
        self.output = TensorSpec("tensor", self._as_input(self._empty(1)).shape, dtype, layout)
        self._order = (0, 1, 2) if spec.color == "bgr" else (2, 1, 0)
        self._values = _value_table(spec, dtype)
        # OpenCV looks up by width of the entry; it has no float16, so its bits go as uint16.
        carrier = np.dtype(np.uint16) if dtype == np.float16 else dtype
        self._carrier = carrier
        self._tables = [np.ascontiguousarray(row.view(carrier)) for row in self._values]
        self._table_nhwc = np.ascontiguousarray(np.stack(self._tables, axis=-1)[None])
        self._blank = self._empty(1)[0]
        self._planes(self._blank)[:] = self._values[:, spec.pad, None, None]
        self._identity = dtype != np.float16 and bool((self._values == np.arange(256)).all())

    def __call__(self, picture: Picture) -> tuple[NDArray[Any], Placement]:
        """One network input, with a leading 1 where the layout has ``n``, and its placement.

        The caller owns the array.
        """
        placement = self.placement(picture.width, picture.height)
        tensor = self._empty(1)
        resized = picture.resized_bgr(placement.resized_width, placement.resized_height)
        self._write(resized, tensor[0], placement)
        return self._as_input(tensor), placement

    def placement(self, width: int, height: int) -> Placement:
        """Where a picture of this size, in pixels, lies in the network's input."""
        return place(
            width,
            height,
            self._width,
            self._height,
            resize=self.spec.resize,
            align=self.spec.align,
        )

    def crops(self, picture: Picture, boxes_xyxy: NDArray[np.float32]) -> NDArray[Any]:
        """Parts of a picture as one batch (N, …), for networks that look at single objects.

        Args:
            picture: only the parts are converted, from full resolution.
            boxes_xyxy: (N, 4) float32, source pixels; rounded to whole pixels, clipped to the
                picture, and at least one pixel wide and high.
        """
        tensor = self._empty(len(boxes_xyxy))
        for row, (x1, y1, x2, y2) in enumerate(_pixels(boxes_xyxy, picture)):
            crop = picture.crop_bgr(x1, y1, x2, y2)
            placement = self.placement(x2 - x1, y2 - y1)
            size = placement.resized_width, placement.resized_height
            resized = np.empty((size[1], size[0], 3), np.uint8)
            cv2.resize(crop, size, dst=resized, interpolation=cv2.INTER_LINEAR)
            self._write(resized, tensor[row], placement)
        return tensor

    def _as_input(self, one: NDArray[Any]) -> NDArray[Any]:
        return one if self._counted else one[0]

    def _empty(self, count: int) -> NDArray[Any]:
        shape = (3, self._height, self._width) if self._planar else (self._height, self._width, 3)
        return np.empty((count, *shape), self._dtype)

    def _write(self, image: NDArray[np.uint8], tensor: NDArray[Any], placement: Placement) -> None:
        """Puts a scaled BGR picture and the border around it into one network input."""
        rows = slice(placement.top, placement.top + placement.resized_height)
        columns = slice(placement.left, placement.left + placement.resized_width)
        planes, blank = self._planes(tensor), self._planes(self._blank)
        for y, x in (
            (slice(0, rows.start), slice(None)),
            (slice(rows.stop, None), slice(None)),
            (rows, slice(0, columns.start)),
            (rows, slice(columns.stop, None)),
        ):
            planes[:, y, x] = blank[:, y, x]
        if self._planar:
            channels = cv2.split(image)
            for target, source, table in zip(planes, self._order, self._tables, strict=True):
                self._look_up(channels[source], table, target[rows, columns])
        else:
            if self._order != (0, 1, 2):
                cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
            self._look_up(image, self._table_nhwc, tensor[rows, columns])

    def _planes(self, tensor: NDArray[Any]) -> NDArray[Any]:
        """A view (3, height, width) of one network input."""
        return tensor if self._planar else tensor.transpose(2, 0, 1)

    def _look_up(self, source: Any, table: NDArray[Any], target: NDArray[Any]) -> None:
        if self._identity:
            np.copyto(target, source)
        else:
            cv2.LUT(source, table, dst=target.view(self._carrier))


def _value_table(spec: PreprocessSpec, dtype: np.dtype[Any]) -> NDArray[Any]:
    """(3, 256): the network's value of each pixel value, per channel in the order of `color`."""
    mean, std = (np.array(row, np.float64)[:, None] for row in (spec.mean, spec.std))
    values = (np.arange(256) * spec.scale - mean) / std
    if dtype == np.uint8:
        values = np.rint(values)
        if values.min() < 0 or values.max() > 255:
            raise ModelError(
                f"the model takes uint8, but scale, mean and std give {values.min():g} to "
                f"{values.max():g}: leave them out of model.yaml for such an input"
            )
    return values.astype(dtype)


def _pixels(boxes_xyxy: NDArray[np.float32], picture: Picture) -> list[list[int]]:
    """Boxes in whole pixels inside the picture, none of them empty."""
    limit = np.array([picture.width, picture.height])
    low = np.clip(np.rint(boxes_xyxy[:, :2]), 0, limit - 1).astype(np.int64)
    high = np.clip(np.rint(boxes_xyxy[:, 2:]), low + 1, limit).astype(np.int64)
    pixels: list[list[int]] = np.hstack([low, high]).tolist()
    return pixels
