"""A folder of micrographs, segmented and measured: what ``temlib segment`` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from PIL import Image
from skimage.segmentation import find_boundaries

from temlib.drawing import COLOURS
from temlib.errors import MicrographError, OutputError, RunError, TemlibError, one_line
from temlib.files.grey_levels import normalise
from temlib.files.label_files import save_labels
from temlib.files.micrographs import load_micrograph, pixel_size_of
from temlib.network.segmenter import Scale, Segmenter
from temlib.network.workers import fingerprint
from temlib.particles.measurement import measure_particles
from temlib.particles.report import save_report
from temlib.particles.separation import separate_particles
from temlib.particles.size_distribution import size_distribution
from temlib.progress import progress_bar
from temlib.writing import remove_leftovers, write_atomically, write_table, write_text

__all__ = ["Batch", "files_in", "names_of", "overlay", "segment_files"]

_SETTINGS, _SUMMARY, _PARTICLES = "settings.json", "micrographs.csv", "particles.csv"
_DISTRIBUTION = "distribution.csv"
_FEWEST = 2  # whole particles that have a distribution


@dataclass
class Batch:
    """What came of a batch.

    Attributes
    ----------
    micrographs : DataFrame
        A row for each: ``micrograph``, ``file``, ``particles``, ``pixel_size_nm``, ``expected_iou``,
        and ``warning`` where the mask is not to be trusted.
    particles : DataFrame
        All particles, a row each (:func:`temlib.particles.measurement.measure_particles`), with ``micrograph``.
    failed : dict of str to str
        Files that could not be done, and why.
    skipped : int
        Micrographs that an earlier run had done.
    """

    micrographs: pd.DataFrame
    particles: pd.DataFrame
    failed: dict[str, str] = field(default_factory=dict)
    skipped: int = 0


def files_in(paths: Sequence[Path]) -> list[Path]:
    """Replace each folder by the files in it, hidden ones left out; sorted, without repetition."""
    found = {
        file: None
        for path in paths
        for file in (sorted(path.iterdir()) if path.is_dir() else [path])
        if not path.is_dir() or (file.is_file() and not file.name.startswith("."))
    }
    if not found:
        raise RunError(f"{', '.join(map(str, paths))}: no files there; name micrographs or a folder of them")
    return list(found)


def segment_files(
    files: Sequence[Path],
    out: Path,
    segmenter: Segmenter,
    *,
    scale: Scale = "auto",
    pixel_size_nm: float | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Batch:
    """Segment and measure micrographs, each into files of its own; go on where an earlier run stopped.

    For each micrograph ``NAME``: ``NAME_mask.png`` (0 and 255), ``NAME_labels.tif`` (particles
    numbered, with the pixel size), ``NAME_particles.csv``, ``NAME_overlay.png`` and, where there is
    a whole particle, ``NAME_report`` (png, pdf, json); for all of them ``micrographs.csv``,
    ``particles.csv`` and, where all or none have a pixel size, ``distribution.csv``.

    Parameters
    ----------
    files : sequence of Path
        Micrographs.
    out : Path
        Folder to write into; made when it is not there.
    segmenter : Segmenter
        What segments.
    scale
        See :meth:`temlib.Segmenter.maps`.
    pixel_size_nm : float, optional
        In place of what the files say.
    overwrite : bool
        Do again what is done.
    progress : bool
        Show a progress bar.

    Raises
    ------
    RunError
        When ``out`` holds results of other settings, or two files have one name. A file that
        cannot be read stops nothing: it is in ``failed``.
    OutputError
        When ``out`` cannot be written into, or the disk is full. What is done stays done.
    """
    names = names_of(files)
    remove_leftovers(out)
    network = _name(segmenter)
    settings = {
        "segmenter": fingerprint(segmenter),
        "scale": scale if isinstance(scale, str) else np.atleast_1d(scale).tolist(),
        "pixel_size_nm": pixel_size_nm,
    }
    rows = _read(out / _SUMMARY).to_dict("records") if _keep_settings(out, settings, overwrite) else []
    if overwrite:  # a run that is killed must not leave new files under a row of old ones
        rows = [row for row in rows if row["micrograph"] not in names]
        write_table(out / _SUMMARY, pd.DataFrame(rows))
    done = {row["micrograph"] for row in rows}
    batch = Batch(pd.DataFrame(), pd.DataFrame())
    for name, file in progress_bar(names.items(), show=progress, desc="micrographs"):
        if name in done and (out / f"{name}_{_PARTICLES}").exists():
            batch.skipped += 1
            continue
        try:
            row = _segment_file(file, name, out, segmenter, network, scale, pixel_size_nm)
        except OutputError:  # the next one would fare no better
            raise
        except (TemlibError, OSError, MemoryError) as error:
            batch.failed[str(file)] = one_line(error, 500)
            continue
        rows = sorted([other for other in rows if other["micrograph"] != name] + [row], key=itemgetter("micrograph"))
        write_table(out / _SUMMARY, pd.DataFrame(rows))
    batch.micrographs = pd.DataFrame(rows)
    tables = [_read(out / f"{row['micrograph']}_{_PARTICLES}") for row in rows]
    tables = [table.assign(micrograph=row["micrograph"]) for table, row in zip(tables, rows, strict=True)]
    batch.particles = pd.concat(tables) if tables else pd.DataFrame()
    if rows:
        write_table(out / _PARTICLES, batch.particles)
        _write_distribution(batch.particles, out / _DISTRIBUTION)
    return batch


def overlay(image: Any, labels: np.ndarray) -> Image.Image:
    """Draw the particles' outlines, a pixel wide and inside of them, on the micrograph.

    Parameters
    ----------
    image : signal or array of shape (height, width)
        The micrograph.
    labels : int array of the same shape
        Particles.
    """
    grey = np.rint((normalise(image) + 1) * 127.5).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=-1)
    picture[find_boundaries(labels, mode="inner")] = np.rint(255 * np.array(to_rgb(COLOURS["TL"])))
    return Image.fromarray(picture)


def _segment_file(
    file: Path, name: str, out: Path, segmenter: Segmenter, network: str, scale: Scale, pixel_size_nm: float | None
) -> dict[str, Any]:
    """Segment one micrograph and write its files; give its row."""
    if load_micrograph(file, lazy=True).data.ndim != 2:  # said before a movie is read, which may be larger than memory
        raise MicrographError(f"{file}: is a movie; segment it by itself, with --out NAME.zspy")
    image = load_micrograph(file, pixel_size_nm)
    try:
        maps = segmenter.maps(image, scale)
    except ValueError as error:
        raise MicrographError(f"{file}: {error}") from error
    labels = separate_particles(maps, threshold=segmenter.threshold)
    size = pixel_size_of(image)
    table = measure_particles(labels, image.data, pixel_size_nm=size, probability=maps[..., 0])
    mask = Image.fromarray(np.where(labels > 0, np.uint8(255), np.uint8(0)))
    write_atomically(out / f"{name}_mask.png", mask.save)
    save_labels(labels, out / f"{name}_labels.tif", size, overwrite=True)
    write_table(out / f"{name}_{_PARTICLES}", table)
    write_atomically(out / f"{name}_overlay.png", overlay(image, labels).save)
    if (~table["touches_edge"]).sum() >= _FEWEST:
        save_report(
            out / f"{name}_report",
            image,
            labels,
            table,
            overwrite=True,
            model=network,
            threshold=segmenter.threshold,
            pixel_size_source="given" if pixel_size_nm else "file",
        )
    return {
        "micrograph": name,
        "file": str(file),
        "particles": int(labels.max()),
        "pixel_size_nm": None if size is None else float(np.sqrt(size[0] * size[1])),
        "expected_iou": segmenter.expected_iou(maps[..., 0]),
        "warning": segmenter.warning(maps) or "",
    }


def names_of(files: Sequence[Path]) -> dict[str, Path]:
    """Name each micrograph after its file, with the suffix where two would have one name."""
    stems = [file.stem for file in files]
    names: dict[str, Path] = {}
    for file in files:
        name = file.stem if stems.count(file.stem) == 1 else file.name.replace(".", "_")
        if name in names:
            raise RunError(f"{file} and {names[name]}: have one name; segment them into two folders")
        names[name] = file
    return names


def _keep_settings(out: Path, settings: dict[str, Any], overwrite: bool) -> bool:
    """Write down what results depend on; say whether those in the folder do not depend on anything else."""
    path = out / _SETTINGS
    try:
        same = not path.exists() or json.loads(path.read_text(encoding="utf-8")) == settings
    except ValueError:  # whatever it is, it was not written here
        same = False
    if not same and not overwrite:
        raise RunError(f"{out}: holds results of another network or other settings; name another folder, or overwrite")
    if not same:  # before the new settings are there: a run killed in between must not take old results for its own
        (out / _SUMMARY).unlink(missing_ok=True)
    write_text(path, json.dumps(settings, indent=1) + "\n")
    return same


def _name(segmenter: Segmenter) -> str:
    """Name a network by its weights, whatever its file is called."""
    digest = sha256(b"".join(array.tobytes() for array in segmenter.model.get_weights())).hexdigest()
    return f"weights of sha256 {digest}"


def _write_distribution(particles: pd.DataFrame, path: Path) -> None:
    """Write the statistics of all whole particles together; of nm and px there is no mixture."""
    sizes = particles.filter(regex=r"^equivalent_diameter_")
    path.unlink(missing_ok=True)
    if sizes.shape[1] == 1 and (~particles["touches_edge"].astype(bool)).sum() >= _FEWEST:
        write_table(path, size_distribution(particles).to_frame().reset_index())


def _read(path: Path) -> pd.DataFrame:
    """Read a table; a micrograph may be called NA."""
    if not path.exists() or not path.read_bytes().strip():
        return pd.DataFrame()
    return pd.read_csv(path, dtype={"micrograph": str}, keep_default_na=False, na_values=[""]).fillna({"warning": ""})
