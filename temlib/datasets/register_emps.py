"""Write the registry of emps: the sha256 of each file, the article each comes from, and the split.

Run once, before any result was seen: ``python -m temlib.datasets.register_emps FOLDER``, where
FOLDER is a checkout of the EMPS data.
"""

import hashlib
import sys
from pathlib import Path

import pandas as pd

from temlib.datasets import REGISTRY, assign_splits

__all__ = ["make_emps"]


def make_emps(folder: Path) -> pd.DataFrame:
    """Give the registry of the EMPS files in a folder, one row a micrograph."""
    table = pd.read_csv(folder / "articles.csv", dtype=str).rename(columns={"doi": "group"})
    table["split"] = assign_splits(table["group"], {"test": 11, "validation": 36}, seed=2023)
    for column, subfolder in (("image_sha256", "images"), ("labels_sha256", "segmaps")):
        files = [folder / subfolder / f"{name}.png" for name in table["name"]]
        table[column] = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return table


if __name__ == "__main__":
    make_emps(Path(sys.argv[1])).to_csv(REGISTRY / "emps.csv", index=False)
