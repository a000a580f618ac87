"""What a command works on: a model by its name, or the file of a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engines import Network
from engines.convert import targets
from engines.convert.caffe import described
from engines.convert.precision import told_precision
from pipeline.errors import ModelError
from pipeline.models.manifest import Manifest
from pipeline.models.package import FORMATS, load_model


@dataclass(frozen=True, slots=True)
class Subject:
    """One network, in every form in which it is here.

    Attributes:
        variants: the default first.
        manifest: what its model says about pictures, outputs and labels; None for a bare file.
    """

    variants: tuple[Network, ...]
    manifest: Manifest | None = None

    @property
    def network(self) -> Network:
        """The default variant."""
        return self.variants[0]

    def in_onnx(self, done: str) -> tuple[Network, ...]:
        """Its variants in ONNX, the default first; at least one.

        Args:
            done: what is done to it, for the message, such as ``compiled``.

        Raises:
            ModelError: it is sealed, or there is none; with the remedy.
        """
        network = self.network
        if network.content is not None:
            raise ModelError(
                f"{network}: a sealed model is not {done}: it would lie open on the disk"
            )
        found = tuple(one for one in self.variants if one.format == "onnx")
        if not found:
            remedy = "start from the ONNX network that it was made from"
            if "onnx" in targets(network.format):
                name = self.manifest.name if self.manifest else network.path
                remedy = f"convert it first: sightline models convert {name} --to onnx"
            raise ModelError(
                f"{network}: what can be {done} is ONNX, and it is {network.format}; {remedy}"
            )
        return found


def subject(model: str, weights: Path | None = None, outputs: tuple[str, ...] = ()) -> Subject:
    """Finds what a user named.

    Args:
        model: a model's name or folder, or a network's file.
        weights: another file instead of the model's network.
        outputs: of a Caffe network, the blobs wanted; empty for its last ones.

    Raises:
        ModelError: there is none, it is no network, or an argument does not go with it.
        EngineError: a Caffe network cannot be read.
    """
    path = Path(model)
    if path.is_file() and path.suffix.lower() in FORMATS:
        if weights is not None:
            raise ModelError(
                f"{path} is a network by itself: its weights lie in it or beside it; --weights "
                "goes with a model's name"
            )
        format_ = FORMATS[path.suffix.lower()]
        if format_ == "caffe":
            return Subject((described(path, outputs),))
        if not outputs:
            return Subject((Network(path, format_, precision=told_precision(path, format_)),))
    if outputs:
        raise ModelError("--outputs goes with a .prototxt; other networks say their outputs")
    package = load_model(model, weights=weights)
    variants = tuple(variant for variant in package.variants if isinstance(variant, Network))
    if not variants:
        raise ModelError(f"model {package.name} is built into an engine; there is no network")
    return Subject(variants, package.manifest)
