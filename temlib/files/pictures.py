"""Pictures: png, jpg, bmp, gif, webp and tif, read as what their channels, pages and orientation mean.

Coloured pictures become grey (ITU-R BT.709 luma), alpha is left out, a palette's numbers become the
luma of its colours, 0 is black. Resolutions for printing are no calibration: only tif files can
state a pixel size, :mod:`temlib.files.tiff.micrographs`.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from temlib.errors import MicrographError
from temlib.files.colours import cmyk_to_grey, luma, orient
from temlib.files.contents import as_dictionary, left_in_file, warn
from temlib.files.memory import check_memory
from temlib.files.tiff.micrographs import is_tiff, read_tiff

__all__ = ["PICTURES", "read_pictures"]

PICTURES = ("png", "jpg", "jpeg", "bmp", "gif", "webp", "tif", "tiff")
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")
_ORIENTATION = 0x0112  # the EXIF tag
_WORK = 16  # bytes that a pixel takes while it becomes grey
_WAY_OUT = "only a tif is read in parts, with lazy=True: save it as one, or check the file"
_limit = threading.Lock()


def read_pictures(path: Path, lazy: bool = False) -> list[dict[str, Any]]:
    """Read all pictures in a file, by what it holds and not by its suffix.

    Parameters
    ----------
    path : path
        A png, jpg, bmp, gif, webp or tif.
    lazy : bool
        Leave the pages of a tif in the file until they are computed; the others are read at once.

    Returns
    -------
    list of dict, as RosettaSciIO's readers give
        ``data`` of shape (height, width), or with frames before these; ``axes`` and ``metadata``.

    Raises
    ------
    MicrographError
        When the file is cut off, or larger than the free memory. Of otherwise damaged files the errors
        of Pillow and tifffile come through.
    """
    if is_tiff(path):
        return read_tiff(path, lazy)
    with _opened(path) as picture:
        frames, axes = _frames_of(path, picture)
    axes += [{"name": name, "navigate": False} for name in "yx"]
    return [as_dictionary(left_in_file(frames, path.name) if lazy else frames, axes)]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; its size is weighed here, by the memory that is free, and not by Pillow's limit."""
    with _limit, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(path, formats=_FORMATS)
        except UnidentifiedImageError:
            known = ", ".join(PICTURES)
            raise MicrographError(
                f"{path.name}: cannot be read (it is none of {known}); check the file, or save it anew"
            ) from None
        finally:
            Image.MAX_IMAGE_PIXELS = usual
    with picture:
        yield picture


def _frames_of(path: Path, picture: Image.Image) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Give the grey frames of a picture, and the axis of time of an animation."""
    number = getattr(picture, "n_frames", 1)
    if number > 1 and picture.format not in ("GIF", "WEBP"):
        if picture.format == "PNG":
            warn(f"{path.name}: is an animation; its first picture is taken, the others left")
        number = 1
    check_memory(path.name, picture.width * picture.height * (number + _WORK), _WAY_OUT)
    if number == 1:
        return _grey(path, picture), []
    frames, lengths = [], []
    for frame in range(number):
        picture.seek(frame)
        frames.append(_grey(path, picture))
        lengths.append(picture.info.get("duration", 0) / 1000)
    evenly = lengths[0] > 0 and len(set(lengths[:-1])) == 1
    time = {"name": "time", "scale": lengths[0], "units": "s"} if evenly else {"name": "frame"}
    return np.stack(frames), [time | {"navigate": True}]


def _grey(path: Path, picture: Image.Image) -> np.ndarray:
    """Give the grey levels of the frame that a picture is at, turned upright."""
    picture.load()
    levels = _levels(path, picture)
    orientation = 1
    with contextlib.suppress(Exception):  # EXIF is the camera's word: a damaged one says nothing
        orientation = picture.getexif().get(_ORIENTATION, 1)
    return np.ascontiguousarray(orient(levels, orientation))


def _levels(path: Path, picture: Image.Image) -> np.ndarray:
    mode = picture.mode
    if picture.format == "PNG" and mode in ("LA", "RGB", "RGBA") and _png_depth(path) == 16:  # Pillow gives 8 bits
        import imagecodecs

        channels = imagecodecs.png_decode(path.read_bytes())
        return luma(channels) if channels.shape[-1] > 2 else channels[..., 0]
    if mode == "1":
        return np.asarray(picture.convert("L"))
    if mode == "I" and picture.format == "PNG":  # older versions of Pillow give 16 bits so
        return np.asarray(picture).astype(np.uint16)
    if mode == "L" or mode.startswith(("I", "F")):
        return np.asarray(picture)
    if mode in ("LA", "La"):
        return np.asarray(picture.getchannel(0))
    if mode == "CMYK":
        return cmyk_to_grey(np.asarray(picture), 255)
    if mode not in ("RGB", "RGBA", "RGBX"):
        picture = picture.convert("RGBA" if mode in ("P", "PA", "RGBa") else "RGB")
    return luma(np.asarray(picture))


def _png_depth(path: Path) -> int:
    """Give the bits of a channel, which stand in a png's header."""
    with open(path, "rb") as file:
        return file.read(25)[-1]
