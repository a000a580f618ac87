from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.doctor import limits
from pipeline.doctor.check import Grade
from pipeline.doctor.limits import Limits

PLENTY = Limits(65536, None, 8000.0, 4, None)
OK, WARN, FAIL = Grade.OK, Grade.WARN, Grade.FAIL


def graded(found: Limits, cameras: int) -> dict[str, Grade]:
    return {check.name: check.grade for check in limits.check(found, cameras)}


def test_plenty_is_enough() -> None:
    assert set(graded(PLENTY, 8).values()) == {OK}


@pytest.mark.parametrize(
    ("change", "cameras", "name", "grade"),
    [
        ({"files": 128}, 4, "open files", OK),
        ({"files": 127}, 4, "open files", WARN),
        ({"files": 63}, 4, "open files", FAIL),
        ({"threads": 80}, 4, "threads", OK),
        ({"threads": 79}, 4, "threads", WARN),
        ({"threads": 39}, 4, "threads", FAIL),
        ({"memory_mb": 540.0}, 4, "memory", OK),
        ({"memory_mb": 539.0}, 4, "memory", WARN),
        ({"memory_mb": 539.0}, 3, "memory", OK),
        ({"memory_mb": 200.0}, 4, "memory", FAIL),
        ({"quota": 4.0}, 4, "processors", OK),
        ({"quota": 1.5}, 4, "processors", WARN),
    ],
)
def test_what_is_too_little(change: dict, cameras: int, name: str, grade: Grade) -> None:
    found = graded(replace(PLENTY, **change), cameras)
    assert found.pop(name) is grade
    assert set(found.values()) == {OK}


def test_what_is_too_little_says_how_much_is_needed() -> None:
    check = limits.check(replace(PLENTY, files=100), 4)[0]
    assert check.found == "100, of which about 128 are needed"
    assert "LimitNOFILE" in check.remedy


def machine(root: Path, group: str, **files: str) -> Path:
    folder = root / "sys/fs/cgroup" / group.lstrip("/")
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"0::{group}\n")
    (root / "proc/meminfo").write_text("MemTotal: 4000000 kB\nMemAvailable: 2097152 kB\n")
    return root


def test_a_control_group_is_read(tmp_path: Path) -> None:
    files = {"memory_max": "536870912\n", "pids_max": "100\n", "cpu_max": "150000 100000\n"}
    found = limits.read(machine(tmp_path, "/system.slice/sightline.service", **files))
    assert found.memory_mb == 512.0
    assert found.threads == 100
    assert found.quota == 1.5


def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    files = {"memory_max": "max\n", "pids_max": "max\n", "cpu_max": "max 100000\n"}
    found = limits.read(machine(tmp_path, "/", **files))
    assert found.memory_mb == 2048.0  # what is free
    assert found.quota is None


def test_a_container_sees_its_group_as_the_root(tmp_path: Path) -> None:
    machine(tmp_path, "/", memory_max="1048576\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/docker/0123\n")
    assert limits.read(tmp_path).memory_mb == 1.0


def test_a_machine_without_any_of_it(tmp_path: Path) -> None:
    found = limits.read(tmp_path)
    assert found.memory_mb is None
    assert found.quota is None
    assert graded(replace(found, files=None, threads=None), 4)["memory"] is OK
