"""Stacks: what is known of frames, applied to an image, a stack in memory, or one that is read when needed.

A stack is a ``Signal2D`` with navigation axes: a movie, a tilt series, a map of images. Its signal
axes are those of a micrograph. A lazy one holds a dask array, a plan of chunks that are read when
something is computed from them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.errors import MicrographError
from temlib.files.hyperspy_api import hyperspy_api
from temlib.files.micrographs import as_array, with_axes_of

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["frame_shape", "frames_of", "is_lazy", "later", "like", "map_chunks", "whole_frames"]


def is_lazy(image: Any) -> bool:
    """Say whether a signal holds a dask array."""
    return bool(getattr(image, "_lazy", False))


def frame_shape(image: Any) -> tuple[int, int]:
    """Give the height and width of an image, or of the frames of a stack; nothing is read.

    Raises
    ------
    MicrographError
        When it is neither.
    """
    if not _is_signal_of_images(image):
        return as_array(image).shape
    if 0 in image.data.shape or image.data.dtype.kind not in "biuf":
        raise MicrographError(
            f"a stack of micrographs holds grey levels; got shape {image.data.shape} of dtype {image.data.dtype}"
        )
    return image.data.shape[-2:]


def frames_of(image: Any) -> np.ndarray:
    """Give the frames of an image or of a stack in memory as an array of shape (n, height, width)."""
    shape = frame_shape(image)
    return (np.asarray(image.data) if _is_signal_of_images(image) else as_array(image)).reshape(-1, *shape)


def like(image: Any, data: Any, title: str) -> Any:
    """Give ``data`` the axes of ``image``, and of a stack its metadata as well; arrays stay arrays.

    Parameters
    ----------
    image : signal or array of shape (..., height, width)
        A micrograph or a stack.
    data : array, or dask array
        Of the same shape.
    title : str
        Of the new signal.
    """
    if not _is_signal_of_images(image):
        return with_axes_of(image, data, title)
    axes = list(image.axes_manager.as_dictionary().values())
    signal = hyperspy_api().signals.Signal2D(data, axes=axes, metadata=image.metadata.as_dictionary())
    signal.metadata.General.title = title
    return signal.as_lazy() if is_lazy(image) else signal


def whole_frames(image: Any) -> da.Array:
    """Give the data of a lazy signal in chunks of whole frames.

    Chunks along navigation stay as they are, so that nothing is read twice. A file whose chunks are
    small windows through very many frames makes large ones: store it anew in chunks of few frames.
    """
    return image.data.rechunk({-2: -1, -1: -1})


def map_chunks(
    image: Any, compute: Callable[..., np.ndarray], dtype: Any, title: str, shared: Any, name: str, **settings: Any
) -> Any:
    """Apply a function of frames to a lazy signal, chunk by chunk; nothing is computed yet.

    Parameters
    ----------
    image : lazy signal of shape (..., height, width)
        An image or a stack.
    compute : callable
        From an array of shape (n, height, width), and ``shared`` and ``settings`` by keyword, to an
        array of the same shape. A function of a module, for other processes to find.
    dtype : dtype
        Of the result.
    title : str
        Of the result.
    shared : object
        What every chunk needs. It is one node of the plan: a cluster sends it once to each worker.
    name : str
        What ``shared`` is called in the plan; equal names, equal objects.
    **settings
        Small values for ``compute``, or nodes of dask's plan that give them.

    Returns
    -------
    lazy signal with the axes and metadata of ``image``
    """
    import dask.array
    from dask import delayed

    frame_shape(image)
    data = whole_frames(image)
    node = delayed(shared, name=name, traverse=False)
    none = np.empty((0,) * data.ndim, dtype)
    options = {"compute": compute, "shared": node, "dtype": dtype, "meta": none}
    result = dask.array.map_blocks(_frame_by_frame, data, **options, **settings)
    return like(image, result, title)


def later(find: Callable[[np.ndarray], Any], image: Any) -> Any:
    """Find something in the first frame of a lazy signal, when it is needed; its chunk is read once more for that."""
    from dask import delayed

    frames = whole_frames(image)
    return delayed(find)(frames[(0,) * (frames.ndim - 2)])


def _frame_by_frame(block: np.ndarray, compute: Callable[..., np.ndarray], **settings: Any) -> np.ndarray:
    return compute(block.reshape(-1, *block.shape[-2:]), **settings).reshape(block.shape)


def _is_signal_of_images(image: Any) -> bool:
    """Say whether this is a stack or a lazy image; what is neither is dealt with as an image in memory."""
    manager, lazy = getattr(image, "axes_manager", None), is_lazy(image)
    return manager is not None and manager.signal_dimension == 2 and (manager.navigation_dimension > 0 or lazy)
