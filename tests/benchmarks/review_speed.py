"""How long does a person wait in the reviewer, from what the hand does to the changed picture, table and distribution?

JupyterLab on a free port, Chromium without a window, particles drawn on a jittered grid, with the probability that a
network would give: 500 in a frame of 1024 x 1024 pixels, 10,000 in one of 4096 x 4096. Each thing that can be done is
done with a real mouse or key; the clock runs in the browser from the last event (the button let go, the key pressed,
the slider moved) until the frame is painted in which Python's answer is drawn. A row for each thing: the median and the
slowest of some repetitions [ms], and of the median how long Python took, by its own clock [ms].

Milliseconds are of a machine that may be shared. Writes review_speed.csv in temlib/data/measured; needs Chromium.

    python -m tests.benchmarks.review_speed
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

import temlib
from temlib.files.micrographs import micrograph
from temlib.particles.placing import Found
from temlib.reproduction.run_folder import MEASURED
from tests.lab import jupyterlab, open_and_run

TABLE = MEASURED / "review_speed.csv"
SIZES = {500: 1024, 10_000: 4096}  # particles: edge of the frame [px]
REPEATS = 5
CELL = "from tests.benchmarks.review_speed import timed_reviewer\n\ntimed_reviewer({particles})"
CLOCK = """
() => {
  const root = document.querySelector(".temlib-reviewer");
  const [stage, over] = [root.querySelector(".stage"), root.querySelector("canvas.over")];
  let [start, end] = [0, 0];
  for (const kind of ["pointerup", "keydown", "input"])
    root.addEventListener(kind, (event) => {
      if (kind === "pointerup" && event.target.type === "range") return; // nothing follows a slider let go
      [start, end] = [event.timeStamp, 0];
    }, true);
  new MutationObserver(() => {
    over.getContext("2d").getImageData(0, 0, 1, 1); // until what was drawn is there
    requestAnimationFrame(() => setTimeout(() => (end = performance.now())));
  }).observe(stage, { attributes: true, attributeFilter: ["data-answered"] });
  window.waited = () => (end ? [end - start, performance.now() - end] : null);
}
"""


def main() -> None:
    """Run the benchmark, write and print its table."""
    from playwright.sync_api import sync_playwright

    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])  # the cell imports from tests
    rows = []
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for particles, edge in SIZES.items():
            for row in measured_in(browser, particles):
                rows.append({"particles": particles, "edge_px": edge} | row)
                print(rows[-1], flush=True)
    pd.DataFrame(rows).to_csv(TABLE, index=False, float_format="%.0f")


def measured_in(browser: Any, particles: int) -> Iterator[dict[str, Any]]:
    """Open a reviewer of so many particles, and measure each thing that can be done."""
    with tempfile.TemporaryDirectory() as folder, jupyterlab(Path(folder), CELL.format(particles=particles)) as address:
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        open_and_run(page, address)
        page.locator(".temlib-reviewer .stage[data-counted]").wait_for(timeout=300_000)
        page.locator(".temlib-reviewer .stage").scroll_into_view_if_needed()
        page.evaluate(CLOCK)
        log = Path(folder) / "python.csv"
        for name, do in things(page, particles).items():
            waits, works = [], []
            for repeat in range(REPEATS):
                before = len(log.read_text().split()) if log.exists() else 0
                do(repeat)
                waits.append(waited(page, particles))
                works.append(sum(map(float, log.read_text().split()[before:][-1:])))
            middle = int(np.argsort(waits)[len(waits) // 2])
            yield {"what": name, "median_ms": waits[middle], "slowest_ms": max(waits), "python_ms": works[middle]}
        page.close()


def waited(page: Any, particles: int) -> float:
    """Give the milliseconds from the last event to the last picture, when nothing more comes."""
    quiet = 500 if particles < 1000 else 3000
    for _ in range(6000):
        said = page.evaluate("window.waited()")
        if said and said[1] > quiet:
            return said[0]
        time.sleep(0.05)
    raise RuntimeError("the reviewer does not answer")


def things(page: Any, particles: int) -> dict[str, Callable[[int], None]]:
    """Give what can be done, each to other particles the next time."""
    centres = drawn(particles)[1]
    picture = page.locator(".temlib-reviewer canvas.picture")

    def screen(x: float, y: float) -> tuple[float, float]:
        box = picture.bounding_box()
        scale = box["width"] / SIZES[particles]
        return box["x"] + (x + 0.5) * scale, box["y"] + (y + 0.5) * scale

    def at(place: int, repeat: int) -> tuple[float, float]:
        y, x = centres[(len(centres) * place // 10 + 7 * repeat) % len(centres)]
        return float(x), float(y)

    def drag(tool: str, *points: tuple[float, float]) -> None:
        page.keyboard.press(tool)
        page.mouse.move(*screen(*points[0]))
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*screen(*point), steps=3)
        page.mouse.up()

    def across(tool: str, place: int, far: float, repeat: int) -> None:
        x, y = at(place, repeat)
        drag(tool, (x - far, y - 1), (x + far, y + 1))

    def around(repeat: int) -> None:
        x, y = at(5, repeat)
        far = 100
        drag("l", (x - far, y - far), (x + far, y - far), (x + far, y + far), (x - far, y + far))

    def click(tool: str, place: int, repeat: int) -> None:
        page.keyboard.press(tool)
        page.mouse.click(*screen(*at(place, repeat)))

    def slide(repeat: int) -> None:
        box = page.get_by_label("least circularity").bounding_box()
        start, middle = box["x"] + 7, box["y"] + box["height"] / 2
        page.mouse.move(start + 8 * repeat, middle)
        page.mouse.down()
        page.mouse.move(start + 8 * (repeat + 1), middle, steps=8)
        page.mouse.up()

    spacing = SIZES[particles] / np.ceil(np.sqrt(particles))
    page.locator(".temlib-reviewer .stage").focus()
    return {
        "a click takes out": partial(click, "c", 3),
        "a lasso takes out": around,
        "a line splits": partial(across, "s", 4, 0.6 * spacing),
        "a line merges": partial(across, "m", 6, spacing),
        "a click removes": partial(click, "x", 7),
        "paint adds": lambda repeat: across("a", 7, 0.2 * spacing, repeat),
        "undo": lambda repeat: page.keyboard.press("z"),
        "a slider filters": slide,
    }


def timed_reviewer(particles: int) -> Any:
    """Give a reviewer that writes down how long Python takes for each message."""
    labels, _ = drawn(particles)
    rng = np.random.default_rng(1)
    probability = np.clip(gaussian_filter((labels > 0).astype(np.float32), 1), 0, 1)
    image = (200 - 100 * probability + rng.normal(0, 10, labels.shape)).astype(np.float32)
    found = Found(labels, rng.uniform(0.4, 1, labels.max()), np.zeros(0), np.zeros(0), 0.35)

    class Drawn:
        def find(self, image: Any) -> tuple[Found, np.ndarray]:
            return found, np.stack([probability, probability], axis=-1)

    reviewer = temlib.ParticleReviewer(micrograph(image, 0.5, "drawn"), "reviewed", Drawn())
    receive = reviewer._receive

    def timed(message: dict[str, Any]) -> None:
        start = time.perf_counter()
        receive(message)
        with Path("python.csv").open("a") as log:
            log.write(f"{1000 * (time.perf_counter() - start):.1f}\n")

    reviewer._receive = timed
    return reviewer


def drawn(particles: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw so many ellipses of several sizes on a jittered grid; give them numbered, and their centres (y, x)."""
    edge, rng = SIZES[particles], np.random.default_rng(0)
    across = int(np.ceil(np.sqrt(particles)))
    spacing = edge / across
    labels = np.zeros((edge, edge), np.int32)
    grid = (np.stack(np.divmod(np.arange(particles), across), -1) + 0.5) * spacing
    centres = grid + rng.uniform(-0.1, 0.1, grid.shape) * spacing
    for number, (y, x) in enumerate(centres, start=1):
        radius, ratio = spacing * rng.uniform(0.2, 0.42), rng.uniform(1, 1.4)
        far = int(radius * ratio) + 2
        rows, columns = (slice(max(int(at) - far, 0), int(at) + far) for at in (y, x))
        i, j = np.ogrid[rows.start : min(rows.stop, edge), columns.start : min(columns.stop, edge)]
        inside = ((i - y) * ratio / radius) ** 2 + ((j - x) / radius) ** 2 < 1
        part = labels[rows, columns]
        part[inside & (part == 0)] = number
    return labels, centres


if __name__ == "__main__":
    main()
