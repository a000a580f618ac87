from pathlib import Path

import pytest

from engines import BackendInfo
from pipeline.doctor import ffmpeg, software
from pipeline.doctor.check import Grade
from pipeline.doctor.ffmpeg import Copy, Flaw, version_of

NOT_FLAWED = "8.1.2"


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("8.1.2", (8, 1, 2)),
        ("n7.1-3-g1234abc", (7, 1)),
        ("5.1.6-0+deb12u1", (5, 1, 6)),
        ("N-118203-gabcdef", ()),
        ("", ()),
    ],
)
def test_a_release_is_read_from_what_ffmpeg_says(release: str, version: tuple[int, ...]) -> None:
    assert version_of(release) == version


@pytest.mark.parametrize(
    ("release", "flaws"),
    [
        ("8.1.2", []),
        ("9.0", []),
        ("8.1.1", ["CVE-2026-8461"]),
        ("8.0.2", ["CVE-2026-8461", "CVE-2026-40962"]),
        ("8.0.1", ["CVE-2026-8461", "CVE-2026-40962", "CVE-2026-107698"]),
        ("7.1.4", ["CVE-2026-8461", "CVE-2026-40962"]),
        ("7.1", ["CVE-2026-8461", "CVE-2026-40962", "CVE-2026-107698", "CVE-2023-6605"]),
        ("4.0.6", ["CVE-2026-8461", "CVE-2026-107698", "CVE-2023-6605"]),
    ],
)
def test_the_flaws_of_a_release(release: str, flaws: list[str]) -> None:
    (found,) = ffmpeg.check([Copy("av", release)])
    assert found.grade is (Grade.WARN if flaws else Grade.OK)
    assert [flaw.name for flaw in ffmpeg.FLAWS if flaw.name in found.found] == flaws
    assert bool(flaws) == ("pip install --upgrade av" in found.remedy)


def test_a_flaw_begins_and_ends() -> None:
    flaw = Flaw("X", "", (((4, 1), (4, 3, 2)), ((5,), (5, 1))))
    affected = [
        v for v in ("4.0", "4.1", "4.3.1", "4.3.2", "5.0", "5.1") if flaw.concerns(version_of(v))
    ]
    assert affected == ["4.1", "4.3.1", "5.0"]


def test_two_releases_in_one_process_are_told() -> None:
    one, other = Copy("av", NOT_FLAWED), Copy("opencv-python-headless", "9.0")
    assert len(ffmpeg.check([one, other])) == 3
    together = ffmpeg.check([one, other])[-1]
    assert together.grade is Grade.WARN
    assert together.found == "8.1.2 of av, 9.0 of opencv-python-headless"
    assert len(ffmpeg.check([one, Copy("opencv-python-headless", NOT_FLAWED)])) == 2


def test_a_release_that_cannot_be_told_is_no_clean_bill() -> None:
    (found,) = ffmpeg.check([Copy("/usr/lib/libavutil.so.60", "")])
    assert found.grade is Grade.WARN


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="not Linux")
def test_the_copies_of_this_process_are_found() -> None:
    software.versions()  # imports them
    releases = {copy.owner: copy.release for copy in ffmpeg.loaded()}
    assert all(map(version_of, releases.values()))
    assert len(releases) >= 1


def test_a_module_that_is_missing_is_a_failure_with_the_command() -> None:
    there, missing = software.modules({"av": "18.1.0", "cv2": ""})
    assert (there.grade, there.found) == (Grade.OK, "18.1.0")
    assert missing.grade is Grade.FAIL
    assert missing.remedy == "run: pip install opencv-python-headless"


def test_python_is_recent_enough() -> None:
    assert software.python((3, 11, 0)).grade is Grade.OK
    assert software.python((3, 10, 14)).grade is Grade.FAIL


def test_an_engine_that_is_missing_is_no_failure() -> None:
    there = BackendInfo("onnxruntime", "1.31", ("cpu",), (), (), (), "", "")
    missing = BackendInfo("openvino", "", (), (), (), (), "no module", "pip install openvino")
    checks = software.engines([there, missing])
    assert [check.grade for check in checks] == [Grade.OK, Grade.OK]
    assert checks[0].found == "1.31 on cpu"
    assert checks[1].found == "no module"
    assert "pip install openvino" in checks[1].remedy
