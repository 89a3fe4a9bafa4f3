"""The widgets in a real browser: JupyterLab on a free port, Chromium, a mouse."""

import json

import numpy as np
import pytest
from PIL import Image

import temlib
from temlib import datasets
from temlib.files.scale_bars.scale_labels import can_read
from tests.benchmarks.scale_bars import drawn
from tests.lab import draw_with_a_palm_down, jupyterlab, open_and_run

NAMES = list(datasets.table("simulated")["name"][:2])
CELL = f"""
import temlib
from temlib import datasets

images = [m.image for m in datasets.load("simulated", {NAMES})]
painter = temlib.LabelPainter(images, folder="labels")
painter
"""

# How many pixels of a layer show something, and the bytes that lie in it.
COUNT = """name => {
  const canvas = document.querySelector(`.temlib-painter canvas.${name}`);
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return data.filter((value, i) => i % 4 === 3 && value > 0).length;
}"""


@pytest.fixture
def lab(tmp_path):
    with jupyterlab(tmp_path, CELL) as address:
        yield address


def open_painter(browser, address):
    """Open the notebook on a page of its own, run it, and wait for the painter."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    open_and_run(page, address)
    page.locator(".temlib-painter .stage[data-answered]").wait_for(timeout=90_000)
    page.locator(".temlib-painter .stage").scroll_into_view_if_needed()
    return page


def on_screen(page, *points):
    """Give points (x, y) of the micrograph as points of the screen."""
    box = page.locator(".temlib-painter canvas.picture").bounding_box()
    scale = box["width"] / page.locator(".temlib-painter canvas.picture").evaluate("canvas => canvas.width")
    return [(box["x"] + x * scale, box["y"] + y * scale) for x, y in points]


def drag(page, start, end):
    """Move the mouse with its button down between two points (x, y) of the micrograph."""
    (x0, y0), (x1, y1) = on_screen(page, start, end)
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
    first = datasets.load("simulated", NAMES)[0]
    page = open_painter(browser, lab)
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
    record = json.loads((tmp_path / "labels" / f"{NAMES[0]}_strokes.json").read_text())
    assert [stroke["kind"] for stroke in record["strokes"]] == ["particle", "background"]
    scribbles = temlib.load_labels(tmp_path / "labels" / f"{NAMES[0]}_scribbles.png")
    assert (scribbles > 0).sum() == painted, "the browser and Python draw the same pixels"

    page.keyboard.press("a")
    page.locator(".temlib-painter .count", has_text="2 of 2, 1 accepted").wait_for()
    label = temlib.load_labels(tmp_path / "labels" / f"{NAMES[0]}_painted.tif")
    assert (label > 0).sum() == found
    page.close()

    page = open_painter(browser, lab)
    page.locator(".temlib-painter .count", has_text="2 of 2, 1 accepted").wait_for()
    page.locator(".temlib-painter button[data-do=previous]").click()
    page.locator(".temlib-painter .count", has_text="1 of 2, 1 accepted").wait_for()
    page.wait_for_function(f"() => ({COUNT})('marks') === {painted} && ({COUNT})('label') === {found}")
    page.close()


def test_a_palm_neither_ends_a_stroke_nor_paints_one(browser, lab, tmp_path):
    page = open_painter(browser, lab)
    way = [(20, 20), (40, 20), (40, 40), (20, 40)]
    draw_with_a_palm_down(page, on_screen(page, *way), *on_screen(page, (100, 100)))
    answered(page, 1)
    drag(page, (60, 20), (70, 20))
    answered(page, 2)
    record = json.loads((tmp_path / "labels" / f"{NAMES[0]}_strokes.json").read_text())
    touched, drawn = (stroke["points"] for stroke in record["strokes"])
    for corner in way:
        assert np.hypot(*(np.array(touched) - corner).T).min() < 2
    assert np.max(touched) < 45, "nothing goes to the palm"
    assert np.hypot(*np.subtract(drawn[0], (60, 20))) < 2, "the next stroke is one again"
    page.close()


def test_ends_of_a_scale_bar_stay_on_their_micrograph(browser, lab):
    page = open_painter(browser, lab)
    page.locator(".temlib-painter button[data-tool='scale bar']").click()
    for point in on_screen(page, (20, 60), (80, 60)):
        page.mouse.click(*point)
    page.locator(".temlib-painter .ask").wait_for()
    page.locator(".temlib-painter button[data-do=next]").click()
    page.locator(".temlib-painter .count", has_text="2 of 2").wait_for()
    page.locator(".temlib-painter .ask").wait_for(state="hidden", timeout=10_000)
    assert page.locator(".temlib-painter svg g path").count() == 0
    page.close()


def test_a_space_bar_let_go_elsewhere_holds_nothing(browser, lab):
    page = open_painter(browser, lab)
    drag(page, (20, 20), (40, 20))
    answered(page, 1)
    before = page.evaluate(COUNT, "marks")
    page.keyboard.down(" ")
    page.locator(".jp-CodeCell .cm-content").last.click()
    page.keyboard.up(" ")
    drag(page, (20, 60), (40, 60))
    answered(page, 2)
    assert page.evaluate(COUNT, "marks") == 2 * before
    page.close()


def inside(mask):
    """Where a stroke lies well inside particles, and where well on the background."""
    from scipy.ndimage import binary_erosion

    return binary_erosion(mask, iterations=5), binary_erosion(~mask, iterations=12)


BAR = """
import temlib

segmenter = temlib.load_segmenter("synthetic")
painter = temlib.LabelPainter("micrographs", folder="labels", segmenter=segmenter)
painter
"""


@pytest.mark.skipif(not can_read(), reason="needs RapidOCR: pip install 'temlib[scalebar]'")
def test_scale_bar_and_diameter_are_told_with_a_click_and_a_line(browser, tmp_path):
    (tmp_path / "micrographs").mkdir()
    image, length_nm, length_px = drawn("ImageJ", np.random.default_rng(2), 512)
    Image.fromarray(image).save(tmp_path / "micrographs" / "with_bar.png")
    with jupyterlab(tmp_path, BAR) as address:
        page = open_painter(browser, address)
        page.locator(".temlib-painter button[data-tool='scale bar']").click()
        page.locator(".temlib-painter .ask").wait_for(timeout=60_000)
        assert page.locator(".temlib-painter svg g path").count() == 2
        assert page.locator(".temlib-painter .message.wrong").count() == 0
        value, unit = (page.locator(f".temlib-painter .ask {kind}").input_value() for kind in ("input", "select"))
        assert float(value) * float(unit) == length_nm
        page.screenshot(path=tmp_path / "bar.png")
        page.locator(".temlib-painter button[data-do=scale]").click()
        answered(page, 2)
        said = page.locator(".temlib-painter .pixel").inner_text()
        assert float(said.split()[0].replace(",", "")) == pytest.approx(length_nm / length_px, rel=0.01)

        page.locator(".temlib-painter button[data-tool=diameter]").click()
        drag(page, (60, 100), (140, 160))
        answered(page, 3)
        value, unit = page.locator(".temlib-painter .sought").inner_text().split()
        assert unit == "nm"
        assert float(value) == pytest.approx(100 * length_nm / length_px, rel=0.05)
        assert page.locator(".temlib-painter .message.wrong").count() == 0
        page.screenshot(path=tmp_path / "diameter.png")
        page.close()
