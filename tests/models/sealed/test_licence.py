"""A licence holds in its time, on its machines, for its cameras and features, and says why not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import ModelError
from pipeline.models.sealed import Licence, fingerprint, licence

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with this machine's id."""
    path = tmp_path / "machine-id"
    path.write_text("3d1219c7c4c5404aaa1f6d2a48adfda4\n")
    monkeypatch.setattr(licence, "MACHINE_ID", path)
    return path


def test_no_limits() -> None:
    terms = Licence()
    terms.require_valid(NOW)
    terms.require_use("detect", 10_000)


def test_its_time() -> None:
    terms = Licence(not_before=NOW, expires=NOW + SECOND)
    terms.require_valid(NOW)
    with pytest.raises(ModelError, match=r"begins at 2026-06-01.*clock says 2026-06-01T11:59:59"):
        terms.require_valid(NOW - SECOND)
    with pytest.raises(ModelError, match=r"expired at 2026-06-01T12:00:01\+00:00 and this machine"):
        terms.require_valid(NOW + SECOND)


def test_time_in_another_zone_is_the_same_time() -> None:
    terms = Licence.model_validate_json('{"expires": "2026-06-01T14:00:01+02:00"}')
    terms.require_valid(NOW)
    with pytest.raises(ModelError, match="expired"):
        terms.require_valid(NOW + SECOND)


@pytest.mark.parametrize(
    "text",
    [
        '{"expires": "2026-06-01T12:00:00"}',  # of which zone?
        '{"expires": "2026-06-01"}',
        '{"expires": 1780000000}',
        '{"max_cameras": 0}',
        '{"devices": ["my machine"]}',
        '{"features": ["Detect!"]}',
        '{"expired": null}',
        '{"not_before": "2026-06-01T00:00:00Z", "expires": "2026-06-01T00:00:00Z"}',
    ],
)
def test_a_licence_that_is_none(text: str) -> None:
    with pytest.raises(ValidationError):
        Licence.model_validate_json(text)


def test_its_machines(machine: Path) -> None:
    device = fingerprint()
    Licence(devices=("0" * 32, device)).require_valid(NOW)
    machine.write_text("another\n")
    assert fingerprint() != device
    with pytest.raises(ModelError, match=f"not for this machine .device {fingerprint()}"):
        Licence(devices=(device,)).require_valid(NOW)
    with pytest.raises(ModelError, match="not for this machine"):
        Licence(devices=()).require_valid(NOW)


def test_a_fingerprint_does_not_tell_the_id(machine: Path) -> None:
    assert len(fingerprint()) == 32
    assert fingerprint() not in machine.read_text()


def test_a_machine_without_an_id(machine: Path) -> None:
    machine.write_text("")
    with pytest.raises(ModelError, match=r"it is empty.*systemd-machine-id-setup"):
        fingerprint()
    machine.unlink()
    with pytest.raises(ModelError, match="cannot be read: No such file"):
        fingerprint()
    Licence(expires=NOW).require_valid(NOW - SECOND)


def test_its_cameras_and_features() -> None:
    terms = Licence(max_cameras=2, features=("detect",))
    terms.require_use("detect", 2)
    with pytest.raises(ModelError, match="for 2 cameras, the configuration has 3"):
        terms.require_use("detect", 3)
    with pytest.raises(ModelError, match="is for detect, not for embed"):
        terms.require_use("embed", 1)
    with pytest.raises(ModelError, match="is for nothing, not for detect"):
        Licence(features=()).require_use("detect", 1)
