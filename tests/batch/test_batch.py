"""Whole batches, with real processes: repeated, killed, changed, out of room."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from pipeline.batch.batch import run_batch
from pipeline.batch.estimate import estimate
from pipeline.batch.outcome import BatchReport
from pipeline.batch.progress import Observer, Standing
from pipeline.batch.settings import load
from pipeline.batch.work import Halt
from pipeline.errors import BatchError, ChangedError
from tests.batch.archive import configure, film, results, start
from tests.output.full import fill, small_disk

CLIPS, SEGMENTS, FRAMES = 12, 5, 50


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of short films, five segments each."""
    folder = tmp_path_factory.mktemp("archive")
    for number in range(CLIPS):
        film(folder / f"{number:02}.mp4", start=7 * number)
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, spotter: Path) -> Path:
    return configure(tmp_path_factory.mktemp("config") / "spots.yaml", spotter)


@pytest.fixture(scope="module")
def undisturbed(archive: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with one process that nobody disturbed."""
    out = tmp_path_factory.mktemp("undisturbed")
    report = run(config, archive, out)
    assert (report.exit_code, len(report.made)) == (0, CLIPS)
    assert report.run["frames"] == CLIPS * FRAMES
    assert report.run["bottleneck"]
    assert report.run["speed"] == pytest.approx(CLIPS * 2.0 / report.run["wall_s"])
    assert report.run["peaks"].keys() == {"parent", "see 1", "follow 1"}
    return out


def run(
    config: Path, inputs: Path | Sequence[Path], out: Path, *changes: str, **options: object
) -> BatchReport:
    """A batch with one process of each kind, unless told otherwise; from this process."""
    given = [inputs] if isinstance(inputs, Path) else inputs
    arguments = {"processes": 1} | options
    return run_batch(load(config, changes), list(map(str, given)), out, **arguments)  # type: ignore[arg-type]


def films(archive: Path, count: int) -> list[Path]:
    """The first ones of the archive."""
    return [archive / f"{number:02}.mp4" for number in range(count)]


class Spy(Observer):
    """Keeps what it is told, and does something when it goes on."""

    def __init__(self, act: Callable[[Standing], None] = lambda standing: None) -> None:
        self.notes: list[str] = []
        self.standings: list[Standing] = []
        self._act = act

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, standing: Standing) -> None:
        self.standings.append(standing)
        self._act(standing)


def finished(out: Path) -> int:
    """How many segments are finished, of clips that are complete or not."""
    complete = {path.parent.name for path in out.glob("[!.]*/manifest.json")}
    markers = [
        name
        for folder, _, names in os.walk(out / ".work")  # it may go while we look
        for name in names
        if Path(folder).name not in complete and name.endswith(".json") and name[0].isdigit()
    ]
    return SEGMENTS * len(complete) + len(markers)


@pytest.mark.slow
def test_five_kills_at_random_moments_change_no_byte(
    archive: Path, config: Path, undisturbed: Path, tmp_path: Path
) -> None:
    chance, out, killed = random.Random(), tmp_path / "out", []
    for step in range(5):
        least = chance.randrange(step * 10 + 1, step * 10 + 10)
        process = start(config, archive, "-o", out, "--processes", 2, "--quiet")
        while process.poll() is None and finished(out) < least:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.communicate()
        killed.append((process.returncode, finished(out)))
    assert [code for code, _ in killed].count(-signal.SIGKILL) >= 4, killed
    assert all(before <= after for (_, before), (_, after) in pairwise(killed))
    last = run(config, archive, out, processes=2)
    assert last.exit_code == 0, killed
    assert results(out) == results(undisturbed), killed
    assert not (out / ".work").exists()


@pytest.mark.slow
def test_four_processes_give_what_one_does_also_where_two_are_killed(
    archive: Path, config: Path, undisturbed: Path, tmp_path: Path
) -> None:
    left = iter((1, 2))

    def kill_one(standing: Standing) -> None:
        if standing.frames and next(left, None):
            child = random.choice(_helpers())
            os.kill(child.pid, signal.SIGKILL)

    report = run(config, archive, tmp_path, processes=4, observer=Spy(kill_one))
    assert (report.exit_code, report.failed) == (0, {})
    assert len(report.run["restarts"]) == 2
    assert all("was killed by SIGKILL" in how for how in report.run["restarts"])
    assert results(tmp_path) == results(undisturbed)


def _helpers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _is_helper(child)]


def _is_helper(child: psutil.Process) -> bool:
    try:
        return "pipeline.batch.child" in child.cmdline()
    except psutil.Error:  # it has died
        return False


def test_only_what_is_new_is_made_and_what_is_missing_is_said(
    archive: Path, config: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, new = tmp_path / "out", film(tmp_path / "new.mp4")
    shutil.copytree(undisturbed, out)

    def try_as_well(standing: Standing) -> None:
        with pytest.raises(BatchError, match=f"another run \\(process {os.getpid()}\\)"):
            run(config, archive, out)

    spy = Spy(try_as_well)
    report = run(config, [*films(archive, CLIPS - 1), new], out, observer=spy)
    assert (report.exit_code, report.made, len(report.complete)) == (0, ("new",), CLIPS + 1)
    assert len(spy.standings) > 0
    assert spy.notes == [
        "1 videos of the last run are not among the inputs; what is there of them stays: 11"
    ]
    before, now = results(undisturbed), results(out)
    assert {path: data for path, data in now.items() if path in before} == before
    assert (out / "report.html").is_file()
    assert json.loads((out / "run.json").read_text())["made"] == 1


def test_manifests_say_what_results_were_made_of(undisturbed: Path) -> None:
    manifest = json.loads((undisturbed / "00/manifest.json").read_text())
    assert manifest["input"]["frames"] == manifest["frames"] == FRAMES
    assert manifest["ledger"]["entered"] == manifest["ledger"]["emitted"] == FRAMES
    assert manifest["stages"]["detect"] == "spotter on cpu0 (onnxruntime/cpu/fp32)"
    assert manifest["models"]["spotter"].keys() == {"model.yaml", "network.onnx"}
    assert manifest["versions"].keys() >= {"sightline", "onnxruntime", "numpy", "av"}
    lines = map(json.loads, (undisturbed / "00/tracks.jsonl").read_text().splitlines())
    assert manifest["tracks"] == len({t["id"] for line in lines for t in line["tracks"]}) > 0
    for name, file in manifest["files"].items():
        data = (undisturbed / "00" / name).read_bytes()
        assert file == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert manifest["files"]["tracks.jsonl"]["size"] > 1000


def test_changes_are_refused_and_named(
    archive: Path, config: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, video = tmp_path / "out", tmp_path / "00.mp4"
    shutil.copytree(undisturbed, out)
    made, another = results(out), "stages.postprocess.score=0.5"
    with pytest.raises(ChangedError, match=r"postprocess\.score: 0\.3, now 0\.5\nuse --force"):
        run(config, archive, out, another)
    shutil.copy(archive / "01.mp4", video)
    with pytest.raises(ChangedError, match=r"(?s)00: sha256: .*now.*\nremove the folders"):
        run(config, video, out)
    assert results(out) == made
    assert run(config, video, out, another, force=True).complete == ("00",)
    assert {path.partition("/")[0] for path in results(out)} == {"00"}


def test_what_cannot_be_read_stops_nobody_and_is_tried_again_alone(
    archive: Path, config: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    shutil.copy(archive / "00.mp4", folder / "good.mp4")
    (folder / "bad.mp4").write_bytes(b"no video at all")
    report = run(config, folder, out)
    assert (report.exit_code, report.made, list(report.failed)) == (3, ("good",), ["bad"])
    assert report.failed["bad"]
    shutil.copy(archive / "01.mp4", folder / "bad.mp4")
    shutil.copy(archive / "02.mp4", folder / "new.mp4")
    again = run(config, folder, out, only_failed=True)
    assert (again.exit_code, again.made, again.failed) == (0, ("bad",), {})
    assert not (out / "new").exists()


def test_a_clip_that_kills_every_process_fails_alone(
    archive: Path, config: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, deadly = tmp_path / "out", film(tmp_path / "deadly.mp4")
    shutil.copytree(undisturbed, out)

    def kill_all(standing: Standing) -> None:
        for child in _helpers() if standing.frames else ():
            os.kill(child.pid, signal.SIGKILL)

    report = run(config, [archive, deadly], out, observer=Spy(kill_all))
    assert (report.exit_code, report.made, len(report.complete)) == (3, (), CLIPS)
    why = "3 processes died of it; the last one was killed by SIGKILL"
    assert report.failed == {"deadly": why}


def test_it_ends_in_order_when_asked_and_goes_on_later(
    archive: Path, config: Path, undisturbed: Path, tmp_path: Path
) -> None:
    halt = Halt()

    def stop(standing: Standing) -> None:
        if standing.frames:
            halt.stop()

    ended = run(config, films(archive, 6), tmp_path, observer=Spy(stop), halt=halt)
    assert (ended.exit_code, ended.ended_early) == (130, "interrupted")
    assert 0 < finished(tmp_path) < 6 * SEGMENTS
    assert run(config, films(archive, 6), tmp_path).exit_code == 0
    expected = {path: data for path, data in results(undisturbed).items() if path[:2] < "06"}
    assert results(tmp_path) == expected


def test_a_full_disk_ends_it_in_order_and_it_goes_on_when_there_is_room(
    archive: Path, config: Path, undisturbed: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 120_000) as disk:  # of which 100 MB are left to others

        def fill_it(standing: Standing) -> None:
            if standing.frames and not (disk / "ballast").exists():
                fill(disk)

        full = run(config, films(archive, 4), disk / "out", observer=Spy(fill_it))
        assert full.exit_code == 1
        assert "no space left on the disk" in full.ended_early
        (disk / "ballast").unlink()
        assert run(config, films(archive, 4), disk / "out").exit_code == 0
        expected = {path: data for path, data in results(undisturbed).items() if path[:2] < "04"}
        assert results(disk / "out") == expected


def test_an_estimate_writes_nothing(archive: Path, config: Path, tmp_path: Path) -> None:
    found = estimate(load(config), [str(archive)], tmp_path / "out", processes=2)
    assert (len(found.clips), found.frames, found.complete) == (CLIPS, FRAMES * CLIPS, ())
    assert found.video_s == pytest.approx(2.0 * CLIPS)
    assert (found.time_s or 0) > 0
    assert (found.disk_bytes or 0) > 1000
    assert not (tmp_path / "out").exists()
