"""Models: what a package says about itself, where it is, how it comes here."""

from pipeline.models.catalogue import Entry, cache_folder, entries, find, pull
from pipeline.models.manifest import Manifest, PreprocessSpec, read_manifest
from pipeline.models.package import ModelPackage, load_model
from pipeline.models.proof import prove, verify

__all__ = [
    "Entry",
    "Manifest",
    "ModelPackage",
    "PreprocessSpec",
    "cache_folder",
    "entries",
    "find",
    "load_model",
    "prove",
    "pull",
    "read_manifest",
    "verify",
]
