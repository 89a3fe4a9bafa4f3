"""A folder of micrographs, segmented and measured: what ``temlib segment`` does."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Sequence
from contextlib import closing
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

from temlib.errors import OutputError, RunError, TemlibError, one_line, readable
from temlib.files.grey_levels import normalise
from temlib.files.labels.label_files import save_labels
from temlib.files.micrographs import pixel_size_of
from temlib.files.scale_bars.scale_labels import can_read
from temlib.jobs.inputs import digest_of, files_in, names_of, place_of
from temlib.jobs.looking import Look, Seen, looks
from temlib.jobs.records import alone
from temlib.jobs.results import BatchFolder
from temlib.jobs.tables import (
    COLUMNS,
    FEWEST,
    read_rows,
    read_table,
    whole_particles,
    without_report,
    write_distribution,
)
from temlib.network.segmenter import Scale, Segmenter
from temlib.network.sought import Contrast, Diameter, Marks
from temlib.network.workers import segmenter_fingerprint
from temlib.palette import COLOURS
from temlib.particles.measurement import measure_particles
from temlib.particles.report import save_report
from temlib.particles.review import Review, apply_review, reviews_in
from temlib.progress import progress_bar
from temlib.writing import write_atomically, write_table, writing_to

__all__ = ["Batch", "files_in", "names_of", "overlay", "segment_files"]

_SUMMARY, _PARTICLES, _DISTRIBUTION = "micrographs.csv", "particles.csv", "distribution.csv"
_FOLDER_IS_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT)

Row = dict[str, Any]


@dataclass
class Batch:
    """What came of a batch.

    Attributes
    ----------
    micrographs : DataFrame
        A row for each: ``micrograph``, ``file``, ``particles`` and, of them, ``whole_particles``,
        ``pixel_size_nm``, ``expected_iou``, ``contrast`` in which particles were seen (``dark`` or ``bright``, also
        where ``auto`` was told; empty where a temlib that did not keep it did so), ``warning`` where the mask is not
        to be trusted, ``note`` where something was said on reading, ``review`` what a person decided, and of the file
        its size, ``bytes``, and ``sha256``.
    particles : DataFrame
        All particles, a row each (:func:`temlib.particles.measurement.measure_particles`), with ``micrograph``.
    failed : dict of str to str
        Files that could not be done, and why.
    skipped : int
        Micrographs that an earlier run had done.
    notes : list of str
        What else a reader of the results has to know, a line each.
    tracebacks : dict of str to str
        Of the files that could not be done.
    """

    micrographs: pd.DataFrame
    particles: pd.DataFrame
    failed: dict[str, str] = field(default_factory=dict)
    skipped: int = 0
    notes: list[str] = field(default_factory=list)
    tracebacks: dict[str, str] = field(default_factory=dict)


def segment_files(
    files: Sequence[Path],
    out: Path,
    segmenter: Segmenter,
    *,
    scale: Scale = "auto",
    diameter_nm: Diameter | None = None,
    diameter_px: Diameter | None = None,
    contrast: Contrast | None = None,
    pixel_size_nm: float | None = None,
    scale_bar: bool = True,
    signal: int | str | None = None,
    marks: Marks | None = None,
    review: Path | None = None,
    workers: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> Batch:
    """Segment and measure micrographs, each into files of its own; go on where an earlier run stopped.

    For each micrograph ``NAME``: ``NAME_mask.png`` (0 and 255), ``NAME_labels.tif`` (particles
    numbered, with the pixel size), ``NAME_particles.csv``, ``NAME_overlay.png`` and, where there are
    two whole particles, ``NAME_report`` (png, pdf, json); for all of them ``micrographs.csv``,
    ``particles.csv`` and ``distribution.csv``: one distribution where all micrographs have a pixel
    size, else one for each micrograph. ``settings.json`` says what the results depend on and which
    files are temlib's.

    A micrograph is done when its row says so and its file has the size and sha256 of then; a file
    that was exchanged is done again, and so is another file of the same name.

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
    diameter_nm, diameter_px, contrast, marks
        What is looked for; see :meth:`temlib.Segmenter.looking_for`. A particle that a mark touches counts as one
        that the frame cuts.
    pixel_size_nm : float, optional
        In place of what the files say.
    scale_bar : bool
        Read burnt-in scale bars where files state no pixel size and the extra ``temlib[scalebar]`` is installed.
    signal : int or str, optional
        Number or title of the image to take from files that hold several; see :func:`temlib.load_micrograph`.
    review : path, optional
        A folder of decisions that were made in :class:`temlib.ParticleReviewer`. What is left of the particles of a
        micrograph that has some there is what is written; it is done again when they change.
    workers : int
        Processes that read and look at micrographs while results are written; each needs a gigabyte or more.
    overwrite : bool
        Do again what is done, and replace files of the results' names that temlib did not write.
    progress : bool
        Show a progress bar.

    Raises
    ------
    RunError
        When ``out`` holds results of other settings or files of somebody else's under the names of
        results, another process writes into it, or two files have one name. A file that fails in
        any way stops nothing: it is in ``failed``.
    OutputError
        When ``out`` cannot be written into, or the disk is full. What is done stays done.
    """
    if workers < 1:
        raise RunError(f"workers={workers} must be at least 1")
    wishes = (diameter_nm, diameter_px, contrast, marks)
    told = segmenter if all(wish is None for wish in wishes) else segmenter.looking_for(*wishes)
    out, settings = Path(out), _settings(told, scale, pixel_size_nm)
    settings |= ({} if scale_bar else {"scale_bar": False}) | ({} if signal is None else {"signal": signal})
    with alone(out):
        look = Look(told, scale, pixel_size_nm, scale_bar, signal)
        work = _Work(
            BatchFolder(out, settings, overwrite), look, {} if review is None else reviews_in(review), overwrite
        )
        names = names_of(files, {row["file"]: row["micrograph"] for row in work.rows.values()})
        work.folder.claim(names, files)
        work.batch.notes += [
            f"{path}: belongs to none of these micrographs" for name, path in work.reviews.items() if name not in names
        ]
        work.run(names, workers, progress)
        return work.finish()


class _Work:
    """A batch under way: its folder, the rows that are written, and what came of it so far."""

    def __init__(self, folder: BatchFolder, look: Look, reviews: dict[str, Path], overwrite: bool) -> None:
        self.folder, self.out, self.overwrite = folder, folder.folder, overwrite
        self.look, self.segmenter, self.reviews = look, look.segmenter, reviews
        kept = read_rows(self.out / _SUMMARY, self.segmenter.sought.contrast)
        self.rows: dict[str, Row] = {row["micrograph"]: row for row in kept}
        self.batch = Batch(pd.DataFrame(), pd.DataFrame())

    def run(self, names: dict[str, Path], workers: int, progress: bool) -> None:
        """Segment the micrographs that are not done; whatever goes wrong with one is noted down."""
        missing = self._missing(names)
        ahead = looks(self.look, [file for _, file, _, _ in missing], workers)
        known = {"total": len(names), "initial": len(names) - len(missing), "desc": "micrographs"}
        with closing(ahead) as seen, progress_bar(show=progress, **known) as bar:
            for (name, file, size, digest), look in zip(missing, seen, strict=True):
                try:
                    row = self._measure(name, look())
                except Exception as error:  # readers of damaged files raise anything
                    if isinstance(error, OutputError) and getattr(error.__cause__, "errno", None) in _FOLDER_IS_LOST:
                        raise  # the next one would fare no better
                    self._failed(name, file, digest, error)
                else:
                    of_file = {"file": place_of(file), "bytes": size, "sha256": digest}
                    self.rows[name] = row | of_file | {"review_sha256": self._digest_of_review(name)}
                    self._keep_rows()
                bar.update()

    def _missing(self, names: dict[str, Path]) -> list[tuple[str, Path, int, str]]:
        """Give what is not done: name, file, its size and sha256."""
        missing = []
        for name, file in names.items():
            try:
                size, digest = digest_of(file) if file.exists() else (0, "")
                if digest and self.rows.get(name, {}).get("sha256") != digest:
                    self._drop_former(file, digest, names)
                if digest and not self.overwrite and self._is_done(name, file, digest):
                    self.batch.skipped += 1
                else:
                    missing.append((name, file, size, digest))
            except OSError as error:
                self._failed(name, file, "", error)
        return missing

    def _failed(self, name: str, file: Path, digest: str, error: Exception) -> None:
        """Note down why a file could not be done, and leave nothing that could pass for its result."""
        self.batch.failed[str(file)] = _reason(file, error)
        self.batch.tracebacks[str(file)] = traceback.format_exc()
        if digest and self.rows.get(name, {}).get("sha256") != digest:
            self._drop(name)
            self.folder.forget(name)

    def _drop(self, name: str) -> None:
        """Take the row of a micrograph out of the table: a run that is killed leaves no new files under an old row."""
        if self.rows.pop(name, None):
            self._keep_rows()

    def _drop_former(self, file: Path, digest: str, names: dict[str, Path]) -> None:
        """Drop what was done of a file under a name that it no longer has; a copy that is still there stays."""
        same = [(name, row["file"]) for name, row in self.rows.items() if row["sha256"] == digest]
        for old, place in same:
            if old not in names and not os.path.exists(place):
                self._drop(old)
                self.folder.forget(old)
                self.batch.notes.append(f"{file}: was {place}, which is gone; what was done of that is removed")

    def finish(self) -> Batch:
        """Write the tables of all micrographs."""
        batch, rows = self.batch, self._summary()
        tables = [read_table(self.out / f"{name}_{_PARTICLES}").assign(micrograph=name) for name in rows["micrograph"]]
        batch.micrographs, batch.particles = rows, pd.concat(tables) if tables else pd.DataFrame()
        if tables:
            write_table(self.out / _PARTICLES, batch.particles)
            batch.notes += write_distribution(rows, tables, self.out / _DISTRIBUTION)
            batch.notes += without_report(rows)
            batch.notes += self._hint(rows)
        else:
            with writing_to(self.out):
                for table in (_PARTICLES, _DISTRIBUTION):
                    (self.out / table).unlink(missing_ok=True)
        return batch

    def _hint(self, rows: pd.DataFrame) -> list[str]:
        """Say how scale bars could be read, where they could not."""
        unknown = int(rows["pixel_size_nm"].isna().sum())
        if not unknown or not self.look.scale_bar or can_read():
            return []
        return [f"pixel size unknown in {unknown}: to have scale bars read, run: pip install 'temlib[scalebar]'"]

    def _is_done(self, name: str, file: Path, digest: str) -> bool:
        """Say whether the row of that name is of this file as it is now; where it is not, note why."""
        row = self.rows.get(name)
        if row is None or not (self.out / f"{name}_{_PARTICLES}").exists():
            return False
        moved = row["file"] != place_of(file)  # or a copy
        if row["sha256"] != digest:
            why = f"is not {row['file']}, which had its name" if moved else "has changed since it was done"
        elif row["review_sha256"] != self._digest_of_review(name):
            why = "decisions about its particles have changed since it was done"
        else:
            if moved:
                row["file"] = place_of(file)
                self._keep_rows()
            return True
        self.batch.notes.append(f"{file}: {why}; done again")
        return False

    def _digest_of_review(self, name: str) -> str:
        return digest_of(self.reviews[name])[1] if name in self.reviews else ""

    def _measure(self, name: str, seen: Seen) -> Row:
        """Measure what was seen in one micrograph and write its files; give its row."""
        found, size, probability = seen.found, pixel_size_of(seen.image), seen.maps[..., 0]
        measures: dict[str, Any] = {"pixel_size_nm": size, "probability": probability, "marks": found.marks}
        review = None
        if name in self.reviews:
            review = apply_review(found, self.reviews[name], seen.image.data, **measures)
            table, mask = review.counting, review.kept > 0
        else:
            table = measure_particles(found.labels, seen.image.data, confidence=found.confidence, **measures)
            mask = found.labels > 0
            if not self.segmenter.sought:
                sure = probability > self.segmenter.threshold
                mask |= sure if found.marks is None else sure & ~found.marks
        self._drop(name)
        self._write(name, seen, mask, table, review)
        return {
            "micrograph": name,
            "particles": len(table),
            "whole_particles": whole_particles(table),
            "left_out": len(found.left_out_px),
            "pixel_size_nm": None if size is None else float(np.sqrt(size[0] * size[1])),
            "expected_iou": self.segmenter.expected_iou(probability),
            "contrast": found.contrast or "",
            "warning": self.segmenter.warning(seen.maps) or "",
            "note": seen.note,
            "review": "" if review is None else review.summary,
        }

    def _write(self, name: str, seen: Seen, mask: np.ndarray, table: pd.DataFrame, review: Review | None) -> None:
        """Write the files of a micrograph, and remove those of an earlier run that it has no more."""
        image, found, size = seen.image, seen.found, pixel_size_of(seen.image)
        labels = found.labels if review is None else review.kept
        picture = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
        written = [
            write_atomically(self.out / f"{name}_mask.png", picture.save),
            save_labels(labels, self.out / f"{name}_labels.tif", size, overwrite=True),
            write_table(self.out / f"{name}_{_PARTICLES}", table),
            write_atomically(self.out / f"{name}_overlay.png", overlay(image, labels, found.marks).save),
        ]
        if whole_particles(table) >= FEWEST:
            left_out = found.left_out_px * (1.0 if size is None else float(np.sqrt(size[0] * size[1])))
            read = image.metadata.get_item("General.pixel_size_source", "")
            facts: dict[str, Any] = {
                "model": _name(self.segmenter),
                "threshold": self.segmenter.threshold,
                "min_confidence": found.least,
                "pixel_size_source": "given" if self.look.pixel_size_nm else read or "file",
                "sought": self.segmenter.sought.to_dict(),
                "contrast": found.contrast,
            }
            if review is not None:
                labels = review.labels  # those that are left out are drawn, too
                facts |= {"review": review.counts() | {"summary": review.summary}, "exclusions": review.rules}
            save_report(self.out / f"{name}_report", image, labels, table, left_out=left_out, overwrite=True, **facts)
            written += [self.out / f"{name}_report{suffix}" for suffix in (".png", ".pdf", ".json")]
        self.folder.forget(name, but=written)

    def _summary(self) -> pd.DataFrame:
        return pd.DataFrame(sorted(self.rows.values(), key=itemgetter("micrograph")), columns=list(COLUMNS))

    def _keep_rows(self) -> None:
        write_table(self.out / _SUMMARY, self._summary())


def overlay(image: Any, labels: np.ndarray, marks: np.ndarray | None = None) -> Image.Image:
    """Draw the particles' outlines, a pixel wide and inside of them, on the micrograph, and hatch its marks.

    Parameters
    ----------
    image : signal or array of shape (height, width)
        The micrograph.
    labels : int array of the same shape
        Particles.
    marks : bool array of the same shape, optional
        Burnt-in marks, which are no particles.
    """
    grey = np.rint((normalise(image) + 1) * 127.5).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=-1)
    if marks is not None:
        picture[marks & (np.indices(marks.shape).sum(axis=0) % 8 < 2)] = _rgb("mark")
    picture[find_boundaries(labels, mode="inner")] = _rgb("found")
    return Image.fromarray(picture)


def _rgb(meaning: str) -> np.ndarray:
    """Give a colour of the palette as three bytes."""
    return np.rint(255 * np.array(to_rgb(COLOURS[meaning]))).astype(np.uint8)


def _settings(segmenter: Segmenter, scale: Scale, pixel_size_nm: float | None) -> dict[str, Any]:
    """Give what results depend on, as JSON holds it."""
    return {
        "segmenter": segmenter_fingerprint(segmenter),
        "scale": scale if isinstance(scale, str) else np.atleast_1d(scale).tolist(),
        "pixel_size_nm": pixel_size_nm,
        **segmenter.sought.to_dict(),
    }


def _name(segmenter: Segmenter) -> str:
    """Name a network by its weights, whatever its file is called."""
    digest = sha256(b"".join(array.tobytes() for array in segmenter.model.get_weights())).hexdigest()
    return f"weights of sha256 {digest}"


def _reason(file: Path, error: Exception) -> str:
    """Say in one line why a file could not be done."""
    if isinstance(error, MemoryError):
        return f"{file}: does not fit into memory; close other programs, or segment it on a larger machine"
    kind = "" if isinstance(error, TemlibError) else f"{type(error).__name__}: "
    reason = f"{kind}{one_line(error, 500)}"
    return reason if readable(file.name) in reason else f"{file}: {reason}"
