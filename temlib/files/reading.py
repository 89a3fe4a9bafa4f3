"""Files: what is in any file of a microscope, or one line on why it is not read.

HyperSpy never builds a signal from a file: readers give dictionaries, :mod:`temlib.files.contents`
takes a few fields of them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from glob import escape
from importlib import import_module
from pathlib import Path
from typing import Any

import h5py

from temlib.errors import MicrographError
from temlib.files.contents import Contents, from_dictionary, said_in_one_line
from temlib.files.hdf5 import nexus
from temlib.files.hdf5.hyperspy_files import read_hspy, read_zspy
from temlib.files.hdf5.inspection import check_hdf5, is_hdf5
from temlib.files.hdf5.layouts import check_tree, check_velox, is_velox, reader_of
from temlib.files.mrc import read_mrc
from temlib.files.notes import quiet
from temlib.files.pictures import PICTURES, read_pictures

__all__ = ["READABLE", "read_signals"]


READABLE: Mapping[str, str] = {  # suffixes, in small letters, and their readers; "" where the layout within tells
    **dict.fromkeys(PICTURES, "picture"),
    **dict.fromkeys(("dm3", "dm4"), "digitalmicrograph"),
    "emd": "emd",
    **dict.fromkeys(("emi", "ser"), "tia"),
    **dict.fromkeys(("mrc", "mrcs", "map", "st"), "mrc"),
    "hspy": "hspy",
    "zspy": "zspy",
    **dict.fromkeys(("h5", "hdf5", "nxs"), ""),
}
_HDF5 = ("emd", "hspy", "h5", "hdf5", "nxs")  # which are looked through first


def read_signals(path: Path, reader: str | None = None, lazy: bool = False) -> list[Contents]:
    """Open all that a file holds.

    Parameters
    ----------
    path : path
        The file.
    reader : str, optional
        Name of a reader, where the file's suffix does not tell: ``"NeXus"``, ``"Delmic"``, ...
    lazy : bool
        Leave the numbers of pictures in the file; those of all other kinds stay there anyway.

    Returns
    -------
    list of Contents, at least one
        :func:`temlib.files.contents.in_memory` reads their numbers.

    Raises
    ------
    MicrographError
        When the file is missing, of an unknown type, or damaged.
    """
    suffix = path.suffix.lower().lstrip(".")
    _check_kind(path, suffix, reader)
    with said_in_one_line(path.name):
        if suffix in _HDF5 or is_hdf5(path):
            check_hdf5(path)
        name = (reader or READABLE.get(suffix) or reader_of(path)).lower()
        found = [from_dictionary(each) for each in _read(path, name, lazy)]
    if not found:
        where = f"put its series {path.stem}_1.ser beside it" if suffix == "emi" else "check the file"
        raise MicrographError(f"{path.name}: no micrograph in this file (no data); {where}")
    return found


def _check_kind(path: Path, suffix: str, reader: str | None) -> None:
    """Refuse what is no file, or of no kind that is read."""
    if not path.exists():
        raise MicrographError(f"{path}: there is no such file; check the path")
    if reader is None and suffix not in READABLE:
        raise MicrographError(
            f"{path.name}: files of type '{path.suffix}' are not read; use one of {', '.join(READABLE)}"
        )
    if reader is not None and reader.lower() not in (*_ROSETTA, *_OWN):
        raise MicrographError(
            f"{path.name}: cannot be read by {reader!r}; readers of HDF5 are 'NeXus', 'Delmic', 'EMD', 'USID'"
        )
    if path.is_dir() and suffix != "zspy":
        raise MicrographError(f"{path}: is a folder, not a file; name a file in it")
    for part in [path, *(path.parent.glob(f"{escape(path.stem)}_*.ser") if suffix == "emi" else ())]:
        if not (part.is_file() or part.is_dir()):  # a pipe, say, from which nothing ever comes
            raise MicrographError(f"{part}: is no file; name a file")
        if part.is_file() and not part.stat().st_size:
            raise MicrographError(f"{part.name}: is empty (0 bytes); copy it again")


def _read(path: Path, reader: str, lazy: bool) -> list[dict[str, Any]]:
    if reader == "picture":
        return read_pictures(path, lazy)
    return _OWN[reader](path) if reader in _OWN else _from_rosetta(reader, path)


def _from_rosetta(module: str, path: Path) -> list[dict[str, Any]]:
    if module in _WALKERS:
        check_tree(path, whole=module in _AT_ONCE)
    reader = import_module(f"rsciio.{module}")  # sets its own loggers when it comes
    with _quiet():
        return reader.file_reader(os.fspath(path), lazy=module not in _AT_ONCE)


def _read_tia(path: Path) -> list[dict[str, Any]]:
    """Read FEI's series; RosettaSciIO looks for those of an ``.emi`` by a pattern, in which its name means itself."""
    stem = os.fspath(path.with_suffix(""))
    if path.suffix.lower() != ".emi" or escape(stem) == stem:
        return _from_rosetta("tia", path)
    series = sorted(path.parent.glob(f"{escape(path.stem)}_[0-9].ser"))
    return [each for part in series for each in _from_rosetta("tia", part)]


def _read_emd(path: Path) -> list[dict[str, Any]]:
    """Read an EMD file; of Velox's the images alone, for RosettaSciIO reads no image where spectra fail."""
    from rsciio.emd._emd_velox import FeiEMDReader

    if not is_velox(path):
        return _from_rosetta("emd", path)
    check_velox(path)
    reader = FeiEMDReader(lazy=True, select_type="images")
    with _quiet(), suppress(ModuleNotFoundError):  # `sparse`, which it asks for after the images, for spectra
        reader.read_file(h5py.File(path))
    return reader.dictionaries


# None of these unpickles or evaluates what a file says; RosettaSciIO's reader of netCDF, say, does.
_ROSETTA = ("digitalmicrograph", "nexus", "delmic", "usid")
_WALKERS = ("emd", "nexus", "delmic", "usid")
_AT_ONCE = ("delmic",)  # leaves nothing in the file
_OWN: Mapping[str, Callable[[Path], list[dict[str, Any]]]] = {
    "tia": _read_tia,
    "emd": _read_emd,
    "mrc": read_mrc,
    "hspy": read_hspy,
    "zspy": read_zspy,
    "detector": nexus.read_detectors,
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep notes and warnings of readers out of the way: what matters is in the error."""
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
