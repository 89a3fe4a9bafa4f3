"""Measurement: the size and shape of each particle in a labelled micrograph, and groups of shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects
from skimage.segmentation import relabel_sequential, watershed

from temlib.files.micrographs import as_array, pixel_size_of
from temlib.particles.frame_correction import FRAME_COLUMNS, PIXEL_COLUMNS, require
from temlib.particles.hulls import Hulls
from temlib.particles.outline import measure_outlines

__all__ = ["SHAPE_GROUPS", "cluster_shapes", "measure_particles", "measured_columns", "shape_groups"]

SHAPE_GROUPS = ("sphere-like", "rod-like", "polygonal", "irregular")
"""What :func:`shape_groups` tells apart."""

_LENGTHS = ("equivalent_diameter", "feret_min", "feret_max", "ellipse_major", "ellipse_minor", "perimeter")
_AREAS = ("area", "area_p30", "area_p70")
_RATIOS = ("aspect_ratio", "ellipse_ratio", "circularity", "roundness", "convexity", "solidity", "extent")
_BOX = ("top_px", "left_px", "bottom_px", "right_px")
_ALL = ["particle", "area", *_LENGTHS, *_RATIOS, "orientation_deg", "centroid_y_px", "centroid_x_px", *_BOX]
_CLUSTERED = ("aspect_ratio", "circularity", "convexity", "solidity", "extent")
_SOLID, _LONG, _ROUND = 0.95, 0.75, 0.985  # thresholds of the rules of shape_groups
_LEAST_REACH_PX = 3.0  # from a particle, for what belongs to it at another threshold
_RING_PX = (2, 6)  # the ring of local background: past the blurred outline, yet near


def measure_particles(
    labels: Any,
    image: Any = None,
    *,
    pixel_size_nm: float | tuple[float, float] | None = None,
    probability: Any = None,
    confidence: Mapping[int, float] | ArrayLike | None = None,
    marks: Any = None,
) -> pd.DataFrame:
    """Measure the size, the shape and the grey level of each particle.

    The formulas are those of the descriptors of ISO 21363 and ISO 9276-6 by the same names, for area
    A, perimeter P, and Feret diameters F_min and F_max; no compliance with either is claimed. A pixel
    that is not square is measured as it is: lengths and angles are those in the specimen.

    Parameters
    ----------
    labels : signal or int array of shape (height, width)
        Instance labels, 0 is background. All pixels of one label are one particle, holes are not filled.
    image : signal or array of the same shape, optional
        Grey levels.
    pixel_size_nm : float or (float, float), optional
        Edge of a pixel [nm], or its height and width [nm]; otherwise the signal's is taken.
    probability : signal or float array of the same shape, in [0, 1], optional
        Probability of *particle*, to find the outlines, and to see how much the area hangs on the threshold.
    confidence : dict of label to float, or float array, in [0, 1], optional
        How sure each particle is, by its label or in the order of the labels.
    marks : signal or bool array of the same shape, optional
        What is burnt into the image (:func:`temlib.files.scale_bars.marks.find_marks`): it may hide a part of what it
        touches.

    Returns
    -------
    DataFrame, a row for each particle
        Lengths end in ``_nm`` and areas in ``_nm2``, or in ``_px`` and ``_px2`` where the pixel size is
        unknown.

        - ``particle``: the label.
        - ``area``: of its pixels. ``equivalent_diameter``: of the circle of that area.
        - ``feret_min``, ``feret_max``: least and greatest distance of two parallel tangents of the outline,
          which is found to a fraction of a pixel (:mod:`temlib.particles.outline`), on the probability where
          it is given. Right to 0.4 px for discs and to 1 px across ellipses and rods at any angle; between
          two sharp corners up to 3 px too small, since the outline rounds them.
        - ``ellipse_major``, ``ellipse_minor``: axes of the ellipse with the same second moments; 0
          across a line of single pixels.
        - ``perimeter``: of the same outline; edges of holes and cuts by the frame count. Right to 1 % for
          discs and ellipses; each sharp corner takes off 1 to 2 px.
        - ``aspect_ratio``: F_min / F_max, in (0, 1].
        - ``ellipse_ratio``: ``ellipse_minor / ellipse_major``; NaN for a single pixel.
        - ``circularity``: sqrt(4 pi A / P^2), 1 for a disc, and to 0.01 from 10 px on. Many programs, and
          :mod:`temlib.particles.scores`, leave out the root.
        - ``roundness``: 4 A / (pi F_max^2).
        - ``convexity``: perimeter of the outline's convex hull / P.
        - ``solidity``: A / area of the convex hull of the pixels' centres, of which the pixels count that
          have their centre in it: 1 for any convex particle.
        - ``extent``: A / (F_min F_max).
        - ``orientation_deg``: of the ellipse's major axis, in [0, 180), anticlockwise from the x axis as
          one sees it in the image.
        - ``centroid_y_px``, ``centroid_x_px``: in array coordinates, pixel centres at whole numbers.
        - ``top_px``, ``left_px``, ``bottom_px``, ``right_px``: ``labels[top:bottom, left:right]`` holds it.
        - ``touches_edge``: whether it reaches the frame of the image, or a mark, which may cut it.
        - ``frame_height_px``, ``frame_width_px``: of the image, less its data bars; and ``pixel_height_nm``,
          ``pixel_width_nm`` where the pixel size is known. :func:`temlib.size_distribution` corrects for the frame
          with them.
        - ``confidence``: as it was given.

        With ``image``: ``mean_grey``, ``background_grey`` (mean of the background pixels 2 to 6 pixels
        away that lie nearer to this particle than to any other; NaN where there is none), and
        ``contrast``, their difference, negative for dark particles; in the image's grey levels.

        With ``probability``: ``area_p30`` and ``area_p70``, the area at thresholds of 0.3 and 0.7. Pixels
        outside all particles belong to the one that a watershed on the probability floods them from
        within what is above 0.3, a quarter of its diameter (3 px at the least) from it at most; pixels within a
        particle stay its own.

    Raises
    ------
    ValueError
        When ``labels`` are no whole numbers of 0 and above, or shapes, ranges or numbers do not fit.
    """
    array = _labels(labels)
    size = _pixel_size(pixel_size_nm, labels, image)
    compact, _, originals = relabel_sequential(array)
    chances = None if probability is None else _probability(array, probability)
    columns = measured_columns(compact, size, chances)
    columns["particle"] = originals[columns["particle"]].astype(int)
    if marks is not None:
        marks = _like(array, marks, "marks").astype(bool)
        hidden = array[binary_dilation(marks)]
        columns["touches_edge"] = columns["touches_edge"] | np.isin(columns["particle"], hidden)
        columns[FRAME_COLUMNS[0]] = columns[FRAME_COLUMNS[0]] - _rows_of_data_bars(marks)
    if confidence is not None:
        columns["confidence"] = _confidence(confidence, columns["particle"])
    if image is not None:
        mean, background = _grey_levels(compact, _like(array, image, "image"))
        columns |= {"mean_grey": mean, "background_grey": background, "contrast": mean - background}
    if chances is not None:
        counts = _areas_at(compact, chances, (0.3, 0.7)) * np.prod(size or 1.0)
        columns |= dict(zip(_names(("area_p30", "area_p70"), size), counts, strict=True))
    return pd.DataFrame(columns)


def measured_columns(
    labels: np.ndarray, pixel_size_nm: tuple[float, float] | None = None, probability: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Give the columns of :func:`measure_particles` that every frame has, without a table around them.

    Parameters
    ----------
    labels : int array of shape (height, width)
        1 to n without gaps, 0 is background.
    pixel_size_nm : (float, float), optional
        Height and width of a pixel [nm].
    probability : float array of the same shape, in [0, 1], optional
        Of *particle*.

    Returns
    -------
    dict of str to array of shape (n,)
    """
    columns = _shapes(labels, np.array(pixel_size_nm or (1.0, 1.0)), probability)
    area, perimeter, least, greatest = (columns[name] for name in ("area", "perimeter", "feret_min", "feret_max"))
    major, minor = columns["ellipse_major"], columns["ellipse_minor"]
    columns |= {
        "equivalent_diameter": np.sqrt(4 * area / np.pi),
        "aspect_ratio": least / greatest,
        "ellipse_ratio": np.divide(minor, major, out=np.full(len(major), np.nan), where=major > 0),
        "circularity": np.sqrt(4 * np.pi * area) / perimeter,
        "roundness": 4 * area / (np.pi * greatest**2),
        "extent": area / (least * greatest),
    }
    columns = dict(zip(_names(_ALL, pixel_size_nm), (columns[name] for name in _ALL), strict=True))
    n = len(area)
    low, high = (np.stack([columns[name] for name in names]) for names in (_BOX[:2], _BOX[2:]))
    columns["touches_edge"] = (low == 0).any(axis=0) | (high == np.array(labels.shape)[:, None]).any(axis=0)
    columns |= {name: np.full(n, edge) for name, edge in zip(FRAME_COLUMNS, labels.shape, strict=True)}
    if pixel_size_nm is not None:
        columns |= {name: np.full(n, edge) for name, edge in zip(PIXEL_COLUMNS, pixel_size_nm, strict=True)}
    return columns


def _rows_of_data_bars(marks: np.ndarray) -> int:
    """Count the rows at the upper and the lower side that marks hide from end to end; nothing was imaged there."""
    bare = np.flatnonzero(~marks.all(axis=1))
    return len(marks) - (int(bare[-1] - bare[0]) + 1 if len(bare) else 0)


def _names(names: Iterable[str], pixel_size_nm: tuple[float, float] | None) -> list[str]:
    """Give the names of columns with the unit of lengths and areas."""
    unit = "px" if pixel_size_nm is None else "nm"
    ends = dict.fromkeys(_LENGTHS, f"_{unit}") | dict.fromkeys(_AREAS, f"_{unit}2")
    return [name + ends.get(name, "") for name in names]


def shape_groups(table: pd.DataFrame) -> pd.Series:
    """Sort particles into groups of shape by rules, the first that applies.

    - ``irregular``: solidity < 0.95; dented, branched, or several particles taken for one.
    - ``rod-like``: ellipse_ratio < 0.75; longer than 4/3 of the width, ellipsoids too.
    - ``sphere-like``: circularity / convexity >= 0.985; that is the circularity of the convex hull,
      which a rough outline hardly changes.
    - ``polygonal``: the rest, convex with corners.

    The thresholds were chosen on rendered shapes, 24 to 80 pixels across, smooth and rough. Polyhedra
    near to a sphere fall on either side of the third rule, a wavy outline without dents anywhere but
    in ``irregular``; particles of less than some 100 pixels are too coarse for the rules.

    Parameters
    ----------
    table : DataFrame
        What :func:`measure_particles` gave.

    Returns
    -------
    Categorical Series with the index of the table, of :data:`SHAPE_GROUPS`

    Raises
    ------
    ValueError
        When the table lacks a descriptor.
    """
    require(table, ("solidity", "ellipse_ratio", "circularity", "convexity"))
    rules = [
        table["solidity"] < _SOLID,
        table["ellipse_ratio"] < _LONG,
        table["circularity"] / table["convexity"] >= _ROUND,
    ]
    groups = np.select(rules, ["irregular", "rod-like", "sphere-like"], "polygonal")
    return pd.Series(pd.Categorical(groups, SHAPE_GROUPS), index=table.index, name="shape_group")


def cluster_shapes(table: pd.DataFrame, n_groups: int = 4, seed: int = 0) -> pd.Series:
    """Sort particles into groups of shape without rules, by k-means.

    The descriptors aspect_ratio, circularity, convexity, solidity and extent, each standardised to
    mean 0 and variance 1.

    Parameters
    ----------
    table : DataFrame
        What :func:`measure_particles` gave.
    n_groups : int
        How many groups, in [1, number of particles].
    seed : int
        Same seed and table, same groups.

    Returns
    -------
    int Series with the index of the table
        1 for the largest group, then 2, ...

    Raises
    ------
    ValueError
        When the table lacks a descriptor or has too few particles.
    """
    from sklearn.cluster import KMeans
    from sklearn.preprocessing import StandardScaler

    require(table, _CLUSTERED)
    if not 1 <= n_groups <= len(table):
        raise ValueError(f"{len(table)} particles cannot form n_groups={n_groups}; pass 1 to {len(table)}")
    descriptors = StandardScaler().fit_transform(table[list(_CLUSTERED)])
    found = KMeans(n_groups, n_init=10, random_state=seed).fit_predict(descriptors)
    by_size = np.argsort(-np.bincount(found, minlength=n_groups), kind="stable")
    return pd.Series(np.argsort(by_size)[found] + 1, index=table.index, name="shape_cluster")


def _shapes(labels: np.ndarray, spacing: np.ndarray, probability: np.ndarray | None) -> dict[str, np.ndarray]:
    """Give what is measured on the particles 1 to n of an image, all of them at once."""
    boxes = find_objects(labels)
    if not boxes:
        return dict.fromkeys(_ALL, np.zeros(0)) | dict.fromkeys(("particle", *_BOX), np.zeros(0, int))
    corners = np.array([[y.start, x.start, y.stop, x.stop] for y, x in boxes])
    owner, y, start, stop = _runs(labels)
    y, start, stop = y - corners[owner, 0], start - corners[owner, 1], stop - corners[owner, 1]
    number, centre, (yy, xy, xx) = _moments(owner, y, start, stop)
    yy, xy, xx = yy * spacing[0] ** 2, xy * spacing.prod(), xx * spacing[1] ** 2
    middle, half = (yy + xx) / 2, np.hypot((xx - yy) / 2, xy)
    ends = np.stack([np.tile(y, 2), np.concatenate([start, stop - 1])], axis=1)
    outlines = measure_outlines(labels, boxes, number, spacing, probability)
    hull_perimeters = outlines.pop("hull_perimeter")
    return {
        "particle": np.arange(1, len(boxes) + 1),
        "area": number * spacing.prod(),
        **outlines,
        "ellipse_major": 4 * np.sqrt(middle + half),
        "ellipse_minor": 4 * np.sqrt(np.maximum(middle - half, 0)),
        "convexity": hull_perimeters / outlines["perimeter"],
        "solidity": number / Hulls.of(ends, np.tile(owner, 2)).lattice_points(),
        "orientation_deg": np.degrees(np.arctan2(-2 * xy, xx - yy)) / 2 % 180 % 180,  # of -1e-17 the first gives 180
        "centroid_y_px": centre[0] + corners[:, 0],
        "centroid_x_px": centre[1] + corners[:, 1],
        **dict(zip(_BOX, corners.T, strict=True)),
    }


def _runs(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give the runs of one label along the rows: particle from 0 on, row, and columns of start and stop."""
    differs = np.ones((len(labels), labels.shape[1] + 1), bool)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=differs[:, 1:-1])
    particle = labels > 0
    y, start = np.nonzero(differs[:, :-1] & particle)
    last = np.nonzero(differs[:, 1:] & particle)[1]
    return labels[y, start].astype(np.int64) - 1, y, start, last + 1


def _moments(
    owner: np.ndarray, y: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the number of pixels of each particle, their mean y and x, and their variances yy, xy, xx [px]."""
    length = stop - start
    x = (stop * (stop - 1) - start * (start - 1)) / 2
    squares = ((stop - 1) * stop * (2 * stop - 1) - (start - 1) * start * (2 * start - 1)) / 6
    number = np.bincount(owner, length)
    my, mx, yy, xy, xx = (np.bincount(owner, sums) / number for sums in (length * y, x, length * y**2, x * y, squares))
    return number.astype(int), np.stack([my, mx]), np.stack([yy - my**2, xy - my * mx, xx - mx**2])


def _probability(labels: np.ndarray, probability: Any) -> np.ndarray:
    array = _like(labels, probability, "probability")
    if not (array.min() >= 0 and array.max() <= 1):
        raise ValueError("probability lies in [0, 1]; pass the network's map of it, not grey levels")
    return array


def _confidence(given: Mapping[int, float] | ArrayLike, particles: np.ndarray) -> np.ndarray:
    if isinstance(given, Mapping):
        missing = [number for number in particles if number not in given]
        if missing:
            raise ValueError(f"confidence says nothing of particle {missing[0]}; give one for each label")
        given = [given[number] for number in particles]
    values = np.asarray(given, float)
    if values.shape != (len(particles),):
        raise ValueError(f"confidence of shape {values.shape} for {len(particles)} particles; give one for each label")
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError("confidence lies in [0, 1]; give a score for each label")
    return values


def _grey_levels(labels: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean grey level of each particle and of the ring around it."""
    distance, nearest = distance_transform_edt(labels == 0, return_indices=True)
    ring = (distance > _RING_PX[0]) & (distance <= _RING_PX[1])
    owner = labels[tuple(nearest[:, ring])]
    inside = labels > 0
    return _means(labels[inside], image[inside], labels.max()), _means(owner, image[ring], labels.max())


def _means(owner: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    known = np.isfinite(values)  # a detector's masked pixels are NaN
    owner, values = owner[known], values[known]
    counts = np.bincount(owner, minlength=n + 1)[1:]
    sums = np.bincount(owner, values, minlength=n + 1)[1:]
    return np.divide(sums, counts, out=np.full(n, np.nan), where=counts > 0)


def _areas_at(labels: np.ndarray, probability: np.ndarray, thresholds: tuple[float, ...]) -> np.ndarray:
    """Count the pixels of each particle above each threshold; shape (thresholds, particles).

    A particle grows by a quarter of its diameter at most: what lies further out is another thing.
    """
    n = labels.max() + 1
    away, nearest = distance_transform_edt(labels == 0, return_indices=True)
    reach = np.maximum(_LEAST_REACH_PX, np.sqrt(np.bincount(labels.ravel()) / np.pi) / 2)
    near = away <= reach[labels[tuple(nearest)]]
    grown = watershed(-probability.astype(float), labels, mask=(labels > 0) | (near & (probability > min(thresholds))))
    return np.stack([np.bincount(grown[probability > threshold], minlength=n)[1:] for threshold in thresholds])


def _labels(labels: Any) -> np.ndarray:
    array = as_array(labels)
    if array.dtype.kind not in "iu":
        raise ValueError(f"labels are whole numbers, one for each particle; got {array.dtype}; number them first")
    if array.min() < 0:
        raise ValueError(f"labels are 0 (background) and above; got {array.min()}; set what is no particle to 0")
    return array


def _like(labels: np.ndarray, image: Any, name: str) -> np.ndarray:
    array = as_array(image)
    if array.shape != labels.shape:
        raise ValueError(f"{name} has shape {array.shape} and labels {labels.shape}; pass those of one micrograph")
    return array


def _pixel_size(given: float | tuple[float, float] | None, labels: Any, image: Any) -> tuple[float, float] | None:
    if given is None:
        return pixel_size_of(labels) or pixel_size_of(image)
    size = np.asarray(given, dtype=float)
    if size.shape not in ((), (2,)) or not (np.isfinite(size).all() and (size > 0).all()):
        raise ValueError(f"pixel_size_nm={given!r} is no pixel size; pass a positive number of nm, or (height, width)")
    height, width = np.broadcast_to(size, 2).tolist()
    return height, width
