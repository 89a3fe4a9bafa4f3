"""Notes of the libraries that read files, kept off the terminal: what matters is in temlib's own error or warning."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_READERS = ("hyperspy", "rsciio", "tifffile", "roifile")


@contextmanager
def quiet() -> Iterator[None]:
    """Let no reader log anything."""
    loggers = [logging.getLogger(name) for name in _READERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
