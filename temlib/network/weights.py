"""Files of weights: which there are, where they are looked for, and what is checked before they are loaded."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from temlib.datasets import CARRIED, fetch
from temlib.errors import DatasetError, WeightsError, one_line
from temlib.network.backend import start_keras
from temlib.network.model_files import check_weights, read_model

if TYPE_CHECKING:
    import keras

__all__ = [
    "BUNDLED",
    "CARRIED_SEGMENTERS",
    "DEEPEST",
    "DEFAULT",
    "LABELLED",
    "alpha_of",
    "encoder_of_segmenter",
    "load_weights",
    "resolve_weights",
    "stored_alpha",
]

BUNDLED = CARRIED / "bundled" / "segmenter.keras"
"""The segmenter that temlib brings along, taught by synthetic micrographs alone; ``temlib.network.bundled`` made it."""

LABELLED = CARRIED / "labelled" / "segmenter.keras"
"""The one that went on learning from real labels; ``temlib.network.labelled`` made it."""

CARRIED_SEGMENTERS = {"synthetic": BUNDLED, "labelled": LABELLED}
"""The bundled networks, by name."""

DEFAULT = "labelled"
"""Which of them is taken where none is named."""

DEEPEST = "conv_pw_12_relu"
"""The layer to which files of the truncated MobileNet reach."""

_ALPHAS = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"}  # as Keras spells them in file names
_FIRST_LAYER_WIDTH = 32  # at alpha 1
_WIDEST = 2.0  # alpha


def resolve_weights(weights: str | os.PathLike | None, alpha: float | None = None) -> Path | None:
    """Find the file of encoder weights.

    Parameters
    ----------
    weights : path, "bundled", "imagenet" or None
        ``"bundled"`` is the network that temlib brings along (:data:`BUNDLED`). ``"imagenet"`` is
        looked for in the folder that ``TEMLIB_WEIGHTS`` names, then taken from Keras's own download
        (kept in Keras's cache). ``None`` is random weights: no file.
    alpha : float, optional
        Width multiplier of the MobileNet looked for: 0.25, 0.5, 0.75 or 1 (the default).

    Raises
    ------
    WeightsError
        When there is no such file, or no network to fetch it.
    """
    if weights is None:
        return None
    if weights == "bundled":
        return BUNDLED
    if weights != "imagenet":
        path = Path(weights)
        if not path.is_file():
            raise WeightsError(
                f"{path}: there is no such weights file; pass a path, 'bundled', 'imagenet', or None for random weights"
            )
        return path
    alpha = 1.0 if alpha is None else alpha
    if alpha not in _ALPHAS:
        raise WeightsError(
            f"there are no ImageNet weights for alpha={alpha}; choose from {', '.join(map(str, _ALPHAS))}"
        )
    keras_name = f"mobilenet_{_ALPHAS[alpha]}_224_tf_no_top.h5"
    folder = os.environ.get("TEMLIB_WEIGHTS")
    tried = []
    if folder:
        for name in (f"mobilenet_{alpha}_224_imagenet_to_{DEEPEST.removesuffix('_relu')}.weights.h5", keras_name):
            path = Path(folder) / name
            if path.is_file():
                return path
            tried.append(os.fspath(path))
    return _download(keras_name, tried)


def encoder_of_segmenter(path: Path, maps: int) -> keras.Model:
    """Take the encoder, which gives so many maps, out of a saved segmenter; no code from the file is run."""
    try:
        model = read_model(path).get_layer("encoder")
        if len(model.outputs) != maps or not alpha_of(model):
            raise ValueError("it has no encoder of temlib's")
    except (ValueError, AttributeError) as error:
        reason = one_line(error)
        raise WeightsError(f"{path}: is no segmenter saved by temlib ({reason}); pass another file") from error
    model.trainable = False
    return model


def alpha_of(encoder: keras.Model) -> float:
    """Tell the width multiplier of an encoder."""
    return encoder.get_layer("conv1").kernel.shape[-1] / _FIRST_LAYER_WIDTH


def stored_alpha(path: Path) -> float:
    """Tell the width multiplier of a weights file from its first convolution."""
    import h5py

    if not path.name.endswith(".h5"):
        raise WeightsError(
            f"{path}: is no file of weights; pass a .weights.h5, a no_top.h5 or a saved .keras segmenter"
        )
    try:
        check_weights(path)
        with h5py.File(path) as file:
            kernel = next(file[key] for key in ("layers/conv2d/vars/0", "conv1/conv1/kernel:0") if key in file)
            alpha = kernel.shape[-1] / _FIRST_LAYER_WIDTH
            if not 0 < alpha <= _WIDEST:
                raise ValueError(f"its first layer has {kernel.shape[-1]} channels")
            return alpha
    except (OSError, StopIteration, ValueError, AttributeError, IndexError) as error:
        raise WeightsError(
            f"{path}: is no weights file of a MobileNet v1 ({one_line(error)}); download it again or pass another"
        ) from error


def load_weights(path: Path, full: keras.Model, truncated: keras.Model) -> None:
    """Load a file into the network it fits, and check that every number is finite."""
    model = truncated if path.name.endswith(".weights.h5") else full
    try:
        _check_layer_names(path, model)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Keras only warns of layers that the file lacks
            model.load_weights(path)
    except (ValueError, KeyError, OSError, UserWarning) as error:
        reason = one_line(error)
        raise WeightsError(
            f"{path}: does not fit MobileNet v1 ({reason}); download it again or pass another"
        ) from error
    if not all(np.isfinite(array).all() for array in truncated.get_weights()):
        raise WeightsError(f"{path}: holds numbers that are not finite; download it again")


def _check_layer_names(path: Path, model: keras.Model) -> None:
    """Check that a legacy file names the layers of the model, which Keras matches by order."""
    import h5py

    with h5py.File(path) as file:
        if "layer_names" not in file.attrs:
            return
        stored = {name.decode() if isinstance(name, bytes) else name for name in file.attrs["layer_names"]}
    missing = {layer.name for layer in model.layers if layer.weights} - stored
    if missing:
        raise ValueError(f"no layer {sorted(missing)[0]!r}")


def _download(name: str, tried: list[str]) -> Path:
    """Fetch a file of Keras's into Keras's own cache, whole or not at all."""
    start_keras()
    from keras.src.applications.mobilenet import BASE_WEIGHT_PATH

    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        return fetch(BASE_WEIGHT_PATH + name, Path(home) / "models" / name)
    except DatasetError as error:
        tried.append(f"Keras's download ({error})")
        raise WeightsError(
            f"no ImageNet weights: tried {'; '.join(tried)}. Connect to the network, set TEMLIB_WEIGHTS to a folder "
            f"with {name}, pass the path of a weights file, or weights=None for a random encoder"
        ) from error
