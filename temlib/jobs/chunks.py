"""Chunks of a long job, done one after the other, by local processes or by a cluster's workers."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from typing import Any

from temlib.errors import RunError, TemlibError
from temlib.files.child_processes import without_current_folder
from temlib.network.workers import Parcel

__all__ = ["results_of"]

_ONE_CHUNK = {"chunk": 1}  # what a local worker has, and a chunk asks for: one at a time

Work = Callable[[int, Parcel], Any]
Ended = tuple[int, BaseException | None]


@contextmanager
def results_of(
    work: Work, chunks: Sequence[int], parcel: Parcel, scheduler: str | None, workers: int
) -> Iterator[Iterator[Ended]]:
    """Do chunks, here or on a cluster; give each as it ends, with what went wrong.

    Parameters
    ----------
    work : callable
        Takes the number of a chunk and the segmenter's parcel; a method or function that other processes find.
    chunks : sequence of int
        To do.
    parcel : Parcel
        The segmenter.
    scheduler : str or None
        Address of a scheduler of dask.distributed.
    workers : int
        Without one: this process alone (1), or so many local ones.

    Raises
    ------
    RunError
        When no scheduler answers.
    TemlibError
        When dask.distributed is not installed.
    """
    if not chunks or (scheduler is None and workers == 1):
        yield ((chunk, _attempt(work, chunk, parcel)) for chunk in chunks)
        return
    distributed = _import_distributed()
    with ExitStack() as stack:
        try:
            client = stack.enter_context(distributed.Client(scheduler or _local(distributed, stack, workers)))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{scheduler or 'local workers'}: no scheduler answers there ({error}); start one, or check it"
            ) from error
        sent = client.scatter(parcel, hash=False)  # one copy, that workers hand to one another
        one = {} if scheduler else {"resources": _ONE_CHUNK}
        futures = {client.submit(work, chunk, sent, pure=False, **one): chunk for chunk in chunks}
        yield _as_they_end(distributed, futures)


def _as_they_end(distributed: Any, futures: dict[Any, int]) -> Iterator[Ended]:
    for future in distributed.as_completed(futures):
        try:
            error = future.exception()
        except CancelledError as cancelled:
            error = cancelled
        yield futures[future], error
        future.release()


def _attempt(work: Work, chunk: int, parcel: Parcel) -> Exception | None:
    try:
        work(chunk, parcel)
    except Exception as error:  # a damaged chunk: its file's reader raises anything
        return error
    return None


def _local(distributed: Any, stack: ExitStack, workers: int) -> Any:
    """Start workers on this machine, each with its share of the cores."""
    cores = max(1, (os.cpu_count() or 1) // workers)
    options = {"n_workers": workers, "threads_per_worker": cores, "dashboard_address": ":0"}
    options |= {"silence_logs": logging.ERROR, "resources": _ONE_CHUNK}  # its threads are the network's
    stack.enter_context(without_current_folder())  # also for a worker that is started anew
    with _deaf_to_ctrl_c():
        cluster = distributed.LocalCluster(**options)
    return stack.enter_context(cluster)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Start processes that Ctrl-C in the terminal does not reach: this one ends them, without their words."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _import_distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise TemlibError("there is no dask.distributed: pip install 'temlib[cluster]'") from error
    return distributed
