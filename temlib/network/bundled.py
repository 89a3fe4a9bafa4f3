"""Make the network that temlib brings along: trained from nothing, on synthetic micrographs alone.

Encoder and decoder learn together from random weights. No micrograph of anybody else and no label
is learned from; the scores on labelled validation micrographs that are logged on the way choose
between states of one training, and that is said on the model card.

    python -m temlib.network.bundled FOLDER [--steps N] [--seed N]
    python -m temlib.network.bundled FOLDER --bundle

The first goes on where it was stopped and writes FOLDER/best.keras and FOLDER/log.csv. The second
calibrates its trust, puts it into the package, and scores it: temlib/data/measured/bundled.csv.
"""

from __future__ import annotations

import argparse
import io
import sys
import textwrap
import zipfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from temlib import datasets, synthetic
from temlib.datasets import CARRIED, of_split
from temlib.files.grey_levels import normalise
from temlib.network import unet
from temlib.network.augmentation import Augmentation, change_grey, scale_for, truth_maps, views
from temlib.network.backend import start_keras
from temlib.network.finding import LEAST_PROBABILITY
from temlib.network.learning import compile_for_training, cross_entropy_and_dice
from temlib.network.segmenter import Segmenter, load_segmenter
from temlib.network.trust import DOUBTFUL, Trust, agreement, contradiction
from temlib.network.weights import BUNDLED
from temlib.network.workers import segmenter_fingerprint
from temlib.particles.scores import iou, particle_f1
from temlib.pixel_classifier import otsu_mask
from temlib.progress import progress_bar
from temlib.synthetic.no_micrographs import no_micrograph
from temlib.writing import write_atomically, write_table, write_text

if TYPE_CHECKING:
    import h5py
    import keras

__all__ = ["Recipe", "bundle", "card", "halve_precision", "pretrain", "put_into_package", "rows_of_scores", "score"]

BRIGHT_FIELD = ("PtC1", "PtC2")
"""Micrographs of supported catalysts that are in bright field; the others are HAADF."""

DRAWN_NOTHING = "drawn, no micrograph"
"""Data of drawn pictures that are no micrographs, in tables of scores."""

_CARD = """\
# Model card: the bundled segmenter

A U-Net with a MobileNet v1 encoder (alpha {recipe.alpha}) and one decoder, {parameters:,} parameters, stored in half
precision. From a micrograph of any size to the probability of *particle* and the distance to the particle's edge.
Made by `temlib/network/bundled.py` and written by it, this card included.

**Learned from** {recipe.micrographs} synthetic micrographs of `temlib.synthetic` ({bright:.0f} % `bright_field`,
{dark:.0f} % `dark_field`), {recipe.views} windows each, from random weights, seed {recipe.seed}, {recipe.steps} steps
of {recipe.batch_size} windows of {recipe.window} px. No micrograph and no weights of anybody else.

**Chosen with labels**: of the states of this training, one every 1000 steps, the one with the best mean IoU on the 36
validation micrographs of `emps` (step {best[step]}). The generator was improved earlier while looking at scores on the
same micrographs, and was widened to the range that `simulated` was designed in. Validation scores are therefore not
those of unseen data. Test scores chose nothing; they were computed four times for the same network: before and after
it was decided, on validation micrographs, how particles are told apart and what is a speck (IoU the same, F1 not),
when the second warning below was added, and when particles came to be found by proposals (F1 of these).

| scored on | pictures | mean IoU (95 % interval over micrographs) | median | Otsu, mean | F1 of particles | warned of |
|---|---|---|---|---|---|---|
{scores}

{supports}

**Scorer.** Masks and probabilities come from the network alone, which has seen no real label. Which of its proposals
are called particles is judged by a scorer of boosted trees (`temlib/network/bundled_scorer.py`), and that learned from
real labels: those of the 140 training micrographs of `emps`, and of synthetic micrographs of another seed than
training's. The confidence that it gives is calibrated on the same micrographs, a third at a time by what the other
two thirds taught; the smallest confidence that is shown unless another is asked for, {least}, was chosen on the
validation micrographs of `emps` and on synthetic ones.

**Trust.** Two warnings, both calibrated on `synthetic bright_field` above (another seed than training's) and on
`simulated` without its test split. *Doubt*: from how sure the network is follows an expected IoU; below {doubtful} it
warns. *Contradiction*: where the distance that it says is not that of the shapes that it draws, more than in
nineteen of twenty of those micrographs, the picture is unlike what it learned from. That the second tells pictures
that are no micrographs from micrographs was found on the validation micrographs of `emps` and on photographs, fifteen
of which are the ones above. No warning is no promise.

**Limits.** Meant for particles on a thin film, in bright field; in HAADF only what `synthetic dark_field` above shows.
It has seen no lattice fringes, no cells, no dense films of particles many layers deep. Letters and scale bars burnt
into a picture may be taken for particles. With a label or a few of your own `segmenter.adapt` does better.

**Licence**: CC0-1.0, as the synthetic micrographs.
"""


@dataclass(frozen=True)
class Recipe:
    """What decides the outcome of pre-training; the defaults are those of the bundled network.

    Attributes
    ----------
    seed : int
        Same seed, same network (where TensorFlow's operations are deterministic).
    steps, batch_size, learning_rate
        Of Adam; the rate falls to zero by a cosine.
    alpha, widths
        Width of the MobileNet, and the channels of the decoder.
    window : int
        Edge of a view [px].
    target_size : float
        Diameter of particles in a view [px], before magnification is changed.
    micrographs, views : int
        Synthetic micrographs in the pool, and windows of each.
    dark_field : float
        Share of them that are HAADF.
    augmentation : Augmentation
        How views differ; grey levels are changed anew for each view.
    """

    seed: int = 2023
    steps: int = 12_000
    batch_size: int = 8
    learning_rate: float = 2e-3
    alpha: float = 0.5
    widths: tuple[int, ...] = unet.WIDTHS
    window: int = 192
    target_size: float = 64.0
    micrographs: int = 4000
    views: int = 3
    dark_field: float = 0.1
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            zoom=2.5, gamma=0.4, contrast=0.3, noise=0.2, blur=2.0, inversion=0.05, marks=0.3
        )
    )


def pretrain(folder: Path, recipe: Recipe = Recipe(), check_every: int = 1000) -> Segmenter:
    """Train, or go on training, and give the segmenter of the best state on validation.

    Parameters
    ----------
    folder : Path
        For the state of training (resumed when there), the log and the best segmenter.
    recipe : Recipe
        How.
    check_every : int
        Steps between two states that are kept and scored.
    """
    keras = start_keras()
    folder.mkdir(parents=True, exist_ok=True)
    state, log = folder / "state.keras", folder / "log.csv"
    rows = pd.read_csv(log).to_dict("records") if log.exists() and state.exists() else []
    encoder, decoder, learner = network(recipe)
    if rows:
        learner = keras.saving.load_model(
            state, custom_objects={"cross_entropy_and_dice": cross_entropy_and_dice}, safe_mode=True
        )
    segmenter = Segmenter(unet.unet(encoder, decoder), recipe.target_size)
    validation = {
        "emps": of_split("emps", "validation"),
        "simulated": of_split("simulated", "train", "validation"),
    }
    grey, truth = pool(recipe)
    done = int(rows[-1]["step"]) if rows else 0
    losses = []
    with progress_bar(show=True, total=recipe.steps, initial=done, desc="pre-training") as bar:
        for step in range(done + 1, recipe.steps + 1):
            rng = np.random.default_rng([recipe.seed, step])
            some = np.sort(rng.choice(len(grey), recipe.batch_size, replace=False))
            windows = np.stack([change_grey(grey[i].astype(np.float32), recipe.augmentation, rng) for i in some])
            losses.append(learner.train_on_batch(windows[..., None], truth[some]))
            bar.update()
            if step % check_every and step < recipe.steps:
                continue
            segmenter.model.set_weights(learner.get_weights())
            scores = {name: score(segmenter, some) for name, some in validation.items()}
            rows.append({"step": step, "loss": float(np.mean(losses))} | scores)
            losses = []
            if scores["emps"] == max(row["emps"] for row in rows):
                segmenter.history = rows.copy()
                segmenter.save(folder / "best.keras", overwrite=True)
            learner.save(state)
            pd.DataFrame(rows).to_csv(log, index=False, float_format="%.4f")
            bar.set_postfix({name: f"{value:.3f}" for name, value in scores.items()})
    return load_segmenter(folder / "best.keras")


def network(recipe: Recipe) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Build encoder, decoder, and both in one model whose every layer learns."""
    keras = start_keras()
    encoder = unet.encoder(None, recipe.alpha, recipe.seed)
    encoder.trainable = True
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.95  # with Keras's 0.99 the moving averages lag behind a network that learns
    decoder = unet.decoder([o.shape[-1] for o in encoder.outputs], recipe.widths, seed=recipe.seed, name="decoder_0")
    image = keras.Input((None, None, 1))
    learner = keras.Model(image, decoder(encoder(keras.layers.Concatenate()([image] * 3))))
    compile_for_training(learner, recipe.learning_rate, recipe.steps)
    return encoder, decoder, learner


def pool(recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Draw the windows that training goes back to, and what is true of them, both float16."""
    n = recipe.micrographs * recipe.views
    grey = np.empty((n, recipe.window, recipe.window), np.float16)
    truth = np.empty((n, recipe.window // 2, recipe.window // 2, 2), np.float16)
    with progress_bar(show=True, total=n, desc="synthetic micrographs") as bar:
        for i, (window, target) in enumerate(islice(windows(recipe), n)):
            grey[i], truth[i] = window, target
            bar.update()
    return grey, truth


def windows(recipe: Recipe) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield windows of synthetic micrographs, their grey levels as yet unchanged."""

    def draw(rng: np.random.Generator) -> synthetic.Scene:
        mode = "dark_field" if rng.random() < recipe.dark_field else "bright_field"
        return synthetic.DISTRIBUTIONS[mode](rng)

    rng = np.random.default_rng([recipe.seed, 0])
    for micrograph in synthetic.sample(draw, recipe.micrographs, recipe.seed, workers=2):
        labels = micrograph.label_array
        factor = scale_for(labels != 0, recipe.target_size)
        yield from views(
            normalise(micrograph.counts),
            truth_maps(labels),
            recipe.views,
            factor=factor,
            size=recipe.window,
            augmentation=recipe.augmentation.geometry(),
            rng=rng,
        )


def score(segmenter: Segmenter, micrographs: list[datasets.Annotated]) -> float:
    """Give the mean IoU."""
    return float(np.mean([iou(segmenter(m.image, marks="keep"), m.mask) for m in micrographs]))


def bundle(folder: Path, synthetic_micrographs: int = 150) -> pd.DataFrame:
    """Put the best segmenter into the package, with its trust calibrated; score it.

    Calibrated on synthetic micrographs of another seed and on the training and validation
    micrographs of ``simulated``, both of exact truth.

    Returns
    -------
    DataFrame
        A row for each micrograph: ``data``, ``split``, ``name``, ``agreement``, ``expected_iou``,
        ``contradiction``, ``warned``, and ``iou``, ``otsu`` and ``f1``, which pictures that are no
        micrographs do not have.
    """
    return put_into_package(folder, BUNDLED, CARRIED / "measured" / "bundled.csv", card, synthetic_micrographs)


def put_into_package(
    folder: Path,
    target: Path,
    measured: Path,
    card: Callable[[Segmenter, pd.DataFrame], str],
    synthetic_micrographs: int = 150,
    learned: Collection[tuple[str, str]] = (),
    nothing: int = 0,
) -> pd.DataFrame:
    """Calibrate and score the best segmenter of a folder; write it, its scores and its model card.

    Parameters
    ----------
    folder : Path
        Holds ``best.keras``. Its scores are kept there, set by set, under its fingerprint, and a rerun goes on.
    target, measured : Path
        For the segmenter (``CARD.md`` is written beside it), and for the scores.
    card : function
        From the calibrated segmenter and its scores to the text of the card.
    synthetic_micrographs : int
        In bright field; a third of it in dark field.
    learned : collection of (data, split)
        What the network learned from: neither scored nor calibrated on.
    nothing : int
        Pictures to draw that are no micrographs: whatever a mask shows in them counts as IoU 0 in calibration.

    Returns
    -------
    DataFrame
        As of :func:`bundle`.
    """
    segmenter = load_segmenter(folder / "best.keras")
    kept = folder / f"scores_{segmenter_fingerprint(segmenter)[:12]}.csv"
    sets = _sets(segmenter.with_runtime("auto"), synthetic_micrographs, nothing)
    table = _scored({which: rows for which, rows in sets.items() if which not in learned}, kept)
    calibrates = (table["data"] == "synthetic bright_field") | (
        (table["data"] == "simulated") & (table["split"] != "test")
    )
    known, wrong = table[calibrates], table[(table["data"] == DRAWN_NOTHING) & (table["agreement"] > 0)]
    both = pd.concat([known, wrong.assign(iou=0.0)])
    segmenter.trust = Trust.calibrate(both["agreement"], both["iou"], known["contradiction"])
    table.insert(4, "expected_iou", table["agreement"].map(segmenter.trust))
    unfamiliar = table["contradiction"] > segmenter.trust.most
    table.insert(6, "warned", (table["expected_iou"] < DOUBTFUL) | unfamiliar)
    table = table.round(4)
    full = segmenter.save(folder / "calibrated.keras", overwrite=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, lambda path: halve_precision(full, path))
    write_table(measured, table, "%.4f")
    write_text(target.with_name("CARD.md"), card(segmenter, table))
    return table


def _scored(sets: dict[tuple[str, str], Callable[[], list[dict[str, Any]]]], kept: Path) -> pd.DataFrame:
    """Score what the card tells of, set by set; the sets that are kept already are not scored again."""
    table = pd.read_csv(kept, float_precision="round_trip").fillna({"split": ""}) if kept.exists() else pd.DataFrame()
    done = set(zip(table["data"], table["split"], strict=True)) if len(table) else set()
    for (data, split), rows in sets.items():
        if (data, split) in done:
            continue
        some = pd.DataFrame([{"data": data, "split": split} | row for row in rows()])
        table = pd.concat([table, some], ignore_index=True)
        write_table(kept, table, "%.17g")
    return table


def _sets(segmenter: Segmenter, n: int, nothing: int) -> dict[tuple[str, str], Callable[[], list[dict[str, Any]]]]:
    """Give what scores each set of micrographs, by data and split."""

    def drawn(mode: str, number: int) -> list[dict[str, Any]]:
        some = islice(synthetic.sample(mode, n, 10**6, workers=2), number)
        return [{"name": m.name} | scores(segmenter, m.image, m.label_array) for m in some]

    def labelled(data: str, split: str) -> list[dict[str, Any]]:
        return [{"name": m.name} | scores(segmenter, m.image, m.labels.data) for m in of_split(data, split)]

    def strange() -> list[dict[str, Any]]:
        return [{"name": name} | _unlabelled(segmenter.maps(picture)) for name, picture in pictures().items()]

    def drawn_nothing() -> list[dict[str, Any]]:
        drawn = (no_micrograph(512, np.random.default_rng([10**6, i])) for i in range(nothing))
        return [{"name": f"no_micrograph_{i:04d}"} | _unlabelled(segmenter.maps(p)) for i, p in enumerate(drawn)]

    known = [("simulated", "train"), ("simulated", "validation"), ("simulated", "test")]
    known += [("emps", "validation"), ("emps", "test")]
    return (
        {
            ("synthetic bright_field", ""): partial(drawn, "bright_field", n),
            ("synthetic dark_field", ""): partial(drawn, "dark_field", n // 3),
        }
        | {each: partial(labelled, *each) for each in known}
        | ({(DRAWN_NOTHING, ""): drawn_nothing} if nothing else {})
        | {("no micrograph", ""): strange}
    )


def card(segmenter: Segmenter, table: pd.DataFrame, recipe: Recipe = Recipe()) -> str:
    """Write the model card, its numbers taken from what was measured.

    Parameters
    ----------
    segmenter : Segmenter
        The bundled one.
    table : DataFrame
        From :func:`bundle`.
    recipe : Recipe
        How it was trained.
    """
    best = max(segmenter.history, key=lambda row: row["emps"])
    return _CARD.format(
        recipe=recipe,
        parameters=segmenter.model.count_params(),
        best=best,
        scores=rows_of_scores(table),
        supports=on_supports("synthetic"),
        doubtful=DOUBTFUL,
        least=segmenter.scorer.least if segmenter.scorer else LEAST_PROBABILITY,
        bright=100 * (1 - recipe.dark_field),
        dark=100 * recipe.dark_field,
    )


def rows_of_scores(table: pd.DataFrame) -> str:
    """Give the rows of a card's table, one for each data set and split."""
    rows = []
    for (data, split), some in table.groupby(["data", "split"], sort=False):
        name = f"{data}, {split}" if split else data
        warned = f"{some['warned'].mean():.0%}"
        if some["iou"].isna().all():
            rows.append(f"| {name} | {len(some)} | - | - | - | - | {warned} |")
            continue
        values = some["iou"].to_numpy()
        draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975])
        scored = f"{values.mean():.2f} ({low:.2f} to {high:.2f}) | {np.median(values):.2f}"
        rows.append(
            f"| {name} | {len(some)} | {scored} | {some['otsu'].mean():.2f} | {some['f1'].mean():.2f} | {warned} |"
        )
    return "\n".join(rows)


def on_supports(network: str) -> str:
    """Say on a card how well a network finds particles on a support: what ``tests/benchmarks/carried.py`` measured."""
    table = pd.read_csv(CARRIED / "measured" / "carried.csv")
    table = table[(table["network"] == network) & table["data"].str.startswith("supported")]
    dark = table["name"].isin(BRIGHT_FIELD)
    said = []
    for some, kind in ((table[~dark], "in HAADF"), (table[dark], "in bright field")):
        means = some.groupby("data", sort=False)["f1"].mean()
        said.append(f"{', '.join(f'{f1:.2f}' for f1 in means)} on the {some['name'].nunique()} {kind}")
    text = f"""**Particles on a support.** Micrographs of supported catalysts with a box around each particle, F1 of
    boxes at IoU 0.5, told nothing, the diameter, or diameter and contrast: {"; ".join(said)}. They were looked at
    while ways to find particles were chosen: no test."""
    return textwrap.fill(" ".join(text.split()), 118, break_long_words=False, break_on_hyphens=False)


def pictures() -> dict[str, np.ndarray]:
    """Give photographs, drawings, printed pages and micrographs of light: those that scikit-image brings along."""
    from skimage import color, data

    names = "astronaut brick camera cat clock coffee coins grass gravel hubble_deep_field moon page retina rocket text"
    shown = {name: np.asarray(getattr(data, name)()) for name in names.split()}
    return {name: color.rgb2gray(picture) if picture.ndim == 3 else picture for name, picture in shown.items()}


def _unlabelled(maps: np.ndarray) -> dict[str, float]:
    return {"agreement": agreement(maps[..., 0]), "contradiction": contradiction(maps)}


def scores(segmenter: Segmenter, image: Any, labels: np.ndarray) -> dict[str, float]:
    """Score mask and particles of one micrograph."""
    found, maps = segmenter.find(image)
    return _unlabelled(maps) | {
        "iou": iou(maps[..., 0] > segmenter.threshold, labels != 0),
        "otsu": iou(otsu_mask(image), labels != 0),
        "f1": particle_f1(found.labels, labels),
    }


def halve_precision(segmenter: Path, path: Path) -> None:
    """Write a saved segmenter again with its weights in float16, compressed; Keras reads them as float32."""
    import h5py

    with zipfile.ZipFile(segmenter) as full, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as half:
        for member in full.namelist():
            content = full.read(member)
            if member.endswith(".h5"):
                target = io.BytesIO()
                with h5py.File(io.BytesIO(content)) as source, h5py.File(target, "w") as file:
                    source.visititems(lambda name, item, file=file: _copy(item, name, file))
                    file.attrs.update(source.attrs)
                content = target.getvalue()
            half.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED)


def _copy(item: h5py.Group | h5py.Dataset, name: str, file: h5py.File) -> None:
    """Copy one member of an HDF5 file, numbers of single precision as half."""
    if hasattr(item, "dtype"):
        data = item[()]
        copied = file.create_dataset(name, data=data.astype(np.float16) if item.dtype == np.float32 else data)
    else:
        copied = file.require_group(name)
    copied.attrs.update(item.attrs)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--bundle", action="store_true", help="put the best state into the package")
    arguments = parser.parse_args()
    if arguments.bundle:
        groups = bundle(arguments.folder).groupby(["data", "split"])
        means = groups[["iou", "otsu", "f1", "expected_iou"]].agg(["mean", "median"])
        sys.stdout.write(f"{means.round(3).to_string()}\n")
        return
    pretrain(arguments.folder, Recipe(seed=arguments.seed, steps=arguments.steps))


if __name__ == "__main__":
    main()
