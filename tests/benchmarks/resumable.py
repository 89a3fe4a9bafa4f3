"""A table that a benchmark fills row by row, and which a rerun continues."""

from pathlib import Path
from typing import Any

import pandas as pd

from temlib.writing import write_table


class Results:
    """The results that lie in a csv file, known by some of their columns.

    Attributes
    ----------
    path : Path
        The file; it need not exist.
    keys : tuple of str
        The columns that say what was tried.
    table : DataFrame
        What is known by now.
    """

    def __init__(self, path: Path, keys: tuple[str, ...], float_format: str = "%.4g", **reading: Any) -> None:
        self.path, self.keys, self._float_format = path, keys, float_format
        self.table = pd.read_csv(path, **reading) if path.exists() else pd.DataFrame(columns=list(keys))

    def has(self, *values: Any) -> bool:
        """Say whether there are results of these keys."""
        known = [self.table[key] == value for key, value in zip(self.keys, values, strict=True)]
        return bool(pd.concat(known, axis=1).all(axis=1).any())

    def forget(self, rows: pd.Series) -> None:
        """Forget the results of some rows (bool), so that they are found anew; the file is left as it is."""
        self.table = self.table[~rows]

    def add(self, rows: pd.DataFrame | list[dict[str, Any]]) -> None:
        """Add results, and write them all."""
        new = pd.DataFrame(rows)
        self.table = new if self.table.empty else pd.concat([self.table, new], ignore_index=True)
        write_table(self.path, self.table, self._float_format)
