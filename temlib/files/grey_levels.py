"""Grey levels: of any micrograph, brought to the range that the networks expect."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from temlib.errors import MicrographError
from temlib.files.json_files import in_range
from temlib.files.micrographs import as_array

__all__ = ["GreyLevels", "normalise"]

_LARGEST_LEVEL = 1e300  # beyond it differences of grey levels are no numbers
_WIDEST_FILLED_PX = 16  # half of the widest gap of a detector that is filled from its sides


@dataclass(frozen=True)
class GreyLevels:
    """How grey levels are normalised: the percentiles that become -1 and 1, the rest clipped.

    Raises
    ------
    ValueError
        When they are not two ascending numbers from 0 to 100.
    """

    low_percentile: float = 0.5
    high_percentile: float = 99.5

    def __post_init__(self) -> None:
        low = in_range("low_percentile", self.low_percentile, 0, 100)
        if low >= in_range("high_percentile", self.high_percentile, 0, 100):
            raise ValueError(f"low_percentile ({low:g}) must be less than high_percentile ({self.high_percentile:g})")

    def to_dict(self) -> dict[str, float]:
        """Give the parameters as plain numbers, as a saved segmenter keeps them."""
        return asdict(self)


def normalise(image: Any, levels: GreyLevels = GreyLevels()) -> np.ndarray:
    """Bring the grey levels of any micrograph to [-1, 1], as MobileNet's weights expect them.

    Robust against hot pixels and burnt-in marks: two percentiles are mapped to -1 and 1 and
    what lies outside is clipped. A flat image is 0. NaN and infinite pixels (dead ones, gaps between
    a detector's modules) take the nearest finite pixel's value, so that no line shows where a gap
    was; those more than 16 pixels from one take the median.

    Parameters
    ----------
    image : signal or array of shape (height, width)
        Any integer, float or boolean dtype, any range.
    levels : GreyLevels
        The percentiles.

    Returns
    -------
    float32 array of shape (height, width), in [-1, 1]
    """
    grey = as_array(image)
    data = grey.astype(np.float64)
    finite = np.isfinite(data)
    if not finite.any():
        raise MicrographError("the image has no finite pixel; check the file")
    if not finite.all():
        data = _filled(data, finite)
    if grey.dtype.kind == "f" and np.abs(data).max() > _LARGEST_LEVEL:
        data = data / (np.abs(data).max() / _LARGEST_LEVEL)
    counts = grey if grey.dtype in (np.uint8, np.uint16) else data[finite]
    low, high = _percentiles(counts, [levels.low_percentile, levels.high_percentile])
    if high <= low:  # few pixels differ from the rest, as in a sparse mask
        low, high = data.min(), data.max()
    if high <= low:
        return np.zeros(data.shape, np.float32)
    return np.clip(2 * (data - low) / (high - low) - 1, -1, 1).astype(np.float32)


def _filled(data: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Give the pixels that are not finite the value of the nearest one that is, or else the median."""
    from scipy.ndimage import distance_transform_edt

    distance, nearest = distance_transform_edt(~finite, return_indices=True)
    return np.where(distance > _WIDEST_FILLED_PX, np.median(data[finite]), data[tuple(nearest)])


def _percentiles(data: np.ndarray, percentiles: list[float]) -> np.ndarray:
    """Give percentiles as NumPy does; those of a camera's counts by their histogram, in a tenth of the time."""
    if data.dtype.kind != "u":
        return np.percentile(data, percentiles)
    below = np.cumsum(np.bincount(data.ravel()))
    position = np.array(percentiles) / 100 * (data.size - 1)
    lower, upper = (np.searchsorted(below, around(position), side="right") for around in (np.floor, np.ceil))
    return lower + (upper - lower) * (position % 1)
