"""What whoever signed a package allows: where, how long, for how many cameras, for what."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from pipeline.errors import ModelError
from pipeline.models.strict import Strict

#: systemd's machine-id(5): random, made when the machine was installed, kept after that.
MACHINE_ID = Path("/etc/machine-id")


class Licence(Strict):
    """The terms of a sealed package; what is left out is not limited.

    Attributes:
        licensee: whom it is for; for people.
        devices: the machines it may run on, as `fingerprint` tells them.
        not_before: the first moment it holds.
        expires: the first moment it no longer holds.
        max_cameras: of one configuration.
        features: that may be used: ``detect``, ``embed``.
    """

    licensee: str = ""
    devices: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")], ...] | None = None
    not_before: AwareDatetime | None = None
    expires: AwareDatetime | None = None
    max_cameras: Annotated[int, Field(ge=1)] | None = None
    features: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")], ...] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.not_before and self.expires and self.not_before >= self.expires:
            raise ValueError("not_before is not before expires")
        return self

    def require_valid(self, now: datetime) -> None:
        """Raises `ModelError` outside the time or on another machine than it holds for.

        Args:
            now: with its time zone.
        """
        if self.not_before and now < self.not_before:
            raise ModelError(
                f"its licence begins at {self.not_before.isoformat()} and this machine's clock "
                f"says {_seconds(now)}; check the clock"
            )
        if self.expires and now >= self.expires:
            raise ModelError(
                f"its licence expired at {self.expires.isoformat()} and this machine's clock says "
                f"{_seconds(now)}; ask its signer for a new one"
            )
        if self.devices is not None and (device := fingerprint()) not in self.devices:
            raise ModelError(
                f"its licence is not for this machine (device {device}); ask its signer to add it"
            )

    def require_use(self, feature: str, cameras: int) -> None:
        """Raises `ModelError` where a configuration wants more than it allows.

        Args:
            feature: what the model is used for.
            cameras: of the configuration.
        """
        if self.features is not None and feature not in self.features:
            allowed = ", ".join(self.features) or "nothing"
            raise ModelError(f"its licence is for {allowed}, not for {feature}")
        if self.max_cameras is not None and cameras > self.max_cameras:
            raise ModelError(
                f"its licence is for {self.max_cameras} cameras, the configuration has {cameras}"
            )


def fingerprint() -> str:
    """32 hexadecimal digits that are this machine's; its id cannot be told from them.

    The HMAC-SHA256 of a constant under the machine's id, cut in half, as machine-id(5) asks for.

    Raises:
        ModelError: the machine has no id.
    """
    try:
        identity = MACHINE_ID.read_bytes().strip()
    except OSError as error:
        raise ModelError(f"{MACHINE_ID}: cannot be read: {error.strerror}") from None
    if not identity:
        raise ModelError(
            f"{MACHINE_ID}: it is empty, so nothing tells this machine from others; run: "
            "systemd-machine-id-setup, or give the container its host's file"
        )
    return hmac.new(identity, b"sightline device 1", hashlib.sha256).hexdigest()[:32]


def _seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
