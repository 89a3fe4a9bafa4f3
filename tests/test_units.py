import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from temlib.files.units import is_reciprocal, length_nm, names_a_unit

NANOMETRES = {
    1e9: ["m", "metre", "meters"],
    1e7: ["cm", "Centimeter"],
    1e6: ["mm", "MM", "millimeter", "Millimetres"],
    1e3: [
        "um",
        "UM",
        "µm",
        "μm",
        "u_m",
        "µ",
        "Âµm",
        "micron",
        "Microns",
        "micrometer",
        "micrometres",
        "um/pixel",
        "㎛",
    ],
    1: ["nm", "NM", "n_m", " nm ", "nm\0", "nanometer", "Nanometers", "nanometre", "nanometres", "nm/px", "㎚"],
    0.1: ["A", "Å", "Å", "ang", "Angstrom", "angstroms", "ångström", "Ångströms", "Angstroem"],
    1e-3: ["pm", "PM", "p_m", "picometer", "picometres"],
}
RECIPROCAL = [
    *(
        "1/nm",
        "1 / nm",
        "1/Å",
        "1/A",
        "1/µm",
        "1/px",
        "1/nm2",
        "/nm",
        "nm^-1",
        "nm-1",
        "nm⁻¹",
        "nm−1",
        "nm^(-1)",
        "nm**-1",
    ),
    *(
        "nm^{-1}",
        "A^-1",
        "Å⁻¹",
        "Å-1",
        "2pi/nm",
        "2π/nm",
        "2 pi / nm",
        "rad/nm",
        "cycles/nm",
        "inverse nm",
        "per nm",
        "invÅ",
    ),
    *("deg", "degrees", "°", "mrad", "rad", "µrad", "urad", "radians", "milliradian"),
]


@pytest.mark.parametrize(("nm", "unit"), [(nm, unit) for nm, units in NANOMETRES.items() for unit in units])
def test_a_length_is_read_in_any_spelling(nm, unit):
    assert length_nm(0.25 / nm, unit) == pytest.approx(0.25)
    assert length_nm(-0.25 / nm, unit) == pytest.approx(0.25)  # of an axis that runs backwards
    assert names_a_unit(unit)
    assert not is_reciprocal(unit)


@pytest.mark.parametrize("unit", RECIPROCAL)
def test_units_of_diffraction_patterns_are_known_in_any_spelling(unit):
    assert is_reciprocal(unit)
    assert length_nm(0.25, unit) is None


@pytest.mark.parametrize("unit", ["furlong", "Mm", "Pm", "eV", "s", "nm2", "percent", "counts"])
def test_what_is_no_length_is_unknown(unit):
    assert length_nm(0.25, unit) is None
    assert names_a_unit(unit)
    assert not is_reciprocal(unit)


@pytest.mark.parametrize("unit", ["", "px", "Pixels", "<undefined>", None, "none"])
def test_what_says_nothing_is_no_unit(unit):
    assert not names_a_unit(unit)
    assert length_nm(1.0, unit) is None


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf, 1e-9, 1e9])
def test_no_microscope_has_such_pixels(value):
    assert length_nm(value, "nm") is None


@pytest.mark.parametrize(
    ("per_unit", "unit"), [(4800, "inch"), (1889.76, "cm"), (12800, "in"), (188.976, "mm"), (300, "inches")]
)
def test_the_resolution_of_a_print_or_a_scan_is_no_calibration(per_unit, unit):
    assert length_nm(1 / per_unit, unit) is None
    assert length_nm(1e-7, "cm") == pytest.approx(1)


@settings(deadline=None)
@given(st.floats(), st.text(max_size=20))
def test_any_text_beside_any_number_is_a_length_of_a_microscope_or_none(value, unit):
    length = length_nm(value, unit)
    assert length is None or 1e-4 < length < 1e4
    assert not (is_reciprocal(unit) and length is not None)
