"""What only LiteRT does: precision told by the file, quantised tensors, names by position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engines
from engines import Network, OptionError, ProgramError, TensorSpec
from tests.engines.subjects import expected_features, picture, small_network

pytest.importorskip("ai_edge_litert")

Change = Callable[[Any, Any], None]  # of the schema and of a model made with it


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Network:
    from engines.convert.litert import convert

    folder = tmp_path_factory.mktemp("litert")
    return convert(small_network(folder, batch=-1), folder, "fp32")


def changed(network: Network, folder: Path, change: Change) -> Network:
    """The network after a change of the tables in its file."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(network.path.read_bytes())
    change(schema, model)
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path = folder / "changed.tflite"
    path.write_bytes(builder.Output())
    return replace(network, path=path, sha256=None)


def prepared(network: Network, precision: str = "", **options: object) -> engines.Engine:
    engine = engines.create("cpu0", "litert", precision=precision, **options)
    engine.init()
    engine.prepare(network)
    return engine


def features(engine: engines.Engine, image: np.ndarray) -> np.ndarray:
    engine.set_tensor("image", image)
    engine.forward()
    return engine.get_tensor("features")


def test_a_file_that_allows_half_precision_is_computed_in_single(
    source: Network, tmp_path: Path
) -> None:
    def allow(schema: Any, model: Any) -> None:
        mark = schema.MetadataT()
        mark.name, mark.buffer = "reduced_precision_support", len(model.buffers)
        content = schema.BufferT()
        content.data = np.frombuffer(b"fp16accfp32", np.uint8)
        model.metadata = [mark]
        model.buffers.append(content)

    network = changed(source, tmp_path, allow)
    assert b"reduced_precision_support" in network.path.read_bytes()
    with prepared(network) as marked, prepared(source) as plain:
        assert features(marked, picture()).tobytes() == features(plain, picture()).tobytes()
        assert marked.report()["precision"] == "fp32"


def test_quantised_tensors_tell_scale_and_zero_point(source: Network, tmp_path: Path) -> None:
    def quantise(schema: Any, model: Any) -> None:
        """image (int8) → real numbers; nothing else."""
        graph = model.subgraphs[0]
        image = graph.tensors[graph.inputs[0]]
        image.type = schema.TensorType.INT8
        image.quantization = schema.QuantizationParametersT()
        image.quantization.scale, image.quantization.zeroPoint = [0.5], [-3]
        real = schema.TensorT()
        real.shape, real.shapeSignature = image.shape, image.shapeSignature
        real.type, real.name, real.buffer = schema.TensorType.FLOAT32, "real", 0
        graph.tensors.append(real)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
        code.version = 2
        model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(model.operatorCodes) - 1
        operator.inputs, operator.outputs = graph.inputs, [len(graph.tensors) - 1]
        graph.operators, graph.outputs = [operator], operator.outputs
        model.signatureDefs = None

    network = replace(changed(source, tmp_path, quantise), inputs=(), outputs=(), precision="int8")
    with prepared(network) as engine:
        (image,), (real,) = engine.inputs, engine.outputs
        assert (image.dtype, image.scale, image.zero_point) == (np.dtype("int8"), 0.5, -3)
        assert (real.dtype, real.scale, real.zero_point) == (np.dtype("float32"), None, None)
        assert engine.report()["precision"] == "int8"
        values = np.arange(240, dtype=np.int8).reshape(1, 3, 8, 10)
        engine.set_tensor(image.name, values)
        engine.forward()
        np.testing.assert_array_equal(engine.get_tensor("real"), (values + 3.0) * 0.5)
    with pytest.raises(ProgramError, match=r"precision fp32 is asked for, .* computes it in int8"):
        prepared(network, precision="fp32")


def test_declared_names_go_by_position_where_the_file_has_others(
    source: Network, tmp_path: Path
) -> None:
    def forget(schema: Any, model: Any) -> None:
        model.signatureDefs = None
        for tensor in model.subgraphs[0].tensors:
            tensor.name = "anonymous"

    network = changed(source, tmp_path, forget)
    with prepared(network) as engine:
        assert [spec.name for spec in engine.outputs] == ["features", "positive"]
        np.testing.assert_allclose(
            features(engine, picture()), expected_features(picture()), atol=1e-5
        )
    swapped = replace(network.inputs[0], shape=(-1, 8, 10, 3))
    with pytest.raises(ProgramError, match=r"expected input image: .*found image"):
        prepared(replace(network, inputs=(swapped,)))


def test_lengths_may_change_from_call_to_call(source: Network) -> None:
    with prepared(source) as engine:
        assert engine.inputs[0].shape == (-1, 3, 8, 10)
        for batch in (3, 1, 1, 2):
            image = picture(batch=batch)
            found = features(engine, image)
            np.testing.assert_allclose(found, expected_features(image), atol=1e-5)


def test_a_network_may_lie_in_memory(source: Network) -> None:
    content = source.path.read_bytes()
    with prepared(replace(source, path=Path("sealed"), content=content)) as engine:
        np.testing.assert_allclose(
            features(engine, picture()), expected_features(picture()), atol=1e-5
        )


def test_another_format_is_told_apart(source: Network, tmp_path: Path) -> None:
    path = tmp_path / "network.tflite"
    path.write_bytes(b"\x08\x07ONNX" * 10)
    with pytest.raises(ProgramError, match=r"network\.tflite \(60 bytes\): .*TFL3 at offset 4"):
        prepared(Network(path, "tflite"))


def test_every_truncation_is_an_error(source: Network, tmp_path: Path) -> None:
    content = source.path.read_bytes()
    path = tmp_path / "network.tflite"
    for length in range(0, len(content), 251):
        path.write_bytes(content[:length])
        with pytest.raises(ProgramError, match=r"network\.tflite \(\d+ bytes\)"):
            prepared(Network(path, "tflite"))


def test_a_file_that_kills_is_refused(source: Network, tmp_path: Path) -> None:
    """Its convolution has lost its weights, which LiteRT notices too late."""

    def lose(schema: Any, model: Any) -> None:
        for operator in model.subgraphs[0].operators:
            if operator.builtinOptionsType == schema.BuiltinOptions.Conv2DOptions:
                operator.inputs = [operator.inputs[0], -1, operator.inputs[2]]

    with pytest.raises(ProgramError, match=r"kills the process that runs it \(SIGSEGV\)"):
        prepared(changed(source, tmp_path, lose))


def test_a_length_beyond_all_memory_is_an_error(source: Network, tmp_path: Path) -> None:
    def grow(schema: Any, model: Any) -> None:
        image = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
        image.shape = image.shapeSignature = [1, 3, 1 << 20, 1 << 20]

    with pytest.raises(ProgramError, match="LiteRT cannot run it"):
        prepared(changed(source, tmp_path, grow))


@pytest.mark.parametrize("seed", range(4))
def test_changed_bytes_are_an_error_or_do_no_harm(source: Network, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(source.path.read_bytes())
    places = rng.integers(8, len(content), 3)
    for place in places:
        content[place] = rng.integers(256)
    network = Network(Path("damaged"), "tflite", content=bytes(content))
    try:
        with prepared(network) as engine:
            assert engine.outputs
    except ProgramError as error:
        assert "damaged" in str(error)  # noqa: PT017 - most are refused, not all


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_threads_are_a_number(threads: object) -> None:
    with pytest.raises(OptionError, match="threads: expected a whole number ≥ 1"):
        engines.create("cpu0", "litert", threads=threads)


@pytest.mark.assets
def test_weights_in_half_precision_are_told(assets: Path) -> None:
    path = assets / "models/yolox_nano/yolox_nano_float16_quantize.tflite"
    images = TensorSpec("images", (1, 3, 416, 416), np.dtype("float32"), "nchw")
    output = TensorSpec("output", (1, 3549, 85), np.dtype("float32"))
    network = Network(path, "tflite", (images,), (output,), precision="fp16")
    with prepared(network) as engine:
        report = engine.report()
        assert (report["precision"], report["weights"]) == ("fp32", "fp16")
        assert engine.inputs == (images,)
        assert engine.outputs == (output,)
    with pytest.raises(ProgramError, match=r"fp16 is asked for, .* LiteRT computes it in fp32"):
        prepared(network, precision="fp16")
