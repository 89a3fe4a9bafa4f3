"""The distribution of scenes of supported catalysts, and of what must not be taken for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from temlib.synthetic.materials import attenuation_length_nm
from temlib.synthetic.optics import interaction, wavelength_nm
from temlib.synthetic.scene import Scene, Support

__all__ = ["LEAST_GRAIN", "VISIBILITY", "log_uniform", "supported"]

LEAST_GRAIN = 4.0
"""A grain that carries particles is at least so many of their diameters large: size decides what counts."""

VISIBILITY = 4.0
"""Contrast-to-noise ratio below which a particle is not in the truth."""

_KINDS = {"catalyst": 0.74, "bare": 0.08, "soot": 0.08, "facets": 0.1}
_GRAINS = {"cloudy": 0.4, "rounded": 0.1, "facetted": 0.12, "carbon_black": 0.18, "sheets": 0.1, "rods": 0.1}
_SHAPES: dict[str, dict[str, Any]] = {
    "cloudy": {"shapes": ("irregular",)},
    "rounded": {"shapes": ("irregular", "sphere", "ellipsoid")},
    "facetted": {"shapes": ("truncated_octahedron", "cube", "octahedron", "plate")},
    "carbon_black": {"shapes": ("core_shell",), "arrangement": "fractal"},
    "sheets": {"shapes": ("sheet", "sheet", "rod"), "max_aspect_ratio": 6.0},
    "rods": {"shapes": ("rod",), "max_aspect_ratio": 10.0},
}
_METALS = ("Ni", "Cu", "Ru", "Pd", "Ag", "Pt", "Au")
_CRYSTALLINE = ("Al2O3", "TiO2", "ZnO", "CeO2")
_OF_METAL = ("sphere", "irregular", "truncated_octahedron", "icosahedron", "ellipsoid")
_FACETTED = ("cube", "octahedron", "tetrahedron", "truncated_octahedron", "icosahedron", "plate")
_DETECTOR_MRAD = 50.0  # inner semi-angle of the annular detector


def supported(rng: np.random.Generator) -> Scene:
    """Scenes of metal particles of 1 to 12 nm on oxide and carbon, in HAADF and in bright field.

    Among them stand supports without a particle, soot (whose aggregates are the particles) and large
    facetted particles: it is size that decides what is a particle, not texture.
    """
    kind = _choose(rng, _KINDS)
    scene = Scene(
        mode="dark_field" if rng.random() < 0.6 else "bright_field",
        film_thickness_nm=rng.choice([0, 0, 1]) * rng.uniform(2, 15),
        film_holes=rng.choice([0, 0.3]),
        marks=bool(rng.random() < 0.3),
        dead_pixels=rng.choice([0, 1e-4]),
        readout_noise=rng.uniform(0, 3),
    )
    scene = {"soot": _soot, "facets": _facets}.get(kind, _catalyst)(scene, rng)
    scene = (_in_dark_field if scene.mode == "dark_field" else _in_bright_field)(scene, rng)
    return replace(scene, n_particles=0) if kind == "bare" else scene


def _catalyst(scene: Scene, rng: np.random.Generator) -> Scene:
    diameter_nm = log_uniform(rng, 1, 12)
    scene = replace(scene, diameter_nm=diameter_nm, pixel_size_nm=diameter_nm / log_uniform(rng, 7, 48))
    beyond = _DETECTOR_MRAD if scene.mode == "dark_field" else scene.aperture_mrad
    metal = attenuation_length_nm(str(rng.choice(_METALS)), beyond)
    grains = _support(scene, beyond, rng)
    # From particles that scatter three times what lies beneath them to those that no eye finds.
    thickness_nm = diameter_nm * grains.attenuation_length_nm / metal / log_uniform(rng, 0.15, 3)
    thickness_nm = float(np.clip(thickness_nm, 3, min(300, grains.attenuation_length_nm)))
    phase_v = rng.uniform(0.1, 2) / thickness_nm / interaction(scene.voltage_kv)
    number = int(np.clip(log_uniform(rng, 8, 400), 1, 0.25 * scene.edge_nm**2 / diameter_nm**2))
    return replace(
        scene,
        support=replace(grains, thickness_nm=thickness_nm, inner_potential_v=min(phase_v, 20)),
        n_particles=number,
        shapes=tuple(rng.choice(_OF_METAL, 2, replace=False)),
        diameters_nm=tuple(_sizes(diameter_nm, number, rng).tolist()),
        max_aspect_ratio=1.8,
        clustering=rng.uniform(0, 0.4),
        overlap=rng.uniform(0, 0.5),
        attenuation_length_nm=metal,
        contrast_spread=rng.uniform(0, 0.2),
        inner_potential_v=min(rng.uniform(0, 1.5) / diameter_nm / interaction(scene.voltage_kv), 30),
        diffraction=rng.choice([0, 0.2, 0.5]),
        extinction_nm=rng.uniform(10, 40),
        visibility=VISIBILITY,
    )


def _sizes(diameter_nm: float, number: int, rng: np.random.Generator) -> np.ndarray:
    """Draw log-normal sizes [nm]: around one median, around two, or with a few large ones."""
    sizes = rng.lognormal(np.log(diameter_nm), rng.uniform(0.1, 0.4), number)
    larger = rng.choice([0, rng.uniform(0.1, 0.5), 0.02], p=[0.5, 0.25, 0.25])
    sizes[rng.random(number) < larger] *= rng.uniform(1.8, 3.5)
    return sizes


def _support(scene: Scene, beyond_mrad: float, rng: np.random.Generator) -> Support:
    """Draw the grains of a support, but for its thickness."""
    kind = _choose(rng, _GRAINS)
    material = "C" if kind == "carbon_black" else str(rng.choice(["C", "SiO2", *_CRYSTALLINE]))
    diameter_nm = scene.diameter_nm
    grain_nm = min(log_uniform(rng, 20, 500), 1.2 * scene.edge_nm)
    return Support(
        **_SHAPES[kind],
        grain_nm=max(grain_nm, LEAST_GRAIN * diameter_nm),
        grain_spread=rng.uniform(0.1, 0.6),
        core_contrast=rng.uniform(0.75, 1),
        coverage=rng.uniform(0.4, 1),
        layers=log_uniform(rng, 3, 12) if kind == "cloudy" else log_uniform(rng, 1, 5),
        texture=log_uniform(rng, 0.01, 0.2),
        pore_nm=log_uniform(rng, 0.05, 0.5) * diameter_nm,
        attenuation_length_nm=attenuation_length_nm(material, beyond_mrad),
        diffraction=rng.uniform(0, 0.4) if material in _CRYSTALLINE else 0,
        extinction_nm=rng.uniform(40, 150),
        defocus_blur_nm=rng.choice([0, 1]) * log_uniform(rng, 0.1, 2) * diameter_nm,
        on_edge=rng.uniform(0.1, 0.6),
        wetting=rng.choice([0, 0.2, 0.6]),
    )


def _soot(scene: Scene, rng: np.random.Generator) -> Scene:
    """Make fractal aggregates the particles."""
    return replace(
        _large(scene, log_uniform(rng, 60, 220), rng),
        shapes=("aggregate",),
        core_contrast=rng.uniform(0.75, 1),
        n_particles=int(rng.integers(1, 9)),
        diffraction=0,
    )


def _facets(scene: Scene, rng: np.random.Generator) -> Scene:
    """Make facetted grains, as large as those of a support, the particles."""
    diameter_px = log_uniform(rng, 60, 250)
    return replace(
        _large(scene, diameter_px, rng),
        shapes=tuple(rng.choice(_FACETTED, 2, replace=False)),
        n_particles=int(np.clip(rng.uniform(0.1, 0.8) * 512**2 / diameter_px**2, 1, 60)),
        clustering=rng.uniform(0, 0.9),
        overlap=rng.uniform(0, 0.25),
        diffraction=rng.choice([0, 0.3]),
    )


def _large(scene: Scene, diameter_px: float, rng: np.random.Generator) -> Scene:
    pixel_size_nm = log_uniform(rng, 0.2, 2)
    diameter_nm = diameter_px * pixel_size_nm
    return replace(
        scene,
        pixel_size_nm=pixel_size_nm,
        diameter_nm=diameter_nm,
        diameter_spread=rng.uniform(0.1, 0.4),
        attenuation_length_nm=diameter_nm / log_uniform(rng, 0.2, 2),
        inner_potential_v=min(rng.uniform(0, 2) / diameter_nm / interaction(scene.voltage_kv), 60),
        extinction_nm=diameter_nm * log_uniform(rng, 0.4, 3),
        texture=rng.choice([0, 0.3]) * rng.random(),
    )


def _in_dark_field(scene: Scene, rng: np.random.Generator) -> Scene:
    """Scan a scene: from few electrons to many, the black level and the brightest part cut off in some."""
    counts = log_uniform(rng, 20, 3000)  # where there is support, or a particle of the soot
    level = counts * rng.choice([0, 0, 1])
    return replace(
        scene,
        probe_nm=log_uniform(rng, 0.3, 1.2) * scene.pixel_size_nm,
        scan_jitter_px=rng.choice([0, 0.4]) * rng.random(),
        scan_flicker=rng.choice([0.005, 0.03]) * rng.random(),
        flyback_px=rng.choice([0, 0, 1.5]) * rng.random(),
        illumination_gradient=0.0,
        dose=counts / _scattered(scene) / scene.pixel_size_nm**2,
        mtf_nyquist=1.0,
        offset=level * rng.uniform(-0.3, 0.5),
        saturation=min(rng.choice([1, 1, 1, rng.uniform(0.02, 0.1)]) * 65535, 65535),
        drift_nm=0.0,
        blur_nm=0.0,
    )


def _scattered(scene: Scene) -> float:
    """Give the share of electrons that the support, or a particle where there is none, sends to the detector."""
    support = scene.support
    if support is None:
        return 1 - float(np.exp(-0.7 * scene.diameter_nm / scene.attenuation_length_nm))
    return 1 - float(np.exp(-support.thickness_nm / support.attenuation_length_nm))


def _in_bright_field(scene: Scene, rng: np.random.Generator) -> Scene:
    fringe_px = log_uniform(rng, 0.3, 5)  # distance of the first Fresnel fringe from an edge
    return replace(
        scene,
        defocus_nm=rng.choice([1, 1, -1]) * (fringe_px * scene.pixel_size_nm / 0.86) ** 2 / wavelength_nm(200),
        convergence_mrad=rng.uniform(0.02, 0.3),
        illumination_gradient=rng.uniform(0, 0.4),
        drift_nm=rng.uniform(0, 1) * scene.pixel_size_nm,
        blur_nm=rng.uniform(0.2, 1) * scene.pixel_size_nm,
        dose=log_uniform(rng, 20, 4000) / scene.pixel_size_nm**2,
        mtf_nyquist=rng.uniform(0.1, 0.8),
    )


def _choose(rng: np.random.Generator, shares: dict[str, float]) -> str:
    return str(rng.choice(list(shares), p=list(shares.values())))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is evenly distributed."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
