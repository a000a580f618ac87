"""A Parquet table that is written row by row; pyarrow is the extra ``tables``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.batch.results.columns import Columns, Row, Type
from pipeline.errors import DataError, OutputError
from pipeline.output.files import PartFile

#: Rows of a row group, which is what readers skip or read as a whole, and what waits in memory.
GROUP = 1 << 16


def check_installed() -> None:
    """Makes sure that tables can be written.

    Raises:
        OutputError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise OutputError(
            f"Parquet tables need pyarrow ({error}); run: pip install 'sightline[tables]', or "
            "leave out batch.parquet"
        ) from error


class Table:
    """One table; it takes its name at `finish`, after its `end`.

    The same rows give the same bytes with the same version of pyarrow.

    Args:
        path: as `PartFile`.
        columns: name and type of each.
        sorted_by: the columns that the rows are sorted by, which readers are told.

    Raises:
        OutputError: as `PartFile`, or pyarrow is not installed.
    """

    def __init__(self, path: Path, columns: Columns, sorted_by: Sequence[str]) -> None:
        check_installed()
        import pyarrow
        from pyarrow import parquet

        self._schema = pyarrow.schema([(name, _type(kind)) for name, kind in columns.items()])
        self._rows: list[Row] = []
        self._file = PartFile(path)
        order = [(name, "ascending") for name in sorted_by]
        try:
            self._writer = parquet.ParquetWriter(
                self._file.part,
                self._schema,
                compression="zstd",
                sorting_columns=parquet.SortingColumn.from_ordering(self._schema, order),
            )
        except OSError as error:
            self._drop()
            raise OutputError(f"cannot write {path}: {error}") from error

    def add(self, rows: Iterable[Row]) -> None:
        """Appends rows.

        Raises:
            OutputError: they cannot be written.
            DataError: a value is not of its column's type.
        """
        self._rows.extend(rows)
        while len(self._rows) >= GROUP:
            self._write(self._rows[:GROUP])
            del self._rows[:GROUP]

    def _write(self, rows: Sequence[Row]) -> None:
        """Writes a row group."""
        import pyarrow

        values = zip(*rows, strict=True) if rows else [()] * len(self._schema)
        try:
            arrays = [
                pyarrow.array(column, field.type)
                for column, field in zip(values, self._schema, strict=True)
            ]
        except (ValueError, TypeError) as error:  # pyarrow's own errors are such
            raise DataError(
                f"{self._file.path}: a line of results does not fit the columns: {error}"
            ) from error
        with self._writing():
            self._writer.write_table(pyarrow.table(arrays, schema=self._schema))

    def end(self) -> None:
        """Writes the rest; raises as `add`."""
        self._write(self._rows)
        self._rows.clear()
        with self._writing():
            self._writer.close()

    def finish(self) -> None:
        """Gives the table that was ended its name; raises as `PartFile.finish`."""
        self._file.finish()

    def close(self) -> None:
        """Gives it back; of one that was not finished nothing is left, as nobody could read it."""
        with suppress(OSError):
            self._writer.close()
        self._drop()

    def _drop(self) -> None:
        self._file.part.unlink(missing_ok=True)
        self._file.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(f"cannot write {self._file.path}: {error}") from error


def _type(kind: Type) -> Any:
    """What pyarrow calls a column's type."""
    import pyarrow

    if kind == "word":
        return pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    return pyarrow.string() if kind == "text" else pyarrow.type_for_alias(kind)
