"""What a person has painted on one micrograph: strokes, undo and redo, the label, and its files.

Beside one another in the folder of the labels, for a micrograph NAME:

- ``NAME_strokes.json``: every stroke, what was undone, the pixel size, whether it is accepted;
- ``NAME_scribbles.png``: the strokes drawn, 0 unmarked, 1 background, 2 particle;
- ``NAME_start.png``: the mask that was corrected by hand, where there was one;
- ``NAME_painted.tif``: the accepted label, connected parts numbered (:func:`temlib.load_labels`).
  It is there when the label is accepted, and only then.

Where another painter has written the strokes since they were read, nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage.measure import label as numbered

from temlib.errors import MicrographError, one_line
from temlib.files.grey_levels import normalise
from temlib.files.json_files import in_range, parse_json
from temlib.files.labels.label_files import load_labels, save_labels
from temlib.files.micrographs import as_array, micrograph, pixel_size_of, with_axes_of
from temlib.files.resampling import resize
from temlib.jobs.records import Watched
from temlib.jobs.results import PAINTED
from temlib.pixel_classifier import BACKGROUND, PARTICLE, UNMARKED, PixelClassifier, pixel_features, scale_of
from temlib.widgets.strokes import Stroke, draw, rasterise
from temlib.writing import write_atomically

__all__ = ["FILES", "MODES", "Painting"]

FILES = PAINTED
"""What is added to the name of a micrograph."""

MODES = ("learn", "correct")
"""A classifier learns from the strokes; or the strokes correct a mask."""

_FORMAT = 1
_LARGEST_EDGE = 1024  # px: larger micrographs are classified on a smaller picture of them, to answer in time
_MOST_PIXELS = 4000  # of a class, evenly taken, from which the classifier learns

Mask = np.ndarray


class Painting:
    """One micrograph, what is painted on it, and the label that comes of it.

    Parameters
    ----------
    image : signal of shape (height, width)
        The micrograph.
    name : str
        What its files are called.
    folder : path
        Where they lie; what lies there already is taken up again.

    Attributes
    ----------
    strokes, undone : list of Stroke
        In order; ``undone`` is what redo brings back, the last first.
    marks : uint8 array of shape (height, width)
        The strokes drawn: 0 unmarked, 1 background, 2 particle.
    mode : str
        One of :data:`MODES`.
    start : bool array of shape (height, width) or None
        The mask that strokes correct.
    pixel_size_source : str
        ``"file"``, ``"scale bar"`` or ``""`` where the pixel size is unknown.

    Raises
    ------
    MicrographError
        When files of that name are damaged, or belong to another micrograph.
    """

    def __init__(self, image: Any, name: str, folder: Path) -> None:
        self.image, self.name, self.folder = image, name, Path(folder)
        self.shape: tuple[int, int] = as_array(self.image).shape
        self.strokes: list[Stroke] = []
        self.undone: list[Stroke] = []
        self.marks = np.full(self.shape, UNMARKED, np.uint8)
        self.mode = MODES[0]
        self.start: Mask | None = None
        self.pixel_size_source = "" if pixel_size_of(self.image) is None else "file"
        self._learned: Mask | None = None
        self._accepted: Mask | None = None  # the label, where it is done
        self._file = Watched(self.path("_strokes.json"))
        if self._file.data is not None:
            self._load()
        else:
            self._check_that_nothing_lies_there()

    @property
    def accepted(self) -> bool:
        """Whether the label is done."""
        return self._accepted is not None

    def path(self, ending: str) -> Path:
        """Give the path of one of its :data:`FILES`."""
        return self.folder / f"{self.name}{ending}"

    def paint(self, stroke: Stroke) -> None:
        """Add a stroke, and save."""
        self.strokes.append(stroke)
        self.undone.clear()
        draw(self.marks, stroke)
        self._changed()

    def undo(self) -> None:
        """Take the last stroke back, and save; without one, do nothing."""
        if self.strokes:
            self.undone.append(self.strokes.pop())
            self.marks = rasterise(self.strokes, self.shape)
            self._changed()

    def redo(self) -> None:
        """Paint again what was undone last, and save."""
        if self.undone:
            self.strokes.append(self.undone.pop())
            draw(self.marks, self.strokes[-1])
            self._changed()

    def learn(self) -> None:
        """Let a classifier learn from the strokes from now on; the mask to correct stays for later."""
        self.mode = "learn"
        self._changed()

    def correct(self, start: Any) -> None:
        """Let the strokes correct a mask from now on.

        Raises
        ------
        ValueError
            When it has another shape.
        """
        mask = as_array(start) != 0
        if mask.shape != self.shape:
            what = f"it has shape {mask.shape}, the micrograph {self.shape}"
            raise ValueError(f"{self.name}: strokes need a mask to correct; {what}")
        self.start, self.mode = mask, "correct"
        self._changed()

    def set_scale_bar(self, start: tuple[float, float], end: tuple[float, float], length_nm: float) -> None:
        """Set the pixel size by the ends (x, y) [px] of a scale bar in the image and its length [nm]."""
        pixels = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        if not (np.isfinite(pixels) and pixels > 0 and np.isfinite(length_nm) and length_nm > 0):
            raise ValueError("a scale bar needs two different points and a positive length")
        self._set_pixel_size(length_nm / pixels)
        self.pixel_size_source = "scale bar"
        self._store(self._accepted)

    @cached_property
    def features(self) -> np.ndarray:
        """Features of each pixel, or of those of a smaller picture where the micrograph is large."""
        grey, (height, width) = normalise(self.image), self.shape
        factor = -(-max(height, width) // _LARGEST_EDGE)
        return pixel_features(grey if factor == 1 else resize(grey, (-(-height // factor), -(-width // factor))))

    @cached_property
    def scale(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each feature."""
        return scale_of(self.features)

    def marked(self) -> tuple[np.ndarray, np.ndarray]:
        """Give features, (n, 20), and classes, (n,), of the marked pixels: some of them where they are many."""
        chosen = [_thinned(np.argwhere(self.marks == value)) for value in (BACKGROUND, PARTICLE)]
        y, x = np.concatenate(chosen).T
        height, width = self.features.shape[:2]
        return self.features[y * height // self.shape[0], x * width // self.shape[1]], self.marks[y, x]

    @property
    def has_both_classes(self) -> bool:
        """Whether both particle and background are marked, so that a classifier can learn."""
        return bool((self.marks == PARTICLE).any() and (self.marks == BACKGROUND).any())

    def label(self, classifier: Callable[[], PixelClassifier | None]) -> Mask:
        """Give the label as it stands, a bool array of shape (height, width): strokes count as they are painted.

        An accepted label is what was accepted, whatever a classifier has learned since.

        Parameters
        ----------
        classifier : callable
            Gives one that has learned, or None; called only when something has changed since.
        """
        if self._accepted is not None:
            return self._accepted.copy()
        if self.mode == "correct" and self.start is not None:
            label = self.start.copy()
        else:
            if self._learned is None:
                self._learned = self._classified(classifier())
            label = self._learned.copy()
        label[self.marks == PARTICLE] = True
        label[self.marks == BACKGROUND] = False
        return label

    def accept(self, label: Mask) -> None:
        """Write the label as done."""
        self._store(label)

    def withdraw(self) -> None:
        """Take back that it is done, and remove the written label."""
        self._store(None)

    def accepted_label(self) -> Any:
        """Give the accepted label, a bool signal with the axes of the micrograph."""
        return with_axes_of(self.image, load_labels(self.path("_painted.tif"), self.shape) > 0, self.name)

    def forget_classified(self) -> None:
        """Classify anew when the label is asked for: others were painted on."""
        self._learned = None

    def save(self, overwrite: bool = False) -> None:
        """Write strokes and scribbles, and the label where it is accepted.

        Parameters
        ----------
        overwrite : bool
            Replace also what another painter has written meanwhile.

        Raises
        ------
        OutputError
            When another painter has, and ``overwrite`` is false; then nothing is written.
        """
        self._store(self._accepted, overwrite)

    def _store(self, accepted: Mask | None, overwrite: bool = False) -> None:
        """Write all files, each whole or not at all; before anything else see that they are as they were."""
        with self._file.held(self.name, "painter", overwrite, " by what is shown"):
            self._accepted = None if accepted is None else accepted.copy()
            if accepted is None:
                self.path("_painted.tif").unlink(missing_ok=True)
            else:
                particles = numbered(accepted, connectivity=1)
                save_labels(particles, self.path("_painted.tif"), pixel_size_of(self.image), overwrite=True)
            write_atomically(self.path("_scribbles.png"), Image.fromarray(self.marks).save)
            if self.start is not None:
                write_atomically(self.path("_start.png"), Image.fromarray(self.start.astype(np.uint8)).save)
            self._file.write(json.dumps(self._record()) + "\n")

    def _record(self) -> dict[str, Any]:
        size = pixel_size_of(self.image)
        return {
            "format": _FORMAT,
            "micrograph": self.name,
            "sha256": self._digest,
            "shape": list(self.shape),
            "pixel_size_nm": None if size is None else list(size),
            "pixel_size_source": self.pixel_size_source,
            "mode": self.mode,
            "accepted": self.accepted,
            "strokes": [asdict(stroke) for stroke in self.strokes],
            "undone": [asdict(stroke) for stroke in self.undone],
        }

    def _changed(self) -> None:
        self._learned = self._accepted = None  # also where another painter's files keep this from being saved
        self._store(None)

    def _classified(self, classifier: PixelClassifier | None) -> Mask:
        if classifier is None:
            return np.zeros(self.shape, bool)
        probability = classifier.probability_of(self.features)
        return (probability if probability.shape == self.shape else resize(probability, self.shape)) > 0.5

    @cached_property
    def _digest(self) -> str:
        return sha256(as_array(self.image).tobytes()).hexdigest()

    def _set_pixel_size(self, size: Any) -> None:
        self.image = micrograph(as_array(self.image), size, self.image.metadata.General.title)

    def _load(self) -> None:
        path = self.path("_strokes.json")
        try:
            record = parse_json(self._file.data or b"")
            version, digest = record["format"], record["sha256"]
            self.strokes, self.undone = (
                [Stroke.checked(s["kind"], s["size"], s["points"]) for s in record[which]]
                for which in ("strokes", "undone")
            )
            self.mode = MODES[MODES.index(record["mode"])]
            if record["accepted"] is True and self.path("_painted.tif").exists():
                self._accepted = load_labels(self.path("_painted.tif"), self.shape) > 0
            if record["pixel_size_source"] == "scale bar":
                height, width = record["pixel_size_nm"]
                self._set_pixel_size(tuple(in_range("pixel_size_nm", each, 1e-9, 1e9) for each in (height, width)))
                self.pixel_size_source = "scale bar"
            if self.path("_start.png").exists():
                self.start = load_labels(self.path("_start.png"), self.shape) > 0
            marks = rasterise(self.strokes, self.shape)
        except (OSError, KeyError, TypeError, ValueError) as error:
            reason = one_line(error)
            raise MicrographError(f"{path}: cannot be taken up again ({reason}); move it away") from error
        if version != _FORMAT or digest != self._digest:
            what = "another micrograph" if version == _FORMAT else "another version of temlib"
            raise MicrographError(f"{path}: belongs to {what}; name another folder for the labels")
        self.marks = marks

    def _check_that_nothing_lies_there(self) -> None:
        for ending in FILES:
            if self.path(ending).exists():
                raise MicrographError(
                    f"{self.path(ending)}: is there, but no strokes belong to it; name another folder for the labels"
                )


def _thinned(places: np.ndarray) -> np.ndarray:
    """Keep at most ``_MOST_PIXELS`` rows, evenly."""
    return places[:: max(1, -(-len(places) // _MOST_PIXELS))]
