"""Sealed model packages: one file, which may be encrypted, signed and licensed."""

from pipeline.models.sealed.licence import Licence, fingerprint
from pipeline.models.sealed.sealing import (
    Access,
    SealedPackage,
    inspect,
    is_sealed,
    pack,
    require_trust,
    unseal,
)

__all__ = [
    "Access",
    "Licence",
    "SealedPackage",
    "fingerprint",
    "inspect",
    "is_sealed",
    "pack",
    "require_trust",
    "unseal",
]
