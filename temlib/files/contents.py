"""What a file holds: arrays with described axes, made of the few words and numbers that temlib takes from it.

A reader gives a dictionary of RosettaSciIO's kind, whatever its file's author wrote into it. Of that
only the data, uniform axes, the title and the kind of signal are taken. Nothing is looked up,
imported or evaluated that a file names: no functional axis, no marker, no model, no package.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from temlib.errors import MicrographError, one_line

if TYPE_CHECKING:
    import dask.array as da

__all__ = [
    "BLOCK",
    "Axis",
    "Contents",
    "as_dictionary",
    "check_chunk",
    "frame_chunks",
    "from_dictionary",
    "in_memory",
    "left_in_file",
    "said_in_one_line",
    "warn",
]

BLOCK = 2**25  # bytes of frames that are read at once
_MOST_BLOCKS = 10**5
_LARGEST_CHUNK = 2**31  # bytes; compressors take no more

_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_EVEN = 0.01  # of a step: positions that lie closer than this to a straight line are evenly spaced
_LONGEST = 200  # characters of a word that is taken from a file
_LONGEST_AXIS, _MOST_PIECES = 10**8, 10**6  # more of either takes gigabytes before anything is read


@dataclass(frozen=True)
class Axis:
    """An axis of an array, as its file describes it.

    Attributes
    ----------
    size : int
        Length of the array along it.
    navigate : bool or None
        Whether it counts frames; None where the file does not say.
    flaw : str
        Why ``scale`` says nothing of where its pixels lie; "" where it does.
    """

    size: int
    name: str = ""
    scale: float = 1.0
    offset: float = 0.0
    units: str = ""
    navigate: bool | None = None
    flaw: str = ""


@dataclass(frozen=True)
class Contents:
    """An array in a file.

    Attributes
    ----------
    data : array or dask array
        Navigation axes first.
    axes : tuple of Axis
        One for each axis of ``data``; each says whether it navigates.
    title, kind : str
        What its author and its program called it.
    """

    data: np.ndarray | da.Array
    axes: tuple[Axis, ...] = ()
    title: str = ""
    kind: str = ""

    @property
    def signal_axes(self) -> tuple[Axis, ...]:
        """The axes of an image: y and x."""
        return tuple(axis for axis in self.axes if not axis.navigate)

    @property
    def navigation_axes(self) -> tuple[Axis, ...]:
        """The axes that count images."""
        return tuple(axis for axis in self.axes if axis.navigate)


def from_dictionary(dictionary: Mapping[str, Any]) -> Contents:
    """Take what temlib uses from the dictionary of a reader; axes of length 1 are dropped.

    Parameters
    ----------
    dictionary : mapping
        With ``data`` and, where the file has them, ``axes`` and ``metadata``
        (``General.title``, ``Signal.signal_type``, ``Signal.record_by``).
    """
    data = dictionary["data"]
    data = data if hasattr(data, "dtype") and hasattr(data, "ndim") else np.asarray(data)
    metadata = _mapping(dictionary, "metadata")
    signal = _mapping(metadata, "Signal")
    axes = _axes(dictionary.get("axes") or (), data.shape)
    axes = _told_apart(axes, _word(signal.get("record_by", "")))
    data, axes = _without_singletons(data, axes)
    order = sorted(range(len(axes)), key=lambda i: not axes[i].navigate)
    if order != list(range(len(axes))):
        data, axes = data.transpose(order), [axes[i] for i in order]
    title, kind = _mapping(metadata, "General").get("title"), signal.get("signal_type")
    return Contents(data, tuple(axes), _word(title or ""), _word(kind or ""))


def as_dictionary(data: Any, axes: Sequence[Mapping[str, Any]], title: str = "") -> dict[str, Any]:
    """Give what a reader found as RosettaSciIO's readers do; ``axes`` in the order of the array's."""
    numbered = [{**axis, "size": size, "index_in_array": i} for i, (axis, size) in enumerate(zip(axes, data.shape))]
    return {"data": data, "axes": numbered, "metadata": {"General": {"title": title}}}


def frame_chunks(shape: Sequence[int], dtype: np.dtype, stored: int = 1, block: int = BLOCK) -> tuple[int, ...]:
    """Give chunks of whole frames, whole chunks of the file, about ``block`` bytes, and not too many of them.

    Parameters
    ----------
    shape : sequence of int
        Of the array; its last two axes are those of a frame.
    dtype : dtype
        Of the array.
    stored : int
        Frames that the file keeps together.
    block : int
        Bytes.
    """
    if len(shape) < 3:
        return tuple(shape)
    frame = max(1, _bytes(shape[1:], np.dtype("u1")) * max(dtype.itemsize, 4))
    frames = max(stored, block // frame // stored * stored, -(-shape[0] // _MOST_BLOCKS))
    return (min(max(shape[0], 1), frames), *shape[1:])


def check_chunk(path: Path, shape: Sequence[int], chunks: Sequence[int], dtype: np.dtype) -> None:
    """Refuse a file that keeps its numbers in pieces far larger than all of them: one would fill the memory."""
    chunk = _bytes(chunks, dtype)
    if chunk > max(_LARGEST_CHUNK, _bytes(shape, dtype)):
        raise MicrographError(f"{path.name}: is stored in pieces of {chunk / 2**30:.3g} GiB; copy it again")


def left_in_file(data: np.ndarray | da.Array, name: str) -> da.Array:
    """Give a dask array, also of a file that is read at once.

    Raises
    ------
    MicrographError
        When it has more frames or pieces than the plan of a computation can hold.
    """
    import dask.array

    if isinstance(data, np.ndarray):
        return dask.array.from_array(data, frame_chunks(data.shape, data.dtype))
    _check_pieces(data, name)
    return data


def in_memory(data: np.ndarray | da.Array, name: str) -> np.ndarray:
    """Read an array, after a look at whether it fits into the memory that is free.

    Parameters
    ----------
    data : array or dask array
        What was opened.
    name : str
        The file, for the error.

    Raises
    ------
    MicrographError
        When it does not fit, or cannot be read.
    """
    if isinstance(data, np.ndarray) and not isinstance(data, np.memmap):
        return data
    needed = _bytes(data.shape, data.dtype)
    if needed > psutil.virtual_memory().available:
        raise MicrographError(
            f"{name}: needs {needed / 2**30:.2g} GiB, more than the memory that is free; pass lazy=True"
        )
    _check_pieces(data, name)
    with said_in_one_line(name):
        return _computed(data)


@contextmanager
def said_in_one_line(name: str) -> Iterator[None]:
    """Say in one line what is wrong with a file over which a library stumbles."""
    try:
        yield
    except MicrographError:
        raise
    except MemoryError as error:
        raise MicrographError(f"{name}: does not fit into memory; pass lazy=True, or check the file") from error
    except Exception as error:  # readers of damaged files raise anything, from KeyError to struct.error
        raise MicrographError(f"{name}: cannot be read ({one_line(error)}); check the file") from error


def warn(message: str) -> None:
    """Warn whoever called temlib, from however deep within it."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def _check_pieces(data: Any, name: str) -> None:
    if max(data.shape, default=0) > _LONGEST_AXIS or getattr(data, "npartitions", 1) > _MOST_PIECES:
        raise MicrographError(f"{name}: declares an array of shape {data.shape} in very many pieces; save it anew")


def _computed(data: Any) -> np.ndarray:
    """Give an array that owns its numbers, chunk by chunk: never twice the memory."""
    if isinstance(data, np.memmap):
        return np.array(data)
    if data.npartitions == 1:
        array = np.asarray(data.compute(scheduler="synchronous"))
        return array if array.flags.owndata else array.copy()
    import dask.array

    array = np.empty(data.shape, data.dtype)
    dask.array.store(data, array, scheduler="synchronous", lock=False)
    return array


def _bytes(shape: Sequence[int], dtype: np.dtype) -> int:
    return prod(map(int, shape)) * dtype.itemsize


def _axes(described: Sequence[Mapping[str, Any]], shape: tuple[int, ...]) -> list[Axis]:
    """Describe each axis of an array; those that a file does not describe, or not so many, are plain."""
    if len(described) != len(shape):
        return [Axis(size) for size in shape]
    numbered = sorted(enumerate(described), key=lambda item: _whole(item[1].get("index_in_array"), item[0]))
    return [_axis(axis, size) for (_, axis), size in zip(numbered, shape, strict=True)]


def _axis(described: Mapping[str, Any], size: int) -> Axis:
    name, units = (_word(described.get(key) or "") for key in ("name", "units"))
    navigate = described.get("navigate")
    axis = Axis(size, _known(name), units=_known(units), navigate=None if navigate is None else bool(navigate))
    if "expression" in described or "FunctionalDataAxis" in str(described.get("_type", ""))[:_LONGEST]:
        return replace(axis, flaw="is a function of another, which temlib does not evaluate")
    if described.get("axis") is not None:
        return _of_positions(axis, described["axis"])
    if "scale" not in described:
        return replace(axis, units="")
    scale, offset = _number(described["scale"]), _number(described.get("offset", 0.0))
    if scale is None:
        return replace(axis, flaw="has a scale that is no number")
    return replace(axis, scale=scale, offset=offset or 0.0)


def _of_positions(axis: Axis, positions: Any) -> Axis:
    """Describe an axis whose positions are given one by one."""
    positions = np.asarray(positions)
    if positions.shape != (axis.size,) or positions.dtype.kind not in "iuf" or not np.isfinite(positions).all():
        return replace(axis, flaw="has positions that are no numbers, or not one for each pixel")
    positions = positions.astype(float)
    scale = (positions[-1] - positions[0]) / (axis.size - 1) if axis.size > 1 else 1.0
    off = np.abs(positions - positions[0] - scale * np.arange(axis.size)).max()
    if scale == 0 or off > _EVEN * abs(scale):
        return replace(axis, flaw="is not evenly spaced")
    return replace(axis, scale=float(scale), offset=float(positions[0]))


def _told_apart(axes: list[Axis], record_by: str) -> list[Axis]:
    """Say of each axis whether it counts frames: what the file says, else all but the last two."""
    if all(axis.navigate is not None for axis in axes) and not all(axis.navigate for axis in axes):
        of_signal = [not axis.navigate for axis in axes]
        if of_signal == [True, True, True]:  # a plain array of an HDF5 file
            of_signal[0] = False
    else:
        signals = 1 if record_by == "spectrum" else 2
        of_signal = [len(axes) > 3 or number >= len(axes) - signals for number in range(len(axes))]
    return [replace(axis, navigate=not signal) for axis, signal in zip(axes, of_signal, strict=True)]


def _without_singletons(data: Any, axes: list[Axis]) -> tuple[Any, list[Axis]]:
    """Drop axes of length 1; of an image a single row or column stays one."""
    kept = [i for i, axis in enumerate(axes) if axis.size != 1 or not axis.navigate]
    single = [i for i in kept if axes[i].size == 1]
    dropped = single[: max(0, len(kept) - 2)]
    kept = [i for i in kept if i not in dropped]
    if len(kept) < len(axes):
        data = data.reshape([data.shape[i] for i in kept])
    rest = [axes[i] for i in kept]
    if dropped and len(rest) in (2, 3):  # what is left of (height, width, 1) is an image
        rest = [replace(axis, navigate=number < len(rest) - 2) for number, axis in enumerate(rest)]
    return data, rest


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _word(value: Any) -> str:
    """Give a word of a file as one short line."""
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    text = str(value) if isinstance(value, (str, int, float, np.generic)) else ""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:_LONGEST]


def _known(word: str) -> str:
    return "" if "undefined" in word.lower() else word


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _whole(value: Any, default: int) -> int:
    return int(value) if isinstance(value, (int, np.integer)) else default
