"""ilastik's exports: arrays in HDF5, whose axes it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from temlib.errors import MicrographError
from temlib.files.hdf5.inspection import check_hdf5
from temlib.files.labels.regions import LARGEST_IMAGE

__all__ = ["read_export"]


def read_export(path: Path) -> tuple[np.ndarray, str]:
    """Read the only array of a file, ``exported_data``, and the letters of its axes, "" where it does not name them."""
    import h5py

    check_hdf5(path)
    found: list[h5py.Dataset] = []
    with h5py.File(path) as file:
        file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
        if len(found) != 1:
            raise MicrographError(f"{path.name}: holds {len(found)} arrays; give a file with one label image")
        (array,) = found
        if array.size > LARGEST_IMAGE:
            raise MicrographError(f"{path.name}: an array of shape {array.shape} is too large; give one label image")
        return array[()], _axes(array.attrs.get("axistags"))


def _axes(tags: Any) -> str:
    """Give the letters in vigra's description of axes, a text of JSON."""
    if tags is None:
        return ""
    return "".join(str(axis["key"]) for axis in json.loads(tags)["axes"])
