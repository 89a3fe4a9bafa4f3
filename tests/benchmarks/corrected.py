"""Which errors of its teacher does a network correct? Those of the very labels that it learned from.

A pixel classifier labels 24 training micrographs of ``simulated`` and of ``emps``, as in
tests/benchmarks/title_question.py; ImageNet's frozen encoder learns from these labels alone. Each pixel that ML has
wrong there belongs to one kind:

- ``edge``: within a tenth of the median diameter of a true outline (two pixels at least);
- ``speck, hole``: of a connected patch of wrong pixels that is smaller than a tenth of the median particle;
- ``false particle`` and ``missed particle``: of a larger patch.

The first two are random at the scale of a particle, the others are not. Three seeds, fixed beforehand.

Needs TEMLIB_DATA (or a network) and ImageNet weights; ten minutes on two cores. Writes
temlib/data/measured/corrected.csv, one row for each data set, seed and kind; data sets and seeds that are there are
not done again.

    python -m tests.benchmarks.corrected
"""

import numpy as np
import pandas as pd
from scipy import ndimage

from temlib.files.micrographs import as_array
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results
from tests.benchmarks.title_question import DATA, teacher, trained

SEEDS = (2023, 1, 2)
KINDS = ("edge", "speck, hole", "false particle", "missed particle")
TABLE = MEASURED / "corrected.csv"


def main() -> None:
    """Run the benchmark and print its table."""
    done = Results(TABLE, ("data", "seed"))
    for seed in SEEDS:
        for data in DATA:
            if not done.has(data, seed):
                done.add([{"data": data, "seed": seed} | row for row in trial(data, seed)])
                print(f"{data}, seed {seed} is done", flush=True)
    print(summary(done.table))


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Give each kind's share of what ML has wrong, and how much of it TL has right: mean, least, greatest seed [%]."""
    whole = table.groupby(["data", "seed"])["wrong"].transform("sum")
    known = table.assign(share=100 * table["wrong"] / whole, corrected=100 * table["corrected"] / table["wrong"])
    return known.groupby(["data", "kind"], sort=False)[["share", "corrected"]].agg(["mean", "min", "max"])


def lines(table: pd.DataFrame) -> list[str]:
    """Give the table of ``docs/evidence.md``."""
    said = summary(table)
    rows = []
    for kind in KINDS:
        cells = [
            f"{said.loc[(data, kind), (what, 'mean')]:.0f} % ({said.loc[(data, kind), (what, 'min')]:.0f} to "
            f"{said.loc[(data, kind), (what, 'max')]:.0f})"
            for data in DATA
            for what in ("share", "corrected")
        ]
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    return rows


def trial(data: str, seed: int) -> list[dict]:
    """Let a network learn from ML labels, and count what it has right of what they have wrong."""
    train, _, ml = teacher(data, seed)
    labels = [ml(m.image).data for m in train]
    segment = trained([m.image for m in train], labels, "imagenet", seed)
    wrong, corrected = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    for m, label in zip(train, labels, strict=True):
        right = segment(m.image) == m.mask
        for kind, where in kinds_of(label, as_array(m.labels)).items():
            wrong[kind] += int(where.sum())
            corrected[kind] += int((where & right).sum())
    return [{"kind": kind, "wrong": wrong[kind], "corrected": corrected[kind]} for kind in KINDS]


def kinds_of(label: np.ndarray, numbered: np.ndarray) -> dict[str, np.ndarray]:
    """Say of each pixel that a label has wrong of which kind that is."""
    truth = numbered > 0
    area = float(np.median(np.unique(numbered[truth], return_counts=True)[1])) if truth.any() else 0.0
    distance = np.where(truth, ndimage.distance_transform_edt(truth), ndimage.distance_transform_edt(~truth))
    edge = distance <= max(2.0, 0.1 * np.sqrt(4 * area / np.pi))
    kinds = {"edge": (label != truth) & edge}
    small = np.zeros(truth.shape, bool)
    for name, wrong in {"false particle": label & ~truth & ~edge, "missed particle": ~label & truth & ~edge}.items():
        patches, _ = ndimage.label(wrong)
        large = np.bincount(patches.ravel()) >= 0.1 * area
        large[0] = False
        kinds[name] = large[patches]
        small |= wrong & ~kinds[name]
    return kinds | {"speck, hole": small}


if __name__ == "__main__":
    main()
