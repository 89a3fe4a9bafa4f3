"""Layouts of HDF5 files: which reader one is for, and whether a reader that walks through all of it will end."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import psutil

from temlib.errors import MicrographError
from temlib.files.nexus import detectors_in, text

__all__ = ["check_tree", "is_velox", "reader_of"]

_MOST_PATHS = 10**5


def reader_of(path: str | os.PathLike) -> str:
    """Tell from its layout which reader an HDF5 file is for; its suffix leaves several.

    Raises
    ------
    MicrographError
        When no layout is known that fits.
    """
    path = Path(path)
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


def is_velox(path: str | os.PathLike) -> bool:
    """Say whether an EMD file is of Thermo Fisher's Velox and holds images."""
    with h5py.File(path) as file:
        return isinstance(file.get("Data/Image"), h5py.Group) and "Version" in file


def check_tree(path: str | os.PathLike) -> None:
    """Refuse what readers that follow every link, and read every axis, would never come to the end of.

    Raises
    ------
    MicrographError
        When groups are linked in circles or so often that they have very many names, or when a
        list is larger than the memory that is free.
    """
    path = Path(path)
    with h5py.File(path) as file:
        flaw = _Tree().flaw_of(file)
    if flaw:
        raise MicrographError(f"{path.name}: {flaw}; save what you need of it anew")


class _Tree:
    """The groups of a file, of which each is counted once."""

    def __init__(self) -> None:
        self.paths: dict[tuple[int, int], int] = {}  # names that lead through a group; 0 while it is looked at
        self.free = psutil.virtual_memory().available
        self.too_large = ""

    def flaw_of(self, group: h5py.Group) -> str:
        if self._count(group) > _MOST_PATHS:
            return "its groups are linked in circles, or very often"
        return self.too_large and f"{self.too_large} is larger than the memory that is free"

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
            elif isinstance(item, h5py.Dataset) and item.ndim == 1 and item.nbytes > self.free:
                self.too_large = item.name
        self.paths[place] = min(total, _MOST_PATHS + 1)
        return self.paths[place]
