"""Frames of TIFF files: what the numbers on a page mean, read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tifffile import PHOTOMETRIC, TiffFile, TiffPage

from temlib.errors import MicrographError, one_line
from temlib.files.colours import cmyk_to_grey, invert, luma, orient, palette_to_grey
from temlib.files.memory import check_memory
from temlib.files.notes import quiet
from temlib.files.tiff.calibration import Calibration
from temlib.files.tiff.pages import COLOURS, page_at

__all__ = ["Frames", "Samples", "dtype_of", "samples_of"]

_ALPHA = (1, 2)  # of the tag ExtraSamples
_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_JPEG = (7, 33007, 34892)  # tifffile makes RGB of YCbCr where it is compressed so


class Samples(Enum):
    """What the samples of a pixel are: frames, a colour (and alpha), or a grey level, the first of them."""

    FRAMES = 0
    COLOUR = 1
    FIRST = 2


@dataclass(frozen=True)
class Frames:
    """Frames of a tif, as an array that is read when it is indexed.

    Each of ``pages`` (where its directory is, its number in the file) holds ``frames_per_page`` frames.
    Where ``data`` is given, all of them lie there one after the other, as the first page describes them;
    where ``series`` is, pages hold no whole frames: that of tifffile's series is read at once, and its
    axes put into ``order``.
    """

    path: Path
    stamp: tuple[int, int]
    pages: tuple[tuple[int, int], ...]
    data: int | None
    series: int | None
    order: tuple[int, ...]
    frames_per_page: int
    stored: tuple[int, ...]
    samples: Samples
    orientation: int
    shape: tuple[int, int, int]
    dtype: np.dtype
    navigation: tuple[tuple[str, int], ...]
    calibration: Calibration
    name: str

    ndim = 3

    @property
    def bytes_of_frame(self) -> int:
        """The memory that one frame takes."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    @property
    def bytes_needed(self) -> int:
        """The memory that they take all together, with a page while it becomes grey."""
        page = math.prod(self.stored) * self.dtype.itemsize
        return self.shape[0] * self.bytes_of_frame + (3 * page if self.samples == Samples.COLOUR else page)

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        numbers = range(len(self))[first]
        if isinstance(numbers, int):
            return self._read([numbers])[(0, *rest)]
        return self._read(numbers)[(slice(None), *rest)]

    def __len__(self) -> int:
        return self.shape[0]

    def _read(self, numbers: Sequence[int]) -> np.ndarray:
        """Read frames from the file."""
        check_memory(self.path.name, len(numbers) * self.bytes_of_frame, "check the file")
        frames = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        try:
            with quiet(), TiffFile(self.path, _multifile=False) as tif:
                for place, frame in enumerate(self._frames_from(tif, numbers)):
                    frames[place] = frame
        except MemoryError:
            raise
        except Exception as error:  # of damaged files, anything
            raise MicrographError(
                f"{self.path.name}: cannot be read ({one_line(error)}); copy the file again"
            ) from error
        return frames

    def _frames_from(self, tif: TiffFile, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        if self.series is not None:
            yield from self._all(tif)[numbers]
            return
        blocks = self._in_one_place(tif) if self.data is not None else partial(self._on_page, tif)
        last, images = -1, np.empty((0, 0, 0))
        for number in numbers:
            block, frame = divmod(number, self.frames_per_page)
            if block != last:
                last, images = block, orient(blocks(block), self.orientation).reshape((-1, *self.shape[1:]))
            yield images[frame]

    def _all(self, tif: TiffFile) -> np.ndarray:
        """Give all frames of a series whose axes stand in another order."""
        levels = _meaning(page_at(tif, *self.pages[0]), tif.series[self.series or 0].asarray(), self.samples)
        others = [axis for axis in range(len(self.stored)) if axis not in self.order]
        levels = levels.reshape(self.stored).transpose(*others, *self.order)
        height, width = levels.shape[-2:]
        return orient(levels.reshape(-1, height, width), self.orientation)

    def _in_one_place(self, tif: TiffFile) -> Callable[[int], np.ndarray]:
        """Give a function that gives the grey images of a page, of pages that lie one after the other."""
        page = page_at(tif, *self.pages[0])
        kind = np.dtype(page.dtype).newbyteorder(tif.byteorder)
        shape = (self.shape[0] // self.frames_per_page, *self.stored)
        levels = np.memmap(self.path, kind, "r", self.data or 0, shape)
        return lambda number: _meaning(page, levels[number], self.samples)

    def _on_page(self, tif: TiffFile, number: int) -> np.ndarray:
        """Give the grey images of a page; one that is not there is 0."""
        offset, index = self.pages[number]
        if offset < 0:
            frames = np.zeros((self.frames_per_page, *self.shape[1:]), self.dtype)
            return frames.swapaxes(1, 2) if self.orientation >= 5 else frames
        page = page_at(tif, offset, index)
        if page.photometric == PHOTOMETRIC.YCBCR and page.compression not in _JPEG:
            return _luma_by_pillow(self.path, index)
        return _meaning(page, page.asarray(), self.samples)


def samples_of(page: TiffPage, said: bool) -> Samples:
    """Say what the samples of a pixel are, by the tags; ``said`` is that its axes are samples at all."""
    number, colour = page.samplesperpixel, page.photometric
    if number == 1:
        return Samples.FIRST
    if not said:
        return Samples.FRAMES
    if (colour in COLOURS and number >= 3) or (colour == PHOTOMETRIC.SEPARATED and number >= 4):
        return Samples.COLOUR
    alpha = len(page.extrasamples) == number - 1 and set(page.extrasamples) <= set(_ALPHA)
    if alpha or (number == 2 and not page.axes.startswith("S")) or colour not in _GREY:
        return Samples.FIRST
    return Samples.FRAMES


def dtype_of(page: TiffPage, samples: Samples) -> np.dtype:
    """Give the dtype of the grey levels on a page."""
    if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        return np.dtype(np.uint8 if page.bitspersample <= 8 else np.uint16)
    if page.photometric == PHOTOMETRIC.SEPARATED and samples == Samples.COLOUR:
        return np.min_scalar_type(2**page.bitspersample - 1)
    assert page.dtype is not None
    return np.dtype(np.uint8) if page.dtype == bool else page.dtype.newbyteorder("=")


def _luma_by_pillow(path: Path, number: int) -> np.ndarray:
    with Image.open(path, formats=("TIFF",)) as picture:
        picture.seek(number)
        return luma(np.asarray(picture.convert("RGB")))


def _meaning(page: TiffPage, levels: np.ndarray, samples: Samples) -> np.ndarray:
    """Give the grey levels that a page's numbers stand for; samples that are frames come first."""
    planar = page.axes.startswith("S")
    if "S" in page.axes and not (samples == Samples.FRAMES and planar):
        levels = np.moveaxis(levels, 0, -1) if planar else levels
        levels = _grey_of_samples(page, levels, samples)
    elif page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        levels = _by_palette(page, levels)
    if page.photometric == PHOTOMETRIC.MINISWHITE and 262 in page.tags:  # else it is only what nothing stands for
        levels = invert(levels, page.bitspersample)
    if levels.dtype == bool:
        levels = levels.astype(np.uint8) * np.uint8(255)
    return levels


def _grey_of_samples(page: TiffPage, levels: np.ndarray, samples: Samples) -> np.ndarray:
    """Give what samples on the last axis stand for: grey levels, or frames, which go first."""
    if samples == Samples.FRAMES:
        return np.moveaxis(levels, -1, 0)
    if samples == Samples.COLOUR and page.photometric == PHOTOMETRIC.SEPARATED:
        return cmyk_to_grey(levels, 2**page.bitspersample - 1)
    if samples == Samples.COLOUR:
        return luma(levels)
    grey = levels[..., 0]
    return _by_palette(page, grey) if page.photometric == PHOTOMETRIC.PALETTE else grey


def _by_palette(page: TiffPage, numbers: np.ndarray) -> np.ndarray:
    palette = np.asarray(page.colormap)
    if page.bitspersample <= 8:  # 16 bits a colour, of which screens show 8; some programs write 8
        palette = np.asarray(palette >> 8 if palette.max() > 255 else palette, np.uint8)
    return palette_to_grey(numbers, palette)
