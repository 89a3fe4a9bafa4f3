"""Lessons: proposals on labelled micrographs, from which a scorer learns what a particle is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from temlib.particles.placing import Room
from temlib.particles.proposals import Proposals
from temlib.particles.scorer import Scorer, Trees, fit_trees

__all__ = ["Lesson", "fit_scorer", "lesson_of"]

_FOLDS = 3
_POINTS = 21


@dataclass(frozen=True)
class Lesson:
    """Proposals on one labelled micrograph.

    Attributes
    ----------
    numbers : float32 array of shape (n, len(NUMBERS))
        By which they are judged.
    ious : float array of shape (n,)
        Of each with the true particle that it agrees with best.
    true : int
        Number of true particles.
    room : Room
        Where the proposals lie.
    """

    numbers: np.ndarray
    ious: np.ndarray
    true: int
    room: Room


def lesson_of(proposals: Proposals, labels: np.ndarray, threshold: float = 0.5) -> Lesson:
    """Compare proposals with true particles.

    Parameters
    ----------
    proposals : Proposals
        Of a micrograph.
    labels : int array of shape (height, width)
        Its true particles, 0 is background.
    threshold : float
        Probability that outlines proposals.
    """
    room = Room.of(proposals, threshold)
    names, truth = np.unique(labels, return_inverse=True)
    truth, number = truth.reshape(labels.shape), len(names)
    areas = np.bincount(truth.ravel(), minlength=number)
    ious = np.zeros(len(proposals.level))
    for level, hills in enumerate(proposals.hills):
        drawn = room.hills(level)
        shape = (len(hills.summit), number)
        shared = sparse.coo_matrix((np.ones(drawn.size), (drawn.ravel(), truth.ravel())), shape).tocsr()
        of_level = np.flatnonzero(proposals.level == level)
        members = [proposals.members[i] for i in of_level]
        rows = np.repeat(np.arange(len(members)), [len(some) for some in members])
        columns = np.concatenate([*members, np.zeros(0, int)])
        chosen = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), (len(members), shape[0])).tocsr()
        both = np.asarray((chosen @ shared).todense())
        union = both.sum(axis=1, keepdims=True) + areas - both
        each = both / np.maximum(union, 1)
        ious[of_level] = each[:, names > 0].max(axis=1, initial=0)
    return Lesson(proposals.numbers, ious, int(np.sum(names > 0)), room.packed())


def fit_scorer(
    lessons: Sequence[Lesson], groups: Sequence[object] | None = None, least: float = 0.5, seed: int = 0
) -> Scorer:
    """Learn from lessons to judge proposals, and how sure that judgement is.

    A third of the micrographs at a time is judged by what the others teach, and its proposals are placed: how
    many of those with one expected IoU agree with a particle gives the confidence (isotonic regression).

    Parameters
    ----------
    lessons : sequence of Lesson
        Of micrographs that the network did not learn from: it is surer of those than of others.
    groups : sequence, optional
        Of each lesson: micrographs of one specimen, article or movie, which are judged together. By default
        each is by itself.
    least : float
        See :class:`temlib.particles.scorer.Scorer`.
    seed : int
        Same seed, same scorer.

    Raises
    ------
    ValueError
        When there are fewer than three groups with proposals.
    """
    known = [i for i, lesson in enumerate(lessons) if len(lesson.ious)]
    names = np.array([str(i if groups is None else groups[i]) for i in known])
    different = np.random.default_rng(seed).permutation(np.unique(names))
    if len(different) < _FOLDS:
        raise ValueError(f"a scorer learns from {_FOLDS} micrographs of different groups at least")
    fold = {name: number % _FOLDS for number, name in enumerate(different)}
    folds = np.array([fold[name] for name in names])
    taught = [lessons[i] for i in known]
    expected, right = [], []
    for number in range(_FOLDS):
        trees = _taught([lesson for lesson, of in zip(taught, folds, strict=True) if of != number], seed)
        for lesson in (lesson for lesson, of in zip(taught, folds, strict=True) if of == number):
            judged = trees(lesson.numbers)
            placed = [index for index, _, _ in lesson.room.fill(judged, 0.0)]
            expected.append(judged[placed])
            right.append(lesson.ious[placed] > 0.5)
    points, confidence = _curve(np.concatenate(expected), np.concatenate(right))
    return Scorer(_taught(taught, seed), points, confidence, least)


def _taught(lessons: Sequence[Lesson], seed: int) -> Trees:
    """Fit trees; a micrograph counts by the root of its number of proposals."""
    weights = np.concatenate([np.full(len(lesson.ious), len(lesson.ious) ** -0.5) for lesson in lessons])
    numbers, ious = (np.concatenate([getattr(each, name) for each in lessons]) for name in ("numbers", "ious"))
    return fit_trees(numbers, ious, weights, seed)


def _curve(expected: np.ndarray, right: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Give points of the rising curve from expected IoU to the share that agrees with a particle."""
    from sklearn.isotonic import IsotonicRegression

    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(expected, right)
    points = np.linspace(0, 1, _POINTS)
    width = points[1] / 2
    around = np.linspace(-width, width, 21)
    smooth = [float(curve.predict(point + around).mean().round(4)) for point in points]
    return tuple(points.round(4).tolist()), tuple(smooth)
