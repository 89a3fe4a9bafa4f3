"""The explorers in a real browser: JupyterLab on a free port, Chromium, sliders moved with the mouse."""

import pytest

from tests.lab import jupyterlab, open_and_run

CELL = """
import numpy as np
from temlib import widgets
from temlib.network import unet
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

PIXELS = """async image => {
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height).data.reduce((sum, v) => (31 * sum + v) | 0, 7);
}"""


@pytest.fixture(scope="module")
def page(browser):
    return browser.new_page(viewport={"width": 1300, "height": 1000})


@pytest.fixture(scope="module")
def outputs(page, tmp_path_factory):
    """The executed cell's outputs, one for each explorer."""
    with jupyterlab(tmp_path_factory.mktemp("lab"), CELL) as address:
        open_and_run(page, address)
        found = page.locator(".jp-OutputArea-child", has=page.locator("img.widget-image"))
        found.nth(len(EXPLORERS) - 1).wait_for(timeout=120_000)
        yield found


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
