"""Ranges of numbers, which stand in their types: ``dose: Annotated[float, (1e-6, 1e9)]``."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, get_origin, get_type_hints

import numpy as np

__all__ = ["check_ranges", "ranges_of"]


@lru_cache
def ranges_of(kind: type) -> dict[str, tuple[float, float]]:
    """Give the least and the greatest value of each field of a class that has a range."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if get_origin(hint) is Annotated}


def check_ranges(described: object) -> None:
    """Refuse a number, or one of several, that lies out of its range.

    Raises
    ------
    ValueError
        When there is one.
    """
    for name, (lowest, highest) in ranges_of(type(described)).items():  # type: ignore[arg-type]
        given, default = getattr(described, name), getattr(type(described), name)
        if given is not default and not all(lowest <= number <= highest for number in np.atleast_1d(given)):
            raise ValueError(f"{name}={given!r} is out of range; allowed are {lowest} to {highest}")
