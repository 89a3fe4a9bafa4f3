"""The network: a U-Net whose encoder is a MobileNet pre-trained on ImageNet.

Encoder: A. Howard et al., MobileNets, 2017, arXiv:1704.04861. Decoder: after O. Ronneberger et
al., U-Net, MICCAI 2015, DOI 10.1007/978-3-319-24574-4_28.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from temlib.errors import WeightsError
from temlib.network.backend import start_keras
from temlib.network.weights import (
    DEEPEST,
    alpha_of,
    encoder_of_segmenter,
    load_weights,
    resolve_weights,
    stored_alpha,
)

if TYPE_CHECKING:
    import keras

__all__ = ["decoder", "encoder", "unet", "widen"]

WIDTHS = (128, 64, 48, 32, 16)
"""Channels of a decoder, deepest level first."""

SKIPS = ("conv_pw_1_relu", "conv_pw_3_relu", "conv_pw_5_relu", "conv_pw_11_relu")


def encoder(weights: str | os.PathLike | None, alpha: float | None = None, seed: int = 0) -> keras.Model:
    """Build the MobileNet encoder, frozen and in inference mode.

    Parameters
    ----------
    weights : path, "bundled", "imagenet" or None
        See :func:`temlib.network.weights.resolve_weights`. The Keras 3 ``.weights.h5`` of the truncated network,
        the legacy ``no_top.h5`` of the whole one, and the encoder of a saved segmenter (``.keras``) are read.
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
    taken = encoder_of_segmenter(path, len(SKIPS) + 1) if path is not None and path.suffix == ".keras" else None
    stored = None if path is None else alpha_of(taken) if taken else stored_alpha(path)
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
        load_weights(path, full, truncated)
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


def _randomise(model: keras.Model, seed: int) -> None:
    """Draw every kernel anew from a seed, since Keras's own initialisers take the global one."""
    import keras

    seeds = np.random.SeedSequence(seed).generate_state(len(model.weights)).tolist()
    for variable, kernel_seed in zip(model.weights, seeds, strict=True):
        if "kernel" in variable.name:
            variable.assign(keras.initializers.GlorotUniform(seed=kernel_seed)(variable.shape))


def widen(source: keras.Model, target: keras.Model, noise: float = 0.0, seed: int = 0) -> None:
    """Give a wider network what a narrower one of the same layers has learned.

    Channels that are added are copies of the others, and what reads copied channels weighs them less, so that
    without noise both networks say the same (Chen, Goodfellow and Shlens, Net2Net, ICLR 2016, arXiv:1511.05641).

    Parameters
    ----------
    source, target : keras.Model
        The same layers in the same order; those of ``target`` may have more channels.
    noise : float
        Standard deviation by which kernels are changed, as a share of each weight: without some, copies learn the same.
    seed : int
        Same seed, same noise.

    Raises
    ------
    ValueError
        When the target is narrower.
    """
    if any(
        n > m
        for narrow, wide in zip(source.weights, target.weights, strict=True)
        for n, m in zip(narrow.shape, wide.shape)
    ):
        raise ValueError(
            "a network cannot be made narrower than the one that it begins with; pass a greater alpha or widths"
        )
    rng = np.random.default_rng(seed)
    for narrow, wide in zip(source.weights, target.weights, strict=True):
        weights, kernel = np.asarray(narrow), "kernel" in wide.path
        read = len(wide.shape) - 2 if kernel and "depthwise" not in wide.path and "conv_dw" not in wide.path else None
        for axis, (before, after) in enumerate(zip(narrow.shape, wide.shape, strict=True)):
            copied = np.arange(after) % before
            weights = np.take(weights, copied, axis)
            if axis == read:
                share = 1 / np.bincount(copied)[copied]
                weights = weights * share[:, None]
        if kernel and narrow.shape != wide.shape:
            weights = weights * rng.normal(1, noise, weights.shape)
        wide.assign(weights)
