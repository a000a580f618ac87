from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.energy import Meter
from pipeline.ledger import Account
from pipeline.report import RunReport


def _write(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(f"{content}\n")
    return folder


def _zone(
    sys: Path, name: str, kind: str, energy_uj: object, most_uj: int = 262_143_328_850
) -> Path:
    folder = sys / "class/powercap" / name
    return _write(folder, name=kind, energy_uj=energy_uj, max_energy_range_uj=most_uj)


def test_energy_is_what_was_used_since_the_meter_was_made(tmp_path: Path) -> None:
    package = _zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    meter = Meter(tmp_path)
    assert meter.read().joules == 0.0
    _write(package, energy_uj=7_500_000)
    assert meter.read().joules == pytest.approx(2.5)
    assert not meter.read().uncounted


def test_packages_and_memory_are_added_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    zones = {
        "intel-rapl:0": "package-0",
        "intel-rapl:0:0": "core",  # part of the package
        "intel-rapl:0:1": "dram",
        "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys",  # all of it again
        "intel-rapl-mmio:0": "package-0",  # the same counter by another way
    }
    folders = [_zone(tmp_path, name, kind, 0) for name, kind in zones.items()]
    meter = Meter(tmp_path)
    for power, folder in enumerate(folders):
        _write(folder, energy_uj=10**power * 1_000_000)
    assert meter.read().joules == pytest.approx(1 + 100 + 1000)


def test_a_counter_that_wraps_round_goes_on(tmp_path: Path) -> None:
    package = _zone(tmp_path, "intel-rapl:0", "package-0", 900, most_uj=999)
    meter = Meter(tmp_path)
    for now, used in ((950, 50), (49, 149), (49, 149), (48, 1148)):
        _write(package, energy_uj=now)
        assert meter.read().joules == pytest.approx(used * 1e-6)


def test_a_counter_that_is_not_readable_for_a_while_loses_nothing(tmp_path: Path) -> None:
    package = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = Meter(tmp_path)
    _write(package, energy_uj="")
    assert meter.read().joules == 0.0
    _write(package, energy_uj=3_000_000)
    assert meter.read().joules == pytest.approx(3.0)


def test_without_counters_there_is_a_reason(tmp_path: Path) -> None:
    energy = Meter(tmp_path).read()
    assert energy.joules is None
    assert str(tmp_path / "class/powercap") in energy.uncounted
    assert energy.temperatures_c == {}
    assert str(tmp_path) in energy.no_temperature


def test_a_counter_for_root_only_is_told_with_the_remedy(tmp_path: Path) -> None:
    package = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    (package / "energy_uj").unlink()
    (package / "energy_uj").mkdir()  # whoever runs this test cannot read it, root neither
    energy = Meter(tmp_path).read()
    assert energy.joules is None
    assert energy.uncounted.endswith(f"run: chmod a+r {package / 'energy_uj'}")


def test_temperatures_of_zones_and_monitors(tmp_path: Path) -> None:
    _write(tmp_path / "class/thermal/thermal_zone0", type="x86_pkg_temp", temp=41_500)
    _write(tmp_path / "class/thermal/thermal_zone1", type="broken", temp="")
    _write(
        tmp_path / "class/hwmon/hwmon0",
        name="k10temp",
        temp1_input=-2_000,
        temp1_label="Tctl",
        temp2_input=60_000,
    )
    assert Meter(tmp_path).read().temperatures_c == {
        "x86_pkg_temp": 41.5,
        "k10temp Tctl": -2.0,
        "k10temp temp2": 60.0,
    }


def test_this_machine_is_read_without_an_error() -> None:
    energy = Meter().read()
    assert (energy.joules is None) <= bool(energy.uncounted)
    assert bool(energy.temperatures_c) != bool(energy.no_temperature)


def test_a_frame_has_its_share(tmp_path: Path) -> None:
    package = _zone(tmp_path, "intel-rapl:0", "package-0", 0)
    meter = Meter(tmp_path)
    _write(package, energy_uj=6_000_000)
    account = Account(entered=5, emitted=4, dropped={("detect", "bad"): 1}, partial={})
    report = RunReport(True, False, 1.0, 0.5, 2, (), {"gate": account}, (), (), (), ())
    assert report.joules_per_frame is None
    report = replace(report, energy=meter.read())
    assert report.joules_per_frame == pytest.approx(1.5)
    assert report.to_json()["energy"]["joules"] == pytest.approx(6.0)
