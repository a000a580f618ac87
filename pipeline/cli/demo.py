"""``sightline demo``: the shipped clip through the shipped models, and what came out of it."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import pipeline
from pipeline.cli.progress import Observer, Style, progress
from pipeline.cli.summary import print_failures, print_summary
from pipeline.evaluation.evaluate import evaluate
from pipeline.evaluation.mot_files import read_mot
from pipeline.output.listen import Listener
from pipeline.report import EXIT_FAILED, RunReport
from pipeline.resources import shipped
from pipeline.supervisor import Supervisor
from pipeline.tracking.track import TrackState

_CLIP = "day"
_AT_ONCE = 200  # telegrams received before the supervisor is looked after again
_LAST_S = 0.5


def command(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("out"),
    open_: Annotated[bool, typer.Option("--open", help="Opens the annotated video.")] = False,
    two_stage: Annotated[
        bool,
        typer.Option(
            "--two-stage", help="A two-stage detector, half on a simulated chip, half on the CPU."
        ),
    ] = False,
) -> None:
    """Runs the shipped clip: detects, tracks, sends telegrams to itself, draws, and scores.

    Fails where a telegram was lost or a frame is unaccounted for.
    """
    video = out / "annotated.mp4"
    with Listener("127.0.0.1:0") as listener:
        overrides = _overrides(out, video, f"{listener.address}")
        name = "atlas500_frcnn.yaml" if two_stage else "demo.yaml"
        config = pipeline.load(shipped("configs") / name, overrides)
        received = _Received(listener)
        terminal = Console(stderr=True).is_terminal
        with progress(Style.RICH if terminal else Style.NONE) as (observer, _):
            report = Supervisor(pipeline.build(config)).run(received.then(observer), 0.0)
        received.drain(_LAST_S)
    print_summary(report)
    print_failures(report, config)
    if report.exit_code:
        raise typer.Exit(report.exit_code)
    # A telegram lost at the very end leaves no gap behind it, so frames are compared, too.
    lost = max(received.lost, report.emitted - received.messages)
    typer.echo(_results(out, received, lost))
    if lost:
        raise typer.Exit(EXIT_FAILED)
    if open_:
        typer.launch(str(video))


def _overrides(out: Path, video: Path, address: str) -> list[str]:
    """What differs from the configuration: where the clip lies and where the results go."""
    values = {
        "cameras[0].uri": shipped("sample_videos") / f"{_CLIP}.mp4",
        "outputs[0].udp.to": address,
        "outputs[1].file.path": out / "tracks.jsonl",
        "outputs[2].file.path": out / "tracks.mot.txt",
        "outputs[3].annotate.path": video,
    }
    # A path may hold what YAML or a reference would understand.
    return [
        f"{key}={json.dumps(str(value), ensure_ascii=False).replace('$', '$$')}"
        for key, value in values.items()
    ]


class _Received:
    """The telegrams that came back over the loopback."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.tracks: set[int] = set()

    @property
    def messages(self) -> int:
        return self._listener.statistics.messages

    @property
    def lost(self) -> int:
        statistics = self._listener.statistics
        return statistics.lost + statistics.incomplete + sum(statistics.malformed.values())

    def then(self, observer: Observer | None) -> Observer:
        """Receives whenever the supervisor calls, then lets `observer` see the report."""

        def observe(report: RunReport) -> None:
            self.drain(0.0, _AT_ONCE)
            if observer is not None:
                observer(report)

        return observe

    def drain(self, timeout_s: float, most: int | None = None) -> None:
        """Takes what has come, until nothing came for `timeout_s`, or `most` messages."""
        for message in islice(self._listener.messages(timeout_s), most):
            confirmed = message.tracks.states == TrackState.CONFIRMED
            self.tracks.update(message.tracks.ids[confirmed].tolist())


def _results(out: Path, received: _Received, lost: int) -> str:
    truth = shipped("sample_videos") / _CLIP / "gt" / "gt.txt"
    scores = evaluate(read_mot(truth), read_mot(out / "tracks.mot.txt")).summary()
    score = "  ".join(f"{name} {scores[name]:.1f}" for name in ("HOTA", "MOTA", "IDF1"))
    return (
        f"tracks     {len(received.tracks)} seen\n"
        f"telegrams  {received.messages} received, {lost} lost\n"
        f"score      {score}  (against the clip's ground truth)\n"
        f"look at    {out / 'annotated.mp4'}, {out / 'tracks.jsonl'}, {out / 'tracks.mot.txt'}"
    )
