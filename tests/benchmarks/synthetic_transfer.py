"""Does it transfer? Train on synthetic micrographs alone, score on real and on multislice ones.

No real label is used in training. Each variant of the generator makes 96 micrographs; the frozen
ImageNet encoder's decoder learns from them and is scored, at native resolution, on the validation
micrographs of emps and on the training and validation micrographs of simulated (which here nothing
is trained on); the test micrographs stay unseen. The variants: the generator before (that of commit
288841f) and as it is, three seeds each, and as it is without one piece of its physics, one seed.

The generator was improved by hand on the validation micrographs of emps: their scores are not those
of unseen micrographs.

Needs TEMLIB_DATA (or a network), ImageNet weights and the git history; about 40 minutes on two
cores. Writes temlib/data/measured/synthetic_transfer.csv, one row for each variant, seed and micrograph;
what is there already is not done again.

    python -m tests.benchmarks.synthetic_transfer
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import temlib
from temlib import datasets, synthetic
from temlib.network.backend import make_deterministic
from temlib.particles.scores import iou
from temlib.reproduction.run_folder import MEASURED
from tests.benchmarks.resumable import Results

SEEDS = {"before": (1, 2, 3), "full": (1, 2, 3)}
SEEDS_OF_OTHERS = (1,)
MICROGRAPHS = 96
SETTINGS = {"views": 1, "epochs": 6}
BEFORE = "288841f"

Draw = Callable[[np.random.Generator], synthetic.Scene]


def without(**changes: object) -> Draw:
    """Give bright_field with some numbers of each scene replaced."""
    return lambda rng: replace(synthetic.DISTRIBUTIONS["bright_field"](rng), **changes)


def noiseless(rng: np.random.Generator) -> synthetic.Scene:
    """Draw a scene of bright_field, exposed to a million electrons per pixel."""
    scene = synthetic.DISTRIBUTIONS["bright_field"](rng)
    return replace(scene, dose=1e6 / scene.pixel_size_nm**2, gain=0.01, readout_noise=0)


VARIANTS: dict[str, Draw | None] = {
    "before": None,
    "full": without(),
    "no burnt-in marks": without(marks=False),
    "no film": without(film_thickness_nm=0),
    "spheres only": without(shapes=("sphere",)),
    "no diffraction": without(diffraction=0),
    "no wave optics": without(defocus_nm=0, cs_mm=0),  # in focus; phase does not show
    "no noise": noiseless,
}


def generator_before() -> Callable[[str, int, int], Iterator]:
    """Load the generator as it was before, from the git history."""
    root = Path(__file__).parents[2]
    source = subprocess.run(
        ["git", "show", f"{BEFORE}:temlib/synthetic.py"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generator_before.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location("generator_before", path)
        sys.modules["generator_before"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.sample


def training_set(variant: str, n: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Make the micrographs of a variant and their masks."""
    if VARIANTS[variant] is None:
        made = list(generator_before()("bright_field", n, seed))
        return [m.image.data for m in made], [m.mask.data for m in made]
    made = list(synthetic.sample(VARIANTS[variant], n, seed, workers=2))
    return [m.counts for m in made], [m.label_array > 0 for m in made]


def held_out() -> dict[str, list[datasets.Annotated]]:
    """Load what is scored on."""
    return {
        "emps": datasets.of_split("emps", "validation"),
        "simulated": datasets.of_split("simulated", "train", "validation"),
    }


def score(variant: str, seed: int, micrographs: dict[str, list[datasets.Annotated]]) -> pd.DataFrame:
    """Train on a variant and score: a row for each micrograph."""
    images, masks = training_set(variant, MICROGRAPHS, seed)
    segmenter = temlib.train_segmenter(images, masks, weights="imagenet", seed=seed, progress=False, **SETTINGS)
    rows = [
        {"variant": variant, "seed": seed, "data": data, "name": m.name, "iou": iou(segmenter(m.image), m.mask)}
        for data, some in micrographs.items()
        for m in some
    ]
    return pd.DataFrame(rows)


def summary(result: pd.DataFrame) -> pd.DataFrame:
    """Give mean and median IoU of each variant, averaged over seeds, and the spread of the means."""
    by_seed = result.groupby(["variant", "data", "seed"], sort=False)["iou"].agg(["mean", "median"])
    table = by_seed.groupby(["variant", "data"], sort=False).mean()
    table["std of means"] = by_seed["mean"].groupby(["variant", "data"], sort=False).std()
    return table.unstack("data").swaplevel(axis=1).sort_index(axis=1, level=0, sort_remaining=False).round(3)


def main() -> None:
    """Run what is not done yet, keep each result at once, and print the table."""
    make_deterministic()
    micrographs = held_out()
    done = Results(MEASURED / "synthetic_transfer.csv", ("variant", "seed"), "%.4f", dtype={"name": str})
    wanted = [(seed, variant) for variant in VARIANTS for seed in SEEDS.get(variant, SEEDS_OF_OTHERS)]
    for seed, variant in sorted(wanted, key=lambda pair: pair[0]):
        if done.has(variant, seed):
            continue
        start = time.perf_counter()
        scores = score(variant, seed, micrographs)
        done.add(scores)
        means = scores.groupby("data")["iou"].mean().round(3).to_dict()
        print(f"{variant}, seed {seed}: mean IoU {means}, {time.perf_counter() - start:.0f} s", flush=True)
    print(summary(done.table))


if __name__ == "__main__":
    main()
