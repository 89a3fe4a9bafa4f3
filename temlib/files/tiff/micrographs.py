"""TIFF: which pages of a file are micrographs, and which are frames of one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from tifffile import TiffFile, TiffPage

from temlib.errors import MicrographError
from temlib.files.contents import as_dictionary, frame_chunks
from temlib.files.memory import check_memory
from temlib.files.notes import quiet
from temlib.files.tiff.calibration import calibration_of
from temlib.files.tiff.frames import Frames, Samples, dtype_of, samples_of
from temlib.files.tiff.pages import Group, groups_of, orientation_of

__all__ = ["is_tiff", "read_tiff"]

_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NAMES = {"T": "time", "Z": "depth", "C": "channel", "S": "channel", "A": "angle"}  # of tifffile's axes


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
    with quiet(), TiffFile(path, _multifile=False) as tif:
        stacks = _stacks_in(path, tif)
    check_memory(path.name, max((stack.bytes_of_frame for stack in stacks), default=0), "check the file")
    if not lazy:
        check_memory(path.name, sum(stack.bytes_needed for stack in stacks))
    several = len(stacks) > 1
    return [_described(path, stack, number if several else None, lazy) for number, stack in enumerate(stacks)]


def _stacks_in(path: Path, tif: TiffFile) -> list[Frames]:
    """Find the images and stacks that are micrographs."""
    groups = groups_of(path, tif)
    stacks = [_stack_of(path, tif, group) for group in groups]
    stacks = [stack for stack in stacks if stack.calibration.by_microscope] or stacks
    if len(groups) == 1 and stacks[0].samples is Samples.COLOUR and _may_be_frames(groups[0]):
        stacks.append(_as_frames(stacks[0], groups[0].page))
    return stacks


def _stack_of(path: Path, tif: TiffFile, group: Group) -> Frames:
    """Tell frames from colours among the axes of a group."""
    page, samples = group.page, samples_of(group.page, "S" in group.axes)
    order = _order_of(group)
    height, width = (group.shape[axis] for axis in order[-2:])
    navigation = [(group.axes[axis], group.shape[axis]) for axis in order[:-2]]
    if samples is Samples.FRAMES and "S" in group.axes:
        navigation.append(("S", page.samplesperpixel))
    pixels = math.prod(page.shape) // page.samplesperpixel
    frames_per_page = pixels // (height * width) * (page.samplesperpixel if samples is Samples.FRAMES else 1)
    in_order = order == sorted(order) and pixels % (height * width) == 0
    shape = (math.prod(size for _, size in navigation), height, width)
    _check_fit(path, group, in_order, shape[0], frames_per_page)
    calibration, orientation = calibration_of(path.name, tif, page, group.number), orientation_of(page)
    if orientation >= 5:
        shape, calibration = (shape[0], width, height), calibration.turned()
    status = path.stat()
    return Frames(
        path=path,
        stamp=(status.st_mtime_ns, status.st_size),
        pages=tuple(group.pages),
        data=group.data,
        series=None if in_order else group.number,
        order=tuple(order),
        frames_per_page=frames_per_page,
        stored=page.shape if in_order else group.shape,
        samples=samples,
        orientation=orientation,
        shape=shape,
        dtype=dtype_of(page, samples),
        navigation=tuple(navigation),
        calibration=calibration,
        name=group.name,
    )


def _order_of(group: Group) -> list[int]:
    """Give the axes but those of samples and those of length 1, y and x last."""
    axes = [axis for axis, letter in enumerate(group.axes) if letter != "S"]
    if group.named and {"Y", "X"} <= set(group.axes):
        image = [group.axes.index(letter) for letter in "YX"]
        return [axis for axis in axes if axis not in image and group.shape[axis] > 1] + image
    counting = [axis for axis in axes if group.shape[axis] > 1]
    return counting if len(counting) > 1 else axes[-2:]


def _check_fit(path: Path, group: Group, in_order: bool, frames: int, frames_per_page: int) -> None:
    if not in_order and group.page.samplesperpixel > 1:
        raise MicrographError(
            f"{path.name}: its axes are {group.axes}, of shape {group.shape}; save it with y and x as the last two"
        )
    if in_order and group.data is None and frames != frames_per_page * len(group.pages):
        raise MicrographError(
            f"{path.name}: declares {frames} frames and holds {frames_per_page * len(group.pages)}; copy the file again"
        )


def _may_be_frames(group: Group) -> bool:
    """Say whether planes may be frames: tifffile writes three grey frames as red, green and blue."""
    page = group.page
    planar = page.axes == "SYX" and len(group.pages) == 1 and group.axes.count("S") == 1
    return planar and page.is_shaped and '"axes"' not in (page.shaped_description or "")


def _as_frames(picture: Frames, page: TiffPage) -> Frames:
    number = page.samplesperpixel
    return replace(
        picture,
        samples=Samples.FRAMES,
        shape=(number, *picture.shape[1:]),
        frames_per_page=number,
        navigation=(("I", number),),
        name=f"the same as {number} frames",
    )


def _described(path: Path, stack: Frames, number: int | None, lazy: bool) -> dict[str, Any]:
    """Give a stack as RosettaSciIO's readers do."""
    data = _lazily(stack) if lazy else stack[:]
    data = data.reshape(*(size for _, size in stack.navigation), *stack.shape[1:])
    said = stack.calibration
    axes = [_frame_axis(letter, stack) for letter, _ in stack.navigation]
    for name, (scale, unit) in (("y", said.height), ("x", said.width)):
        axes.append({"name": name, "scale": scale, "units": unit, "navigate": False})
    return as_dictionary(data, axes, stack.name or ("" if number is None else f"{path.stem}, image {number}"))


def _frame_axis(letter: str, stack: Frames) -> dict[str, Any]:
    said = stack.calibration.frames
    alone = said.get("*", {}) if len(stack.navigation) == 1 else {}
    return {"name": _NAMES.get(letter, "frame")} | (alone or said.get(letter, {})) | {"navigate": True}


def _lazily(stack: Frames) -> Any:
    import dask.array

    together = len(stack) if stack.series is not None else stack.frames_per_page
    chunks = frame_chunks(stack.shape, stack.dtype, together)
    return dask.array.from_array(stack, chunks=chunks, asarray=False, fancy=False)
