"""Named distributions of scenes, to draw training micrographs from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from temlib.synthetic.optics import wavelength_nm
from temlib.synthetic.scene import Scene
from temlib.synthetic.shapes import SHAPES
from temlib.synthetic.supported import log_uniform, supported

__all__ = ["DISTRIBUTIONS"]


def _bright_field(rng: np.random.Generator) -> Scene:
    """Training scenes: particles of all shapes, 9 to 400 px, from faint to black."""
    pixel_size_nm = log_uniform(rng, 0.1, 2)
    diameter_px = log_uniform(rng, 9, 400)
    diameter_nm = diameter_px * pixel_size_nm
    fill = 0.8 * rng.uniform(0.1, 1) ** 2
    fringe_px = log_uniform(rng, 0.2, 10)  # distance of the first Fresnel fringe from an edge
    attenuation_length_nm = diameter_nm / log_uniform(rng, 0.1, 4)
    return Scene(
        pixel_size_nm=pixel_size_nm,
        n_particles=int(np.clip(fill * 512**2 / (np.pi / 4 * diameter_px**2), 1, 250)),
        shapes=tuple(rng.choice(_SHAPES, rng.integers(1, 4), replace=False, p=_WEIGHTS)),
        diameter_nm=diameter_nm,
        diameter_spread=rng.uniform(0.03, 0.4),
        max_aspect_ratio=log_uniform(rng, 1.3, 8),
        core_contrast=rng.uniform(0.3, 4),
        clustering=rng.uniform(0, 0.9),
        overlap=rng.uniform(0, 0.3),
        attenuation_length_nm=attenuation_length_nm,
        contrast_spread=rng.uniform(0, 0.35),
        texture=rng.choice([0, 0.5]) * rng.random(),
        inner_potential_v=min(rng.uniform(0, 2) / diameter_nm / 0.0073, 60),
        diffraction=rng.choice([0, 0.2, 0.5]),
        extinction_nm=max(diameter_nm * log_uniform(rng, 0.4, 3), 1),
        max_grains=int(rng.integers(1, 4)),
        film_thickness_nm=150 * rng.uniform(0.02, 0.3),
        film_roughness=rng.uniform(0.05, 0.4),
        film_grain_nm=log_uniform(rng, 0.5, 6) * pixel_size_nm,
        film_unevenness=rng.choice([0.3, 0.3, 0.8]) * rng.random(),
        film_holes=rng.uniform(0.1, 0.5) if rng.random() < 0.2 else 0.0,
        defocus_nm=rng.choice([1, 1, 1, -1]) * (fringe_px * pixel_size_nm / 0.86) ** 2 / wavelength_nm(200),
        convergence_mrad=rng.uniform(0.02, 0.3),
        aperture_mrad=rng.uniform(5, 20),
        illumination_gradient=rng.choice([0.4, 0.4, 0.9]) * rng.random(),
        drift_nm=rng.uniform(0, 1.5) * pixel_size_nm,
        blur_nm=rng.uniform(0.2, 1.2) * pixel_size_nm,
        dose=log_uniform(rng, 4, 4000) / pixel_size_nm**2,
        mtf_nyquist=rng.uniform(0.1, 0.8),
        readout_noise=rng.uniform(0, 3),
        dead_pixels=rng.choice([0, 1e-4]),
        marks=bool(rng.random() < 0.6),
    )


def _dark_field(rng: np.random.Generator) -> Scene:
    """Scenes of HAADF images: bright particles on a dark film."""
    pixel_size_nm = log_uniform(rng, 0.05, 0.5)
    diameter_px = log_uniform(rng, 24, 120)
    diameter_nm = diameter_px * pixel_size_nm
    fill = rng.uniform(0.03, 0.35)
    return Scene(
        mode="dark_field",
        pixel_size_nm=pixel_size_nm,
        n_particles=int(np.clip(fill * 512**2 / (np.pi / 4 * diameter_px**2), 2, 150)),
        shapes=tuple(rng.choice(_SHAPES, rng.integers(1, 4), replace=False, p=_WEIGHTS)),
        diameter_nm=diameter_nm,
        diameter_spread=rng.uniform(0.03, 0.3),
        clustering=rng.uniform(0, 0.8),
        overlap=rng.uniform(0, 0.25),
        attenuation_length_nm=diameter_nm / log_uniform(rng, 0.1, 1.5),
        film_thickness_nm=rng.uniform(3, 30),
        film_roughness=rng.uniform(0.05, 0.3),
        probe_nm=rng.uniform(0.2, 1) * pixel_size_nm,
        scan_jitter_px=rng.uniform(0, 0.6),
        scan_flicker=rng.uniform(0, 0.03),
        illumination_gradient=0.0,
        dose=log_uniform(rng, 20, 1000) / pixel_size_nm**2,
        mtf_nyquist=1.0,
        readout_noise=rng.uniform(0, 3),
    )


def _workshop(rng: np.random.Generator) -> Scene:
    """Easy scenes to teach with, a quarter of the pixels: well separated rounded particles."""
    return Scene(
        size_px=256,
        pixel_size_nm=0.5,
        n_particles=int(rng.integers(6, 16)),
        shapes=("sphere", "ellipsoid"),
        diameter_nm=rng.uniform(10, 18),
        max_aspect_ratio=1.6,
        clustering=0.1,
        overlap=0.0,
        attenuation_length_nm=rng.uniform(15, 40),
        dose=log_uniform(rng, 200, 2000),
    )


def _coated(rng: np.random.Generator) -> Scene:
    """One sample, the same scene each time: particles with a shell that an eye sees, on carbon."""
    return Scene(
        pixel_size_nm=0.5,
        n_particles=25,
        shapes=("core_shell",),
        diameter_nm=35,
        diameter_spread=0.2,
        core_contrast=3,
        attenuation_length_nm=150,
        clustering=0.6,
        overlap=0.15,
        diffraction=0,
        film_thickness_nm=15,
        dose=300,
    )


_SHAPES = tuple(shape for shape in SHAPES if shape not in ("wetting", "sheet", "aggregate"))
# Particles are mostly round: of equal weight are spheres and irregular ones, and all others together.
_WEIGHTS = [{"sphere": 1 / 3, "irregular": 1 / 3}.get(shape, 1 / 3 / (len(_SHAPES) - 2)) for shape in _SHAPES]

DISTRIBUTIONS: dict[str, Callable[[np.random.Generator], Scene]] = {
    "bright_field": _bright_field,
    "coated": _coated,
    "dark_field": _dark_field,
    "supported": supported,
    "workshop": _workshop,
}
"""Named distributions of scenes: ``bright_field`` to train on, ``dark_field`` (HAADF), ``supported``
(metal particles on oxide and carbon, both modes, and what must not be taken for them),
``workshop``, small and easy, and ``coated``, one sample of core-shell particles to adapt a network to."""
