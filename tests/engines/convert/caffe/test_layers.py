"""Each layer type by itself against OpenCV's Caffe reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.engines.convert.caffe.caffe_files import by_opencv, converted, run, save

#: What it is: layer type, its parameters, shape of its input, shapes of its weights.
CASES = {
    "convolution": (
        "Convolution",
        "convolution_param { num_output: 6 kernel_size: 3 pad: 1 stride: 2 }",
        (1, 4, 9, 11),
        [(6, 4, 3, 3), (6,)],
    ),
    "convolution, every length by itself": (
        "Convolution",
        "convolution_param { num_output: 2 kernel_h: 3 kernel_w: 5 pad_h: 0 pad_w: 2 stride_h: 2 "
        "stride_w: 1 bias_term: false }",
        (2, 3, 9, 11),
        [(2, 3, 3, 5)],
    ),
    "convolution, dilated, in groups": (
        "Convolution",
        "convolution_param { num_output: 8 kernel_size: 3 dilation: 2 group: 2 }",
        (1, 4, 9, 9),
        [(8, 2, 3, 3), (8,)],
    ),
    "deconvolution": (
        "Deconvolution",
        "convolution_param { num_output: 3 kernel_size: 4 stride: 2 pad: 1 }",
        (1, 4, 5, 6),
        [(4, 3, 4, 4), (3,)],
    ),
    "deconvolution in groups": (
        "Deconvolution",
        "convolution_param { num_output: 4 kernel_size: 2 stride: 2 group: 4 bias_term: false }",
        (1, 4, 5, 6),
        [(4, 1, 2, 2)],
    ),
    "inner product": (
        "InnerProduct",
        "inner_product_param { num_output: 5 }",
        (2, 3, 4, 2),
        [(5, 24), (5,)],
    ),
    "max pooling, its last window beyond the picture": (
        "Pooling",
        "pooling_param { pool: MAX kernel_size: 3 stride: 2 }",
        (1, 2, 12, 9),
        [],
    ),
    "max pooling, padded": (
        "Pooling",
        "pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 }",
        (1, 2, 12, 9),
        [],
    ),
    "mean pooling": (
        "Pooling",
        "pooling_param { pool: AVE kernel_size: 2 stride: 2 }",
        (1, 2, 8, 6),
        [],
    ),
    "global pooling": (
        "Pooling",
        "pooling_param { pool: AVE global_pooling: true }",
        (1, 4, 5, 7),
        [],
    ),
    "pooling rounded down": (
        "Pooling",
        "pooling_param { pool: MAX kernel_size: 3 stride: 2 ceil_mode: false }",
        (1, 2, 12, 9),
        [],
    ),
    "batch norm": (
        "BatchNorm",
        "batch_norm_param { eps: 1e-3 }",
        (2, 3, 4, 5),
        [(3,), (3,), (1,)],
    ),
    "scale": ("Scale", "scale_param { bias_term: true }", (2, 3, 4, 5), [(3,), (3,)]),
    "relu": ("ReLU", "", (1, 2, 3, 4), []),
    "leaky relu": ("ReLU", "relu_param { negative_slope: 0.1 }", (1, 2, 3, 4), []),
    "relu6": ("ReLU6", "", (1, 2, 3, 4), []),
    "prelu": ("PReLU", "", (1, 3, 4, 5), [(3,)]),
    "elu": ("ELU", "", (1, 3, 4, 5), []),
    "sigmoid": ("Sigmoid", "", (1, 2, 3, 4), []),
    "tanh": ("TanH", "", (1, 2, 3, 4), []),
    "absolute": ("AbsVal", "", (1, 2, 3, 4), []),
    "power": ("Power", "power_param { power: 2 scale: 0.5 shift: 3 }", (1, 2, 3, 4), []),
    "softmax over channels": ("Softmax", "", (1, 5, 3, 2), []),
    "softmax over the last axis": ("Softmax", "softmax_param { axis: 2 }", (1, 6, 4), []),
    "dropout": ("Dropout", "dropout_param { dropout_ratio: 0.4 }", (1, 2, 3, 4), []),
    "lrn across channels": (
        "LRN",
        "lrn_param { local_size: 5 alpha: 0.5 beta: 0.75 }",
        (1, 8, 3, 4),
        [],
    ),
    "lrn within a channel": (
        "LRN",
        "lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 norm_region: WITHIN_CHANNEL }",
        (1, 2, 6, 7),
        [],
    ),
    "permute": (
        "Permute",
        "permute_param { order: 0 order: 2 order: 3 order: 1 }",
        (1, 4, 3, 5),
        [],
    ),
    "flatten": ("Flatten", "flatten_param { axis: 1 }", (2, 4, 3, 5), []),
    "flatten to an end": ("Flatten", "flatten_param { axis: 1 end_axis: 2 }", (2, 4, 3, 5), []),
    "reshape": (
        "Reshape",
        "reshape_param { shape { dim: 0 dim: -1 dim: 6 } }",
        (2, 4, 3, 5),
        [],
    ),
    "reshape some axes": (
        "Reshape",
        "reshape_param { shape { dim: 2 dim: -1 } axis: 1 num_axes: 1 }",
        (2, 4, 3, 5),
        [],
    ),
    "normalize over channels": (
        "Normalize",
        "norm_param { across_spatial: false channel_shared: false }",
        (1, 4, 3, 5),
        [(4,)],
    ),
    "interp": ("Interp", "interp_param { height: 9 width: 7 }", (1, 2, 4, 5), []),
}


@pytest.mark.parametrize("case", CASES)
def test_each_layer_equals_opencv(case: str, tmp_path: Path) -> None:
    kind, parameters, shape, weights = CASES[case]
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0.2, 1, s).astype(np.float32) for s in weights]
    dims = " ".join(f"dim: {n}" for n in shape)
    network = save(
        tmp_path,
        f'input: "data"\ninput_shape {{ {dims} }}\n'
        f'layer {{ name: "it" type: "{kind}" bottom: "data" top: "it" {parameters} }}\n',
        {"it": arrays} if arrays else {"none": [np.zeros(1, np.float32)]},
    )
    data = rng.normal(0, 2, shape).astype(np.float32)
    [found] = run(converted(network, tmp_path), {"data": data}).values()
    [expected] = by_opencv(network, {"data": data}, ["it"])
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-5, atol=1e-5)
