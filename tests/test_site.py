"""The site and the lecturer's page: they are built without a warning, and their plans add up."""

import re
import subprocess
import sys

import pytest

from temlib.reproduction.run_folder import NOTEBOOKS
from tests.conftest import ROOT

LECTURER = (ROOT / "docs" / "lecturer.md").read_text()
HANDOUT = (ROOT / "temlib" / "data" / "workshop" / "HANDOUT.md").read_text()


def test_both_plans_add_up_and_the_handout_agrees():
    plan = re.findall(r"^\| (?!\*\*together).*? \| [\d.]* ?\| (\d+) \| (\d+) \|", LECTURER, re.M)
    handed_out = re.findall(r"\| (\d+) min \| (\d+) min \|$", HANDOUT, re.M)
    assert plan == handed_out
    sums = tuple(sum(int(row[i]) for row in plan) for i in range(2))
    assert sums == (240, 120)
    assert f"| **{sums[0]}** | **{sums[1]}** |" in LECTURER


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_shows_every_notebook(tmp_path):
    pytest.importorskip("myst_nb", reason="needs the extra 'docs'")
    pytest.importorskip("furo", reason="needs the extra 'docs'")
    site = tmp_path / "html"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-c", "docs", ".", site]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in NOTEBOOKS:
        page = (site / "notebooks" / f"{name}.html").read_text()
        assert page.count("<img") > 1
        assert "Exercises" in page
    pages = list(site.rglob("*.html"))
    assert not [p for p in pages if re.search(r'(?:src|<link[^>]*href)="https?://', p.read_text())], "fetches nothing"
    api = (site / "docs" / "api.html").read_text()
    for name in ("load_micrograph", "train_segmenter", "measure_particles", "explore_iou", "LabelPainter"):
        assert f".{name}" in api
