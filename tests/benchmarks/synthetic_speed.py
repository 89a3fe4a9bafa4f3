"""How long does a micrograph take, and where does the time go?

512 x 512 pixels, 40 particles of all shapes, every step of bright_field on; processor time of one
core [ms], the least of 15 runs each. Prints a table and the ratio to a Fourier transform of the
same size in the same run, which says more on a noisy machine; and the mean over scenes drawn from
distributions, of which ``supported`` may cost twice what ``bright_field`` costs.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.synthetic_speed
"""

import time
from collections.abc import Callable

import numpy as np
from scipy import fft

from temlib.synthetic import DISTRIBUTIONS, SHAPES, Scene, camera, optics, simulate, specimen

SCENE = Scene(
    n_particles=40,
    shapes=tuple(SHAPES),
    diffraction=0.5,
    max_grains=3,
    film_holes=0.2,
    texture=0.2,
    dead_pixels=1e-4,
    marks=True,
)


def milliseconds(function: Callable[[], object], runs: int = 15) -> float:
    """Give the least processor time of some runs [ms]."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        function()
        times.append(1e3 * (time.process_time() - start))
    return min(times)


def mean_milliseconds(distribution: str, scenes: int = 30) -> float:
    """Give the mean processor time of a distribution's micrographs [ms]."""
    drawn = [DISTRIBUTIONS[distribution](np.random.default_rng(seed)) for seed in range(scenes)]
    return float(np.mean([milliseconds(lambda scene=scene: simulate(scene, 0), 2) for scene in drawn]))


def main() -> None:
    """Run the benchmark and print its table."""
    simulate(SCENE, 0)  # the first one prepares what the others find ready
    rng = np.random.default_rng(0)
    particles = specimen.place(SCENE, rng)
    granular = specimen.granularity(SCENE, rng)
    projection = specimen.project(SCENE, particles, granular, rng)
    film = specimen.film_thickness(SCENE, granular, rng)
    wave = optics.exit_wave(SCENE, projection, film)
    image = optics.image_wave(SCENE, wave)
    inner = (slice(specimen.MARGIN, -specimen.MARGIN),) * 2
    electrons = camera.expose(SCENE, image[inner], rng)
    counts = camera.detect(SCENE, electrons, rng)
    steps = {
        "place the particles": lambda: specimen.place(SCENE, rng),
        "tabulate them": lambda: specimen.describe(SCENE, particles),
        "project them": lambda: specimen.project(SCENE, particles, granular, rng),
        "granularity": lambda: specimen.granularity(SCENE, rng),
        "film": lambda: specimen.film_thickness(SCENE, granular, rng),
        "exit wave": lambda: optics.exit_wave(SCENE, projection, film),
        "lens": lambda: optics.image_wave(SCENE, wave),
        "blur and drift": lambda: optics.blur(SCENE, image, rng),
        "illumination": lambda: camera.illumination(SCENE, rng),
        "count electrons": lambda: camera.expose(SCENE, image[inner], rng),
        "camera": lambda: camera.detect(SCENE, electrons, rng),
        "marks": lambda: camera.burn_in(SCENE, counts, rng),
    }
    for step, function in steps.items():
        print(f"{step:22s}{milliseconds(function):6.1f} ms")
    whole = milliseconds(lambda: simulate(SCENE, 1))
    transform = milliseconds(lambda: fft.fft2(wave))
    print(f"{'whole micrograph':22s}{whole:6.1f} ms with {len(particles)} particles")
    print(f"{'':22s}{whole / transform:6.1f} Fourier transforms of {len(wave)} x {len(wave)}")
    means = {name: mean_milliseconds(name) for name in DISTRIBUTIONS}
    for name, mean in means.items():
        print(f"{name:22s}{mean:6.1f} ms on average, {mean / means['bright_field']:.1f} times bright_field")


if __name__ == "__main__":
    main()
