"""Units that files write beside their numbers: lengths, and those of diffraction patterns."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Any

__all__ = ["is_harmless", "is_reciprocal", "length_nm", "names_a_unit", "why_unknown"]

_PREFIXES = {"": 1e9, "centi": 1e7, "milli": 1e6, "micro": 1e3, "nano": 1.0, "pico": 1e-3}
_LENGTHS = {  # in nm, as `_plain` spells them: its micro sign is the Greek mu
    **{f"{prefix}{word}": nm for prefix, nm in _PREFIXES.items() for word in ("metre", "meter", "metres", "meters")},
    **{"m": 1e9, "cm": 1e7, "mm": 1e6, "um": 1e3, "μm": 1e3, "mum": 1e3, "nm": 1.0, "pm": 1e-3},
    **dict.fromkeys(("μ", "micron", "microns"), 1e3),
    **dict.fromkeys(("a", "å", "ang", "angs"), 0.1),
    **dict.fromkeys((f"{a}ngstr{o}m{s}" for a in "aå" for o in ("o", "ö", "oe") for s in ("", "s")), 0.1),
    **dict.fromkeys(("in", "inch", "inches", '"'), 2.54e7),
}
_LARGE_PREFIXES = ("Mm", "Pm")  # mega and peta: not milli and pico
_NONE = {"", "-", "px", "pix", "pixel", "pixels", "none", "nan", "null", "undefined", "<undefined>", "unknown", "unit"}
# Units of printers and scanners: 300 dpi is 85 um, 12800 dpi 2 um, and neither is a microscope's.
_PRINTED = {"cm", "mm", "in", "inch", "inches", '"', "centimetre", "centimeter", "millimetre", "millimeter"}
_FINEST_PRINT_NM = 1e3
# A tenth of the finest pixel of an atom-resolving microscope: smaller ones are a damaged header.
_SMALLEST_PIXEL_NM, _LARGEST_PIXEL_NM = 1e-4, 1e4

_ANGLE = re.compile(r"°|([mμu]|milli|micro)?(rad|rads|radians?)|deg|degs|degrees?")
_PER = re.compile(r"(1|[ckq]|rad|cyc|cycles?|lp|2?\W?(pi|π))?/.+|.+[\^*({]*-[12][)}]*")
_POWER_OF_NUMBER = re.compile(r"[\d)\]](\*\*|\^|[⁰¹²³⁴-⁹⁻])")
_LONGEST = 80  # characters
_INVERSE = re.compile(r"(inverse|inv|reciprocal|per)\W?(?P<of>.+)")


def length_nm(value: float, unit: Any) -> float | None:
    """Give the length of a pixel's side [nm].

    Parameters
    ----------
    value : float
        How many units; the sign, which says in which direction an axis runs, does not matter.
    unit : object
        What the file calls the unit: ``nm``, ``µm``, ``Angstrom``, ``microns``, ``nm/px``, ...

    Returns
    -------
    float or None
        None where the unit is no length, where no microscope has such pixels (below 0.1 pm, above
        10 µm), and for 1 µm or more in mm, cm or inches: the resolution of a print or a scan.
    """
    plain = _plain(unit)
    factor = _LENGTHS.get(plain)
    if factor is None or str(unit).strip() in _LARGE_PREFIXES or not math.isfinite(value):
        return None
    length = abs(float(value)) * factor
    largest = _FINEST_PRINT_NM if plain.removesuffix("s") in _PRINTED else _LARGEST_PIXEL_NM
    return length if _SMALLEST_PIXEL_NM < length < largest else None


def why_unknown(value: float, unit: Any) -> str:
    """Say what is not understood of a stated pixel size; "" where it is known, and where nothing is stated.

    Parameters
    ----------
    value, unit
        See :func:`length_nm`. The resolution of a print or a scan states nothing.
    """
    if length_nm(value, unit) is not None or not names_a_unit(unit):
        return ""
    factor = _LENGTHS.get(_plain(unit))
    if factor is None or str(unit).strip() in _LARGE_PREFIXES:
        return f"it is in {str(unit)!r}, no unit of length that temlib knows"
    return "" if math.isfinite(value) and abs(value) * factor >= _FINEST_PRINT_NM else f"it is {value:g} {unit}"


def is_reciprocal(unit: Any) -> bool:
    """Say whether a unit is that of a diffraction pattern or a Fourier transform: 1/nm, nm⁻¹, mrad, ..."""
    plain = _plain(unit)
    inverse = _INVERSE.fullmatch(plain)
    return bool(_ANGLE.fullmatch(plain) or _PER.fullmatch(plain) or (inverse and inverse["of"] in _LENGTHS))


def names_a_unit(unit: Any) -> bool:
    """Say whether a file's unit says anything at all; empty, ``px`` and ``undefined`` do not."""
    return _plain(unit) not in _NONE


def is_harmless(unit: Any) -> bool:
    """Say whether a library that calculates with units may be given one: pint would compute 9**9**9 to its end."""
    text = re.sub(r"[\s_]", "", str(unit))
    return len(text) <= _LONGEST and not _POWER_OF_NUMBER.search(text)


def _plain(unit: Any) -> str:
    """Write a unit in one way: small letters, plain digits, no blanks and underscores, one micro and minus."""
    text = unicodedata.normalize("NFKC", str(unit).replace("Â", "")[:_LONGEST])  # UTF-8 that was read as Latin-1
    text = re.sub(r"[\s_\0]", "", text).casefold().translate({0x2212: "-", 0x2013: "-", 0x2010: "-"})
    return re.sub(r"(?<=[a-zμå])/(px|pix|pixels?)$", "", text)
