"""Pages of TIFF files: which of them belong together, and whether all of them are there."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tifffile import PHOTOMETRIC, TiffFile, TiffFrame, TiffPage

from temlib.errors import MicrographError

__all__ = ["COLOURS", "Group", "groups_of", "orientation_of", "page_at"]

COLOURS = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.LINEAR_RAW)
# Programs that say how the pages of a file belong together.
_ORDERLY = ("shaped", "lsm", "ome", "imagej", "fluoview", "stk")


@dataclass
class Group:
    """Pages that belong together, by the first of them.

    Attributes
    ----------
    page : tifffile.TiffPage
        The first one.
    number : int
        Of the group in its file.
    axes, shape : str, tuple of int
        Of all pages together, by tifffile's letters.
    named : bool
        Whether the file says which axes are y and x, or tifffile supposes them.
    name : str
        What the file calls it.
    data : int or None
        Where all data lie one after the other; ``pages`` is then the first one alone.
    pages : list of (int, int)
        Where the directory of each page is, and its number in the file; (-1, 0) is a page that is not there.
    """

    page: TiffPage
    number: int
    axes: str
    shape: tuple[int, ...]
    named: bool = True
    name: str = ""
    data: int | None = None
    pages: list[tuple[int, int]] = field(default_factory=list)


def groups_of(path: Path, tif: TiffFile) -> list[Group]:
    """Sort the pages of a file into images and stacks, without previews and masks beside others.

    Where the program that wrote it says how they belong together, by its word; otherwise pages of one
    shape, dtype and kind of colour are one stack.

    Raises
    ------
    MicrographError
        When data or pages are not there.
    """
    groups = _ordered(path, tif) or _alike(path, tif)
    if any(group.data is None for group in groups):
        _check_chain(path, tif)
    return [group for group in groups if not (group.page.is_reduced or group.page.is_mask)] or groups


def page_at(tif: TiffFile, offset: int, number: int) -> TiffPage:
    """Read a page's directory without walking through those before it."""
    tif.filehandle.seek(offset)
    return TiffPage(tif, number)


def orientation_of(page: TiffPage) -> int:
    """Give the orientation tag of a page; 1, as it is, where it has none."""
    value = page.tags.valueof(274, 1)
    return value if value in range(1, 9) else 1


def _ordered(path: Path, tif: TiffFile) -> list[Group]:
    """Give the series of a file whose program says how its pages belong together."""
    if not any(getattr(tif, f"is_{program}") for program in _ORDERLY):
        return []
    groups = []
    for number, series in enumerate(tif.series):
        if series.kind in ("uniform", "generic"):  # what the program says is not so
            return []
        page = series.keyframe
        named = series.kind != "shaped" or '"axes"' in (page.shaped_description or "")
        group = Group(page, number, series.axes, series.shape, named, series.name)
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


def _alike(path: Path, tif: TiffFile) -> list[Group]:
    """Sort the pages of a file into those of one shape, dtype and kind of colour."""
    groups: dict[tuple, Group] = {}
    for page in _every_page(path, tif):
        if not page.shape or page.dtype is None:
            continue
        _check_page(path, tif, page)
        colour = (page.photometric in COLOURS, page.extrasamples, orientation_of(page))
        kind = (page.shape, page.axes, page.dtype, *colour, page.is_reduced, page.is_mask, page.is_sis)
        group = groups.setdefault(kind, Group(page, len(groups), "I" + page.axes, ()))
        group.pages.append((page.offset, page.index))
    for group in groups.values():
        group.shape = (len(group.pages), *group.page.shape)
    return list(groups.values())


def _every_page(path: Path, tif: TiffFile) -> Iterator[TiffPage]:
    seen: set[int] = set()
    for page in tif.pages:
        if page.offset in seen:
            raise MicrographError(f"{path.name}: has a page that is followed by one before it; copy the file again")
        seen.add(page.offset)
        yield page.aspage()
        for offset in page.subifds or ():
            if offset >= 8:
                yield page_at(tif, offset, page.index)


def _check_page(path: Path, tif: TiffFile, page: TiffPage | TiffFrame | None) -> None:
    """Refuse a page whose data end after the file does: it would be read as zeros, or into nothing."""
    if page is None:
        return
    if not page.dataoffsets:
        raise MicrographError(f"{path.name}: has a page of shape {page.shape} that holds nothing; copy the file again")
    _check_end(path, tif, max(sum(ends) for ends in zip(page.dataoffsets, page.databytecounts, strict=False)))
    key = page.keyframe
    if key is None:
        return
    if key.compression == 1:
        _check_end(path, tif, math.prod(page.shape) * key.bitspersample // 8)
    elif math.prod(key.chunked) > len(page.dataoffsets):
        parts = f"{len(page.dataoffsets)} of the {math.prod(key.chunked)} parts of a page of shape {page.shape}"
        raise MicrographError(f"{path.name}: declares what it does not hold ({parts}); copy the file again")


def _check_chain(path: Path, tif: TiffFile) -> None:
    """Refuse a file whose last directory points to one more that is not there: its later pages are lost."""
    layout, directory = tif.tiff, tif.filehandle
    directory.seek(tif.pages[-1].offset)
    (tags,) = struct.unpack(layout.tagnoformat, directory.read(layout.tagnosize))
    directory.seek(tags * layout.tagsize, os.SEEK_CUR)
    (following,) = struct.unpack(layout.offsetformat, directory.read(layout.offsetsize))
    if following:
        raise MicrographError(
            f"{path.name}: is cut off: after {len(tif.pages)} pages it leads on to byte {following}, "
            "where no page is; copy the file again"
        )


def _check_end(path: Path, tif: TiffFile, end: int) -> None:
    if end > tif.filehandle.size:
        raise MicrographError(
            f"{path.name}: is cut off: its pictures end at byte {end} of {tif.filehandle.size}; copy the file again"
        )
