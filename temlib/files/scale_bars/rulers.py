"""Rulers: rows of even marks, as Hitachi's microscopes write them; found by shape alone."""

from __future__ import annotations

import numpy as np

from temlib.files.scale_bars.bars import Bar, runs

__all__ = ["rulers"]

_MARKS = 11  # of ten parts: with fewer, the frame may have cut it
_THICKEST = 8  # px, of a mark
_EVEN = 0.12  # px and share of their distance by which marks may be off


def rulers(grey: np.ndarray) -> list[Bar]:
    """Find rows of eleven even marks; each is a bar from its first mark's middle to its last one's.

    Parameters
    ----------
    grey : array of shape (height, width)
        Grey levels from 0 to 255.
    """
    found: list[Bar] = []
    for sign in (1, -1):
        before: list[Bar] = []
        for y, row in enumerate(grey):
            here = _in_row(row.astype(np.float32), y, sign)
            for bar in here:
                above = next((b for b in before if abs(b.x0 - bar.x0) < 1 and abs(b.x1 - bar.x1) < 1), None)
                if above is not None and not any(abs(f.x0 - bar.x0) < 2 and abs(f.y0 - bar.y0) < 60 for f in found):
                    x0, x1 = (above.x0 + bar.x0) / 2, (above.x1 + bar.x1) / 2
                    found.append(Bar(x0, x1, y - 1, y + 1, bar.contrast, 0.95))
            before = here
    return found


def _in_row(row: np.ndarray, y: int, sign: int) -> list[Bar]:
    level = float(np.median(row))
    high = sign * (row - level)
    if high.max() < 40:
        return []
    _, starts, ends = runs(high[None] > 0.5 * high.max()).T
    thin = ends - starts <= _THICKEST
    middles = [float(np.average(np.arange(a, b) + 0.5, weights=high[a:b])) for a, b in zip(starts[thin], ends[thin])]
    return _even_ones(np.array(middles), y, sign * float(high.max()))


def _even_ones(middles: np.ndarray, y: int, contrast: float) -> list[Bar]:
    """Find runs of exactly eleven marks at even distances."""
    gaps, found, first = np.diff(middles), [], 0
    while first < len(gaps):
        last = first
        while last + 1 < len(gaps) and abs(gaps[last + 1] - gaps[first]) < _EVEN * gaps[first] + 1:
            last += 1
        if last - first + 2 == _MARKS and gaps[first] > 3:
            found.append(Bar(middles[first], middles[last + 1], y, y + 1, contrast, 0.95))
        first = last + 1
    return found
