"""Make the second network that temlib brings along: it goes on from the first, taught by real labels.

The bundled network, which has seen synthetic micrographs alone, learns on: half of each batch are
windows of the training micrographs of ``emps``, half of synthetic ones of several distributions,
supported catalysts among them. It may also be told what a teacher says of the real windows (the one in
the package was not): a network with ImageNet's encoder, four times as large, that learned from the same
labels (Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015, arXiv:1503.02531).
The validation micrographs of ``emps`` choose; nothing else does.

    python -m temlib.network.labelled FOLDER [--with-teacher] [--steps N ...] [--seed N]
    python -m temlib.network.labelled FOLDER --bundle [--with-teacher]

The first goes on where it was stopped. The second calibrates the trust of the best state, puts it into
the package, and scores it: temlib/data/measured/labelled.csv. Needs ``emps`` and, for the teacher,
ImageNet's weights.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from temlib import datasets, synthetic
from temlib.datasets import CARRIED, of_split
from temlib.files.grey_levels import normalise
from temlib.network import bundled, unet
from temlib.network.augmentation import IGNORED, Augmentation, change_grey, scale_for, truth_maps, views
from temlib.network.backend import start_keras
from temlib.network.bundled_scorer import crowd, population
from temlib.network.learning import compile_for_training, cross_entropy_and_dice
from temlib.network.segmenter import Segmenter, load_segmenter
from temlib.network.training import train_segmenter
from temlib.progress import progress_bar
from temlib.writing import write_atomically

__all__ = ["Lessons", "Recipe", "bundle", "card", "learn", "teacher"]

_CARD = """\
# Model card: the segmenter that real labels taught

A U-Net with a MobileNet v1 encoder (alpha {start.alpha}) and one decoder, {parameters:,} parameters, stored in half
precision: as large and as fast as [the one that synthetic micrographs taught](../bundled/CARD.md), from whose weights
it went on. Made by `temlib/network/labelled.py` and written by it, this card included.

**Learned from** windows of {window} px, {batch_size} at a step, {steps} steps, seed {seed}; all weights learned. Half
of them are of {micrographs} synthetic micrographs ({kinds}; those of {both} in both contrasts). The other half are of
the 140 training micrographs of EMPS, with their hand-drawn, numbered labels{taught}. EMPS: {emps.citation}, DOI
{emps.doi}, licence {emps.licence}. The network holds no picture of it. Of these {articles} articles:

{dois}

**Chosen with labels**: of the states of this training, one every {every} steps, the one with the best mean IoU on the
36 validation micrographs of EMPS (step {best[step]}), which are of other articles. Their scores are therefore a little
too good. The test micrographs chose nothing, and were scored once, by the command that wrote this card.

| scored on | pictures | mean IoU (95 % interval over micrographs) | median | Otsu, mean | F1 of particles | warned of |
|---|---|---|---|---|---|---|
{scores}

**Scorer.** That of the network that synthetic micrographs taught, unchanged.

**Trust.** Both warnings are calibrated as those of the other network, on `synthetic bright_field` above and on
`simulated` without its test split; no real micrograph is among them. No warning is no promise.

**Limits.** Meant for particles in bright field. What it knows of real micrographs is from crops of published figures:
few of them are of particles on a support, of lattice fringes, or of cells. What is no micrograph at all it warns of
less often than the other network does (`no micrograph` on both cards). With a label or a few of your own
`segmenter.adapt` does better. Where it matters that a network has seen no real label, as in notebooks 03 to 05, take
`temlib.load_segmenter("synthetic")`.

**Licence**: CC0-1.0.
"""

Pool = tuple[np.ndarray, np.ndarray]
"""Windows, and what is true of them; both float16."""

_KINDS: dict[str, tuple[str | Callable[[np.random.Generator], synthetic.Scene], float]] = {
    "bright_field": ("bright_field", 0.4),
    "supported": ("supported", 0.35),
    "dark_field": ("dark_field", 0.1),
    "population": (population, 0.075),
    "crowd": (crowd, 0.075),
}
_IN_BOTH_CONTRASTS = ("supported", "dark_field")
_TEACHER = 0.5  # weight, where one is asked


@dataclass(frozen=True)
class Recipe:
    """What decides the outcome; the defaults are those of the network in the package.

    Attributes
    ----------
    seed : int
        Same seed, same network (where TensorFlow's operations are deterministic).
    steps : tuple of int
        Of each course; Adam's rate begins anew with each, and falls to zero by a cosine (Loshchilov and Hutter,
        SGDR, 2016, arXiv:1608.03983).
    batch_size, learning_rate
        Half of a batch is real, half synthetic.
    window : int
        Edge of a view [px].
    views : int
        Windows of each real micrograph.
    micrographs, synthetic_views : int
        Synthetic micrographs, and windows of each.
    teacher : float
        Weight of what the teacher says of a real window, besides its label; 0 asks no teacher.
    augmentation : Augmentation
        How views differ; grey levels are changed anew for each step.
    """

    seed: int = 2023
    steps: tuple[int, ...] = (2000,)
    batch_size: int = 8
    learning_rate: float = 1e-3
    window: int = 192
    views: int = 32
    micrographs: int = 420
    synthetic_views: int = 6
    teacher: float = 0.0
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            zoom=2.5, gamma=0.4, contrast=0.3, noise=0.2, blur=2.0, inversion=0.05, marks=0.3
        )
    )


@dataclass(frozen=True)
class Lessons:
    """The windows that a network learns from: real ones, and synthetic ones."""

    real: Pool
    drawn: Pool

    def batch(self, recipe: Recipe, step: int) -> Pool:
        """Give the windows of one step, half of them real."""
        rng = np.random.default_rng([recipe.seed, step])
        grey, truth = [], []
        for pool in (self.real, self.drawn):
            rows = np.sort(rng.choice(len(pool[0]), recipe.batch_size // 2, replace=False))
            grey += [change_grey(pool[0][i].astype(np.float32), recipe.augmentation, rng) for i in rows]
            truth.append(pool[1][rows])
        return np.stack(grey)[..., None], np.concatenate(truth)


def learn(folder: Path, recipe: Recipe = Recipe(), check_every: int = 500) -> Segmenter:
    """Train, or go on training, and give the segmenter of the best state on validation.

    Parameters
    ----------
    folder : Path
        For windows and teacher, which several trainings share, and in a folder of its own for each
        training its state (resumed when there), its log and the best segmenter.
    recipe : Recipe
        How.
    check_every : int
        Steps between two states that are kept and scored.
    """
    keras = start_keras()
    own = place(folder, recipe)
    own.mkdir(parents=True, exist_ok=True)
    state, log = own / "state.keras", own / "log.csv"
    rows = pd.read_csv(log).to_dict("records") if log.exists() and state.exists() else []
    lessons = Lessons(real_pool(folder, recipe), drawn_pool(folder, recipe))
    segmenter = load_segmenter("synthetic")
    _, _, learner = bundled.network(bundled.Recipe())
    learner.set_weights(segmenter.model.get_weights())
    if rows:
        learner = keras.saving.load_model(
            state, custom_objects={"cross_entropy_and_dice": cross_entropy_and_dice}, safe_mode=True
        )
    validation = of_split("emps", "validation")
    done = int(rows[-1]["step"]) if rows else 0
    losses = []
    ends = np.cumsum(recipe.steps).tolist()
    begin = dict(zip([0, *ends], recipe.steps, strict=False))
    with progress_bar(show=True, total=ends[-1], initial=done, desc="learning from labels") as bar:
        for step in range(done + 1, ends[-1] + 1):
            if step - 1 in begin:
                compile_for_training(learner, recipe.learning_rate, begin[step - 1])
            losses.append(learner.train_on_batch(*lessons.batch(recipe, step)))
            bar.update()
            if step % check_every and step not in ends:
                continue
            segmenter.model.set_weights(learner.get_weights())
            rows.append({"step": step, "loss": float(np.mean(losses)), "emps": bundled.score(segmenter, validation)})
            losses = []
            if rows[-1]["emps"] == max(row["emps"] for row in rows):
                segmenter.history = rows.copy()
                segmenter.save(own / "best.keras", overwrite=True)
            learner.save(state)
            pd.DataFrame(rows).to_csv(log, index=False, float_format="%.4f")
            bar.set_postfix({"validation IoU": f"{rows[-1]['emps']:.3f}"})
    return load_segmenter(own / "best.keras")


def bundle(folder: Path, recipe: Recipe = Recipe(), synthetic_micrographs: int = 60) -> pd.DataFrame:
    """Put the best segmenter into the package, with its trust calibrated; score it, as :func:`bundled.bundle` does."""
    return bundled.put_into_package(
        place(folder, recipe),
        unet.LABELLED,
        CARRIED / "measured" / "labelled.csv",
        lambda segmenter, table: card(segmenter, table, recipe),
        synthetic_micrographs,
    )


def card(segmenter: Segmenter, table: pd.DataFrame, recipe: Recipe = Recipe()) -> str:
    """Write the model card, its numbers taken from what was measured; see :func:`bundled.card`."""
    steps = [row["step"] for row in segmenter.history]
    known = datasets.table("emps")
    articles = sorted(known.loc[known["split"] == "train", "group"].unique())
    told = f", and with what a teacher says of them (weight {recipe.teacher}): ImageNet's encoder, frozen, and three "
    told += "decoders that learned from the same labels; its weights are not in this network"
    text = _CARD.format(
        **vars(recipe) | {"steps": " and then ".join(map(str, recipe.steps))},
        start=bundled.Recipe(),
        parameters=segmenter.model.count_params(),
        kinds=", ".join(f"{share:.1%} `{kind}`".replace("%", " %") for kind, (_, share) in _KINDS.items()),
        both=" and ".join(f"`{kind}`" for kind in _IN_BOTH_CONTRASTS),
        taught=told if recipe.teacher else "; a teacher was not asked",
        emps=datasets.DATASETS["emps"],
        articles=len(articles),
        dois=", ".join(articles),
        every=steps[0],
        best=max(segmenter.history, key=lambda row: row["emps"]),
        scores=bundled.rows_of_scores(table),
    )
    blocks = text.rstrip().split("\n\n")
    return "\n\n".join(block if block[0] in "#|" else _filled(block) for block in blocks) + "\n"


def _filled(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def place(folder: Path, recipe: Recipe) -> Path:
    """Give the folder of one training."""
    return folder / ("with_teacher" if recipe.teacher else "without_teacher")


def teacher(folder: Path, recipe: Recipe) -> Segmenter:
    """Train the teacher on the training micrographs of ``emps``; it is kept in the folder."""
    path = folder / "teacher.keras"
    if not path.exists():
        training = of_split("emps", "train")
        taught = train_segmenter(
            [m.image for m in training],
            [m.labels for m in training],
            weights="imagenet",
            views=4,
            checkpoint=folder / "teacher.npz",
            seed=recipe.seed,
        )
        taught.save(path)
    return load_segmenter(path, runtime="auto")


def real_pool(folder: Path, recipe: Recipe) -> Pool:
    """Give windows of the training micrographs of ``emps``, with their labels and what the teacher says."""

    def make() -> Iterator[Pool]:
        taught = teacher(folder, recipe) if recipe.teacher else None
        rng = np.random.default_rng([recipe.seed, 1])
        for m in of_split("emps", "train"):
            truth = truth_maps(m.labels)
            if taught is not None:
                said = recipe.teacher * taught.maps(m.image) + (1 - recipe.teacher) * truth
                truth = np.where(truth == IGNORED, truth, said)
            grey, factor = normalise(m.image), scale_for(m.mask, bundled.Recipe.target_size)
            yield from _views(grey, truth, recipe.views, factor, recipe, rng)

    name = "real_with_teacher" if recipe.teacher else "real"
    return _kept(folder, name, make, len(of_split("emps", "train")) * recipe.views)


def drawn_pool(folder: Path, recipe: Recipe) -> Pool:
    """Give windows of synthetic micrographs of all kinds, those of scattered electrons in both contrasts."""
    numbers = {kind: round(share * recipe.micrographs) for kind, (_, share) in _KINDS.items()}

    def make() -> Iterator[Pool]:
        rng = np.random.default_rng([recipe.seed, 2])
        for place, (kind, (draw, _)) in enumerate(_KINDS.items()):
            for m in synthetic.sample(draw, numbers[kind], recipe.seed + 10_000 * (place + 1), workers=2):
                grey, labels = normalise(m.counts), m.label_array
                factor = scale_for(labels != 0, bundled.Recipe.target_size)
                for window, target in _views(grey, truth_maps(labels), recipe.synthetic_views, factor, recipe, rng):
                    inverted = kind in _IN_BOTH_CONTRASTS and rng.random() < 0.5
                    yield -window if inverted else window, target

    return _kept(folder, "synthetic", make, sum(numbers.values()) * recipe.synthetic_views)


def _views(
    grey: np.ndarray, truth: np.ndarray, n: int, factor: float, recipe: Recipe, rng: np.random.Generator
) -> Iterator[Pool]:
    geometry = recipe.augmentation.geometry()
    return views(grey, truth, n, factor=factor, size=recipe.window, augmentation=geometry, rng=rng)


def _kept(folder: Path, name: str, make: Callable[[], Iterator[Pool]], n: int) -> Pool:
    """Read windows from the folder, or make them and keep them there."""
    paths = [folder / f"{name}_{what}.npy" for what in ("grey", "truth")]
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        some = [
            tuple(each.astype(np.float16) for each in pair)
            for pair in progress_bar(make(), show=True, total=n, desc=f"{name} windows")
        ]
        for path, arrays in zip(paths, zip(*some, strict=True), strict=True):
            write_atomically(path, partial(np.save, arr=np.stack(arrays)))
    grey, truth = (np.load(path, allow_pickle=False) for path in paths)
    return grey, truth


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=Recipe.steps, help="of each course")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--with-teacher", action="store_true", help="labels and a teacher's maps count the same")
    parser.add_argument("--bundle", action="store_true", help="put the best state into the package")
    arguments = parser.parse_args()
    weight = _TEACHER if arguments.with_teacher else Recipe.teacher
    recipe = Recipe(seed=arguments.seed, steps=tuple(arguments.steps), teacher=weight)
    if arguments.bundle:
        means = bundle(arguments.folder, recipe).groupby(["data", "split"])[["iou", "otsu", "f1", "expected_iou"]]
        sys.stdout.write(f"{means.agg(['mean', 'median']).round(3).to_string()}\n")
        return
    learn(arguments.folder, recipe)


if __name__ == "__main__":
    main()
