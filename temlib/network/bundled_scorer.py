"""Teach the scorer of the bundled network what a particle is, and put it into the package.

The network has seen synthetic micrographs alone. Its scorer, which says which of its proposals are particles,
learns from micrographs that the network did not learn from: synthetic ones of another seed, and the
training split of ``emps``, whose labels are real. What needs no scorer (masks, probabilities) has seen no real
label; what a segmenter calls a particle has. The model card says so.

    python -m temlib.network.bundled_scorer [--micrographs N]

Needs ``emps``; ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from temlib import datasets, synthetic
from temlib.files.micrographs import as_array
from temlib.network.segmenter import SCORER, Segmenter, load_segmenter
from temlib.network.weights import BUNDLED
from temlib.particles.lessons import Lesson, fit_scorer, lesson_of
from temlib.particles.scorer import Scorer
from temlib.progress import progress_bar
from temlib.synthetic.supported import log_uniform
from temlib.writing import write_atomically

__all__ = ["KINDS", "LEAST", "SEED", "lessons_of", "put", "synthetic_lessons", "teach_scorer"]

SEED = 77_000
"""Of the synthetic micrographs; training and benchmarks have others."""

LEAST = 0.35
"""Confidence below which a particle is left out, chosen on the validation micrographs."""

_SHAPES = tuple(shape for shape in synthetic.SHAPES if shape != "sheet")


def population(rng: np.random.Generator) -> synthetic.Scene:
    """Draw particles whose sizes are spread widely, of a few pixels to a quarter of the frame."""
    size_px, pixel = int(rng.choice([512, 512, 768, 1024])), log_uniform(rng, 0.1, 2)
    spread, median_px = rng.uniform(0.1, 0.8), log_uniform(rng, 9, 60)
    area_px = np.pi / 4 * median_px**2 * np.exp(2 * spread**2)
    return synthetic.Scene(
        size_px=size_px,
        pixel_size_nm=pixel,
        n_particles=int(np.clip(rng.uniform(0.04, 0.35) * size_px**2 / area_px, 5, 400)),
        shapes=tuple(rng.choice(_SHAPES, rng.integers(1, 4), replace=False)),
        diameter_nm=median_px * pixel,
        diameter_spread=spread,
        clustering=rng.choice([0.0, 0.3, 0.6, 0.9]),
        overlap=rng.choice([0.0, 0.0, 0.1, 0.2, 0.3]),
        attenuation_length_nm=median_px * pixel * log_uniform(rng, 0.5, 6),
        contrast_spread=rng.uniform(0, 0.3),
        diffraction=rng.choice([0.0, 0.2, 0.5]),
        extinction_nm=max(median_px * pixel, 1.0),
        film_thickness_nm=rng.uniform(3, 30),
        film_grain_nm=log_uniform(rng, 0.5, 6) * pixel,
        defocus_nm=rng.choice([1, 1, 1, -1]) * (log_uniform(rng, 0.2, 4) * pixel / 0.86) ** 2 / 0.00251,
        illumination_gradient=rng.choice([0.2, 0.5]) * rng.random(),
        drift_nm=0.3 * pixel,
        blur_nm=rng.uniform(0.2, 1) * pixel,
        dose=log_uniform(rng, 5, 1000) / pixel**2,
        mtf_nyquist=rng.uniform(0.2, 0.8),
        marks=bool(rng.random() < 0.3),
    )


def crowd(rng: np.random.Generator) -> synthetic.Scene:
    """Draw particles that touch and overlap, up to a dense film of them."""
    median = 0.5 * log_uniform(rng, 15, 60)
    return synthetic.Scene(
        n_particles=int(np.clip(rng.uniform(0.35, 0.8) * 256**2 / (np.pi / 4 * median**2), 5, 400)),
        shapes=tuple(rng.choice(_SHAPES, rng.integers(1, 3), replace=False)),
        diameter_nm=median,
        diameter_spread=rng.uniform(0.05, 0.4),
        clustering=0.9,
        overlap=rng.uniform(0.05, 0.35),
        attenuation_length_nm=median * log_uniform(rng, 0.5, 4),
        dose=log_uniform(rng, 50, 3000),
        diffraction=rng.choice([0.0, 0.3]),
        extinction_nm=median,
    )


KINDS: dict[str, str | Callable[[np.random.Generator], synthetic.Scene]] = {
    "population": population,
    "crowd": crowd,
    "bright_field": "bright_field",
    "dark_field": "dark_field",
}
"""Kinds of synthetic micrographs that the scorer learns from."""

_SHARES = {"population": 0.45, "crowd": 0.15, "bright_field": 0.3, "dark_field": 0.1}


def lessons_of(segmenter: Segmenter, micrographs: Sequence[Any], labels: Sequence[Any]) -> Iterator[Lesson]:
    """Compare a segmenter's proposals with labels."""
    for image, truth in zip(micrographs, labels, strict=True):
        yield lesson_of(segmenter.proposals(image), as_array(truth), segmenter.threshold)


def synthetic_lessons(segmenter: Segmenter, number: int, progress: bool = True) -> list[Lesson]:
    """Compare a segmenter's proposals on synthetic micrographs of all :data:`KINDS` with the truth."""
    lessons: list[Lesson] = []
    with progress_bar(show=progress, total=number, desc="synthetic micrographs") as bar:
        for place, (kind, draw) in enumerate(KINDS.items()):
            for m in synthetic.sample(draw, round(_SHARES[kind] * number), SEED + place, workers=1):
                lessons += lessons_of(segmenter, [m.image], [m.label_array])
                bar.update()
    return lessons


def teach_scorer(segmenter: Segmenter, number: int = 150, progress: bool = True) -> Scorer:
    """Let a scorer learn from ``emps`` (training split) and from synthetic micrographs."""
    names = datasets.table("emps").query("split == 'train'")
    real = [
        lesson
        for m in progress_bar(datasets.load("emps", list(names["name"])), show=progress, desc="emps")
        for lesson in lessons_of(segmenter, [m.image], [m.labels])
    ]
    drawn = synthetic_lessons(segmenter, number, progress)
    groups = [*names["group"], *(f"synthetic {i}" for i in range(len(drawn)))]
    return fit_scorer([*real, *drawn], groups, LEAST)


def put(scorer: Scorer, path: Path) -> None:
    """Write a scorer into a segmenter's file; nothing else in it changes."""
    with zipfile.ZipFile(path) as before:
        members = {name: before.read(name) for name in before.namelist() if name != SCORER}

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in (members | {SCORER: scorer.to_bytes()}).items():
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)

    write_atomically(path, write)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micrographs", type=int, default=150, help="synthetic ones; default: 150")
    arguments = parser.parse_args()
    scorer = teach_scorer(load_segmenter("synthetic"), arguments.micrographs)
    sys.stdout.write(f"expected IoU {scorer.expected}\nconfidence {scorer.confidence}\n")
    put(scorer, BUNDLED)


if __name__ == "__main__":
    main()
