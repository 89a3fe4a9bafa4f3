"""The house: what the set-up files promise, and who may import whom."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest

from tests.conftest import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
TRACKED = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.splitlines()
]
ROOMS = [
    "errors",
    "palette",
    "progress",
    "writing",
    "files",
    "drawing",
    "particles",
    "datasets",
    "synthetic",
    "pixel_classifier",
    "network",
    "jobs",
    "reproduction",
    "widgets",
    "cli",
]


def bare(requirement):
    return re.split(r"[<>=!~;\[ ]", requirement.strip())[0].lower()


def requirements():
    return PROJECT["dependencies"] + [r for extra in PROJECT["optional-dependencies"].values() for r in extra]


def test_environment_yml_lists_the_same_dependencies():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    entries = [
        line
        for line in lines
        if re.match(r"\s+- [a-z]", line) and "conda-forge" not in line and not line.endswith("pip:")
    ]
    assert all("#" in line for line in entries), "each line says where it is used"
    listed = {re.sub(r"\s", "", line.split("#")[0]).lstrip("-") for line in entries} - {"pip"}
    python = {entry for entry in listed if bare(entry) == "python"}
    assert python == {f"python{PROJECT['requires-python']}"}
    wanted = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]
    assert listed - python == {re.sub(r"\s", "", r) for r in wanted}


def test_all_of_the_package_is_installed():
    """A wheel holds every module, as the kit needs it: an installation in place would not tell."""
    tools = SETTINGS["tool"]["setuptools"]
    assert tools["packages"] == {"find": {"include": ["temlib*"], "namespaces": False}}
    inside = [path.relative_to(ROOT) for path in TRACKED if path.is_relative_to(ROOT / "temlib")]
    rooms = {path.parent for path in inside if path.suffix == ".py" and "data" not in path.parts}
    assert not [room for room in rooms if not (ROOT / room / "__init__.py").exists()]
    patterns = [
        "/".join([*package.split("."), pattern]) for package, some in tools["package-data"].items() for pattern in some
    ]
    others = [path for path in inside if path.suffix != ".py" or "data" in path.parts]
    assert not [path for path in others if not any(path.match(each) for each in patterns)]


def test_constraints_pin_every_dependency_without_an_address():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+( ; .+)?", line) for line in lines)
    normal = {re.sub(r"[-_.]+", "-", bare(line)) for line in lines}
    assert {re.sub(r"[-_.]+", "-", bare(r)) for r in requirements()} <= normal


def test_versions_agree():
    import temlib

    for file, pattern in (("CITATION.cff", r"^version: (.+)$"), ("CHANGELOG.md", r"^## (\d+\.\d+\.\d+)")):
        assert re.search(pattern, (ROOT / file).read_text(), re.M).group(1) == temlib.__version__


def test_the_readme_command_is_the_one_that_ci_runs():
    readme = (ROOT / "README.md").read_text()
    assert len(re.findall(r"^python3 -m venv \.venv && .*temlib figures$", readme, re.M)) == 1
    assert len(re.findall(r"^python3 -m venv \.venv && .*pytest$", readme, re.M)) == 1
    assert "README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("module", ["temlib", "temlib.cli", "temlib.datasets", "temlib.synthetic"])
def test_heavy_packages_are_imported_where_they_are_needed(module):
    heavy = "{'tensorflow', 'keras', 'hyperspy', 'sklearn', 'papermill'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_public_name_is_there():
    import temlib

    for name in temlib.__all__:
        assert getattr(temlib, name) is not None
    with pytest.raises(AttributeError):
        _ = temlib.nonsense


def modules():
    """Give the modules by their names in the package, "files.reading" or "cli"."""
    home = ROOT / "temlib"
    found = {".".join(path.relative_to(home).with_suffix("").parts): path for path in home.rglob("*.py")}
    return {
        name.removesuffix(".__init__"): path for name, path in found.items() if not name.startswith(("data.", "__"))
    }


def imports(path):
    """Give the modules of the package that a module imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "temlib":
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix("temlib.")
                while name and name not in modules():
                    name = name.rpartition(".")[0]
                if name:
                    yield name


def test_rooms_import_only_from_rooms_to_their_left():
    assert {name.split(".")[0] for name in modules()} == set(ROOMS)
    for name, path in modules().items():
        for other in imports(path):
            here, there = ROOMS.index(name.split(".")[0]), ROOMS.index(other.split(".")[0])
            assert there <= here, f"{name} imports {other}"


def test_modules_do_not_import_in_circles():
    waiting = {name: {other for other in imports(path) if other != name} for name, path in modules().items()}
    while free := {name for name, needed in waiting.items() if not needed & set(waiting)}:
        waiting = {name: needed for name, needed in waiting.items() if name not in free}
    assert not waiting, f"{', '.join(waiting)} import one another"


def test_our_own_modules_are_imported_at_the_top():
    """But for the command, whose start would wait for what other commands need."""
    for name, path in modules().items():
        inside = [node for function in functions(ast.parse(path.read_text())) for node in ast.walk(function)]
        ours = [
            node for node in inside if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("temlib")
        ]
        assert not ours or name == "cli", f"{name} imports {ours[0].module} inside a function"


@pytest.mark.parametrize("name", modules())
def test_every_module_says_what_it_offers(name):
    tree = ast.parse(modules()[name].read_text())
    assert ast.get_docstring(tree)
    offers = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    assert offers or len(tree.body) == 1  # a room says what it is for, its modules what they offer


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines_of_code(function, source):
    """Count a function's lines of code: without docstrings, comments and blank lines."""
    with_text = [node for node in functions(function) if ast.get_docstring(node) is not None]
    text = {n for node in with_text for n in range(node.body[0].lineno, node.body[0].end_lineno + 1)}
    lines = enumerate(source.splitlines()[function.lineno - 1 : function.end_lineno], function.lineno)
    return sum(bool(line.strip()) and not line.strip().startswith("#") for n, line in lines if n not in text)


def test_no_function_is_longer_than_a_screen():
    made = 'def f():\n    """Say.\n\n    It.\n    """\n    # why\n\n    def g():\n        """Say."""\n        return\n'
    assert lines_of_code(ast.parse(made).body[0], made) == 3
    long = []
    for path in (ROOT / "temlib").rglob("*.py"):
        source = path.read_text()
        every = functions(ast.parse(source))
        long += [f"{path.name}: {each.name}" for each in every if lines_of_code(each, source) > 60]
    assert long == []


@pytest.mark.skipif(not TRACKED, reason="needs a git clone, to know which files are committed")
def test_no_file_names_a_registry_or_a_path_of_one_machine():
    forbidden = re.compile(
        r"pypi\.org|files\.pythonhosted|registry\.npmjs|deb\.debian|anaconda\.org/[a-z]|/home/[a-z]|/root/|\.\./shared"
    )
    this = ROOT / "tests" / "test_packaging.py"
    allowed = {this, ROOT / "tests" / "test_notebooks.py", ROOT / ".ci" / "run"}
    for path in TRACKED:
        if (
            path.suffix in {".py", ".pyi", ".md", ".toml", ".yml", ".yaml", ".txt", ".cff", ".ipynb", ".json", ".cfg"}
            and path not in allowed
        ):
            found = forbidden.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.name}: {found and found.group()}"


@pytest.mark.skipif(not TRACKED, reason="needs a git clone, to know which files are committed")
def test_the_top_level_stays_as_it_is():
    top = {path.relative_to(ROOT).parts[0] for path in TRACKED}
    house = {"notebooks", "temlib", "tests", "figures", "environment.yml", "README.md"}
    usual = {"pyproject.toml", "constraints.txt", "docs", "LICENSE", "CITATION.cff", "CHANGELOG.md"}
    hidden = {name for name in top if name.startswith(".")}
    assert top - hidden <= house | usual
    assert hidden <= {".binder", ".ci", ".gitignore", ".gitattributes", ".pre-commit-config.yaml"}


def test_the_readme_is_one_page():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_the_developers_page_names_files_that_exist():
    page = (ROOT / "docs" / "develop.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "`temlib/" in line]
    places = re.findall(r"`((?:temlib|tests)/[\w/]+\.\w+)`", page)
    assert all(re.search(r" `temlib/[\w/]+\.\w+` \|$", row) for row in rows), "each row ends with a file"
    assert {"temlib/particles/scorer.py", "temlib/particles/lessons.py"} <= set(places)  # of one row
    assert len(places) >= len(rows) >= 30
    assert [place for place in places if not (ROOT / place).is_file()] == []
    rooms = page.split("```text")[1].split("\n")[1]
    assert [room.strip() for room in rooms.split("──>")] == ROOMS[4:]
    steps = re.findall(r"`((?:files|network|particles|jobs|reproduction)/\w+\.py)`", page)
    assert [step for step in steps if not (ROOT / "temlib" / step).is_file()] == []
