"""Materials: how far a beam goes in them before electrons are scattered beyond an angle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from temlib.synthetic.optics import REST_ENERGY_KV, wavelength_nm

__all__ = ["MATERIALS", "Material", "attenuation_length_nm", "cross_section_nm2"]

_BOHR_RADIUS_NM = 0.0529177
_AVOGADRO = 6.02214e23


@dataclass(frozen=True)
class Material:
    """What a grain or a particle is made of.

    Attributes
    ----------
    density : float
        Mass density [g/cm^3].
    atoms : tuple of (int, float, int)
        Atomic number, atomic mass [g/mol], and how many of them in a formula unit.
    """

    density: float
    atoms: tuple[tuple[int, float, int], ...]


_O = (8, 15.999, 1)
MATERIALS = {
    "C": Material(1.9, ((6, 12.011, 1),)),
    "SiO2": Material(2.2, ((14, 28.086, 1), (*_O[:2], 2))),
    "Al2O3": Material(3.6, ((13, 26.982, 2), (*_O[:2], 3))),
    "TiO2": Material(4.0, ((22, 47.867, 1), (*_O[:2], 2))),
    "ZnO": Material(5.6, ((30, 65.38, 1), _O)),
    "CeO2": Material(7.2, ((58, 140.116, 1), (*_O[:2], 2))),
    "Ni": Material(8.9, ((28, 58.693, 1),)),
    "Cu": Material(8.96, ((29, 63.546, 1),)),
    "Ru": Material(12.4, ((44, 101.07, 1),)),
    "Pd": Material(12.0, ((46, 106.42, 1),)),
    "Ag": Material(10.5, ((47, 107.868, 1),)),
    "Pt": Material(21.4, ((78, 195.084, 1),)),
    "Au": Material(19.3, ((79, 196.967, 1),)),
}
"""Carbon black, the commonest oxides that carry catalysts, and metals on them, by formula."""


def cross_section_nm2(atomic_number: float, beyond_mrad: float = 0.0, voltage_kv: float = 200.0) -> float:
    """Give the cross-section [nm^2] of one atom for elastic scattering beyond an angle.

    A screened Coulomb potential in Born's approximation, screening radius a_H Z^(-1/3) (F. Lenz 1954; Reimer and
    Kohl, 5th ed., ch. 5.1): all scattering grows as Z^(4/3), that to high angles as Z^2.

    Parameters
    ----------
    atomic_number : float
        Z.
    beyond_mrad : float
        The objective aperture's semi-angle in bright field; the annular detector's inner one in dark field [mrad].
    voltage_kv : float
        Acceleration voltage [kV].
    """
    wavelength, relativistic = wavelength_nm(voltage_kv), 1 + voltage_kv / REST_ENERGY_KV
    radius = _BOHR_RADIUS_NM * atomic_number ** (-1 / 3)
    screening = wavelength / (2 * np.pi * radius)
    whole = (atomic_number * radius * wavelength * relativistic / _BOHR_RADIUS_NM) ** 2 / np.pi
    return float(whole / (1 + (beyond_mrad * 1e-3 / screening) ** 2))


def attenuation_length_nm(material: str, beyond_mrad: float, voltage_kv: float = 200.0) -> float:
    """Give the thickness [nm] that scatters all but 1/e of the electrons beyond an angle, once.

    Elastic scattering alone: what loses energy is scattered to small angles.

    Parameters
    ----------
    material : str
        Key of :data:`MATERIALS`.
    beyond_mrad, voltage_kv : float
        See :func:`cross_section_nm2`.
    """
    if material not in MATERIALS:
        raise ValueError(f"material={material!r} is none of {', '.join(MATERIALS)}")
    made = MATERIALS[material]
    mass = sum(number * mass for _, mass, number in made.atoms)
    scatters = sum(number * cross_section_nm2(z, beyond_mrad, voltage_kv) for z, _, number in made.atoms)
    return mass / (_AVOGADRO * made.density * 1e-21 * scatters)
