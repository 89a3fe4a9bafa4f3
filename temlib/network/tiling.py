"""Apply the network to an image of any size: padding, tiles, and the runtime that does the sums."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.errors import TemlibError, one_line
from temlib.network.backend import compiled, frozen, start_keras

if TYPE_CHECKING:
    import keras

__all__ = ["MARGIN", "RUNTIMES", "STRIDE", "TILE", "Network", "Started", "predict", "start", "start_any"]

STRIDE = 32
"""Reduction at the deepest level: heights and widths inside the network are multiples of it."""

MARGIN = 192
"""Beyond this distance [px] no pixel has a say: half the network's receptive field, and a stride."""

TILE = 2048
"""Edge [px] of the largest picture predicted at once: 2048 px take 1.6 GB, and half the time of small tiles."""

RUNTIMES = ("keras", "openvino")
"""What can do the sums; ``"auto"`` is OpenVINO where it is installed and starts, else Keras."""

Network = Callable[[np.ndarray], np.ndarray]
"""From float32 (n, height, width, 1), multiples of ``STRIDE``, to float32 (n, height / 2, width / 2, outputs)."""

_BATCH = 2**18  # pixels: smaller pictures go through the network together, which saves the cost of a call


class Started:
    """A network that is started when it is first needed, once for all segmenters that share it."""

    def __init__(self, network: Network | None = None) -> None:
        self.network = network


def start(model: keras.Model, runtime: str = "keras", threads: int | None = None) -> Network:
    """Make a network ready to predict; several threads may call it.

    Parameters
    ----------
    model : keras.Model
        From :func:`temlib.network.unet.unet`.
    runtime : "keras", "openvino" or "auto"
        OpenVINO gives the same probabilities sooner; it needs ``pip install 'temlib[openvino]'``. ``"auto"``
        takes it where it is installed; where it does not start, Keras with a warning.
    threads : int, optional
        Of OpenVINO; by default all cores. Those of TensorFlow are the process's:
        :func:`temlib.network.backend.limit_threads`.

    Raises
    ------
    ValueError
        When there is no such runtime.
    TemlibError
        When OpenVINO is not installed, or does not start.
    """
    return start_any(model, runtime, threads)[1]


def start_any(model: keras.Model, runtime: str, threads: int | None = None) -> tuple[str, Network]:
    """Do what :func:`start` does, and tell as well which of ``RUNTIMES`` does the sums: of use for ``"auto"``."""
    if runtime not in (*RUNTIMES, "auto"):
        raise ValueError(f"there is no runtime {runtime!r}; choose from {', '.join(RUNTIMES)} and auto")
    if runtime == "openvino" or (runtime == "auto" and find_spec("openvino")):
        try:
            return "openvino", _start_openvino(model, threads)
        except TemlibError as error:
            if runtime != "auto":
                raise
            warnings.warn(f"{error}; Keras does the sums", stacklevel=2)
    return "keras", compiled(model)


def predict(network: Network, images: np.ndarray, tile: int = TILE) -> np.ndarray:
    """Apply a network to an image of any size, or to several of one size.

    Small ones go through the network together. An image larger than a tile is cut into tiles that
    overlap by so much that what each gives for its core does not depend on where the tile ends: the
    cores fit together without a seam, and memory is bounded by the tile.

    Parameters
    ----------
    network : Network
        From :func:`start`.
    images : array of shape (height, width) or (n, height, width), in [-1, 1]
        Normalised micrographs at the network's scale.
    tile : int
        Largest edge that is predicted at once [px], margins included.

    Returns
    -------
    float32 array of shape (height / 2, width / 2, outputs), rounded up, in [0, 1], with n before it for n
    images: the network's maps have half the resolution of its image
    """
    if images.ndim == 2:
        return predict(network, images[None], tile)[0]
    if tile < 2 * MARGIN + STRIDE:
        raise ValueError(f"tile={tile} leaves no core between its margins; pass at least {2 * MARGIN + STRIDE}")
    n, height, width = images.shape
    pad = [(0, 0), (0, -height % STRIDE), (0, -width % STRIDE)]
    padded = np.pad(images, pad, mode="symmetric") if np.any(pad) else images
    padded = padded.astype(np.float32, copy=False)
    rows, columns = (_spans(edge, tile) for edge in padded.shape[1:])
    result = np.empty(0)
    for top, bottom, *row in rows:
        for left, right, *column in columns:
            together = max(1, _BATCH // ((bottom - top) * (right - left)))
            for some in (slice(first, first + together) for first in range(0, n, together)):
                maps = network(padded[some, top:bottom, left:right, None])
                if not result.size:
                    result = _apart((n, padded.shape[1] // 2, padded.shape[2] // 2, maps.shape[-1]))
                result[some, _half(row), _half(column)] = maps[:, _half(row, top), _half(column, left)]
    return result[:, : -(-height // 2), : -(-width // 2)]


def _apart(shape: tuple[int, int, int, int]) -> np.ndarray:
    """Give room for maps, each of which lies in one piece of memory: what reads one of them does not skip the other."""
    n, height, width, outputs = shape
    return np.moveaxis(np.empty((n, outputs, height, width), np.float32), 1, -1)


def _half(core: list[int], start: int = 0) -> slice:
    """Say where a core lies in maps of half the resolution that begin at ``start``."""
    return slice((core[0] - start) // 2, (core[1] - start) // 2)


def _spans(edge: int, tile: int) -> list[tuple[int, int, int, int]]:
    """Cut an edge into cores within tiles: start and stop of a tile, start and stop of its core."""
    if edge <= tile:
        return [(0, edge, 0, edge)]
    strides = edge // STRIDE
    number = -(-strides // ((tile - 2 * MARGIN) // STRIDE))
    bounds = [STRIDE * (strides * i // number) for i in range(number + 1)]
    return [(max(a - MARGIN, 0), min(b + MARGIN, edge), a, b) for a, b in pairwise(bounds)]


def _start_openvino(model: keras.Model, threads: int | None) -> Network:
    openvino = _import_openvino()
    if start_keras().backend.backend() != "tensorflow":
        raise TemlibError("runtime='openvino' needs Keras on TensorFlow: set KERAS_BACKEND=tensorflow, or take 'keras'")
    exact = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    settings = exact if threads is None else exact | {"INFERENCE_NUM_THREADS": threads}
    try:
        converted = _read_frozen(openvino, frozen(model))
        request = openvino.Core().compile_model(converted, "CPU", settings).create_infer_request()
    except Exception as error:  # of any kind: what does not start on this machine is another machine's runtime
        raise TemlibError(f"OpenVINO does not start ({one_line(error)}); take runtime='keras'") from error
    alone = Lock()  # a request serves one caller at a time

    def compute(images: np.ndarray) -> np.ndarray:
        with alone:
            return request.infer([images])[0].copy()

    return compute


def _read_frozen(openvino: ModuleType, graph: bytes) -> Any:
    """Let OpenVINO read a graph from a file: what it does with TensorFlow's own objects Python 3.13 refuses."""
    with tempfile.TemporaryDirectory(prefix="temlib-", ignore_cleanup_errors=True) as folder:
        path = os.path.join(folder, "network.pb")
        with open(path, "wb") as file:
            file.write(graph)
        return openvino.Core().read_model(path)


def _import_openvino() -> ModuleType:
    """Import OpenVINO without the package by which it reports its use to its makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise TemlibError("there is no OpenVINO: pip install 'temlib[openvino]', or take runtime='keras'") from error
    except Exception as error:  # its libraries are of another machine
        raise TemlibError(f"OpenVINO cannot be imported ({one_line(error)}); take runtime='keras'") from error
    return openvino
