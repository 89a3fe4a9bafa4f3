"""Supports: agglomerated grains of oxide or carbon, and where on them particles sit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from temlib.files.resampling import as_picture, take
from temlib.synthetic.aggregates import aggregate
from temlib.synthetic.body import Body
from temlib.synthetic.scene import Scene, Support
from temlib.synthetic.shapes import SHAPES, wetting
from temlib.synthetic.specimen import (
    MARGIN,
    Particle,
    diameters,
    grain_noise,
    has_room,
    smooth_noise,
    two_beam,
)

__all__ = ["Layer", "draw_support", "place_on_support"]

_FORMS = 10  # grains are copies, turned, of so many
_FORM_EDGE = 256  # pixels; larger grains are enlarged from it
_MOST_GRAINS = 1500
_CHAIN = (20, 120)  # spheres of a fractal aggregate
_SITES = 40  # for each particle, to choose from


@dataclass(frozen=True)
class Layer:
    """The support, projected along the beam; float32 arrays of the micrograph with its margin.

    Attributes
    ----------
    thickness, depth, unscattered : array
        As of :class:`temlib.synthetic.specimen.Projection`.
    sites : array of shape (n, 4)
        Places for particles: y and x [nm], the direction that leaves the grain there, from x to y [rad],
        and how far its surface's normal is tilted from the beam [rad].
    """

    thickness: np.ndarray
    depth: np.ndarray
    unscattered: np.ndarray
    sites: np.ndarray


@dataclass(frozen=True)
class _Form:
    body: Body
    radius_px: float
    picture: np.ndarray  # thickness, in nm; float32
    half_px: float  # of the picture's edge


def draw_support(scene: Scene, support: Support, rng: np.random.Generator) -> Layer:
    """Draw the support of a scene: grains where they may lie, and the places that they offer to particles."""
    edge = scene.size_px + 2 * MARGIN
    total = np.zeros((edge, edge), np.float32)
    centres = _centres(scene, support, rng)
    forms = [_form(scene, support, rng) for _ in range(np.clip(len(centres), 1, _FORMS))]
    which, turns = rng.integers(len(forms), size=len(centres)), rng.integers(4, size=len(centres))
    near_bragg = rng.random(len(centres)) < support.diffraction
    diffracting = []
    for (y, x), form, turn, diffracts in zip(centres, which, turns, near_bragg, strict=True):
        window, piece = _piece(forms[form], y, x, turn, edge)
        total[window] += piece
        if diffracts and piece.size:
            diffracting.append((window, piece))
    covered = total > 0
    flattening = support.thickness_nm / total[covered].mean() if covered.any() else np.float32(0)
    total *= flattening
    unscattered = np.ones((edge, edge), np.float32)
    for window, piece in diffracting:
        deviation = np.full(1, np.abs(rng.normal(0, 0.7)), np.float32)
        unscattered[window] *= 1 - two_beam(piece * flattening, deviation, support.extinction_nm)
    if support.texture:
        density = grain_noise(edge, support.pore_nm / scene.pixel_size_nm, rng) * np.float32(support.texture)
        total *= np.maximum(1 + density, 0)
    sites = _sites(scene, support, forms, (centres, which, turns), rng)
    return Layer(total, total / np.float32(support.attenuation_length_nm), unscattered, sites)


def place_on_support(scene: Scene, support: Support, layer: Layer, rng: np.random.Generator) -> list[Particle]:
    """Put particles on a support, some beside others; see :func:`temlib.synthetic.specimen.place`.

    On a grain's outline a particle that wets it is seen from the side, its flat face to the grain, and
    another one sticks out.
    """
    placed: list[tuple[float, float, float, float, float]] = []  # with the direction and the tilt of their seats
    particles: list[Particle] = []
    sites = iter(layer.sites)
    for diameter in diameters(scene, rng):
        for _ in range(_SITES):
            beside = bool(placed) and rng.random() < scene.clustering
            seat = _beside(placed, diameter, scene, rng) if beside else next(sites, None)
            if seat is None:
                return particles
            y, x, direction, tilt = map(float, seat)
            wets = rng.random() < support.wetting
            out = 0.0 if wets or beside else 0.3 * diameter * np.sin(tilt)
            y, x = y + out * np.sin(direction), x + out * np.cos(direction)
            if has_room(scene, y, x, diameter, np.reshape(placed, (-1, 5))) and _carries(scene, layer, y, x, diameter):
                placed.append((y, x, diameter, direction, tilt))
                particles.append(_particle(scene, (y, x, diameter), direction, tilt if wets else None, rng))
                break
    return particles


def _particle(
    scene: Scene, at: tuple[float, float, float], direction: float, tilt: float | None, rng: np.random.Generator
) -> Particle:
    if tilt is not None:
        return Particle("wetting", *at, direction, wetting(tilt, rng.uniform(0, 0.9)))
    name = str(rng.choice(scene.shapes))
    return Particle(name, *at, rng.uniform(0, 2 * np.pi), SHAPES[name](rng, scene))


def _beside(placed: list, diameter: float, scene: Scene, rng: np.random.Generator) -> tuple[float, float, float, float]:
    y, x, neighbour, *seat = placed[rng.integers(len(placed))]
    reach = (diameter + neighbour) / 2 * rng.uniform(1 - scene.overlap, 1)
    angle = rng.uniform(0, 2 * np.pi)
    return y + reach * np.sin(angle), x + reach * np.cos(angle), *seat


def _carries(scene: Scene, layer: Layer, y: float, x: float, diameter: float) -> bool:
    """Tell whether there is support below a particle [nm] or within its radius."""
    rows, columns = (slice(max(int((at - diameter / 2) / scene.pixel_size_nm) + MARGIN, 0), None) for at in (y, x))
    n = int(diameter / scene.pixel_size_nm) + 1
    return bool(layer.thickness[rows, columns][:n, :n].any())


def _form(scene: Scene, support: Support, rng: np.random.Generator) -> _Form:
    """Draw one form of grain, its thickness on a grid no finer than needed."""
    name = str(rng.choice(support.shapes))
    radius_px = rng.lognormal(np.log(support.grain_nm), support.grain_spread) / scene.pixel_size_nm / 2
    body = SHAPES[name](rng, support)
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    reach = float(np.hypot(*body.outline.T).max()) + 1 / radius_px
    points = int(np.clip(np.ceil(2 * reach * radius_px), 4, _FORM_EDGE))
    grid = np.linspace(-reach, reach, points + 1, dtype=np.float32)
    y, x = grid[:, None], grid[None, :]
    corners = body.thickness(cos * x + sin * y, cos * y - sin * x)
    mean = (corners[1:, 1:] + corners[1:, :-1] + corners[:-1, 1:] + corners[:-1, :-1]) / 4
    thickness = mean * np.float32(radius_px * scene.pixel_size_nm)
    turned = replace(body, outline=body.outline @ np.array([[cos, sin], [-sin, cos]]))
    return _Form(turned, radius_px, thickness.astype(np.float32), reach * radius_px)


def _centres(scene: Scene, support: Support, rng: np.random.Generator) -> np.ndarray:
    """Draw where grains lie [px]; they may reach into the micrograph from outside of it."""
    grain = support.grain_nm / scene.pixel_size_nm
    edge, around = scene.size_px + 2 * MARGIN, 0.5 * grain
    extent = edge + 2 * around
    mean = support.coverage * support.layers * extent**2 / (np.pi / 4 * grain**2)
    number = int(min(rng.poisson(mean), _MOST_GRAINS))
    field = smooth_noise(96, int(rng.integers(1, 5)), rng)
    allowed = field <= np.quantile(field, support.coverage)
    if support.arrangement == "fractal":
        points = _chains(number, grain, allowed, extent, rng)
    else:
        points = _within(number, allowed, extent, rng)
    return points - around


def _within(number: int, allowed: np.ndarray, extent: float, rng: np.random.Generator) -> np.ndarray:
    """Draw points in [0, extent) where it is allowed."""
    cells = np.argwhere(allowed)
    if not len(cells):
        return np.zeros((0, 2))
    return (cells[rng.integers(len(cells), size=number)] + rng.random((number, 2))) * extent / len(allowed)


def _chains(number: int, grain: float, allowed: np.ndarray, extent: float, rng: np.random.Generator) -> np.ndarray:
    """Draw the spheres of fractal aggregates, the aggregates' centres where it is allowed."""
    spheres = int(np.exp(rng.uniform(*np.log(_CHAIN))))
    forms = [aggregate(spheres, rng) for _ in range(3)]
    chains = []
    for centre in _within(-(-number // spheres), allowed, extent, rng):
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        chains.append(centre + 0.42 * grain * (forms[rng.integers(3)] @ q)[:, :2])
    return np.concatenate(chains)[:number] if chains else np.zeros((0, 2))


def _piece(form: _Form, y: float, x: float, turn: int, edge: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """Give the part of a grain that lies in the field, and the window that it fills."""
    length = max(round(2 * form.half_px), 1)
    top, left = (round(at - form.half_px) for at in (y, x))
    rows, columns = (slice(max(start, 0), max(min(start + length, edge), 0)) for start in (top, left))
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if height <= 0 or width <= 0:
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.float32)
    picture = np.rot90(form.picture, turn)
    first_row, last_row, first, last = rows.start - top, rows.stop - top, columns.start - left, columns.stop - left
    if len(picture) == length:
        return (rows, columns), picture[first_row:last_row, first:last]
    share = len(picture) / length
    box = (first_row * share, first * share, last_row * share, last * share)
    return (rows, columns), take(as_picture(picture), (height, width), box)


def _sites(
    scene: Scene,
    support: Support,
    forms: list[_Form],
    grains: tuple[np.ndarray, np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw places on the grains, each grain as often as its area says, that lie in the micrograph."""
    centres, which, turns = grains
    areas = np.array([form.radius_px**2 for form in forms])[which]
    reach = np.array([form.half_px for form in forms])[which]
    inside = (centres + reach[:, None] > MARGIN) & (centres - reach[:, None] < MARGIN + scene.size_px)
    near = np.flatnonzero(inside.all(1))
    if not len(near):
        return np.zeros((0, 4))
    number = _SITES * scene.n_particles
    chosen = rng.choice(near, number, p=areas[near] / areas[near].sum())
    on_edge = rng.random(number) < support.on_edge
    share = np.where(on_edge, 1, np.sqrt(rng.random(number)))
    outlines = [form.body.outline for form in forms]
    corner = (rng.random(number) * np.array([len(o) for o in outlines])[which[chosen]]).astype(int)
    along = rng.random((number, 1))
    point = np.empty((number, 2))
    for form, outline in enumerate(outlines):
        here = which[chosen] == form
        after = np.roll(outline, -1, axis=0)
        point[here] = (1 - along[here]) * outline[corner[here]] + along[here] * after[corner[here]]
    angle = np.arctan2(point[:, 1], point[:, 0]) - turns[chosen] * np.pi / 2
    distance = np.hypot(*point.T) * share * np.array([form.radius_px for form in forms])[which[chosen]]
    x, y = (centres[chosen, i] + distance * f(angle) for i, f in ((1, np.cos), (0, np.sin)))
    y_nm, x_nm = ((at - MARGIN) * scene.pixel_size_nm for at in (y, x))
    sites = np.stack([y_nm, x_nm, angle, np.arcsin(share)], 1)
    return sites[((sites[:, :2] >= 0) & (sites[:, :2] < scene.edge_nm)).all(1)]
