"""Render the data set ``simulated``: a multislice stand-in for a TEM experiment, with exact truth.

Nanoparticles cut from crystals lie on a film of amorphous carbon; abTEM propagates a plane wave
through the atoms and applies the objective lens, and a camera of our own records the intensity.
Elastic scattering only, one frozen-phonon configuration. The scene repeats laterally, so what
reaches the field from beyond its margin comes from a neighbouring piece of specimen.

Run in an environment with the extra ``render``, of its own (abTEM wants zarr 3, HyperSpy's zspy zarr 2; so no
``constraints.txt`` either): seconds to minutes a micrograph. Then list the files::

    python -m temlib.datasets.multislice.render 0 1 2      # indices; none: all
    python -m temlib.datasets.multislice.render --registry  # write simulated.csv

Every number is drawn from (seed, index), so any micrograph can be made again by itself.
Lengths are in nm, angles in mrad, z runs along the electrons; abTEM itself wants Angstrom and eV.
"""

import argparse
import functools
import hashlib
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from temlib.datasets import CARRIED, REGISTRY
from temlib.datasets.multislice.atoms import (
    bin_mean,
    film_atoms,
    film_surfaces,
    label_particles,
    lay_out,
    wigner_seitz_radius,
)
from temlib.datasets.multislice.design import CRYSTALS, FIELD_PX, SEED, STEP_NM, Experiment, draw
from temlib.files.micrographs import micrograph
from temlib.writing import write_atomically

__all__ = ["box_of", "mtf", "propagate", "record", "registry", "render", "write"]

SPLIT = ("train",) * 24 + ("validation",) * 9 + ("test",) * 11
SLICE_NM, MARGIN_PX = 1.0, 8  # of the multislice; of the camera's picture, against its blur
FOLDER = CARRIED / "simulated"


def propagate(e: Experiment, numbers: np.ndarray, positions: np.ndarray, box_nm: float) -> np.ndarray:
    """Give the image intensity on the fine grid (n, n), 1 in vacuum, of atoms at positions (n, 3) [nm]."""
    import abtem
    import ase
    import dask

    depth = SLICE_NM * np.ceil((np.ptp(positions[:, 2]) + 0.4) / SLICE_NM)
    positions = positions - [0, 0, positions[:, 2].min() - 0.2]
    atoms = ase.Atoms(numbers, 10 * positions, cell=10 * np.array([box_nm, box_nm, depth]), pbc=True)
    settings = {"fftw.threads": 1, "fftw.planning_effort": "FFTW_ESTIMATE", "diagnostics.progress_bar": False}
    with abtem.config.set(settings), dask.config.set(scheduler="synchronous"):
        n = round(box_nm / STEP_NM)
        potential = abtem.Potential(atoms, gpts=n, slice_thickness=10 * SLICE_NM, projection="infinite")
        wave = abtem.PlaneWave(energy=1e3 * e.voltage_kv).multislice(potential, lazy=False)
        lens = abtem.CTF(
            semiangle_cutoff=e.aperture_mrad,
            defocus=10 * e.defocus_nm,
            Cs=1e7 * e.cs_mm,
            focal_spread=10 * e.focal_spread_nm,
            angular_spread=e.convergence_mrad,
        )
        return np.asarray(wave.apply_ctf(lens).intensity().array)


def mtf(shape: tuple[int, int], at_nyquist: float) -> np.ndarray:
    """Give the camera's modulation transfer on the frequencies of ``rfft2``: 1 at 0, a Lorentzian."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    return 1 / (1 + (frequency / 0.5) ** 2 * (1 / at_nyquist - 1))


def record(e: Experiment, intensity: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Record intensity per camera pixel, margin included, as counts (field, field), uint16."""
    shape = intensity.shape
    y, x = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    angle, (u, v) = rng.uniform(0, 2 * np.pi), rng.uniform(-0.6, 0.6, 2)
    light = 1 + e.illumination_gradient * (
        0.7 * (x * np.cos(angle) + y * np.sin(angle)) - 0.4 * ((x - u) ** 2 + (y - v) ** 2)
    )
    mean = e.dose_per_nm2 * e.pixel_size_nm**2
    electrons = rng.poisson(mean * np.maximum(light, 0.1) * intensity)
    transfer = mtf(shape, e.mtf_nyquist)
    signal = np.fft.irfft2(np.fft.rfft2(electrons) * transfer, shape)
    signal += rng.normal(0, e.readout_electrons, shape)
    sigma = np.sqrt(mean * np.mean(transfer**2) + e.readout_electrons**2)
    signal *= 2.2 / sigma  # a count is less than half the noise
    spoilt = rng.integers(0, shape, (rng.poisson(5), 2))
    signal[tuple(spoilt.T)] = rng.choice([0, 3, 6], len(spoilt)) * signal.mean()  # dead and hot pixels
    counts = np.clip(np.rint(signal + rng.integers(20, 200)), 0, 65535).astype(np.uint16)
    return counts[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]


def box_of(e: Experiment) -> float:
    """Give the edge of the scene [nm]: the field, and a margin that grows with the delocalisation of the lens."""
    pad = np.clip(1e-3 * e.aperture_mrad * abs(e.defocus_nm), 1.5, 3.0)
    n = FIELD_PX + 2 * int(np.ceil(pad / e.pixel_size_nm))
    while max(_prime_factors(n)) > 7:
        n += 2
    return n * e.pixel_size_nm


def _prime_factors(n: int) -> list[int]:
    factor = next((f for f in range(2, n) if n % f == 0), n)
    return [factor, *(_prime_factors(n // factor) if n > factor else [])]


def render(index: int) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Render a micrograph: counts and labels, both (512, 512) uint16, and what is known of them."""
    e, box_nm = draw(index), box_of(draw(index))
    scene, camera = np.random.default_rng([SEED, index, 1]), np.random.default_rng([SEED, index, 2])
    surfaces = film_surfaces(e, box_nm, scene)
    particles = lay_out(e, surfaces, box_nm, scene)
    carbon = film_atoms(surfaces, box_nm, scene)
    labels, diameters = label_particles(particles, wigner_seitz_radius(e.material), e.binning, box_nm)
    displaced = [
        p.positions + scene.normal(0, CRYSTALS[e.material].displacement_nm, p.positions.shape) for p in particles
    ]
    numbers = np.concatenate([p.numbers for p in particles] + [np.full(len(carbon), 6)])
    intensity = propagate(e, numbers, np.concatenate([*displaced, carbon]), box_nm)
    cropped = (round(box_nm / e.pixel_size_nm) - FIELD_PX) // 2 - MARGIN_PX
    counts = record(e, bin_mean(intensity, e.binning)[cropped:-cropped, cropped:-cropped], camera)
    known = {"pixel_size_nm": e.pixel_size_nm, "n_particles": len(diameters), "diameters_nm": diameters}
    return counts, labels, asdict(e) | known


def write(index: int, folder: Path, overwrite: bool = False) -> None:
    """Render a micrograph into ``images`` and ``labels`` of a folder; the same seed gives the same pixels."""
    import abtem

    e = draw(index)
    files = [folder / part / f"{e.name}.hspy" for part in ("labels", "images")]
    if not overwrite and any(file.exists() for file in files):
        raise FileExistsError(f"{e.name}: exists already in {folder}; pass --overwrite to render it again")
    counts, labels, known = render(index)
    known |= {"seed": [SEED, index], "licence": "CC0-1.0", "software": f"abTEM {abtem.__version__}"}
    for file, data in zip(files, (labels, counts)):
        signal = micrograph(data, e.pixel_size_nm, e.name)
        signal.metadata.add_dictionary({"Simulation": known})
        signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", e.voltage_kv)
        write_atomically(file, functools.partial(_write_hspy, signal))


def _write_hspy(signal: Any, path: Path) -> None:
    """Write without the time of day, which ``signal.save`` would add: the same content, the same bytes."""
    import hyperspy
    from rsciio.hspy import file_writer

    content = signal._to_dictionary(add_models=True)
    content["package_info"] = {"package": "hyperspy", "package_version": hyperspy.__version__}
    file_writer(os.fspath(path), content, show_progressbar=False, compression_opts=9, shuffle=True)


def registry(folder: Path) -> list[dict[str, Any]]:
    """Describe the files in a folder, one row a micrograph, from what they say of themselves."""
    import hyperspy.api as hs

    rows = []
    for index, split in enumerate(SPLIT):
        name = draw(index).name
        files = {part: folder / part / f"{name}.hspy" for part in ("images", "labels")}
        known = hs.load(files["labels"]).metadata.Simulation.as_dictionary()
        row = {"name": name, "group": name, "split": split, "material": known["material"]}
        row |= {"n_particles": known["n_particles"], "pixel_size_nm": known["pixel_size_nm"]}
        columns = ("voltage_kv", "defocus_nm", "aperture_mrad", "dose_per_nm2", "film_thickness_nm")
        row |= {column: f"{known[column]:.5g}" for column in columns}
        row["median_diameter_nm"] = f"{np.median(known['diameters_nm']):.4g}"
        row |= {
            f"{part}_sha256".replace("images", "image"): hashlib.sha256(file.read_bytes()).hexdigest()
            for part, file in files.items()
        }
        rows.append(row)
    return rows


def main() -> None:
    """Read the command line; render, or list what was rendered."""
    parser = argparse.ArgumentParser(description="Render the data set 'simulated'.")
    parser.add_argument("indices", nargs="*", type=int, help="which micrographs; none: all")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where images/ and labels/ go")
    parser.add_argument("--overwrite", action="store_true", help="render again what is there")
    parser.add_argument("--registry", action="store_true", help="render nothing; write simulated.csv")
    options = parser.parse_args()
    if options.registry:
        import pandas as pd

        pd.DataFrame(registry(options.folder)).to_csv(REGISTRY / "simulated.csv", index=False)
        return
    for index in options.indices or range(len(SPLIT)):
        write(index, options.folder, options.overwrite)


if __name__ == "__main__":
    main()
