"""Bars: straight, level, even marks burnt into a picture, found by shape alone and measured to a fraction of a pixel.

A bar has a level upper and a level lower edge of opposite sign and the same extent, an even tone between
them, and two sharp ends. Particles seldom have all four.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

__all__ = ["Bar", "find_bars", "is_half", "joined", "runs"]

_SMOOTHED = 7  # px along a row, against noise
_SHORTEST = 12  # px
_THICKEST = 0.5  # of its length
_LEAST_CONTRAST = 14.0  # of 255
_ALIKE = 0.6  # share of two edges' extents that they have in common
_COVERED = 0.85  # share of a bar's length along which it differs from what is above and below
_CUT = 12  # px above the lower frame
_OUTLINE = 0.2  # of a bar's contrast
_END = 12  # px beyond an end that are looked at


@dataclass(frozen=True)
class Bar:
    """A bar in a picture.

    Attributes
    ----------
    x0, x1 : float
        Its ends [px], 0 being the left edge of the picture's first column.
    y0, y1 : float
        Its upper and lower edge [px], to about a pixel.
    contrast : float
        Its tone less that of its surroundings, of 255.
    quality : float
        From 0 to 1: how even, how sharp and how complete it is.
    """

    x0: float
    x1: float
    y0: float
    y1: float
    contrast: float
    quality: float

    @property
    def length(self) -> float:
        """From end to end [px]."""
        return self.x1 - self.x0

    @property
    def thickness(self) -> float:
        """From edge to edge [px]."""
        return self.y1 - self.y0


def find_bars(grey: np.ndarray) -> list[Bar]:
    """Find the bars of a picture, the best first.

    Parameters
    ----------
    grey : array of shape (height, width)
        Grey levels from 0 to 255.

    Returns
    -------
    list of Bar
        No two of them are the same; a frame's lines, the strokes of letters and rods may be among them.
    """
    grey = np.asarray(grey, dtype=np.float32)
    if min(grey.shape) < 2 * _SHORTEST:
        return []
    rises, falls = _edges(grey)
    pairs = [*_pairs(rises, falls), *_cut(rises, len(grey)), *_pairs(falls, rises), *_cut(falls, len(grey))]
    kept = _best_of_each([bar for pair in pairs if (bar := _measured(grey, *pair))])
    return [_with_outline(grey, bar) for bar in kept if not any(_is_around(bar, other) for other in kept)]


def joined(bars: list[Bar], label: tuple[float, float, float, float]) -> list[Bar]:
    """Join what stands left and right of a label into the bar that it interrupts.

    Parameters
    ----------
    bars : list of Bar
        Among which the two halves are.
    label : (float, float, float, float)
        Left, upper, right and lower edge of the label [px].
    """
    whole = []
    x0, y0, x1, y1 = label
    beside = [bar for bar in bars if y0 < (bar.y0 + bar.y1) / 2 < y1]
    for left in beside:
        for right in beside:
            gap = right.x0 - left.x1
            between = min(x1, right.x0) - max(x0, left.x1) > 0.45 * gap  # the box may hold a half, too
            near = between and left.x0 - gap < x0 and x1 < right.x1 + gap
            level = abs(left.y0 - right.y0) <= 1.5 and abs(left.y1 - right.y1) <= 1.5
            if near and level and left.x1 < right.x0 and left.contrast * right.contrast > 0:
                ratio = min(left.length, right.length) / max(left.length, right.length)
                if ratio > 0.8:
                    whole.append(replace(left, x1=right.x1, quality=min(left.quality, right.quality) * ratio))
    return whole


def is_half(bar: Bar, label: tuple[float, float, float, float], grey: np.ndarray) -> bool:
    """Say whether a bar beside a label goes on at its other side: then it is a half, whether or not that was found."""
    x0, _, x1, _ = label
    reach = x1 - x0 + 2 * bar.length
    first, last = (bar.x0 - reach, bar.x0 - 2) if bar.x0 + bar.x1 > x0 + x1 else (bar.x1 + 2, bar.x1 + reach)
    thick = 0.25 * bar.thickness
    rows = slice(int(bar.y0 + thick), max(int(np.ceil(bar.y1 - thick)), int(bar.y0 + thick) + 1))
    line = grey[rows].mean(axis=0)
    tone = float(np.median(line[int(bar.x0 + 0.2 * bar.length) : int(bar.x1 - 0.2 * bar.length) + 1]))
    alike = np.abs(line[max(int(first), 0) : max(int(last), 0)] - tone) < 0.4 * abs(bar.contrast)
    _, starts, ends = runs(alike[None]).T
    lengths = ends - starts
    return bool(((lengths > 0.6 * bar.length) & (lengths < 1.5 * bar.length)).any())


def _edges(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give runs (y, x0, x1) of rising and falling steps down the rows: where bars of either tone may begin and end."""
    even = ndimage.uniform_filter1d(grey, _SMOOTHED, axis=1, mode="nearest")
    step = np.zeros_like(even)
    step[1:-1] = even[2:] - even[:-2]
    noise = 1.4826 * np.median(np.abs(step - np.median(step)))
    least = max(_LEAST_CONTRAST * 0.6, min(2.0 * noise, 40.0))
    rises, falls = (runs(steep) for steep in (step > least, step < -least))
    return rises[rises[:, 2] - rises[:, 1] >= _SHORTEST], falls[falls[:, 2] - falls[:, 1] >= _SHORTEST]


def runs(mask: np.ndarray) -> np.ndarray:
    """Give the runs along the rows of a mask: int array (n, 3) of y, x0, x1 (behind the end)."""
    change = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    ys, starts = np.nonzero(change == 1)
    return np.stack([ys, starts, np.nonzero(change == -1)[1]], axis=1)


def _pairs(tops: np.ndarray, bottoms: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Pair upper edges with the lower edges of the same extent."""
    pairs = []
    for y, x0, x1 in tops:
        low = np.searchsorted(bottoms[:, 0], y + 2)
        high = np.searchsorted(bottoms[:, 0], y + max(3, int(_THICKEST * (x1 - x0))) + 2)
        below = bottoms[low:high]
        common = np.minimum(below[:, 2], x1) - np.maximum(below[:, 1], x0)
        most = np.maximum(below[:, 2], x1) - np.minimum(below[:, 1], x0)
        pairs += [
            (int(y), int(other[0]), int(max(x0, other[1])), int(min(x1, other[2])))
            for other in below[common > _ALIKE * most]
        ]
    return pairs


def _cut(tops: np.ndarray, height: int) -> list[tuple[int, int, int, int]]:
    """Pair upper edges near the lower frame with that frame."""
    return [(int(y), height - 1, int(x0), int(x1)) for y, x0, x1 in tops[tops[:, 0] >= height - _CUT] if y < height - 2]


def _measured(grey: np.ndarray, y0: int, y1: int, x0: int, x1: int) -> Bar | None:
    """Measure a bar between two edges; None where it is none."""
    inner = slice(y0 + 1, max(y1, y0 + 2)) if y1 - y0 < 4 else slice(y0 + 2, y1 - 1)
    left, right = max(x0 - _END, 0), x1 + _END
    profile = grey[inner, left:right].mean(axis=0)
    core = slice(x0 - left + 3, x1 - left - 3)
    if core.stop - core.start < 5:
        return None
    tones = np.sort(profile[core])
    tone = float(_share(tones, 0.5))
    above = _ground(grey[max(y0 - 4, 0) : y0, left:right][::-1], tone, core)
    below = _ground(grey[y1 + 1 : y1 + 5, left:right], tone, core)
    if above is None:
        return None
    below = above if below is None else below  # the frame cuts it lengthwise
    contrast = tone - float(_share(np.sort(np.concatenate([above[core], below[core]])), 0.5))
    spread = _share(tones, 0.95) - _share(tones, 0.05)
    if abs(contrast) < _LEAST_CONTRAST or spread > 0.5 * abs(contrast):
        return None
    ends = _ends(profile, core, tone, contrast)
    if ends is None:
        return None
    columns = slice(int(ends[0] + 0.5), max(int(ends[1] + 0.5), int(ends[0] + 0.5) + 1))
    sign = np.sign(contrast)
    differs = [(sign * (profile[columns] - side[columns]) > 0.4 * abs(contrast)).mean() for side in (above, below)]
    if min(differs) < _COVERED:
        return None
    even = 1 - spread / abs(contrast)
    quality = float(np.clip(even * min(differs) ** 2 * ends[2], 0, 1))
    return Bar(ends[0] + left, ends[1] + left, y0 + 0.5, y1 + 0.5, contrast, quality)


def _share(ascending: np.ndarray, share: float) -> np.ndarray:
    """Give the value below which a share of each sorted line lies; NumPy's takes five times as long of short ones."""
    where = share * (ascending.shape[-1] - 1)
    low = int(where)
    below, above = ascending[..., low], ascending[..., min(low + 1, ascending.shape[-1] - 1)]
    return below + (where - low) * (above - below)


def _ground(rows: np.ndarray, tone: float, core: slice) -> np.ndarray | None:
    """Give of the rows beside a bar, the nearest first, the first one that blur leaves alone."""
    if not len(rows):
        return None
    differ = np.abs(_share(np.sort(rows[:, core]), 0.5) - tone)
    return rows[int(np.argmax(differ > 0.8 * differ.max()))]


def _ends(profile: np.ndarray, core: slice, tone: float, contrast: float) -> tuple[float, float, float] | None:
    """Find where a bar's tone gives way: both ends [px, edge of the first column 0], and how sharp they are, 0 to 1."""
    middle = (core.start + core.stop) // 2
    to_left = _end(profile[middle::-1], tone, contrast)
    to_right = _end(profile[middle:], tone, contrast)
    if to_left is None or to_right is None:
        return None
    return middle + 0.5 - to_left[0], middle + 0.5 + to_right[0], min(to_left[1], to_right[1])


def _end(profile: np.ndarray, tone: float, contrast: float) -> tuple[float, float] | None:
    """Follow a bar from its middle to its end: how far it is [px, from a pixel's centre], and how sharp, 0 to 1."""
    left_over = np.sign(contrast) * (tone - profile) / abs(contrast)  # 0 in the bar, 1 where it is gone
    gone = np.flatnonzero(left_over > 0.35)
    if not len(gone) or gone[0] < 1:
        return None
    first = int(gone[0])
    beyond = left_over[first : first + 8]
    outside = float(_share(np.sort(beyond[2:]), 0.5)) if len(beyond) > 4 else float(beyond[-1])
    if outside < (0.35 if len(beyond) > 2 else 0.7):
        return None
    half = outside / 2
    after = np.flatnonzero(left_over[max(first - 3, 0) :] > half)
    if not len(after) or (after[0] == 0 and first > 3):
        return None
    last = max(first - 3, 0) + int(after[0])
    before, behind = left_over[last - 1], left_over[last]
    where = last - 1 + (half - before) / max(behind - before, 1e-6)
    rise = np.flatnonzero(left_over[max(last - 5, 0) : last + 6] > 0.8 * outside)
    fall = np.flatnonzero(left_over[max(last - 5, 0) : last + 6] < 0.2 * outside)
    width = (rise[0] - fall[fall < rise[0]][-1]) if len(rise) and len(fall[fall < rise[0]]) else 6
    return float(where), float(np.clip(1.3 - width / 8, 0.2, 1))


def _with_outline(grey: np.ndarray, bar: Bar) -> Bar:
    """Count the outline to a bar: one that differs more from the surroundings than it does, or black around white.

    A weaker one is the halo that sharpening leaves.
    """
    rows = slice(round((bar.y0 + bar.y1) / 2 - 0.5), round((bar.y0 + bar.y1) / 2 + 0.5) + 1)
    profile = grey[rows].mean(axis=0)
    last, first = int(np.ceil(bar.x1)), int(np.floor(bar.x0))
    to_right, to_left = _outline(profile[last - 1 :], bar.contrast), _outline(profile[: first + 1][::-1], bar.contrast)
    if to_right is None or to_left is None or abs(to_right - to_left) > 1.5:
        return bar
    wide = (to_left + to_right) / 2
    ground = float(np.median(np.concatenate([profile[max(first - 14, 0) : first - 7], profile[last + 7 : last + 14]])))
    if _is_paper(grey, bar, wide, profile[first - int(wide / 2) - 1], ground):
        return bar
    return replace(bar, x0=first + 0.5 - to_left, x1=last - 0.5 + to_right, y0=bar.y0 - wide, y1=bar.y1 + wide)


def _is_paper(grey: np.ndarray, bar: Bar, wide: float, tone: float, ground: float) -> bool:
    """Say whether what is around a bar goes on above or below, where an outline would end: a label stands on it."""
    columns = slice(int(bar.x0) + 2, int(bar.x1) - 1)
    beyond = [int(bar.y0 - wide) - 3, int(np.ceil(bar.y1 + wide)) + 2]
    there = [float(np.median(grey[row, columns])) for row in beyond if 0 <= row < len(grey)]
    return any(abs(value - tone) < min(0.25 * abs(bar.contrast), 0.3 * abs(value - ground)) for value in there)


def _outline(profile: np.ndarray, contrast: float) -> float | None:
    """Give where the outline ends [px, from the middle of the bar's last pixel]; None where there is none."""
    if len(profile) < 10:
        return None
    sign = np.sign(contrast)
    beyond = sign * profile[:14]
    ground = float(np.median(beyond[7:]))
    deepest = int(np.argmin(beyond[:5]))
    fallen = ground - beyond[deepest]
    strong = fallen > 0.75 * abs(contrast) or (contrast > 0 and fallen > 0.3 * ground)
    if fallen < _OUTLINE * abs(contrast) or not strong:
        return None
    half = (ground + beyond[deepest]) / 2
    over = np.flatnonzero(beyond[deepest:7] > half)
    if not len(over):
        return None
    at = deepest + int(over[0])
    return float(at - 1 + (half - beyond[at - 1]) / max(beyond[at] - beyond[at - 1], 1e-6))


def _best_of_each(bars: list[Bar]) -> list[Bar]:
    """Keep of those that lie on one another the best."""
    kept: list[Bar] = []
    for bar in sorted(bars, key=lambda bar: -bar.quality * min(bar.thickness, 6) ** 0.25):
        if not any(_are_one(bar, other) for other in kept):
            kept.append(bar)
    return kept


def _is_around(bar: Bar, other: Bar) -> bool:
    """Say whether one is no bar but the margin, halo or outline of the other."""
    touches = bar.y0 < other.y1 + 3 and other.y0 < bar.y1 + 3 and bar.contrast * other.contrast < 0
    wider = bar.x0 - 0.3 < other.x0 and other.x1 < bar.x1 + 0.3 and other.length > 0.75 * bar.length
    return touches and wider and other.quality > 0.5 * bar.quality


def _are_one(bar: Bar, other: Bar) -> bool:
    common = min(bar.x1, other.x1) - max(bar.x0, other.x0)
    level = bar.y0 < other.y1 + 2 and other.y0 < bar.y1 + 2
    return level and common > 0.5 * max(bar.length, other.length) and bar.contrast * other.contrast > 0
