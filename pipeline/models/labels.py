"""Lists of labels that many public models share."""

from __future__ import annotations

# fmt: off
#: The 80 classes of COCO 2017 (cocodataset.org), in the order detectors number them from 0.
COCO80 = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
)
# fmt: on

#: Category ids of COCO's annotations, 1..90, that no object has.
_COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)


def _coco90() -> tuple[str, ...]:
    names = iter(COCO80)
    return tuple(f"unused {n}" if n in _COCO_GAPS else next(names) for n in range(1, 91))


#: What a manifest may write instead of a list.
NAMED_LABELS: dict[str, tuple[str, ...]] = {"coco80": COCO80, "coco90": _coco90()}
