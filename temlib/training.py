"""Training by feature extraction: the encoder stays frozen, only the decoder learns.

What a frozen encoder says of an image never changes, so its features are computed once and the
decoder is trained on them. Augmentation therefore happens before: each training micrograph is
seen in several *views*, windows that are flipped, turned and changed in their grey levels.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib import unet
from temlib.backend import start_keras
from temlib.micrographs import GreyLevels, as_array, normalise
from temlib.progress import progress_bar
from temlib.scores import iou
from temlib.segmentation import Segmenter, to_working_size

if TYPE_CHECKING:
    import keras

__all__ = ["train_segmenter"]


def train_segmenter(
    images: Sequence[Any],
    masks: Sequence[Any],
    *,
    weights: str | os.PathLike | None,
    validation: tuple[Sequence[Any], Sequence[Any]] | None = None,
    alpha: float | None = None,
    working_size: int = 256,
    levels: GreyLevels = GreyLevels(),
    views: int = 4,
    epochs: int = 12,
    batch_size: int = 8,
    learning_rate: float = 2e-3,
    seed: int = 0,
    progress: bool = True,
) -> Segmenter:
    """Train a segmenter on a few labelled micrographs.

    Parameters
    ----------
    images : sequence of signals or arrays of shape (height, width)
        Micrographs of any sizes and grey levels.
    masks : sequence of signals or bool arrays of the same shapes
        Their labels, hand-drawn, machine-made or synthetic.
    weights : path, "imagenet" or None
        Encoder weights, see :func:`temlib.unet.resolve_weights`; ``None`` is random.
    validation : (images, masks), optional
        Scored after each epoch; nothing is learned from them.
    alpha : float, optional
        Width of the MobileNet; by default that of the weights, or 1.
    working_size : int
        Shorter edge of a micrograph as the network sees it [px]; a multiple of 32.
    levels : GreyLevels
        Normalisation of grey levels; it travels with the segmenter.
    views : int
        Views of each training micrograph.
    epochs, batch_size, learning_rate
        Of the decoder's training (Adam, cosine decay, cross-entropy and Dice loss).
    seed : int
        Same seed, same segmenter (where TensorFlow's operations are deterministic).
    progress : bool
        Show progress bars, see :func:`temlib.progress.progress_bar`.

    Returns
    -------
    Segmenter

    Raises
    ------
    ValueError
        When images and masks do not belong together.
    WeightsError
        When the encoder weights are out of reach.
    """
    keras = start_keras()

    _check(images, masks, working_size)
    views_seed, encoder_seed, decoder_seed, order_seed = np.random.SeedSequence(seed).generate_state(4).tolist()
    encoder = unet.encoder(weights, alpha, encoder_seed)
    decoder = unet.decoder([output.shape[-1] for output in encoder.outputs], seed=decoder_seed)

    grey, truth = _views(images, masks, views, working_size, levels, views_seed)
    batches = _batches(_features(encoder, grey, progress), truth, batch_size, order_seed)
    steps = -(-len(truth) // batch_size)
    watch = _watch(encoder, decoder, validation, working_size, levels, epochs, progress)
    decay = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * steps)
    trained = keras.Model(decoder.inputs, decoder.outputs)  # shares the weights; the saved one needs no loss
    trained.compile(keras.optimizers.Adam(decay), loss=cross_entropy_and_dice)
    trained.fit(batches, steps_per_epoch=steps, epochs=epochs, shuffle=False, verbose=0, callbacks=[watch])
    return Segmenter(unet.unet(encoder, decoder), working_size, levels, history=watch.history)


def cross_entropy_and_dice(truth: Any, probability: Any) -> Any:
    """Binary cross-entropy plus 1 - Dice, averaged over the batch.

    Dice (here over the whole batch, smoothed by one pixel) keeps small particles from vanishing
    among the many background pixels; Milletari et al., V-Net, 2016, arXiv:1606.04797.
    """
    from keras import losses, ops

    truth = ops.cast(truth, probability.dtype)
    overlap = 2 * ops.sum(truth * probability) + 1
    return (
        ops.mean(losses.binary_crossentropy(truth, probability))
        + 1
        - overlap / (ops.sum(truth) + ops.sum(probability) + 1)
    )


def _check(images: Sequence[Any], masks: Sequence[Any], working_size: int) -> None:
    if not len(images):
        raise ValueError("there are no training images; pass at least one")
    if len(images) != len(masks):
        raise ValueError(f"{len(images)} images and {len(masks)} masks; pass one mask for each image")
    if working_size % unet.STRIDE or working_size <= 0:
        raise ValueError(f"working_size={working_size} must be a multiple of {unet.STRIDE}")
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if as_array(image).shape != as_array(mask).shape:
            raise ValueError(f"image {index} is {as_array(image).shape} but its mask {as_array(mask).shape}")


def _views(
    images: Sequence[Any], masks: Sequence[Any], views: int, size: int, levels: GreyLevels, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give augmented square windows: grey levels (n, size, size), float32, and masks, uint8."""
    rng = np.random.default_rng(seed)
    grey, truth = [], []
    for image, mask in zip(images, masks, strict=True):
        small = to_working_size(normalise(image, levels), size)
        small_mask = to_working_size((as_array(mask) != 0).astype(np.float32), size) >= 0.5
        for turn in rng.permutation(8)[np.arange(views) % 8]:
            y, x = (rng.integers(edge - size + 1) for edge in small.shape)
            window = (slice(y, y + size), slice(x, x + size))
            grey.append(_change_grey(_turn(small[window], turn), rng))
            truth.append(_turn(small_mask[window], turn))
    return np.stack(grey).astype(np.float32), np.stack(truth).astype(np.uint8)


def _turn(window: np.ndarray, turn: int) -> np.ndarray:
    """Apply one of the eight symmetries of the square."""
    turned = np.rot90(window, turn % 4)
    return turned[:, ::-1] if turn >= 4 else turned


def _change_grey(window: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change gamma and add noise, as another exposure and dose would."""
    unit = ((window + 1) / 2) ** np.exp(rng.normal(0, 0.25))
    return np.clip(2 * unit - 1 + rng.normal(0, rng.uniform(0, 0.08), window.shape), -1, 1)


def _features(encoder: keras.Model, grey: np.ndarray, progress: bool, batch: int = 8) -> list[np.ndarray]:
    """Compute the frozen encoder's five feature maps once; float16, (n, height, width, channels)."""
    from keras import ops

    parts: list[list[np.ndarray]] = []
    with progress_bar(show=progress, total=len(grey), desc="encoder features") as bar:
        for start in range(0, len(grey), batch):
            rgb = np.repeat(grey[start : start + batch, ..., None], 3, axis=-1)
            maps = encoder.predict_on_batch(rgb)
            parts.append([ops.convert_to_numpy(ops.cast(m, "float16")) for m in maps])
            bar.update(len(rgb))
    return [np.concatenate(maps) for maps in zip(*parts, strict=True)]


def _batches(features: list[np.ndarray], truth: np.ndarray, batch_size: int, seed: int) -> Iterator[Any]:
    """Yield batches of features and masks without end, in a new order for each epoch.

    A generator, which Keras reads in sequence: a ``PyDataset`` is prefetched by threads, which may
    draw a batch before or after the order changes.
    """
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(truth))
        for start in range(0, len(truth), batch_size):
            chosen = np.sort(order[start : start + batch_size])
            yield tuple(maps[chosen] for maps in features), truth[chosen][..., None]


def _watch(
    encoder: keras.Model,
    decoder: keras.Model,
    validation: tuple[Sequence[Any], Sequence[Any]] | None,
    size: int,
    levels: GreyLevels,
    epochs: int,
    progress: bool,
) -> Any:
    """Give the callback that keeps the history, scores the validation set and shows progress."""
    import keras

    images, masks = validation if validation is not None else ((), ())
    small = [to_working_size(normalise(image, levels), size) for image in images]
    truth = [to_working_size((as_array(mask) != 0).astype(np.float32), size) >= 0.5 for mask in masks]
    model = unet.unet(encoder, decoder)

    class Watch(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.history: list[dict[str, float]] = []
            self.bar = progress_bar(show=progress, total=epochs, desc="training the decoder")

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            row = {"epoch": epoch + 1, "loss": float((logs or {})["loss"])}
            if small:
                scores = [iou(unet.predict(model, image) > 0.5, mask) for image, mask in zip(small, truth, strict=True)]
                row["validation_iou"] = float(np.mean(scores))
            self.history.append(row)
            self.bar.set_postfix({key: f"{value:.3f}" for key, value in row.items() if key != "epoch"})
            self.bar.update()

        def on_train_end(self, logs: dict[str, float] | None = None) -> None:
            self.bar.close()

    return Watch()
