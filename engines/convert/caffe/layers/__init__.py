"""One small function a type of Caffe layer, each making ONNX nodes of it.

What a layer computes is told by its header in Caffe (https://github.com/BVLC/caffe, and
https://github.com/weiliu89/caffe, branch ssd, for those of SSD).
"""

from __future__ import annotations

from collections.abc import Callable

from engines.convert.caffe.building import Work
from engines.convert.caffe.layers import activations, arithmetic, filters, pooling, shapes, ssd

#: What makes ONNX nodes of a layer, by the layer's type.
LAYERS: dict[str, Callable[[Work], None]] = {
    "AbsVal": activations.absolute,
    "BatchNorm": arithmetic.batch_norm,
    "Bias": arithmetic.bias,
    "Concat": shapes.concat,
    "Convolution": filters.convolution,
    "ConvolutionDepthwise": filters.depthwise_convolution,
    "Crop": shapes.crop,
    "Deconvolution": filters.deconvolution,
    "DepthwiseConvolution": filters.depthwise_convolution,
    "Dropout": shapes.identity,
    "ELU": activations.elu,
    "Eltwise": arithmetic.eltwise,
    "Flatten": shapes.flatten,
    "InnerProduct": filters.inner_product,
    "Interp": shapes.interpolate,
    "LRN": arithmetic.local_response_normalisation,
    "Normalize": ssd.normalize,
    "PReLU": activations.prelu,
    "Permute": shapes.permute,
    "Pooling": pooling.pooling,
    "Power": activations.power,
    "PriorBox": ssd.prior_box,
    "ReLU": activations.relu,
    "ReLU6": activations.relu6,
    "Reshape": shapes.reshape,
    "Scale": arithmetic.scale,
    "Sigmoid": activations.sigmoid,
    "Silence": shapes.silence,
    "Slice": shapes.slice_axis,
    "Softmax": activations.softmax,
    "Split": shapes.split,
    "TanH": activations.tanh,
    "Upsample": shapes.upsample,
}
