"""Marks: data bars, scale bars and letters that are burnt into a picture, and belong to no particle."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from temlib.files.scale_bars.bars import Bar, find_bars
from temlib.files.scale_bars.scale_bar import grey_levels, legible, look_for_scale_bar
from temlib.files.scale_bars.scale_labels import Box, can_read, read_texts

__all__ = ["data_bar", "find_marks", "has_8_bits", "without_marks"]

_PAPER = 0.55  # share of a data bar's row that has the tone of its paper
_LOWEST, _HIGHEST = 0.02, 0.25  # of the picture, that a data bar takes
_SURE = 0.75  # quality of a bar that is no particle
_FLAT = 6.0  # of 255: a drawn tone is even, and the picture's darkest or brightest
_TEXT = 0.9  # score of a text
_TALLEST = 0.2  # of the picture, for a line of text
_MARGIN = 2  # px around a mark
_PLAIN = 0.9  # share of a line of pixels that has the paper's tone, on it
_BEYOND = 0.4  # and at most, beside it
_SHEET = 0.15  # of the picture, that the paper behind a mark takes at most


def find_marks(image: Any, read: bool = True) -> np.ndarray:
    """Find what is burnt into a picture: data bars, scale bars, letters, and the white or black paper behind them.

    Letters are read where the extra ``temlib[scalebar]`` is installed, in pictures of 8 bits, as programs export
    them, and in others that have a bar; what a detector counted bears none. Elsewhere those beside a scale bar, of
    its tone, are found by shape.

    Parameters
    ----------
    image : signal or array of shape (height, width)
        A picture.
    read : bool
        Read letters where that is possible, a second a picture; else all is found by shape, on each machine alike.

    Returns
    -------
    bool array of shape (height, width)
    """
    grey = grey_levels(image)
    marks = np.zeros(grey.shape, bool)
    if min(grey.shape) < 64 or np.ptp(grey) == 0:
        return marks
    first, last = data_bar(grey)
    marks[:first], marks[last:] = True, True
    bars = [bar for bar in find_bars(grey) if _is_drawn(bar, grey)]
    boxes: list[Box] = [(bar.x0, bar.y0, bar.x1, bar.y1) for bar in bars]
    boxes += [box for bar in bars for box in _letters(grey, bar)]
    if read and (boxes or marks.any() or has_8_bits(image)) and can_read():
        boxes += _read(grey)
    for box in boxes:
        _mark(marks, box)
    for box in boxes:
        if paper := _paper(grey, box, marks):
            _mark(marks, paper)
    return marks


def has_8_bits(image: Any) -> bool:
    """Say whether a picture has 8 bits, as one that a program exported, with what it burnt in."""
    return np.asarray(image if isinstance(image, np.ndarray) else getattr(image, "data", image)).dtype.itemsize == 1


def _read(grey: np.ndarray) -> list[Box]:
    """Give the boxes of lines of text and of the scale bar, of whatever tone."""
    found, _ = look_for_scale_bar(grey)
    boxes = [found.bar] if found else []
    for text in read_texts(legible(grey)):
        high = text.box[3] - text.box[1]
        if text.score > _TEXT and high < _TALLEST * len(grey) and any(sign.isalnum() for sign in text.says):
            boxes.append(text.box)
    return boxes


def data_bar(grey: np.ndarray) -> tuple[int, int]:
    """Find data bars above and below a micrograph: give its first row, and the one behind its last.

    A data bar is a strip along the whole side, most of each row of which has one tone, its paper's.

    Parameters
    ----------
    grey : array of shape (height, width)
        Grey levels from 0 to 255.
    """
    return _strip(grey), len(grey) - _strip(grey[::-1])


def without_marks(labels: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Take marks out of labels: what lies mostly under them is no particle, the rest ends where they begin.

    Parameters
    ----------
    labels : int array of shape (height, width)
        Particles, 0 is background.
    marks : bool array of the same shape
        As of :func:`find_marks`.
    """
    area = np.bincount(labels.ravel())
    hidden = np.bincount(labels.ravel(), weights=marks.ravel(), minlength=len(area))
    stay = (hidden <= 0.5 * area) & (area > 0)
    stay[0] = False
    numbers = np.where(stay, np.cumsum(stay), 0)
    kept = numbers.astype(labels.dtype)[labels]
    kept[marks] = 0
    return kept


def _strip(grey: np.ndarray) -> int:
    """Give how many rows at the upper side belong to a data bar."""
    highest = int(_HIGHEST * len(grey))
    paper = _commonest(grey[: max(int(_LOWEST * len(grey)), 2)])
    if paper is None:
        return 0
    plain = (np.abs(grey[:highest] - paper) < _FLAT).mean(axis=1) > _PAPER
    rows = int(np.argmin(plain)) if not plain.all() else highest
    edge = np.abs(np.median(grey[rows : rows + 3]) - paper)
    return rows if _LOWEST * len(grey) <= rows < highest and edge > 2 * _FLAT else 0


def _commonest(rows: np.ndarray) -> float | None:
    """Give the tone that most of some rows have; None where it is neither near black nor near white, nor even."""
    tone = float(np.median(rows))
    return tone if (np.abs(rows - tone) < _FLAT / 2).mean() > _PAPER else None


def _is_drawn(bar: Bar, grey: np.ndarray) -> bool:
    """Say whether a bar is drawn and no rod: even, and the darkest or the brightest of the picture."""
    if bar.quality < _SURE or bar.length < 20:
        return False
    middle, half = (bar.y0 + bar.y1) / 2, bar.thickness / 6
    inner = grey[int(middle - half) : int(middle + half) + 1, int(bar.x0 + 3) : int(bar.x1 - 2)]
    if not inner.size:
        return False
    tone = float(np.median(inner))
    return bool(np.abs(inner - tone).mean() < _FLAT and min(tone, 255 - tone) < 3 * _FLAT)


def _letters(grey: np.ndarray, bar: Bar) -> list[Box]:
    """Find letters beside a bar by its tone: small shapes, none of which is much longer than it is high."""
    reach = int(max(0.5 * bar.length, 40))
    rows = slice(max(int(bar.y0) - reach, 0), int(bar.y1) + reach)
    columns = slice(max(int(bar.x0) - reach, 0), int(bar.x1) + reach)
    window = grey[rows, columns]
    numbered, _ = ndimage.label(255 - window < 40 if bar.contrast > 0 else window < 40, np.ones((3, 3)))
    found: list[Box] = []
    boxes = [box for box in ndimage.find_objects(numbered) if _is_letter(box, reach)]
    sizes = [box[0].stop - box[0].start for box in boxes]
    for box, size in zip(boxes, sizes, strict=True):
        if sum(_are_neighbours(box, other, size) for other in boxes) >= 3:  # itself and two more
            top, left = rows.start + box[0].start, columns.start + box[1].start
            found.append((left, top, left + box[1].stop - box[1].start, top + size))
    return found


def _are_neighbours(box: tuple[slice, slice], other: tuple[slice, slice], size: int) -> bool:
    """Say whether two shapes stand on one line, near one another, and could be letters of one size."""
    on_line = abs(other[0].stop - box[0].stop) <= 0.35 * size + 1
    gap = max(other[1].start - box[1].stop, box[1].start - other[1].stop)
    return on_line and gap < 2 * size and 0.5 * size < other[0].stop - other[0].start < 2 * size


def _is_letter(box: tuple[slice, slice], reach: int) -> bool:
    height, width = box[0].stop - box[0].start, box[1].stop - box[1].start
    return 5 <= height <= 0.8 * reach and 1 <= width <= 1.6 * height


def _paper(grey: np.ndarray, box: Box, marks: np.ndarray) -> Box | None:
    """Find the paper behind a mark: a rectangle of one tone, white or black, beside which others begin.

    It grows from the mark's box as long as the next line of pixels has its tone, or is marked.
    """
    x0, y0, x1, y1 = _pixels(box, grey.shape)
    around = (slice(max(y0 - 1, 0), y1 + 1), slice(max(x0 - 1, 0), x1 + 1))
    ring = grey[around][~marks[around]]  # nothing where a paper was found before
    if not ring.size or min(tone := float(np.median(ring)), 255 - tone) > 3 * _FLAT:
        return None

    def plain(rows: slice, columns: slice) -> float:
        """Give the share of a line that has the paper's tone or is marked; none beyond the picture."""
        line = (np.abs(grey[rows, columns] - tone) < _FLAT) | marks[rows, columns]
        return float(line.mean()) if line.size else 0.0

    beside, grows = [0.0], True
    while grows and (x1 - x0) * (y1 - y0) <= _SHEET * grey.size:
        rows, columns = slice(y0, y1), slice(x0, x1)
        beside = [
            plain(rows, slice(max(x0 - 1, 0), x0)),
            plain(rows, slice(x1, x1 + 1)),
            plain(slice(max(y0 - 1, 0), y0), columns),
            plain(slice(y1, y1 + 1), columns),
        ]
        left, right, above, below = (share > _PLAIN for share in beside)
        x0, x1, y0, y1 = x0 - left, x1 + right, y0 - above, y1 + below
        grows = left or right or above or below
    return None if grows or max(beside) > _BEYOND else (x0, y0, x1, y1)


def _mark(marks: np.ndarray, box: Box) -> None:
    x0, y0, x1, y1 = _pixels(box, marks.shape)
    marks[y0:y1, x0:x1] = True


def _pixels(box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Give the whole pixels of a box and its margin, within the picture."""
    left, top = (max(int(edge) - _MARGIN, 0) for edge in box[:2])
    right, bottom = (min(int(np.ceil(edge)) + _MARGIN, most) for edge, most in zip(box[2:], shape[::-1], strict=True))
    return left, top, right, bottom
