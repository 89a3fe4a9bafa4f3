"""The segmenter: a trained network with its preprocessing, applied, saved and loaded."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from skimage.transform import resize

from temlib import unet
from temlib.backend import start_keras
from temlib.errors import SegmenterError
from temlib.micrographs import GreyLevels, as_array, normalise, with_axes_of, write_atomically

if TYPE_CHECKING:
    import keras

__all__ = ["Segmenter", "load_segmenter", "to_working_size"]

_METADATA = "temlib.json"  # beside Keras's own members of the .keras archive


@dataclass
class Segmenter:
    """Give the particle mask of a micrograph.

    Attributes
    ----------
    model : keras.Model
        From :func:`temlib.unet.unet`.
    working_size : int
        The shorter edge of every micrograph is brought to this many pixels for the network; masks
        come back at the micrograph's own size.
    levels : GreyLevels
        Normalisation of the grey levels, the same as in training.
    threshold : float
        Probability above which a pixel belongs to a particle.
    history : list of dict
        Epoch by epoch: loss, and mean IoU on validation where there was one.
    """

    model: keras.Model
    working_size: int = 256
    levels: GreyLevels = field(default_factory=GreyLevels)
    threshold: float = 0.5
    history: list[dict[str, float]] = field(default_factory=list)

    def probability(self, image: Any) -> Any:
        """Give the probability of *particle* in each pixel.

        Parameters
        ----------
        image : signal or array of shape (height, width)
            Any size, any range of grey levels.

        Returns
        -------
        float32 in [0, 1], of the image's shape; a signal with the same axes for a signal
        """
        grey = normalise(image, self.levels)
        small = unet.predict(self.model, to_working_size(grey, self.working_size))
        probability = np.clip(resize(small, grey.shape, order=1), 0, 1).astype(np.float32)
        return with_axes_of(image, probability, "probability")

    def __call__(self, image: Any) -> Any:
        """Give the particle mask: bool, of the image's shape; a signal for a signal."""
        probability = self.probability(image)
        return with_axes_of(image, as_array(probability) > self.threshold, "mask")

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> Path:
        """Write the network and its preprocessing to one ``.keras`` file.

        Raises
        ------
        SegmenterError
            When the name does not end in ``.keras``, or the file exists and ``overwrite`` is false.
        """
        path = Path(path)
        if path.suffix != ".keras":
            raise SegmenterError(f"{path}: a segmenter is saved under a name that ends in .keras")
        if path.exists() and not overwrite:
            raise SegmenterError(f"{path}: exists already; pass overwrite=True to replace it")
        metadata = {
            "working_size": self.working_size,
            "levels": self.levels.to_dict(),
            "threshold": self.threshold,
            "history": self.history,
        }

        def write(temporary: Path) -> None:
            self.model.save(temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(_METADATA, json.dumps(metadata, indent=1))

        return write_atomically(path, write)


def load_segmenter(path: str | os.PathLike) -> Segmenter:
    """Load a segmenter that :meth:`Segmenter.save` wrote; no code from the file is run.

    Raises
    ------
    SegmenterError
        When the file is missing, damaged, or no segmenter of temlib.
    """
    keras = start_keras()

    path = Path(path)
    if not path.is_file():
        raise SegmenterError(f"{path}: there is no such segmenter; train one with temlib.train_segmenter and save it")
    try:
        with zipfile.ZipFile(path) as archive:
            metadata = json.loads(archive.read(_METADATA))
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
        metadata["levels"] = GreyLevels(**metadata["levels"])
        return Segmenter(model, **metadata)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise SegmenterError(f"{path}: is no segmenter saved by temlib ({reason}); train and save it again") from error


def to_working_size(grey: np.ndarray, working_size: int, order: int = 1) -> np.ndarray:
    """Bring the shorter edge of an image to ``working_size`` pixels, keeping its proportions.

    Parameters
    ----------
    grey : float array of shape (height, width)
        The image; or a mask as float.
    working_size : int
        Pixels of the shorter edge.
    order : int
        Of the interpolation.
    """
    factor = working_size / min(grey.shape)
    shape = tuple(max(working_size, round(edge * factor)) for edge in grey.shape)
    if shape == grey.shape:
        return grey
    return resize(grey, shape, order=order, mode="reflect", anti_aliasing=factor < 1).astype(np.float32)
