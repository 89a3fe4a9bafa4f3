"""Layouts of HDF5 files: which reader one is for, and whether a reader that walks through all of it will end."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import psutil

from temlib.errors import MicrographError
from temlib.files.hdf5.nexus import detectors_in, text
from temlib.files.json_files import parse_json
from temlib.files.memory import check_memory
from temlib.files.units import is_harmless

__all__ = ["check_tree", "check_velox", "is_velox", "reader_of"]

_MOST_PATHS = 10**5
_MOST_PIECES = 10**6
_MOST_METADATA = 2**26  # bytes


def reader_of(path: Path) -> str:
    """Tell from its layout which reader an HDF5 file is for; its suffix leaves several.

    Raises
    ------
    MicrographError
        When no layout is known that fits.
    """
    with h5py.File(path) as file:
        if detectors_in(file):
            return "Detector"
        if str(file.attrs.get("file_format", "")).lower() == "hyperspy":
            return "HSPY"
        if {"version_major", "version_minor"} <= set(file.attrs):
            return "EMD"
        if any(text(item.attrs.get("NX_class")) == "NXentry" for item in file.values() if item is not None):
            return "NeXus"
    raise MicrographError(
        f"{path.name}: HDF5 of a layout that temlib does not know; name a reader: load_micrograph(..., "
        "reader='NeXus') takes every array in it, others are 'Delmic', 'EMD', 'USID'"
    )


def is_velox(path: Path) -> bool:
    """Say whether an EMD file is of Thermo Fisher's Velox and holds images."""
    with h5py.File(path) as file:
        return isinstance(file.get("Data/Image"), h5py.Group) and "Version" in file


def check_velox(path: Path) -> None:
    """Refuse images of Velox that its reader would never come to the end of.

    Raises
    ------
    MicrographError
        When an image is in very many pieces, its metadata are no JSON or too long, or its unit is none.
    """
    with h5py.File(path) as file:
        for name, group in file["Data/Image"].items():
            image, metadata = group["Data"], group["Metadata"]
            if _pieces(image) > _MOST_PIECES or metadata.nbytes > _MOST_METADATA:
                raise MicrographError(f"{path.name}: its image {name} declares more than it can hold; copy it again")
            said = parse_json(metadata[:, 0].tobytes().rstrip(b"\0"), _MOST_METADATA)
            units = [value for key, value in said.get("BinaryResult", {}).items() if "Unit" in key]
            if not all(map(is_harmless, units)):
                raise MicrographError(f"{path.name}: its image {name} has a unit that is none; save it anew")


def check_tree(path: Path, whole: bool = False) -> None:
    """Refuse what readers that follow every link, and read every axis, would never come to the end of.

    Parameters
    ----------
    path : path
        HDF5.
    whole : bool
        Whether the reader takes all arrays into memory at once.

    Raises
    ------
    MicrographError
        When groups are linked in circles or so often that they have very many names, when a list
        is larger than the memory that is free, or a unit is a calculation.
    """
    with h5py.File(path) as file:
        tree = _Tree()
        flaw = tree.flaw_of(file)
        if not flaw and whole:
            check_memory(path.name, tree.bytes, "read what you need of it with another program")
    if flaw:
        raise MicrographError(f"{path.name}: {flaw}; save what you need of it anew")


class _Tree:
    """The groups of a file, of which each is counted once."""

    def __init__(self) -> None:
        self.paths: dict[tuple[int, int], int] = {}  # names that lead through a group; 0 while it is looked at
        self.free = psutil.virtual_memory().available
        self.bytes = 0
        self.flaw = ""

    def flaw_of(self, group: h5py.Group) -> str:
        if self._count(group) > _MOST_PATHS:
            return "its groups are linked in circles, or very often"
        return self.flaw

    def _count(self, group: h5py.Group) -> int:
        info = h5py.h5o.get_info(group.id)
        place = info.fileno, info.addr
        if place in self.paths:
            return self.paths[place] or _MOST_PATHS + 1
        self.paths[place], total = 0, 1
        for name in group:
            item = group.get(name)
            if isinstance(item, h5py.Group):
                total += self._count(item)
            elif isinstance(item, h5py.Dataset):
                self._look_at(item)
        self.paths[place] = min(total, _MOST_PATHS + 1)
        return self.paths[place]

    def _look_at(self, array: h5py.Dataset) -> None:
        self.bytes += array.nbytes
        if array.ndim == 1 and array.nbytes > self.free:
            self.flaw = f"{array.name} is larger than the memory that is free"
        if not is_harmless(text(array.attrs.get("units", ""))):
            self.flaw = f"{array.name} has a unit that is none"


def _pieces(array: h5py.Dataset) -> int:
    chunks = array.chunks or array.shape
    return math.prod(-(-size // chunk) for size, chunk in zip(array.shape, chunks, strict=True) if chunk)
