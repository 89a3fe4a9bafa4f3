"""HyperSpy's own files: signals in HDF5 (``.hspy``) and in zarr (``.zspy``).

RosettaSciIO's reader takes all that such a file holds, HyperSpy imports and evaluates some of it.
Here the data, the numbers of the axes and a few words are looked up by their names and nothing else
is opened: no expression, package, model, marker or object of Python.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from temlib.errors import MicrographError
from temlib.files.contents import check_chunk
from temlib.files.hdf5.nexus import open_dataset
from temlib.files.stored import Stored

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["read_hspy", "read_zspy"]

_WORDS = ("name", "size", "scale", "offset", "units", "navigate", "_type", "expression")  # of an axis
_SAID = ("title", "name", "record_by", "signal_type")  # of a signal
_LONGEST_AXIS = 10**7
_LARGEST_JSON = 2**22  # bytes
_NUMBERS = re.compile(r"[<>|=]?[biufc]\d{1,2}")
_CODECS = {  # none of them makes objects of Python
    *(
        "blosc",
        "zstd",
        "zlib",
        "gzip",
        "lz4",
        "bz2",
        "lzma",
        "shuffle",
        "delta",
        "fixedscaleoffset",
        "quantize",
        "astype",
    ),
    *("packbits", "bitround", "crc32", "crc32c", "adler32", "fletcher32", "bytes", "transpose", "sharding_indexed"),
}
_V3_NUMBERS = re.compile(r"bool|u?int\d{1,2}|float\d{2}|complex\d{2,3}")


def read_hspy(path: Path) -> list[dict[str, Any]]:
    """Open the signals of an HDF5 file; their data are read when they are computed.

    Returns
    -------
    list of dict
        ``data``, a dask array, ``axes`` and ``metadata``.
    """
    with h5py.File(path) as file:
        return _signals(_Hdf5(path, file))


def read_zspy(path: Path) -> list[dict[str, Any]]:
    """Open the signals of a zarr store, a folder or a zip; their data are read when they are computed.

    Returns
    -------
    list of dict
        ``data``, a dask array, ``axes`` and ``metadata``.

    Raises
    ------
    MicrographError
        When a link leads out of the store, or an array is compressed by what temlib does not trust.
    """
    if path.is_dir():
        _check_links(path)
    return _signals(_Zarr(path))


def _signals(store: _Hdf5 | _Zarr) -> list[dict[str, Any]]:
    names = [f"Experiments/{name}" for name in store.groups("Experiments")]
    return [_signal(store, name) for name in names if store.has_array(f"{name}/data")]


def _signal(store: _Hdf5 | _Zarr, name: str) -> dict[str, Any]:
    data = store.array(f"{name}/data")
    axes = [_axis(store, f"{name}/axis-{number}") for number in range(data.ndim)]
    old = store.attributes(f"{name}/mapped_parameters")  # before version 1.2
    general = {"title": old.get("title", old.get("name", ""))} | store.attributes(f"{name}/metadata/General")
    title = "" if general["title"] == "__unnamed__" else general["title"]
    signal = {**old, **store.attributes(f"{name}/metadata/Signal")}
    return {"data": data, "axes": axes, "metadata": {"General": {"title": title}, "Signal": signal}}


def _axis(store: _Hdf5 | _Zarr, name: str) -> dict[str, Any]:
    axis = dict(store.attributes(name))
    if store.has_array(f"{name}/axis"):
        positions = store.array(f"{name}/axis")
        axis["axis"] = positions.compute(scheduler="synchronous") if positions.size <= _LONGEST_AXIS else ()
    return axis


@dataclass(frozen=True)
class _Hdf5:
    path: Path
    file: h5py.File

    def groups(self, name: str) -> list[str]:
        return list(self.file[name]) if name in self.file else []

    def attributes(self, name: str) -> dict[str, Any]:
        attributes = self.file[name].attrs if name in self.file else {}
        found = {key: np.asarray(attributes[key]) for key in (*_WORDS, *_SAID) if key in attributes}
        return {key: value.item() for key, value in found.items() if value.size == 1}

    def has_array(self, name: str) -> bool:
        return getattr(self.file.get(name), "shape", None) is not None

    def array(self, name: str) -> da.Array:
        return open_dataset(self.path, self.file, name)


@dataclass(frozen=True)
class _Zarr:
    path: Path

    def groups(self, name: str) -> list[str]:
        folder = self._at(name)
        return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []

    def attributes(self, name: str) -> dict[str, Any]:
        found = self._json(f"{name}/.zattrs") or self._json(f"{name}/zarr.json").get("attributes", {})
        return {key: found[key] for key in (*_WORDS, *_SAID) if key in found}

    def has_array(self, name: str) -> bool:
        return bool(self._json(f"{name}/.zarray")) or self._json(f"{name}/zarr.json").get("node_type") == "array"

    def array(self, name: str) -> da.Array:
        flaw = _flaw_of_array(self._json(f"{name}/.zarray")) or _flaw_of_array3(self._json(f"{name}/zarr.json"))
        if flaw:
            raise MicrographError(f"{self.path.name}: {name} {flaw}")
        opened = _open_zarr(self.path, name)
        if min(opened.shape, default=0) < 0 or min(opened.chunks, default=1) < 1:
            raise MicrographError(f"{self.path.name}: {name} declares a shape that is none; copy it again")
        check_chunk(self.path, opened.shape, opened.chunks, opened.dtype)
        stored = Stored(self.path.resolve(), opened.shape, opened.dtype, partial(_read_zarr, name=name))
        return stored.lazily((*opened.chunks, 1)[0], block=0)  # chunks of the file

    def _at(self, name: str) -> Any:
        return (self.path if self.path.is_dir() else zipfile.Path(self.path)).joinpath(*name.split("/"))

    def _json(self, name: str) -> dict[str, Any]:
        file = self._at(name)
        if not file.is_file():
            return {}
        with file.open("rb") as opened:
            content = opened.read(_LARGEST_JSON + 1)
        if len(content) > _LARGEST_JSON:
            raise MicrographError(f"{self.path.name}: {name} is larger than {_LARGEST_JSON >> 20} MiB; copy it again")
        found = json.loads(content)
        return found if isinstance(found, dict) else {}


def _read_zarr(path: Path, index: Any, name: str) -> np.ndarray:
    return _open_zarr(path, name)[index]


def _open_zarr(path: Path, name: str) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise MicrographError(
            f"{path.name}: there is no zarr to read it with: pip install 'temlib[cluster]'"
        ) from error
    if path.is_dir():
        return zarr.open_array(os.fspath(path.joinpath(*name.split("/"))), mode="r")
    return zarr.open_array(zarr.storage.ZipStore(os.fspath(path), mode="r"), path=name, mode="r")


def _check_links(path: Path) -> None:
    """Refuse a store of which a part is a link that leads out, or no file at all, such as a pipe."""
    root = path.resolve()
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            part = Path(folder, name)
            target = part.resolve() if part.is_symlink() else part
            if root not in target.parents:
                raise MicrographError(f"{path.name}: {part.relative_to(root)} is kept outside of it; put a copy there")
            if not (target.is_file() or target.is_dir()):
                raise MicrographError(f"{path.name}: {part.relative_to(root)} is no file; copy the store again")


def _flaw_of_array(described: Mapping[str, Any]) -> str:
    """Say why an array of zarr's second format is not opened, or ""; both formats may lie in one store."""
    if not described:
        return ""
    dtype = described["dtype"]
    types = [dtype] if isinstance(dtype, str) else [field[1] for field in dtype if len(field) == 2]
    codecs = [codec for codec in (described.get("compressor"), *(described.get("filters") or ())) if codec]
    of_numbers = ("dtype", "astype", "encode_dtype", "decode_dtype")
    types += [codec[key] for codec in codecs for key in of_numbers if key in codec]
    if not types or not all(isinstance(each, str) and _NUMBERS.fullmatch(each) for each in types):
        return "holds no plain numbers"
    return _flaw_of_codecs([codec.get("id") for codec in codecs])


def _flaw_of_array3(described: Mapping[str, Any]) -> str:
    """Say the same of an array of zarr's third format."""
    if not described:
        return ""
    if not _V3_NUMBERS.fullmatch(str(described.get("data_type"))) or described.get("storage_transformers"):
        return "holds no plain numbers"
    codecs = list(described.get("codecs", ()))
    for codec in codecs:  # grows by the codecs within shards
        inner = codec.get("configuration", {})
        codecs += [*inner.get("codecs", ()), *inner.get("index_codecs", ())]
    return _flaw_of_codecs([codec.get("name") for codec in codecs])


def _flaw_of_codecs(names: list[Any]) -> str:
    foreign = [str(name)[:40] for name in names if str(name).removeprefix("numcodecs.") not in _CODECS]
    way = f"is stored by {', '.join(foreign)}, which may run code of its author; save it with blosc or zstd"
    return way if foreign else ""
