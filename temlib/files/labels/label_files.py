"""Particles out and in: labels exchanged with Fiji, HyperSpy, ilastik and annotation tools.

Labels are an integer array of shape (height, width): 0 is background, any other number a particle.
What is saved here and loaded again is the same array, pixel for pixel. Outlines run along the edges
of pixels: pixel (0, 0) reaches from corner (0, 0) to corner (1, 1), as in Fiji.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.measure import label

from temlib.errors import MicrographError, one_line
from temlib.files.hyperspy_api import hyperspy_api
from temlib.files.labels.coco import read_coco, save_coco
from temlib.files.labels.ilastik import read_export
from temlib.files.labels.imagej_rois import read_rois, save_rois
from temlib.files.labels.regions import as_labels, check_size, outlines
from temlib.files.micrographs import as_array, load_micrograph, micrograph, pixel_size_of, save_micrograph
from temlib.files.notes import quiet
from temlib.palette import COLOURS
from temlib.writing import check_suffix

if TYPE_CHECKING:
    from hyperspy.drawing._markers.polygons import Polygons

__all__ = ["as_markers", "load_labels", "outlines", "save_coco", "save_labels", "save_rois"]

_TABULAR = (".tif", ".tiff", ".png", ".hspy", ".h5")
_REGIONS = (".roi", ".zip", ".json")


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
    check_suffix(path, ".tif", ".tiff")
    array = as_labels(as_array(labels))
    size = pixel_size_of(labels) if pixel_size_nm is None else pixel_size_nm
    narrow = array.astype(np.uint16 if array.max() < 2**16 else np.uint32)
    return save_micrograph(micrograph(narrow, size, Path(path).stem), path, overwrite)


def load_labels(
    path: str | os.PathLike,
    shape: tuple[int, ...] | None = None,
    *,
    slice: int | None = None,  # noqa: A002
    image: str | None = None,
    categories: str | int | Sequence[str | int] | None = None,
    particle: int | None = None,
) -> np.ndarray:
    """Read particles from a label image, from ROIs or from a COCO file.

    Regions are filled as Fiji fills them: with the pixels whose centre lies inside. Where two
    overlap, the later one wins. Those whose name is a number keep it, the others get the next free
    numbers. What COCO calls a crowd is left out. Nothing in the file is executed, nothing is unpacked to disk.

    Parameters
    ----------
    path : path
        Label image: ``.tif``, ``.tiff``, ``.png``, ``.hspy``, or ``.h5`` as ilastik exports. Fiji's
        ROIs: ``.roi``, or ``.zip`` from the ROI Manager (polygon, freehand, traced, rectangle, oval,
        composite). COCO: ``.json``, with polygons or run lengths.
    shape : (height, width) or (slices, height, width), optional
        Of the micrograph. Needed for ROIs, which do not say it; otherwise checked. With three numbers
        every slice of a stack is read.
    slice : int, optional
        The one to take, from 1 on as in Fiji, of ROIs that were drawn on several slices or frames, or
        of a stack of label images.
    image : str, optional
        The ``file_name`` to take from a COCO file of several micrographs.
    categories : str, int or sequence of these, optional
        Names or numbers of the categories to take from a COCO file; by default all but those that are
        no particles: background, bar, label, scale bar and text.
    particle : int, optional
        Of a label image whose values are classes and not particles: the value that means *particle*.
        Its connected parts become the particles. It is 2 in ilastik's "Simple Segmentation" where
        background is the first class, and 255 in many masks.

    Returns
    -------
    int32 array of shape (height, width), or (slices, height, width)
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
    if suffix not in (*_TABULAR, *_REGIONS):
        known = ", ".join((*_TABULAR, *_REGIONS))
        raise MicrographError(f"{path.name}: particles are not read from '{path.suffix}'; use one of {known}")
    try:
        with quiet():
            if suffix == ".json":
                labels = read_coco(path, image, categories)
            elif suffix in _REGIONS:
                labels = read_rois(path, shape, slice)
            else:
                labels = _read_image(path, suffix, shape, slice)
    except MicrographError:
        raise
    except Exception as error:  # readers of damaged files raise anything, from KeyError to struct.error
        reason = f"it lacks {error}" if isinstance(error, KeyError) else one_line(error)
        raise MicrographError(f"{path.name}: cannot be read ({reason}); check the file") from error
    if shape is not None and labels.shape != tuple(shape if slice is None else shape[-2:]):
        raise MicrographError(
            f"{path.name}: its image has shape {labels.shape}, not {tuple(shape)}; give the file of this micrograph"
        )
    if particle is None:
        return labels
    planes = (labels == particle).reshape(-1, *labels.shape[-2:])
    return np.stack([label(plane, connectivity=1) for plane in planes]).reshape(labels.shape).astype(np.int32)


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
    signal = labels if image is None else image
    scale, offset = np.ones(2), np.zeros(2)
    if hasattr(signal, "axes_manager"):
        axes = signal.axes_manager.signal_axes
        scale, offset = np.array([axis.scale for axis in axes]), np.array([axis.offset for axis in axes])
    corners = [ring[:, ::-1] * scale + offset for ring in outlines(labels)]
    style = {"edgecolors": COLOURS["found"], "facecolors": "none"} | style
    return hyperspy_api().plot.markers.Polygons(corners, **style)


def _read_image(path: Path, suffix: str, shape: tuple[int, ...] | None, chosen: int | None) -> np.ndarray:
    """Read a label image, or the chosen one of a stack, or all of them where the shape has three numbers."""
    array = _y_and_x_last(*_read_array(path, suffix), path.name)
    if array.ndim == 3 and chosen is not None and 1 <= chosen <= len(array):
        array, chosen = array[chosen - 1], None
    whole = shape is not None and len(shape) == array.ndim
    if chosen not in (None, 1) or not (array.ndim == 2 or whole):
        ways = f"pass slice=1, say, or shape={array.shape} for all" if array.ndim == 3 else "give one of two axes"
        raise MicrographError(f"{path.name}: an array of shape {array.shape} is no label image; {ways}")
    return as_labels(array, path.name)


def _read_array(path: Path, suffix: str) -> tuple[np.ndarray, str]:
    """Read numbers as they are, which a reader of pictures may not do, and the letters of their axes if known."""
    if suffix == ".hspy":
        return load_micrograph(path).data, ""
    if suffix == ".h5":
        return read_export(path)
    if suffix == ".png":
        return _read_png(path), "yx"
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        check_size(path.name, series.shape)
        return series.asarray(), series.axes.lower()


def _read_png(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path, formats=("PNG",)) as picture:
        check_size(path.name, picture.size[::-1])
        if picture.mode not in ("1", "L", "P", "I") and not picture.mode.startswith("I;16"):
            raise MicrographError(f"{path.name}: holds colours, not numbers; export a grey label image")
        return np.asarray(picture)


def _y_and_x_last(array: np.ndarray, axes: str, name: str) -> np.ndarray:
    """Bring y and x to the end and drop what has one entry; without letters, y and x are the last that have more."""
    if not axes:
        single = [axis for axis, size in enumerate(array.shape) if size == 1]
        return array.squeeze(tuple(single[: max(array.ndim - 2, 0)]))
    if len(axes) != array.ndim or not {"y", "x"} <= set(axes):
        raise MicrographError(
            f"{name}: axes {axes!r} of an array of shape {array.shape}; give a label image of y and x"
        )
    if "s" in axes:
        raise MicrographError(f"{name}: holds colours, not numbers; export a grey label image")
    array = np.moveaxis(array, (axes.index("y"), axes.index("x")), (-2, -1))
    return array.reshape([size for size in array.shape[:-2] if size > 1] + [*array.shape[-2:]])
