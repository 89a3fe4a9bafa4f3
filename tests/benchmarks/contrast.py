"""What does ``contrast="auto"`` cost where the contrast is known, and does it find the right one?

The default network on the validation micrographs of emps and simulated: IoU of its mask with ``contrast="dark"``,
``"bright"`` and ``"auto"``, the median diameter of the true particles told and untold; the doubt in the probability of
either contrast, by which ``"auto"`` decides; and the contrast that it took. Beside them the contrast of the truth, by
the median grey level inside of the particles and outside.

Needs TEMLIB_DATA with ``emps``; ten minutes on two cores. Writes temlib/data/measured/contrast.csv, a row for each
micrograph, told or untold; what is there already is not done again.

    python -m tests.benchmarks.contrast
"""

import warnings

import numpy as np
import pandas as pd

import temlib
from temlib.datasets import Annotated, of_split
from temlib.files.micrographs import as_array
from temlib.network.finding import doubt_in
from temlib.network.sought import CONTRASTS, Sought
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results
from tests.benchmarks.sizes_real import diameters

TABLE, DATA, TOLD = MEASURED / "contrast.csv", ("emps", "simulated"), ("nothing", "diameter")


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    done, segmenter = Results(TABLE, ("data", "name", "told"), "%.4f", dtype={"name": str}), temlib.load_segmenter()
    for data in DATA:
        for m in of_split(data, "validation"):
            if not done.has(data, m.name, TOLD[-1]):
                done.add([{"data": data, "name": m.name} | row for row in rows_of(segmenter, m)])
    print(*lines(done.table), sep="\n")


def rows_of(segmenter: temlib.Segmenter, m: Annotated) -> list[dict]:
    """Compare the contrasts on one micrograph, told nothing else and told the diameter."""
    marks, diameter = Sought().marks_in(as_array(m.image)), float(np.median(diameters(m.labels.data)))
    rows = []
    for told in TOLD:
        some = segmenter.looking_for(diameter_px=diameter if told == "diameter" else None, marks="keep")
        maps = {contrast: some.looking_for(contrast=contrast).maps(m.image)[..., 0] for contrast in CONTRASTS}
        with warnings.catch_warnings():  # of a doubtful mask, whose truth is at hand
            warnings.simplefilter("ignore", UserWarning)
            masks = {contrast: as_array(some(m.image, contrast=contrast)) & ~marks for contrast in CONTRASTS}
        doubts = {f"doubt {contrast}": doubt_in(maps[contrast]) for contrast in CONTRASTS[:2]}
        taken = next(contrast for contrast in CONTRASTS if np.array_equal(maps["auto"], maps[contrast]))
        scores = {contrast: iou(mask, m.mask) for contrast, mask in masks.items()}
        rows.append(
            {"told": told, "diameter_px": diameter, "true": true_contrast(m)} | doubts | {"taken": taken} | scores
        )
    return rows


def true_contrast(m: Annotated) -> str:
    """Say by their median grey levels whether particles are brighter than what is around them."""
    grey = as_array(m.image)
    return "bright" if np.median(grey[m.mask]) > np.median(grey[~m.mask]) else "dark"


def lines(table: pd.DataFrame) -> list[str]:
    """Give the table of ``docs/evidence.md``."""
    rows = []
    for (data, told), some in table.groupby(["data", "told"], sort=False):
        means = " | ".join(f"{some[contrast].mean():.2f}" for contrast in CONTRASTS)
        dark = some[some["true"] == "dark"]
        rows.append(f"| `{data}` | {told} | {means} | {(dark['taken'] == 'bright').sum()} of {len(dark)} |")
    return rows


if __name__ == "__main__":
    main()
