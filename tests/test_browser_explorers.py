"""The explorers in a real browser: JupyterLab on a free port, Chromium, sliders moved with the mouse."""

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
import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

CELL = """
import numpy as np
from temlib import unet, widgets
from temlib.datasets import Annotated
from temlib.synthetic import Scene, simulate

scene = Scene(size_px=128, n_particles=8, diameter_nm=12)
made = simulate(scene, 1)
shade = np.where(made.mask.data, 0.6, 0.3) + np.linspace(-0.25, 0.25, 128)
maps = np.stack([shade, made.mask.data], axis=-1).astype(np.float32)
shown = Annotated("shown", made.image, made.labels)

widgets.explore_scene(scene)
widgets.explore_dose_and_defocus(scene)
widgets.explore_threshold(made.image, maps)
widgets.explore_features(made.image, unet.encoder("bundled"))
widgets.explore_masks([shown, shown], [made.mask, shade > 0.5], [shade, shade])
widgets.explore_iou()
"""
EXPLORERS = [line[8 : line.index("(")] for line in CELL.splitlines() if line.startswith("widgets.explore")]

PIXELS = """image => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, v) => (31 * sum + v) | 0, 7);
}"""


@pytest.fixture(scope="module")
def page():
    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1300, "height": 1000})
        browser.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a notebook in a JupyterLab of its own, on this machine only, with a token."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL.strip())])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "explorers.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    kinds = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    kinds += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    environment = {k: v for k, v in os.environ.items() if k != "TEMLIB_WIDGETS"}
    environment |= {kind: str(folder / "home" / kind) for kind in kinds}
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}", "--no-browser", "--allow-root"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api?token={token}", folder / "log")
        yield f"http://127.0.0.1:{port}/lab/tree/explorers.ipynb?reset&token={token}"
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(address, log):
    for _ in range(120):
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def outputs(page, lab):
    """The executed cell's outputs, one for each explorer."""
    page.goto(lab)
    page.locator(".jp-CodeCell .cm-content").first.click(timeout=60_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)
    page.keyboard.press("Shift+Enter")
    found = page.locator(".jp-OutputArea-child", has=page.locator("img.widget-image"))
    found.nth(len(EXPLORERS) - 1).wait_for(timeout=120_000)
    return found


@pytest.mark.parametrize("number", range(len(EXPLORERS)), ids=EXPLORERS)
def test_a_slider_moved_with_the_mouse_changes_the_picture(page, outputs, number):
    output = outputs.nth(number)
    image = output.locator("img.widget-image")
    before = image.evaluate(PIXELS)
    source = image.get_attribute("src")
    handle = output.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x + 15 * step, y)
    page.mouse.up()
    page.wait_for_function(
        "([image, source]) => image.src !== source && image.complete", arg=[image.element_handle(), source]
    )
    assert image.evaluate(PIXELS) != before
