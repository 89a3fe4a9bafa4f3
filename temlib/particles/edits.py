"""Edits of found particles: what a person decides, where, and how a file says it.

A point is (x, y) [px] from the upper left corner of the image: the centre of the first pixel is (0.5, 0.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.draw import line
from skimage.measure import label

from temlib.files.json_files import in_range
from temlib.particles.boxes import Box

__all__ = [
    *("EDITS", "MOST_POINTS", "Edit", "Region"),
    *("check_points", "edits_from", "pairs_in", "pieces_of", "to_plain"),
]

EDITS = ("take out", "take back", "remove", "split", "merge", "add", "filter")
"""What can be done: count no more and again, be no particle, come apart along a line, be one, be new; set bounds."""

MOST_POINTS = 100_000
"""Of a line, at the most."""

_SLIVER = 0.02  # of a particle's area: a smaller piece stays with the piece next to it
_FARTHEST, _LONGEST = 1e6, 1e7  # px: no image reaches there
_MOST_PIXELS = 2**31  # of all regions of a file together


@dataclass(frozen=True)
class Region:
    """Pixels of a particle.

    Attributes
    ----------
    box : (int, int, int, int)
        top, left, bottom, right [px]: ``labels[top:bottom, left:right]`` holds it.
    counts : tuple of int
        Lengths of runs in the box, row after row: outside, inside, outside, ...
    """

    box: tuple[int, int, int, int]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, mask: np.ndarray, box: Box) -> Region:
        """Describe the pixels of a mask that lies in a box."""
        flat = np.concatenate([[False], mask.ravel(), [not mask.ravel()[-1]]])
        ends = np.flatnonzero(flat[1:] != flat[:-1])
        rows, columns = box
        corners = (int(rows.start), int(columns.start), int(rows.stop), int(columns.stop))
        return cls(corners, tuple(np.diff(ends, prepend=0).tolist()))

    @classmethod
    def checked(cls, given: Any, shape: tuple[int, int]) -> Region:
        """Make a region of what a file says.

        Raises
        ------
        ValueError
            When it is none, or reaches beyond the micrograph.
        """
        try:
            box, counts = given
            numbers = [number for number in (*box, *counts) if type(number) is int and number >= 0]
            top, left, bottom, right = box
        except (TypeError, ValueError):
            raise ValueError("a region is a box and lengths of runs") from None
        inside = 0 <= top < bottom <= shape[0] and 0 <= left < right <= shape[1]
        if len(numbers) != 4 + len(counts) or not inside or sum(counts) != (bottom - top) * (right - left):
            raise ValueError(f"a region in the box {str(box)[:60]} does not fit into {shape[0]} x {shape[1]} pixels")
        return cls((top, left, bottom, right), tuple(counts))

    @property
    def slices(self) -> Box:
        """Where it lies."""
        top, left, bottom, right = self.box
        return slice(top, bottom), slice(left, right)

    @property
    def mask(self) -> np.ndarray:
        """Its pixels in the box, a bool array."""
        top, left, bottom, right = self.box
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape(bottom - top, right - left)


@dataclass(frozen=True)
class Edit:
    """One thing that was done.

    Attributes
    ----------
    do : str
        One of :data:`EDITS`.
    particles : tuple of int
        Numbers of those that it was done to.
    regions : tuple of Region
        Their pixels then, by which they are found again where particles have other numbers; of ``"add"`` the new
        particle's.
    points : tuple of (float, float)
        Of the line that parts them.
    column : str
        That a filter is on.
    bounds : (float or None, float or None)
        Of a filter: the least and the greatest value that count; None for no bound.
    """

    do: str
    particles: tuple[int, ...] = ()
    regions: tuple[Region, ...] = ()
    points: tuple[tuple[float, float], ...] = ()
    column: str = ""
    bounds: tuple[float | None, float | None] = (None, None)


def check_points(points: Any, fewest: int) -> tuple[tuple[float, float], ...]:
    """Give points that came from outside.

    Raises
    ------
    ValueError
        When they are too few, too many, or no pairs of numbers.
    """
    pairs = pairs_in(points, fewest)
    if pairs is None:
        raise ValueError(f"{fewest} to {MOST_POINTS} points (x, y) are needed; got {str(points)[:60]}")
    if np.hypot(*np.diff(pairs, axis=0).T).sum() > _LONGEST:
        raise ValueError(f"a line longer than {_LONGEST:.0e} pixels")
    return pairs


def pairs_in(points: Any, fewest: int) -> tuple[tuple[float, float], ...] | None:
    """Give points that came from outside; None where they are too few, too many, or no pairs of numbers."""
    try:
        array = np.asarray(points, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None
    pairs = array.ndim == 2 and array.shape[1] == 2 and fewest <= len(array) <= MOST_POINTS
    if not pairs or not (np.abs(array) <= _FARTHEST).all():
        return None
    return tuple((float(x), float(y)) for x, y in array)


def pieces_of(mask: np.ndarray, box: Box, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Part a particle along a line.

    Parameters
    ----------
    mask : bool array
        The particle in its box.
    box : (slice, slice)
        Where it lies.
    points : sequence of (x, y)
        Corners of the line [px].

    Returns
    -------
    int array of the mask's shape
        1 for the largest piece, then 2, ...; 0 is outside. All 1 where the line does not go across.
    """
    rest = mask & ~_drawn(mask.shape, box, points)
    whole, parts = label(mask, connectivity=1), label(rest, connectivity=1)
    areas = np.bincount(parts.ravel())[1:]
    first = np.unique(parts, return_index=True)[1][-len(areas) :] if len(areas) else np.zeros(0, int)
    of = whole.ravel()[first]  # what hung together before
    parted = np.bincount(of, minlength=whole.max() + 1)[of] > 1
    large = np.flatnonzero(parted & (areas >= _SLIVER * np.count_nonzero(mask)))
    if len(large) < 2 or len(np.unique(of[large])) == len(large):
        return mask.astype(int)
    large = large[np.argsort(-areas[large], kind="stable")]
    numbers = np.zeros(len(areas) + 1, int)
    numbers[large + 1] = np.arange(1, len(large) + 1)
    pieces = numbers[parts]
    nearest = ndimage.distance_transform_edt(pieces == 0, return_distances=False, return_indices=True)
    return np.where(mask, pieces[tuple(nearest)], 0)


def _drawn(shape: tuple[int, ...], box: Box, points: Sequence[tuple[float, float]]) -> np.ndarray:
    """Draw a line in a box: pixels that touch at their corners at least."""
    drawn = np.zeros(shape, bool)
    corners = np.floor(np.array(points)[:, ::-1]).astype(int) - [box[0].start, box[1].start]
    for (y0, x0), (y1, x1) in pairwise(corners.tolist()):
        y, x = line(y0, x0, y1, x1)
        within = (y >= 0) & (x >= 0) & (y < shape[0]) & (x < shape[1])
        drawn[y[within], x[within]] = True
    return drawn


def to_plain(lists: Mapping[str, Iterable[Edit]]) -> dict[str, Any]:
    """Give lists of edits as JSON can hold them; each region is said once."""
    known: dict[Region, int] = {}
    plain: dict[str, Any] = {}
    for name, edits in lists.items():
        plain[name] = []
        for edit in edits:
            said: dict[str, Any] = {"do": edit.do}
            if edit.do == "filter":
                said |= {"column": edit.column, "bounds": list(edit.bounds)}
            else:
                said |= {"particles": list(edit.particles)}
                said |= {"regions": [known.setdefault(region, len(known)) for region in edit.regions]}
            plain[name].append(said | ({"points": [list(point) for point in edit.points]} if edit.points else {}))
    return {"regions": [[list(region.box), list(region.counts)] for region in known]} | plain


def edits_from(plain: Mapping[str, Any], names: Iterable[str], shape: tuple[int, int]) -> dict[str, list[Edit]]:
    """Read lists of edits, as :func:`to_plain` gives them.

    Raises
    ------
    KeyError, TypeError or ValueError
        When anything is missing or is no edit.
    """
    regions = [Region.checked(each, shape) for each in plain["regions"]]
    if sum(sum(each.counts) for each in regions) > _MOST_PIXELS:  # they cover the boxes
        raise ValueError(f"regions of more than {_MOST_PIXELS:.0e} pixels")
    return {name: [_edit_from(each, regions) for each in plain[name]] for name in names}


def _edit_from(said: Any, regions: Sequence[Region]) -> Edit:
    if said["do"] not in EDITS:
        raise ValueError(f"{str(said['do'])[:60]!r} is no edit")
    if said["do"] == "filter":
        low, high = (None if each is None else in_range("a bound", each, -1e300, 1e300) for each in said["bounds"])
        if not isinstance(said["column"], str):
            raise ValueError("a filter is on a column")
        return Edit("filter", column=said["column"], bounds=(low, high))
    particles, places = said["particles"], said["regions"]
    if not all(type(number) is int and 0 < number < 2**31 for number in particles):
        raise ValueError("particles have numbers above 0")
    if not all(type(place) is int and 0 <= place < len(regions) for place in places):
        raise ValueError("an edit names a region that is not there")
    if len(places) != (1 if said["do"] == "add" else len(particles)) or not places:
        raise ValueError("each particle of an edit has a region")
    points = check_points(said["points"], 2) if said["do"] == "split" else ()
    return Edit(said["do"], tuple(particles), tuple(regions[place] for place in places), points)
