"""Micrographs: read any microscope file into a calibrated 2-D HyperSpy signal.

A micrograph is a ``hyperspy.api.signals.Signal2D`` with two axes, ``y`` and ``x``; a stack has a
navigation axis before them. Units of y and x are ``nm`` where the pixel size is known; where it is
not, they are ``px`` with scale 1, and :func:`pixel_size_of` gives ``None``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.errors import MicrographError
from temlib.files.contents import Axis, Contents, in_memory, left_in_file, warn
from temlib.files.hyperspy_api import hyperspy_api
from temlib.files.reading import read_signals
from temlib.files.scale_bars.scale_bar import look_for_scale_bar
from temlib.files.units import is_harmless, is_reciprocal, length_nm, why_unknown
from temlib.writing import reserve, write_atomically

if TYPE_CHECKING:
    from hyperspy.signals import Signal2D

__all__ = [
    "as_array",
    "load_micrograph",
    "micrograph",
    "pixel_size_of",
    "save_micrograph",
    "with_axes_of",
]

_OVERHEAD = 2**18  # bytes of axes and metadata beside the pixels
_MOST_TITLES = 12  # that a message names
_ELEMENT = re.compile(r"[A-Z][a-z]?([ _-]?[KLM]([αβ]\d?)?)?")  # what a map of an element is called


def micrograph(
    data: np.ndarray,
    pixel_size_nm: float | tuple[float, float] | None = None,
    title: str = "",
    navigation: Sequence[dict[str, Any]] = (),
) -> Signal2D:
    """Wrap an array in a calibrated micrograph, or in a stack of them.

    Parameters
    ----------
    data : array of shape (height, width), or (frames, height, width)
        Grey levels, or a mask, or labels; any real dtype. A dask array gives a lazy signal.
    pixel_size_nm : float or (float, float), optional
        Edge of a pixel [nm], or its height and width [nm]; ``None`` where it is unknown.
    title : str
        Name shown in figures.
    navigation : sequence of dict
        The axes before y and x, as HyperSpy describes axes: name, scale, units, offset.

    Returns
    -------
    hyperspy Signal2D
    """
    scales = np.broadcast_to(np.asarray(1.0 if pixel_size_nm is None else pixel_size_nm, dtype=float), 2)
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        raise MicrographError(f"pixel_size_nm={pixel_size_nm!r} is not a positive number of nanometres")
    if data.ndim != 2 + len(navigation):
        raise MicrographError(
            f"an array of shape {data.shape} with {len(navigation)} axes before y and x is no micrograph and no stack; "
            "describe each of these axes in navigation="
        )
    units = "px" if pixel_size_nm is None else "nm"
    axes = [{**axis, "navigate": True} for axis in navigation]
    axes += [{"name": n, "scale": float(scale), "units": units} for n, scale in zip("yx", scales, strict=True)]
    axes = [axis | {"size": size} for axis, size in zip(axes, data.shape, strict=True)]
    signal = hyperspy_api().signals.Signal2D(data, axes=axes, metadata={"General": {"title": title}})
    return signal if isinstance(data, np.ndarray) else signal.as_lazy()


def as_array(image: Any) -> np.ndarray:
    """Give the (height, width) array of a micrograph or of anything array-like.

    Raises
    ------
    MicrographError
        When it is not a 2-D image.
    """
    data = np.asarray(image if isinstance(image, np.ndarray) else getattr(image, "data", image))
    if data.ndim != 2 or 0 in data.shape:
        raise MicrographError(f"a micrograph has two dimensions; got an array of shape {data.shape}")
    if data.dtype.kind == "c":
        raise MicrographError("a micrograph holds grey levels; got complex numbers; pass their modulus or phase")
    if data.dtype.kind not in "biuf":
        raise MicrographError(f"a micrograph holds numbers; got an array of dtype {data.dtype}; pass numbers")
    return data


def pixel_size_of(image: Any) -> tuple[float, float] | None:
    """Give the height and width of a pixel [nm]; ``None`` where it is unknown, as of a plain array."""
    if not hasattr(image, "axes_manager"):
        return None
    axes = image.axes_manager.signal_axes[::-1]
    sizes = tuple(length_nm(axis.scale, axis.units) for axis in axes)
    return None if None in sizes else sizes  # type: ignore[return-value]


def with_axes_of(image: Any, data: np.ndarray, title: str = "") -> Any:
    """Give ``data`` the axes of ``image`` when that is a signal, else return it as it is."""
    if not hasattr(image, "axes_manager"):
        return data
    axes = [
        {key: value for key in ("name", "scale", "units", "offset") if _is_said(value := getattr(axis, key, None))}
        for axis in image.axes_manager.navigation_axes
    ]
    return micrograph(data, pixel_size_of(image), title, axes)


def load_micrograph(
    path: str | os.PathLike,
    pixel_size_nm: float | tuple[float, float] | None = None,
    *,
    signal: int | str | None = None,
    reader: str | None = None,
    lazy: bool = False,
    scale_bar: bool = False,
) -> Signal2D:
    """Read a micrograph, or a stack of them, from a file of a microscope or any picture.

    Units are normalised to nm; a pixel size that the file does not state, or that is not understood,
    stays unknown, the latter with a warning. Colour pictures become grey (ITU-R BT.709 luma). Axes of
    length 1 are dropped. Of several images in a file it takes no map of an element, a single one
    before a stack, then the one with the most pixels a frame, HAADF, the first, and warns.

    Parameters
    ----------
    path : path
        The file: png, tif, dm3, dm4, emd, ser, emi, mrc, hspy, zspy, nxs, h5, ...
        (:data:`temlib.files.reading.READABLE`). Nothing in it is evaluated, imported or unpickled.
    pixel_size_nm : float or (float, float), optional
        Pixel size [nm] to use instead of the file's.
    signal : int or str, optional
        Which of several in the file: its number from 0 on, or its title.
    reader : str, optional
        For a ``.h5`` of a layout that temlib does not know: ``"NeXus"``, ``"Delmic"``, ``"EMD"`` or ``"USID"``.
    lazy : bool
        Leave the data in the file until they are computed, for stacks larger than memory.
    scale_bar : bool
        Read the burnt-in scale bar where the file states no pixel size (:func:`temlib.read_scale_bar`; needs
        the extra ``temlib[scalebar]``). What was read stands in ``metadata.General.pixel_size_source``.

    Returns
    -------
    hyperspy Signal2D of shape (height, width), or (frames, height, width) with a navigation axis
        The navigation axis of a stack is that of the file. A detector's masked pixels are NaN
        (:mod:`temlib.files.hdf5.nexus`), which :func:`normalise` fills.

    Raises
    ------
    MicrographError
        When the file is missing, unreadable, or holds no micrograph: spectra, diffraction
        patterns, complex numbers, more than one axis besides y and x.
    """
    path = Path(path)
    chosen = _choose(path, read_signals(path, reader, lazy), signal)
    size = pixel_size_nm
    if size is None:
        size = _stated_size(path, chosen)
    data = left_in_file(chosen.data, path.name) if lazy else in_memory(chosen.data, path.name)
    axes = [_described(path, axis) for axis in chosen.navigation_axes]
    source = ""
    if scale_bar and size is None and data.ndim == 2 and not lazy:
        size, source = _size_by_scale_bar(path, data)
    image = micrograph(_to_grey(data), size, chosen.title or path.stem, axes)
    if source:
        image.metadata.set_item("General.pixel_size_source", source)
    return image


def save_micrograph(image: Signal2D, path: str | os.PathLike, overwrite: bool = False) -> Path:
    """Write a micrograph, a mask or labels with its axes, in the format that the suffix names.

    Masks are written as 0 and 1. ``.hspy`` and ``.tif`` keep the pixel size, ``.png`` does not.

    Raises
    ------
    MicrographError
        When the file exists and ``overwrite`` is false.
    OutputError
        When it cannot be written; a file that was there is as it was.
    """
    from PIL import Image

    path = Path(path)
    if path.exists() and not overwrite:
        raise MicrographError(f"{path}: exists already; pass overwrite=True to replace it")
    if path.suffix.lower() == ".zspy":
        raise MicrographError(f"{path}: a folder of zarr is not written here; use .hspy, or HyperSpy's own save")
    if image.data.dtype == bool:
        image = with_axes_of(image, image.data.astype(np.uint8), image.metadata.General.title)

    def write(temporary: Path) -> None:
        if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp"):  # HyperSpy's writer says nothing of a full disk
            try:
                Image.fromarray(np.asarray(image.data)).save(temporary)
            except TypeError as error:  # of 64-bit integers, say
                raise OSError(str(error)) from error
            return
        if path.suffix.lower() == ".hspy":
            reserve(temporary, image.data.nbytes + _OVERHEAD)
        (_in_micrometres(image) if path.suffix.lower() in (".tif", ".tiff") else image).save(temporary, overwrite=True)

    return write_atomically(path, write)


def _in_micrometres(image: Signal2D) -> Signal2D:
    """Give large pixels in a larger unit: RosettaSciIO writes 10**8 times a pixel's size into 32 bits of a tif."""
    if not any(axis.units == "nm" and axis.scale > 40 for axis in image.axes_manager.signal_axes):
        return image
    image = image._deepcopy_with_new_data(image.data)
    for axis in image.axes_manager.signal_axes:
        axis.convert_to_units("µm")
    return image


def _choose(path: Path, signals: Sequence[Contents], wanted: int | str | None) -> Contents:
    """Pick the micrograph among the signals of a file, by the rule that :func:`load_micrograph` states."""
    flaws = [_flaw_of(signal) for signal in signals]
    titles = ", ".join(repr(signal.title) for signal in signals[:_MOST_TITLES])
    titles += f" and {len(signals) - _MOST_TITLES} more" if len(signals) > _MOST_TITLES else ""
    if wanted is not None:
        number = _number_of(signals, wanted)
        if number is None:
            raise MicrographError(f"{path.name}: has no signal {wanted!r}; it holds {len(signals)}: {titles}")
        if flaws[number]:
            raise MicrographError(f"{path.name}: its signal {wanted!r} is {flaws[number]}; choose another of {titles}")
        return signals[number]
    images = [signal for signal, flaw in zip(signals, flaws, strict=True) if flaw is None]
    if not images:
        reasons = ", ".join(dict.fromkeys(flaw for flaw in flaws if flaw))
        raise MicrographError(f"{path.name}: no micrograph in this file ({reasons}); give a file with 2-D images")
    chosen = min(images, key=_rank)
    if len(images) > 1:
        another = f"pass signal= (--signal) for another of {titles}"
        warn(f"{path.name}: holds {len(images)} images; took {chosen.title!r}, {another}")
    return chosen


def _rank(image: Contents) -> tuple[bool, int, int, bool]:
    """Rank the images of a file: no map of an element, a single one, many pixels, HAADF."""
    height, width = image.data.shape[-2:]
    return bool(_ELEMENT.fullmatch(image.title)), image.data.ndim, -height * width, image.title != "HAADF"


def _number_of(signals: Sequence[Contents], wanted: int | str) -> int | None:
    if isinstance(wanted, str):
        return next((number for number, signal in enumerate(signals) if signal.title == wanted), None)
    return wanted if 0 <= wanted < len(signals) else None


def _flaw_of(signal: Contents) -> str | None:
    """Say why a signal is no micrograph, or None when it is one."""
    shape, dtype = signal.data.shape, signal.data.dtype
    if len(signal.signal_axes) != 2:
        return f"a spectrum or profile of shape {shape}"
    if "diffraction" in signal.kind or any(is_reciprocal(axis.units) for axis in signal.signal_axes):
        return "a diffraction pattern"
    if len(signal.navigation_axes) > 1:
        return f"data of shape {shape}, with more than one axis besides y and x"
    if 0 in shape:
        return f"empty, of shape {shape}"
    if np.issubdtype(dtype, np.complexfloating):
        return "complex numbers, not grey levels"
    if dtype.kind not in "biuf" and not {"R", "G", "B"} <= set(dtype.names or ()):
        return f"of dtype {dtype}, no grey levels"
    return None


def _stated_size(path: Path, chosen: Contents) -> tuple[float, float] | None:
    """Give the height and width of a pixel [nm] that a file states; say what is not understood of it."""
    for axis in chosen.signal_axes:
        flaw = f"its axis {axis.name!r} {axis.flaw}" if axis.flaw else why_unknown(axis.scale, axis.units)
        if flaw:
            warn(f"{path.name}: its pixel size is unknown: {flaw}; pass pixel_size_nm=")
            return None
    height, width = (length_nm(axis.scale, axis.units) for axis in chosen.signal_axes)
    return None if height is None or width is None else (height, width)


def _size_by_scale_bar(path: Path, data: Any) -> tuple[float | None, str]:
    """Give the pixel size [nm] by a picture's scale bar, and where it comes from; warn of one that is not clear."""
    found, why = look_for_scale_bar(data)
    if why:
        warn(f"{path.name}: no scale bar was read: {why}; pass pixel_size_nm= where it is known")
    return (found.pixel_size_nm, found.source) if found else (None, "")


def _described(path: Path, axis: Axis) -> dict[str, Any]:
    """Describe a navigation axis to HyperSpy; where its positions are not even, frames are counted."""
    if axis.flaw:
        warn(f"{path.name}: its axis {axis.name!r} {axis.flaw}; its frames are counted instead")
        return {"name": axis.name or "frame"}
    known = np.isfinite([axis.scale, axis.offset]).all()
    numbers = {"scale": axis.scale or 1.0, "offset": axis.offset} if known else {}
    units = axis.units if is_harmless(axis.units) else ""
    return {key: word for key, word in (("name", axis.name), ("units", units)) if word} | numbers


def _is_said(value: Any) -> bool:
    """Say whether a value of an axis is more than HyperSpy's word for what is not known."""
    return value is not None and "undefined" not in str(value)


def _to_grey(data: Any) -> Any:
    if data.dtype.names is None:
        return data
    luma = sum(weight * data[name] for name, weight in zip("RGB", (0.2126, 0.7152, 0.0722), strict=True))
    return np.rint(luma).astype(data.dtype["R"])
