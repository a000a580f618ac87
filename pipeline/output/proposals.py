"""Where a two-stage detector looked closer, drawn on the picture: proposals and their anchors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.detection.proposals import Proposals
from pipeline.output.drawing import Color, Image, Pen, draw_box

_ANCHOR: Color = (150, 150, 150)
#: Of the best proposal and of the last one that is shown, BGR.
_BEST, _LAST = np.array((60, 230, 255)), np.array((110, 60, 20))


def with_proposals(image_bgr: Image, proposals: Proposals, most: int, anchors: bool) -> Image:
    """The picture with the best proposals on it, the better the brighter and the higher.

    Args:
        image_bgr: (height, width, 3) uint8; not changed.
        proposals: in this picture's pixels, by falling objectness.
        most: how many are shown.
        anchors: whether the corners of the anchor that each came from are shown, in grey.

    Returns:
        A new array of the same shape.
    """
    canvas = image_bgr.copy()
    pen = replace(Pen.for_picture(canvas.shape[1], canvas.shape[0]), line=1)
    shown = min(most, len(proposals))
    if anchors:
        for box in proposals.anchors_xyxy[:shown].tolist():
            draw_box(canvas, box, _ANCHOR, pen, dashed=True)
    for place in reversed(range(shown)):
        share = place / max(shown - 1, 1)
        color = tuple((_BEST + share * (_LAST - _BEST)).tolist())
        draw_box(canvas, proposals.boxes_xyxy[place].tolist(), color, pen, dashed=False)
    return canvas
