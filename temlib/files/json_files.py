"""JSON that anybody may have written: no more of it is read than fits, and what is wrong is said in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from temlib.errors import TemlibError, one_line

__all__ = ["in_range", "parse_json", "read_bytes", "read_json"]

MOST_BYTES = 2**25
"""By default: Python's objects take up to thirty times as much memory as their text."""


def read_json(
    path: str | os.PathLike,
    most_bytes: int = MOST_BYTES,
    kind: type = dict,
    error: type[TemlibError] = TemlibError,
) -> Any:
    """Read a JSON file in UTF-8.

    Parameters
    ----------
    path : path
        The file.
    most_bytes : int
        A larger file is not read.
    kind : type
        What it must hold: dict, list, or object for anything.
    error : type of TemlibError
        What is raised when it cannot be read.

    Raises
    ------
    TemlibError
        When there is no such file, or it is too large, is no JSON, nested too deeply, or holds another kind.
    """
    try:
        return parse_json(read_bytes(path, most_bytes), most_bytes, kind)
    except (OSError, ValueError) as flaw:
        reason = flaw.strerror if isinstance(flaw, OSError) and flaw.strerror else one_line(flaw)
        raise error(f"{path}: cannot be read as JSON ({reason}); check the file, or move it away") from flaw


def read_bytes(path: str | os.PathLike, most_bytes: int = MOST_BYTES) -> bytes:
    """Read a file, or one byte more than fits of a larger one.

    Raises
    ------
    OSError or ValueError
        When there is no such file, or it is a folder, a pipe or a device.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError("it is no file" if path.exists() else "it is not there")
    with path.open("rb") as file:
        return file.read(most_bytes + 1)


def parse_json(text: bytes, most_bytes: int = MOST_BYTES, kind: type = dict) -> Any:
    """Parse JSON in UTF-8; see :func:`read_json`.

    Raises
    ------
    ValueError
        When it is too long, no JSON, nested too deeply, or holds another kind.
    """
    if len(text) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes:,} bytes")
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(content, kind):
        raise ValueError(f"it holds a {type(content).__name__}, not a {kind.__name__}")
    return content


def in_range(name: str, value: Any, least: float, most: float) -> float:
    """Give a number that came from outside.

    Raises
    ------
    ValueError
        When it is no number, not finite or out of range.
    """
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:
        raise ValueError(f"{name} is {str(value)[:60]!r}; it must be a number from {least:g} to {most:g}")
    return float(value)
