"""The scene: what lies under the beam and how it is imaged, every number with its unit and range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from temlib.synthetic.ranges import check_ranges
from temlib.synthetic.shapes import SHAPES

__all__ = ["ARRANGEMENTS", "MODES", "Scene", "Support"]

MODES = ("bright_field", "dark_field")
ARRANGEMENTS = ("packed", "fractal")


@dataclass(frozen=True)
class Support:
    """Grains that carry the particles, as oxide and carbon black carry the metal of a catalyst.

    The defaults are an oxide of 60 nm grains at 200 kV, in bright field. A number outside the range
    given in brackets is refused.

    Parameters
    ----------
    shapes : tuple of str
        Of the grains, drawn from with equal probability; keys of :data:`SHAPES`. Carbon black's are
        ``"core_shell"`` with a ``core_contrast`` below 1: graphitic rims.
    arrangement : str
        ``"packed"``: agglomerates without order. ``"fractal"``: chains, as of carbon black.
    grain_nm, grain_spread : float
        Median [nm] in [0.1, 1e5], and standard deviation of the logarithm in [0, 2], of the grains' size.
    max_aspect_ratio, core_contrast : float
        Of the grains, as of a scene's particles; in [1.2, 20] and in [0, 20].
    coverage : float
        Share of the micrograph in which grains may lie, in [0, 1]; beside it is vacuum.
    layers : float
        How many grains lie one above the other there, on average, in [0.1, 20].
    thickness_nm : float
        Mean thickness [nm] where there is support, in [0, 1e4]: grains are flattened along the beam to give it.
    texture, pore_nm : float
        Relative standard deviation of the density, as of porous grains, in [0, 1], and its correlation
        length [nm], in [0.01, 1e4].
    attenuation_length_nm : float
        As of a scene's particles, in [0.1, 1e6]; :func:`temlib.synthetic.materials.attenuation_length_nm`.
    inner_potential_v : float
        Mean inner potential [V], in [0, 60].
    diffraction, extinction_nm : float
        Share of grains near a Bragg condition, in [0, 1], and their extinction distance [nm], in [1, 1e6].
    defocus_blur_nm : float
        Dark field: standard deviation [nm] of the blur of a support too thick to be all in focus, in [0, 1000].
    on_edge : float
        Share of particles that sit on a grain's outline, in [0, 1]; the others lie on its face.
    wetting : float
        Share of particles that wet it, in [0, 1]: half spheres and more, seen from the side on an outline.
    """

    shapes: tuple[str, ...] = ("irregular", "sphere")
    arrangement: str = "packed"
    grain_nm: Annotated[float, (0.1, 1e5)] = 60.0
    grain_spread: Annotated[float, (0, 2)] = 0.3
    max_aspect_ratio: Annotated[float, (1.2, 20)] = 2.0
    core_contrast: Annotated[float, (0, 20)] = 1.0
    coverage: Annotated[float, (0, 1)] = 0.6
    layers: Annotated[float, (0.1, 20)] = 2.5
    thickness_nm: Annotated[float, (0, 1e4)] = 60.0
    texture: Annotated[float, (0, 1)] = 0.1
    pore_nm: Annotated[float, (0.01, 1e4)] = 1.5
    attenuation_length_nm: Annotated[float, (0.1, 1e6)] = 250.0
    inner_potential_v: Annotated[float, (0, 60)] = 1.0
    diffraction: Annotated[float, (0, 1)] = 0.0
    extinction_nm: Annotated[float, (1, 1e6)] = 60.0
    defocus_blur_nm: Annotated[float, (0, 1000)] = 0.0
    on_edge: Annotated[float, (0, 1)] = 0.3
    wetting: Annotated[float, (0, 1)] = 0.3

    def __post_init__(self) -> None:
        if self.arrangement not in ARRANGEMENTS:
            raise ValueError(f"arrangement={self.arrangement!r} is none of {', '.join(ARRANGEMENTS)}")
        _check(self)


def _check(described: Scene | Support) -> None:
    unknown = sorted(set(described.shapes) - set(SHAPES))
    if unknown or not described.shapes:
        raise ValueError(f"shapes={described.shapes!r}: choose one or more of {', '.join(SHAPES)}")
    check_ranges(described)


@dataclass(frozen=True)
class Scene:
    """What lies under the beam, and how it is imaged.

    The defaults are gold-like particles on thin carbon at 200 kV, 0.5 nm a pixel. A number outside
    the range given in brackets is refused.

    Parameters
    ----------
    size_px : int
        Edge of the square micrograph [px], in [32, 8192].
    pixel_size_nm : float
        Edge of a pixel [nm], in [0.01, 100].
    mode : str
        ``"bright_field"``: a TEM image, particles dark. ``"dark_field"``: high-angle annular dark
        field (HAADF) in a scanning TEM, particles bright.
    n_particles : int
        Particles to place, in [0, 5000]; fewer fit when the micrograph is full.
    shapes : tuple of str
        Drawn from with equal probability; keys of :data:`SHAPES`.
    diameter_nm, diameter_spread : float
        Median [nm] in [0.1, 1e5], and standard deviation of the logarithm in [0, 2], of the
        log-normal distribution of the particles' size: the diameter of the circle of the same
        projected area.
    diameters_nm : tuple of float
        Where given, sizes [nm] are drawn from these instead, with equal probability.
    max_aspect_ratio : float
        Ellipsoids and rods are drawn between 1.2 and this ratio of length to width, in [1.2, 20].
    core_contrast : float
        Attenuation of the core of a core-shell particle over that of its shell, in [0, 20].
    clustering : float
        Share of particles placed beside an earlier one, touching it, in [0, 1].
    overlap : float
        Share of the summed radii by which neighbours may overlap in projection, in [0, 1); radii are
        those of the circles of the same area, so that long particles may overlap more.
    attenuation_length_nm : float
        Thickness of particle [nm] through which 1/e of the electrons reach the image, in [0.1, 1e6];
        in dark field, that scatters all but 1/e of them onto the detector.
    contrast_spread : float
        Standard deviation of the logarithm of the attenuation, particle to particle, in [0, 2].
    texture : float
        Relative standard deviation of the particles' density, as of porous ones, with the film's
        correlation length, in [0, 1].
    inner_potential_v : float
        Mean inner potential of the particles [V], in [0, 60]; it sets their phase.
    diffraction : float
        Share of grains that are near a Bragg condition, in [0, 1].
    extinction_nm : float
        Extinction distance of the excited reflection [nm], in [1, 1e6].
    max_grains : int
        A particle consists of 1 to this many grains, in [1, 20].
    film_thickness_nm : float
        Mean thickness of the supporting carbon film [nm], in [0, 1e4]; 0 is no film.
    film_roughness, film_grain_nm : float
        Relative standard deviation of its thickness from grain to grain, in [0, 1], and the
        grains' correlation length [nm], in [0.01, 1e4].
    film_unevenness : float
        Relative standard deviation of its slow variation across the micrograph, in [0, 1].
    film_holes : float
        Share of the micrograph without film, in [0, 0.9].
    support : Support, optional
        Grains that carry the particles; without, they lie on the film alone.
    voltage_kv : float
        Acceleration voltage [kV], in [10, 3000].
    defocus_nm : float
        Defocus [nm], positive is underfocus, in [-1e6, 1e6].
    cs_mm : float
        Spherical aberration [mm], in [-50, 50].
    focal_spread_nm : float
        Standard deviation of the defocus [nm] (temporal coherence), in [0, 1000].
    convergence_mrad : float
        Semi-angle of the illumination [mrad] (spatial coherence), in [0, 20].
    aperture_mrad : float
        Semi-angle of the objective aperture [mrad], in (0, 1000].
    probe_nm : float
        Dark field: standard deviation of the probe [nm], in [0, 100].
    scan_jitter_px, scan_flicker : float
        Dark field: standard deviations of a line's displacement [px], in [0, 20], and of its
        brightness, in [0, 1].
    flyback_px : float
        Dark field: how far the beginning of each line is drawn out, while the beam still flies back [px],
        in [0, 20]; dies away within ten times as many pixels, and the truth is drawn out alike.
    illumination_gradient : float
        Relative change of the illumination across the micrograph, in [0, 1).
    drift_nm : float
        Length of the straight path that the image drifts during the exposure [nm], in [0, 1000].
    blur_nm : float
        Standard deviation of vibration and other blur [nm], in [0, 1000].
    dose : float
        Electrons per nm^2 at the specimen, in [1e-6, 1e9].
    mtf_nyquist : float
        The camera's modulation transfer at its Nyquist frequency, in (0, 1]; 1 is a perfect camera.
    gain, offset, readout_noise : float
        Counts per electron in (0, 1e4], counts without electrons in [-6e4, 6e4] (what falls below 0 is
        black), and their standard deviation in [0, 1e4].
    saturation : float
        Counts that the detector does not exceed, in [1, 65535].
    dead_pixels : float
        Share of pixels that count nothing, in [0, 0.1].
    visibility : float
        Contrast-to-noise ratio in its own area below which a particle is no longer part of the truth, in
        [0, 100]; see :mod:`temlib.synthetic.visibility`. 0 keeps all.
    marks : bool
        Burn in a scale bar, a panel letter and sometimes a strip below, as published figures have them.
    """

    size_px: Annotated[int, (32, 8192)] = 512
    pixel_size_nm: Annotated[float, (0.01, 100)] = 0.5
    mode: str = "bright_field"
    n_particles: Annotated[int, (0, 5000)] = 25
    shapes: tuple[str, ...] = ("sphere",)
    diameter_nm: Annotated[float, (0.1, 1e5)] = 25.0
    diameter_spread: Annotated[float, (0, 2)] = 0.15
    diameters_nm: tuple[float, ...] = ()
    max_aspect_ratio: Annotated[float, (1.2, 20)] = 2.0
    core_contrast: Annotated[float, (0, 20)] = 4.0
    clustering: Annotated[float, (0, 1)] = 0.2
    overlap: Annotated[float, (0, 0.999)] = 0.1
    attenuation_length_nm: Annotated[float, (0.1, 1e6)] = 30.0
    contrast_spread: Annotated[float, (0, 2)] = 0.1
    texture: Annotated[float, (0, 1)] = 0.0
    inner_potential_v: Annotated[float, (0, 60)] = 20.0
    diffraction: Annotated[float, (0, 1)] = 0.2
    extinction_nm: Annotated[float, (1, 1e6)] = 25.0
    max_grains: Annotated[int, (1, 20)] = 2
    film_thickness_nm: Annotated[float, (0, 1e4)] = 10.0
    film_roughness: Annotated[float, (0, 1)] = 0.2
    film_grain_nm: Annotated[float, (0.01, 1e4)] = 1.5
    film_unevenness: Annotated[float, (0, 1)] = 0.1
    film_holes: Annotated[float, (0, 0.9)] = 0.0
    support: Support | None = None
    voltage_kv: Annotated[float, (10, 3000)] = 200.0
    defocus_nm: Annotated[float, (-1e6, 1e6)] = 500.0
    cs_mm: Annotated[float, (-50, 50)] = 1.2
    focal_spread_nm: Annotated[float, (0, 1000)] = 5.0
    convergence_mrad: Annotated[float, (0, 20)] = 0.1
    aperture_mrad: Annotated[float, (1e-3, 1000)] = 10.0
    probe_nm: Annotated[float, (0, 100)] = 0.3
    scan_jitter_px: Annotated[float, (0, 20)] = 0.3
    scan_flicker: Annotated[float, (0, 1)] = 0.01
    flyback_px: Annotated[float, (0, 20)] = 0.0
    illumination_gradient: Annotated[float, (0, 0.999)] = 0.2
    drift_nm: Annotated[float, (0, 1000)] = 0.5
    blur_nm: Annotated[float, (0, 1000)] = 0.3
    dose: Annotated[float, (1e-6, 1e9)] = 1000.0
    mtf_nyquist: Annotated[float, (1e-3, 1)] = 0.3
    gain: Annotated[float, (1e-6, 1e4)] = 1.0
    offset: Annotated[float, (-6e4, 6e4)] = 0.0
    readout_noise: Annotated[float, (0, 1e4)] = 1.0
    saturation: Annotated[float, (1, 65535)] = 65535.0
    dead_pixels: Annotated[float, (0, 0.1)] = 0.0
    visibility: Annotated[float, (0, 100)] = 0.0
    marks: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r} is none of {', '.join(MODES)}")
        _check(self)
        if not all(0.1 <= diameter <= 1e5 for diameter in self.diameters_nm):
            raise ValueError("diameters_nm holds a size out of range; allowed are 0.1 to 100000.0 nm")

    @property
    def edge_nm(self) -> float:
        """Edge of the micrograph [nm]."""
        return self.size_px * self.pixel_size_nm
