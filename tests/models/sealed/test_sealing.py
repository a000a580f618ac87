"""A sealed package runs where it may, in all its variants, and is refused with its reason."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

import engines
from engines import Engine, Network, Program
from pipeline.clock import ManualClock
from pipeline.errors import ModelError
from pipeline.models import find, load_model, prove, verify
from pipeline.models.sealed import Access, fingerprint, inspect, pack
from pipeline.models.sealed.container import build
from tests.models.conftest import Package
from tests.models.sealed.conftest import Keys, Seal, require_installed

NEW_YEAR = "2027-01-01T00:00:00+00:00"


def at(moment: str) -> ManualClock:
    return ManualClock(int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1e9))


@pytest.fixture
def access(keys: Keys) -> Access:
    return Access(keys.encrypt, keys.signer, at("2026-12-31T23:59:59"))


def output(program: Program, backend: str) -> NDArray[Any]:
    """What a backend makes of one picture."""
    picture = np.random.default_rng(1).random((1, 3, 16, 32), np.float32)
    with engines.create("e", backend) as engine:
        engine.init()
        engine.prepare(program)
        engine.set_tensor("images", picture)
        engine.forward()
        return engine.get_tensor("output")


@pytest.mark.parametrize("backend", ["onnxruntime", "opencv", "openvino"])
def test_it_computes_what_the_folder_computes(
    seal: Seal, access: Access, package: Package, backend: str
) -> None:
    require_installed(backend)
    package.manifest["test_vector"]["atol"] = 0.1  # OpenCV's mean is not exact
    package.write()
    program = load_model(seal(), access=access).program
    assert isinstance(program, Network)
    assert program.content is not None
    assert not program.path.exists()
    expected = output(load_model(package.folder).program, backend)
    np.testing.assert_array_equal(output(program, backend), expected)


def test_its_test_vector_holds(seal: Seal, access: Access) -> None:
    differences = verify(load_model(seal(), access=access), engines.create("e", "onnxruntime"))
    assert differences == {"output": pytest.approx(0, abs=1e-4)}


def test_a_replaced_file_is_another_network(seal: Seal, access: Access, package: Package) -> None:
    """Engines share what has the same content, not what had the same name."""
    del package.manifest["test_vector"]
    package.write()
    before = load_model(seal(), access=access).program
    with engines.create("holds the session", "onnxruntime") as engine:
        engine.init()
        engine.prepare(before)
        model = onnx.load(package.weights)
        bias = model.graph.initializer[1]
        values = numpy_helper.to_array(bias) + np.float32(1)
        bias.CopyFrom(numpy_helper.from_array(values, bias.name))
        _replace(package, model.SerializeToString())
        after = load_model(seal(), access=access).program
        change = output(after, "onnxruntime") - output(before, "onnxruntime")
    np.testing.assert_allclose(change, 1, atol=1e-5)


def _replace(package: Package, network: bytes) -> None:
    package.weights.write_bytes(network)
    entry = package.manifest["files"][0]
    entry |= {"size": len(network), "sha256": hashlib.sha256(network).hexdigest()}
    package.write()


def _add(package: Package, path: str, content: bytes, **entry: object) -> None:
    file = package.folder / path
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    package.manifest["files"].append(
        {"path": path, "size": len(content), "sha256": sha256, **entry}
    )
    package.write()


def test_every_variant_travels(seal: Seal, access: Access, package: Package) -> None:
    _add(package, "ncnn/tiny.param", b"layers", format="ncnn", precision="fp16")
    _add(package, "ncnn/tiny.bin", b"weights", format="ncnn", precision="fp16")
    _add(package, "tiny8.onnx", b"eight bits", format="onnx", precision="int8")
    path = seal()
    found = [
        (v.path, v.format, v.precision, v.content, dict(v.companions))
        for v in load_model(path, access=access).variants
        if isinstance(v, Network)
    ]
    onnx_file = package.weights.read_bytes()
    assert found == [
        (path / "tiny.onnx", "onnx", "fp32", onnx_file, {}),
        (path / "ncnn/tiny.param", "ncnn", "fp16", b"layers", {"tiny.bin": b"weights"}),
        (path / "tiny8.onnx", "onnx", "int8", b"eight bits", {}),
    ]
    first = load_model(path, access=access, precision="int8").program
    assert isinstance(first, Network)
    assert first.precision == "int8"


def test_weights_in_a_second_file(seal: Seal, access: Access, package: Package) -> None:
    model = onnx.load(package.weights)
    onnx.save(
        model,
        package.weights,
        save_as_external_data=True,
        location="tiny.data",
        size_threshold=100,
    )
    _replace(package, package.weights.read_bytes())
    _add(package, "tiny.data", (package.folder / "tiny.data").read_bytes(), format="onnx")
    path = seal()
    (package.folder / "tiny.data").unlink()
    differences = verify(load_model(path, access=access), engines.create("e", "onnxruntime"))
    assert differences == {"output": pytest.approx(0, abs=1e-4)}


def test_an_openvino_network_in_two_files(seal: Seal, access: Access, package: Package) -> None:
    require_installed("openvino")
    from engines.openvino import library

    ov = library()
    xml, weights = (package.folder / f"saved.{suffix}" for suffix in ("xml", "bin"))
    ov.serialize(ov.Core().read_model(package.weights), xml, weights)
    _add(package, "tiny.xml", xml.read_bytes(), format="openvino")
    _add(package, "tiny.bin", weights.read_bytes(), format="openvino")
    sealed = load_model(seal(), access=access)
    assert prove(sealed) == {
        "onnxruntime": pytest.approx(0, abs=1e-4),
        "openvino": pytest.approx(0, abs=1e-4),
    }


def test_a_backend_that_loads_files_only(seal: Seal, access: Access) -> None:
    class FromFiles(engines.engine_class("onnxruntime")):  # type: ignore[misc]
        from_memory: ClassVar[bool] = False

    engine: Engine = FromFiles("e", "cpu", FromFiles.options_type())
    with pytest.raises(ModelError, match="on backends that load from memory"):
        load_model(seal(), access=access).program_for(engine)
    engine.init()
    with pytest.raises(engines.ProgramError, match="cannot run"):
        engine.prepare(load_model(seal(), access=access).program)


def test_it_takes_no_other_weights(seal: Seal, access: Access, package: Package) -> None:
    with pytest.raises(ModelError, match="takes no other weights"):
        load_model(seal(), weights=package.weights, access=access)


def test_the_environment_gives_access(
    seal: Seal, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = seal()
    with pytest.raises(ModelError, match=f"key {keys.aes.id}; .*SIGHTLINE_MODEL_KEY=env:NAME"):
        load_model(path)
    monkeypatch.setenv("SIGHTLINE_MODEL_KEY", keys.encrypt)
    assert load_model(str(path)).name == "tiny"
    monkeypatch.setenv("SIGHTLINE_MODEL_SIGNERS", keys.encrypt)
    with pytest.raises(ModelError, match="no key ed25519-public"):
        load_model(path)


def test_refusals(
    seal: Seal,
    keys: Keys,
    make_keys: Callable[[str], Keys],
    subtests: pytest.Subtests,
) -> None:
    other = make_keys("other")
    term = {"not_before": "2026-01-01T00:00:00Z", "expires": NEW_YEAR}
    good = Access(keys.encrypt, keys.signer, at("2026-06-01"))
    cases: list[tuple[dict[str, Any], Access, str]] = [
        ({}, Access(other.encrypt, keys.signer), f"key {keys.aes.id}, but given is {other.aes.id}"),
        ({}, Access("env:NO_KEY_HERE", keys.signer), "env:NO_KEY_HERE: the environment has no"),
        ({}, Access(keys.encrypt, other.signer), "who is not among the trusted signers"),
        ({"signed": False}, good, "it is not signed, and only"),
        (term, Access(keys.encrypt, clock=at("2027-01-01")), "its licence expired at 2027-01-01"),
        (term, Access(keys.encrypt, clock=at("2025-12-31")), "its licence begins at 2026-01-01"),
        ({"devices": ["0" * 32]}, good, "its licence is not for this machine"),
    ]
    for way, access, reason in cases:
        with subtests.test(reason):
            path = seal(**way)
            with pytest.raises(ModelError, match=reason) as caught:
                load_model(path, access=access)
            assert str(caught.value).startswith(f"{path}: ")
            assert keys.aes.content.hex() not in str(caught.value)
    load_model(seal(**term, devices=["0" * 32, fingerprint()]), access=good)
    load_model(seal(encrypted=False, signed=False), access=Access())


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.slm", tmp_path):
        with pytest.raises(ModelError, match=f"{path}: no such file"):
            inspect(path)


def test_nothing_is_written_where_packing_fails(
    package: Package, keys: Keys, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    target, terms, broken = tmp_path / "x.slm", tmp_path / "terms.yaml", tmp_path / "broken.yaml"
    terms.write_text("max_cameras: 1\n")
    broken.write_text("max_camera: 1\n")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"licence": terms}, "a licence needs a signature"),
        ({"licence": broken, "signing_key": keys.sign}, r"broken.yaml:1.*'max_cameras'"),
        ({"key": keys.sign}, "there is no key aes-256"),
        ({"signing_key": keys.signer}, "there is no key ed25519-private"),
        ({"key": "abc"}, "a key comes from"),
    ]
    for options, reason in cases:
        with subtests.test(reason), pytest.raises(ModelError, match=reason):
            pack(find(package.folder), target, **options)
    with pytest.raises(ModelError, match="cannot be written: No such file"):
        pack(find(package.folder), tmp_path / "no" / "x.slm")
    for name in ("vector.npz", "tiny.onnx"):
        content = (package.folder / name).read_bytes()
        (package.folder / name).write_bytes(b"")
        with pytest.raises(ModelError, match=f"{name}: the file is empty"):
            pack(find(package.folder), target)
        (package.folder / name).write_bytes(content)
    package.weights.write_bytes(package.weights.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"tiny: tiny.onnx: expected sha256"):
        pack(find(package.folder), target)
    assert not list(tmp_path.glob("x.slm*"))


def test_what_is_built_in_has_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no files to pack"):
        pack(find("hog-people"), tmp_path / "hog.slm")


def test_the_manifest_s_hashes_hold_inside_too(
    seal: Seal, access: Access, package: Package, keys: Keys
) -> None:
    """Who signs a package without `pack` may still not put another file in."""
    container = inspect(seal(encrypted=False))
    files = container.contents(None)
    files["tiny.onnx"] = files["tiny.onnx"][:-1] + b"\0"
    path = package.folder / "forged.slm"
    path.write_bytes(build(container.header, files, None, keys.signing))
    with pytest.raises(ModelError, match=r"forged.slm: tiny.onnx: expected sha256"):
        load_model(path, access=access)


def test_without_the_library(
    seal: Seal, access: Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = [(False, True), (True, False), (False, False)]
    signed, encrypted, plain = (seal(*way).rename(tmp_path / f"{way}.slm") for way in ways)
    for module in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    for path in (signed, encrypted):
        with pytest.raises(ModelError, match=r"run: pip install 'sightline\[sealed\]'"):
            load_model(path, access=Access(access.key))
    assert load_model(plain, access=Access()).name == "tiny"


def test_nothing_secret_shows(seal: Seal, keys: Keys, access: Access) -> None:
    package = load_model(seal(), access=access)
    shown = f"{package!r} {access!r} {keys!r}"
    assert keys.aes.content.hex() not in shown
    assert "ReduceMean" not in shown
