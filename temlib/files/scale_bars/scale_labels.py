"""Labels of scale bars: texts of a number and a unit of length, read by RapidOCR.

RapidOCR is the extra ``temlib[scalebar]`` and is imported when something is to be read. Its models lie in its
wheel: nothing is fetched.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from PIL import Image

from temlib.errors import MicrographError

__all__ = ["Box", "Label", "Text", "can_read", "labels_in", "length_of", "read_line", "read_texts", "resized"]

Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge [px]."""

_UNITS = {"nm": 1.0, "µm": 1e3, "mm": 1e6, "Å": 0.1}
_MICRO = ("um", "μm", "µm", "pm", "ym", "jm", "hm", "μ", "µ", "/m", "цm")  # as they are read
_NUMBER = r"(?<![\d.,=:])(\d{1,4}(?:[.,]\d{1,3})?)"
_UNIT = r"(n\s?m|[uμµц]\s?m|[pyjh]m|mm|Å|A\b)"
_LABEL = re.compile(rf"{_NUMBER}\s*{_UNIT}(?![a-zA-Z0-9])")
_ELSEWHERE = re.compile(r"(wd|hfw|hv|width|dist|mag|field|spot)\W*$", re.IGNORECASE)  # lengths that are no bar's
_LEAST_SCORE = 0.6
_LARGEST_EDGE = 1600  # px


@dataclass(frozen=True)
class Text:
    """A line of text in a picture: what it says, its box [px], and from 0 to 1 how sure that is."""

    says: str
    box: Box
    score: float


@dataclass(frozen=True)
class Label:
    """A length that stands in a picture.

    Attributes
    ----------
    text : str
        As it was read.
    length_nm : float
        What it means [nm].
    box : (float, float, float, float)
        Where it stands [px].
    line : (float, float, float, float)
        Where the line of text is that it stands in [px].
    score : float
        From 0 to 1, how sure the reading is.
    """

    text: str
    length_nm: float
    box: Box
    line: Box
    score: float


def can_read() -> bool:
    """Say whether the extra is installed."""
    return all(find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))


def read_texts(picture: np.ndarray) -> list[Text]:
    """Read all lines of text in a picture.

    Parameters
    ----------
    picture : uint8 array of shape (height, width), or (height, width, 3)
        Grey levels, or colours. What is larger than 1600 px is read on a smaller picture.

    Raises
    ------
    MicrographError
        When the extra is not installed.
    """
    factor = min(1.0, _LARGEST_EDGE / max(picture.shape[:2]))
    small = resized(picture, factor)
    texts = _texts(small.tobytes(), small.shape)
    return [replace(text, box=_divided(text.box, factor)) for text in texts]


def resized(picture: np.ndarray, factor: float) -> np.ndarray:
    """Make a picture smaller or larger; uint8."""
    if factor == 1:
        return picture
    size = (max(round(factor * picture.shape[1]), 1), max(round(factor * picture.shape[0]), 1))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))


def _divided(box: Box, factor: float) -> Box:
    return box[0] / factor, box[1] / factor, box[2] / factor, box[3] / factor


@lru_cache(maxsize=4)
def _texts(content: bytes, shape: tuple[int, ...]) -> tuple[Text, ...]:
    """Read a picture once, however many ask."""
    picture = np.frombuffer(content, np.uint8).reshape(shape)
    found = _reader()(_coloured(picture), use_det=True, use_cls=False, use_rec=True)
    if not found.txts or getattr(found, "boxes", None) is None:
        return ()
    return tuple(
        Text(says, (*corners.min(axis=0), *corners.max(axis=0)), float(score))
        for says, corners, score in zip(found.txts, np.asarray(found.boxes, float), found.scores, strict=True)
    )


def read_line(picture: np.ndarray) -> tuple[str, float]:
    """Read a picture that holds one line of text; give what it says and how sure that is."""
    found = _reader()(_coloured(picture), use_det=False, use_cls=False, use_rec=True)
    return (found.txts[0], float(found.scores[0])) if found.txts else ("", 0.0)


def labels_in(texts: Sequence[Text]) -> list[Label]:
    """Find the lengths among texts; of a line that says more, the part of the box where the length stands."""
    labels = []
    for text in [*texts, *_split(texts)]:
        for found in _LABEL.finditer(text.says):
            length = length_of(found[0])
            if length is None or text.score < _LEAST_SCORE or _ELSEWHERE.search(text.says[: found.start()]):
                continue
            x0, y0, x1, y1 = text.box
            per_letter = (x1 - x0) / len(text.says)
            box = (x0 + found.start() * per_letter, y0, x0 + found.end() * per_letter, y1)
            labels.append(Label(found[0], length, box, text.box, text.score))
    return labels


def _split(texts: Sequence[Text]) -> list[Text]:
    """Join a number with the unit that stands behind it in a box of its own."""
    numbers = [text for text in texts if re.fullmatch(r"\d+([.,]\d+)?", text.says.strip())]
    units = [text for text in texts if re.fullmatch(_UNIT, text.says.strip())]
    return [
        Text(
            f"{number.says.strip()} {unit.says.strip()}",
            (number.box[0], min(number.box[1], unit.box[1]), unit.box[2], max(number.box[3], unit.box[3])),
            min(number.score, unit.score),
        )
        for number in numbers
        for unit in units
        if abs(number.box[1] + number.box[3] - unit.box[1] - unit.box[3]) < number.box[3] - number.box[1]
        and -0.5 < (unit.box[0] - number.box[2]) / (number.box[3] - number.box[1]) < 1.5
    ]


def length_of(text: str) -> float | None:
    """Give the length that a text means [nm]; None where it means none, or could mean another.

    ``pm`` is how ``µm`` is often read: it is understood up to 50, where a bar could not be picometres.
    """
    found = _LABEL.fullmatch(text.strip())
    if found is None:
        return None
    number, unit = found[1].replace(",", "."), found[2].replace(" ", "")
    if re.fullmatch(r"0\d+.*", number) or float(number) <= 0:  # 05: a point is lost
        return None
    if unit in _MICRO:
        if unit[0] == "p" and float(number) > 50:
            return None
        unit = "µm"
    return float(number) * _UNITS.get("Å" if unit == "A" else unit, np.nan)


def _coloured(picture: np.ndarray) -> np.ndarray:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)


@lru_cache(maxsize=1)
def _reader() -> Any:
    if not can_read():
        raise MicrographError(
            "reading a scale bar needs RapidOCR, which is not installed; run: pip install 'temlib[scalebar]', "
            "or pass pixel_size_nm="
        )
    from rapidocr import RapidOCR

    quiet = {"Global.log_level": "error", "Global.use_cls": False}
    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    reader = RapidOCR(params=quiet | threads)
    logging.getLogger("RapidOCR").setLevel(logging.ERROR)
    return reader
