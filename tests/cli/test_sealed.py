"""A model is sealed, shown, proved and run; what a key or licence forbids is one clear message."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.models.sealed import fingerprint

Command = Callable[..., Any]


@pytest.fixture
def vendor(sightline: Command, tmp_path: Path, street: Path) -> Command:
    """Keys in files; packs the model of `street` as ``tiny.slm`` under a licence."""
    del street
    for args in (["model.key"], ["vendor.key", "--sign"]):
        assert sightline("models", "keygen", *args).code == 0

    def pack(*args: object, **licence: object) -> Any:
        (tmp_path / "licence.yaml").write_text(yaml.safe_dump({"licensee": "ACME"} | licence))
        keys = ["--encrypt-key", "file:model.key", "--sign-key", "file:vendor.key"]
        model = tmp_path / "models" / "tiny"
        return sightline(
            *("models", "pack", model, "-o", "tiny.slm", *keys, "--licence", "licence.yaml", *args)
        )

    return pack


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a customer sets."""
    monkeypatch.setenv("SIGHTLINE_MODEL_KEY", "file:model.key")
    monkeypatch.setenv("SIGHTLINE_MODEL_SIGNERS", "file:vendor.key.pub")


def test_show_needs_no_key(vendor: Command, sightline: Command, tmp_path: Path) -> None:
    packed = vendor(max_cameras=1)
    assert packed.code == 0
    assert re.search(r"tiny.slm: 1 files, encrypted with key \w{16}, signed by \w{64}", packed.out)
    shown = sightline("models", "show", "tiny.slm", "--json")
    facts = json.loads(shown.out)
    assert facts["name"] == "tiny"
    assert facts["state"] == "sealed"
    assert facts["sealed"]["licence"] == {"licensee": "ACME", "max_cameras": 1}
    assert facts["sealed"]["encryption"]["cipher"] == "AES-256-GCM"
    secrets = [(tmp_path / name).read_text()[-65:-1] for name in ("model.key", "vendor.key")]
    assert not any(secret in shown.out + packed.out for secret in secrets)


def test_show_says_why_a_package_would_be_refused(vendor: Command, sightline: Command) -> None:
    vendor(expires="2020-01-01T00:00:00Z")
    assert (
        "state: 'refused: its licence expired at 2020"
        in sightline("models", "show", "tiny.slm").out
    )
    vendor()
    other = f"ed25519-public:{'0' * 64}"
    shown = sightline("models", "show", "tiny.slm", "--signer", other)
    assert "not among the trusted signers" in " ".join(shown.out.split())


def test_verify(vendor: Command, sightline: Command, tmp_path: Path) -> None:
    vendor()
    refused = sightline("models", "verify", "tiny.slm")
    assert refused.code == 2
    assert "say where that key is: SIGHTLINE_MODEL_KEY=" in refused.err
    given = ["--key", "file:model.key", "--signer", "file:vendor.key.pub"]
    verified = sightline("models", "verify", "tiny.slm", *given)
    assert verified.code == 0
    assert verified.out.startswith("tiny.slm: hashes are right, encrypted with key")
    data = bytearray((tmp_path / "tiny.slm").read_bytes())
    data[-200] ^= 1
    (tmp_path / "tiny.slm").write_bytes(data)
    damaged = sightline("models", "verify", "tiny.slm", *given)
    assert damaged.code == 2
    assert "tiny.slm: its content does not have its own hash" in damaged.err


@pytest.mark.usefixtures("key")
def test_it_runs_like_the_folder(vendor: Command, sightline: Command, tmp_path: Path) -> None:
    vendor(devices=[fingerprint()], max_cameras=1, features=["detect"])
    assert sightline("run", "street.yaml").code == 0
    expected = (tmp_path / "out" / "tracks.jsonl").read_text()
    for file in (tmp_path / "models" / "tiny").iterdir():
        file.unlink()
    assert sightline("run", "street.yaml", "--set", "stages.detect.model=tiny.slm").code == 0
    assert len(expected.splitlines()) == 6
    assert _messages(tmp_path / "out" / "tracks.jsonl") == [
        _without_session(line) for line in expected.splitlines()
    ]


def _messages(path: Path) -> list[dict[str, Any]]:
    return [_without_session(line) for line in path.read_text().splitlines()]


def _without_session(line: str) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(line)
    return {name: value for name, value in message.items() if name != "session"}


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("licence", "reason"),
    [
        ({"max_cameras": 1}, "its licence is for 1 cameras, the configuration has 2"),
        ({"features": ["embed"]}, "its licence is for embed, not for detect"),
        ({"devices": ["0" * 32]}, "its licence is not for this machine"),
        ({"expires": "2020-01-01T00:00:00Z"}, "its licence expired at 2020-01-01"),
        ({"not_before": "2999-01-01T00:00:00Z"}, "its licence begins at 2999-01-01"),
    ],
)
def test_a_run_without_a_licence_does_not_start(
    vendor: Command, sightline: Command, tmp_path: Path, licence: dict[str, Any], reason: str
) -> None:
    vendor(**licence)
    text = (tmp_path / "street.yaml").read_text()
    text = re.sub("model: [^,]*", "model: tiny.slm", text)
    text = text.replace("stages:", "  - {id: yard, uri: pictures}\nstages:")
    (tmp_path / "street.yaml").write_text(text)
    result = sightline("run", "street.yaml")
    assert result.code == 2
    assert "street.yaml:5:" in result.err
    assert f"stages.detect.model: tiny.slm: {reason}" in result.err
    assert not (tmp_path / "out").exists()


def test_what_fails_its_test_vector_is_not_packed(vendor: Command, tmp_path: Path) -> None:
    folder = tmp_path / "models" / "tiny"
    np.savez(
        folder / "vector.npz",
        images=np.zeros((1, 3, 32, 32), np.float32),
        output=np.ones((1, 21, 6), np.float32),
    )
    manifest = yaml.safe_load((folder / "model.yaml").read_text())
    manifest["test_vector"] = {"path": "vector.npz"}
    (folder / "model.yaml").write_text(yaml.safe_dump(manifest))
    result = vendor()
    assert result.code == 2
    assert "output output is 1 away from its test vector" in result.err
    assert not (tmp_path / "tiny.slm").exists()


def test_mistakes(vendor: Command, sightline: Command, tmp_path: Path) -> None:
    assert "write tiny.zip.slm" in vendor("-o", "tiny.zip").err
    assert "never written over" in sightline("models", "keygen", "model.key").err
    (tmp_path / "text.slm").write_text("not a package")
    for command in ("show", "verify"):
        result = sightline("models", command, "text.slm")
        assert result.code == 2
        assert "text.slm: this is no sealed model package" in result.err
    assert "none.slm: no such file" in sightline("models", "show", "none.slm").err
    assert sightline("models", "device").out == fingerprint() + "\n"
