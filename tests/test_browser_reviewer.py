"""The reviewer in a real browser: JupyterLab on a free port, Chromium, a mouse and a keyboard."""

import json
from pathlib import Path

import numpy as np
import pytest

import temlib
from tests.lab import draw_with_a_palm_down, jupyterlab, open_and_run
from tests.test_review import drawn, image_of

CELL = """
import numpy as np
import temlib
from tests.test_review import drawn, image_of

reviewer = temlib.ParticleReviewer(image_of(drawn()), "reviewed", particles=drawn())
reviewer
"""


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # the cell imports from tests
    with jupyterlab(tmp_path, CELL) as address:
        yield address


def open_reviewer(browser, address, width=1400):
    page = browser.new_page(viewport={"width": width, "height": 1100})
    open_and_run(page, address)
    page.locator(".temlib-reviewer .stage[data-counted]").wait_for(timeout=90_000)
    page.locator(".temlib-reviewer .stage").scroll_into_view_if_needed()
    return page


def on_screen(page, *points):
    """Give points (x, y) of the micrograph as points of the screen."""
    picture = page.locator(".temlib-reviewer canvas.picture")
    box, width = picture.bounding_box(), picture.evaluate("canvas => canvas.width")
    return [(box["x"] + x * box["width"] / width, box["y"] + y * box["width"] / width) for x, y in points]


def drag(page, *points):
    first, *rest = on_screen(page, *points)
    page.mouse.move(*first)
    page.mouse.down()
    for point in rest:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def click(page, *point):
    page.mouse.click(*on_screen(page, point)[0])


def counted(page, number):
    page.locator(f".temlib-reviewer .stage[data-counted='{number}']").wait_for(timeout=10_000)


def kept_in(folder):
    """What a script makes of the file as it is now."""
    return temlib.apply_review(drawn(), folder / "reviewed" / "micrograph_1_review.json", image_of(drawn()))


def test_every_tool_does_what_it_says_and_the_file_follows(browser, lab, tmp_path):
    page = open_reviewer(browser, lab)
    counted(page, 5)
    click(page, 20.5, 16.5)
    counted(page, 4)
    assert kept_in(tmp_path).table["why"].tolist() == ["left out by hand", "", "", "", "cut by the frame", ""]
    row = page.locator(".temlib-reviewer .row-of")
    assert "no: left out by hand" in row.inner_text()
    click(page, 20.5, 16.5)
    counted(page, 5)

    page.keyboard.press("l")
    drag(page, (8, 3), (40, 3), (40, 28), (8, 28), (8, 4))
    counted(page, 3)
    page.keyboard.press("z")
    counted(page, 5)
    page.keyboard.press("b")
    drag(page, (8, 3), (40, 28))
    counted(page, 3)
    page.keyboard.press("z")
    counted(page, 5)

    page.keyboard.press("s")
    drag(page, (12, 44.5), (38, 44.5))
    counted(page, 6)
    assert kept_in(tmp_path).counts()["split"] == 1
    page.keyboard.press("m")
    drag(page, (24, 40), (24, 49))
    counted(page, 5)
    assert np.array_equal(kept_in(tmp_path).labels, drawn())

    page.keyboard.press("x")
    click(page, 84.5, 44.5)
    counted(page, 4)
    page.keyboard.press("a")
    drag(page, (70, 24), (78, 24))
    counted(page, 5)
    record = json.loads((tmp_path / "reviewed" / "micrograph_1_review.json").read_text())
    assert [edit["do"] for edit in record["edits"]][-4:] == ["split", "merge", "remove", "add"]
    assert kept_in(tmp_path).at(74, 24) == 8
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 2, "Jupyter's own keys insert and cut cells"
    page.close()

    page = open_reviewer(browser, lab)
    counted(page, 5)
    assert "1 added" in page.locator(".temlib-reviewer .hands").inner_text()
    page.locator(".temlib-reviewer button[data-do=undo]").click()
    counted(page, 4)
    page.close()


def test_a_palm_does_not_end_a_lasso(browser, lab, tmp_path):
    page = open_reviewer(browser, lab)
    page.locator(".temlib-reviewer button[data-tool=lasso]").click()
    way = on_screen(page, (8, 3), (40, 3), (40, 28), (8, 28), (8, 4))
    draw_with_a_palm_down(page, way, *on_screen(page, (84.5, 44.5)))
    counted(page, 3)
    assert [number for number, fate in kept_in(tmp_path).fates.items() if fate == 3] == [1, 2]
    page.close()


def test_a_slider_moves_particles_out_and_in_and_is_one_step_back(browser, lab, tmp_path):
    page = open_reviewer(browser, lab)
    least = page.get_by_label("least equivalent diameter [px]")
    box = least.bounding_box()
    page.mouse.move(box["x"] + 7, box["y"] + 7)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 7, steps=12)
    page.mouse.up()
    counted(page, 2)
    low, high = kept_in(tmp_path).filters["equivalent_diameter_px"]
    assert high is None
    assert 12 < low < 16
    assert "outside" in page.locator(".temlib-reviewer .filter.set").inner_text()
    record = json.loads((tmp_path / "reviewed" / "micrograph_1_review.json").read_text())
    assert len(record["edits"]) == 1, "one movement of a slider is one edit"
    page.locator(".temlib-reviewer button[data-do=undo]").click()
    counted(page, 5)
    page.close()


SLOW = """
import time

import temlib
from temlib.particles.review import Review
from tests.test_review import drawn, image_of

quick = Review.filter


def slow(*bounds):
    time.sleep(0.4)
    quick(*bounds)


Review.filter = slow
images = [image_of(drawn()), image_of(drawn())]
reviewer = temlib.ParticleReviewer(images, "reviewed", particles=[drawn(), drawn()])
reviewer
"""


@pytest.fixture
def slow_lab(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    with jupyterlab(tmp_path, SLOW) as address:
        yield address


def test_a_filter_that_waits_is_of_the_micrograph_on_which_it_was_dragged(browser, slow_lab, tmp_path):
    page = open_reviewer(browser, slow_lab)
    least = page.get_by_label("least equivalent diameter [px]")
    box, place = least.bounding_box(), page.locator(".temlib-reviewer .place")
    page.mouse.move(box["x"] + 7, box["y"] + 7)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 7, steps=12)
    page.mouse.up()
    page.locator(".temlib-reviewer button[data-do=next]").evaluate("button => button.click()")
    place.filter(has_text="2 of 2").wait_for()
    page.locator(".temlib-reviewer button[data-do=previous]").click()
    place.filter(has_text="1 of 2").wait_for()
    low, high = kept_in(tmp_path).filters["equivalent_diameter_px"]
    assert high is None
    assert 12 < low < 16, "the last position of the slider"
    assert not (tmp_path / "reviewed" / "micrograph_2_review.json").exists()

    for _ in range(3):
        least.press("ArrowRight")
    page.locator(".temlib-reviewer .filter.set .what").evaluate(
        "what => what.dispatchEvent(new MouseEvent('dblclick', { bubbles: true }))"
    )
    counted(page, 5)
    page.locator(".temlib-reviewer button[data-do=next]").click()
    place.filter(has_text="2 of 2").wait_for()
    assert kept_in(tmp_path).filters == {}, "a double click takes the filter away"
    page.close()


def test_the_keyboard_alone_suffices(browser, lab, tmp_path):
    page = open_reviewer(browser, lab)
    page.locator(".temlib-reviewer .stage").focus()
    page.keyboard.press(">")
    page.keyboard.press("Enter")
    counted(page, 4)
    assert kept_in(tmp_path).fates[1] == 3
    for _ in range(2):
        page.keyboard.press(">")
    page.keyboard.press("s")
    for _ in range(2):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Enter")
    counted(page, 5)
    assert kept_in(tmp_path).counts()["split"] == 1
    slider = page.get_by_label("greatest equivalent diameter [px]")
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert slider.input_value() == "399", "JupyterLab leaves the arrow keys to sliders"
    page.keyboard.press("Home")
    counted(page, 1)
    page.close()


TWO = """
import numpy as np
import temlib
from tests.test_review import drawn, image_of

second = np.pad(np.where(drawn() == drawn()[16, 20], drawn(), 0), ((0, 0), (0, 40)))
images = [image_of(drawn()), image_of(second)]
reviewer = temlib.ParticleReviewer(images, "reviewed", particles=[drawn(), second])
reviewer
"""

# A browser that takes longer to decode a picture than to draw a frame, as it does with large ones.
SLOWLY = """() => {
  const decoded = window.createImageBitmap;
  window.createImageBitmap = async (...given) => {
    const made = await decoded(...given);
    await new Promise((done) => setTimeout(done, 200));
    return made;
  };
}"""

# The bounds of what is drawn in colour on the micrograph, in pixels of the screen: left, top, right, bottom.
DRAWN = """() => {
  const canvas = document.querySelector(".temlib-reviewer canvas.outlines");
  const { left, top, width } = canvas.getBoundingClientRect();
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = 0; i < data.length / 4; i++) {
    if (data[4 * i + 3] < 255) continue;
    const [x, y] = [i % canvas.width, Math.floor(i / canvas.width)];
    [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x), Math.max(y1, y)];
  }
  return [x0, y0, x1, y1].map((at, i) => (at * width) / canvas.width + (i % 2 ? top : left));
}"""


def test_outlines_are_those_of_the_micrograph_that_is_shown(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    with jupyterlab(tmp_path, TWO) as address:
        page = open_reviewer(browser, address)
        counted(page, 5)
        page.evaluate(SLOWLY)
        page.locator(".temlib-reviewer .stage").focus()
        page.keyboard.press("PageDown")
        counted(page, 1)
        rows, columns = np.nonzero(drawn() == drawn()[16, 20])
        ends = on_screen(page, (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1))
        assert page.evaluate(DRAWN) == pytest.approx(np.ravel(ends).tolist(), abs=2)
        page.close()


def test_two_views_of_one_reviewer_show_the_same_whichever_is_used(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    with jupyterlab(tmp_path, CELL.replace("\nreviewer\n", "\ndisplay(reviewer)\nreviewer\n")) as address:
        page = browser.new_page(viewport={"width": 1400, "height": 2400})
        open_and_run(page, address)
        views = [page.locator(".temlib-reviewer").nth(i) for i in range(2)]

        def point(view, x, y):
            picture = view.locator("canvas.picture")
            box, width = picture.bounding_box(), picture.evaluate("canvas => canvas.width")
            return box["x"] + x * box["width"] / width, box["y"] + y * box["width"] / width

        def both_count(number):
            for view in views:
                view.locator(f".stage[data-counted='{number}']").wait_for(timeout=90_000)

        both_count(5)
        page.mouse.click(*point(views[0], 20.5, 16.5))  # taken out in the first view, ...
        both_count(4)
        page.mouse.click(*point(views[1], 20.5, 16.5))  # ... and back in the second
        both_count(5)
        views[1].locator(".stage").focus()
        page.keyboard.press("s")
        page.mouse.move(*point(views[1], 12, 44.5))
        page.mouse.down()
        page.mouse.move(*point(views[1], 38, 44.5), steps=4)
        page.mouse.up()
        both_count(6)  # the labels have changed: each view has the patch
        page.mouse.click(*point(views[0], 20.5, 48))  # a piece of what was split in the other view
        both_count(5)
        assert len(kept_in(tmp_path).table) == 7
        page.close()
