"""Fiji's regions of interest (ROIs): particles as the ROI Manager saves and opens them."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Sequence
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.errors import MicrographError
from temlib.files.labels.regions import as_labels, numbers_for, outlined, paint, runs_of
from temlib.files.micrographs import as_array
from temlib.writing import check_suffix, write_new

if TYPE_CHECKING:
    from roifile import ImagejRoi

__all__ = ["read_rois", "save_rois"]

_LARGEST_ZIP = 2**28  # bytes, unpacked
_LARGEST_EDGE = 60_000  # the format has two bytes for a coordinate, and negative ones
_POINTS = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}  # of each step of a path: move, line, quadratic and cubic curve, close
_OVAL = 2 * np.pi * np.arange(720) / 720
_POSITIONS = ("position", "t_position", "z_position", "c_position")
_SLICE_IN_NAME = re.compile(r"(\d{4,6})-\d{4,6}-\d{4,6}")  # slice, y and x of the centre


def save_rois(labels: Any, path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Write particles as regions of interest (ROIs) that Fiji's ROI Manager opens.

    One ROI a particle, named after its number: a traced outline, or a composite where the particle
    has holes or several parts. Fiji fills each with exactly the particle's pixels. Pixels that touch
    by a corner only count as two parts.

    Parameters
    ----------
    labels : signal or int array of shape (height, width)
        0 is background, any other number a particle.
    path : path
        Ends in ``.zip``.
    overwrite : bool
        Replace a file of that name.

    Raises
    ------
    MicrographError
        When the file exists and ``overwrite`` is false; when ``labels`` are no labels; when an edge
        of the image is longer than 60000 pixels, which the format cannot say.
    """
    from roifile import roiwrite

    check_suffix(path, ".zip")
    array = as_labels(as_array(labels))
    if max(array.shape) > _LARGEST_EDGE:
        raise MicrographError(f"labels of shape {array.shape}: ROIs reach {_LARGEST_EDGE} pixels only; use save_labels")
    rois = [_roi(number, rings) for number, rings in outlined(array)]
    return write_new(path, overwrite, lambda temporary: roiwrite(temporary, rois, mode="w"))


def read_rois(path: Path, shape: tuple[int, ...] | None, chosen: int | None = None) -> np.ndarray:
    """Read the ROIs of one slice, or those of each where the shape has three numbers."""
    from roifile import ImagejRoi

    if shape is None:
        raise MicrographError(f"{path.name}: ROIs do not say how large the image is; pass shape=(height, width)")
    members = _zip_members(path) if path.suffix.lower() == ".zip" else [(path.stem, path.read_bytes())]
    rois = [(name, ImagejRoi.frombytes(data)) for name, data in members]
    slices = _slices(rois, path.name)
    there = sorted(set(slices) - {0}) or [chosen or 1]
    each = len(shape) == 3 and chosen is None
    if not (there[-1] <= shape[0] if each else len(there) == 1 if chosen is None else 1 <= chosen <= there[-1]):
        raise MicrographError(
            f"{path.name}: holds ROIs of slices {', '.join(map(str, there[:5]))}{', ...' if there[5:] else ''}; "
            f"pass slice={there[0]}, say, or shape=({there[-1]}, height, width) for an image of each"
        )
    wanted = range(1, shape[0] + 1) if each else [chosen or there[0]]
    planes = []
    for number in wanted:
        some = [roi for roi, place in zip(rois, slices, strict=True) if place in (0, number)]
        planes.append(_painted(some, shape[-2:], path.name))
    return np.stack(planes) if each else planes[0]


def _slices(rois: Sequence[tuple[str, ImagejRoi]], file: str) -> list[int]:
    """Give the slice of each ROI, 0 where it belongs to all: its own word, or the start of its name."""
    named = [_SLICE_IN_NAME.match(name) for name, _ in rois]
    ways = [[getattr(roi, way) for _, roi in rois] for way in _POSITIONS]
    ways.append([int(found[1]) if found else 0 for found in named])
    differ = [len(set(way) - {0}) for way in ways]
    if differ[0] < 2 and sum(number > 1 for number in differ[1:-1]) > 1:
        raise MicrographError(f"{file}: holds ROIs of several channels, slices and frames; save those of one channel")
    return ways[int(np.argmax(differ))]


def _painted(rois: Sequence[tuple[str, ImagejRoi]], shape: tuple[int, ...], file: str) -> np.ndarray:
    numbers = numbers_for([int(name) if name.isascii() and name.isdecimal() else None for name, _ in rois])
    rings = (_roi_rings(roi, f"{file}: ROI '{name}'") for name, roi in rois)
    return paint(shape, ((number, runs_of(each, shape)) for number, each in zip(numbers, rings, strict=True)))


def _zip_members(path: Path) -> list[tuple[str, bytes]]:
    """Read names and bytes of the ROIs in a zip, in memory and no more than a fixed sum."""
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if _is_roi(info.filename)]
        if archive.infolist() and not members:
            raise MicrographError(f"{path.name}: no ROI in this zip; save one from Fiji's ROI Manager")
        if sum(info.file_size for info in members) > _LARGEST_ZIP:
            raise MicrographError(f"{path.name}: unpacks to more than {_LARGEST_ZIP} bytes; split it")
        return [(Path(info.filename).stem, archive.read(info)) for info in members]


def _is_roi(name: str) -> bool:
    return name.lower().endswith(".roi") and not Path(name).name.startswith("._")  # of macOS


def _roi(number: int, rings: Sequence[np.ndarray]) -> ImagejRoi:
    from roifile import ROI_TYPE, ImagejRoi

    corners = np.concatenate(rings)[:, ::-1]
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    roi = ImagejRoi(name=f"{number:04d}", left=left, top=top, right=right, bottom=bottom)
    if len(rings) == 1:
        roi.roitype, roi.n_coordinates = ROI_TYPE.TRACED, len(corners)
        roi.integer_coordinates = (corners - (left, top)).astype(np.int32)
    else:
        path = [step for ring in rings for step in _path_steps(ring)]
        roi.roitype, roi.shape_roi_size = ROI_TYPE.RECT, len(path)
        roi.multi_coordinates = np.array(path, np.float32)
    return roi


def _path_steps(ring: np.ndarray) -> list[int]:
    """Give a ring as Java's path: move to, line to, ..., close."""
    kinds = np.ones(len(ring), int)
    kinds[0] = 0
    return [*np.column_stack([kinds, ring[:, ::-1]]).ravel().tolist(), 4]


def _roi_rings(roi: ImagejRoi, name: str) -> list[np.ndarray]:
    """Give the rings (y, x) of an area."""
    from roifile import ROI_SUBTYPE, ROI_TYPE

    written_over = roi.subtype in (ROI_SUBTYPE.TEXT, ROI_SUBTYPE.ARROW, ROI_SUBTYPE.IMAGE)
    if roi.multi_coordinates is not None:
        return _path_rings(roi.multi_coordinates)
    if roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL) and not written_over:
        corner, size = np.array([roi.top, roi.left]), np.array([roi.bottom - roi.top, roi.right - roi.left])
        if roi.subpixelrect:
            corner, size = np.array([roi.yd, roi.xd]), np.array([roi.heightd, roi.widthd])
        unit = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
        if roi.roitype == ROI_TYPE.OVAL:
            unit = (1 + np.column_stack([np.sin(_OVAL), np.cos(_OVAL)])) / 2
        return [unit * size + corner]
    if roi.roitype in (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED) and not written_over:
        return [np.asarray(roi.coordinates(), float)[:, ::-1]]
    kind = roi.subtype.name if written_over else roi.roitype.name
    raise MicrographError(f"{name} is no area but of type {kind.lower()}; delete it in the ROI Manager")


def _path_rings(path: np.ndarray) -> list[np.ndarray]:
    """Give the rings (y, x) of a composite, its curves cut into short lines."""
    rings: list[list[np.ndarray]] = []
    place = 0
    while place < len(path):
        kind = int(path[place])
        end = place + 1 + 2 * _POINTS[kind]
        points = np.asarray(path[place + 1 : end], float).reshape(-1, 2)
        if kind == 0:
            rings.append([points[0]])
        elif kind != 4:
            rings[-1] += _curve(np.vstack([rings[-1][-1], points]))
        place = end
    return [np.array(ring)[:, ::-1] for ring in rings]


def _curve(control: np.ndarray) -> list[np.ndarray]:
    """Give points on the Bézier curve of some control points, without the first."""
    degree = len(control) - 1
    t = np.linspace(0, 1, 33 if degree > 1 else 2)[1:, None]
    return list(sum(comb(degree, k) * t**k * (1 - t) ** (degree - k) * point for k, point in enumerate(control)))
