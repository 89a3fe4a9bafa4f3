"""Texts of files and their names are shown as they are: no formula, no format, no markup, no second line."""

import pickle
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import temlib
from temlib.drawing import show_micrographs, show_steps
from temlib.errors import MicrographError, TemlibError, one_line
from temlib.files.micrographs import micrograph
from temlib.particles.measurement import measure_particles
from temlib.particles.report import report_figure
from temlib.reproduction.figures import figure_1

NASTY = (
    "$a_{$",
    "$",
    "\\frac{",
    "{0.__class__}",
    "%s%n",
    "<img src=x onerror=alert(1)>",
    "\udce9",
    "\x1b[31m",
    "\n",
    "\0",
)
pytestmark = pytest.mark.filterwarnings("ignore:Glyph")
ANY = st.characters(exclude_categories=())
TEXTS = st.lists(st.sampled_from(NASTY) | st.text(ANY, max_size=8), max_size=4).map("".join)


@pytest.fixture(scope="module")
def image():
    return micrograph(np.random.default_rng(0).normal(size=(24, 24)), 0.5)


@settings(max_examples=25, deadline=None)
@given(TEXTS)
def test_any_text_is_a_title_and_a_caption(image, text):
    for figure in (show_micrographs([image], [text], caption=text), show_steps({text: image.data + 5}, 0.5)):
        figure.canvas.draw()
        plt.close(figure)


@settings(max_examples=8, deadline=None)
@given(TEXTS)
def test_any_text_is_the_name_of_what_is_reported(image, text):
    named = micrograph(image.data, 0.5, text)
    labels = np.zeros((24, 24), int)
    labels[4:12, 4:12] = 1
    labels[14:20, 14:20] = 2
    figure = report_figure(named, labels, measure_particles(labels, named), title=text)
    figure.canvas.draw()
    plt.close(figure)


@settings(max_examples=8, deadline=None)
@given(TEXTS)
def test_any_text_is_the_caption_of_a_figure(image, text):
    figure = figure_1([image], [image], text, text)
    figure.canvas.draw()
    plt.close(figure)


@given(TEXTS)
def test_an_error_is_one_line_whatever_it_names(text):
    error = MicrographError(f"{text}: is no micrograph")
    assert len(str(error).splitlines()) == 1
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", str(error))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    one_line(ValueError(text)).encode("utf-8")


def test_names_that_steer_a_terminal_are_shown_without(tmp_path):
    path = tmp_path / "a\nb\x1b[31m.tif"
    path.write_bytes(b"no tif")
    with pytest.raises(TemlibError) as refused:
        temlib.load_micrograph(path)
    assert "a b [31m.tif" in str(refused.value)
