"""A model, found and checked, ready for an engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from engines import Engine, Kernel, Network, Program, TensorSpec
from engines.answer import KnownAnswer
from engines.convert.precision import told_precision
from engines.sharing import file_sha256
from pipeline.errors import ModelError
from pipeline.models.catalogue import Entry, find
from pipeline.models.converted import find_converted, identity
from pipeline.models.download import check, matches
from pipeline.models.manifest import FileEntry, Manifest
from pipeline.models.sealed import Access, SealedPackage, is_sealed, unseal

#: A file's format, told from its suffix.
FORMATS = {
    ".onnx": "onnx",
    ".xml": "openvino",
    ".param": "ncnn",
    ".mnn": "mnn",
    ".tflite": "tflite",
    ".pt": "torchscript",
    ".pt2": "torch-export",
    ".so": "tvm",
    ".plan": "tensorrt",
    ".engine": "tensorrt",
    ".prototxt": "caffe",
    ".slnpu": "sim-npu",
}


_IN_MEMORY = (
    "a sealed package runs in the variants it was packed with, on backends that load from memory"
)


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model whose files are here and are what its manifest says.

    Attributes:
        manifest: what it says about itself; complete enough to run.
        folder: where its files lie.
        variants: the same network in the formats and precisions that are here, the default first;
            or one kernel.
        own_weights: whether the user gave weights that are not those of the manifest; only their
            tensors are checked against it.
        sealed: the sealed file it comes from, whose content is in memory only; None for a folder.
    """

    manifest: Manifest
    folder: Path
    variants: tuple[Program, ...]
    own_weights: bool = False
    sealed: SealedPackage | None = None

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def program(self) -> Program:
        """The default variant."""
        return self.variants[0]

    @property
    def input(self) -> TensorSpec:
        """The tensor that takes the picture."""
        return self.manifest.inputs[0].spec()

    def program_for(self, engine: Engine) -> Program:
        """The variant for an engine: in the precision it asks for, else one it lowers itself.

        Where the engine asks for none, that of the default variant is wanted; of what was compiled
        for its very device, any.

        Args:
            engine: new; neither initialised nor kept.

        Raises:
            ModelError: the engine runs none of the variants that are here; with the remedy.
        """
        wanted, target = engine.precision or _stored(self.program), engine.options.target
        runnable = [
            variant
            for variant in self.variants
            if engine.can_run(variant) and _target(variant) in ("", target)
        ]
        for variant in runnable:
            if _stored(variant) in ("", wanted) or (_target(variant) and not engine.precision):
                return variant
        for variant in runnable:
            if _stored(variant) == "fp32" and wanted in engine.casts:
                return variant
        message = f"{engine.backend} cannot run {self.name}"
        if isinstance(self.program, Network):
            message += f" in {wanted or 'fp32'}: it is here as {', '.join(self._kinds)}"
            if self.sealed:
                message += f"; {_IN_MEMORY}"
            elif engine.formats:
                message += f"; {self._conversion(engine)}"
        raise ModelError(message)

    @property
    def _kinds(self) -> list[str]:
        networks = [variant for variant in self.variants if isinstance(variant, Network)]
        return [
            " ".join(filter(None, (n.format, n.precision, n.target and f"for {n.target}")))
            for n in networks
        ]

    def _conversion(self, engine: Engine) -> str:
        """What the user can do to get the variant that an engine wants."""
        program, weights = self.program, ""
        if isinstance(program, Network) and not program.path.is_relative_to(self.folder):
            weights = f" --weights {program.path}"
        if engine.options.target:
            return (
                f"compile it: sightline compile {self.name}{weights} --target {engine.backend} "
                f"--profile {engine.options.target} --calibration VIDEO_OR_FOLDER"
            )
        wanted = f" --precision {engine.precision}" if engine.precision else ""
        return (
            f"convert it: sightline models convert {self.name}{weights} --to "
            f"{engine.formats[0]}{wanted}"
        )


def _stored(program: Program) -> str:
    """Of a network's numbers; a kernel computes in fp32."""
    return program.precision if isinstance(program, Network) else "fp32"


def _target(program: Program) -> str:
    return program.target if isinstance(program, Network) else ""


def load_model(
    model: str | Path,
    *,
    weights: str | Path | None = None,
    precision: str | None = None,
    access: Access | None = None,
) -> ModelPackage:
    """Finds a model and checks its files.

    Args:
        model: a name (shipped models first, then the catalogue), or the path of a package's folder
            or manifest, or of a sealed file.
        weights: another file instead of the package's network, with the same tensors; its suffix
            tells the format.
        precision: which of the package's variants comes first; None for its first.
        access: to sealed files; None for what the environment gives.

    Raises:
        ModelError: no such model, not downloaded yet, damaged, or its manifest is wrong or not
            complete enough to run; or a sealed file is refused; with the remedy.
    """
    sealed = unseal(Path(model), access or Access.given()) if is_sealed(model) else None
    entry = Entry(sealed.header.manifest, sealed.path, "path") if sealed else find(model)
    manifest = entry.manifest
    if manifest.lacking:
        raise ModelError(
            f"model {manifest.name} can be pulled but not run: its manifest has no "
            f"{', '.join(manifest.lacking)}{'; ' + manifest.note if manifest.note else ''}"
        )
    if manifest.program is not None:
        if weights is not None:
            raise ModelError(f"model {manifest.name} has no weights: it is built into an engine")
        program = manifest.program
        kernel = Kernel(program.kernel, dict(program.parameters))
        return ModelPackage(manifest, entry.folder, (kernel,))
    if sealed is not None:
        if weights is not None:
            raise ModelError(f"{model}: a sealed package takes no other weights than its own")
        variants = _in_memory(entry, sealed, precision)
        return _answered(ModelPackage(manifest, sealed.path, variants, False, sealed))
    if weights is not None:
        return _answered(_with_weights(entry, Path(weights), precision))
    networks = _networks(entry, precision)
    converted = [other for network in networks for other in _converted(network)]
    return _answered(ModelPackage(manifest, entry.folder, (*networks, *converted)))


def _answered(package: ModelPackage) -> ModelPackage:
    """The package, its test vector in every network that must hold it; see `Network.answer`.

    One compiled for a device has other numbers, whatever it was compiled from.
    """
    if package.own_weights or package.manifest.test_vector is None:
        return package
    answer, stored = known_answer(package), package.manifest.files[0].precision
    variants = tuple(
        replace(variant, answer=answer)
        if isinstance(variant, Network) and variant.precision == stored and not variant.target
        else variant
        for variant in package.variants
    )
    return replace(package, variants=variants)


def known_answer(package: ModelPackage) -> KnownAnswer:
    """The test vector of a package that has one.

    Raises:
        ModelError: it cannot be read, or has not every input and output.
    """
    manifest, vector = package.manifest, package.manifest.test_vector
    assert vector is not None
    path = package.folder / vector.path
    try:
        source = BytesIO(package.sealed.files[vector.path]) if package.sealed else path
        with np.load(source, allow_pickle=False) as stored:
            inputs = {tensor.name: stored[tensor.name] for tensor in manifest.inputs}
            outputs = {tensor.name: stored[tensor.name] for tensor in manifest.outputs}
    except KeyError as error:
        wanted = [tensor.name for tensor in (*manifest.inputs, *manifest.outputs)]
        raise ModelError(f"{path}: {str(error).strip(chr(39))}; it must hold {wanted}") from None
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path}: cannot be read as a test vector: {error}") from None
    cast = {tensor.name: inputs[tensor.name].astype(tensor.dtype) for tensor in manifest.inputs}
    return KnownAnswer(cast, outputs, vector.atol)


def _variants(entry: Entry, precision: str | None) -> list[list[FileEntry]]:
    """The manifest's files by variant, the default variant first, its network first in each."""
    every = entry.manifest.files
    kinds = dict.fromkeys(f.kind for f in (entry.files(precision)[0], *every))
    return [[f for f in every if f.kind == kind] for kind in kinds]


def _in_memory(entry: Entry, sealed: SealedPackage, precision: str | None) -> tuple[Network, ...]:
    """The variants of a sealed package; what was converted elsewhere is none of them."""
    return tuple(
        replace(
            _network(entry, sealed.path / main.path, main),
            content=sealed.files[main.path],
            companions={
                os.path.relpath(other.path, Path(main.path).parent): sealed.files[other.path]
                for other in others
            },
        )
        for main, *others in _variants(entry, precision)
    )


def _networks(entry: Entry, precision: str | None) -> list[Network]:
    """The variants of the manifest that are here, each checked; at least the default."""
    networks: list[Network] = []
    for files in _variants(entry, precision):
        if networks and not all((entry.folder / f.path).is_file() for f in files):
            continue
        for file in files:
            _require(entry, entry.folder / file.path)
            try:
                check(entry.folder / file.path, file)
            except ModelError as error:
                raise ModelError(f"{error}; {_remedy(entry)}") from None
        networks.append(_network(entry, entry.folder / files[0].path, files[0]))
    return networks


def _with_weights(entry: Entry, weights: Path, precision: str | None) -> ModelPackage:
    main = entry.files(precision)[0]
    if not weights.is_file():
        raise ModelError(f"{weights}: no such file; check the path after weights:")
    if weights.stat().st_size == 0:
        raise ModelError(f"{weights}: the file is empty; it should be a network ({main.format})")
    own = not matches(weights, main)
    network = _network(entry, weights, main)
    if own:
        format_ = FORMATS.get(weights.suffix.lower(), main.format)
        network = replace(
            network,
            format=format_,
            sha256=file_sha256(weights),
            precision=told_precision(weights, format_),
        )
    return ModelPackage(entry.manifest, entry.folder, (network, *_converted(network)), own)


def _network(entry: Entry, path: Path, file: FileEntry) -> Network:
    return Network(
        path,
        file.format,
        tuple(tensor.spec() for tensor in entry.manifest.inputs),
        tuple(tensor.spec() for tensor in entry.manifest.outputs),
        file.sha256,
        file.precision,
        target=file.target,
    )


def _converted(network: Network) -> Iterator[Network]:
    """What `sightline models convert` has made of a network, with its declared tensors."""
    for other in find_converted(identity(network)):
        yield replace(other, inputs=network.inputs, outputs=network.outputs)


def _require(entry: Entry, path: Path) -> None:
    if not path.is_file():
        if entry.origin == "catalogue":
            raise ModelError(f"model {entry.manifest.name} is not downloaded; {_remedy(entry)}")
        raise ModelError(f"{path}: no such file; {_remedy(entry)}")


def _remedy(entry: Entry) -> str:
    if entry.origin == "catalogue" and any(file.url is None for file in entry.manifest.files):
        return entry.manifest.note
    if entry.origin == "catalogue":
        return f"run: sightline models pull {entry.manifest.name}"
    if entry.origin == "shipped":
        return "the installation is damaged: install sightline again"
    return "put the right file there, or correct its size and hash in model.yaml"
