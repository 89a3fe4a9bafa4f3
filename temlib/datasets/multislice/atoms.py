"""The specimen of ``simulated``: particles cut from crystals, on amorphous carbon, and their projection.

Positions are in nm, (n, 3); z runs along the electrons, so the upper of two particles has the smaller z.
The scene repeats laterally; its period is the edge of the box.
"""

import functools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from temlib.datasets.multislice.design import CRYSTALS, FIELD_PX, STEP_NM, Experiment

__all__ = [
    "Nanocrystal",
    "bin_mean",
    "film_atoms",
    "film_surfaces",
    "footprint",
    "label_particles",
    "lay_out",
    "wigner_seitz_radius",
]

CARBON_CELL_NM = 0.2154  # one C atom a cell: 2.0 g/cm^3
CUBE = np.vstack([np.eye(3), -np.eye(3)])
OCTAHEDRON = np.array([(x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1)]) / np.sqrt(3)


@dataclass
class Nanocrystal:
    """Atoms of a particle: numbers (n,), positions (n, 3) [nm]; its lateral radius and its centre (3,) [nm]."""

    numbers: np.ndarray
    positions: np.ndarray
    radius: float
    centre: np.ndarray
    side: int  # of the film: -1 towards the source, 1 beyond it
    level: int  # in a pile


def inside(shape: str, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tell which points (n, 3), in units of half the particle's size, lie in a shape; bool (n,)."""
    if shape == "sphere":
        return (points**2).sum(1) <= 1
    if shape == "rod":  # a cylinder with round caps
        beyond = np.maximum(np.abs(points[:, 2]) - rng.uniform(0.6, 1.6), 0)
        return points[:, 0] ** 2 + points[:, 1] ** 2 + beyond**2 <= 0.6
    if shape == "irregular":
        normals = rng.normal(size=(16, 3))
        normals = np.vstack([CUBE, normals / np.linalg.norm(normals, axis=1, keepdims=True)])
        reach = rng.uniform(0.6, 1.15, len(normals))
    else:
        cube, octahedron = {"cube": (0.78, 9), "octahedron": (9, 0.68)}.get(shape, (0.9, 0.85))
        normals = np.vstack([CUBE, OCTAHEDRON])
        reach = np.repeat([cube, octahedron], [len(CUBE), len(OCTAHEDRON)])
    return (points @ normals.T - reach).max(1) <= 0


@functools.cache
def unit_cell(material: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give the cell vectors (3, 3) [nm], the basis (n, 3) [nm] and the atomic numbers (n,) of a crystal."""
    from ase.spacegroup import crystal

    m = CRYSTALS[material]
    gamma = 120 if m.space_group == 186 else 90  # wurtzite is hexagonal
    cellpar = [m.a_nm, m.a_nm, m.c_nm, 90, 90, gamma]
    cell = crystal(m.symbols, list(m.sites), spacegroup=m.space_group, cellpar=cellpar)
    return np.array(cell.cell), cell.positions, cell.numbers


def wigner_seitz_radius(material: str) -> float:
    """Give the radius [nm] of the sphere that holds as much as an atom does in the crystal."""
    cell, _, species = unit_cell(material)
    return float((3 / (4 * np.pi) * abs(np.linalg.det(cell)) / len(species)) ** (1 / 3))


@functools.cache
def icosahedron(material: str, n_shells: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the positions (n, 3) [nm] and atomic numbers (n,) of a multiply twinned icosahedron."""
    from ase.cluster import Icosahedron

    cluster = Icosahedron(material, n_shells, latticeconstant=CRYSTALS[material].a_nm)
    return cluster.positions - cluster.positions.mean(0), cluster.numbers


def cut(e: Experiment, size_nm: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut a particle of a size [nm] from its crystal: positions (n, 3) [nm] about 0, atomic numbers (n,)."""
    half = size_nm / 2
    flat = e.shape == "cube" and rng.random() < 0.5
    turn = Rotation.from_rotvec([0, 0, rng.uniform(0, np.pi)]) if flat else Rotation.random(random_state=rng)
    if e.shape == "icosahedron":
        n_shells = max(3, round(half / (0.67 * CRYSTALS[e.material].a_nm)) + 1)
        points, numbers = icosahedron(e.material, n_shells)
        return turn.apply(points), numbers
    cell, basis, species = unit_cell(e.material)
    reach = 2.4 * half
    counts = np.ceil(reach * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)
    lattice = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in counts], indexing="ij"), -1).reshape(-1, 3)
    lattice = (lattice + rng.random(3)) @ cell
    lattice = lattice[(lattice**2).sum(1) <= (reach + 1) ** 2]
    points = (lattice[:, None] + basis).reshape(-1, 3)
    numbers = np.tile(species, len(lattice))
    if e.shape == "rod":  # the crystal need not grow along the rod
        points = Rotation.random(random_state=rng).apply(points)
        turn = Rotation.from_euler("xz", [90 + rng.normal(0, 8), rng.uniform(0, 360)], degrees=True)
    kept = inside(e.shape, points / half, rng)
    return turn.apply(points[kept]), numbers[kept]


def noise(n: int, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """Give smooth periodic noise (n, n) of mean 0 and standard deviation 1; correlation in samples."""
    field = ndimage.gaussian_filter(rng.normal(size=(n, n)), correlation, mode="wrap")
    return (field - field.mean()) / field.std()


def film_surfaces(e: Experiment, box_nm: float, rng: np.random.Generator) -> np.ndarray:
    """Give the z [nm] of the film's entrance and exit surface, (2, n, n) on carbon's cells; equal in a hole."""
    n = round(box_nm / CARBON_CELL_NM)
    per_nm = n / box_nm
    top = rng.uniform(0.1, 0.5) * noise(n, 0.8 * per_nm, rng)
    thickness = e.film_thickness_nm * (1 + rng.uniform(0.1, 0.3) * noise(n, 8 * per_nm, rng))
    thickness = np.maximum(thickness + rng.uniform(0.2, 0.6) * noise(n, 0.8 * per_nm, rng), 1.0)
    if e.film != "whole":
        field = noise(n, n / 5 if e.film == "edge" else 4 * per_nm, rng)
        limit = np.quantile(field, 0.7 if e.film == "edge" else 0.85)
        thickness *= np.clip((limit - field) * 6, 0, 1)
    return np.stack([top, top + thickness])


def film_atoms(surfaces: np.ndarray, box_nm: float, rng: np.random.Generator) -> np.ndarray:
    """Fill the film with carbon, (n, 3) [nm]: one atom at random in each cell, more even than pure chance."""
    n = surfaces.shape[-1]
    layers = np.arange(np.floor(surfaces.min() / CARBON_CELL_NM), np.ceil(surfaces.max() / CARBON_CELL_NM))
    z = layers * CARBON_CELL_NM
    filled = np.argwhere((z >= surfaces[0][..., None]) & (z < surfaces[1][..., None])).astype(float)
    atoms = (filled + rng.random(filled.shape)) * [box_nm / n, box_nm / n, CARBON_CELL_NM]
    return atoms + np.array([0, 0, z[0]])


def lay_out(e: Experiment, surfaces: np.ndarray, box_nm: float, rng: np.random.Generator) -> list[Nanocrystal]:
    """Lay particles on the film until they cover what they should: apart, in contact, or on top of each other."""
    placed: list[Nanocrystal] = []
    wanted = e.coverage * box_nm**2
    for _ in range(2000):
        if wanted <= 0 or len(placed) >= 400:
            break
        size = np.clip(e.median_size_nm * np.exp(e.size_spread * rng.normal()), *np.array([14, 130]) * e.pixel_size_nm)
        positions, numbers = cut(e, size, rng)
        radius = float(np.sqrt((positions[:, :2] ** 2).sum(1).max()))
        side = 1 if e.arrangement == "piled" and rng.random() < 0.3 else -1  # beyond the film, or before it
        for _ in range(40):
            centre, level = _resting_place(e, positions, radius, side, placed, surfaces, box_nm, rng)
            if level:
                break
        else:
            continue
        particle = Nanocrystal(numbers, positions + centre, radius, centre, side, level)
        particle = _without_contacts(particle, placed, box_nm)
        if len(particle.numbers) > len(numbers) / 2:
            wanted -= np.pi * min(radius, size / 2) ** 2
            placed.append(particle)
    return placed


def _resting_place(
    e: Experiment,
    positions: np.ndarray,
    radius: float,
    side: int,
    placed: list[Nanocrystal],
    surfaces: np.ndarray,
    box_nm: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, int]:
    """Try one place for a particle; give its centre and how high it lies in a pile, 0 where it cannot lie."""
    xy = rng.uniform(0, box_nm, 2)
    if e.arrangement == "touching" and placed and rng.random() < 0.75:
        other, angle = placed[rng.integers(len(placed))], rng.uniform(0, 2 * np.pi)
        xy = (other.centre[:2] + 0.92 * (radius + other.radius) * np.array([np.cos(angle), np.sin(angle)])) % box_nm
    column = tuple((xy / box_nm * surfaces.shape[-1]).astype(int))
    if surfaces[1][column] - surfaces[0][column] < 0.5:
        return xy, 0
    z = surfaces[(side + 1) // 2][column] - (positions[:, 2] * side).min() * side
    level = 1
    for other in placed:
        gap = xy - other.centre[:2]
        distance = np.linalg.norm(gap - box_nm * np.round(gap / box_nm)) / (radius + other.radius)
        if distance < {"separated": 1.05, "touching": 0.9, "piled": 0.45}[e.arrangement]:
            return xy, 0
        if distance < 0.92 and other.side == side:
            level = max(level, other.level + 1)
            reach = 0.45 * (np.ptp(positions[:, 2]) + np.ptp(other.positions[:, 2])) * np.sqrt(1 - distance**2)
            z = other.centre[2] + side * max(side * (z - other.centre[2]), reach)
    return np.array([*xy, z]), level if level <= 2 else 0


def _without_contacts(
    particle: Nanocrystal, placed: list[Nanocrystal], box_nm: float, contact_nm: float = 0.22
) -> Nanocrystal:
    """Take away the atoms that would lie in an earlier particle: two that touch share a boundary."""
    for other in placed:
        shift = box_nm * np.round((particle.centre[:2] - other.centre[:2]) / box_nm)
        if np.linalg.norm(particle.centre[:2] - other.centre[:2] - shift) > particle.radius + other.radius + contact_nm:
            continue
        atoms = cKDTree(other.positions + np.append(shift, 0))
        kept = np.isinf(atoms.query(particle.positions, distance_upper_bound=contact_nm)[0])
        particle.positions, particle.numbers = particle.positions[kept], particle.numbers[kept]
    return particle


def footprint(xy: np.ndarray, radius_nm: float, binning: int) -> tuple[np.ndarray, tuple[int, int], float]:
    """Project atoms to the camera pixels that they cover at least half.

    Each atom is a disc; the union of the discs is closed by the same disc (dilated by it, then
    eroded), so that the gaps between columns of atoms count as particle.

    Parameters
    ----------
    xy : array of shape (n, 2)
        Lateral positions [nm]; axis 0 of the picture first.
    radius_nm : float
        Of an atom's disc [nm]: the Wigner-Seitz radius.
    binning : int
        Grid points of 0.02 nm along a camera pixel.

    Returns
    -------
    mask : bool array
        Window on the camera's pixels.
    corner : (int, int)
        Its first pixel; may be negative.
    diameter : float
        Equivalent circular diameter on the fine grid [nm].
    """
    border = 3 * radius_nm
    corner = np.floor((xy.min(0) - border) / (STEP_NM * binning)).astype(int)
    shape = (np.ceil((xy.max(0) + border) / (STEP_NM * binning)).astype(int) - corner) * binning
    empty = np.ones(shape, bool)
    empty[tuple((np.rint(xy / STEP_NM).astype(int) - corner * binning).T)] = False
    near = ndimage.distance_transform_edt(empty) * STEP_NM <= 2 * radius_nm
    covered = ndimage.distance_transform_edt(near) * STEP_NM > radius_nm
    return (
        bin_mean(covered, binning) >= 0.5,
        (corner[0], corner[1]),
        float(2 * np.sqrt(covered.sum() / np.pi) * STEP_NM),
    )


def bin_mean(values: np.ndarray, binning: int) -> np.ndarray:
    """Average (height, width) over square blocks of ``binning`` points."""
    height, width = (n // binning for n in values.shape)
    return values.reshape(height, binning, width, binning).mean((1, 3))


def label_particles(
    particles: list[Nanocrystal], radius_nm: float, binning: int, box_nm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give the labels (field, field), uint16, and the diameters [nm] of the particles in them.

    The arguments are those of :func:`footprint`; the field lies in the middle of the box. Where
    particles overlap, the one nearer to the source is seen. Repeats of a particle that reach into
    the field from the other side of the box count as particles of their own.
    """
    labels, diameters = np.zeros((FIELD_PX, FIELD_PX), np.uint16), [0.0]
    pixel_nm = binning * STEP_NM
    pad = (box_nm - FIELD_PX * pixel_nm) / 2
    for particle in sorted(particles, key=lambda p: -p.centre[2]):
        mask, corner, diameter = footprint(particle.positions[:, :2] - pad, radius_nm, binning)
        for shift in np.ndindex(3, 3):
            first = np.array(corner) + (np.array(shift) - 1) * round(box_nm / pixel_nm)
            low, high = np.maximum(first, 0), np.minimum(first + mask.shape, FIELD_PX)
            if (high <= low).any():
                continue
            seen = mask[tuple(slice(a, b) for a, b in zip(low - first, high - first))]
            if seen.any():
                labels[low[0] : high[0], low[1] : high[1]][seen] = len(diameters)
                diameters.append(diameter)
    present, relabelled = np.unique(labels, return_inverse=True)
    relabelled = relabelled.reshape(labels.shape) + (present[0] > 0)
    return relabelled.astype(np.uint16), np.array(diameters)[present[present > 0]]
