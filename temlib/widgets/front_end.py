"""What the painter and the reviewer share on the side of Python: JavaScript, pictures as bytes, micrographs by name."""

from __future__ import annotations

import io
import os
from collections.abc import Container
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from temlib.errors import MicrographError
from temlib.files.micrographs import as_array
from temlib.jobs.inputs import files_in, names_of

__all__ = ["front_end", "png_of", "sources_of"]

_HERE = Path(__file__).parent


def front_end(name: str) -> str:
    """Give the text of a widget's JavaScript, after what all share."""
    return "\n".join((_HERE / part).read_text(encoding="utf-8") for part in ("stage.js", name))


def sources_of(micrographs: Any) -> dict[str, Any]:
    """Name each micrograph: files after their stems, others after their titles."""
    single = isinstance(micrographs, str | os.PathLike | np.ndarray) or hasattr(micrographs, "axes_manager")
    given = [micrographs] if single else list(micrographs)
    if given and all(isinstance(each, str | os.PathLike) for each in given):
        return dict(names_of(files_in([Path(each) for each in given])))
    if not given:
        raise MicrographError("there is nothing to look at; pass micrographs, files or a folder")
    sources: dict[str, Any] = {}
    for number, each in enumerate(given, start=1):
        as_array(each)
        title = each.metadata.get_item("General.title", "") if hasattr(each, "metadata") else ""
        name = "".join(c if c.isalnum() or c in "-_. " else "_" for c in title).strip(". ") or f"micrograph_{number}"
        sources[_free(name, number, sources)] = each
    return sources


def _free(name: str, number: int, taken: Container[str]) -> str:
    """Give the name, with the first number from this one on that makes it free where it is taken."""
    if name not in taken:
        return name
    return next(numbered for n in count(number) if (numbered := f"{name}_{n}") not in taken)


def png_of(array: np.ndarray) -> bytes:
    """Give an array as a png file: grey levels of uint8, or colours of shape (height, width, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
