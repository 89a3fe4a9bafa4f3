"""The network: a U-Net whose encoder is a MobileNet pre-trained on ImageNet.

Encoder: A. Howard et al., MobileNets, 2017, arXiv:1704.04861. Decoder: after O. Ronneberger et
al., U-Net, MICCAI 2015, DOI 10.1007/978-3-319-24574-4_28.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from temlib.datasets import CARRIED, fetch
from temlib.errors import DatasetError, WeightsError, one_line
from temlib.network.backend import start_keras
from temlib.network.model_files import check_weights, read_model

if TYPE_CHECKING:
    import keras

__all__ = ["BUNDLED", "CARRIED_SEGMENTERS", "DEFAULT", "LABELLED", "decoder", "encoder", "resolve_weights", "unet"]

BUNDLED = CARRIED / "bundled" / "segmenter.keras"
"""The segmenter that temlib brings along, taught by synthetic micrographs alone; ``temlib.network.bundled`` made it."""

LABELLED = CARRIED / "labelled" / "segmenter.keras"
"""The one that went on learning from real labels; ``temlib.network.labelled`` made it."""

CARRIED_SEGMENTERS = {"synthetic": BUNDLED, "labelled": LABELLED}
"""The bundled networks, by name."""

DEFAULT = "labelled"
"""Which of them is taken where none is named."""

WIDTHS = (128, 64, 48, 32, 16)
"""Channels of a decoder, deepest level first."""

SKIPS = ("conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu")
DEEPEST = "conv_pw_12_relu"
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


def encoder(weights: str | os.PathLike | None, alpha: float | None = None, seed: int = 0) -> keras.Model:
    """Build the MobileNet encoder, frozen and in inference mode.

    Parameters
    ----------
    weights : path, "bundled", "imagenet" or None
        See :func:`resolve_weights`. The Keras 3 ``.weights.h5`` of the truncated network, the legacy
        ``no_top.h5`` of the whole one, and the encoder of a saved segmenter (``.keras``) are read.
    alpha : float, optional
        Width multiplier; by default that of the weights file, or 1.
    seed : int
        For random weights (Glorot uniform): same seed, same weights.

    Returns
    -------
    keras.Model
        From (n, height, width, 3) in [-1, 1], height and width multiples of 32, to five feature
        maps of strides 2, 4, 8, 16 and 32.
    """
    keras = start_keras()

    path = resolve_weights(weights, alpha)
    taken = _of_segmenter(path) if path is not None and path.suffix == ".keras" else None
    stored = None if path is None else _alpha_of(taken) if taken else _stored_alpha(path)
    if alpha is not None and stored is not None and alpha != stored:
        raise WeightsError(
            f"{path}: holds a MobileNet of alpha={stored}, not {alpha}; pass alpha={stored} or another file"
        )
    if taken:
        return taken
    width = next((a for a in (alpha, stored) if a is not None), 1.0)
    full = keras.applications.MobileNet(input_shape=(None, None, 3), alpha=width, include_top=False, weights=None)
    truncated = keras.Model(full.input, full.get_layer(DEEPEST).output)
    if path is None:
        _randomise(truncated, seed)
    else:
        _load(path, full, truncated)
    model = keras.Model(full.input, [full.get_layer(name).output for name in (*SKIPS, DEEPEST)], name="encoder")
    model.trainable = False
    return model


def decoder(
    channels: Sequence[int],
    widths: Sequence[int] = WIDTHS,
    outputs: int = 2,
    seed: int = 0,
    name: str = "decoder",
) -> keras.Model:
    """Build the U-Net decoder.

    At each level the map from below is doubled in size, the skip connection is added to it (both
    brought to the same number of channels), and the sum is convolved: half the work of convolving
    both, concatenated. Batch normalisation has momentum 0.9: with
    Keras's 0.99 a small training set leaves the moving averages unconverged.

    Parameters
    ----------
    channels : sequence of 5 int
        Channels of the encoder's maps, stride 2 first.
    widths : sequence of 5 int
        Channels of the decoder, deepest level first.
    outputs : int
        Maps to predict: see :func:`temlib.network.augmentation.truth_maps`.
    seed : int
        Same seed, same initial weights.
    name : str
        Of the model; several decoders in one network need different ones.

    Returns
    -------
    keras.Model
        From five feature maps to (n, height / 2, width / 2, outputs), in [0, 1].
    """
    keras = start_keras()
    layers = keras.layers

    seeds = iter(np.random.SeedSequence(seed).generate_state(4 * len(widths)).tolist())

    def convolve(x, width, size):
        init = keras.initializers.HeNormal(seed=next(seeds))
        x = layers.Conv2D(width, size, padding="same", use_bias=False, kernel_initializer=init)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    maps = [keras.Input((None, None, n), name=f"stride_{2 ** (i + 1)}") for i, n in enumerate(channels)]
    x = convolve(maps[-1], widths[0], 1)
    for skip, width in zip(maps[-2::-1], widths[1:], strict=True):
        x = layers.Add()([layers.UpSampling2D()(convolve(x, width, 1)), convolve(skip, width, 1)])
        x = convolve(x, width, 3)
    x = layers.Conv2D(outputs, 1, kernel_initializer=keras.initializers.HeNormal(seed=next(seeds)))(x)
    return keras.Model(maps, layers.Activation("sigmoid", dtype="float32")(x), name=name)


def unet(encoder: keras.Model, *decoders: keras.Model) -> keras.Model:
    """Join an encoder and one decoder or several, whose outputs are averaged.

    Decoders that differ by chance alone, in their first weights, make different mistakes: their mean
    makes fewer, and depends less on chance.

    Returns
    -------
    keras.Model
        From (n, height, width, 1) in [-1, 1], height and width multiples of 32, to what the
        decoders say: (n, height / 2, width / 2, outputs), in [0, 1].
    """
    import keras

    image = keras.Input((None, None, 1), name="micrograph")
    rgb = keras.layers.Concatenate()([image, image, image])
    features = encoder(rgb, training=False)
    said = [decoder(features) for decoder in decoders]
    return keras.Model(image, said[0] if len(said) == 1 else keras.layers.Average()(said), name="mobilenet_unet")


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


def _of_segmenter(path: Path) -> keras.Model:
    """Take the encoder out of a saved segmenter; no code from the file is run."""
    try:
        model = read_model(path).get_layer("encoder")
        if len(model.outputs) != len(SKIPS) + 1 or not _alpha_of(model):
            raise ValueError("it has no encoder of temlib's")
    except (ValueError, AttributeError) as error:
        reason = one_line(error)
        raise WeightsError(f"{path}: is no segmenter saved by temlib ({reason}); pass another file") from error
    model.trainable = False
    return model


def _alpha_of(encoder: keras.Model) -> float:
    return encoder.get_layer("conv1").kernel.shape[-1] / _FIRST_LAYER_WIDTH


def _stored_alpha(path: Path) -> float:
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


def _load(path: Path, full: keras.Model, truncated: keras.Model) -> None:
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


def _randomise(model: keras.Model, seed: int) -> None:
    """Draw every kernel anew from a seed, since Keras's own initialisers take the global one."""
    import keras

    seeds = np.random.SeedSequence(seed).generate_state(len(model.weights)).tolist()
    for variable, kernel_seed in zip(model.weights, seeds, strict=True):
        if "kernel" in variable.name:
            variable.assign(keras.initializers.GlorotUniform(seed=kernel_seed)(variable.shape))
