"""Pixel sizes of TIFF files: what the programs of microscopes, ImageJ and OME say, and no printer's resolution.

Each program's word is read on its own. Where they agree it is the pixel size; what is not understood,
or is contradicted, is said in a warning that names it, and the pixel size stays unknown. Resolution
tags alone are a printer's or a scanner's, and count for nothing.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from tifffile import TiffFile, TiffPage

from temlib.files.contents import warn
from temlib.files.units import is_reciprocal, length_nm, names_a_unit

__all__ = ["Calibration", "calibration_of"]

_TOLERANCE = 0.02  # two programs' words agree: one of them writes few digits
_SHOWN = 60  # characters of a file's text in a warning

Side = tuple[float, str]  # of a pixel: how many of which unit
Sides = tuple[Side, Side]  # height, width


@dataclass(frozen=True)
class Calibration:
    """What a file says of the axes of its images."""

    height: tuple[float, str | None] = (1.0, None)
    width: tuple[float, str | None] = (1.0, None)
    by_microscope: bool = False
    frames: dict[str, dict[str, Any]] = field(default_factory=dict)  # of axes before these, by tifffile's letters

    def turned(self) -> Calibration:
        """Give that of the same images turned by a quarter."""
        return Calibration(self.width, self.height, self.by_microscope, self.frames)


def calibration_of(name: str, tif: TiffFile, page: TiffPage, number: int = 0) -> Calibration:
    """Read the calibration of a page, in nm where it is a length.

    Parameters
    ----------
    name : str
        The file, as warnings name it.
    tif : tifffile.TiffFile
        The open file.
    page : tifffile.TiffPage
        The first page of a stack.
    number : int
        Which of the images in the file, for OME-XML that describes several.
    """
    claims = {}
    for program, read in _PROGRAMS.items():
        try:
            claims[program] = read(tif, page, number)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, ElementTree.ParseError):
            _warn(name, f"what {program} wrote on its pixel size")
    said = {program: sides for program, sides in claims.items() if sides is not None}
    understood = {program: sides for program in said if (sides := _understood(name, said[program])) is not None}
    by_microscope = any(program in _MICROSCOPES for program in understood)
    frames = _frame_axes(tif, page, number)
    if not understood:
        return Calibration(frames=frames)
    first, *others = understood.values()
    if any(not _agree(first, other) for other in others):
        words = ", ".join(f"{program}: {_shown(said[program])}" for program in understood)
        _warn(name, f"its pixel size, which differs ({words})")
        return Calibration(by_microscope=by_microscope, frames=frames)
    return Calibration(*first, by_microscope, frames)


def _warn(name: str, what: str) -> None:
    warn(f"{name}: {what} is not understood; the pixel size stays unknown, pass pixel_size_nm=")


def _shown(sides: Sides) -> str:
    (height, unit), (width, other) = sides
    text = f"{width:.6g} {other}" if (height, unit) == (width, other) else f"{height:.6g} {unit} x {width:.6g} {other}"
    return " ".join(text.split())[:_SHOWN]


def _understood(name: str, sides: Sides) -> Sides | None:
    """Give the sides of a pixel in nm, or as they are in a diffraction pattern; None where they say nothing."""
    if not all(names_a_unit(unit) for _, unit in sides):
        return None
    if all(is_reciprocal(unit) for _, unit in sides):
        return sides
    lengths = [length_nm(size, unit) for size, unit in sides]
    if None in lengths:
        if not all(_is_length(unit) for _, unit in sides):
            _warn(name, f"its pixel size of {_shown(sides)!r}")
        return None
    height, width = lengths
    return (height, "nm"), (width, "nm")  # type: ignore[return-value]


def _is_length(unit: str) -> bool:
    return any(length_nm(10.0**-power, unit) is not None for power in range(10))


def _agree(first: Sides, other: Sides) -> bool:
    return all(a[1] == b[1] and math.isclose(a[0], b[0], rel_tol=_TOLERANCE) for a, b in zip(first, other, strict=True))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            value = value.decode("latin-1")
    return str(value).strip("\0 \r\n")


def _said(page: TiffPage, *tags: int) -> list[dict]:
    """Give what tifffile makes of some tags, as far as they are there."""
    return [said for tag in tags if isinstance(said := page.tags.valueof(tag), dict)]


def _metres(height: Any, width: Any) -> Sides | None:
    """Give sides in m as microscopes write them, in nm; 0 is what they write where they do not know."""
    height, width = float(height), float(width)
    return ((height * 1e9, "nm"), (width * 1e9, "nm")) if height and width else None


def _zeiss(tif: TiffFile, page: TiffPage, number: int) -> Sides | None:
    """Read tag 34118: a size in words, of few digits, and one in m for a screen of 1024 pixels, in a list."""
    said = page.tags.valueof(34118)
    if not isinstance(said, dict):
        return None
    listed = said.get("", ())
    exact = float(listed[3]) * 1e9 * 1024 / page.imagewidth if len(listed) > 3 and _number(listed[3]) else 0.0
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        if key in said and len(said[key]) == 3:
            size, unit = float(said[key][1]), _text(said[key][2])
            named = length_nm(size, unit)
            side = (exact, "nm") if named and math.isclose(exact, named, rel_tol=_TOLERANCE) else (size, unit)
            return (side, side) if size else None
    return ((exact, "nm"), (exact, "nm")) if exact else None


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _fei(tif: TiffFile, page: TiffPage, number: int) -> Sides | None:
    """Read the lines of tags 34680 and 34682, in m, as RosettaSciIO does."""
    for said in _said(page, 34682, 34680):
        scan, beam, image = (said.get(part, {}) for part in ("Scan", "IRBeam", "Image"))
        if "PixelWidth" in scan:
            return _metres(scan["PixelHeight"], scan["PixelWidth"])
        if "HFW" in beam:
            return _metres(beam["VFW"] / image["ResolutionY"], beam["HFW"] / image["ResolutionX"])
    return None


def _fei_xml(tif: TiffFile, page: TiffPage, number: int) -> Sides | None:
    """Read the XML of newer FEI and Thermo Fisher programs: PixelSize, with X and Y and their units."""
    found = set()
    for text in _xml_texts(tif, page):
        for element in ElementTree.fromstring(text).iter():
            if _tag(element) in ("pixelsize", "pixelssize"):
                sides = {_tag(side): side for side in element}
                found.add((_side(sides["y"]), _side(sides["x"])))
    if len(found) > 1:
        raise ValueError("several pixel sizes")
    return found.pop() if found else None


def _xml_texts(tif: TiffFile, page: TiffPage) -> Iterator[str]:
    for code in (34680, 34682, 34683):
        tag = page.tags.get(code)
        if tag is None:
            continue
        tif.filehandle.seek(tag.valueoffset)
        text = tif.filehandle.read(tag.valuebytecount).decode("utf-8", "replace").strip("\0 \r\n\ufeff")
        if text.startswith("<") and "<!DOCTYPE" not in text:  # an entity can grow without end
            yield text
    description = page.description.strip()
    if description.startswith("<") and not page.is_ome and "pixelsize" in description.casefold():
        yield description


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1].casefold()


def _side(element: ElementTree.Element) -> Side:
    if element.get("unitPrefixPower", "1") not in ("0", "1"):
        raise ValueError("a prefix of a unit")
    return _small(float(element.text or ""), element.attrib["unit"])


def _small(size: float, unit: str | None) -> Side:
    """Give a microscope's m in nm; otherwise m are taken for those of a print."""
    return (size * 1e9, "nm") if unit == "m" else (size, unit or "")


def _olympus(tif: TiffFile, page: TiffPage, number: int) -> Sides | None:
    for said in _said(page, 33560, 33471):
        if "pixelsizex" in said:
            return _metres(said["pixelsizey"], said["pixelsizex"])
    return None


def _tvips_or_jeol(tif: TiffFile, page: TiffPage, number: int) -> Sides | None:
    """Read what RosettaSciIO knows of TVIPS's and JEOL SightX's files."""
    if not (page.is_tvips or page.tags.valueof(271) == "JEOL Ltd."):
        return None
    from rsciio.tiff import file_reader

    height, width = file_reader(tif.filehandle.path, lazy=True)[0]["axes"][-2:]
    return _small(height["scale"], height["units"]), _small(width["scale"], width["units"])


def _digital_micrograph(tif: TiffFile, page: TiffPage, number: int) -> Sides | None:
    """Read Gatan's tags, which HyperSpy writes too: a unit and a number for each axis."""
    names = [page.tags.valueof(code) for code in (65004, 65003)]
    sizes = [page.tags.valueof(code) for code in (65010, 65009)]
    if None in names or None in sizes:
        return None
    height, width = ((float(size), _text(name)) for size, name in zip(sizes, names, strict=True))
    return height, width


def _imagej(tif: TiffFile, page: TiffPage, number: int) -> Sides | None:
    said = _imagej_words(page)
    return _by_resolution(page, said.get("yunit", said.get("unit", "")), said.get("unit", ""))


def _imagej_words(page: TiffPage) -> dict[str, str]:
    r"""Read the lines of ImageJ's description; it writes other letters as \u00B5."""
    if not page.description.startswith(("ImageJ=", "SCIFIO=")):
        return {}
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), page.description)
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _by_resolution(page: TiffPage, height: str, width: str) -> Sides | None:
    """Give the sides of a pixel by the resolution tags: pixels for each of a unit that a program names."""
    pixels_x, units_x = page.tags.valueof(282, (0, 0))
    pixels_y, units_y = page.tags.valueof(283, (0, 0))
    if not (width and pixels_x and pixels_y and units_x and units_y):
        return None
    return (units_y / pixels_y, height), (units_x / pixels_x, width)


def _ome(tif: TiffFile, page: TiffPage, number: int) -> Sides | None:
    return _physical_sizes(_ome_pixels(tif, number))


def _ome_pixels(tif: TiffFile, number: int) -> dict[str, str]:
    text = tif.ome_metadata if tif.is_ome else None
    if not text or "<!DOCTYPE" in text:
        return {}
    pixels = [element for element in ElementTree.fromstring(text).iter() if _tag(element) == "pixels"]
    return dict(pixels[min(number, len(pixels) - 1)].attrib) if pixels else {}


def _physical_sizes(said: dict[str, Any]) -> Sides | None:
    if "PhysicalSizeX" not in said and "PhysicalSizeY" not in said:
        return None
    height, width = (
        (float(said[f"PhysicalSize{axis}"]), str(said.get(f"PhysicalSize{axis}Unit", "µm"))) for axis in "YX"
    )
    return height, width


def _tifffile(tif: TiffFile, page: TiffPage, number: int) -> Sides | None:
    """Read the words that a user of tifffile gave it, in its JSON."""
    text = page.shaped_description or ""
    said = json.loads(text) if text.startswith("{") else {}
    unit = str(said.get("unit", ""))
    return _physical_sizes(said) or _by_resolution(page, unit, unit)


_Read = Callable[[TiffFile, TiffPage, int], "Sides | None"]
_MICROSCOPES: dict[str, _Read] = {
    "Zeiss": _zeiss,
    "FEI": _fei,
    "FEI's XML": _fei_xml,
    "Olympus": _olympus,
    "TVIPS or JEOL": _tvips_or_jeol,
    "DigitalMicrograph": _digital_micrograph,
}
_PROGRAMS: dict[str, _Read] = {**_MICROSCOPES, "OME": _ome, "ImageJ": _imagej, "tifffile": _tifffile}


def _frame_axes(tif: TiffFile, page: TiffPage, number: int) -> dict[str, dict[str, Any]]:
    """Read what is said of time and depth: of axes T and Z, and of any axis there is (*)."""
    axes: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(LookupError, TypeError, ValueError, ElementTree.ParseError):
        said = _imagej_words(page)
        if float(said.get("finterval", 0)) > 0:
            axes["T"] = axes["*"] = {"name": "time", "scale": float(said["finterval"]), "units": "s"}
        if "spacing" in said and names_a_unit(said.get("unit", "")):
            axes["Z"] = {"scale": float(said["spacing"]), "units": said["unit"]}
        ome = _ome_pixels(tif, number)
        if float(ome.get("TimeIncrement", 0)) > 0:
            axes["T"] = {"scale": float(ome["TimeIncrement"]), "units": ome.get("TimeIncrementUnit", "s")}
        if "PhysicalSizeZ" in ome:
            axes["Z"] = {"scale": float(ome["PhysicalSizeZ"]), "units": ome.get("PhysicalSizeZUnit", "µm")}
        if page.tags.valueof(65011) is not None:
            axes["*"] = _gatan_frames(page)
    return axes


def _gatan_frames(page: TiffPage) -> dict[str, Any]:
    unit = _text(page.tags.valueof(65005, ""))
    name = {"name": "time"} if unit in ("s", "ms", "min", "h") else {}
    scale, offset = float(page.tags.valueof(65011)), float(page.tags.valueof(65008, 0.0))
    return name | {"scale": scale, "offset": offset, "units": unit or None}
