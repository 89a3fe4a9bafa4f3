"""How well scale bars are read: drawn ones in the styles of eight makers, and real ones against truth by eye.

``python tests/benchmarks/scale_bars.py drawn 1000`` and ``... emps`` print tables and, with ``--write``, put them
into temlib/data/measured. ``... engines`` compares what RapidOCR reads with what Tesseract does, where its program
is installed. Truth by eye is in temlib/data/measured/scale_bars_truth.csv: numbers only.
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from temlib import datasets
from temlib.files.scale_bars.scale_bar import grey_levels, legible, look_for_scale_bar
from temlib.files.scale_bars.scale_labels import Text, labels_in, read_texts, resized

MEASURED = Path(datasets.CARRIED) / "measured"
LABELS = ("1 nm", "2 nm", "5 nm", "10 nm", "20 nm", "50 nm", "100 nm", "200 nm", "500 nm", "1 µm", "2 µm", "0.5 µm")


def font(size: int, rng: np.random.Generator) -> ImageFont.FreeTypeFont:
    face = rng.choice(["DejaVuSans", "DejaVuSans-Bold", "STIXGeneral", "DejaVuSansMono"])
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / f"{face}.ttf"), size)


def ground(edge: int, rng: np.random.Generator) -> np.ndarray:
    """Draw discs on a noisy film; uint8."""
    level, size = rng.uniform(70, 190), int(rng.integers(10, 60))
    y, x = np.mgrid[:edge, :edge]
    image = np.full((edge, edge), level)
    for _ in range(int(rng.integers(4, 25))):
        cy, cx = rng.uniform(0, edge, 2)
        image[np.hypot(y - cy, x - cx) < size * rng.uniform(0.7, 1.2)] = level * rng.uniform(0.2, 0.6)
    noise = ndimage.gaussian_filter(rng.standard_normal(image.shape), rng.uniform(0.6, 1.5))
    image = ndimage.gaussian_filter(image, 1) + noise / noise.std() * rng.uniform(2, 14)
    return np.clip(image, 0, 255).astype(np.uint8)


def drawn(style: str, rng: np.random.Generator, edge: int = 768) -> tuple[np.ndarray, float, float]:
    """Draw a micrograph with a scale bar of a style; give it, the bar's length [nm] and its length [px]."""
    text = str(rng.choice(LABELS))
    number, unit = text.split()
    length_nm = float(number) * {"nm": 1, "µm": 1000}[unit]
    text = text if rng.random() < 0.6 else text.replace(" ", "")
    length = int(rng.integers(edge // 9, edge // 3))
    length -= length % 10 if style == "Hitachi" else 0
    size = int(rng.integers(20, 40))
    picture = Image.fromarray(np.repeat(ground(edge, rng)[..., None], 3, axis=-1))
    STYLES[style](ImageDraw.Draw(picture), edge, length, text, font(size, rng), size, rng)
    factor = rng.uniform(0.6, 1.0)
    new = round(edge * factor)
    picture = picture.resize((new, new), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=int(rng.integers(50, 96)))
    return np.asarray(Image.open(buffer)), length_nm, length * new / edge


def strip(draw: Any, edge: int, size: int, texts: str, letters: Any, paper: str = "black", ink: str = "white") -> int:
    """Draw a data bar along the lower edge, with words in it; give the row where it begins."""
    top = edge - 2 * size - 16
    draw.rectangle([0, top, edge, edge], fill=paper)
    draw.text((8, top + 6), texts, fill=ink, font=letters)
    return top


def bar(draw: Any, x: int, y: int, length: int, thick: int, ink: Any, caps: int = 0) -> None:
    """Draw a bar of whole pixels, with caps that reach so far above and below."""
    draw.rectangle([x, y, x + length - 1, y + thick - 1], fill=ink)
    for cap in (x, x + length - max(thick, 2)) if caps else ():
        draw.rectangle([cap, y - caps, cap + max(thick, 2) - 1, y + thick - 1 + caps], fill=ink)


def centred(draw: Any, x: int, length: int, y: int, text: str, ink: Any, letters: Any) -> None:
    draw.text((x + length / 2, y), text, fill=ink, font=letters, anchor="ma")


def fei(draw: Any, edge: int, length: int, text: str, letters: Any, size: int, rng: np.random.Generator) -> None:
    width = draw.textlength(text, font=letters)
    top = strip(draw, edge, size, "HV 200 kV", letters)
    x, y = edge - length - 12, top + size // 2 + 10
    half = int((length - width - 16) / 2)
    if half < 14:  # no room in the bar: above it
        centred(draw, x, length, top - size - 4, text, "white", letters)
        bar(draw, x, y, length, 3, "white", 6)
        return
    draw.rectangle([x, y, x + half, y + 2], fill="white")
    draw.rectangle([x + length - 1 - half, y, x + length - 1, y + 2], fill="white")
    for cap in (x, x + length - 3):
        draw.rectangle([cap, y - 6, cap + 2, y + 8], fill="white")
    draw.text((x + length / 2, y + 1), text, fill="white", font=letters, anchor="mm")


def zeiss(draw: Any, edge: int, length: int, text: str, letters: Any, size: int, rng: np.random.Generator) -> None:
    top = edge - 2 * size - 24
    draw.rectangle([0, top, edge, edge], fill="white")
    draw.text((edge - 8, top + 8), "EHT = 5.00 kV", fill="black", font=letters, anchor="ra")
    draw.text((edge - 8, top + size + 10), "WD = 4.5 mm", fill="black", font=letters, anchor="ra")
    length_x = 14
    centred(draw, length_x, length, top + 4, text, "black", letters)
    bar(draw, length_x, top + size + 18, length, 3, "black", 6)


def jeol(draw: Any, edge: int, length: int, text: str, letters: Any, size: int, rng: np.random.Generator) -> None:
    top = strip(draw, edge, size, "JEOL x50,000", letters)
    x = edge - length - 16
    centred(draw, x, length, top + 2, text, "white", letters)
    bar(draw, x, top + size + 16, length, 5, "white")


def hitachi(draw: Any, edge: int, length: int, text: str, letters: Any, size: int, rng: np.random.Generator) -> None:
    top = strip(draw, edge, size, "HT7800 100kV", letters)
    pitch = length // 10  # a whole number: the ruler is shorter than was asked for by up to 9 px
    x = edge - 10 * pitch - 20
    for mark in range(11):
        draw.rectangle([x + mark * pitch, top + 6, x + mark * pitch + 1, top + 14], fill="white")
    draw.text((x + 10 * pitch, top + 18), text, fill="white", font=letters, anchor="ra")


def tescan(draw: Any, edge: int, length: int, text: str, letters: Any, size: int, rng: np.random.Generator) -> None:
    top = strip(draw, edge, size, "SEM HV: 10 kV", letters, "#303030")
    x = edge - length - 30
    bar(draw, x, top + 14, length, 2, "white", 7)
    centred(draw, x, length, top + 24, text, "white", letters)


def gatan(draw: Any, edge: int, length: int, text: str, letters: Any, size: int, rng: np.random.Generator) -> None:
    x, y, thick = int(rng.integers(10, 40)), edge - int(rng.integers(26, 50)), int(rng.integers(7, 14))
    draw.rectangle([x, y, x + length - 1, y + thick], fill="white", outline="black")
    draw.text((x, y - size - 8), text, fill="white", font=letters, stroke_width=1, stroke_fill="black")


def imagej(draw: Any, edge: int, length: int, text: str, letters: Any, size: int, rng: np.random.Generator) -> None:
    ink, paper = ("white", "black") if rng.random() < 0.5 else ("black", "white")
    x, y, thick = edge - length - int(rng.integers(16, 60)), edge - size - 46, int(rng.integers(3, 14))
    wide = max(length, draw.textlength(text, font=letters))
    middle = x + length / 2
    if rng.random() < 0.7:
        draw.rectangle([middle - wide / 2 - 8, y - 8, middle + wide / 2 + 8, y + thick + size + 14], fill=paper)
    bar(draw, x, y, length, thick, ink)
    centred(draw, x, length, y + thick + 3, text, ink, letters)


def coloured(draw: Any, edge: int, length: int, text: str, letters: Any, size: int, rng: np.random.Generator) -> None:
    ink = str(rng.choice(["red", "yellow", "cyan", "#00ff00"]))
    x, y = int(rng.integers(16, 60)), int(rng.integers(size + 16, 100))
    bar(draw, x, y, length, int(rng.integers(4, 12)), ink)
    centred(draw, x, length, y - size - 6, text, ink, letters)


STYLES: dict[str, Callable[..., None]] = {
    "FEI": fei,
    "Zeiss": zeiss,
    "JEOL": jeol,
    "Hitachi": hitachi,
    "Tescan": tescan,
    "Gatan": gatan,
    "ImageJ": imagej,
    "coloured": coloured,
}


def measure_drawn(n: int, seed: int = 0) -> pd.DataFrame:
    """Read drawn bars, the styles in turn; a row each."""
    rows = []
    for number in range(n):
        style = list(STYLES)[number % len(STYLES)]
        image, length_nm, length_px = drawn(style, np.random.default_rng([seed, number]))
        rows.append({"name": number, "style": style, "label_nm": length_nm, "length_px": length_px} | _read(image))
    return pd.DataFrame(rows)


def judged() -> pd.DataFrame:
    """Join the answers on emps with the truth by eye, as :func:`summary` takes it: what a person can read."""
    answers, truth = (pd.read_csv(MEASURED / f"scale_bars_{part}.csv") for part in ("emps", "truth"))
    truth = truth.assign(length_px=truth["x1"] - truth["x0"]).rename(columns={"x0": "true_x0", "x1": "true_x1"})
    return answers.merge(truth, on="name", how="left")


def measure_emps() -> pd.DataFrame:
    """Read all micrographs of the training and validation splits of emps; a row each."""
    known = datasets.table("emps")
    rows = []
    for name in known.loc[known["split"] != "test", "name"]:
        image = datasets.load("emps", [name])[0].image.data
        rows.append({"name": name} | _read(image))
    return pd.DataFrame(rows)


def measure_engines() -> pd.DataFrame:
    """Say of each label on emps that a person can read whether an engine reads it on the whole picture."""
    truth = pd.read_csv(MEASURED / "scale_bars_truth.csv").query("readable == 'yes'")
    rows = []
    for name, length_nm in zip(truth["name"], truth["label_nm"], strict=True):
        picture = legible(grey_levels(datasets.load("emps", [name])[0].image.data))
        row = {"name": name, "label_nm": length_nm}
        for engine, read in {"RapidOCR": read_texts, "Tesseract": _by_tesseract}.items():
            begun = time.perf_counter()
            said = [label.length_nm for label in labels_in(read(picture))]
            row |= {engine: bool(said) and bool(np.isclose(said, length_nm).any())}
            row |= {f"{engine}_others": sum(~np.isclose(said, length_nm)) if said else 0}
            row |= {f"{engine}_seconds": round(time.perf_counter() - begun, 2)}
        rows.append(row)
    return pd.DataFrame(rows)


def _by_tesseract(picture: np.ndarray) -> list[Text]:
    """Read the lines of a picture, enlarged twice as its makers advise for small letters."""
    buffer = io.BytesIO()
    Image.fromarray(resized(picture, 2.0)).save(buffer, "PNG")
    command = ["tesseract", "stdin", "stdout", "--psm", "11", "tsv"]
    told = subprocess.run(command, input=buffer.getvalue(), capture_output=True, check=True).stdout.decode()
    words = pd.read_csv(io.StringIO(told), sep="\t", quoting=csv.QUOTE_NONE, dtype={"text": str}).dropna(subset="text")
    texts = []
    for _, line in words[words["conf"] >= 0].groupby(["block_num", "par_num", "line_num"]):
        x0, y0 = line["left"].min(), line["top"].min()
        x1, y1 = (line["left"] + line["width"]).max(), (line["top"] + line["height"]).max()
        texts.append(Text(" ".join(line["text"]), (x0 / 2, y0 / 2, x1 / 2, y1 / 2), 1.0))
    return texts


def _read(image: np.ndarray) -> dict[str, Any]:
    begun = time.process_time()
    found, why = look_for_scale_bar(image)
    seconds = round(time.process_time() - begun, 2)
    if found is None:
        return {"answered_nm": None, "answered_px": None, "x0": None, "x1": None, "why": why, "seconds": seconds}
    ends = {"x0": round(found.bar[0], 2), "x1": round(found.bar[2], 2)}
    length = {"answered_nm": found.length_nm, "answered_px": round(found.length_px, 2)}
    return length | ends | {"why": "", "seconds": seconds}


def summary(rows: pd.DataFrame) -> pd.Series:
    """Say how many were answered, with the right label, and with the right length: within 1 % or, if drawn, 1 px."""
    answered = rows[rows["answered_nm"].notna()]
    right = np.isclose(answered["answered_nm"], answered["label_nm"])
    off = (answered["answered_px"] - answered["length_px"]).abs()
    return pd.Series(
        {
            "bars": len(rows),
            "answered": len(answered) / max(len(rows), 1),
            "right_label": right.mean(),
            "length_within_1_percent": (off <= 0.01 * answered["length_px"]).mean(),
            "length_within_1_percent_or_px": (off <= np.maximum(0.01 * answered["length_px"], 1)).mean(),
            "seconds": rows["seconds"].median() if "seconds" in rows else np.nan,
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["drawn", "emps", "engines"])
    parser.add_argument("n", type=int, nargs="?", default=1000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    measure = {"drawn": lambda: measure_drawn(options.n), "emps": measure_emps, "engines": measure_engines}
    rows = measure[options.what]()
    if options.what == "drawn":
        print(pd.DataFrame({style: summary(part) for style, part in rows.groupby("style")} | {"all": summary(rows)}).T)
    else:
        print(rows.to_string())
    if options.write:
        rows.to_csv(MEASURED / f"scale_bars_{options.what}.csv", index=False)
    if options.what == "emps" and options.write:
        print(summary(judged().query("readable == 'yes'")))


if __name__ == "__main__":
    main()
