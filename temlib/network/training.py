"""Training by feature extraction, and fine-tuning after it.

In feature extraction the encoder stays frozen, only the decoder learns. What a frozen encoder says
of an image never changes, so its features are computed once and the decoder is trained on them.
Augmentation therefore happens before: each training micrograph is seen in several *views*.

In fine-tuning the upper layers of the encoder learn too, slowly, after the decoder has learned.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.files.grey_levels import GreyLevels
from temlib.files.micrographs import as_array, pixel_size_of
from temlib.network import unet
from temlib.network.augmentation import Augmentation, are_numbered, scale_for
from temlib.network.backend import start_keras
from temlib.network.checkpoint import Checkpoint, training_fingerprint
from temlib.network.feature_cache import cached_features
from temlib.network.learning import (
    Course,
    Labelled,
    as_looked_at,
    check,
    compile_for_training,
    copy_of,
    order_of,
    scored,
    teach,
    windows_of,
)
from temlib.network.segmenter import Segmenter, carried_scorer
from temlib.network.tiling import Started
from temlib.progress import progress_bar

if TYPE_CHECKING:
    import keras

__all__ = ["STAGES", "fine_tune", "train_segmenter"]

STAGES = ("conv_dw_11", "conv_dw_7", "conv_dw_4")
"""First layer that learns in each stage of fine-tuning, from the deepest level upwards."""


def train_segmenter(
    images: Sequence[Any],
    masks: Sequence[Any],
    *,
    weights: str | os.PathLike | None,
    validation: Labelled | None = None,
    alpha: float | None = None,
    target_size: float = 64.0,
    window: int = 256,
    levels: GreyLevels = GreyLevels(),
    augmentation: Augmentation = Augmentation(),
    views: int = 8,
    epochs: int = 12,
    decoders: int = 3,
    fine_tune: bool = False,
    groups: Sequence[Any] | None = None,
    batch_size: int = 8,
    learning_rate: float = 2e-3,
    cache_memory: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Segmenter:
    """Train a segmenter on a few labelled micrographs.

    Parameters
    ----------
    images : sequence of signals or arrays of shape (height, width)
        Micrographs of any sizes and grey levels.
    masks : sequence of signals or arrays of the same shapes
        Their labels, hand-drawn, machine-made or synthetic: bool masks, or instance labels, from
        which the network also learns to tell touching particles apart. Its particles are then judged by the scorer
        of the network that temlib brings along.
    weights : path, "imagenet" or None
        Encoder weights, see :func:`temlib.network.weights.resolve_weights`; ``None`` is random.
    validation : (images, masks), optional
        Scored after each epoch; nothing is learned from them.
    alpha : float, optional
        Width of the MobileNet; by default that of the weights, or 1.
    target_size : float
        Each micrograph is resized so that its particles have this diameter [px].
    window : int
        Edge of a view as the network sees it [px]; a multiple of 32.
    levels : GreyLevels
        Normalisation of grey levels; it travels with the segmenter.
    augmentation : Augmentation
        How the views of a micrograph differ.
    views : int
        Views of each training micrograph.
    epochs, batch_size, learning_rate
        Of the decoders' training (Adam, cosine decay, cross-entropy and Dice loss).
    decoders : int
        How many are trained on the same features, from different first weights; what they say is
        averaged.
    fine_tune : bool
        Let the upper layers of the encoder learn afterwards, as :func:`fine_tune` does by default. Where
        there is no ``validation``, every fifth micrograph is held back from all learning, and says
        which state is given.
    groups : sequence, optional
        Of each micrograph its article, specimen or movie: what is held back shares none of them with
        what is learned from. Without, each micrograph is a group of its own.
    cache_memory : int, optional
        Bytes that the encoder's features may take in memory, by default a quarter of what is free;
        beyond, they lie in a temporary file.
    checkpoint : path, optional
        File (``.npz``) that keeps the state after each epoch. Where it is there already, training
        goes on from it and ends as if it had not been stopped.
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
        When images and masks do not belong together, or there is one alone and it cannot be held back.
    WeightsError
        When the encoder weights are out of reach.
    SegmenterError
        When the checkpoint is damaged, or of another training.
    """
    start_keras()

    check(images, masks, window)
    deciding = validation
    if fine_tune and deciding is None:
        (images, masks), deciding = held_back(images, masks, groups)
    views_seed, encoder_seed, decoder_seed, order_seed = np.random.SeedSequence(seed).generate_state(4).tolist()
    encoder = unet.encoder(weights, alpha, encoder_seed)
    team = _team(encoder, decoders, decoder_seed)
    factors = [scale_for(as_array(mask) != 0, target_size) for mask in masks]
    scorer = carried_scorer() if any(are_numbered(mask) for mask in masks) else None
    segmenter = Segmenter(unet.unet(encoder, *team), target_size, _pixel_size(images, factors), levels, scorer=scorer)
    seen: dict[str, Any] = {
        "factors": factors,
        "views": views,
        "window": window,
        "levels": levels,
        "augmentation": augmentation,
    }
    course = Course(epochs, batch_size, learning_rate, order_seed)
    kept = None
    if checkpoint is not None:
        settings = seen | {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
        kept = Checkpoint(
            Path(checkpoint), training_fingerprint(images, masks, segmenter.model.get_weights(), **settings)
        )
    windows, truth = windows_of(images, masks, factors, views, window, levels, augmentation, views_seed)
    with cached_features(encoder, windows, views * len(images), cache_memory, progress) as features:
        teach(team, features, np.stack(truth), course, segmenter, validation, progress, kept)
    if not fine_tune or deciding is None:
        return segmenter
    options: dict[str, Any] = {"window": window, "augmentation": augmentation, "batch_size": batch_size, "seed": seed}
    return _fine_tune(segmenter, images, masks, validation=deciding, progress=progress, **options)


def _team(encoder: keras.Model, number: int, seed: int) -> list[keras.Model]:
    """Give so many decoders for an encoder, each with first weights of its own."""
    channels = [output.shape[-1] for output in encoder.outputs]
    seeds = np.random.SeedSequence(seed).generate_state(number).tolist()
    return [unet.decoder(channels, seed=each, name=f"decoder_{i}") for i, each in enumerate(seeds)]


def fine_tune(
    segmenter: Segmenter,
    images: Sequence[Any],
    masks: Sequence[Any],
    *,
    validation: Labelled,
    stages: Sequence[str] = STAGES[:2],
    window: int = 256,
    augmentation: Augmentation = Augmentation(),
    views: int = 4,
    epochs: int = 2,
    batch_size: int = 8,
    learning_rate: float = 1e-4,
    seed: int = 0,
    progress: bool = True,
) -> Segmenter:
    """Let the upper layers of the encoder learn too, stage by stage; give the best segmenter on the way.

    Batch normalisation stays in inference mode throughout, with the statistics that it has.

    Parameters
    ----------
    segmenter : Segmenter
        From :func:`train_segmenter`; it is not changed.
    images, masks
        As for :func:`train_segmenter`.
    validation : (images, masks)
        Micrographs that the given segmenter did not learn from. They decide which state is given
        back: the one with the best mean IoU, the start among them.
    stages : sequence of str
        For each stage the first layer of the encoder that learns, in the order of unfreezing.
    window, augmentation, views, batch_size, seed, progress
        As for :func:`train_segmenter`; the views are drawn anew for each epoch.
    epochs : int
        In each stage.
    learning_rate : float
        Of Adam; it falls to zero within each stage, by a cosine.

    Returns
    -------
    Segmenter
        Its history goes on from the given one's, with a ``stage`` (0 is the start).

    Raises
    ------
    ValueError
        When images and masks do not belong together, or a stage names no layer.
    """
    check(images, masks, window)
    _check_stages(stages, segmenter.model)
    tuned = copy_of(segmenter)
    model, history = tuned.model, tuned.history
    history.append({"stage": 0} | scored(segmenter, validation))
    best, best_weights = history[-1]["validation_iou"], model.get_weights()
    seen, factors = as_looked_at(segmenter, images, masks)
    steps = epochs * -(-views * len(images) // batch_size)
    seeds = iter(np.random.SeedSequence(seed).generate_state(2 * len(stages) * epochs).tolist())
    with progress_bar(show=progress, total=len(stages) * epochs, desc="fine-tuning") as bar:
        for stage, first in enumerate(stages, start=1):
            _unfreeze(model, first)
            compile_for_training(model, learning_rate, steps)
            for epoch in range(epochs):
                options = (factors, views, window, segmenter.levels, augmentation, next(seeds))
                windows, truth = windows_of(seen, masks, *options)
                grey = np.stack(list(windows))[..., None]
                targets = np.stack(truth)
                batches = order_of(len(grey), batch_size, np.random.default_rng(next(seeds)))
                loss = np.mean([model.train_on_batch(grey[rows], targets[rows]) for rows in batches])
                history.append({"stage": stage, "epoch": epoch + 1, "loss": float(loss)} | scored(tuned, validation))
                if history[-1]["validation_iou"] > best:
                    best, best_weights = history[-1]["validation_iou"], model.get_weights()
                bar.set_postfix({"validation_iou": f"{history[-1]['validation_iou']:.3f}", "best": f"{best:.3f}"})
                bar.update()
    model.set_weights(best_weights)
    model.trainable = False
    return replace(tuned, runtime=segmenter.runtime, _network=Started())


_fine_tune = fine_tune  # train_segmenter has an argument of this name


def held_back(
    images: Sequence[Any], masks: Sequence[Any], groups: Sequence[Any] | None = None, every: int = 5
) -> tuple[Labelled, Labelled]:
    """Split into what is learned from, and every fifth group, the first among them; a group is never on both sides."""
    groups = range(len(images)) if groups is None else groups
    if len(groups) != len(images):
        raise ValueError(f"{len(images)} images and {len(groups)} groups; pass one group for each image, or none")
    distinct = list(dict.fromkeys(groups))
    if len(distinct) < 2:
        raise ValueError("fine_tune needs a second micrograph, of another group, to be held back; pass validation")
    held = set(distinct[::every])

    def some(decide: bool) -> Labelled:
        chosen = [i for i, group in enumerate(groups) if (group in held) is decide]
        return [images[i] for i in chosen], [masks[i] for i in chosen]

    return some(False), some(True)


def _check_stages(stages: Sequence[str], model: keras.Model) -> None:
    names = {layer.name for layer in model.get_layer("encoder").layers}
    for stage in stages:
        if stage not in names:
            raise ValueError(f"the encoder has no layer {stage!r}; choose from {', '.join(STAGES)}")


def _unfreeze(model: keras.Model, first: str) -> None:
    """Let the decoder and the encoder's layers from one on learn, batch normalisation excepted."""
    import keras

    encoder = model.get_layer("encoder")
    names = [layer.name for layer in encoder.layers]
    model.trainable = True
    for part in (layer for layer in model.layers if layer.name.startswith(("encoder", "decoder"))):
        for layer in part.layers:
            learns = part is not encoder or names.index(layer.name) >= names.index(first)
            layer.trainable = learns and not isinstance(layer, keras.layers.BatchNormalization)


def _pixel_size(images: Sequence[Any], factors: Sequence[float]) -> float | None:
    """Give the geometric mean of the pixel size at the network's scale [nm], where it is known."""
    sizes = [(pixel_size_of(image), factor) for image, factor in zip(images, factors, strict=True)]
    known = [np.sqrt(size[0] * size[1]) / factor for size, factor in sizes if size is not None]
    return float(np.exp(np.mean(np.log(known)))) if known else None
