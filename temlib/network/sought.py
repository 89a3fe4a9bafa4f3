"""What is looked for: particles of some size, dark or bright, in the micrograph or in its marks. The user may say it.

Which structure is the particle (the soot's aggregate, or the metal on the oxide's grain) is no property
of the picture. A diameter sets the scale at which a micrograph is looked at, so that what has it is as
large as the particles that the network learned from; and what is far from it in size is no particle.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import log2, sqrt
from typing import Any, Literal

import numpy as np

from temlib.files.micrographs import pixel_size_of
from temlib.files.scale_bars.marks import find_marks

__all__ = ["CONTRASTS", "MARKS", "Contrast", "Diameter", "Marks", "Sought"]

Diameter = float | tuple[float, float]
"""A diameter, or the least and the greatest of a range."""

Contrast = Literal["dark", "bright", "auto"]
CONTRASTS = ("dark", "bright", "auto")

Marks = Literal["leave out", "keep"]
MARKS = ("leave out", "keep")

_NEAR = 2.5
"""A particle's equivalent diameter lies within this factor of the diameter that was told."""

_BEYOND = 1.5
"""The same of the ends of a range."""

_APPARENT = 0.75
"""Diameter at which the network sees what is told, over that of the particles in its training: it saw
them at many magnifications, and enlarging more shows nothing new."""

_MOST_ENLARGED = 4.0


@dataclass(frozen=True)
class Sought:
    """Size and contrast of the particles that are looked for.

    Parameters
    ----------
    diameter_nm, diameter_px : float or (float, float), optional
        Their equivalent diameter, or the least and greatest of it; one of the two, or neither.
    contrast : "dark", "bright" or "auto"
        Dark particles on a bright ground, as in bright field; bright ones on a dark ground, as in dark field
        (the grey levels are inverted for the network); or whichever the network doubts less, see
        :meth:`temlib.Segmenter.maps`.
    marks : "leave out" or "keep"
        What becomes of burnt-in data bars, scale bars and letters (:func:`temlib.files.scale_bars.marks.find_marks`):
        they are no particles, or may be.

    Raises
    ------
    ValueError
        When a diameter is not positive and finite, a range has no two ends in order, both diameters are
        given, or there is no such contrast, or nothing such becomes of marks.
    """

    diameter_nm: Diameter | None = None
    diameter_px: Diameter | None = None
    contrast: Contrast = "dark"
    marks: Marks = "leave out"

    def __post_init__(self) -> None:
        if self.diameter_nm is not None and self.diameter_px is not None:
            raise ValueError(f"diameter_nm={self.diameter_nm} and diameter_px={self.diameter_px}: pass one of them")
        if self.contrast not in CONTRASTS:
            raise ValueError(f"contrast={self.contrast!r} is none of {', '.join(CONTRASTS)}")
        if self.marks not in MARKS:
            raise ValueError(f"marks={self.marks!r} is none of {', '.join(MARKS)}")
        for name in ("diameter_nm", "diameter_px"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, _checked(name, given))

    def __bool__(self) -> bool:
        """Say whether a size is told."""
        return self.diameter_nm is not None or self.diameter_px is not None

    def or_else(
        self,
        diameter_nm: Diameter | None = None,
        diameter_px: Diameter | None = None,
        contrast: Contrast | None = None,
        marks: Marks | None = None,
    ) -> Sought:
        """Give the same with what is given in place of what was told before."""
        changed = self if contrast is None else replace(self, contrast=contrast)
        changed = changed if marks is None else replace(changed, marks=marks)
        if diameter_nm is None and diameter_px is None:
            return changed
        return replace(changed, diameter_nm=diameter_nm, diameter_px=diameter_px)

    def on(self, image: Any) -> Sought:
        """Give the same in pixels of an image.

        Raises
        ------
        ValueError
            When the diameter is in nm and the image's pixel size is unknown.
        """
        if self.diameter_nm is None:
            return self
        size = pixel_size_of(image)
        if size is None:
            raise ValueError(
                f"diameter_nm={_said(self.diameter_nm)}, but the pixel size is unknown; pass it, or diameter_px"
            )
        pixel = sqrt(size[0] * size[1])
        given = self.diameter_nm
        in_pixels = (given[0] / pixel, given[1] / pixel) if isinstance(given, tuple) else given / pixel
        return replace(self, diameter_nm=None, diameter_px=in_pixels)

    def scales(self, particle_size: float, coarsest: float = 0.0) -> list[float]:
        """Give the scales, each at most twice the one before, that show the diameter [px] as the network knows it.

        Parameters
        ----------
        particle_size : float
            Diameter of particles as the network saw them in training [px].
        coarsest : float
            Scale below which a picture shows too little: a particle that nearly fills it needs its surroundings.
        """
        apparent = _APPARENT * particle_size
        least, greatest = self._ends()
        first, last = (min(max(apparent / end, coarsest), _MOST_ENLARGED) for end in (greatest, least))
        number = 1 + round(log2(last / first))
        return [sqrt(first * last)] if number == 1 else np.geomspace(first, last, number).tolist()

    def keep(self, labels: np.ndarray) -> np.ndarray:
        """Take out the particles whose size [px] is far from what is told, and number the others anew.

        Parameters
        ----------
        labels : int array of shape (height, width)
            0 is background.
        """
        if self.diameter_px is None:
            return labels
        margin = _BEYOND if isinstance(self.diameter_px, tuple) else _NEAR
        least, greatest = self._ends()
        areas = np.bincount(labels.ravel())
        sizes = 2 * np.sqrt(areas / np.pi)
        near = (sizes >= least / margin) & (sizes <= greatest * margin)
        near[0] = False
        numbers = np.where(near, np.cumsum(near), 0).astype(labels.dtype)
        return numbers[labels]

    def marks_in(self, image: Any) -> np.ndarray | None:
        """Find the marks in a picture that are to be left out; None where they are kept."""
        return None if self.marks == "keep" else find_marks(image)

    def to_dict(self) -> dict[str, Any]:
        """Give the attributes as JSON holds them; of marks only what is not the rule."""
        told = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {key: value for key, value in told.items() if (key, value) != ("marks", MARKS[0])}

    def _ends(self) -> tuple[float, float]:
        if self.diameter_px is None:
            raise ValueError("the diameter is not told in pixels")
        return self.diameter_px if isinstance(self.diameter_px, tuple) else (self.diameter_px, self.diameter_px)


def _checked(name: str, given: Any) -> Diameter:
    """Give a diameter or a range as floats."""
    wrong = f"{name}={given!r} must be a positive number, or the least and the greatest of a range"
    try:
        ends = [float(end) for end in np.atleast_1d(np.asarray(given, dtype=float))]
    except (TypeError, ValueError) as error:
        raise ValueError(wrong) from error
    if len(ends) not in (1, 2) or not all(np.isfinite(end) and end > 0 for end in ends) or ends[0] > ends[-1]:
        raise ValueError(wrong)
    return ends[0] if len(ends) == 1 else (ends[0], ends[1])


def _said(diameter: Diameter) -> str:
    return f"{diameter:g}" if isinstance(diameter, float) else " to ".join(f"{end:g}" for end in diameter)
