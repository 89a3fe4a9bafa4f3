"""MRC files: images, stacks, tilt series and maps of the MRC2014 standard, of IMOD and of FEI.

A header of 1024 bytes says what follows it (Cheng et al. 2015, J. Struct. Biol. 192, 146). Bytes are
signed, unless IMOD's flags say otherwise, or the largest grey level that the header states.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from temlib.errors import MicrographError
from temlib.files.contents import as_dictionary
from temlib.files.stored import Stored

__all__ = ["read_mrc"]

_HEADER = 1024
_BIG = b"\x11"  # the first byte of the machine stamp
_IMOD, _SIGNED_BYTES = 1146047817, 1  # IMOD's stamp, and the bit of its flags
_FEI_BYTES, _FEI_PIXEL_SIZE = 128 * 1024, 44  # extended header, and where in it the size of a pixel [m] is
_MODES = {0: "i1", 1: "i2", 2: "f4", 3: "i2,i2", 4: "c8", 6: "u2", 12: "f2"}
_COLOUR = [("R", "u1"), ("G", "u1"), ("B", "u1")]  # IMOD's mode 16


@dataclass(frozen=True)
class _Header:
    """What a header says, in one byte order.

    Attributes
    ----------
    integers : array of shape (256,)
        The header as 32-bit integers; some of them are floating-point numbers, characters or flags.
    """

    integers: np.ndarray

    @property
    def floats(self) -> np.ndarray:
        return self.integers.view(self.integers.dtype.str.replace("i", "f"))

    @property
    def shape(self) -> tuple[int, int, int]:
        columns, rows, sections = (int(n) for n in self.integers[:3])
        return sections, rows, columns

    @property
    def mode(self) -> int:
        return int(self.integers[3])

    @property
    def start(self) -> int:
        return _HEADER + int(self.integers[23])

    @property
    def dtype(self) -> np.dtype | None:
        if self.mode == 0 and not self._bytes_are_signed:
            return np.dtype("u1")
        known = _COLOUR if self.mode == 16 else _MODES.get(self.mode)
        return None if known is None else np.dtype(known).newbyteorder(self.integers.dtype.byteorder)

    @property
    def end(self) -> int:
        sections, rows, columns = self.shape
        return self.start + sections * rows * columns * (self.dtype.itemsize if self.dtype else 0)

    @property
    def cell_sizes(self) -> list[float | None]:
        """Height and width of a pixel [Å]; None where the cell says nothing, or nonsense."""
        order = [int(n) for n in self.integers[16:19]]
        order = order if sorted(order) == [1, 2, 3] else [1, 2, 3]
        cell, samples = self.floats[10:13], self.integers[7:10]
        sizes = [float(length) / n if n > 0 and length > 0 else None for length, n in zip(cell, samples, strict=True)]
        return [sizes[order[1] - 1], sizes[order[0] - 1]]

    def fits(self, size: int) -> bool:
        return self.dtype is not None and min(self.shape) > 0 and self.start >= _HEADER and self.end <= size

    @property
    def _bytes_are_signed(self) -> bool:
        if self.integers[38] == _IMOD:
            return bool(self.integers[39] & _SIGNED_BYTES)
        least, largest = self.floats[19:21]
        return not (least >= 0 and 127 < largest <= 255)


def read_mrc(path: Path) -> list[dict[str, Any]]:
    """Open an MRC file of either byte order; its sections are read when they are computed.

    Returns
    -------
    list of one dict
        ``data``, a dask array of shape (sections, height, width), and its ``axes``. The pixel size
        is that of FEI's extended header, or of the cell; without a unit where neither is positive.

    Raises
    ------
    MicrographError
        When it is shorter than its header says, or of a mode that is not known.
    """
    header = _header_of(path)
    shape, dtype = header.shape, header.dtype
    if dtype is None:
        raise MicrographError(
            f"{path.name}: is no MRC file, or of mode {header.mode}, which is not read; check the file"
        )
    if not header.fits(path.stat().st_size):
        described = f"{' x '.join(map(str, shape))}, mode {header.mode}"
        raise MicrographError(f"{path.name}: declares what it does not hold ({described}); copy the file again")
    read = partial(_read_sections, start=header.start, shape=shape, dtype=dtype)
    data = Stored(path.resolve(), shape, dtype.newbyteorder("="), read).lazily()
    axes: list[dict[str, Any]] = [{"name": "z", "navigate": True}]
    for name, size in zip("yx", _pixel_size(path, header), strict=True):
        axes.append({"name": name, "navigate": False} | ({} if size is None else {"scale": size, "units": "A"}))
    return [as_dictionary(data, axes)]


def _read_sections(path: Path, index: Any, start: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.memmap(path, dtype, "r", start, shape)[index].astype(dtype.newbyteorder("="))


def _header_of(path: Path) -> _Header:
    """Read the header in the byte order that its stamp names, or in the one in which it makes sense."""
    with path.open("rb") as file:
        raw = file.read(_HEADER)
    if len(raw) < _HEADER:
        raise MicrographError(f"{path.name}: cannot be read (shorter than a header); check the file")
    orders = "><" if raw[212:213] == _BIG else "<>"
    headers = [_Header(np.frombuffer(raw, f"{order}i4")) for order in orders]
    size = path.stat().st_size
    return next((header for header in headers if header.fits(size)), headers[0])


def _pixel_size(path: Path, header: _Header) -> list[float | None]:
    """Give the height and width of a pixel [Å]; FEI's older files keep it in the extended header."""
    unnamed = header.integers[26] == 0  # the kind of the extended header, which FEI left empty
    if header.start == _HEADER + _FEI_BYTES and unnamed:
        order = header.integers.dtype.byteorder
        (metres,) = np.fromfile(path, f"{'>' if order == '>' else '<'}f4", 1, offset=_HEADER + _FEI_PIXEL_SIZE)
        if 1e-13 < metres < 1e-5:
            return [float(metres) * 1e10] * 2
    return header.cell_sizes
