"""TIFF: which pages of a file are micrographs, which are frames of one, and what their numbers mean.

A file is opened only while something is read from it: a stack is read page by page, at once or when
its frames are computed, in any process.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tifffile import PHOTOMETRIC, TiffFile, TiffFrame, TiffPage

from temlib.errors import MicrographError, one_line
from temlib.files.colours import cmyk_to_grey, invert, luma, orient, palette_to_grey
from temlib.files.memory import check_memory
from temlib.files.tiff_calibration import Calibration, calibration_of

__all__ = ["is_tiff", "read_tiff"]

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Programs that say how the pages of a file belong together.
_ORDERLY = ("shaped", "lsm", "ome", "imagej", "fluoview", "stk")
_NAMES = {"T": "time", "Z": "depth", "C": "channel", "S": "channel", "A": "angle"}  # of tifffile's axes
_ALPHA = (1, 2)  # of the tag ExtraSamples
_GREY = (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE)
_COLOURS = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.LINEAR_RAW)
_JPEG = (7, 33007, 34892)  # tifffile makes RGB of YCbCr where it is compressed so
_CHUNK = 2**24  # bytes of the frames that are read together, at the least one
_FRAMES, _COLOUR, _FIRST = "frames", "colour", "first"  # what samples of a pixel may be


def is_tiff(path: Path) -> bool:
    """Say whether a file starts as a TIFF does."""
    with open(path, "rb") as file:
        return file.read(4) in _STARTS


def read_tiff(path: Path, lazy: bool = False) -> list[dict[str, Any]]:
    """Read all images and stacks of a tif.

    Pages of one shape and dtype are the frames of a stack. Reduced images, masks, the smaller levels of
    a pyramid, and pages without a calibration beside one that has a microscope's are left out. Three
    planes that tifffile wrote without a word on their axes may be a colour picture, as the file says, or
    three frames: both are given, the picture first.

    Parameters
    ----------
    path : path
        The file.
    lazy : bool
        Leave the pages in the file until they are computed.

    Returns
    -------
    list of dict, as :func:`temlib.files.pictures.read_pictures` gives

    Raises
    ------
    MicrographError
        When the file is damaged, or larger than the free memory.
    """
    with _quiet(), TiffFile(path, _multifile=False) as tif:
        stacks = _stacks_in(path, tif)
    if not lazy:
        check_memory(path.name, sum(stack.bytes_needed for stack in stacks))
    several = len(stacks) > 1
    return [_described(path, stack, number if several else None, lazy) for number, stack in enumerate(stacks)]


@dataclass(frozen=True)
class _Stack:
    """Frames of a tif, as an array that is read when it is indexed.

    Each of ``pages`` (where its directory is, its number in the file) holds ``frames_per_page`` frames;
    where ``data`` is given, all of them lie there one after the other, as the first page describes them.
    """

    path: Path
    stamp: tuple[int, int]
    pages: tuple[tuple[int, int], ...]
    data: int | None
    frames_per_page: int
    stored: tuple[int, ...]
    samples: str
    orientation: int
    shape: tuple[int, int, int]
    dtype: np.dtype
    navigation: tuple[tuple[str, int], ...]
    calibration: Calibration
    name: str

    ndim = 3

    @property
    def bytes_needed(self) -> int:
        page = math.prod(self.stored) * self.dtype.itemsize
        return math.prod(self.shape) * self.dtype.itemsize + (3 * page if self.samples == _COLOUR else page)

    def __getitem__(self, index: Any) -> np.ndarray:
        first, *rest = index if isinstance(index, tuple) else (index,)
        numbers = np.arange(len(self))[first]
        return self._read(np.atleast_1d(numbers).tolist())[(slice(None) if numbers.ndim else 0, *rest)]

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def _read(self, numbers: list[int]) -> np.ndarray:
        """Read frames from the file."""
        frames = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        try:
            with _quiet(), TiffFile(self.path, _multifile=False) as tif:
                for place, frame in enumerate(self._frames_from(tif, numbers)):
                    frames[place] = frame
        except MemoryError:
            raise
        except Exception as error:  # of damaged files, anything
            raise MicrographError(
                f"{self.path.name}: cannot be read ({one_line(error)}); copy the file again"
            ) from error
        return frames

    def _frames_from(self, tif: TiffFile, numbers: list[int]) -> Iterator[np.ndarray]:
        last, images = -1, np.empty((0, 0, 0))
        for number in numbers:
            block, frame = divmod(number, self.frames_per_page)
            if block != last:
                last, images = block, self._block(tif, block).reshape((-1, *self.shape[1:]))
            yield images[frame]

    def _block(self, tif: TiffFile, number: int) -> np.ndarray:
        """Give the grey images of a page; one that is not there is 0."""
        offset, index = self.pages[0 if self.data is not None else number]
        if offset < 0:
            return np.zeros((self.frames_per_page, *self.shape[1:]), self.dtype)
        page = _page_at(tif, offset, index)
        if self.data is not None:
            size = math.prod(self.stored)
            kind = np.dtype(page.dtype).newbyteorder(tif.byteorder)
            where = self.data + number * size * kind.itemsize
            grey = _meaning(page, np.memmap(self.path, kind, "r", where, self.stored), self.samples)
        elif page.photometric == PHOTOMETRIC.YCBCR and page.compression not in _JPEG:
            grey = _luma_by_pillow(self.path, index)
        else:
            grey = _meaning(page, page.asarray(), self.samples)
        return orient(grey, self.orientation)


def _page_at(tif: TiffFile, offset: int, number: int) -> TiffPage:
    """Read a page's directory without walking through those before it."""
    tif.filehandle.seek(offset)
    return TiffPage(tif, number)


def _luma_by_pillow(path: Path, number: int) -> np.ndarray:
    with Image.open(path, formats=("TIFF",)) as picture:
        picture.seek(number)
        return luma(np.asarray(picture.convert("RGB")))


def _meaning(page: TiffPage, levels: np.ndarray, samples: str) -> np.ndarray:
    """Give the grey levels that a page's numbers stand for; samples that are frames come first."""
    planar = page.axes.startswith("S")
    if "S" in page.axes and not (samples == _FRAMES and planar):
        levels = np.moveaxis(levels, 0, -1) if planar else levels
        levels = _grey_of_samples(page, levels, samples)
    elif page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        levels = _by_palette(page, levels)
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        levels = invert(levels, page.bitspersample)
    if levels.dtype == bool:
        levels = levels.astype(np.uint8) * np.uint8(255)
    return levels


def _grey_of_samples(page: TiffPage, levels: np.ndarray, samples: str) -> np.ndarray:
    """Give what samples on the last axis stand for: grey levels, or frames, which go first."""
    if samples == _FRAMES:
        return np.moveaxis(levels, -1, 0)
    if samples == _COLOUR and page.photometric == PHOTOMETRIC.SEPARATED:
        return cmyk_to_grey(levels, 2**page.bitspersample - 1)
    if samples == _COLOUR:
        return luma(levels)
    grey = levels[..., 0]
    return _by_palette(page, grey) if page.photometric == PHOTOMETRIC.PALETTE else grey


def _by_palette(page: TiffPage, numbers: np.ndarray) -> np.ndarray:
    palette = np.asarray(page.colormap)
    if page.bitspersample <= 8:  # 16 bits a colour, of which screens show 8; some programs write 8
        palette = np.asarray(palette >> 8 if palette.max() > 255 else palette, np.uint8)
    return palette_to_grey(numbers, palette)


def _orientation(page: TiffPage) -> int:
    value = page.tags.valueof(274, 1)
    return value if value in range(1, 9) else 1


def _stacks_in(path: Path, tif: TiffFile) -> list[_Stack]:
    """Find the images and stacks that are micrographs."""
    groups = _ordered(path, tif) or _alike(path, tif)
    whole = [group for group in groups if not (group.page.is_reduced or group.page.is_mask)] or groups
    stacks = [_stack_of(path, tif, group) for group in whole]
    stacks = [stack for stack in stacks if stack.calibration.by_microscope] or stacks
    (group, *others) = whole
    if not others and stacks[0].samples == _COLOUR and _may_be_frames(group):
        stacks.append(_as_frames(stacks[0], group.page))
    return stacks


@dataclass
class _Group:
    """Pages that belong together, with the first of them, and their axes by tifffile's letters."""

    page: TiffPage
    number: int
    axes: str
    shape: tuple[int, ...]
    name: str = ""
    data: int | None = None
    pages: list[tuple[int, int]] = field(default_factory=list)


def _ordered(path: Path, tif: TiffFile) -> list[_Group]:
    """Give the series of a file whose program says how its pages belong together."""
    if not any(getattr(tif, f"is_{program}") for program in _ORDERLY):
        return []
    groups = []
    for number, series in enumerate(tif.series):
        if series.kind in ("uniform", "generic"):  # what the program says is not so
            return []
        page = series.keyframe
        group = _Group(page, number, series.axes, series.shape, series.name)
        blocks = math.prod(series.shape) // max(math.prod(page.shape), 1)
        if blocks > 1 and series.dataoffset is not None:
            group.data, group.pages = series.dataoffset, [(page.offset, page.index)]
            _check_end(path, tif, group.data + math.prod(series.shape) * series.dtype.itemsize)
        else:
            for one in series:
                _check_page(path, tif, one)
                group.pages.append((-1, 0) if one is None else (one.offset, one.index))
        groups.append(group)
    return groups


def _alike(path: Path, tif: TiffFile) -> list[_Group]:
    """Sort the pages of a file into those of one shape, dtype and kind of colour."""
    groups: dict[tuple, _Group] = {}
    for page in _every_page(tif):
        if not page.shape or page.dtype is None:
            continue
        _check_page(path, tif, page)
        colour = (page.photometric in _COLOURS, page.extrasamples, _orientation(page))
        kind = (page.shape, page.axes, page.dtype, *colour, page.is_reduced, page.is_mask, page.is_sis)
        group = groups.setdefault(kind, _Group(page, len(groups), "I" + page.axes, ()))
        group.pages.append((page.offset, page.index))
    for group in groups.values():
        group.shape = (len(group.pages), *group.page.shape)
    return list(groups.values())


def _every_page(tif: TiffFile) -> Iterator[TiffPage]:
    for page in tif.pages:
        yield page.aspage()
        for offset in page.subifds or ():
            if offset >= 8:
                yield _page_at(tif, offset, page.index)


def _check_page(path: Path, tif: TiffFile, page: TiffPage | TiffFrame | None) -> None:
    """Refuse a page whose data end after the file does: it would be read as zeros, or into nothing."""
    if page is None or not page.dataoffsets:
        return
    _check_end(path, tif, max(sum(ends) for ends in zip(page.dataoffsets, page.databytecounts, strict=False)))
    key = page.keyframe
    if key is not None and key.compression == 1:
        _check_end(path, tif, math.prod(page.shape) * key.bitspersample // 8)


def _check_end(path: Path, tif: TiffFile, end: int) -> None:
    if end > tif.filehandle.size:
        raise MicrographError(
            f"{path.name}: is cut off: its pictures end at byte {end} of {tif.filehandle.size}; copy the file again"
        )


def _stack_of(path: Path, tif: TiffFile, group: _Group) -> _Stack:
    """Tell frames from colours among the axes of a group."""
    page = group.page
    *before, (_, height), (_, width) = _axes_that_count(path, group)
    samples = _samples_of(page, "S" in group.axes)
    if samples == _FRAMES and "S" in group.axes:
        before.append(("S", page.samplesperpixel))
    calibration = calibration_of(path.name, tif, page, group.number)
    orientation = _orientation(page)
    if orientation >= 5:
        height, width, calibration = width, height, calibration.turned()
    frames = math.prod(size for _, size in before)
    per_block = math.prod(page.shape) // (height * width * (1 if samples == _FRAMES else page.samplesperpixel))
    status = path.stat()
    return _Stack(
        path=path,
        stamp=(status.st_mtime_ns, status.st_size),
        pages=tuple(group.pages),
        data=group.data,
        frames_per_page=max(per_block, 1),
        stored=page.shape,
        samples=samples,
        orientation=orientation,
        shape=(frames, height, width),
        dtype=_dtype_of(page, samples),
        navigation=tuple(before),
        calibration=calibration,
        name=group.name,
    )


def _axes_that_count(path: Path, group: _Group) -> list[tuple[str, int]]:
    """Give the axes but those of samples and those of length 1, with y and x as the last two."""
    axes = [axis for axis in zip(group.axes, group.shape, strict=True) if axis[0] != "S"]
    named = {"Y", "X"} <= set(group.axes)
    counting = [axis for axis in axes if axis[1] > 1 or (named and axis[0] in "YX")]
    counting = counting if len(counting) > 1 else axes[-2:]
    if named and [letter for letter, _ in counting[-2:]] != ["Y", "X"]:
        raise MicrographError(
            f"{path.name}: its axes are {group.axes}, of shape {group.shape}; save it with y and x as the last two"
        )
    return counting


def _samples_of(page: TiffPage, said: bool) -> str:
    """Say what the samples of a pixel are, by the tags; ``said`` is that its axes are samples at all."""
    number, colour = page.samplesperpixel, page.photometric
    if number == 1:
        return _FIRST
    if not said:
        return _FRAMES
    if (colour in _COLOURS and number >= 3) or (colour == PHOTOMETRIC.SEPARATED and number >= 4):
        return _COLOUR
    alpha = len(page.extrasamples) == number - 1 and set(page.extrasamples) <= set(_ALPHA)
    if alpha or (number == 2 and not page.axes.startswith("S")) or colour not in _GREY:
        return _FIRST
    return _FRAMES


def _dtype_of(page: TiffPage, samples: str) -> np.dtype:
    if page.photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        return np.dtype(np.uint8 if page.bitspersample <= 8 else np.uint16)
    if page.photometric == PHOTOMETRIC.SEPARATED and samples == _COLOUR:
        return np.min_scalar_type(2**page.bitspersample - 1)
    assert page.dtype is not None
    return np.dtype(np.uint8) if page.dtype == bool else page.dtype.newbyteorder("=")


def _may_be_frames(group: _Group) -> bool:
    """Say whether planes may be frames: tifffile writes three grey frames as red, green and blue."""
    page = group.page
    planar = page.axes == "SYX" and len(group.pages) == 1 and group.axes.count("S") == 1
    return planar and page.is_shaped and '"axes"' not in (page.shaped_description or "")


def _as_frames(picture: _Stack, page: TiffPage) -> _Stack:
    number = page.samplesperpixel
    return replace(
        picture,
        samples=_FRAMES,
        shape=(number, *picture.shape[1:]),
        frames_per_page=number,
        navigation=(("I", number),),
        name=f"the same as {number} frames",
    )


def _described(path: Path, stack: _Stack, number: int | None, lazy: bool) -> dict[str, Any]:
    """Give a stack as RosettaSciIO's readers do."""
    data = _lazily(stack) if lazy else stack[:]
    data = data.reshape(*(size for _, size in stack.navigation), *stack.shape[1:])
    said = stack.calibration
    axes = [_frame_axis(letter, size, stack) for letter, size in stack.navigation]
    for name, size, (scale, unit) in zip("yx", stack.shape[1:], (said.height, said.width), strict=True):
        axes.append({"name": name, "size": size, "scale": scale, "offset": 0.0, "units": unit, "navigate": False})
    title = stack.name or ("" if number is None else f"{path.stem}, image {number}")
    return {
        "data": data,
        "axes": [axis | {"index_in_array": index} for index, axis in enumerate(axes)],
        "metadata": {"General": {"title": title}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
    }


def _frame_axis(letter: str, size: int, stack: _Stack) -> dict[str, Any]:
    said = stack.calibration.frames
    alone = said.get("*", {}) if len(stack.navigation) == 1 else {}
    axis = {"name": _NAMES.get(letter, "frame"), "scale": 1.0, "offset": 0.0, "units": None}
    return axis | (alone or said.get(letter, {})) | {"size": size, "navigate": True}


def _lazily(stack: _Stack) -> Any:
    import dask.array

    together = max(1, min(_CHUNK // max(math.prod(stack.shape[1:]) * stack.dtype.itemsize, 1), stack.shape[0]))
    return dask.array.from_array(stack, chunks=(together, -1, -1), asarray=False, fancy=False)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep tifffile's notes off the terminal: what matters is in the error."""
    logger = logging.getLogger("tifffile")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
