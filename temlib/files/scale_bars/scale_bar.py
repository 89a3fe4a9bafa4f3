"""The scale bar in a picture: a bar and its label, read together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from temlib.errors import MicrographError
from temlib.files.contents import warn
from temlib.files.scale_bars.bars import Bar, find_bars, is_half, joined
from temlib.files.scale_bars.rulers import rulers
from temlib.files.scale_bars.scale_labels import Box, Label, Text, labels_in, read_line, read_texts, resized

__all__ = ["ScaleBar", "grey_levels", "legible", "look_for_scale_bar", "read_scale_bar"]

_HUGE = 1e30  # grey levels of which are made smaller first, for float32 to hold
_COLOURED = 60  # of 255, the least difference of red, green and blue that is a colour
_LARGEST_PIXEL_NM = 1000.0  # a label in mm is one in nm, misread
_AGREE = 0.03  # of a length
_LEAST = 0.3  # of the confidence


@dataclass(frozen=True)
class ScaleBar:
    """A scale bar that was read.

    Attributes
    ----------
    label : str
        As it stands in the picture.
    length_nm, length_px : float
        From end to end [nm], [px].
    bar, label_box : (float, float, float, float)
        Left, upper, right and lower edge [px], of the bar and of its label.
    confidence : float
        From 0 to 1.
    candidates : tuple of ScaleBar
        What else was thought of, the likeliest first.
    """

    label: str
    length_nm: float
    length_px: float
    bar: Box
    label_box: Box
    confidence: float
    candidates: tuple[ScaleBar, ...] = ()

    @property
    def pixel_size_nm(self) -> float:
        """Edge of a pixel [nm]."""
        return self.length_nm / self.length_px

    @property
    def source(self) -> str:
        """Where the pixel size comes from, in words."""
        return f"scale bar, {self.label} over {self.length_px:.1f} px, read"


def read_scale_bar(image: Any) -> ScaleBar | None:
    """Read the scale bar that is burnt into a picture: its label by RapidOCR, its length on the grey levels.

    The length is measured where the bar's tone is halfway to its surroundings, from outer edge to outer edge,
    end caps and outline included; of a ruler, from the first to the last mark.

    Parameters
    ----------
    image : signal or array of shape (height, width), or array of shape (height, width, 3)
        A picture, grey or in colour; any real dtype.

    Returns
    -------
    ScaleBar, or None where nothing, too little or two things that disagree were found
        A warning says which, where there was a bar or a label.

    Raises
    ------
    MicrographError
        When the extra ``temlib[scalebar]`` is not installed.
    """
    bar, why = look_for_scale_bar(image)
    if why:
        warn(f"no scale bar was read: {why}; pass pixel_size_nm= where it is known")
    return bar


def look_for_scale_bar(image: Any) -> tuple[ScaleBar | None, str]:
    """Read a scale bar as :func:`read_scale_bar` does; give also why it was not, "" where there is none to read."""
    grey = grey_levels(image)
    if min(grey.shape) < 32 or np.ptp(grey) == 0:
        return None, ""
    bars = find_bars(grey) + rulers(grey)
    pictures = _legible(image, grey)
    labels = next((found for picture in pictures if (found := _labels(picture, bars))), [])
    if not labels:
        return None, ""
    candidates = [pair for label in labels for pair in _pairs(label, bars, grey)]
    candidates = sorted((each for each in candidates if each.confidence > 0), key=lambda each: -each.confidence)
    return _decided(candidates, labels, pictures)


def grey_levels(image: Any) -> np.ndarray:
    """Give grey levels, the least of a picture 0, the greatest 255; what is no number counts as the least."""
    data = np.asarray(image if isinstance(image, np.ndarray) else getattr(image, "data", image))
    if data.dtype.names is not None:
        data = np.stack([data[name] for name in "RGB"], axis=-1)
    if data.ndim == 3 and data.shape[2] in (3, 4):
        data = _tone(data[..., :3].astype(np.float32))
    if data.ndim != 2 or data.dtype.kind not in "biuf" or 0 in data.shape:
        raise MicrographError(
            f"a scale bar is read in a picture; got an array of shape {data.shape} and dtype {data.dtype}"
        )
    finite = np.isfinite(data)
    if not finite.any():
        return np.zeros(data.shape, np.float32)
    largest = max(abs(float(end(data[finite]))) for end in (np.min, np.max))
    grey = (data / largest if largest > _HUGE else data).astype(np.float32)
    least, most = float(grey[finite].min()), float(grey[finite].max())
    grey = np.where(finite, grey, np.float32(least))
    return (grey - np.float32(least)) * np.float32(255 / max(most - least, 1e-30))


def _tone(colours: np.ndarray) -> np.ndarray:
    """Give the luma; where a mark has a colour, that and the luma's contrast add up."""
    luma = colours @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    chroma = np.ptp(colours, axis=-1)
    if (chroma > 0.25 * max(float(colours.max()), 1e-30)).mean() > 0.2:  # a picture in colour, not a mark on a grey one
        return luma
    return np.where(luma > np.median(luma), luma + chroma, luma - chroma) if chroma.any() else luma


def _labels(picture: np.ndarray, bars: Sequence[Bar]) -> list[Label]:
    """Read the labels of a picture: on the whole of it and, where there is none, around its best bar."""
    height, width = picture.shape[:2]
    found = labels_in(read_texts(picture))
    for bar in bars[:1] if not found else []:
        if bar.quality > 0.7 and bar.length > 25:
            reach = max(0.35 * bar.length, 60.0)
            x0, x1 = max(int(bar.x0 - reach), 0), min(int(bar.x1 + reach), width)
            y0, y1 = max(int(bar.y0 - reach), 0), min(int(bar.y1 + reach), height)
            found = [_moved(label, x0, y0) for label in labels_in(read_texts(picture[y0:y1, x0:x1]))]
    return found


def legible(grey: np.ndarray) -> np.ndarray:
    """Give grey levels from 0 to 255 as a picture to read on, uint8."""
    return np.rint(np.clip(grey, 0, 255)).astype(np.uint8)


def _legible(image: Any, grey: np.ndarray) -> list[np.ndarray]:
    """Give the pictures to read on, uint8: grey levels and, where there are colours, those."""
    data = np.asarray(image if isinstance(image, np.ndarray) else getattr(image, "data", image))
    pictures = [legible(grey)]
    if data.ndim == 3 and data.dtype == np.uint8 and np.ptp(data[..., :3], axis=-1).max() > _COLOURED:
        pictures.append(np.ascontiguousarray(data[..., :3]))
    return pictures


def _moved(label: Label, x: float, y: float) -> Label:
    def moved(box: Box) -> Box:
        return box[0] + x, box[1] + y, box[2] + x, box[3] + y

    return replace(label, box=moved(label.box), line=moved(label.line))


def _pairs(label: Label, bars: Sequence[Bar], grey: np.ndarray) -> list[ScaleBar]:
    """Give the scale bars that a label could belong to, each as likely as it is near, even and sharp."""
    x0, y0, x1, y1 = label.box
    height = 0.7 * (y1 - y0)  # the box is wider than the letters
    inner = (x0 + 0.15 * height, y0 + 0.2 * height, x1 - 0.15 * height, y1 - 0.2 * height)
    whole = joined(list(bars), inner)
    candidates = []
    for bar in whole or bars:
        cost = _distance(bar, inner, height) if bar not in whole else 0.1
        if cost is None or bar.length < 0.8 * height or bar.length > 0.95 * grey.shape[1]:
            continue
        if bar not in whole and _is_beside(bar, inner) and is_half(bar, inner, grey):
            continue
        if label.length_nm / bar.length > _LARGEST_PIXEL_NM:
            continue
        confidence = bar.quality * label.score * float(np.exp(-cost / 2))
        candidates.append(
            ScaleBar(
                label.text.strip(),
                label.length_nm,
                bar.length,
                (bar.x0, bar.y0, bar.x1, bar.y1),
                label.box,
                confidence,
            )
        )
    return candidates


def _is_beside(bar: Bar, box: Box) -> bool:
    """Say whether a bar stands left or right of a label, at its height."""
    over = min(bar.x1, box[2]) - max(bar.x0, box[0])
    return over <= 0.5 * bar.length and box[1] < (bar.y0 + bar.y1) / 2 < box[3]


def _distance(bar: Bar, box: Box, height: float) -> float | None:
    """Say how far a bar is from a label, in heights of its letters; None where they do not belong together."""
    over = min(bar.x1, box[2]) - max(bar.x0, box[0])
    apart = max(bar.y0 - box[3], box[1] - bar.y1, 0)
    level = abs((bar.y0 + bar.y1) / 2 - (box[1] + box[3]) / 2)
    if over < 0.15 * bar.length and level <= 0.9 * height and -over <= 2.5 * height:
        return 0.3 + (max(-over, 0) + level) / height
    if (over > 0 and 0 < apart <= 2.5 * height) or (level > 0.35 * height and over > 0):
        centred = abs(bar.x0 + bar.x1 - box[0] - box[2]) / 2 / max(bar.length, box[2] - box[0])
        return apart / height + 0.5 * centred if apart <= 2.5 * height else None
    return None


def _decided(
    candidates: list[ScaleBar], labels: Sequence[Label], pictures: Sequence[np.ndarray]
) -> tuple[ScaleBar | None, str]:
    """Choose among candidates, or say why none can be chosen."""
    said = " and ".join(dict.fromkeys(repr(label.text) for label in labels))
    if not candidates or candidates[0].confidence < _LEAST:
        return None, f"{said} stands in the picture, but no clear bar beside it"
    best = candidates[0]
    for other in candidates[1:]:
        agree = abs(other.pixel_size_nm / best.pixel_size_nm - 1) <= _AGREE
        if not agree and other.confidence > 0.6 * best.confidence:
            lengths = [f"{each.label!r} over {each.length_px:.1f} px" for each in (best, other)]
            return None, f"{' and '.join(lengths)} disagree"
    if _is_cut(best.label_box, pictures[0]):
        return None, f"the frame cuts {best.label!r}"
    line = next(label.line for label in labels if label.box == best.label_box)
    if not any(_reads_again(best.length_nm, line, picture) for picture in pictures):
        return None, f"{best.label!r} could not be read twice alike"
    return replace(best, candidates=tuple(candidates[1:6])), ""


def _is_cut(box: Box, picture: np.ndarray) -> bool:
    """Say whether a label's letters reach the left frame of the picture: digits may be lost."""
    x0, y0, x1, y1 = (round(edge) for edge in box)
    if x0 > 1:
        return False
    trim = (y1 - y0) // 5
    letters = picture[max(y0 + trim, 0) : y1 - trim, :x1].astype(float)
    return not letters.size or bool(np.ptp(letters[:, 0]) > 0.6 * np.ptp(letters))


def _reads_again(length_nm: float, line: Box, picture: np.ndarray) -> bool:
    """Read a line of text by itself, in up to three sizes; say whether it says that length."""
    x0, y0, x1, y1 = line
    pad = 0.05 * (y1 - y0)
    letters = picture[max(int(y0 - pad), 0) : int(y1 + pad) + 1, max(int(x0 - pad), 0) : int(x1 + pad) + 1]
    for factor in (1.0, 1.7, 0.7):
        says, score = read_line(resized(letters, factor))
        found = [label.length_nm for label in labels_in([Text(says, line, score)])]
        if found:
            return any(abs(other / length_nm - 1) < 1e-6 for other in found)
    return False
