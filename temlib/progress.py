"""Progress bars, in terminals and notebooks alike."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["progress_bar"]


def progress_bar(iterable: Any = None, *, show: bool = True, **options: Any) -> Any:
    """Wrap an iterable in tqdm's progress bar.

    Parameters
    ----------
    iterable : iterable, optional
        What to go through; without one, call ``update`` on the bar.
    show : bool
        False hides the bar, as does the environment variable ``TQDM_DISABLE=1``, which tqdm
        itself heeds in terminals only.
    **options
        ``desc``, ``total`` and whatever else tqdm takes.
    """
    from tqdm.auto import tqdm

    hidden = not show or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    return tqdm(iterable, disable=hidden, **options)
