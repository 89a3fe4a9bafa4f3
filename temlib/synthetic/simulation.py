"""Simulation: the micrograph of a scene, step by step, and micrographs of scenes drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from temlib.files.micrographs import micrograph
from temlib.synthetic import camera, optics, specimen, supports, visibility
from temlib.synthetic.distributions import DISTRIBUTIONS
from temlib.synthetic.scene import Scene

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D

__all__ = ["FIELD", "SyntheticMicrograph", "form_image", "sample", "simulate", "streams"]

_NONE = np.zeros((0, 0), np.float32)
FIELD = (slice(specimen.MARGIN, -specimen.MARGIN),) * 2
"""The micrograph in what is simulated, its margin cut off."""


@dataclass(frozen=True)
class SyntheticMicrograph:
    """A simulated micrograph and the truth about it.

    Attributes
    ----------
    name : str
        Distribution and number, as in ``bright_field_0007``.
    scene : Scene
        What was simulated.
    particles : DataFrame
        True sizes and shapes in nm, one row a particle, indexed by label; see
        :func:`temlib.synthetic.specimen.describe`. Where the scene has a ``visibility``, those alone that
        can be seen (:mod:`temlib.synthetic.visibility`), and so in the labels.
    counts : uint16 array of shape (size_px, size_px)
        The image as an array: what the camera counted.
    label_array : int32 array of the same shape
        The labels as an array.
    steps : dict of str to array
        The pictures on the way, where :func:`simulate` was asked to keep them.
    """

    name: str
    scene: Scene
    particles: pd.DataFrame
    counts: np.ndarray
    label_array: np.ndarray
    steps: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def image(self) -> Signal2D:
        """The micrograph, calibrated; Signal2D, uint16."""
        return micrograph(self.counts, self.scene.pixel_size_nm, self.name)

    @property
    def labels(self) -> Signal2D:
        """0 is background, 1..n the particles; where two overlap, the upper one; Signal2D, int32."""
        return micrograph(self.label_array, self.scene.pixel_size_nm, self.name)

    @property
    def mask(self) -> Signal2D:
        """The pixels at least half covered by one particle, unless a burnt-in strip hides them; Signal2D, bool."""
        return micrograph(self.label_array > 0, self.scene.pixel_size_nm, self.name)


def simulate(
    scene: Scene, seed: int | np.random.SeedSequence = 0, name: str = "synthetic", keep_steps: bool = False
) -> SyntheticMicrograph:
    """Simulate one micrograph of a scene.

    Each step draws from its own stream of random numbers: the same seed with another dose, say,
    gives the same particles on the same film.

    Parameters
    ----------
    scene : Scene
        What to simulate.
    seed : int or SeedSequence
        The same seed gives the same bytes on one machine with the same versions. Elsewhere the last
        digits of floating-point numbers differ: sizes agree to 1e-9, the covered share to 1e-4 and
        the mean count to 1e-3; single counts may differ.
    name : str
        Its name.
    keep_steps : bool
        Keep the picture after each step: thickness [nm], diffraction (share left in the direct
        beam), film [nm], phase [rad] and amplitude of the exit wave (bright field), image (relative
        intensity), electrons.

    Returns
    -------
    SyntheticMicrograph of shape (scene.size_px, scene.size_px)
    """
    _keep_freed_arrays()
    placing, grains, film, lens, light, shot, readout, marking, carrying = streams(seed, 9)
    layer = None if scene.support is None else supports.draw_support(scene, scene.support, carrying)
    if scene.support is None or layer is None:
        particles = specimen.place(scene, placing)
    else:
        particles = supports.place_on_support(scene, scene.support, layer, placing)
    granular = specimen.granularity(scene, film) if scene.film_thickness_nm or scene.texture else _NONE
    projection = specimen.project(scene, particles, granular, grains)
    film_nm = specimen.film_thickness(scene, granular, film)
    steps = {"thickness": projection.thickness, "diffraction": projection.unscattered, "film": film_nm}
    if layer is not None:
        steps["support"] = layer.thickness
    intensity, wave = form_image(scene, projection, film_nm, layer, lens)
    if wave is not None and keep_steps:
        steps |= {"phase": np.angle(wave), "amplitude": np.abs(wave)}
    labels = optics.fly_back(scene, projection.labels)[FIELD].copy()
    shining = camera.illumination(scene, light)
    image, table = intensity[FIELD] * shining, specimen.describe(scene, particles)
    if scene.visibility:
        _, _, _, again, *_ = streams(seed, 9)  # the lens once more, so that both pictures drift and jitter alike
        empty, _ = form_image(scene, specimen.without_particles(scene), film_nm, layer, again)
        ratio = visibility.contrast_to_noise(scene, image, empty[FIELD] * shining, labels, len(table))
        labels[ratio[labels] < scene.visibility] = 0
        table = table[ratio[table.index] >= scene.visibility]
    electrons = camera.expose(scene, image, shot)
    counts = camera.detect(scene, electrons, readout)
    if scene.marks:
        counts, hidden = camera.burn_in(scene, counts, marking)
        labels[scene.size_px - hidden :] = 0
    kept = {name: picture[FIELD] for name, picture in steps.items()} | {"image": image, "electrons": electrons}
    return SyntheticMicrograph(name, scene, table, counts, labels, kept if keep_steps else {})


def form_image(
    scene: Scene,
    particles: specimen.Projection,
    film_nm: np.ndarray,
    layer: supports.Layer | None,
    lens: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Form the image, with its margin; and give the exit wave, in bright field."""
    if scene.mode == "bright_field":
        wave = optics.exit_wave(scene, particles, film_nm, layer)
        return optics.blur(scene, optics.image_wave(scene, wave), lens), wave
    signal = optics.dark_field_signal(scene, particles, film_nm, layer)
    return optics.fly_back(scene, optics.scan(scene, signal, lens)), None


@lru_cache
def _keep_freed_arrays() -> None:
    """Free one block of nearly 32 MB, once: glibc then keeps the smaller ones that are freed.

    Otherwise it hands each array back to the system and asks for it again, page by page, which
    costs a fifth of a micrograph's time; see M_MMAP_THRESHOLD, "dynamic", in mallopt(3). Other C
    libraries do as they please.
    """
    np.empty(31 * 2**20, np.uint8)


def streams(seed: int | np.random.SeedSequence, n: int) -> list[np.random.Generator]:
    """Give independent generators of random numbers: the same for the same seed, however often."""
    sequence = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    # By key and not by sequence.spawn, which counts.
    keys = [(*sequence.spawn_key, key) for key in range(n)]
    return [np.random.default_rng(np.random.SeedSequence(sequence.entropy, spawn_key=key)) for key in keys]


def sample(
    distribution: str | Callable[[np.random.Generator], Scene], n: int, seed: int = 0, workers: int = 1
) -> Iterator[SyntheticMicrograph]:
    """Yield ``n`` micrographs of scenes drawn from a distribution.

    Micrograph i depends on the distribution, the seed and i alone: not on ``n``, on ``workers`` or
    on what was drawn before.

    Parameters
    ----------
    distribution : str or function
        A key of :data:`DISTRIBUTIONS`, or a function that draws a scene with a random generator.
    n : int
        How many.
    seed : int
        The same seed gives the same bytes.
    workers : int
        Threads that simulate ahead.
    """
    if isinstance(distribution, str) and distribution not in DISTRIBUTIONS:
        raise ValueError(f"no distribution is called {distribution!r}; choose from {', '.join(DISTRIBUTIONS)}")
    draw = DISTRIBUTIONS[distribution] if isinstance(distribution, str) else distribution
    prefix = distribution if isinstance(distribution, str) else "synthetic"

    def one(index: int) -> SyntheticMicrograph:
        for_scene, for_image = np.random.SeedSequence([seed, index]).spawn(2)
        return simulate(draw(np.random.default_rng(for_scene)), for_image, f"{prefix}_{index:04d}")

    return map(one, range(n)) if workers == 1 else _ahead(one, n, workers)


def _ahead(one: Callable[[int], SyntheticMicrograph], n: int, workers: int) -> Iterator[SyntheticMicrograph]:
    """Yield in order, at most two micrographs a thread ahead of the reader."""
    with ThreadPoolExecutor(workers) as pool:
        indices = iter(range(n))
        waiting = [pool.submit(one, index) for index in islice(indices, 2 * workers)]
        while waiting:
            done = waiting.pop(0).result()
            waiting += [pool.submit(one, index) for index in islice(indices, 1)]
            yield done
