"""Device profiles."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from engines.errors import OptionError
from engines.sim_npu.profiles import PROFILES, find

PEAKS = {  # published operations a second
    "hi3559a-nnie": 3.4e12,
    "hi3559a-dsp": 1.4e12,
    "hi3559a-mali": 22.16e9,
    "hi3559a-cpu": 48e9,
    "atlas500": 16e12,
}


@pytest.mark.parametrize("name", PEAKS)
def test_the_peak_is_the_published_one(name: str) -> None:
    assert 2 * find(name).macs_per_s == pytest.approx(PEAKS[name], rel=0.002)


def test_profiles_are_told_apart_by_more_than_their_name() -> None:
    profile = PROFILES["atlas500"]
    assert replace(profile, source="elsewhere").digest == profile.digest
    assert replace(profile, cores=1).digest != profile.digest


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    mine = replace(PROFILES["hi3559a-dsp"], name="mine", cores=1)
    path.write_text(yaml.safe_dump(asdict(mine)))
    assert find(str(path)) == mine


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cores": 0}, "cores: expected a whole number of cores in 1 … 1024, got 0"),
        ({"cores": True}, "cores: expected a whole number"),
        ({"cores": 1.5}, "cores: expected a whole number"),
        ({"clock_hz": -1.0}, "clock_hz: expected a number of hertz"),
        ({"clock_hz": float("nan")}, "clock_hz: expected a number of hertz"),
        ({"bandwidth": 1e30}, "bandwidth: expected a number of bytes a second"),
        ({"on_chip_bytes": 2**33}, "hold more than the external memory"),
        ({"precision": "int4"}, "precision: expected one of int8, fp16, fp32, got 'int4'"),
        ({"name": ""}, "name: expected a word"),
        ({"colour": "red"}, "unknown keys colour"),
    ],
)
def test_impossible_numbers_are_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(asdict(PROFILES["hi3559a-nnie"]) | change))
    with pytest.raises(OptionError, match=message) as caught:
        find(str(path))
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("content", ["- a list", "{", "cores: 2"])
def test_what_is_no_profile_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(OptionError, match=r"mine\.yaml: (expected the keys|no YAML|missing keys)"):
        find(str(path))


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(OptionError, match=r"expected one of atlas500, .* or a \.yaml file"):
        find("hi3559a")
    with pytest.raises(OptionError, match="cannot be read"):
        find("nowhere.yaml")
