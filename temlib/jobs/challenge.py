"""Tracks in the format of the Cell Tracking Challenge, which TrackMate, napari and others open.

A folder holds a 16-bit tif for each frame, ``mask000.tif`` and so on, in which a particle has the number of its track,
and ``res_track.txt``, a line for each track: its number, its first frame, its last, and the track it comes from or 0.
There a track is in every frame between its first and its last, and ends where it is split. So one with a gap, or from
which another splits, is written as several, each coming from the one before. What merges ends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from temlib.errors import MicrographError, OutputError
from temlib.particles.tracking import chunks_of, open_numbered
from temlib.writing import write_folder, write_text

__all__ = ["check_folder", "export_tracks", "lineage"]

_HIGHEST = 65535


def check_folder(folder: str | os.PathLike) -> Path:
    """Refuse a folder in which something lies.

    Raises
    ------
    OutputError
        When it is one, or no folder.
    """
    folder = Path(folder)
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: exists already; name an empty folder, or one that is not there")
    return folder


def export_tracks(tracks: pd.DataFrame | str | os.PathLike, particles: object, folder: str | os.PathLike) -> Path:
    """Write tracks as the Cell Tracking Challenge has them, frame by frame: the whole folder or nothing.

    Parameters
    ----------
    tracks : DataFrame or path
        What :func:`temlib.track_particles` gave or ``temlib track`` wrote.
    particles : path, signal or int array of shape (frames, height, width)
        The numbered frames of which they were made.
    folder : path
        Empty, or not there.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MicrographError
        When these are not the frames of the tracks, or the tracks more than 65,535, which 16 bits can number.
    OutputError
        When the folder is not empty, or nothing can be written.
    """
    import tifffile

    folder, stack = check_folder(folder), open_numbered(particles)
    needed = ["track", "frame", "event", "partner", "particle"]
    table = tracks if isinstance(tracks, pd.DataFrame) else pd.read_csv(tracks, usecols=needed)
    numbers, lines = lineage(table)
    if len(lines) > _HIGHEST:
        raise MicrographError(f"{folder}: {len(lines)} tracks are more than the format's {_HIGHEST}; export a part")
    digits = max(3, len(str(len(stack.data) - 1)))

    def write(temporary: Path) -> None:
        for frame, drawn in enumerate(_drawn(table, numbers, stack)):
            if drawn is None:
                raise MicrographError(
                    f"{folder}: frame {frame} holds other particles than the tracks; pass their frames"
                )
            tifffile.imwrite(temporary / f"mask{frame:0{digits}d}.tif", drawn, compression="zlib")
        write_text(temporary / "res_track.txt", "".join(" ".join(map(str, line)) + "\n" for line in lines))

    return write_folder(folder, write)


def _drawn(table: pd.DataFrame, numbers: np.ndarray, stack: Any) -> Iterator[np.ndarray | None]:
    """Give each frame with the numbers of pieces, None where it holds other particles than the table."""
    bounds = np.searchsorted(table["frame"].to_numpy(), np.arange(len(stack.data) + 1))
    particle = table["particle"].to_numpy(dtype=int)
    for frame, labels in enumerate(labels for chunk in chunks_of(stack) for labels in chunk):
        rows = slice(bounds[frame], bounds[frame + 1])
        given = np.zeros(max(int(labels.max()), particle[rows].max(initial=0)) + 1, np.uint16)
        given[particle[rows]] = numbers[rows]
        drawn = given[labels]
        yield drawn if np.array_equal(drawn > 0, labels > 0) else None


def lineage(tracks: pd.DataFrame) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """Cut tracks at gaps and where others split from them.

    Parameters
    ----------
    tracks : DataFrame
        By frame, with ``track``, ``frame``, ``event`` and ``partner``.

    Returns
    -------
    int array
        For each row the number of its piece, from 1 on.
    list of (int, int, int, int)
        Of each piece its number, first and last frame, and the piece it comes from, or 0.
    """
    splits = tracks["event"].astype(object).fillna("").astype(str).str.contains("splits from")
    parents = set(zip(tracks["partner"][splits], tracks["frame"][splits], strict=True))
    columns = [tracks[name].tolist() for name in ("track", "frame", "partner")]
    numbers: list[int] = []
    pieces: list[tuple[int, int, int, int]] = []
    current: dict[int, int] = {}  # the piece of each track
    for track, frame, partner, split in zip(*columns, splits, strict=True):
        piece = current.get(track, 0)
        if not piece or pieces[piece - 1][2] < frame - 1 or (track, frame) in parents:
            whole = current.get(partner, 0) if split else 0
            cut = whole and pieces[whole - 1][1] == frame  # the one it splits from may have been cut already
            parent = piece or (pieces[whole - 1][3] if cut else whole)
            piece = current[track] = len(pieces) + 1
            pieces.append((piece, frame, frame, parent))
        pieces[piece - 1] = (*pieces[piece - 1][:2], frame, pieces[piece - 1][3])
        numbers.append(piece)
    return np.array(numbers, int), pieces
