"""A vendor's claims beside what was measured.

A file of claims::

    engine: onnxruntime@cuda     # as in `sightline bench`
    source: data sheet of 2026
    latency_ms: 2.0
    fps: 700
    gflops: 22.16
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pipeline.benching.bench import Row
from pipeline.errors import ConfigError

#: Cores of the host that are busy per forward from which on the host did the work itself.
HOST_BUSY = 0.8
#: Below this share of a claim something is wrong rather than slow.
FAR_BELOW = 0.25

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Claim(BaseModel):
    """What a vendor says of one engine with the model at hand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    source: str = ""
    latency_ms: _Positive | None = None
    fps: _Positive | None = None
    gflops: _Positive | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One claimed figure beside the measured one.

    Attributes:
        engine: as in the row.
        figure: such as ``fps``.
        claimed: the vendor's figure.
        measured: ours; None where the engine did not run.
        ratio: how much of the claim was reached, 1 is all; None where nothing was measured.
        suspicion: what seems to be wrong; empty mostly.
    """

    engine: str
    figure: str
    claimed: float
    measured: float | None
    ratio: float | None
    suspicion: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Reads one claim or a list of them. Raises `ConfigError` naming the file and the key."""
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = written if isinstance(written, list) else [written]
        return tuple(TypeAdapter(list[Claim]).validate_python(found))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: this is no YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: claim {key}: {first['msg']}") from None


def compare(rows: Sequence[Row], claims: Iterable[Claim]) -> list[Verdict]:
    """Each claimed figure beside the measured one.

    Raises:
        ConfigError: a claim is about an engine that was not measured.
    """
    by_name = {row.engine: row for row in rows}
    verdicts: list[Verdict] = []
    for claim in claims:
        row = by_name.get(claim.engine)
        if row is None:
            raise ConfigError(
                f"the claims speak of {claim.engine!r}, which was not measured; measured were "
                f"{', '.join(by_name)}"
            )
        verdicts += _verdicts(claim, row)
    return verdicts


def _verdicts(claim: Claim, row: Row) -> Iterable[Verdict]:
    found = row.found
    measured = {
        "latency_ms": found.p50_ms if found else None,
        "fps": found.best_fps if found else None,
        "gflops": row.gflops,
    }
    for figure, value in measured.items():
        claimed = getattr(claim, figure)
        if claimed is None:
            continue
        ratio = None
        if value:
            ratio = claimed / value if figure == "latency_ms" else value / claimed
        yield Verdict(row.engine, figure, claimed, value, ratio, _suspicion(row, ratio))


def _suspicion(row: Row, ratio: float | None) -> str:
    """An accelerator that leaves the work to the host shows in the host's processor time."""
    if row.found is None:
        return f"does not run: {row.error}"
    if "@" in row.engine and row.found.busy >= HOST_BUSY:
        return f"fell back: {row.found.busy:.1f} cores of the host are busy while it computes"
    if ratio is not None and ratio < FAR_BELOW:
        return f"only {ratio:.0%} of the claim"
    return ""
