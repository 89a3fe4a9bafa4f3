"""Placing: of the proposals of one micrograph the best first, each where there is still room."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage
from skimage.measure import label

from temlib.files.scale_bars.marks import without_marks
from temlib.particles.boxes import Box, around
from temlib.particles.proposals import Proposals

__all__ = ["Found", "Room", "place"]

_TAKEN = 0.3  # share of a proposal that may lie on particles placed before it
_HOPELESS = 0.05  # confidence below which a proposal is not worth a word


@dataclass(frozen=True)
class Found:
    """The particles of one micrograph.

    Attributes
    ----------
    labels : int32 array of shape (height, width)
        1, 2, ... for the particles, from top to bottom; 0 is background.
    confidence : float array of shape (particles,)
        Of each: of so many in a hundred there is a particle that it shares more than half of its area with
        (intersection over union above 0.5), where micrographs are like those that this was learned from.
    left_out_px : float array
        Equivalent diameters [px] of proposals that are not among them because their confidence is too low
        (but not below 0.05), and that lie on none of them.
    left_out_confidence : float array of the same shape
        Of these.
    least : float
        The confidence asked for.
    marks : bool array of shape (height, width), or None
        What is burnt into the micrograph and was left out, where it was looked for.
    contrast : "dark", "bright" or None
        What a segmenter took the particles for, which matters where it was told ``"auto"``; None without one.
    """

    labels: np.ndarray
    confidence: np.ndarray
    left_out_px: np.ndarray
    left_out_confidence: np.ndarray
    least: float
    marks: np.ndarray | None = None
    contrast: str | None = None

    def kept(self, labels: np.ndarray) -> Found:
        """Give what is left when some particles, or parts of them, are taken out for another reason.

        Parameters
        ----------
        labels : int array of shape (height, width)
            Those that are kept, numbered anew.
        """
        where = np.flatnonzero(labels)
        confidence = np.zeros(int(labels.max(initial=0)))
        confidence[labels.ravel()[where] - 1] = self.confidence[self.labels.ravel()[where] - 1]
        return replace(self, labels=labels.astype(np.int32, copy=False), confidence=confidence)

    def without(self, marks: np.ndarray | None) -> Found:
        """Give what is left when marks are taken out (:func:`temlib.files.scale_bars.marks.without_marks`)."""
        return self if marks is None else replace(self.kept(without_marks(self.labels, marks)), marks=marks)


@dataclass(frozen=True)
class Room:
    """Where proposals lie in the micrograph.

    Attributes
    ----------
    shape : (height, width)
        Of the micrograph [px].
    level : int array of shape (n,)
        Of each proposal.
    members : list of n int arrays
        The hills that it is made of.
    drawn : list of int32 arrays of shape ``shape``, or bytes
        For each level the hill at each pixel of the micrograph, 0 is background; or that compressed.
    """

    shape: tuple[int, int]
    level: np.ndarray
    members: list[np.ndarray]
    drawn: Sequence[np.ndarray | bytes]

    @classmethod
    def of(cls, proposals: Proposals, threshold: float = 0.5) -> Room:
        """Draw proposals in the micrograph, outlined by a probability."""
        drawn = [proposals.hills_in(level, threshold) for level in range(len(proposals.levels))]
        return cls(proposals.shape, proposals.level, proposals.members, drawn)

    def packed(self) -> Room:
        """Give the same in less memory."""
        return replace(self, drawn=[zlib.compress(self.hills(level).tobytes(), 1) for level in range(len(self.drawn))])

    def hills(self, level: int) -> np.ndarray:
        """Give the hill of a level at each pixel of the micrograph."""
        drawn = self.drawn[level]
        return (
            np.frombuffer(zlib.decompress(drawn), np.int32).reshape(self.shape) if isinstance(drawn, bytes) else drawn
        )

    def fill(self, expected: np.ndarray, least: float) -> Iterator[tuple[int, Box, np.ndarray]]:
        """Place one proposal after another, the best first; yield the index, the box and the free pixels of each.

        Parameters
        ----------
        expected : float array of shape (n,)
            IoU with a particle, by which the best is known.
        least : float
            Below this nothing is placed.
        """
        drawn = {level: _Drawn(self.hills(level)) for level in np.unique(self.level[expected >= least]).tolist()}
        taken = np.zeros(self.shape, bool)
        for index in np.argsort(-expected, kind="stable").tolist():
            if expected[index] < least:
                return
            box, inside = drawn[int(self.level[index])].pixels(self.members[index])
            free = inside & ~taken[box]
            if inside.any() and np.count_nonzero(free) >= (1 - _TAKEN) * np.count_nonzero(inside):
                taken[box] |= free
                yield index, box, _largest_piece(free)


class _Drawn:
    """The hills of one level in the micrograph."""

    def __init__(self, hills: np.ndarray) -> None:
        self.hills = hills
        self._boxes = ndimage.find_objects(hills)
        self._chosen = np.zeros(len(self._boxes) + 1, bool)

    def pixels(self, members: np.ndarray) -> tuple[Box, np.ndarray]:
        """Give the box of some hills and their pixels there; both may be empty."""
        seen = [hill for hill in members.tolist() if hill <= len(self._boxes) and self._boxes[hill - 1] is not None]
        if not seen:
            return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)
        box = around(self._boxes[hill - 1] for hill in seen)
        self._chosen[seen] = True
        inside = self._chosen[self.hills[box]]
        self._chosen[seen] = False
        return box, inside


def place(
    proposals: Proposals, expected: np.ndarray, confidence: np.ndarray, least: float, threshold: float = 0.5
) -> Found:
    """Place proposals; keep apart those whose confidence is too low.

    Parameters
    ----------
    proposals : Proposals
        What may be placed.
    expected, confidence : float arrays of shape (n,)
        IoU that is expected of each, and how sure it is; both rise together.
    least : float
        Confidence that a particle needs.
    threshold : float
        Probability that outlines them.

    Returns
    -------
    Found
    """
    labels = np.zeros(proposals.shape, np.int32)
    sure: list[float] = []
    left_px: list[float] = []
    left: list[float] = []
    worst = expected[confidence >= min(least, _HOPELESS)].min(initial=np.inf)
    for index, box, free in Room.of(proposals, threshold).fill(expected, worst):
        if confidence[index] >= least:
            sure.append(confidence[index])
            labels[box][free] = len(sure)
        else:
            left_px.append(np.sqrt(4 * np.count_nonzero(free) / np.pi))
            left.append(confidence[index])
    order = np.argsort(np.unique(labels[labels > 0], return_index=True)[1])  # from top to bottom
    return Found(
        np.r_[0, np.argsort(order) + 1].astype(np.int32)[labels],
        np.array(sure, float)[order],
        np.array(left_px, float),
        np.array(left, float),
        least,
    )


def _largest_piece(mask: np.ndarray) -> np.ndarray:
    """Give what hangs together of a mask, the largest part of it."""
    pieces = label(mask, connectivity=2)
    return mask if pieces.max() < 2 else pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
