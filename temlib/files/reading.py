"""Files: what is in any file of a microscope, as HyperSpy signals, or one line on why it is not read."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.errors import MicrographError, one_line
from temlib.files import nexus
from temlib.files.hdf5 import check_hdf5, is_hdf5

if TYPE_CHECKING:
    from hyperspy.signals import BaseSignal

__all__ = ["read_signals"]

# No pickle behind any of these: reading them runs no code of the file's author.
_READABLE = (
    *("png", "jpg", "jpeg", "tif", "tiff", "bmp", "dm3", "dm4", "emd", "emi", "ser", "mrc"),
    *("hspy", "zspy", "h5", "hdf5", "nxs"),
)
_HDF5 = ("emd", "hspy", "h5", "hdf5", "nxs")
_OF_MANY_LAYOUTS = ("h5", "hdf5", "nxs")
_DETECTOR = "detector"
_WHOLE = ("png", "jpg", "jpeg", "bmp")  # RosettaSciIO reads these at once or not at all


def read_signals(path: str | os.PathLike, reader: str | None = None, lazy: bool = False) -> list[BaseSignal]:
    """Read all signals of a file, as they are.

    Parameters
    ----------
    path : path
        The file.
    reader : str, optional
        Name of a reader of RosettaSciIO, where the file's suffix does not tell.
    lazy : bool
        Leave the data in the file until they are computed.

    Returns
    -------
    list of hyperspy signals, at least one

    Raises
    ------
    MicrographError
        When the file is missing, of an unknown type, or damaged.
    """
    path = Path(path)
    suffix = path.suffix.lower().lstrip(".")
    if not path.exists():
        raise MicrographError(f"{path}: there is no such file; check the path")
    if reader is None and suffix not in _READABLE:
        raise MicrographError(
            f"{path.name}: files of type '{path.suffix}' are not read; use one of {', '.join(_READABLE)}"
        )
    if path.is_dir() and suffix != "zspy":
        raise MicrographError(f"{path}: is a folder, not a file; name a file in it")
    try:
        if suffix in _HDF5 or is_hdf5(path):
            check_hdf5(path)
        if suffix == "mrc":
            _check_mrc(path)
        if reader is None and suffix in _OF_MANY_LAYOUTS:
            reader = _reader_of(path)
        signals = nexus.read_detectors(path, lazy) if reader == _DETECTOR else _load(path, reader, lazy)
    except MicrographError:
        raise
    except MemoryError as error:
        raise MicrographError(f"{path.name}: does not fit into memory; pass lazy=True, or check the file") from error
    except Exception as error:  # readers of damaged files raise anything, from KeyError to struct.error
        reason = one_line(error)
        raise MicrographError(
            f"{path.name}: cannot be read ({reason or type(error).__name__}); check the file"
        ) from error
    if not signals:
        where = f"put its series {path.stem}_1.ser beside it" if suffix == "emi" else "check the file"
        raise MicrographError(f"{path.name}: no micrograph in this file (no data); {where}")
    return signals


def _load(path: Path, reader: str | None, lazy: bool) -> list[BaseSignal]:
    import hyperspy.api as hs

    options: dict[str, Any] = {} if reader is None else {"file_format": reader}
    whole = path.suffix.lower().lstrip(".") in _WHOLE
    with _quiet():
        loaded = hs.load(os.fspath(path), escape_square_brackets=True, lazy=lazy and not whole, **options)
        signals = [_complete(signal) for signal in (loaded if isinstance(loaded, list) else [loaded])]
    return [signal.as_lazy() for signal in signals] if lazy and whole else signals


def _complete(signal: BaseSignal) -> BaseSignal:
    """Give a signal what its file says and its reader leaves out."""
    import hyperspy.api as hs

    axes = signal.axes_manager
    if not axes._axes and signal.data.ndim in (2, 3):  # a plain array of an HDF5 file
        title = {"General": {"title": signal.metadata.General.title}}
        plain = hs.signals.Signal2D(signal.data, metadata=title)
        return plain.as_lazy() if signal._lazy else plain
    description = str(signal.original_metadata.get_item("ImageDescription", ""))
    if description.startswith("ImageJ="):
        said = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
        unit = _escaped(said.get("unit", ""))
        for axis in axes.signal_axes:
            axis.units = unit if "undefined" in str(axis.units) else axis.units
        if float(said.get("finterval", 0)) > 0 and axes.navigation_dimension == 1:
            (time,) = axes.navigation_axes
            time.name, time.scale, time.units = "time", float(said["finterval"]), "s"
    return signal


def _escaped(text: str) -> str:
    r"""Undo what ImageJ makes of other letters: \u00B5 for a micro sign."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), text)


def _check_mrc(path: Path) -> None:
    """Refuse an MRC whose header declares more than the file holds; its reader would try to make room for it."""
    header = np.fromfile(path, "<i4", 24)
    if len(header) < 24:
        raise MicrographError(f"{path.name}: cannot be read (shorter than a header); check the file")
    columns, rows, sections, mode, extended = (int(header[i]) for i in (0, 1, 2, 3, 23))
    pixel = {0: 1, 1: 2, 2: 4, 3: 4, 4: 8, 6: 2, 12: 2}.get(mode)
    declared = 1024 + extended + columns * rows * sections * (pixel or 0)
    if pixel is None or min(columns, rows, sections) < 1 or extended < 0 or declared > path.stat().st_size:
        shape = f"{sections} x {rows} x {columns}, mode {mode}"
        raise MicrographError(f"{path.name}: declares what it does not hold ({shape}); copy the file again")


def _reader_of(path: Path) -> str:
    """Tell from its layout which reader an HDF5 file is for; its suffix leaves several."""
    import h5py

    with h5py.File(path) as file:
        if nexus.detectors_in(file):
            return _DETECTOR
        if str(file.attrs.get("file_format", "")).lower() == "hyperspy":
            return "HSPY"
        if {"version_major", "version_minor"} <= set(file.attrs):
            return "EMD"
        if any(nexus.text(item.attrs.get("NX_class")) == "NXentry" for item in file.values() if item is not None):
            return "NeXus"
    raise MicrographError(
        f"{path.name}: HDF5 of a layout that temlib does not know; name a reader: load_micrograph(..., "
        "reader='NeXus') takes every array in it, others are 'Delmic', 'EMD', 'USID'"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the notes of HyperSpy and its readers out of the way: what matters is in the error."""
    loggers = [logging.getLogger(name) for name in ("hyperspy", "rsciio", "tifffile")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
