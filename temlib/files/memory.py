"""Memory: what a file says that it holds, weighed against what is free before anything is unpacked."""

from __future__ import annotations

from psutil import virtual_memory

from temlib.errors import MicrographError

__all__ = ["check_memory"]


def check_memory(name: str, needed: int, way_out: str = "pass lazy=True, or check the file") -> None:
    """Refuse to unpack more than there is room for.

    Parameters
    ----------
    name : str
        The file, as the message names it.
    needed : int
        What its arrays take in memory [bytes].
    way_out : str
        What to do about it.

    Raises
    ------
    MicrographError
        When that is more than the memory that is free.
    """
    free = virtual_memory().available
    if needed > free:
        raise MicrographError(
            f"{name}: takes {needed / 1e9:.3g} GB of memory unpacked, {free / 1e9:.3g} GB are free; {way_out}"
        )
