"""A review of one micrograph with its file: decisions are saved after each change, and taken up again.

``NAME_review.json`` in the reviewer's folder, written whole or not at all. Where another reviewer has written it since
it was read, nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import label

from temlib.errors import MicrographError, one_line
from temlib.files.json_files import parse_json
from temlib.files.micrographs import as_array
from temlib.jobs.records import Watched
from temlib.particles.placing import Found
from temlib.particles.review import LARGEST_FILE, REVIEW, Review

__all__ = ["Reviewed", "found_by"]

_SHARE = 0.5  # of the probability where one clicks: what hangs together above it becomes a particle
_REACH_PX = 64  # in which it is looked for first
_FAINTEST, _LARGEST_SHARE = 0.02, 0.2  # of the probability there; of the micrograph


class Reviewed:
    """One micrograph, what a person decided about its particles, and the file of it.

    Parameters
    ----------
    image : signal of shape (height, width)
        The micrograph.
    name : str
        What its file is called.
    folder : path
        Where it lies.
    found : callable
        Gives the particles of a micrograph, and the probability of *particle* or None; see :func:`found_by`.

    Attributes
    ----------
    review : Review
        What was found and decided.

    Raises
    ------
    MicrographError
        When the particles are none of this micrograph, or the file is damaged or of another micrograph.
    """

    def __init__(self, image: Any, name: str, folder: Path, found: Callable[[Any], tuple[Any, Any]]) -> None:
        self.image, self.name, self.path = image, name, Path(folder) / f"{name}{REVIEW}"
        self._found, self.probability = found(self.image)
        self.take_up()

    def take_up(self) -> None:
        """Take up what lies in the file, also what another reviewer wrote."""
        self.review = Review(self._found, self.image, name=self.name, probability=self.probability, empty=True)
        self._file, self._known, self._last = Watched(self.path), "", None
        if self._file.data is None:
            return
        try:
            self.review.replay(parse_json(self._file.data, LARGEST_FILE))
            self.review.counts()
        except MicrographError as error:
            raise MicrographError(f"{self.path}: {one_line(error)}; name another folder") from error
        except (KeyError, TypeError, ValueError) as error:
            raise MicrographError(f"{self.path}: cannot be taken up again ({one_line(error)}); move it away") from error
        if self.review.matched or self.review.lost:
            known = f"{self.review.matched} of {self.review.matched + self.review.lost}"
            self._known = f"Particles were found anew: decisions about {known} are known by overlap."

    @property
    def message(self) -> str:
        """What is to be said of what was found, and of the decisions that were taken up."""
        if not self.review.n_found and not self.review.labels.any():
            return f"No particles were found here; add some by painting. {self._known}".strip()
        return self._known

    def do(self, do: Callable[[Review], Any], going_on: Any = None) -> None:
        """Do something to the review, and save.

        Parameters
        ----------
        do : callable
            Takes the review.
        going_on : anything, optional
            What is done with the same one right after replaces it: a slider that is being dragged is one edit.
        """
        if going_on is not None and going_on == self._last and self.review.edits:
            self.review.undo()
        self._last = None
        do(self.review)
        self._last = going_on
        self.save()

    def save(self, overwrite: bool = False) -> None:
        """Write the decisions.

        Raises
        ------
        OutputError
            When another reviewer has written them since they were read, and ``overwrite`` is false.
        """
        with self._file.held(self.name, "reviewer", overwrite):
            self._file.write(json.dumps(self.review.record(), allow_nan=False) + "\n")

    def seen_at(self, x: float, y: float) -> np.ndarray:
        """Give what the network saw around a point [px], however faintly: a bool array of shape (height, width).

        That is what hangs together with it above half of its probability.

        Raises
        ------
        ValueError
            When nothing is known of what the network saw, or it saw nothing there.
        """
        if self.probability is None:
            raise ValueError("nothing is known of what the network saw there; paint the particle")
        return self.seen_in(self.probability, self.review.labels, x, y)

    @staticmethod
    def seen_in(probability: np.ndarray, labels: np.ndarray, x: float, y: float) -> np.ndarray:
        """Give the same of a probability, where there are no particles yet."""
        row, column = int(np.floor(y)), int(np.floor(x))
        height, width = probability.shape
        inside = 0 <= row < height and 0 <= column < width
        peak = float(probability[row, column]) if inside else 0.0
        if peak < _FAINTEST:
            raise ValueError("the network saw nothing there; paint the particle")
        reach, seen = _REACH_PX, np.zeros(probability.shape, bool)
        while True:  # in a part of the micrograph, until all of it lies within
            top, left = max(row - reach, 0), max(column - reach, 0)
            box = slice(top, row + reach), slice(left, column + reach)
            pieces = label((probability[box] >= _SHARE * peak) & (labels[box] == 0), connectivity=1)
            number = pieces[row - top, column - left]
            ends = [pieces[0] if top else [], pieces[:, 0] if left else []]
            ends += [pieces[-1] if row + reach < height else []]
            ends += [pieces[:, -1] if column + reach < width else []]
            if not number or not np.isin(number, np.concatenate(ends)):
                break
            reach *= 4
        seen[box] = pieces == number
        if not number or np.count_nonzero(seen) > _LARGEST_SHARE * seen.size:
            raise ValueError("what the network saw there has no outline; paint the particle")
        return seen


def found_by(segmenter: Any, given: Any = None) -> Callable[[Any], tuple[Any, Any]]:
    """Give a function that finds the particles of a micrograph, and the probability of *particle* where it is known.

    Parameters
    ----------
    segmenter : Segmenter or callable
        One with ``find`` is asked for particles and how sure it is of each; of others, a mask's connected parts are
        particles, whole numbers are labels.
    given : Found, signal or int array, optional
        Particles, in place of a segmenter's.
    """

    def find(image: Any) -> tuple[Any, Any]:
        if given is not None:
            return given, None
        if hasattr(segmenter, "find"):
            found, maps = segmenter.find(image)
            return found, np.clip(maps[..., 0], 0, 1)
        said = segmenter(image)
        array = said.labels if isinstance(said, Found) else as_array(said)
        return (label(array, connectivity=1) if array.dtype.kind in "bf" else said), None

    return find
