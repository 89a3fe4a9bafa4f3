"""A folder of micrographs as a microscopist has it, for those who have brought none: notebook 07."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from temlib.files.grey_levels import normalise
from temlib.files.micrographs import as_array, micrograph, pixel_size_of, save_micrograph

__all__ = ["burn_in_scale_bar", "write_folder"]

_LENGTHS = np.outer(10.0 ** np.arange(-1, 4), [1, 2, 5]).ravel()
"""Of scale bars [nm]."""


def write_folder(micrographs: Sequence[Any], folder: Path, png: bool = True) -> list[Path]:
    """Write micrographs as files: tif, which know their pixel size, and one png, which has a scale bar burnt in.

    The png is the micrograph that has least under the bar. Micrographs without a pixel size all become png, as they
    are.

    Parameters
    ----------
    micrographs : sequence of temlib.datasets.Annotated or temlib.synthetic.SyntheticMicrograph
        With ``name``, ``image`` and ``labels``.
    folder : path
        What they are called there is overwritten.
    png : bool
        Make the png; where nothing can read its scale bar, it would be without a pixel size.

    Returns
    -------
    list of Path
        One for each micrograph.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = [i for i, m in enumerate(micrographs) if pixel_size_of(m.image)]
    covered = {i: np.sum(_corner(as_array(micrographs[i].labels)) > 0) for i in known}
    exported = min(covered, key=covered.__getitem__) if png and covered else None
    return [
        save_micrograph(
            burn_in_scale_bar(m.image) if i == exported else m.image,
            folder / f"{m.name}.{'tif' if i in known and i != exported else 'png'}",
            overwrite=True,
        )
        for i, m in enumerate(micrographs)
    ]


def burn_in_scale_bar(image: Any) -> Any:
    """Give a micrograph in 8 bits with a white scale bar on black paper, lower left, where our own figures have none.

    Parameters
    ----------
    image : signal of shape (height, width)
        Its pixel size is known; the bar is about a fifth of the width. ValueError where it is unknown.

    Returns
    -------
    uint8 signal of the same shape, without a pixel size
    """
    from PIL import Image, ImageDraw, ImageFont

    known = pixel_size_of(image)
    if known is None:
        raise ValueError("a scale bar needs a micrograph whose pixel size is known")
    picture = Image.fromarray(np.round((normalise(image) + 1) * 127.5).astype(np.uint8))
    paper = _corner(np.asarray(picture))
    (high, wide), draw = paper.shape, ImageDraw.Draw(picture)
    length = next(each for each in reversed(_LENGTHS) if each <= 0.8 * wide * known[1])
    top = picture.height - high
    draw.rectangle([0, top, wide, picture.height], fill=0)
    bar_px = round(length / known[1])
    first = (wide - bar_px) // 2
    draw.rectangle([first, top + 0.7 * high, first + bar_px - 1, top + 0.82 * high], fill=255)
    font = ImageFont.load_default(size=0.5 * high)
    draw.text((wide / 2, top + 0.33 * high), f"{length:g} nm", fill=255, font=font, anchor="mm")
    return micrograph(np.asarray(picture), title=image.metadata.General.title)


def _corner(picture: np.ndarray) -> np.ndarray:
    """Give the lower left corner, which the bar's paper takes."""
    height, width = picture.shape
    return picture[-height // 10 :, : width // 4]
