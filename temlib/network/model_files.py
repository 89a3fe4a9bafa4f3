"""Networks in files, looked through before they are read: no code is run, no more memory taken than one needs."""

from __future__ import annotations

import os
import tempfile
import warnings
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from temlib.files.hdf5.inspection import check_hdf5
from temlib.files.json_files import parse_json
from temlib.network.backend import start_keras
from temlib.network.description import check_description

if TYPE_CHECKING:
    import keras

__all__ = ["check_weights", "read_model"]

_LARGEST_MODEL = 2**28  # bytes, unpacked
_LARGEST_TEXT = 2**23  # bytes of a member in JSON
_MOST_MEMBERS = 16
_MOST_ARRAYS = 10_000
_WEIGHTS = "model.weights.h5"


def read_model(path: str | os.PathLike) -> keras.Model:
    """Read a network from a ``.keras`` file, after a look at what it asks for; no code from the file is run.

    Raises
    ------
    ValueError
        When it is no such file, is damaged, asks for anything but layers that temlib uses or for more
        memory than they need, or holds weights that are not finite.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive)
            check_description(parse_json(archive.read("config.json"), _LARGEST_TEXT))
            with tempfile.TemporaryDirectory(prefix="temlib-", ignore_cleanup_errors=True) as folder:
                check_weights(archive.extract(_WEIGHTS, folder))
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # Keras only warns of weights that the file lacks
            model = start_keras().saving.load_model(path, compile=False, safe_mode=True)
    except ValueError:
        raise
    except Exception as error:  # of zip, HDF5 or Keras, whatever a damaged file makes them raise
        raise ValueError(error) from error
    if not all(np.isfinite(array).all() for array in model.get_weights()):
        raise ValueError("its weights are not all finite")
    return model


def check_weights(path: str | os.PathLike) -> None:
    """Refuse a file of weights that is damaged, leads elsewhere, or claims more numbers than a network has.

    Raises
    ------
    ValueError or OSError
        Saying what is wrong with it.
    """
    import h5py

    check_hdf5(path)
    sizes: list[int] = []

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(item.nbytes)
            if len(sizes) > _MOST_ARRAYS or sum(sizes) > _LARGEST_MODEL:
                raise ValueError(f"its weights are larger than any network of temlib, by {name}")

    with h5py.File(path) as file:
        file.visititems(add)


def _check_members(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    for member in members:
        if PurePosixPath(member.filename).name != member.filename or "\\" in member.filename:
            raise ValueError(f"its member {member.filename!r} leads out of the archive")
        if member.filename.endswith(".json") and member.file_size > _LARGEST_TEXT:
            raise ValueError(f"its member {member.filename!r} unpacks to more than {_LARGEST_TEXT // 2**20} MiB")
    names = {member.filename for member in members}
    if len(names) < len(members) or len(members) > _MOST_MEMBERS:
        raise ValueError("it has more members than a network's file, or two of one name")
    if sum(member.file_size for member in members) > _LARGEST_MODEL:
        raise ValueError(f"it unpacks to more than {_LARGEST_MODEL // 2**20} MiB")
    damaged = archive.testzip()
    if damaged:
        raise ValueError(f"the sum of its member {damaged!r} is wrong")
