"""Finding particles: what a network says at several scales, proposals from all of it, the best placed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from temlib.files.resampling import resize
from temlib.particles.level import Level
from temlib.particles.placing import Found, place
from temlib.particles.proposal_numbers import NUMBERS
from temlib.particles.proposals import Proposals, propose
from temlib.particles.scorer import Scorer

__all__ = [
    "AUTO_EDGE",
    "FINEST_PROPOSALS",
    "LEAST_PROBABILITY",
    "auto_scales",
    "average",
    "certainty",
    "doubt_in",
    "find",
    "find_in",
    "levels_of",
    "of_mask",
    "proposals_of",
    "scaled",
    "scales_of_proposals",
]

AUTO_EDGE = 160
"""Shorter edge [px] of the smallest picture that ``scale="auto"`` looks at."""

FINEST_PROPOSALS = 2.0
"""Scale at which the smallest particles are looked for."""

LEAST_PROBABILITY = 0.75
"""Mean probability below which a particle is left out where no scorer was learned."""

_FINEST = 1.5  # a larger scale shows nothing new of a mask
_LARGEST_MAGNIFIED = 2**20  # pixels of a picture that is larger than the image
_DOUBT = 10.0  # how much less a picture counts for the doubt in it
_DEPTH = 0.2


def auto_scales(shape: tuple[int, int]) -> list[float]:
    """Give the scales of the pictures that ``"auto"`` looks at, each twice the one before.

    The first has a shorter edge of ``AUTO_EDGE``, the last about native resolution. A strip a few
    pixels wide is not magnified beyond a megapixel.
    """
    scales = [min(AUTO_EDGE / min(shape), max(1.0, (_LARGEST_MAGNIFIED / (shape[0] * shape[1])) ** 0.5))]
    while 2 * scales[-1] <= _FINEST:
        scales.append(2 * scales[-1])
    return scales


def scales_of_proposals(shape: tuple[int, int], scales: Sequence[float]) -> list[float]:
    """Give the scales at which particles are looked for: those of ``"auto"`` and a finer one, or what was asked for."""
    finer = list(scales) == auto_scales(shape) and scales[-1] < FINEST_PROPOSALS
    return [*sorted(scales), FINEST_PROPOSALS] if finer else sorted(scales)


def scaled(shape: tuple[int, int], scale: float) -> tuple[int, int]:
    """Give a shape times a scale, a pixel at the least."""
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def average(levels: Sequence[Level], shape: tuple[int, int] | None = None) -> np.ndarray:
    """Average what is said at several scales: the less is in doubt at one, the more that counts.

    Parameters
    ----------
    levels : sequence of Level
        In ascending order of scale.
    shape : (height, width), optional
        Of the result; by default that of the last level's maps.

    Returns
    -------
    float32 array of shape (*shape, 2), in [0, 1]
    """
    total, weights = np.zeros((), np.float32), np.float32(0)
    for level in levels:
        weight = certainty(level.maps[..., 0])
        maps = weight * (level.sampled_like(levels[-1]) if shape is None else level.at(shape))
        total = np.add(total, maps, out=maps)
        weights += weight
    total /= weights
    return np.clip(total, 0, 1, out=total)


def certainty(probability: np.ndarray) -> np.float32:
    """Give the weight of one picture in an average; it falls with the doubt in it."""
    return np.float32(np.exp(-_DOUBT * doubt_in(probability)))


def doubt_in(probability: np.ndarray) -> float:
    """Give the mean of 1 - p where a particle is seen: small where what is seen is seen for certain."""
    return float(np.sum(probability * (1 - probability)) / max(np.sum(probability), 1.0))


def of_mask(levels: Sequence[Level]) -> list[Level]:
    """Give the levels of a mask: those that are not finer than it needs."""
    return [level for level in levels if level.scale <= _FINEST] or list(levels)


def levels_of(grey: np.ndarray, seen: Sequence[tuple[float, tuple[int, int], np.ndarray]]) -> list[Level]:
    """Give what was said of a micrograph with its grey levels at the maps' resolution."""
    return [Level(scale, size, maps, _halved(resize(grey, size), maps.shape[:2])) for scale, size, maps in seen]


def proposals_of(levels: Sequence[Level], shape: tuple[int, int], threshold: float) -> Proposals:
    """Propose particles at every scale; see :func:`temlib.particles.proposals.propose`."""
    averaged = of_mask(levels)
    return propose(levels, replace(averaged[-1], maps=average(averaged)), shape, threshold)


def find(
    levels: Sequence[Level], shape: tuple[int, int], threshold: float, scorer: Scorer | None, least: float | None
) -> Found:
    """Find the particles of a micrograph.

    With a scorer, proposals of every scale are judged, and the best placed first. Without, particles are what the
    average of all scales shows, each as sure as its mean probability.

    Parameters
    ----------
    levels : sequence of Level
        In ascending order of scale.
    shape : (height, width)
        Of the micrograph [px].
    threshold : float
        Probability above which a pixel belongs to a particle.
    scorer : Scorer or None
        What judges.
    least : float or None
        Confidence that a particle needs; by default the scorer's, or 0.75.
    """
    if scorer is None:
        seen = replace(levels[-1], maps=average(levels))
        proposals = propose([seen], seen, shape, threshold, depths=(_DEPTH,))
        expected = confidence = proposals.numbers[:, NUMBERS.index("p")].astype(float)
        least = LEAST_PROBABILITY if least is None else least
    else:
        proposals = proposals_of(levels, shape, threshold)
        expected = scorer(proposals.numbers)
        confidence = scorer.sure(expected)
        least = scorer.least if least is None else least
    return place(proposals, expected, confidence, least, threshold)


def find_in(maps: np.ndarray, threshold: float = 0.5, least: float | None = None) -> Found:
    """Find the particles in the maps of a micrograph alone, see :func:`find` without a scorer.

    Parameters
    ----------
    maps : float array of shape (height, width, 2), in [0, 1]
        Of :meth:`temlib.Segmenter.maps`.
    threshold, least
        See :func:`find`.
    """
    height, width = shape = maps.shape[:2]
    return find([Level(2.0, (2 * height, 2 * width), maps, maps[..., 0])], shape, threshold, None, least)


def _halved(grey: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Average squares of two pixels."""
    missing = [(0, 2 * half - edge) for half, edge in zip(shape, grey.shape, strict=True)]
    whole = np.pad(grey, missing, mode="edge") if np.any(missing) else grey
    return whole.reshape(shape[0], 2, shape[1], 2).mean(axis=(1, 3))
