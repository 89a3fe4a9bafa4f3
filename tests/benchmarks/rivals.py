"""Other networks, to measure ours against: each gives our two maps, at half the image's resolution.

They say so at full resolution, as they were published, and are averaged over 2 x 2 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
from keras import layers

from temlib.network import unet


def tutorial(weights: str | None = "imagenet", seed: int = 0) -> keras.Model:
    """Build the network of TensorFlow's tutorial "Image segmentation", on the MobileNet that ours has.

    Frozen encoder, and the decoder of pix2pix: transposed convolutions of 512, 256, 128 and 64
    channels with batch normalisation and ReLU, each joined with its skip connection, and one more
    to full resolution.
    """
    encoder = unet.encoder(weights, seed=seed)

    def grow(x, width):
        x = layers.Conv2DTranspose(width, 3, 2, "same", use_bias=False, kernel_initializer=_normal(seed))(x)
        return layers.ReLU()(layers.BatchNormalization()(x))

    image = keras.Input((None, None, 1))
    *skips, x = encoder(layers.Concatenate()([image] * 3), training=False)
    for skip, width in zip(skips[::-1], (512, 256, 128, 64), strict=True):
        x = layers.Concatenate()([grow(x, width), skip])
    x = layers.Conv2DTranspose(2, 3, 2, "same", kernel_initializer=_normal(seed))(x)
    return keras.Model(image, _two_maps(x), name="tutorial")


def classic_unet(width: int = 64, seed: int = 0) -> keras.Model:
    """Build the U-Net of Ronneberger et al. 2015 from random weights.

    Four levels of two 3 x 3 convolutions, ``width`` channels at the first and twice as many at each
    next; padded, and with batch normalisation, as it is mostly built since.
    """
    seeds = iter(range(1000 * seed, 1000 * seed + 100))

    def twice(x, width):
        for _ in range(2):
            init = keras.initializers.HeNormal(seed=next(seeds))
            x = layers.Conv2D(width, 3, padding="same", use_bias=False, kernel_initializer=init)(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        return x

    image = x = keras.Input((None, None, 1))
    skips = []
    for level in range(4):
        skips.append(twice(x, width * 2**level))
        x = layers.MaxPooling2D()(skips[-1])
    x = twice(x, width * 16)
    for level, skip in reversed(list(enumerate(skips))):
        init = keras.initializers.HeNormal(seed=next(seeds))
        x = layers.Conv2DTranspose(width * 2**level, 2, 2, kernel_initializer=init)(x)
        x = twice(layers.Concatenate()([x, skip]), width * 2**level)
    init = keras.initializers.HeNormal(seed=next(seeds))
    return keras.Model(image, _two_maps(layers.Conv2D(2, 1, kernel_initializer=init)(x)), name=f"unet_{width}")


def ours(weights: str | None = "imagenet", frozen: bool = True, seed: int = 0) -> keras.Model:
    """Build the network of temlib, to be trained from end to end without cached features."""
    encoder = unet.encoder(weights, seed=seed)
    model = unet.unet(encoder, unet.decoder([output.shape[-1] for output in encoder.outputs], seed=seed))
    if not frozen:
        encoder.trainable = True
        for layer in encoder.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = 0.9  # Keras's 0.99 has not converged after a few hundred steps
    return model


def train(
    model: keras.Model, views: Callable[[int], tuple], epochs: int, rate: float, after: Callable[[int], bool]
) -> None:
    """Train a network, image by image from the pixels on: Adam, cosine decay, batches of 8, our loss.

    Parameters
    ----------
    model : keras.Model
        Any of this module.
    views : function of int
        Gives grey levels and truth of an epoch's views.
    epochs : int
        Passes.
    rate : float
        First learning rate.
    after : function of int
        Called after each epoch; training ends when it gives true.
    """
    import numpy as np

    from temlib.network.learning import compile_for_training

    rng = np.random.default_rng(0)
    compiled = False
    for epoch in range(epochs):
        grey, truth = views(epoch)
        if not compiled:
            compile_for_training(model, rate, epochs * -(-len(grey) // 8))
            compiled = True
        for batch in np.array_split(rng.permutation(len(grey)), -(-len(grey) // 8)):
            model.train_on_batch(grey[batch], truth[batch])
        if after(epoch):
            return


def _normal(seed: int) -> Sequence:
    return keras.initializers.RandomNormal(0.0, 0.02, seed=seed)


def _two_maps(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.AveragePooling2D(2)(layers.Activation("sigmoid", dtype="float32")(x))
