"""The tables of a batch: a row for each micrograph, all particles, their size distribution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from temlib.errors import RunError, one_line
from temlib.particles.size_distribution import size_distribution
from temlib.writing import write_table, writing_to

__all__ = ["COLUMNS", "FEWEST", "read_rows", "read_table", "whole_particles", "without_report", "write_distribution"]

FEWEST = 2
"""Whole particles that have a distribution, and a report."""

_TEXTS = ("micrograph", "file", "contrast", "warning", "note", "review", "sha256", "review_sha256")
COLUMNS = (
    *("micrograph", "file", "particles", "whole_particles", "left_out", "pixel_size_nm", "expected_iou", "contrast"),
    *("warning", "note", "review", "bytes", "sha256", "review_sha256"),
)
"""Of ``micrographs.csv``."""


def read_rows(path: Path, contrast: str) -> list[dict[str, Any]]:
    """Read the table of micrographs that an earlier run wrote.

    Parameters
    ----------
    path : Path
        The table.
    contrast : "dark", "bright" or "auto"
        That the run was told: what stands in rows that an earlier temlib wrote, which had no such column. Which of
        both ``"auto"`` took then is not known.

    Raises
    ------
    RunError
        When it is damaged, or another table.
    """
    table = read_table(path)
    if tuple(table.columns) == tuple(name for name in COLUMNS if name != "contrast"):
        table = table.assign(contrast="" if contrast == "auto" else contrast)[list(COLUMNS)]
    if not table.empty and tuple(table.columns) != COLUMNS:
        raise RunError(f"{path}: is no table of micrographs as temlib writes it; delete it, and all is done again")
    return table.to_dict("records")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table, empty where there is none; a micrograph may be called NA.

    Raises
    ------
    RunError
        When it is damaged.
    """
    try:
        if not path.exists() or not path.read_bytes().strip():
            return pd.DataFrame()
        table = pd.read_csv(path, dtype=dict.fromkeys(_TEXTS, str), keep_default_na=False, na_values=[""])
    except ValueError as error:  # also of pandas' parser, and of bytes that are no text
        raise RunError(f"{path}: cannot be read ({one_line(error)}); delete it, and it is made again") from error
    return table.fillna(dict.fromkeys(_TEXTS, ""))


def whole_particles(table: pd.DataFrame) -> int:
    """Count the particles that do not touch the edge of the image."""
    return int((~table["touches_edge"].astype(bool)).sum()) if "touches_edge" in table else 0


def write_distribution(rows: pd.DataFrame, tables: Sequence[pd.DataFrame], path: Path) -> list[str]:
    """Write the statistics of whole particles: of all together, or of each micrograph.

    Sizes in pixels of micrographs whose magnifications may differ are no population, and nm and px no
    unit: particles are pooled where every micrograph that has some has a pixel size. Else each
    micrograph has a distribution of its own, with its name and what was measured.

    Parameters
    ----------
    rows : DataFrame
        Of micrographs.
    tables : sequence of DataFrame
        Their particles.
    path : Path
        To write; removed where nothing has a distribution.

    Returns
    -------
    list of str
        A line that says why, where particles are not pooled.
    """
    some = (rows["particles"] > 0).tolist()
    unknown = int(rows["pixel_size_nm"][some].isna().sum())
    full = [table for table in tables if len(table)] or tables  # an empty one has other columns
    named = zip(rows["micrograph"], tables, strict=True) if unknown else [(None, pd.concat(full))]
    parts = [_statistics(table, name) for name, table in named if whole_particles(table) >= FEWEST]
    if not parts:
        with writing_to(path):
            path.unlink(missing_ok=True)
        return []
    write_table(path, pd.concat(parts))
    if not unknown:
        return []
    return [
        f"{path}: one distribution for each micrograph, since {unknown} of {sum(some)} have no pixel size and may "
        "differ in magnification; give --pixel-size where they do not"
    ]


def without_report(rows: pd.DataFrame) -> list[str]:
    """Name the micrographs that have too few particles for a report, in a line."""
    few = rows.loc[rows["whole_particles"] < FEWEST, "micrograph"].tolist()
    if not few:
        return []
    names = ", ".join(few[:5]) + (f" and {len(few) - 5} more" if len(few) > 5 else "")
    return [f"no report of {names}: fewer than {FEWEST} whole particles"]


def _statistics(table: pd.DataFrame, micrograph: str | None = None) -> pd.DataFrame:
    distribution = size_distribution(table)
    statistics = distribution.to_frame().reset_index()
    if micrograph is not None:
        statistics.insert(0, "micrograph", micrograph)
        statistics.insert(1, "size", distribution.column)
    return statistics
