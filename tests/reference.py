"""What notebooks print in CI's quick run, kept as reference: their words must be the same, their numbers close.

``python -m tests.reference`` makes the reference again, after a change that is meant to change what is printed.
"""

import json
import re
import tempfile
from collections.abc import Collection
from pathlib import Path

import nbformat
import numpy as np

from temlib import cli
from temlib.reproduction.run_folder import FURTHER_NOTEBOOKS, NOTEBOOKS, Run

HERE = Path(__file__).parent
QUICK = HERE / "ci.yml"
PRINTED = HERE / "printed.json"
FURTHER = dict(zip(FURTHER_NOTEBOOKS, ({"n_micrographs": 4, "views": 2}, {"n_frames": 16}, {}), strict=True))
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
NAME = re.compile(r"\b[a-z]+_\d+\b")  # of a micrograph: which is the worst may depend on the processor
ROWS = {"06_measure_particles": (6, 7, 10, 11), FURTHER_NOTEBOOKS[1]: (14,)}
"""Cells that show single particles, or count the few events of single particles near to what the network just finds:
which they are may depend on the processor."""
PASSING = re.compile(r"0x[0-9a-f]{6,}|\d+%\|.*\|.*|\b\d+(\.\d+)? (s|min)\b")  # addresses, bars, seconds


def run_quickly(root: Path) -> Run:
    """Run notebooks 01 to 06 with small parameters, as ``temlib figures`` runs them."""
    assert cli.main(["figures", "--root", str(root), "--parameters", str(QUICK)]) == 0
    return Run(root=root)


def run_further(name: str, root: Path) -> Path:
    """Run notebook 07, 08 or 09 with small parameters; give the executed one."""
    parameters = FURTHER[name] and FURTHER[name] | {"root": str(root)}
    cli._execute(HERE.parent / "notebooks" / f"{name}.ipynb", parameters, root)
    return root / f"{name}.ipynb"


def printed(executed: Path) -> list[str]:
    """Give what each code cell printed, pictures left out."""
    texts = []
    for cell in nbformat.read(executed, as_version=4).cells:
        if cell.cell_type == "code":
            said = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
            texts.append(PASSING.sub("", "\n".join(said)))
    return texts


def differences(
    said: list[str], before: list[str], rows: Collection[int] = (), relative: float = 0.25, absolute: float = 0.15
) -> list[str]:
    """Say which cells use other words, another count of numbers, or numbers that are not close (but in ``rows``)."""
    if len(said) != len(before):
        return [f"{len(said)} code cells instead of {len(before)}"]
    found = []
    for number, (now, then) in enumerate(zip(said, before, strict=True), start=1):
        texts = [NAME.sub("NAME", text) for text in (now, then)]
        words = [" ".join(NUMBER.sub("#", text).split()) for text in texts]
        values = [np.array([float(n.replace(",", "")) for n in NUMBER.findall(text)]) for text in texts]
        if words[0] != words[1]:
            found.append(f"cell {number} says {words[0][:300]!r}, before {words[1][:300]!r}")
        elif number not in rows and not np.allclose(*values, rtol=relative, atol=absolute):
            far = np.flatnonzero(~np.isclose(*values, rtol=relative, atol=absolute))
            found.append(f"cell {number}: {values[0][far]}, before {values[1][far]}")
    return found


def main() -> None:
    """Write the reference anew."""
    with tempfile.TemporaryDirectory() as folder:
        run = run_quickly(Path(folder))
        said = {name: printed(run.folder / "notebooks" / f"{name}.ipynb") for name in NOTEBOOKS}
        said |= {name: printed(run_further(name, Path(folder) / name)) for name in FURTHER}
    PRINTED.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
