"""What the micrographs of ``simulated`` are: materials, and the experiment drawn for each index."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

__all__ = ["CRYSTALS", "FIELD_PX", "SEED", "STEP_NM", "Crystal", "Experiment", "draw"]

SEED, FIELD_PX = 2023, 512
STEP_NM = 0.02  # grid of the multislice calculation and of the truth; a camera pixel is a multiple


class Crystal(NamedTuple):
    """A crystal: lattice constants a, c [nm]; rms thermal displacement along an axis [nm]."""

    space_group: int
    a_nm: float
    c_nm: float
    symbols: tuple[str, ...]
    sites: tuple[tuple[float, float, float], ...]  # fractional; the group's first origin
    displacement_nm: float


ORIGIN, QUARTER, HALF = (0.0, 0.0, 0.0), (0.25, 0.25, 0.25), (0.5, 0.5, 0.5)
CRYSTALS = {
    "Au": Crystal(225, 0.4078, 0.4078, ("Au",), (ORIGIN,), 0.0085),
    "Ag": Crystal(225, 0.4086, 0.4086, ("Ag",), (ORIGIN,), 0.0095),
    "Pt": Crystal(225, 0.3924, 0.3924, ("Pt",), (ORIGIN,), 0.0065),
    "Pd": Crystal(225, 0.3891, 0.3891, ("Pd",), (ORIGIN,), 0.0075),
    "Cu": Crystal(225, 0.3615, 0.3615, ("Cu",), (ORIGIN,), 0.0085),
    "CeO2": Crystal(225, 0.5411, 0.5411, ("Ce", "O"), (ORIGIN, QUARTER), 0.007),
    "MgO": Crystal(225, 0.4212, 0.4212, ("Mg", "O"), (ORIGIN, HALF), 0.0065),
    "TiO2": Crystal(136, 0.4594, 0.2959, ("Ti", "O"), (ORIGIN, (0.3053, 0.3053, 0)), 0.007),
    "ZnO": Crystal(186, 0.3250, 0.5207, ("Zn", "O"), ((1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.3817)), 0.008),
    "Fe3O4": Crystal(227, 0.8396, 0.8396, ("Fe", "Fe", "O"), (ORIGIN, (0.625,) * 3, (0.3799,) * 3), 0.007),
}
HABITS = ("sphere", "cube", "octahedron", "truncated", "rod", "irregular", "icosahedron")
METALS = ("Au", "Ag", "Pt", "Pd", "Cu")


@dataclass(frozen=True)
class Experiment:
    """Everything that is drawn for a micrograph; units are in the names."""

    index: int
    material: str
    shape: str
    arrangement: str
    film: str
    film_thickness_nm: float
    median_size_nm: float
    size_spread: float
    coverage: float
    binning: int
    voltage_kv: float
    cs_mm: float
    defocus_nm: float  # positive: underfocus, counted from the exit plane
    aperture_mrad: float
    convergence_mrad: float
    focal_spread_nm: float
    dose_per_nm2: float
    illumination_gradient: float
    mtf_nyquist: float
    readout_electrons: float

    @property
    def pixel_size_nm(self) -> float:
        """Edge of a camera pixel [nm]."""
        return round(self.binning * STEP_NM, 6)

    @property
    def name(self) -> str:
        """Name of the micrograph."""
        return f"simulated_{self.index:04d}"


def draw(index: int) -> Experiment:
    """Draw the parameters of a micrograph from (seed, index); each index has the same distribution."""
    rng = np.random.default_rng([SEED, index])

    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    binning = int(rng.choice([3, 4, 5], p=[0.5, 0.42, 0.08]))
    material = str(rng.choice(list(CRYSTALS)))
    shape = str(rng.choice(HABITS, p=[0.27, 0.13, 0.1, 0.15, 0.13, 0.12, 0.1]))
    if shape == "icosahedron" and material not in METALS:  # oxides do not grow so
        shape = "sphere"
    defocus = [log_uniform(100, 1500), rng.uniform(-60, 100), -log_uniform(100, 600)]
    return Experiment(
        index=index,
        material=material,
        shape=shape,
        arrangement=str(rng.choice(["separated", "touching", "piled"])),
        film=str(rng.choice(["whole", "hole", "edge"], p=[0.76, 0.14, 0.1])),
        film_thickness_nm=log_uniform(3, 12),
        median_size_nm=max(2.5, log_uniform(22, 85) * binning * STEP_NM),
        size_spread=rng.uniform(0.05, 0.35),
        coverage=rng.uniform(0.08, 0.35),
        binning=binning,
        voltage_kv=float(rng.choice([80, 120, 200, 300], p=[0.1, 0.15, 0.5, 0.25])),
        cs_mm=float(rng.choice([1.2, 0.005], p=[0.75, 0.25])),
        defocus_nm=float(rng.choice(defocus, p=[0.83, 0.07, 0.1])),
        aperture_mrad=rng.uniform(5, 15),
        convergence_mrad=log_uniform(0.05, 0.3),
        focal_spread_nm=rng.uniform(3, 8),
        dose_per_nm2=log_uniform(3, 45) / (binning * STEP_NM) ** 2,
        illumination_gradient=rng.uniform(0, 0.2),
        mtf_nyquist=rng.uniform(0.1, 0.6),
        readout_electrons=rng.uniform(0.1, 0.8),
    )
