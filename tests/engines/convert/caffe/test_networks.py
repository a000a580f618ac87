"""Whole networks of the kinds that are around, with random weights, against OpenCV's reader."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest

from engines import Network, TensorSpec
from engines.convert.caffe import convert
from engines.convert.caffe.network import read_network
from tests.engines.convert.caffe.caffe_files import (
    by_opencv,
    converted,
    run,
    save,
    v1_layer,
)

RNG = np.random.default_rng(7)


@dataclass
class Net:
    """A network under construction: its text, and its weights by layer."""

    text: str
    weights: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, name: str, kind: str, bottoms: str, parameters: str = "", top: str = "") -> str:
        lines = "".join(f' bottom: "{bottom}"' for bottom in bottoms.split())
        self.text += (
            f'layer {{ name: "{name}" type: "{kind}"{lines} top: "{top or name}" {parameters} }}\n'
        )
        return top or name

    def convolution(
        self, name: str, bottom: str, channels: int, filters: int, size: int, more: str = ""
    ) -> str:
        """A convolution; `channels` are those of one group."""
        scale = 1 / np.sqrt(channels * size * size)
        weights = RNG.normal(0, scale, (filters, channels, size, size))
        self.weights[name] = [weights, RNG.normal(0, 0.1, filters)]
        parameters = f"num_output: {filters} kernel_size: {size} {more}"
        return self.add(name, "Convolution", bottom, f"convolution_param {{ {parameters} }}")

    def normalised(self, blob: str, channels: int, *, relu: bool = True) -> str:
        """Batch norm, scale and ReLU, all in place, as training writes them."""
        self.weights[f"{blob}/bn"] = [
            RNG.normal(0, 1, channels),
            RNG.uniform(1, 3, channels),
            np.array([2.0]),
        ]
        self.weights[f"{blob}/scale"] = [RNG.uniform(0.5, 2, channels), RNG.normal(0, 1, channels)]
        self.add(f"{blob}/bn", "BatchNorm", blob, "batch_norm_param { eps: 1e-5 }", blob)
        self.add(f"{blob}/scale", "Scale", blob, "scale_param { bias_term: true }", blob)
        return self.add(f"{blob}/relu", "ReLU", blob, "", blob) if relu else blob


def ssd_mobilenet() -> Net:
    """Depthwise separable convolutions, two levels of boxes, priors and DetectionOutput."""
    net = Net('name: "ssd"\ninput: "data"\ninput_shape { dim: 1 dim: 3 dim: 48 dim: 64 }\n')
    net.convolution("conv0", "data", 3, 8, 3, "stride: 2 pad: 1 # first\n")
    blob, channels = net.normalised("conv0", 8), 8
    for level, stride in enumerate((1, 2, 2), 1):
        more = f"pad: 1 stride: {stride} group: {channels}"
        net.convolution(f"conv{level}/dw", blob, 1, channels, 3, more)
        blob = net.normalised(f"conv{level}/dw", channels)
        net.convolution(f"conv{level}/sep", blob, channels, channels * 2, 1)
        blob, channels = net.normalised(f"conv{level}/sep", channels * 2), channels * 2
    net.weights["norm"] = [RNG.uniform(5, 20, 32)]
    net.add("norm", "Normalize", "conv2/sep",
            "norm_param { across_spatial: false channel_shared: false }")  # fmt: skip
    for source, width in (("norm", 32), ("conv3/sep", 64)):
        for kind, count in (("loc", 4 * 6), ("conf", 3 * 6)):
            name = f"{source}_mbox_{kind}"
            net.convolution(name, source, width, count, 1)
            order = "permute_param { order: 0 order: 2 order: 3 order: 1 }"
            net.add(f"{name}_perm", "Permute", name, order)
            net.add(f"{name}_flat", "Flatten", f"{name}_perm", "flatten_param { axis: 1 }")
        net.add(
            f"{source}_mbox_priorbox",
            "PriorBox",
            f"{source} data",
            "prior_box_param { min_size: 10.0 max_size: 20.0 aspect_ratio: 2.0 aspect_ratio: 3.0 "
            "flip: true clip: false variance: [0.1, 0.1, 0.2, 0.2] offset: 0.5 }",
        )
    for kind in ("loc", "conf"):
        bottoms = f"norm_mbox_{kind}_flat conv3/sep_mbox_{kind}_flat"
        net.add(f"mbox_{kind}", "Concat", bottoms, "concat_param { axis: 1 }")
    net.add("mbox_priorbox", "Concat", "norm_mbox_priorbox conv3/sep_mbox_priorbox",
            "concat_param { axis: 2 }")  # fmt: skip
    net.add("mbox_conf_reshape", "Reshape", "mbox_conf",
            "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }")  # fmt: skip
    net.add("mbox_conf_softmax", "Softmax", "mbox_conf_reshape", "softmax_param { axis: 2 }")
    net.add("mbox_conf_flatten", "Flatten", "mbox_conf_softmax", "flatten_param { axis: 1 }")
    return net


def resnet() -> Net:
    """A stem with pooling that rounds up, two residual blocks, and a classifier."""
    net = Net(
        'name: "resnet"\nlayer { name: "data" type: "Input" top: "data"\n'
        "  input_param { shape: { dim: 2 dim: 3 dim: 50 dim: 34 } } }\n"
    )
    net.convolution("conv1", "data", 3, 8, 7, "pad: 3 stride: 2")
    blob = net.add(
        "pool1", "Pooling", net.normalised("conv1", 8),
        "pooling_param { kernel_size: 3 stride: 2 pool: MAX }",
    )  # fmt: skip
    for block in ("a", "b"):
        net.convolution(f"{block}1", blob, 8, 8, 3, "pad: 1")
        net.convolution(f"{block}2", net.normalised(f"{block}1", 8), 8, 8, 3, "pad: 1")
        branch = net.normalised(f"{block}2", 8, relu=False)
        blob = net.add(block, "Eltwise", f"{blob} {branch}", "eltwise_param { operation: SUM }")
        net.add(f"{block}/relu", "ReLU", blob, "", blob)
    net.add("pool5", "Pooling", blob, "pooling_param { kernel_size: 6 stride: 4 pool: AVE }")
    net.weights["fc"] = [RNG.normal(0, 0.1, (10, 8 * 3 * 2)), RNG.normal(0, 1, 10)]
    net.add("fc", "InnerProduct", "pool5", "inner_product_param { num_output: 10 }")
    net.add("drop", "Dropout", "fc", "", "fc")
    net.add("prob", "Softmax", "fc")
    return net


def test_a_network_like_ssd_mobilenet_equals_opencv(tmp_path: Path) -> None:
    net = ssd_mobilenet()
    detection = Net(net.text, net.weights)
    detection.add(
        "detection_out", "DetectionOutput", "mbox_loc mbox_conf_flatten mbox_priorbox",
        "detection_output_param { num_classes: 3 }",
    )  # fmt: skip
    data = RNG.uniform(-1, 1, (1, 3, 48, 64)).astype(np.float32)
    session = converted(save(tmp_path, detection.text, net.weights), tmp_path)
    found = run(session, {"data": data})
    assert list(found) == ["mbox_loc", "mbox_priorbox", "mbox_conf_flatten"]
    network = save(tmp_path, net.text, net.weights)
    for name, expected in zip(found, by_opencv(network, {"data": data}, list(found)), strict=True):
        expected = expected.reshape(found[name].shape)
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_a_network_like_resnet_equals_opencv(tmp_path: Path) -> None:
    net = resnet()
    network = save(tmp_path, net.text, net.weights)
    data = RNG.uniform(-1, 1, (2, 3, 50, 34)).astype(np.float32)
    found = run(converted(network, tmp_path), {"data": data})
    [expected] = by_opencv(network, {"data": data}, ["prob"])
    assert list(found) == ["prob"]
    np.testing.assert_allclose(found["prob"], expected, rtol=1e-4, atol=1e-5)


def test_the_model_says_what_it_needs_of_a_runtime(tmp_path: Path) -> None:
    net = resnet()
    result = convert(save(tmp_path, net.text, net.weights), tmp_path, "fp32")
    model = onnx.load(result.path)
    assert (result.format, result.precision) == ("onnx", "fp32")
    assert (model.ir_version, model.opset_import[0].version) == (8, 17)


def test_parts_are_sliced_cropped_split_and_put_together(tmp_path: Path) -> None:
    net = Net('input: "data"\ninput_dim: 1\ninput_dim: 6\ninput_dim: 8\ninput_dim: 9\n')
    net.text += (
        'layer { name: "cut" type: "Slice" bottom: "data" top: "a" top: "b" top: "c"\n'
        "  slice_param { axis: 1 slice_point: 1 slice_point: 3 } }\n"
        'layer { name: "two" type: "Split" bottom: "b" top: "b1" top: "b2" }\n'
    )
    net.add("small", "Pooling", "b1", "pooling_param { pool: MAX kernel_size: 3 stride: 1 }")
    net.add("crop", "Crop", "b2 small", "crop_param { axis: 2 offset: 1 offset: 2 }")
    net.add("sum", "Eltwise", "small crop", "eltwise_param { coeff: 1 coeff: -0.5 }")
    net.text += 'layer { name: "quiet" type: "Silence" bottom: "a" }\n'
    network = save(tmp_path, net.text, {"none": [np.zeros(1)]})
    data = RNG.normal(0, 1, (1, 6, 8, 9)).astype(np.float32)
    found = run(converted(network, tmp_path), {"data": data})
    assert list(found) == ["c", "sum"]
    windows = np.lib.stride_tricks.sliding_window_view(data[:, 1:3], (3, 3), axis=(2, 3))
    expected = windows.max(axis=(4, 5)) - 0.5 * data[:, 1:3, 1:7, 2:9]
    np.testing.assert_array_equal(found["c"], data[:, 3:])
    np.testing.assert_allclose(found["sum"], expected, rtol=1e-6)


def test_channels_are_weighed_by_another_tensor(tmp_path: Path) -> None:
    """Squeeze and excitation, with biases; and what OpenCV has not: enlarging by repeating."""
    net = Net('input: "data" input_shape { dim: 1 dim: 3 dim: 4 dim: 5 }\n')
    net.add("mean", "Pooling", "data", "pooling_param { pool: AVE global_pooling: true }")
    net.add("flat", "Flatten", "mean")
    net.add("weighed", "Scale", "data flat", "scale_param { axis: 0 bias_term: true }")
    net.weights["moved"] = [RNG.normal(0, 1, 3)]
    net.add("moved", "Bias", "weighed")
    net.add("large", "Upsample", "moved", "upsample_param { scale: 2 }")
    net.weights["weighed"] = [RNG.normal(0, 1, (1, 3))]
    data = RNG.normal(0, 1, (1, 3, 4, 5)).astype(np.float32)
    session = converted(save(tmp_path, net.text, net.weights), tmp_path)
    [found] = run(session, {"data": data}).values()
    biases = net.weights["weighed"][0].ravel() + net.weights["moved"][0]
    expected = data * data.mean(axis=(2, 3), keepdims=True) + biases[None, :, None, None]
    expected = expected.repeat(2, axis=2).repeat(2, axis=3)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_mean_pooling_divides_as_caffe_does_at_the_far_edge(tmp_path: Path) -> None:
    text = (
        'input: "data"\ninput_shape { dim: 1 dim: 1 dim: 4 dim: 4 }\n'
        'layer { name: "mean" type: "Pooling" bottom: "data" top: "mean"\n'
        "  pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }\n"
    )
    network = save(tmp_path, text, {"none": [np.zeros(1)]})
    found = run(converted(network, tmp_path), {"data": np.ones((1, 1, 4, 4), np.float32)})["mean"]
    # The last window begins at 3: one element of the picture and one of the padding; the third
    # lies beyond both and does not count.
    axis = np.array([2 / 3, 1, 1 / 2])
    np.testing.assert_allclose(found[0, 0], np.outer(axis, axis), rtol=1e-6)


def test_a_network_of_the_first_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.prototxt"
    path.write_text(
        'input: "data" input_dim: 1 input_dim: 2 input_dim: 4 input_dim: 5\n'
        'layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv"\n'
        "  convolution_param { num_output: 3 kernel_size: 1 } }\n"
        'layers { name: "relu" type: RELU bottom: "conv" top: "conv" }\n'
        'layers { name: "loss" type: SOFTMAX_LOSS bottom: "conv" bottom: "label" top: "loss"\n'
        "  include { phase: TRAIN } }\n"
    )
    weights = RNG.normal(0, 1, (3, 2, 1, 1)).astype(np.float32)
    bias = RNG.normal(0, 1, 3).astype(np.float32)
    path.with_suffix(".caffemodel").write_bytes(v1_layer("conv", [weights, bias]))
    data = RNG.normal(0, 1, (1, 2, 4, 5)).astype(np.float32)
    found = run(converted(Network(path, "caffe"), tmp_path), {"data": data})
    expected = np.einsum("oc,nchw->nohw", weights[:, :, 0, 0], data) + bias[None, :, None, None]
    np.testing.assert_allclose(found["conv"], np.maximum(expected, 0), rtol=1e-5, atol=1e-6)


def test_declared_outputs_may_be_any_blobs(tmp_path: Path) -> None:
    net = resnet()
    source = save(tmp_path, net.text, net.weights)
    declared = tuple(TensorSpec(name, (2, -1), np.dtype("float32")) for name in ("fc", "prob"))
    result = convert(Network(source.path, "caffe", (), declared), tmp_path, "fp32")
    assert [output.name for output in onnx.load(result.path).graph.output] == ["fc", "prob"]


# ------------------------------------------------------------------ the real pair

MEAN_BGR = np.array([103.53, 116.28, 123.675], np.float32)[:, None, None]


def _first_frame(video: Path) -> np.ndarray:
    with av.open(str(video)) as container:
        return next(container.decode(video=0)).to_ndarray(format="bgr24")


def _pair(assets: Path, stage: int, tmp_path: Path) -> tuple[Path, ort.InferenceSession,
                                                             ort.InferenceSession]:  # fmt: skip
    folder = assets / "models/d2go"
    given = ort.InferenceSession(
        str(folder / f"d2go_frcnn_stage{stage}_fp32.onnx"), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in given.get_outputs()]
    outputs = tuple(TensorSpec(name, (-1,), np.dtype("float32")) for name in names)
    path = folder / f"d2go_frcnn_stage{stage}.prototxt"
    result = convert(Network(path, "caffe", (), outputs), tmp_path, "fp32")
    return path, given, ort.InferenceSession(str(result.path), providers=["CPUExecutionProvider"])


@pytest.mark.assets
def test_the_d2go_pair_equals_the_given_onnx_pair(assets: Path, tmp_path: Path) -> None:
    """On a real frame, within 1e-4: features and proposals, then the head on real features."""
    path, given, ours = _pair(assets, 1, tmp_path)
    height, width = read_network(path).inputs["image"][2:]
    frame = _first_frame(assets / "videos/TUD-Stadtmitte.mp4")
    image = cv2.resize(frame, (width, height)).transpose(2, 0, 1)[None].astype(np.float32)
    expected = run(given, {"image": image})
    found = run(ours, {"image": image - MEAN_BGR})
    assert found.keys() == expected.keys() == {"features", "objectness", "anchor_deltas"}
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-4, err_msg=name)

    _, given, ours = _pair(assets, 2, tmp_path)
    windows = np.lib.stride_tricks.sliding_window_view(expected["features"][0], (6, 6), (1, 2))
    rois = windows.reshape(112, -1, 6, 6).transpose(1, 0, 2, 3)[::15][:30]
    rois = np.ascontiguousarray(rois)
    expected, found = (run(net, {"roi_features": rois}) for net in (given, ours))
    assert found.keys() == expected.keys() == {"box_deltas", "cls_logits"}
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-4, err_msg=name)
