"""Detector stacks: frames that fast pixel detectors write to HDF5 in NeXus layout, read lazily.

Known are the layout of x-spectrum's Lambda and its kin (frames in ``NXdetector/data``) and of
Dectris (frames in ``NXdata/data_000001`` and on, in files beside the master). Pixels of the sensor
are not pixels of the specimen: such files state no pixel size of the micrograph.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from temlib.errors import MicrographError
from temlib.files.contents import as_dictionary, check_chunk, warn
from temlib.files.stored import Stored

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["detectors_in", "open_dataset", "read_detectors", "text"]

_FRAME_TIMES = (  # the first that is there counts: with the time of readout before without
    "frame_time",
    "count_time",
    "detectorSpecific/frame_time",
    "detectorSpecific/frame_count_time",
    "collection/shutter_time",
)
_MASKS = ("pixel_mask", "detectorSpecific/pixel_mask")
_REJECTED = 0x0000FFFF  # NXdetector: other bits say something of a pixel that counts all the same
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("us", "µs", "μs", "microsecond", "microseconds"), 1e-6),
    **dict.fromkeys(("ns", "nanosecond", "nanoseconds"), 1e-9),
}
_MOST_TIMES = 10**7  # of frames, where a file states one for each


def detectors_in(file: h5py.File) -> list[str]:
    """Name the groups of class ``NXdetector``, also where a Lambda's file leaves the class out."""
    found = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and text(item.attrs.get("NX_class")) == "NXdetector":
            found.append(name)

    file.visititems(look)
    usual = "entry/instrument/detector"
    return found or ([usual] if isinstance(file.get(f"{usual}/data"), h5py.Dataset) else [])


def read_detectors(path: Path) -> list[dict[str, Any]]:
    """Open the frames of each detector in a file; they are read when they are computed.

    Pixels that the detector's ``pixel_mask`` rejects (gaps between modules, dead, hot) become NaN,
    for which the frames become float32; without such pixels they keep their integers.

    Parameters
    ----------
    path : path
        HDF5 in NeXus layout. Compressed frames (bitshuffle, LZ4, Blosc) need ``temlib[detectors]``.

    Returns
    -------
    list of dict
        ``data``, a dask array of shape (frames, height, width), which can be sent to other
        processes: they open the file themselves; its ``axes``, of which the first is ``time`` [s]
        where the file states a frame time, else ``frame``; and ``metadata``.

    Raises
    ------
    MicrographError
        When frames are missing, damaged, or compressed by an unknown filter.
    """
    with h5py.File(path) as file:
        found = [_read(path, file, name) for name in detectors_in(file)]
    return [frames for frames in found if frames is not None] or _refuse(path, "holds a detector without frames")


def open_dataset(path: Path, file: h5py.File, name: str) -> da.Array:
    """Open an array of an HDF5 file by its name; what it holds is read when it is computed, in any process.

    Raises
    ------
    MicrographError
        When it is compressed by an unknown filter.
    """
    dataset = file[name]
    _check_filters(path, dataset)
    check_chunk(path, dataset.shape, dataset.chunks or (1,), dataset.dtype)
    return _opened(path, name, dataset, dataset.shape)


def _read_frames(path: Path, index: Any, name: str) -> np.ndarray:
    _register_filters()
    with h5py.File(path) as file:
        return file[name][index]


def _read(path: Path, file: h5py.File, name: str) -> dict[str, Any] | None:
    import dask.array as da

    parts = _parts(path, file, name)
    if not parts:
        return None
    frames = da.concatenate(parts)
    if frames.ndim == 3 and len(frames) == 1:
        frames = frames[0]
    if frames.ndim not in (2, 3) or frames.dtype.kind not in "iuf" or 0 in frames.shape:
        _refuse(path, f"holds {frames.dtype} data of shape {frames.shape} where a detector's frames should be")
    bad = _bad_pixels(path, file[name], frames.shape[-2:])
    if bad.any():
        frames = da.where(bad, np.float32(np.nan), frames.astype(np.float32))
    seconds = _frame_time(file[name])
    time: dict[str, Any] = {"name": "time", "scale": seconds, "units": "s"} if seconds else {"name": "frame"}
    axes = [time | {"navigate": True}] * (frames.ndim - 2) + [{"name": name, "navigate": False} for name in "yx"]
    return as_dictionary(frames, axes, f"{path.stem}, {name.rpartition('/')[2]}")


def _parts(path: Path, file: h5py.File, name: str) -> list[da.Array]:
    """Find where the frames of a detector are."""
    own = file[name].get("data")
    names = [f"{name}/data"] if isinstance(own, h5py.Dataset) else _linked(path, file, name)
    parts = []
    for each in names:
        dataset = file[each]
        _check_filters(path, dataset)
        frames = _opened(path, each, dataset, _held(path, dataset))
        parts.append(frames[None] if frames.ndim == 2 and len(names) > 1 else frames)
    if len({part.shape[1:] for part in parts}) > 1 or len({part.dtype for part in parts}) > 1:
        _refuse(path, f"its frames have several shapes: {', '.join(str(part.shape) for part in parts)}")
    return parts


def _held(path: Path, dataset: h5py.Dataset) -> tuple[int, ...]:
    """Give the shape of the frames that were written: a file is made for more than an aborted run fills."""
    if dataset.chunks is None or dataset.ndim != 3 or dataset.is_virtual or 0 in dataset.shape:
        return dataset.shape
    tiles = [-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    held = dataset.id.get_num_chunks() // (tiles[1] * tiles[2]) * dataset.chunks[0]
    if held == 0:
        _refuse(path, f"declares frames of shape {dataset.shape} and holds none; copy it again")
    if held < dataset.shape[0]:
        warn(f"{path.name}: declares {dataset.shape[0]} frames and holds {held}")
    return (min(held, dataset.shape[0]), *dataset.shape[1:])


def _linked(path: Path, file: h5py.File, name: str) -> list[str]:
    """Name the arrays data_000001, ... of the entry that a detector belongs to."""
    entry = name.split("/")[0]
    group = file.get(f"{entry}/data")
    names = sorted(key for key in (group if group is not None else ()) if key.startswith("data_"))
    for key in names:
        if group.get(key) is None:
            link = group.get(key, getlink=True)
            _refuse(path, f"its frames are in {getattr(link, 'filename', key)}, which is not there; put it beside it")
    return [f"{entry}/data/{key}" for key in names]


def _opened(path: Path, name: str, dataset: h5py.Dataset, shape: tuple[int, ...]) -> da.Array:
    read = partial(_read_frames, name=name)
    stored = Stored(path.resolve(), shape, dataset.dtype, read, "frames cannot be read")
    return stored.lazily((dataset.chunks or (1,))[0])


def _bad_pixels(path: Path, detector: h5py.Group, shape: Sequence[int]) -> np.ndarray:
    mask = next((detector[key] for key in _MASKS if key in detector), None)
    if mask is None:
        return np.zeros(shape, bool)
    if mask.ndim not in (2, 3) or mask.shape[-2:] != tuple(shape) or mask.dtype.kind not in "biu" or not mask.size:
        _refuse(path, f"its pixel mask has shape {mask.shape}, its frames {tuple(shape)}")
    array = mask[0] if mask.ndim == 3 else mask[()]  # some write one for each frame, all the same
    return (array.astype(np.int64) & _REJECTED) != 0


def _frame_time(detector: h5py.Group) -> float | None:
    """Give the time from frame to frame [s]; None where the file does not say it."""
    stated = next((detector[key] for key in _FRAME_TIMES if key in detector), None)
    if stated is None or stated.dtype.kind not in "iuf" or not 0 < stated.size <= _MOST_TIMES:
        return None
    unit = text(stated.attrs.get("units", "ms" if stated.name.endswith("shutter_time") else "s"))
    seconds = float(np.median(stated[()])) * _SECONDS.get(unit.strip().lower(), np.nan)
    return seconds if np.isfinite(seconds) and seconds > 0 else None


def _check_filters(path: Path, dataset: h5py.Dataset) -> None:
    """Check that what compressed the frames can be undone here."""
    _register_filters()
    plist = dataset.id.get_create_plist()
    for index in range(plist.get_nfilters()):
        code, _, _, label = plist.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            label = text(label).split(";")[0] or code
            _refuse(path, f"its frames are compressed by the HDF5 filter {label}: pip install 'temlib[detectors]'")


def _register_filters() -> None:
    with suppress(ImportError):
        import hdf5plugin  # noqa: F401  # registers the filters when it is imported


def text(value: Any) -> str:
    """Give an attribute as text, which files keep as bytes, text or an array of one."""
    value = value[0] if isinstance(value, np.ndarray) and value.size else value
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _refuse(path: Path, reason: str) -> Any:
    raise MicrographError(f"{path.name}: {reason}")
