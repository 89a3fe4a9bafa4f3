"""Which scorer should judge the particles of a network that a user trains?

For each seed twenty micrographs with their hand labels are drawn from the training split of emps, and the default
segmenter learns from them. Its particles on all validation micrographs are judged in four ways: by a fixed rule
(mean probability); by the bundled scorer; by one that learned from the same twenty labels; by one that
learned from them out of fold: the labels are halved by article, a network learns from each half, and what it
proposes on the other is the lesson. All scorers are asked for the same confidences, one after another: a bound that
suits one need not suit another. The test split is not touched.

Needs TEMLIB_DATA (or a network) and ImageNet weights; five minutes a seed on two cores. Writes
temlib/data/measured/own_scorer.csv, one row for each seed, scorer, bound and micrograph; seeds that are there are not
done again.

    python -m tests.benchmarks.own_scorer
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold

import temlib
from temlib import datasets
from temlib.network import finding
from temlib.network.bundled_scorer import lessons_of
from temlib.network.segmenter import Segmenter, carried_scorer
from temlib.particles.lessons import fit_scorer
from temlib.particles.placing import place
from temlib.particles.scorer import Scorer
from temlib.particles.scores import particle_f1
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

SEEDS, LABELS, CONFIDENCES = (1, 2, 3), 20, (0.2, 0.35, 0.5)
NAMES = {
    "carried": "bundled",
    "own": "own, of the same labels",
    "own, out of fold": "own, out of fold",
    "rule": "none: mean probability",
}
TABLE = MEASURED / "own_scorer.csv"


def main() -> None:
    """Run the benchmark and print its tables."""
    done = Results(TABLE, ("seed",))
    for seed in SEEDS:
        if not done.has(seed):
            done.add(trial(seed))
            print(f"seed {seed} is done", flush=True)
    print(summary(done.table).round(3))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give each scorer's mean F1 with each seed and confidence asked for, and the error of the count [%]."""
    keys = ["scorer", "min_confidence"]
    f1 = table.pivot_table(index=keys, columns="seed", values="f1")
    off = (table["found"] / table["true"] - 1).abs().groupby([table[key] for key in keys]).median()
    return f1.assign(mean=f1.mean(axis=1), count_error_percent=100 * off)


def lines(table: pd.DataFrame) -> list[str]:
    """Give the rows of the table in ``docs/evidence.md``."""
    rows = []
    for (scorer, least), row in summary(table).iterrows():
        seeds = ", ".join(f"{row[seed]:.2f}" for seed in SEEDS)
        rows.append(
            f"| {NAMES[scorer]} | {least:g} | {seeds} | {row['mean']:.2f} | {row['count_error_percent']:.0f} % |"
        )
    return rows


def trial(seed: int) -> pd.DataFrame:
    """Train, let scorers learn, and score."""
    known = datasets.table("emps").query("split == 'train'").reset_index(drop=True)
    names = known.iloc[np.random.default_rng([2023, seed]).choice(len(known), LABELS, replace=False)]
    learned, groups = datasets.load("emps", list(names["name"])), list(names["group"])
    segmenter = taught_by(learned, seed)
    scorers: dict[str, Scorer | None] = {
        "rule": None,
        "carried": carried_scorer(),
        "own": fit_scorer(list(lessons_of(segmenter, *pairs(learned))), groups, seed=seed),
        "own, out of fold": fit_scorer(out_of_fold(learned, groups, seed), groups, seed=seed),
    }
    rows = []
    for micrograph in datasets.of_split("emps", "validation"):
        truth = np.asarray(micrograph.labels.data)
        for (name, least), found in judged(segmenter, micrograph.image, scorers).items():
            counts = {"found": int(found.max()), "true": len(np.unique(truth)) - 1}
            keys = {"seed": seed, "scorer": name, "min_confidence": least}
            rows.append(keys | {"f1": particle_f1(found, truth)} | counts)
    return pd.DataFrame(rows)


def taught_by(micrographs: list, seed: int) -> Segmenter:
    """Train the default segmenter."""
    return temlib.train_segmenter(*pairs(micrographs), weights="imagenet", seed=seed, progress=False)


def pairs(micrographs: list) -> tuple[list, list]:
    """Give images and labels."""
    return [m.image for m in micrographs], [m.labels for m in micrographs]


def out_of_fold(micrographs: list, groups: list, seed: int) -> list:
    """Give the lesson of each micrograph, by a network that learned from micrographs of other articles."""
    lessons: dict[int, object] = {}
    for learned, left in GroupKFold(2, shuffle=True, random_state=seed).split(micrographs, groups=groups):
        network = taught_by([micrographs[i] for i in learned], seed)
        of_left = lessons_of(network, *pairs([micrographs[i] for i in left]))
        lessons |= dict(zip(left, of_left, strict=True))
    return [lessons[i] for i in range(len(micrographs))]


def judged(
    segmenter: Segmenter, image: object, scorers: dict[str, Scorer | None]
) -> dict[tuple[str, float], np.ndarray]:
    """Give the particles that each scorer finds among the same proposals, by the confidence that is asked for."""
    proposals = segmenter.proposals(image)
    found = {}
    for name, scorer in scorers.items():
        if scorer is None:
            labels = replace(segmenter, scorer=None).particles(image, marks="keep").data
            found[name, finding.LEAST_PROBABILITY] = labels
        else:
            expected = scorer(proposals.numbers)
            confidence = scorer.sure(expected)
            for least in CONFIDENCES:
                found[name, least] = place(proposals, expected, confidence, least, segmenter.threshold).labels
    return found


if __name__ == "__main__":
    main()
