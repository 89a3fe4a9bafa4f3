"""Frame correction: large particles are cut by the frame more often, and those that are whole count for them.

A particle whose bounding box is h x w lies whole in a frame of H x W at (H - h) (W - w) places. Weighted by the
inverse, the whole particles stand for all (Lantuéjoul, Microsc. Acta Suppl. 4 (1980) 266). Micrographs of several
frames are samples of one specimen, each with a bias of its own, and may be crowded or empty: each particle counts
as the inverse of its places in all frames, these weighted as is most likely (Vardi, Ann. Statist. 13 (1985) 178).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

__all__ = ["FRAME_COLUMNS", "PIXEL_COLUMNS", "Frames", "frame_weights", "require"]

FRAME_COLUMNS = ("frame_height_px", "frame_width_px")
"""Columns of a table of particles: the shape of their micrograph."""

PIXEL_COLUMNS = ("pixel_height_nm", "pixel_width_nm")
"""Columns of a table of particles whose pixel size is known."""

Frames = tuple[int, int] | Mapping[Any, tuple[int, int]] | Literal["table"] | None
"""Height and width [px] of all micrographs, or of each by its name; "table" for what the table says; None."""

_MOST_TURNS, _PRECISION = 500, 1e-9
_LOW, _HIGH = ("top_px", "left_px"), ("bottom_px", "right_px")


def frame_weights(
    table: pd.DataFrame, whole: np.ndarray, frame_px: Frames
) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Give the weight of each whole particle, and the frames that it was found with, none where none is known.

    Parameters
    ----------
    table : DataFrame
        Particles, with their boxes.
    whole : bool array
        Which rows are particles that the frame does not cut.
    frame_px
        As :func:`temlib.size_distribution` takes it.

    Returns
    -------
    float array, one for each whole particle
        They add up to the number of particles for each nm2 of the specimen, or px2 where the pixel size is
        unknown; 1 where no frame is known.
    tuple of (int, int)
        The different frames [px].

    Raises
    ------
    ValueError
        When a frame is missing or does not hold its particles' boxes.
    """
    ones = np.ones(np.count_nonzero(whole))
    if frame_px is None or (isinstance(frame_px, str) and not {*FRAME_COLUMNS, *_LOW, *_HIGH} <= set(table)):
        return ones, ()
    require(table, (*_LOW, *_HIGH))
    frames = _frames(table, frame_px)
    pixels = table[[*PIXEL_COLUMNS]].to_numpy(float) if {*PIXEL_COLUMNS} <= set(table) else np.ones_like(frames)
    high = table[[*_HIGH]].to_numpy(float)
    sizes = high - table[[*_LOW]].to_numpy(float)
    names = table["micrograph"].to_numpy() if "micrograph" in table else np.zeros(len(table), int)
    reach = high if not isinstance(frame_px, str) else _reach(high, high - sizes, whole, names)
    if not (reach <= frames).all() or not (frames - 1 - sizes > 0)[whole].all():
        some = ", ".join(f"({height:.0f}, {width:.0f})" for height, width in np.unique(frames, axis=0)[:3].tolist())
        raise ValueError(f"particles do not fit in frame_px={some}; pass height and width of the micrographs")
    kinds, kind = np.unique(np.hstack([frames, pixels]), axis=0, return_inverse=True)
    kind = kind.ravel()
    free = (kinds[:, :2] - 1) * kinds[:, 2:] - (sizes * pixels)[whole][:, None]
    places = np.clip(free, 0, None).prod(axis=-1)
    micrographs = np.bincount([number for number, _ in {*zip(kind.tolist(), names.tolist(), strict=True)}])
    weights = _weights(places, np.bincount(kind[whole], minlength=len(kinds)), micrographs)
    return weights, tuple(dict.fromkeys((int(height), int(width)) for height, width, *_ in kinds.tolist()))


def require(table: pd.DataFrame, columns: Iterable[str], source: str = "measure_particles") -> None:
    """Refuse a table that lacks a column of what a function gives."""
    missing = [name for name in columns if name not in table]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}; pass what {source} gives")


def _reach(high: np.ndarray, low: np.ndarray, whole: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Give for each row how far the whole particles of its micrograph reach; they may begin below a data bar."""
    of_row = np.unique(names, return_inverse=True)[1]
    first, last = np.full((of_row.max(initial=0) + 1, 2), np.inf), np.zeros((of_row.max(initial=0) + 1, 2))
    np.minimum.at(first, of_row[whole], low[whole])
    np.maximum.at(last, of_row[whole], high[whole])
    return np.maximum(last - first, 0)[of_row]


def _weights(places: np.ndarray, found: np.ndarray, micrographs: np.ndarray) -> np.ndarray:
    """Give weights that add up to the density, from the places (particles, frames) and the numbers found in each.

    How crowded each frame is and which sizes there are is found in turn, as either follows from the other.
    """
    mean_places = places.mean(axis=0)
    for _ in range(_MOST_TURNS):
        density = np.divide(found, mean_places, out=np.zeros(len(found)), where=mean_places > 0)  # no place, none found
        weights = 1 / (places @ density)
        weights /= weights.sum()
        before, mean_places = mean_places, weights @ places
        if np.allclose(mean_places, before, rtol=_PRECISION, atol=0):
            break
    return weights * found.sum() / (micrographs @ mean_places)


def _frames(table: pd.DataFrame, frame_px: Any) -> np.ndarray:
    """Give the frame of each row [px]."""
    if isinstance(frame_px, str):
        if frame_px != "table":
            raise ValueError(f"frame_px={frame_px!r} is no frame; pass (height, width), or one for each micrograph")
        frames = table[[*FRAME_COLUMNS]].to_numpy(float)
    elif isinstance(frame_px, Mapping):
        if "micrograph" not in table:
            raise ValueError("the table has no column micrograph; pass one frame, frame_px=(height, width)")
        unknown = {*table["micrograph"]} - set(frame_px)
        if unknown:
            raise ValueError(f"frame_px names no frame of micrograph {min(unknown, key=str)!r}; pass one for each")
        frames = np.array([frame_px[name] for name in table["micrograph"]], float)
    else:
        frames = np.broadcast_to(np.asarray(frame_px, float), (len(table), 2))
    if not np.isfinite(frames).all():
        raise ValueError(
            f"the table holds no frame of {(~np.isfinite(frames)).any(axis=1).sum()} particles; pass frame_px="
        )
    return frames
