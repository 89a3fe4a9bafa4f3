"""Learning: decoders taught on the features of a frozen encoder, and the loss that all training has.

Nothing here knows how a segmenter is made or kept: it is what :mod:`temlib.network.training` and
:meth:`temlib.Segmenter.adapt` have in common.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from temlib.files.grey_levels import GreyLevels, normalise
from temlib.files.micrographs import as_array
from temlib.files.scale_bars.marks import find_marks
from temlib.network.augmentation import IGNORED, Augmentation, scale_for, truth_maps
from temlib.network.augmentation import views as views_of
from temlib.network.backend import start_keras
from temlib.network.checkpoint import Checkpoint
from temlib.network.feature_cache import cached_features
from temlib.network.tiling import STRIDE, Started
from temlib.particles.scores import iou
from temlib.progress import progress_bar

if TYPE_CHECKING:
    import keras

__all__ = [
    "Course",
    "Labelled",
    "adapt",
    "as_looked_at",
    "check",
    "compile_for_training",
    "copy_of",
    "cross_entropy_and_dice",
    "order_of",
    "scored",
    "teach",
    "windows_of",
]

Labelled = tuple[Sequence[Any], Sequence[Any]]
"""Micrographs and their masks."""


@dataclass(frozen=True)
class Course:
    """How decoders are taught: passes over all windows, windows a step, Adam's first rate, the seed of their order."""

    epochs: int
    batch_size: int
    learning_rate: float
    seed: int


def adapt(
    segmenter: Any,
    images: Sequence[Any],
    masks: Sequence[Any],
    *,
    window: int = 256,
    augmentation: Augmentation = Augmentation(),
    views: int = 24,
    epochs: int = 10,
    batch_size: int = 8,
    learning_rate: float = 5e-4,
    seed: int = 0,
    progress: bool = True,
) -> Any:
    """Let a segmenter's decoders learn from a few more labels; its encoder stays as it is.

    Never worse than before on what it is given: where the mean IoU on ``images`` falls, the
    segmenter is given back unchanged.

    Parameters
    ----------
    segmenter : Segmenter
        It is not changed.
    images, masks, window, augmentation, views, batch_size, seed, progress
        As for :func:`temlib.train_segmenter`; one or two labels are enough to begin with.
    epochs, learning_rate
        Fewer and smaller than from scratch: what was learned before shall not be lost.

    Returns
    -------
    Segmenter

    Raises
    ------
    ValueError
        When images and masks do not belong together.
    """
    check(images, masks, window)
    views_seed, order_seed = np.random.SeedSequence(seed).generate_state(2).tolist()
    adapted = copy_of(segmenter)
    model = adapted.model
    encoder = model.get_layer("encoder")
    team = [layer for layer in model.layers if layer.name.startswith("decoder")]
    for decoder in team:
        decoder.trainable = True
    seen, factors = as_looked_at(segmenter, images, masks)
    windows, truth = windows_of(seen, masks, factors, views, window, segmenter.levels, augmentation, views_seed)
    course = Course(epochs, batch_size, learning_rate, order_seed)
    with cached_features(encoder, windows, views * len(images), None, progress) as features:
        teach(team, features, np.stack(truth), course, adapted, progress=progress)
    before, after = (scored(each, (images, masks))["validation_iou"] for each in (segmenter, adapted))
    return replace(adapted if after > before else segmenter, runtime=segmenter.runtime, _network=Started())


def as_looked_at(segmenter: Any, images: Sequence[Any], masks: Sequence[Any]) -> tuple[Sequence[Any], list[float]]:
    """Give images in the contrast that a segmenter looks for, and the scale at which it learns from each."""
    factors = [_factor(segmenter, image, mask) for image, mask in zip(images, masks, strict=True)]
    if segmenter.sought.contrast != "bright":
        return images, factors
    return [-as_array(image).astype(np.float32) for image in images], factors


def _factor(segmenter: Any, image: Any, mask: Any) -> float:
    """Give the scale at which an image is learned from: that of the size that is looked for, or of the mask's."""
    if segmenter.sought:
        return float(np.median(segmenter.scales_for(image)))
    return scale_for(as_array(mask) != 0, segmenter.particle_size)


def teach(
    team: Sequence[keras.Model],
    features: Sequence[np.ndarray],
    truth: np.ndarray,
    course: Course,
    segmenter: Any,
    validation: Labelled | None = None,
    progress: bool = True,
    checkpoint: Checkpoint | None = None,
) -> None:
    """Train decoders on the same batches of features, one after the other; keep the history.

    In one graph they would take a sixth less time, but TensorFlow then gives other bytes each time.
    """
    keras = start_keras()
    learners = [keras.Model(decoder.inputs, decoder.outputs) for decoder in team]  # saved without optimiser
    for learner in learners:
        compile_for_training(learner, course.learning_rate, course.epochs * -(-len(truth) // course.batch_size))
    done = checkpoint.restore(learners) if checkpoint else []
    segmenter.history += done
    rng = np.random.default_rng(course.seed)
    with progress_bar(show=progress, total=course.epochs, initial=len(done), desc="training the decoder") as bar:
        for epoch in range(course.epochs):
            losses = []
            order = order_of(len(truth), course.batch_size, rng)  # also for epochs done: the next stay the same
            if epoch < len(done):
                continue
            for rows in order:
                batch, target = [maps[rows] for maps in features], truth[rows]
                losses += [learner.train_on_batch(batch, target) for learner in learners]
            loss = float(np.mean(losses))
            segmenter.history.append({"epoch": epoch + 1, "loss": loss} | scored(segmenter, validation))
            if checkpoint:
                checkpoint.keep(learners, segmenter.history)
            bar.set_postfix({k: f"{v:.3f}" for k, v in segmenter.history[-1].items() if k != "epoch"})
            bar.update()


def compile_for_training(model: keras.Model, learning_rate: float, steps: int) -> None:
    """Give a model our loss, and Adam with a learning rate that falls to zero as a cosine over its steps.

    Were the optimiser built by the first step, TensorFlow would trace that step twice: half of a short training.
    """
    keras = start_keras()
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model.compile(keras.optimizers.Adam(rate), loss=cross_entropy_and_dice, jit_compile=False)
    model.optimizer.build(model.trainable_variables)


def cross_entropy_and_dice(truth: Any, predicted: Any) -> Any:
    """Binary cross-entropy of both maps, and 1 - Dice of the particles, over a batch.

    What is ``IGNORED`` counts nowhere. Dice (over the whole batch, smoothed by one pixel) keeps
    small particles from vanishing among the many background pixels; Milletari et al., V-Net, 2016,
    arXiv:1606.04797.

    Parameters
    ----------
    truth, predicted : tensors of shape (n, height, width, 2)
        Of :func:`temlib.network.augmentation.truth_maps`, and of the network.
    """
    from keras import ops

    truth = ops.cast(truth, predicted.dtype)
    known = ops.cast(truth >= 0, predicted.dtype)
    truth = truth * known
    p = ops.clip(predicted, 1e-6, 1 - 1e-6)
    entropy = -(truth * ops.log(p) + (1 - truth) * ops.log(1 - p)) * known
    entropy = ops.sum(entropy, axis=(0, 1, 2)) / (ops.sum(known, axis=(0, 1, 2)) + 1)
    particle, seen = truth[..., 0], predicted[..., 0] * known[..., 0]
    dice = (2 * ops.sum(particle * seen) + 1) / (ops.sum(particle) + ops.sum(seen) + 1)
    return ops.sum(entropy) + 1 - dice


def check(images: Sequence[Any], masks: Sequence[Any], window: int) -> None:
    """Refuse images and masks that do not belong together."""
    if not len(images):
        raise ValueError("there are no training images; pass at least one")
    if len(images) != len(masks):
        raise ValueError(f"{len(images)} images and {len(masks)} masks; pass one mask for each image")
    if window % STRIDE or window <= 0:
        raise ValueError(f"window={window} must be a multiple of {STRIDE}")
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        if as_array(image).shape != as_array(mask).shape:
            raise ValueError(f"image {index} is {as_array(image).shape} but its mask {as_array(mask).shape}")


def copy_of(segmenter: Any) -> Any:
    """Give a segmenter whose network can learn without changing the given one's."""
    model = start_keras().models.clone_model(segmenter.model)
    model.set_weights(segmenter.model.get_weights())
    return replace(segmenter, model=model, runtime="keras", _network=Started(), history=list(segmenter.history))


def windows_of(
    images: Sequence[Any],
    masks: Sequence[Any],
    factors: Sequence[float],
    views: int,
    size: int,
    levels: GreyLevels,
    augmentation: Augmentation,
    seed: int,
) -> tuple[Iterator[np.ndarray], list[np.ndarray]]:
    """Give the grey levels of all views, and the list that fills with what is true of them as they are read.

    What is burnt into a micrograph belongs to no particle: where labels say so there, nothing is learned.
    """
    truth: list[np.ndarray] = []

    def grey_levels() -> Iterator[np.ndarray]:
        rng = np.random.default_rng(seed)
        for image, mask, factor in zip(images, masks, factors, strict=True):
            grey, maps = normalise(image, levels), truth_maps(mask)
            maps[find_marks(image, read=False) & (maps[..., 0] > 0)] = IGNORED
            some = views_of(grey, maps, views, factor=factor, size=size, augmentation=augmentation, rng=rng)
            for window, target in some:
                truth.append(target.astype(np.float16))
                yield window

    return grey_levels(), truth


def order_of(n: int, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Give the rows of each batch of an epoch, in random order."""
    order = rng.permutation(n)
    return [np.sort(order[start : start + batch_size]) for start in range(0, n, batch_size)]


def scored(segmenter: Any, validation: Labelled | None) -> dict[str, float]:
    """Give the mean IoU over the validation set, where there is one, as a user would get it."""
    if validation is None:
        return {}
    with warnings.catch_warnings():  # of a doubtful mask, whose truth is at hand
        warnings.simplefilter("ignore", UserWarning)
        scores = [iou(segmenter(image, marks="keep"), mask) for image, mask in zip(*validation, strict=True)]
    return {"validation_iou": float(np.mean(scores))}
