"""The workshop kit: what is in it, and that it runs with the network cut off."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest
import yaml

from temlib import cli
from temlib.errors import RunError
from temlib.reproduction import workshop
from temlib.reproduction.run_folder import NOTEBOOKS
from tests.conftest import ROOT

OFFLINE = {"PYTHONPATH": str(ROOT / "tests" / "offline"), "TQDM_DISABLE": "1"}
ALL = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
NAMESPACE = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]


def cut_off(command, folder):
    """Run a command in a network of its own where the machine allows that, else in a Python that refuses to connect."""
    allowed = shutil.which("unshare") and not subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TEMLIB_")} | OFFLINE
    command = [*(NAMESPACE if allowed else []), *map(str, command)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    out = tmp_path_factory.mktemp("workshop") / "kit"
    assert cli.main(["workshop", "--out", str(out)]) == 0
    return out


def read(kit, folder, name):
    return nbformat.read(kit / folder / f"{name}.ipynb", as_version=4)


def tagged(notebook, tag):
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def test_the_kit_holds_all_that_a_room_without_a_network_needs(kit):
    assert {path.name for path in kit.iterdir()} == {"HANDOUT.md", "check.py", "notebooks", "solutions", "package"}
    for folder in ("notebooks", "solutions"):
        assert {path.stem for path in (kit / folder).iterdir()} == ALL >= set(NOTEBOOKS)
    data = kit / "package" / "temlib" / "data"
    assert len(list((data / "simulated").glob("*/*.hspy"))) == 88
    assert (data / "bundled" / "segmenter.keras").stat().st_size > 1e6
    assert not list(kit.rglob("__pycache__"))


def test_the_handout_says_how_to_install_this_kit(kit):
    text = (kit / "HANDOUT.md").read_text()
    assert "pip install -c package/constraints.txt ./package" in text
    assert "@" not in text
    assert all(f"| {name[:2]} |" in text for name in NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_participants_get_cells_to_fill_in_and_no_solutions(name, kit):
    notebook, solved = read(kit, "notebooks", name), read(kit, "solutions", name)
    assert not tagged(notebook, workshop.SOLUTION)
    exercises = sum("**Exercise" in cell.source for cell in notebook.cells)
    assert len(tagged(notebook, "exercise")) == exercises >= 2
    assert {cell.source for cell in tagged(notebook, "exercise")} == {"# Your solution\n"}
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    assert len(tagged(solved, workshop.SOLUTION)) >= exercises
    given = {cell.source for cell in notebook.cells}
    assert not [cell for cell in tagged(solved, workshop.SOLUTION) if cell.source in given]
    assert not [cell for cell in solved.cells if "jupyter" in cell.metadata]


def test_several_solution_cells_leave_one_cell_to_fill_in():
    cells = [nbformat.v4.new_markdown_cell("**Exercise 1.**")]
    cells += [nbformat.v4.new_code_cell("x", metadata={"tags": ["solution"]}) for _ in range(2)]
    notebook = workshop.for_participants(nbformat.v4.new_notebook(cells=cells))
    assert [cell.source for cell in notebook.cells] == ["**Exercise 1.**", "# Your solution\n"]
    assert cells[1].source == "x"


def test_an_existing_folder_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("")
    assert cli.main(["workshop", "--out", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_nothing_is_left_behind_when_something_fails(tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "a warning\nERROR: no network\n")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: failed)
    with pytest.raises(RunError, match="could not be filled"):
        workshop.make_kit(ROOT, tmp_path / "kit", wheelhouse=True)
    with pytest.raises(RunError, match="there is no notebook 01_load"):
        workshop.make_kit(tmp_path, tmp_path / "kit")
    assert list(tmp_path.iterdir()) == []


def test_the_network_is_really_cut_off(tmp_path):
    code = "import socket; socket.create_connection(('192.0.2.1', 9), 5)"
    result = cut_off([sys.executable, "-c", code], tmp_path)
    assert result.returncode != 0
    assert "OSError" in result.stderr


def test_the_check_says_in_one_line_that_this_machine_is_ready(kit):
    result = cut_off([sys.executable, "check.py"], kit)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith("ready: Python 3.")
    assert len(result.stdout.splitlines()) == 1


def test_the_check_says_what_is_missing(kit, tmp_path):
    result = subprocess.run(
        [sys.executable, "-S", "-I", kit / "check.py"], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 1
    assert result.stdout.startswith("NOT READY: temlib not installed; install it as HANDOUT.md says")


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["solutions", "notebooks"])
def test_every_notebook_of_the_kit_runs_with_the_network_cut_off(folder, kit, tmp_path):
    """Some minutes each: with the small parameters of CI, in a copy of the kit."""
    shutil.copytree(kit / folder, tmp_path / folder)
    for name, parameters in yaml.safe_load((ROOT / "tests" / "ci.yml").read_text()).items():
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", "--kernel", "python3"]
        command += [f"{name}.ipynb", f"done_{name}.ipynb", "-y", yaml.safe_dump(parameters)]
        result = cut_off(command, tmp_path / folder)
        assert result.returncode == 0, f"{name}: {result.stderr[-3000:]}"
    assert (tmp_path / "figures" / "simulated-bundled" / "figure_5.png").is_file()
