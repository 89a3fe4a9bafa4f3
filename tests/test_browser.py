"""The widgets in a real browser: JupyterLab on a free port, Chromium, a mouse."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import nbformat
import numpy as np
import pytest

import temlib
from temlib import datasets

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

CELL = """
import temlib
from temlib import datasets

images = [m.image for m in datasets.load("simulated", {names})]
painter = temlib.LabelPainter(images, folder="labels")
painter
"""

# How many pixels of a layer show something, and the bytes that lie in it.
COUNT = """name => {
  const canvas = document.querySelector(`.temlib-painter canvas.${name}`);
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return data.filter((value, i) => i % 4 === 3 && value > 0).length;
}"""


@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def lab(tmp_path):
    """JupyterLab in an empty folder, on this machine only, with a token and settings of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    home = tmp_path / "jupyter"
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    options = [f"--port={port}", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={tmp_path}"]
    options += ["--ip=127.0.0.1", "--no-browser", "--allow-root", "--ServerApp.port_retries=0"]
    with (tmp_path / "jupyter.log").open("w") as log:
        command = [sys.executable, "-m", "jupyterlab", *options]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api?token={token}", timeout=2)
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail(f"JupyterLab did not start: {(tmp_path / 'jupyter.log').read_text()[-2000:]}")
        yield f"{address}/lab/tree/painting.ipynb?reset&token={token}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def write_notebook(folder, code):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code.strip())])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "painting.ipynb")


def open_and_run(browser, address):
    """Open the notebook on a page of its own, run it, and wait for the painter."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.goto(address)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    page.locator(".temlib-painter .stage[data-answered]").wait_for(timeout=90_000)
    page.locator(".temlib-painter .stage").scroll_into_view_if_needed()
    return page


def drag(page, start, end):
    """Move the mouse with its button down between two points (x, y) of the micrograph."""
    box = page.locator(".temlib-painter canvas.picture").bounding_box()
    scale = box["width"] / page.locator(".temlib-painter canvas.picture").evaluate("canvas => canvas.width")
    (x0, y0), (x1, y1) = ((box["x"] + x * scale, box["y"] + y * scale) for x, y in (start, end))
    page.mouse.move(x0, y0)
    page.mouse.down()
    page.mouse.move(x1, y1, steps=6)
    page.mouse.up()


def answered(page, serial):
    """Wait until Python has answered a message."""
    page.wait_for_function(
        "serial => Number(document.querySelector('.temlib-painter .stage').dataset.answered) >= serial", arg=serial
    )


def test_paint_accept_and_find_it_again(browser, lab, tmp_path):
    names = list(datasets.table("simulated")["name"][:2])
    first = datasets.load("simulated", names)[0]
    write_notebook(tmp_path, CELL.format(names=names))
    page = open_and_run(browser, lab)
    assert page.evaluate(COUNT, "label") == page.evaluate(COUNT, "marks") == 0

    (y, x), (v, u) = (np.argwhere(mask)[len(np.argwhere(mask)) // 2] for mask in inside(first.mask))
    drag(page, (x - 2, y), (x + 2, y))
    page.keyboard.press("2")
    drag(page, (u - 6, v), (u + 6, v))
    answered(page, 2)
    page.wait_for_function(f"() => ({COUNT})('label') > 0")
    painted, found = page.evaluate(COUNT, "marks"), page.evaluate(COUNT, "label")
    assert painted > 40
    assert found > painted

    page.keyboard.press("z")
    answered(page, 3)
    assert page.evaluate(COUNT, "marks") < painted
    page.keyboard.press("y")
    answered(page, 4)
    assert page.evaluate(COUNT, "marks") == painted
    record = json.loads((tmp_path / "labels" / f"{names[0]}_strokes.json").read_text())
    assert [stroke["kind"] for stroke in record["strokes"]] == ["particle", "background"]
    scribbles = temlib.load_labels(tmp_path / "labels" / f"{names[0]}_scribbles.png")
    assert (scribbles > 0).sum() == painted, "the browser and Python draw the same pixels"

    page.keyboard.press("a")
    page.locator(".temlib-painter .count", has_text="2 of 2, 1 accepted").wait_for()
    label = temlib.load_labels(tmp_path / "labels" / f"{names[0]}_painted.tif")
    assert (label > 0).sum() == found
    page.close()

    page = open_and_run(browser, lab)
    page.locator(".temlib-painter .count", has_text="2 of 2, 1 accepted").wait_for()
    page.locator(".temlib-painter button[data-do=previous]").click()
    page.locator(".temlib-painter .count", has_text="1 of 2, 1 accepted").wait_for()
    page.wait_for_function(f"() => ({COUNT})('marks') === {painted} && ({COUNT})('label') === {found}")
    page.close()


def inside(mask):
    """Where a stroke lies well inside particles, and where well on the background."""
    from scipy.ndimage import binary_erosion

    return binary_erosion(mask, iterations=5), binary_erosion(~mask, iterations=12)
