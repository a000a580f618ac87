"""The notebook beside the results, for people who want to look further."""

from __future__ import annotations

from pathlib import Path

from pipeline.batch import durable
from pipeline.errors import OutputError

_TEMPLATE = Path(__file__).with_name("notebook.ipynb")


def write_notebook(out: Path) -> None:
    """Writes results.ipynb; one that is there stays, as people work in it.

    Args:
        out: the folder of the batch; the notebook reads what is beside it when it is run.

    Raises:
        OutputError: it cannot be written.
    """
    path = out / "results.ipynb"
    if path.exists():
        return
    try:
        durable.write(path, _TEMPLATE.read_bytes())
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
