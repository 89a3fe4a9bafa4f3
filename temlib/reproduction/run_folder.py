"""Runs of the reproduction: where the notebooks keep what they hand to one another.

A run is one data set, one encoder and one seed. Its working files lie in ``runs/NAME`` and its
figures in ``figures/NAME`` of the clone.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temlib import datasets
from temlib.errors import RunError
from temlib.files.json_files import read_json
from temlib.files.micrographs import load_micrograph, save_micrograph
from temlib.network.weights import resolve_weights
from temlib.writing import write_atomically, write_table, write_text

if TYPE_CHECKING:
    import pandas as pd
    from hyperspy.signals import Signal2D

__all__ = ["DEFAULT_SEED", "FURTHER_NOTEBOOKS", "MEASURED", "NOTEBOOKS", "Run"]

MEASURED = datasets.CARRIED / "measured"
"""Folder of the tables that the scripts in tests/benchmarks measured, for notebooks to show."""

DEFAULT_SEED = 2023
NOTEBOOKS = (
    "01_load_micrographs",
    "02_synthetic_particles",
    "03_machine_learning_labels",
    "04_train_mobilenet_unet",
    "05_reproduce_figures",
    "06_measure_particles",
)
FURTHER_NOTEBOOKS = ("07_your_own_micrographs", "08_movies_and_clusters", "09_what_was_measured")
"""Notebooks that stand by themselves: ``temlib figures`` does not run them."""

_KINDS = ("ML", "TL", "Otsu")
_RECORDED = ("temlib", "tensorflow", "keras", "numpy", "scipy", "scikit-image", "scikit-learn", "hyperspy")


@dataclass(frozen=True)
class Run:
    """One run of notebooks 01 to 06.

    Attributes
    ----------
    data : str
        Data set, a key of :data:`temlib.datasets.DATASETS`.
    encoder : str
        ``"bundled"``, ``"imagenet"``, ``"random"`` or the path of a weights file.
    seed : int
        Of everything that is drawn in this run, the data set and its split excepted.
    root : path
        The clone of temlib.
    """

    data: str = "simulated"
    encoder: str = "bundled"
    seed: int = DEFAULT_SEED
    root: str | os.PathLike = ".."

    @property
    def name(self) -> str:
        """Data set and encoder, and the seed where it is not the usual one."""
        ours = self.weights in (None, "bundled", "imagenet")
        encoder = self.encoder if ours else re.sub(r"(\.weights)?\.(h5|keras)$", "", Path(self.encoder).name)
        return f"{self.data}-{encoder}" + ("" if self.seed == DEFAULT_SEED else f"-seed{self.seed}")

    @property
    def caption(self) -> str:
        """What every figure of this run says of it."""
        kinds = {
            None: "random weights",
            "bundled": "weights from synthetic micrographs",
            "imagenet": "ImageNet weights",
        }
        kind = kinds.get(self.weights, f"weights {Path(self.encoder).name}")
        return f"Data: {self.data}. Encoder: MobileNet, {kind}, frozen. Seed {self.seed}. temlib {version('temlib')}"

    @property
    def kind(self) -> str:
        """What its micrographs are called in figures: "experimental", or "simulated"."""
        return "simulated" if self.data == "simulated" else "experimental"

    @property
    def weights(self) -> str | None:
        """The encoder as :func:`temlib.train_segmenter` takes it."""
        return None if self.encoder == "random" else self.encoder

    @property
    def folder(self) -> Path:
        """Where the working files lie."""
        return Path(self.root) / "runs" / self.name

    @property
    def figures(self) -> Path:
        """Where figures, scores and provenance lie."""
        return Path(self.root) / "figures" / self.name

    def need(self, file: str, notebook: int) -> Path:
        """Give the path of a file or folder that an earlier notebook makes.

        Raises
        ------
        RunError
            When it is not there; the message names the notebook to run first.
        """
        path = self.folder / file
        if not path.exists():
            raise RunError(
                f"{path}: not there yet; run notebook {NOTEBOOKS[notebook - 1]} with the same parameters first"
            )
        return path

    def save_table(self, table: pd.DataFrame, file: str) -> Path:
        """Write a table into the run's folder, without its index."""
        return write_atomically(self.folder / file, lambda path: table.to_csv(path, index=False))

    def read_table(self, file: str, notebook: int) -> pd.DataFrame:
        """Read a table that an earlier notebook wrote."""
        import pandas as pd

        return pd.read_csv(self.need(file, notebook), dtype={"name": str})

    def save_images(self, images: dict[str, Signal2D], folder: str) -> None:
        """Write images, masks or labels into a folder of the run, each under its name.

        What an earlier execution of the notebook wrote into that folder is removed once all are written.
        """
        place = self.folder / folder
        new = place.with_name(f".{place.name}-part")
        shutil.rmtree(new, ignore_errors=True)
        for name, image in images.items():
            save_micrograph(image, new / f"{name}.hspy")
        shutil.rmtree(place, ignore_errors=True)
        if images:
            new.rename(place)

    def names(self, folder: str, notebook: int) -> list[str]:
        """List the images that an earlier notebook wrote into a folder, in alphabetical order."""
        return sorted(path.stem for path in self.need(folder, notebook).glob("*.hspy"))

    def read_images(self, names: list[str], folder: str, notebook: int) -> list[Signal2D]:
        """Read images, masks or labels that an earlier notebook wrote."""
        return [load_micrograph(self.need(f"{folder}/{name}.hspy", notebook)) for name in names]

    def micrographs(self, split: str) -> list[datasets.Annotated]:
        """Load the run's micrographs of one split, as chosen in notebook 01."""
        table = self.read_table("micrographs.csv", notebook=1)
        return datasets.load(self.data, list(table.loc[table["split"] == split, "name"]))

    def record(self, **parameters: Any) -> None:
        """Keep the parameters of a notebook for the provenance of the figures."""
        path = self.folder / "parameters.json"
        kept = read_json(path, error=RunError) if path.exists() else {}
        _write_json(kept | parameters, path)

    def save_scores(self, scores: pd.DataFrame) -> None:
        """Write the scores of the test micrographs beside the figures, to four decimals."""
        write_table(self.figures / "scores.csv", scores, "%.4f")

    def save_provenance(self) -> None:
        """Write what the figures were made from: data, split, weights, parameters, versions."""
        source = datasets.DATASETS[self.data]
        chosen = self.read_table("micrographs.csv", notebook=1)
        weights = resolve_weights(self.weights)
        record = {
            "data": {"name": self.data} | asdict(source),
            "split": {name: list(rows["name"]) for name, rows in chosen.groupby("split", sort=False)},
            "encoder": {
                "network": "MobileNet v1, frozen",
                "weights": self.encoder if weights is None else weights.name,
                "sha256": None if weights is None else sha256(weights.read_bytes()).hexdigest(),
            },
            "seed": self.seed,
            "parameters": read_json(self.need("parameters.json", 1), error=RunError),
            "versions": {"python": platform.python_version()} | {name: version(name) for name in _RECORDED},
        }
        _write_json(record, self.figures / "provenance.json")

    def compare(self) -> pd.DataFrame:
        """Tabulate the scores of all runs that lie beside this one in ``figures/``."""
        import pandas as pd

        rows = {}
        for path in sorted(self.figures.parent.glob("*/scores.csv")):
            scores = pd.read_csv(path)
            row = {f"{kind} {what}": getattr(scores[kind], what)() for what in ("mean", "median") for kind in _KINDS}
            wins = int((scores["TL"] > scores["ML"]).sum())
            rows[path.parent.name] = {k: round(v, 2) for k, v in row.items()} | {"TL > ML": f"{wins} of {len(scores)}"}
        return pd.DataFrame(rows).T.rename_axis("run")


def _write_json(content: dict[str, Any], path: Path) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
