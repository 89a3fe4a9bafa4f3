"""Fixtures: data and weights from outside, without which the tests that need them are skipped."""

import os
from pathlib import Path

import numpy as np
import pytest

from temlib.files.micrographs import micrograph

ROOT = Path(__file__).resolve().parents[1]


LONGEST = (
    "test_notebooks",
    "test_training",
    "test_stacks",
    "test_movies",
    "test_any_array",
    "test_batch",
    "test_proposals",
)


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that both processes end at about the same time."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def root():
    """The clone."""
    return ROOT


def _outside(variable: str, name: str, how: str) -> Path:
    folder = os.environ.get(variable)
    if not folder or not (Path(folder) / name).exists():
        pytest.skip(f"needs {name}: {how}, and set {variable} to the folder that holds it")
    return Path(folder) / name


@pytest.fixture
def emps():
    return _outside("TEMLIB_DATA", "emps", "download github.com/by256/emps as temlib.datasets says")


@pytest.fixture
def formats():
    return _outside("TEMLIB_DATA", "formats", "collect microscope files in a folder 'formats'")


@pytest.fixture
def imagenet():
    name = "mobilenet_1.0_224_imagenet_to_conv_pw_12.weights.h5"
    return _outside("TEMLIB_WEIGHTS", name, "save the truncated MobileNet's weights under that name")


@pytest.fixture
def legacy_weights():
    return _outside("TEMLIB_WEIGHTS", "mobilenet_2_5_224_tf_no_top.h5", "let Keras download MobileNet(alpha=0.25)")


@pytest.fixture
def offline(monkeypatch):
    """A machine without a network: every connection is refused."""
    import socket

    def refuse(*_args, **_options):
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")  # while it is there an event loop runs, which other tests do not expect
def browser():
    """Chromium, without a window."""
    import shutil

    sync = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def disc(shape, centre, radius):
    """Bool mask of a disc."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


@pytest.fixture(scope="session")
def dark_discs():
    """Four noisy micrographs of dark discs, of different sizes, and their masks."""
    rng = np.random.default_rng(7)
    images, masks = [], []
    for shape in ((96, 96), (128, 96), (96, 140), (100, 100)):
        mask = disc(shape, (30, 40), 14) | disc(shape, (68, 62), 18)
        images.append(micrograph((1000 - 400 * mask + rng.normal(0, 40, shape)).astype(np.float32), 0.5))
        masks.append(mask)
    return images, masks
