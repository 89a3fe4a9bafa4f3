"""ilastik's exports: arrays in HDF5, whose axes it names."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from temlib.errors import MicrographError
from temlib.files.hdf5.inspection import check_hdf5
from temlib.files.labels.regions import check_size

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
        check_size(path.name, array.shape)
        tags = json.loads(array.attrs.get("axistags", '{"axes": []}'))  # vigra's description
        return array[()], "".join(str(axis["key"]) for axis in tags["axes"])
