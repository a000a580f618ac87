"""What is made of a batch's results, and how programs read them."""

from pipeline.batch.results.notebook import write_notebook
from pipeline.batch.results.parquet import check_installed
from pipeline.batch.results.reader import ClipResults, read
from pipeline.batch.results.tables import write_tables

__all__ = ["ClipResults", "check_installed", "read", "write_notebook", "write_tables"]
