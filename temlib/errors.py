"""The errors that temlib raises for input it cannot use: one line, with the way out."""

import re

__all__ = [
    "DatasetError",
    "MicrographError",
    "OutputError",
    "RunError",
    "SegmenterError",
    "TemlibError",
    "WeightsError",
    "one_line",
    "readable",
]


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")  # names may hold them: they end lines, steer terminals


class TemlibError(ValueError):
    """Say in one line what is wrong with the given input and what to do about it."""

    def __init__(self, message: object = "") -> None:
        super().__init__(_CONTROL.sub(" ", str(message)))


class MicrographError(TemlibError):
    """A file is not a micrograph that temlib can use."""


class OutputError(TemlibError):
    """A file cannot be written; what was there is as it was."""


class DatasetError(TemlibError):
    """A named data set is unknown, incomplete or out of reach."""


class WeightsError(TemlibError):
    """Encoder weights are missing, out of reach or of another network."""


class SegmenterError(TemlibError):
    """A saved segmenter cannot be written or read."""


class RunError(TemlibError):
    """A step of the reproduction misses what an earlier step makes."""


def one_line(error: BaseException, most: int = 160) -> str:
    """Give the message of any error in one line, of so many characters at the most; its type where it has none."""
    return readable(" ".join(_CONTROL.sub(" ", str(error)).split())[:most]) or type(error).__name__


def readable(text: object) -> str:
    """Give a text that can be printed and written as UTF-8, also of a file's name that is not.

    Bytes of a name that are no UTF-8 reach Python as lone surrogates (PEP 383); they are read as
    Latin-1 here, which most such names once were.
    """
    latin = re.sub("[\udc80-\udcff]", lambda found: chr(ord(found[0]) - 0xDC00), str(text))
    return latin.encode("utf-8", "replace").decode("utf-8")
