"""Make the second network that temlib brings along: it goes on from the first, taught by real labels.

The bundled network, which has seen synthetic micrographs alone, learns on: half of each batch are
windows of the training micrographs of ``emps``, half have exact truth: synthetic ones of several
distributions, supported catalysts among them, the training micrographs of ``simulated``, and pictures that
are no micrographs. It may also be told what a teacher says of the real windows (the one in
the package was not): a network with ImageNet's encoder, four times as large, that learned from the same
labels (Hinton, Vinyals and Dean, Distilling the knowledge in a neural network, 2015, arXiv:1503.02531).
The validation micrographs of ``emps`` and ``simulated`` are scored on the way; the last state is kept. What is in
the package is its average with the network that was there before.

    python -m temlib.network.labelled FOLDER [--with-teacher] [--alpha ALPHA] [--steps N ...] [--seed N]
    python -m temlib.network.labelled FOLDER --bundle [--with-teacher] [--averaged-with FILE]

The first goes on where it was stopped. The second calibrates the trust of the last state, puts it into
the package, and scores it: temlib/data/measured/labelled.csv. Needs ``emps`` and, for the teacher,
ImageNet's weights.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from temlib import datasets, synthetic
from temlib.datasets import CARRIED, of_split
from temlib.files.grey_levels import normalise
from temlib.network import bundled, tiling, unet
from temlib.network.augmentation import IGNORED, Augmentation, change_grey, scale_for, truth_maps, views
from temlib.network.backend import start_keras
from temlib.network.bundled_scorer import crowd, population
from temlib.network.learning import compile_for_training, cross_entropy_and_dice
from temlib.network.segmenter import Segmenter, load_segmenter
from temlib.network.training import train_segmenter
from temlib.network.weights import LABELLED
from temlib.progress import progress_bar
from temlib.synthetic.no_micrographs import no_micrograph
from temlib.writing import write_atomically

if TYPE_CHECKING:
    import keras

__all__ = ["AVERAGED", "Course", "Lessons", "Recipe", "bundle", "card", "learn", "teacher"]

_CARD = """\
# Model card: the segmenter that real labels taught

A U-Net with a MobileNet v1 encoder (alpha {alpha}) and one decoder, {parameters:,} parameters, stored in half
precision: {compared} [the one that synthetic micrographs taught](../bundled/CARD.md), from whose weights
it went on. Made by `temlib/network/labelled.py` and written by it, this card included.

**Learned from** windows of {window} px, {batch_size} at a step, {steps} steps, seed {seed}; all weights learned, and
what is kept is their moving average. Half of the windows have exact truth: {views_drawn} are of {micrographs} synthetic
micrographs ({kinds}; those of {both} in both contrasts), {views_simulated} of the {simulated} training micrographs of
`simulated`, and {views_none} of {no_micrographs} pictures that are no micrographs, in which nothing is a particle
(`temlib/synthetic/no_micrographs.py`; none of these in the last course). The other half are of the 140 training
micrographs of EMPS, with their hand-drawn, numbered labels{taught}. EMPS: {emps.citation}, DOI {emps.doi}, licence
{emps.licence}. The network holds no picture of it. Of these {articles} articles:

{dois}

{averaged}**Chosen with labels**: the 36 validation micrographs of EMPS, which are of other articles, and the 9 of
`simulated` chose among recipes and averages. Their scores are therefore a little too good. The test
micrographs chose nothing, and were scored once (and once for the network that had this name before).

| scored on | pictures | mean IoU (95 % interval over micrographs) | median | Otsu, mean | F1 of particles | warned of |
|---|---|---|---|---|---|---|
{scores}

{supports}

**Scorer.** That of the network that synthetic micrographs taught, unchanged.

**Trust.** Both warnings are calibrated as those of the other network, on `synthetic bright_field` above and on the
validation micrographs of `simulated`; no real micrograph is among them. The expected IoU is calibrated on
{drawn_nothing} drawn pictures that are no micrographs, too, of another seed than training's: one in thirteen, as if
one in thirteen of a user's pictures were none. Where all are micrographs it therefore says a little too little. That
number was chosen looking at how many of the 15 pictures and of the validation micrographs of EMPS are warned of. No
warning is no promise.

**Limits.** Meant for particles in bright field. What it knows of real micrographs is from crops of published figures:
few of them are of particles on a support, of lattice fringes, or of cells. What is no micrograph at all it warns of
as the table above says, and is silent about the rest. With a label or a few of your own
`segmenter.adapt` does better. Where it matters that a network has seen no real label, as in notebooks 03 to 05, take
`temlib.load_segmenter("synthetic")`.

**Licence**: CC0-1.0.
"""

_AVERAGED_WITH = """\
**Averaged**: what is in the package is the mean of the weights of two trainings that began with the same ones (Wortsman
et al., Model soups, ICML 2022, arXiv:2203.05482): of the one above, and of the network that had this name before. That
learned for 1000 steps, half from the same real windows, half from 420 synthetic micrographs (40 % `bright_field`, 35 %
`supported`, 10 % `dark_field`, 7.5 % `population`, 7.5 % `crowd`); of its states, 500 steps apart, the validation
micrographs of EMPS chose the second of four. On these, either network alone misses what the other finds.

"""

Pool = tuple[np.ndarray, np.ndarray]
"""Windows, and what is true of them; both float16."""

_KINDS: dict[str, tuple[str | Callable[[np.random.Generator], synthetic.Scene], float]] = {
    "bright_field": ("bright_field", 0.44),
    "supported": ("supported", 0.16),
    "dark_field": ("dark_field", 0.1),
    "population": (population, 0.15),
    "crowd": (crowd, 0.15),
}
_IN_BOTH_CONTRASTS = ("supported", "dark_field")
_TEACHER = 0.5  # weight, where one is asked
_NO_MICROGRAPH_EDGE = 512
_NOTHING = 6  # pictures that are none among those that calibrate trust: one in thirteen

_NOISE = 0.05  # by which copied channels begin to differ
_STATE = ("state.keras", "average.npz", "log.csv")

AVERAGED = 10
"""Steps between two states that the average takes in."""


@dataclass(frozen=True)
class Course:
    """A part of a training.

    Attributes
    ----------
    steps, to_zero : int
        How many, and after how many the rate, which falls by a cosine, would be zero.
    no_micrographs : bool
        Whether pictures that are no micrographs are among its windows.
    """

    steps: int
    to_zero: int
    no_micrographs: bool = True


@dataclass(frozen=True)
class Recipe:
    """What decides the outcome; the defaults are those of the network in the package.

    Attributes
    ----------
    seed : int
        Same seed, same network (where TensorFlow's operations are deterministic).
    alpha, widths
        Width of the encoder, and the channels of the decoder: at least those of the network it begins with.
    courses : tuple of Course
        One after the other; Adam's rate begins anew with each (Loshchilov and Hutter, SGDR, 2016, arXiv:1608.03983).
    batch_size, learning_rate
        Half of a batch is real, half synthetic.
    window : int
        Edge of a view [px].
    views : int
        Windows of each real micrograph.
    micrographs, synthetic_views : int
        Synthetic micrographs, and windows of each.
    simulated_views : int
        Windows of each training micrograph of ``simulated``; they stand among the synthetic ones.
    no_micrographs : int
        Pictures in which nothing is a particle, of :func:`temlib.synthetic.no_micrographs.no_micrograph`; as many
        windows of each as of a synthetic micrograph.
    average : float
        What is scored and kept is an average of the weights; every ``AVERAGED`` steps it keeps this share of itself.
    teacher : float
        Weight of what the teacher says of a real window, besides its label; 0 asks no teacher.
    augmentation : Augmentation
        How views differ; grey levels are changed anew for each step.
    """

    seed: int = 2023
    alpha: float = bundled.Recipe.alpha
    widths: tuple[int, ...] = bundled.Recipe.widths
    courses: tuple[Course, ...] = (Course(2000, 6000), Course(2000, 2000), Course(600, 600, no_micrographs=False))
    batch_size: int = 8
    learning_rate: float = 1e-3
    window: int = 192
    views: int = 32
    micrographs: int = 420
    synthetic_views: int = 6
    simulated_views: int = 24
    no_micrographs: int = 36
    average: float = 0.95
    teacher: float = 0.0
    augmentation: Augmentation = field(
        default_factory=lambda: Augmentation(
            zoom=2.5, gamma=0.4, contrast=0.3, noise=0.2, blur=2.0, inversion=0.08, marks=0.3
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
        course = recipe.courses[int(np.searchsorted(np.cumsum([each.steps for each in recipe.courses]), step))]
        left_out = 0 if course.no_micrographs else recipe.no_micrographs * recipe.synthetic_views  # the last ones
        for pool, unread in ((self.real, 0), (self.drawn, left_out)):
            rows = np.sort(rng.choice(len(pool[0]) - unread, recipe.batch_size // 2, replace=False))
            grey += [change_grey(pool[0][i].astype(np.float32), recipe.augmentation, rng) for i in rows]
            truth.append(pool[1][rows])
        return np.stack(grey)[..., None], np.concatenate(truth)


def learn(folder: Path, recipe: Recipe = Recipe(), check_every: int = 1000) -> Segmenter:
    """Train, or go on training, and give the segmenter of the last state.

    Parameters
    ----------
    folder : Path
        For windows and teacher, which several trainings share, and in a folder of its own for each
        training its state (resumed when there), its log and the latest segmenter.
    recipe : Recipe
        How.
    check_every : int
        Steps between two states that are kept and scored.
    """
    segmenter, learner = _beginning(recipe)
    own = place(folder, recipe)
    own.mkdir(parents=True, exist_ok=True)
    lessons = Lessons(real_pool(folder, recipe), drawn_pool(folder, recipe))
    average = segmenter.model.get_weights()
    rows: list[dict[str, Any]] = []
    if all((own / name).exists() for name in _STATE):
        learner, average, rows = _taken_up(own)
    validation = {name: of_split(name, "validation") for name in ("emps", "simulated")}
    done = int(rows[-1]["step"]) if rows else 0
    losses = []
    ends = np.cumsum([course.steps for course in recipe.courses]).tolist()
    begin = dict(zip([0, *ends], recipe.courses, strict=False))
    with progress_bar(show=True, total=ends[-1], initial=done, desc="learning from labels") as bar:
        for step in range(done + 1, ends[-1] + 1):
            if step - 1 in begin:
                compile_for_training(learner, recipe.learning_rate, begin[step - 1].to_zero)
            losses.append(learner.train_on_batch(*lessons.batch(recipe, step)))
            bar.update()
            if step % AVERAGED == 0:
                average = _averaged(average, learner.get_weights(), recipe.average)
            if step % check_every and step not in ends:
                continue
            segmenter.model.set_weights(average)
            scores = {name: bundled.score(segmenter, some) for name, some in validation.items()}
            rows.append({"step": step, "loss": float(np.mean(losses))} | scores)
            losses = []
            segmenter.history = rows.copy()
            segmenter.save(own / "latest.keras", overwrite=True)
            _keep(own, learner, average, rows)
            bar.set_postfix({name: f"{value:.3f}" for name, value in scores.items()})
    return load_segmenter(own / "latest.keras")


def _beginning(recipe: Recipe) -> tuple[Segmenter, keras.Model]:
    """Give the segmenter that synthetic micrographs taught, as wide as asked for, and what learns its weights."""
    segmenter = load_segmenter("synthetic", "keras")  # whose weights change; OpenVINO would keep its own
    encoder, decoder, learner = bundled.network(replace(bundled.Recipe(), alpha=recipe.alpha, widths=recipe.widths))
    model = unet.unet(encoder, decoder)
    unet.widen(segmenter.model, model, _NOISE, recipe.seed)
    return replace(segmenter, model=model, _network=tiling.Started()), learner


def _taken_up(own: Path) -> tuple[keras.Model, list[np.ndarray], list[dict[str, Any]]]:
    """Give what learns, the average of its weights and the log, of where training was stopped."""
    keras = start_keras()
    state, mean, log = (own / name for name in _STATE)
    custom = {"cross_entropy_and_dice": cross_entropy_and_dice}
    learner = keras.saving.load_model(state, custom_objects=custom, safe_mode=True)
    with np.load(mean, allow_pickle=False) as kept:
        return learner, [kept[name] for name in kept.files], pd.read_csv(log).to_dict("records")


def _keep(own: Path, learner: keras.Model, average: list[np.ndarray], rows: list[dict[str, Any]]) -> None:
    learner.save(own / "state.keras")
    write_atomically(own / "average.npz", lambda path: np.savez(path, *average))
    pd.DataFrame(rows).to_csv(own / "log.csv", index=False, float_format="%.4f")


def _averaged(average: list[np.ndarray], weights: list[np.ndarray], share: float) -> list[np.ndarray]:
    return [share * before + (1 - share) * now for before, now in zip(average, weights, strict=True)]


def bundle(
    folder: Path, recipe: Recipe = Recipe(), other: Path | None = None, synthetic_micrographs: int = 60
) -> pd.DataFrame:
    """Put the last state of a training into the package, with its trust calibrated; score it, as ``bundled.bundle``.

    Parameters
    ----------
    folder : Path
        Of :func:`learn`.
    recipe : Recipe
        How it learned.
    other : Path, optional
        Another segmenter that began with the same weights: the average of both, half and half, is put into the package.
    synthetic_micrographs : int
        See :func:`bundled.put_into_package`.
    """
    segmenter, ready = load_segmenter(place(folder, recipe) / "latest.keras"), place(folder, recipe) / "ready"
    if other is not None:
        pair = segmenter.model.get_weights(), load_segmenter(other).model.get_weights()
        segmenter.model.set_weights(_averaged(*pair, 0.5))
    ready.mkdir(exist_ok=True)
    segmenter.save(ready / "best.keras", overwrite=True)
    return bundled.put_into_package(
        ready,
        LABELLED,
        CARRIED / "measured" / "labelled.csv",
        lambda segmenter, table: card(segmenter, table, recipe, averaged=other is not None),
        synthetic_micrographs,
        learned=[("simulated", "train")],
        nothing=_NOTHING,
    )


def card(segmenter: Segmenter, table: pd.DataFrame, recipe: Recipe = Recipe(), averaged: bool = True) -> str:
    """Write the model card, its numbers taken from what was measured; see :func:`bundled.card`."""
    known = datasets.table("emps")
    articles = sorted(known.loc[known["split"] == "train", "group"].unique())
    told = f", and with what a teacher says of them (weight {recipe.teacher}): ImageNet's encoder, frozen, and three "
    told += "decoders that learned from the same labels; its weights are not in this network"
    simulated = len(datasets.table("simulated").query("split == 'train'"))
    usual = bundled.Recipe.alpha, bundled.Recipe.widths
    text = _CARD.format(
        **vars(recipe) | {"steps": " and then ".join(str(course.steps) for course in recipe.courses)},
        views_drawn=recipe.micrographs * recipe.synthetic_views,
        views_simulated=simulated * recipe.simulated_views,
        views_none=recipe.no_micrographs * recipe.synthetic_views,
        simulated=simulated,
        drawn_nothing=_NOTHING,
        compared="as large and as fast as" if (recipe.alpha, recipe.widths) == usual else "wider and slower than",
        parameters=segmenter.model.count_params(),
        kinds=", ".join(f"{share:.1%} `{kind}`".replace("%", " %") for kind, (_, share) in _KINDS.items()),
        both=" and ".join(f"`{kind}`" for kind in _IN_BOTH_CONTRASTS),
        taught=told if recipe.teacher else "; a teacher was not asked",
        emps=datasets.DATASETS["emps"],
        articles=len(articles),
        dois=", ".join(articles),
        averaged=_AVERAGED_WITH if averaged else "",
        scores=bundled.rows_of_scores(table),
        supports=bundled.on_supports("labelled"),
    )
    blocks = text.rstrip().split("\n\n")
    return "\n\n".join(block if block[0] in "#|" else _filled(block) for block in blocks) + "\n"


def _filled(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def place(folder: Path, recipe: Recipe) -> Path:
    """Give the folder of one training."""
    width = "" if recipe.alpha == bundled.Recipe.alpha else f"_alpha_{recipe.alpha}"
    width += "" if recipe.widths == bundled.Recipe.widths else f"_widths_{'_'.join(map(str, recipe.widths))}"
    return folder / f"{'with' if recipe.teacher else 'without'}_teacher_{recipe.seed}{width}"


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
    """Give windows whose truth is exact: of synthetic micrographs of all kinds, and of pictures that are none.

    Those of scattered electrons are in both contrasts; the training micrographs of ``simulated`` are among them.
    """
    numbers = {kind: round(share * recipe.micrographs) for kind, (_, share) in _KINDS.items()}
    rendered = of_split("simulated", "train")

    def make() -> Iterator[Pool]:
        rng = np.random.default_rng([recipe.seed, 2])
        for place, (kind, (draw, _)) in enumerate(_KINDS.items()):
            for m in synthetic.sample(draw, numbers[kind], recipe.seed + 10_000 * (place + 1), workers=2):
                for window, target in _drawn(m.counts, m.label_array, recipe.synthetic_views, recipe, rng):
                    inverted = kind in _IN_BOTH_CONTRASTS and rng.random() < 0.5
                    yield -window if inverted else window, target
        for each in rendered:
            yield from _drawn(each.image, each.labels.data, recipe.simulated_views, recipe, rng)
        nothing = np.zeros((_NO_MICROGRAPH_EDGE, _NO_MICROGRAPH_EDGE), np.int32)
        for _ in range(recipe.no_micrographs):
            picture = no_micrograph(_NO_MICROGRAPH_EDGE, rng)
            yield from _drawn(picture, nothing, recipe.synthetic_views, recipe, rng)

    n = (sum(numbers.values()) + recipe.no_micrographs) * recipe.synthetic_views
    return _kept(folder, "synthetic", make, n + len(rendered) * recipe.simulated_views)


def _drawn(image: Any, labels: np.ndarray, n: int, recipe: Recipe, rng: np.random.Generator) -> Iterator[Pool]:
    factor = scale_for(labels != 0, bundled.Recipe.target_size)
    return _views(normalise(image), truth_maps(labels), n, factor, recipe, rng)


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
    parser.add_argument("--steps", type=int, nargs="+", help="of each course, at whose end the rate is zero")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--alpha", type=float, default=Recipe.alpha, help="width of the encoder; default: %(default)s")
    parser.add_argument("--with-teacher", action="store_true", help="labels and a teacher's maps count the same")
    parser.add_argument("--bundle", action="store_true", help="put the last state into the package")
    parser.add_argument("--averaged-with", type=Path, metavar="FILE", help="... averaged with this segmenter")
    arguments = parser.parse_args()
    weight = _TEACHER if arguments.with_teacher else Recipe.teacher
    courses = tuple(Course(steps, steps) for steps in arguments.steps) if arguments.steps else Recipe.courses
    recipe = Recipe(seed=arguments.seed, alpha=arguments.alpha, courses=courses, teacher=weight)
    if arguments.bundle:
        means = bundle(arguments.folder, recipe, arguments.averaged_with).groupby(["data", "split"])[
            ["iou", "otsu", "f1", "expected_iou"]
        ]
        sys.stdout.write(f"{means.agg(['mean', 'median']).round(3).to_string()}\n")
        return
    learn(arguments.folder, recipe)


if __name__ == "__main__":
    main()
