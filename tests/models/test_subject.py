"""What a command is told to work on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ModelError
from pipeline.models.subject import subject
from tests.conftest import REPOSITORY

PICO = REPOSITORY / "models" / "street-pico" / "street-pico.onnx"


def test_a_model_comes_with_its_manifest_and_a_file_without() -> None:
    named, bare = subject("street-pico"), subject(str(PICO))
    assert named.manifest is not None
    assert named.manifest.name == "street-pico"
    assert bare.manifest is None
    assert named.network.path.samefile(bare.network.path)
    assert (bare.network.format, bare.network.precision) == ("onnx", "fp32")


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="built into an engine"):
        subject("hog-people")
    with pytest.raises(ModelError, match="--weights goes with a model's name"):
        subject(str(PICO), PICO)
    with pytest.raises(ModelError, match=r"--outputs goes with a \.prototxt"):
        subject("street-pico", outputs=("nose",))
