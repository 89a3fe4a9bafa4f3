"""What the reviewer's front end is told of a review: bytes and a few words, nothing that grows into text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any

import numpy as np

from temlib.particles.review import Review, filter_columns
from temlib.particles.size_distribution import SizeDistribution
from temlib.widgets.front_end import png_of

__all__ = ["histogram_of", "labels_png", "rows_of", "sizes_of", "verdicts_of"]

_QUICK = 2  # samples drawn while somebody waits: the median is shown, and its interval by number needs none
_MOST_BINS = 40


def labels_png(labels: np.ndarray) -> bytes:
    """Give the number of the particle at each pixel as a picture: 24 bits in red, green and blue, the lowest in red."""
    whole = np.ascontiguousarray(labels, dtype="<i4").view(np.uint8)
    return png_of(whole.reshape(*labels.shape, 4)[..., :3])


def rows_of(review: Review) -> dict[str, Any]:
    """Give what is measured of each particle.

    ``numbers`` and ``boxes`` (top, left, bottom, right) [px] are bytes of int32, little-endian; ``places`` (x, y) [px]
    and ``values``, column after column, of float32; ``columns`` names the columns.
    """
    table = review.measured
    chosen = dict.fromkeys((*filter_columns(table, most_used=True), *review.filters))
    columns = [column for column in chosen if column in table and not table[column].isna().all()]
    places = table[["centroid_x_px", "centroid_y_px"]].to_numpy(float) + 0.5
    values = [table[column].to_numpy("<f4") for column in columns]
    return {
        "numbers": table["particle"].to_numpy("<i4").tobytes(),
        "boxes": table[["top_px", "left_px", "bottom_px", "right_px"]].to_numpy("<i4").tobytes(),
        "places": places.astype("<f4").tobytes(),
        "columns": columns,
        "values": b"".join(each.tobytes() for each in values),
    }


def verdicts_of(review: Review) -> dict[str, Any]:
    """Give what becomes of each particle: bytes with its fate; and with which of some words says why and by hand."""
    fates, why, by_hand = review.verdicts
    said: dict[str, Any] = {"fates": fates.astype(np.uint8).tobytes()}
    for name, words in (("why", why), ("by_hand", by_hand)):
        known = {word: place for place, word in enumerate(dict.fromkeys(words.tolist()))}
        said[name] = {"words": [*known], "of": np.array([known[word] for word in words], np.uint8).tobytes()}
    return said


def sizes_of(review: Review) -> dict[str, Any] | None:
    """Give what is drawn of the size distribution; None where there is none."""
    found = review.distribution_with(n_bootstrap=_QUICK)
    if found is None:
        return None
    counts, edges = histogram_of(found)
    words, unit = found.column.rsplit("_", 1)
    return {
        "what": words.replace("_", " "),
        "unit": unit,
        "edges": _plain(edges),
        "counts": _plain(counts),
        "n": found.n,
        "median": _plain(astuple(found.median)),
        "mean": _plain([found.mean.value])[0],
        "confidence": found.confidence,
    }


def histogram_of(found: SizeDistribution) -> tuple[np.ndarray, np.ndarray]:
    """Give how many particles count in each bin of a histogram, and the edges of the bins."""
    bins = min(max(len(np.histogram_bin_edges(found.sizes, "auto")) - 1, 5), _MOST_BINS)
    return np.histogram(found.sizes, np.histogram_bin_edges(found.sizes, bins), weights=found.counts)


def _plain(values: Iterable[float]) -> list[float | None]:
    """Give numbers of six digits; None where there is none."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]
