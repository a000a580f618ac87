"""Finds ground truth and result of each sequence, given files or folders."""

from __future__ import annotations

from collections.abc import Sequence
from configparser import ConfigParser
from configparser import Error as IniError
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.errors import DataError
from pipeline.evaluation.mot_files import MotTable, read_mot

PLACEHOLDER = "{seq}"


@dataclass(frozen=True, slots=True)
class SequenceInfo:
    """What is known of a sequence besides its boxes; None where nobody says.

    Attributes:
        length: number of frames.
        fps: frames per second.
        width: of its pictures, pixels.
        height: of its pictures, pixels.
    """

    length: int | None = None
    fps: float | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """One sequence's files.

    Attributes:
        name: of the sequence.
        gt: ground-truth file.
        result: result or detection file.
    """

    name: str
    gt: Path
    result: Path

    def read(self, gt_scale: float = 1.0) -> tuple[MotTable, MotTable]:
        """Ground truth, its boxes multiplied by `gt_scale`, and result.

        Raises:
            DataError: a file is malformed, or has frames beyond the length that the sequence's
                ``seqinfo.ini`` states.
        """
        tables = read_mot(self.gt).scaled(gt_scale), read_mot(self.result)
        length = self.info().length
        for table in tables:
            if length is not None and len(table) and table.frames.max() > length:
                raise DataError(
                    f"{table.source}: has frame {table.frames.max()}, "
                    f"but the sequence {self.name} has {length} frames"
                )
        return tables

    def info(self) -> SequenceInfo:
        """What the sequence's ``seqinfo.ini`` says.

        Raises:
            DataError: it cannot be read.
        """
        if self.gt.name != "gt.txt":
            return SequenceInfo()
        return sequence_info(self.gt.resolve().parent.parent)

    def against(self, result: str) -> Pair:
        """The same ground truth with another result, written as for `find_pairs`.

        Raises:
            DataError: it is missing.
        """
        return replace(self, result=_existing(_result_file(result, self.name), self.name))


def find_pairs(paths: Sequence[str]) -> list[Pair]:
    """Pairs from alternating ground truths and results.

    A ground truth is a file, a sequence's folder (with ``gt/gt.txt``), or a folder of such folders.
    A result is a file; for several sequences a folder with ``<sequence>.txt``, or a path with
    ``{seq}`` where the sequence's name goes.

    Raises:
        DataError: a file is missing, the number of paths is odd, or two sequences share a name.
    """
    if not paths or len(paths) % 2:
        raise DataError("expected pairs of ground truth and result, found an odd number of paths")
    pairs = [
        pair
        for gt, result in zip(paths[::2], paths[1::2], strict=True)
        for pair in _pairs_of(Path(gt), result)
    ]
    names = [pair.name for pair in pairs]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"two sequences are called {name}: {_where(name, pairs)}")
    return pairs


def _pairs_of(gt: Path, result: str) -> list[Pair]:
    files = _gt_files(gt)
    if len(files) > 1 and PLACEHOLDER not in result and Path(result).is_file():
        raise DataError(
            f"{result}: one file cannot be the result of {len(files)} sequences; name a folder "
            f"that holds SEQUENCE.txt of each, or write {PLACEHOLDER} where the name goes"
        )
    return [
        Pair(name, _existing(file, name), _existing(_result_file(result, name), name))
        for name, file in files
    ]


def _gt_files(gt: Path) -> list[tuple[str, Path]]:
    """Name and file of every sequence under `gt`."""
    if not gt.is_dir():
        return [(_name(gt), gt)]
    if (gt / "gt" / "gt.txt").is_file():
        return [(gt.resolve().name, gt / "gt" / "gt.txt")]
    files = sorted(gt.glob("*/gt/gt.txt"))
    if not files:
        raise DataError(f"{gt}: holds neither gt/gt.txt nor folders that hold one")
    return [(_name(file), file) for file in files]


def _name(gt: Path) -> str:
    """TUD-Campus for TUD-Campus/gt/gt.txt, else the file's name up to the first dot."""
    if gt.name == "gt.txt" and gt.resolve().parent.name == "gt":
        return gt.resolve().parent.parent.name
    return gt.name.split(".")[0]


def _result_file(result: str, name: str) -> Path:
    if PLACEHOLDER in result:
        return Path(result.replace(PLACEHOLDER, name))
    return Path(result) / f"{name}.txt" if Path(result).is_dir() else Path(result)


def _existing(file: Path, sequence: str) -> Path:
    if not file.is_file():
        raise DataError(f"{file}: no such file; it is looked for as that of sequence {sequence}")
    return file


def sequence_info(folder: Path) -> SequenceInfo:
    """What the ``seqinfo.ini`` in a sequence's folder says; nothing where there is none.

    Raises:
        DataError: it cannot be read.
    """
    ini = folder / "seqinfo.ini"
    if not ini.is_file():
        return SequenceInfo()
    parser = ConfigParser()
    try:
        parser.read(ini, encoding="utf-8-sig")
        info = SequenceInfo(
            parser.getint("Sequence", "seqLength", fallback=None),
            parser.getfloat("Sequence", "frameRate", fallback=None),
            parser.getint("Sequence", "imWidth", fallback=None),
            parser.getint("Sequence", "imHeight", fallback=None),
        )
    except (IniError, ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{ini}: not a description of a sequence ({error})") from error
    wrong = [name for name, value in asdict(info).items() if value is not None and not value > 0]
    if wrong:
        raise DataError(f"{ini}: the {wrong[0]} is not above 0")
    return info


def _where(name: str, pairs: Sequence[Pair]) -> str:
    return " and ".join(str(pair.gt) for pair in pairs if pair.name == name)
