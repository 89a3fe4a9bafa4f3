"""Particles out and in: labels exchanged with Fiji, HyperSpy, ilastik and annotation tools.

Labels are an integer array of shape (height, width): 0 is background, any other number a particle.
What is saved here and loaded again is the same array, pixel for pixel. Outlines run along the edges
of pixels: pixel (0, 0) reaches from corner (0, 0) to corner (1, 1), as in Fiji.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.measure import find_contours, label

from temlib import __version__
from temlib.errors import MicrographError, one_line
from temlib.files.json_files import read_json
from temlib.files.micrographs import as_array, load_micrograph, micrograph, pixel_size_of, save_micrograph
from temlib.writing import write_atomically

if TYPE_CHECKING:
    from hyperspy.drawing._markers.polygons import Polygons
    from roifile import ImagejRoi

__all__ = ["as_markers", "load_labels", "outlines", "save_coco", "save_labels", "save_rois"]

Box = tuple[slice, slice]

_LARGEST_NUMBER = 2**31 - 1
_LARGEST_IMAGE = 2**28  # pixels that a file may ask for
_LARGEST_ZIP = 2**28  # bytes, unpacked
_LARGEST_JSON = 10**8  # bytes
_LARGEST_ROI_EDGE = 60_000  # the format has two bytes for a coordinate, and negative ones
_LARGEST_PIXEL_IN_NM = 40  # larger ones are written in um: a TIFF's fractions end at 2^32 / 10^8
_TABULAR = (".tif", ".tiff", ".png", ".hspy", ".h5")
_POINTS = {0: 1, 1: 1, 2: 2, 3: 3, 4: 0}  # of each step of a path: move, line, quadratic and cubic curve, close
_COLOUR = "#56B4E9"  # of a prediction in the figures
_OVAL = 2 * np.pi * np.arange(720) / 720


def save_labels(
    labels: Any,
    path: str | os.PathLike,
    pixel_size_nm: float | tuple[float, float] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write labels as a TIFF, whose pixel size Fiji and HyperSpy read.

    Parameters
    ----------
    labels : signal or int array of shape (height, width)
        0 is background, any other number a particle.
    path : path
        Ends in ``.tif`` or ``.tiff``. Written as uint16, or uint32 where a number needs it.
    pixel_size_nm : float or (float, float), optional
        Edge of a pixel [nm], or its height and width [nm]; by default that of the signal.
    overwrite : bool
        Replace a file of that name.

    Raises
    ------
    MicrographError
        When the file exists and ``overwrite`` is false; when ``labels`` are no labels.
    """
    _check_suffix(path, ".tif", ".tiff")
    array = _as_labels(as_array(labels), "labels")
    size = pixel_size_of(labels) if pixel_size_nm is None else pixel_size_nm
    narrow = array.astype(np.uint16 if array.max() < 2**16 else np.uint32)
    signal = micrograph(narrow, size, Path(path).stem)
    if size is not None and np.max(size) > _LARGEST_PIXEL_IN_NM:
        for axis in signal.axes_manager.signal_axes:
            axis.scale, axis.units = axis.scale / 1000, "um"
    return save_micrograph(signal, path, overwrite)


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

    _check_suffix(path, ".zip")
    array = _as_labels(as_array(labels), "labels")
    if max(array.shape) > _LARGEST_ROI_EDGE:
        raise MicrographError(
            f"labels of shape {array.shape}: ROIs reach {_LARGEST_ROI_EDGE} pixels only; use save_labels"
        )
    rois = [_roi(number, rings) for number, rings in _outlined(array)]
    return _write_new(path, overwrite, lambda temporary: roiwrite(temporary, rois, mode="w"))


def save_coco(labels_by_image: Mapping[str, Any], path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Write the particles of micrographs as one COCO file, as annotation tools and detectors read it.

    Segmentations are uncompressed run lengths, which keep holes and parts exactly; polygons of this
    format know no holes. The number of a particle is kept as ``"particle"`` of its annotation.

    Parameters
    ----------
    labels_by_image : dict of str to signal or int array of shape (height, width)
        Labels by the file name of their micrograph.
    path : path
        Ends in ``.json``.
    overwrite : bool
        Replace a file of that name.

    Raises
    ------
    MicrographError
        When the file exists and ``overwrite`` is false; when some labels are no labels.
    """
    _check_suffix(path, ".json")
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id, (name, labels) in enumerate(labels_by_image.items(), start=1):
        array = _as_labels(as_array(labels), str(name))
        height, width = array.shape
        images.append({"id": image_id, "file_name": str(name), "width": width, "height": height})
        for number, box, mask in _particles(array):
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "category_id": 1, "particle": number}
            annotations.append(annotation | _describe_mask(box, mask, array.shape))
    content = {
        "info": {"description": "particles in TEM images", "contributor": f"temlib {__version__}"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "particle", "supercategory": "particle"}],
    }
    text = json.dumps(content, separators=(",", ":"))
    return _write_new(path, overwrite, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def load_labels(
    path: str | os.PathLike,
    shape: tuple[int, int] | None = None,
    *,
    image: str | None = None,
    particle: int | None = None,
) -> np.ndarray:
    """Read particles from a label image, from ROIs or from a COCO file.

    Regions are filled as Fiji fills them: with the pixels whose centre lies inside. Where two
    overlap, the later one wins. Those whose name is a number keep it, the others get the next free
    numbers. Nothing in the file is executed, nothing is unpacked to disk.

    Parameters
    ----------
    path : path
        Label image: ``.tif``, ``.tiff``, ``.png``, ``.hspy``, or ``.h5`` as ilastik exports. Fiji's
        ROIs: ``.roi``, or ``.zip`` from the ROI Manager (polygon, freehand, traced, rectangle, oval,
        composite). COCO: ``.json``, with polygons or run lengths.
    shape : (height, width), optional
        Of the micrograph. Needed for ROIs, which do not say it; otherwise checked.
    image : str, optional
        The ``file_name`` to take from a COCO file of several micrographs.
    particle : int, optional
        Of a label image whose values are classes and not particles: the value that means *particle*.
        Its connected parts become the particles. It is 2 in ilastik's "Simple Segmentation" where
        background is the first class, and 255 in many masks.

    Returns
    -------
    int32 array of shape (height, width)
        0 is background.

    Raises
    ------
    MicrographError
        When the file is missing, damaged, of another type or another shape, or holds no particles.
    """
    path = Path(path)
    if not path.is_file():
        raise MicrographError(f"{path}: there is no such file; check the path")
    suffix = path.suffix.lower()
    if suffix not in (*_TABULAR, ".roi", ".zip", ".json"):
        known = ", ".join((*_TABULAR, ".roi", ".zip", ".json"))
        raise MicrographError(f"{path.name}: particles are not read from '{path.suffix}'; use one of {known}")
    try:
        labels = _read(path, suffix, shape, image)
    except MicrographError:
        raise
    except Exception as error:  # readers of damaged files raise anything, from KeyError to struct.error
        reason = one_line(error)
        raise MicrographError(f"{path.name}: cannot be read ({reason}); check the file") from error
    if shape is not None and labels.shape != tuple(shape):
        raise MicrographError(
            f"{path.name}: its image has shape {labels.shape}, not {tuple(shape)}; give the file of this micrograph"
        )
    if particle is None:
        return labels
    return label(labels == particle, connectivity=1).astype(np.int32)


def outlines(labels: Any) -> list[np.ndarray]:
    """Give the outlines of particles, along the edges of their pixels.

    Parameters
    ----------
    labels : signal or int array of shape (height, width)
        0 is background, any other number a particle.

    Returns
    -------
    list of float arrays of shape (n, 2)
        Corners (y, x) [px], the first one repeated at the end; whole numbers are centres of pixels, as
        ``imshow`` draws them. Ordered by particle; a particle with holes or several parts has an
        outline for each.
    """
    array = _as_labels(as_array(labels), "labels")
    return [np.vstack([ring, ring[:1]]) - 0.5 for _, rings in _outlined(array) for ring in rings]


def as_markers(labels: Any, image: Any = None, **style: Any) -> Polygons:
    """Give the outlines of particles as HyperSpy markers: ``image.add_marker(as_markers(labels, image))``.

    Parameters
    ----------
    labels : signal or int array of shape (height, width)
        0 is background, any other number a particle.
    image : signal, optional
        The micrograph to add them to, whose axes they follow; by default ``labels``. Without axes
        they are in pixels.
    **style
        Passed on to ``hyperspy.api.plot.markers.Polygons``.
    """
    import hyperspy.api as hs

    signal = labels if image is None else image
    scale, offset = np.ones(2), np.zeros(2)
    if hasattr(signal, "axes_manager"):
        axes = signal.axes_manager.signal_axes
        scale, offset = np.array([axis.scale for axis in axes]), np.array([axis.offset for axis in axes])
    corners = [ring[:, ::-1] * scale + offset for ring in outlines(labels)]
    return hs.plot.markers.Polygons(corners, **({"edgecolors": _COLOUR, "facecolors": "none"} | style))


def _check_suffix(path: str | os.PathLike, *allowed: str) -> None:
    if Path(path).suffix.lower() not in allowed:
        raise MicrographError(f"{path}: the name must end in {' or '.join(allowed)}; rename it")


def _write_new(path: str | os.PathLike, overwrite: bool, write: Callable[[Path], Any]) -> Path:
    if Path(path).exists() and not overwrite:
        raise MicrographError(f"{path}: exists already; pass overwrite=True to replace it")
    return write_atomically(path, write)


def _as_labels(array: np.ndarray, name: str) -> np.ndarray:
    """Give labels as int32, or say why they are none."""
    if array.dtype.kind not in "biuf" or array.size == 0:
        raise MicrographError(f"{name}: an array of shape {array.shape} and dtype {array.dtype} holds no labels")
    if array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):  # Fiji saves large labels as float
        raise MicrographError(f"{name}: labels are whole numbers; these have fractions; give a label image")
    if array.min() < 0 or array.max() > _LARGEST_NUMBER:
        raise MicrographError(
            f"{name}: labels lie between 0 and {_LARGEST_NUMBER}; these reach from {array.min()} to {array.max()}"
        )
    return array.astype(np.int32)


def _particles(labels: np.ndarray) -> Iterator[tuple[int, Box, np.ndarray]]:
    """Yield number, bounding box and the mask in it of each particle."""
    numbers = np.unique(labels[labels > 0])
    ranks = np.where(labels > 0, np.searchsorted(numbers, labels) + 1, 0)  # small, whatever the numbers are
    for number, box in zip(numbers.tolist(), ndimage.find_objects(ranks), strict=True):
        yield number, box, labels[box] == number


def _outlined(labels: np.ndarray) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield number and rings of each particle, in corners (y, x) of the image."""
    for number, (rows, columns), mask in _particles(labels):
        corner = np.array([rows.start, columns.start])
        yield number, [ring + corner for ring in _rings(mask)]


def _rings(mask: np.ndarray) -> list[np.ndarray]:
    """Give the closed rings of corners (y, x) around a mask and its holes, holes in the other sense.

    The contour at one half passes from one middle of a pixel's edge to the next; between two of them
    lies a corner.
    """
    rings = []
    for contour in find_contours(np.pad(mask, 1).astype(float), 0.5, fully_connected="low"):
        here, there = contour[:-1], contour[1:]
        corner = np.where(here % 1 != 0, here, np.where(there % 1 != 0, there, (here + there) / 2))
        corner = np.rint(corner - 0.5).astype(np.int64)
        straight = np.roll(corner, 1, axis=0) + np.roll(corner, -1, axis=0) == 2 * corner
        rings.append(corner[~straight.all(axis=1)])
    return rings


def _fill(rings: Sequence[np.ndarray], shape: tuple[int, int]) -> tuple[Box, np.ndarray]:
    """Give the box and the mask of the pixels whose centre lies in rings of (y, x), by the even-odd rule.

    A centre on a left edge lies outside and one on a right edge inside, as in Fiji's PolygonFiller.
    """
    starts = np.concatenate([np.asarray(ring, float) for ring in rings])
    ends = np.concatenate([np.roll(np.asarray(ring, float), -1, axis=0) for ring in rings])
    if not np.isfinite(starts).all():
        raise ValueError("an outline has corners that are no numbers")
    down = (starts[:, 0] < ends[:, 0])[:, None]
    upper, lower = np.where(down, starts, ends), np.where(down, ends, starts)
    first, last = (np.clip(np.ceil(y - 0.5), 0, shape[0]).astype(int) for y in (upper[:, 0], lower[:, 0]))
    crossed = last - first
    if not crossed.any():
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)
    upper, lower = np.repeat(upper, crossed, axis=0), np.repeat(lower, crossed, axis=0)
    row = np.arange(len(upper)) - np.repeat(np.cumsum(crossed) - crossed - first, crossed)
    share = (row + 0.5 - upper[:, 0]) / (lower[:, 0] - upper[:, 0])
    x = upper[:, 1] + share * (lower[:, 1] - upper[:, 1])
    column = np.clip(np.floor(x + 0.5 + 1e-8), 0, shape[1]).astype(int)
    (top, bottom), (left, right) = (row.min(), row.max() + 1), (column.min(), column.max())
    crossings = np.zeros((bottom - top, right - left + 1), np.int32)
    np.add.at(crossings, (row - top, column - left), 1)
    inside = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return (slice(top, bottom), slice(left, right)), inside


def _paint(labels: np.ndarray, number: int, rings: Sequence[np.ndarray]) -> None:
    box, mask = _fill(rings, labels.shape)
    labels[box][mask] = number


def _read(path: Path, suffix: str, shape: tuple[int, int] | None, image: str | None) -> np.ndarray:
    if suffix in (".roi", ".zip"):
        return _read_rois(path, shape)
    if suffix == ".json":
        return _read_coco(path, image)
    return _read_label_image(path, suffix)


def _read_label_image(path: Path, suffix: str) -> np.ndarray:
    """Read an array without changing its numbers, which a reader of pictures may do to colours."""
    if suffix == ".hspy":
        array = load_micrograph(path).data
    elif suffix == ".h5":
        array = _read_hdf5(path)
    elif suffix == ".png":
        array = _read_png(path)
    else:
        import tifffile

        array = tifffile.imread(path)
    single = [axis for axis, size in enumerate(array.shape) if size == 1]
    array = array.squeeze(tuple(single[: max(array.ndim - 2, 0)]))  # ilastik adds axes of time and channel
    if array.ndim != 2:
        raise MicrographError(f"{path.name}: an array of shape {array.shape} is no label image; give one of two axes")
    return _as_labels(array, path.name)


def _read_png(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path, formats=("PNG",)) as picture:
        if picture.mode not in ("1", "L", "P", "I") and not picture.mode.startswith("I;16"):
            raise MicrographError(f"{path.name}: holds colours, not numbers; export a grey label image")
        return np.asarray(picture)


def _read_hdf5(path: Path) -> np.ndarray:
    """Read the only array of a file, which ilastik calls ``exported_data``."""
    import h5py

    found: list[h5py.Dataset] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        if len(found) != 1:
            raise MicrographError(f"{path.name}: holds {len(found)} arrays; give a file with one label image")
        if found[0].size > _LARGEST_IMAGE:
            raise MicrographError(f"{path.name}: an array of shape {found[0].shape} is too large; give one label image")
        return found[0][()]


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


def _read_rois(path: Path, shape: tuple[int, int] | None) -> np.ndarray:
    from roifile import ImagejRoi

    if shape is None:
        raise MicrographError(f"{path.name}: ROIs do not say how large the image is; pass shape=(height, width)")
    members = _zip_members(path) if path.suffix.lower() == ".zip" else [(path.stem, path.read_bytes())]
    labels = np.zeros(shape, np.int32)
    numbers = _complete([int(name) if name.isascii() and name.isdecimal() else None for name, _ in members])
    for number, (name, data) in zip(numbers, members, strict=True):
        _paint(labels, number, _roi_rings(ImagejRoi.frombytes(data), f"{path.name}: ROI '{name}'"))
    return labels


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


def _complete(numbers: Sequence[int | None]) -> list[int]:
    """Keep numbers that a particle can have; give the rest the next free ones."""
    taken = {number for number in numbers if number is not None and 0 < number <= _LARGEST_NUMBER}
    complete, free = [], 0
    for number in numbers:
        if number not in taken:
            free += 1
            while free in taken:
                free += 1
            number = free
        complete.append(number)
    return complete


def _describe_mask(box: Box, mask: np.ndarray, shape: tuple[int, int]) -> dict[str, Any]:
    """Give segmentation, area and box of one annotation; run lengths go down the columns."""
    columns, rows = np.nonzero(mask.T)
    place = (columns + box[1].start) * shape[0] + rows + box[0].start
    gaps = np.flatnonzero(np.diff(place) > 1)
    starts, stops = place[np.r_[0, gaps + 1]], place[np.r_[gaps, len(place) - 1]] + 1
    borders = np.column_stack([starts, stops]).ravel()
    counts = np.diff(borders, prepend=0, append=shape[0] * shape[1]).tolist()
    return {
        "segmentation": {"size": list(shape), "counts": counts if counts[-1] else counts[:-1]},
        "area": int(mask.sum()),
        "bbox": [box[1].start, box[0].start, mask.shape[1], mask.shape[0]],
        "iscrowd": 0,
    }


def _read_coco(path: Path, image: str | None) -> np.ndarray:
    content = read_json(path, _LARGEST_JSON, object, MicrographError)
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise MicrographError(f"{path.name}: no COCO file (it lacks 'images' or 'annotations'); export as COCO")
    chosen = _choose(path.name, content["images"], image)
    height, width = int(chosen["height"]), int(chosen["width"])
    if min(height, width) < 1 or height * width > _LARGEST_IMAGE:
        raise MicrographError(f"{path.name}: an image of shape {(height, width)} is not possible; check the file")
    annotations = [each for each in content["annotations"] if each["image_id"] == chosen["id"]]
    columns = np.zeros((width, height), np.int32)
    numbers = _complete([_whole(each.get("particle")) for each in annotations])
    for number, annotation in zip(numbers, annotations, strict=True):
        _paint_annotation(columns, number, annotation, path.name)
    return np.ascontiguousarray(columns.T)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _choose(file: str, images: Sequence[dict], name: str | None) -> dict:
    if name is None and len(images) == 1:
        return images[0]
    for image in images:
        if image["file_name"] == name:
            return image
    names = ", ".join(repr(image["file_name"]) for image in images[:5]) + (", ..." if len(images) > 5 else "")
    found = "no image" if name is None else f"no image {name!r}"
    raise MicrographError(f"{file}: {found} chosen of {len(images)} ({names}); pass image=...")


def _paint_annotation(columns: np.ndarray, number: int, annotation: dict, file: str) -> None:
    """Paint polygons or run lengths into an array of shape (width, height)."""
    segmentation = annotation.get("segmentation")
    if not segmentation:
        raise MicrographError(f"{file}: annotation {annotation.get('id')} has no outline; export segmentations")
    if isinstance(segmentation, list):
        for polygon in segmentation:
            _paint(columns.T, number, [np.array(polygon, float).reshape(-1, 2)[:, ::-1]])
        return
    counts = segmentation["counts"]
    counts = np.array(_decode(counts) if isinstance(counts, str) else counts, np.int64)
    borders = np.cumsum(counts)
    if segmentation["size"] != list(columns.T.shape) or counts.min() < 0 or borders[-1] > columns.size:
        raise MicrographError(f"{file}: annotation {annotation.get('id')} does not fit its image; export it again")
    flat = columns.reshape(-1)
    for start, stop in zip(borders[:-1:2], borders[1::2], strict=True):
        flat[start:stop] = number


def _decode(text: str) -> list[int]:
    """Decode compressed run lengths: five bits a character, the lowest first, each run less the last but one."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
