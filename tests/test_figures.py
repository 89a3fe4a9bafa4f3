import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib_scalebar.scalebar import ScaleBar
from scipy import ndimage

import temlib
from temlib import drawing, palette
from temlib.files.micrographs import micrograph
from temlib.reproduction import evidence, figures

mpl.use("Agg")


@pytest.fixture(autouse=True)
def _close():
    yield
    mpl.pyplot.close("all")


@pytest.fixture
def image():
    return micrograph(np.random.default_rng(0).normal(size=(60, 80)), 0.25, "a")


@pytest.fixture
def mask():
    mask = np.zeros((60, 80), bool)
    mask[20:40, 30:60] = True
    return mask


def texts(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


def test_scale_bars_use_the_pixel_size(image):
    figure = drawing.show_micrographs([image], ["a"])
    bars = [artist for artist in figure.axes[0].get_children() if isinstance(artist, ScaleBar)]
    assert [(bar.dx, bar.dimension.base_units) for bar in bars] == [(0.25, "m")]
    assert "pixel size unknown" not in texts(figure)


def test_unknown_pixel_size_is_said_and_not_drawn(image):
    figure = drawing.show_micrographs([micrograph(image.data)], ["a"])
    assert not any(isinstance(artist, ScaleBar) for artist in figure.axes[0].get_children())
    assert "pixel size unknown" in texts(figure)


def test_each_kind_of_mask_has_one_colour_in_every_figure(image, mask):
    two = [image, image]
    for figure, kinds in [
        (figures.figure_2(two, [mask, mask], two, [mask, mask]), {"ML", "truth"}),
        (figures.figure_3(two, [mask, mask], [mask, ~mask], [mask, mask]), {"ML", "TL", "truth"}),
        (figures.figure_4(two, [mask, mask], [mask, mask], [0.1, 0.2]), {"TL", "truth"}),
    ]:
        drawn = {
            mpl.colors.to_hex(collection.get_edgecolor()[0]).upper()
            for collection in figure.findobj(mpl.contour.QuadContourSet)
        }
        assert drawn == {palette.COLOURS[kind] for kind in kinds}


def test_colours_are_distinct():
    same = {"found": "TL", "learns": "TL", "quiet": "Otsu", "left out": "particle stroke"}  # one hue, two words
    assert all(palette.COLOURS[word] == palette.COLOURS[other] for word, other in same.items())
    others = [colour for word, colour in palette.COLOURS.items() if word not in same]
    assert len(set(others)) == len(others)
    assert len(set(palette.SERIES)) == len(palette.SERIES)


def test_colours_are_named_in_the_palette_alone():
    home = Path(temlib.__file__).parent
    hexes = {path.name: re.findall(r"#[0-9A-F]{6}\b", path.read_text()) for path in home.rglob("*.py")}
    assert {name for name, found in hexes.items() if found} == {"palette.py"}


def test_outlines_lie_on_the_mask(image, mask):
    figure = drawing.show_micrographs([image], ["a"], [{"TL": mask}])
    (outline,) = figure.findobj(mpl.contour.QuadContourSet)
    vertices = outline.get_paths()[0].vertices
    assert vertices.min(0) == pytest.approx([29.5, 19.5])
    assert vertices.max(0) == pytest.approx([59.5, 39.5])


def test_figure_5_states_means_medians_and_the_count():
    scores = pd.DataFrame({"ML": [0.5, 0.6, 0.7, 0.2], "TL": [0.9, 0.5, 0.8, 0.2], "Otsu": [0.1, 0.2, 0.3, 0.8]})
    words = " ".join(texts(figures.figure_5(scores, "the caption")))
    for statement in (
        "TL better than ML on 2 of 4; mean gain 0.10 (",
        "ML: mean 0.50, median 0.55",
        "TL: mean 0.60, median 0.65",
        "Otsu: mean 0.35, median 0.25",
        "the caption",
    ):
        assert statement in words


def test_every_test_micrograph_is_shown_with_its_iou(image, mask):
    figure = figures.figure_4([image] * 5, [mask] * 5, [mask] * 5, [0.11, 0.22, 0.33, 0.44, 0.55])
    words = " ".join(texts(figure))
    assert all(f"{i + 1}: IoU 0.{i + 1}{i + 1}" in words for i in range(5))


def test_figure_1_names_what_stands_for_the_experiment(image):
    words = " ".join(texts(figures.figure_1([image] * 2, [image] * 2, "simulated")))
    assert all(word in words for word in ("(a) simulated", "(b) simulated", "(c) synthetic", "(d) synthetic"))


def test_look_alikes_have_grains_as_fine_and_none_is_taken_twice():
    noise = np.random.default_rng(0).normal(size=(4, 128, 128))
    fine, coarse = ([micrograph(ndimage.gaussian_filter(one, sigma)) for one in noise] for sigma in (1, 4))
    assert figures.look_alikes(coarse[:2], [*fine[2:], *coarse[2:]]) in ([2, 3], [3, 2])
    assert figures.look_alikes(fine[:1], [*coarse[2:], *fine[2:]])[0] in (2, 3)


def test_legend_and_caption_do_not_overlap(image, mask):
    figure = figures.figure_2([image] * 2, [mask] * 2, [image] * 2, [mask] * 2, "caption of the run")
    figure.canvas.draw()
    (legend,) = figure.legends
    caption = next(text for text in figure.findobj(mpl.text.Text) if text.get_text() == "caption of the run")
    assert not legend.get_window_extent().overlaps(caption.get_window_extent())


def test_figures_are_saved_as_png_and_pdf_with_the_same_bytes_each_time(image, tmp_path):
    for folder in ("first", "second"):
        drawing.save_figure(drawing.show_micrographs([image], ["a"]), tmp_path / folder, "figure_1")
    for name in ("figure_1.png", "figure_1.pdf"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert len(list((tmp_path / "first").iterdir())) == 2


def test_steps_are_shown_with_their_titles_and_scale_bars():
    steps = {"thickness [nm]": np.eye(40), "phase [rad]": np.ones((40, 40)), "counts": np.eye(40)}
    figure = drawing.show_steps(steps, 0.5, columns=2)
    assert set(steps) <= set(texts(figure))
    assert [bar.dx for bar in figure.findobj(ScaleBar)] == [0.5] * 3


def test_the_power_of_a_wave_is_found_at_its_frequency():
    wave = np.sin(2 * np.pi * 0.125 * np.arange(256)) * np.ones((256, 1))
    power = evidence.radial_power(wave)
    assert evidence.FREQUENCIES[np.argmax(power)] == pytest.approx(0.125, rel=0.15)
    noise = evidence.radial_power(np.random.default_rng(0).normal(size=(512, 512)))
    assert noise[14:] == pytest.approx(np.ones(10), rel=0.15), "white noise of variance 1 has power 1"


def test_kinds_of_micrographs_are_compared_in_their_colours(image):
    figure = evidence.compare_sets({"synthetic": [image] * 3, "simulated": [image] * 3})
    assert {"synthetic", "simulated", "frequency [1 / pixel]"} <= set(texts(figure))
    colours = {line.get_color() for line in figure.axes[2].lines}
    assert colours == {palette.COLOURS["synthetic"], palette.COLOURS["simulated"]}


def test_the_ablation_shows_changes_against_the_full_generator_seed_by_seed():
    rows = [
        {"variant": variant, "seed": seed, "data": data, "name": "a", "iou": iou + seed / 100}
        for variant, iou in (("before", 0.5), ("full", 0.7), ("no film", 0.6))
        for seed in (1, 2)
        for data in ("emps", "simulated")
    ]
    figure = evidence.ablation(pd.DataFrame(rows))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["before", "no film"]
    for ax in figure.axes:
        changes = [np.asarray(points.get_offsets())[:, 0].tolist() for points in ax.collections]
        assert changes == [pytest.approx([-0.2, -0.1])] * 3
    assert any("full: mean IoU 0.7" in text for text in texts(figure))


def test_expected_iou_is_drawn_against_the_true_one():
    rows = {
        "data": ["emps", "emps", "emps", "simulated"],
        "expected_iou": [0.2, 0.5, 0.9, 0.4],
        "warned": [True, False, False, True],
        "iou": [0.1, 0.6, 0.8, np.nan],
    }
    figure = evidence.trust(pd.DataFrame(rows))
    assert "emps, n = 3\nrank correlation 1.00" in [ax.get_title() for ax in figure.axes]
    heights = [np.asarray(points.get_offsets())[:, 1].tolist() for points in figure.axes[0].collections]
    assert heights == [[0.6, 0.8], [0.1]]


def test_size_bias_is_drawn_over_what_was_varied():
    rows = pd.DataFrame({"varied": ["diameter_px", "diameter_px", "dose", "overlap"], "diameter_px": [8, 16, 24, 24]})
    rows = rows.assign(dose=[1e3, 1e3, 10, 1e3], overlap=[0, 0, 0, 0.3])
    for kind in ("true masks", "network"):
        rows[f"{kind} bias_percent"], rows[f"{kind} scatter_percent"] = [5, 1, -3, 2], 1
    figure = evidence.size_bias(rows)
    assert [len(ax.lines[0].get_xdata()) for ax in figure.axes] == [2, 1, 1]
    assert [ax.get_xscale() for ax in figure.axes] == ["log", "log", "linear"]


def test_labels_needed_has_a_line_for_each_way_to_learn():
    rows = [
        {"data": "emps", "method": method, "n": n, "seed": seed, "iou": 0.5 + n / 100 + seed / 100}
        for method, numbers in (("a", (0, 1, 5)), ("b", (1, 5)))
        for n in numbers
        for seed in (1, 2, 3)
    ]
    figure = evidence.labels_needed(pd.DataFrame(rows))
    (axes,), (legend,) = figure.axes, figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["bundled, no label at all", "a", "b"]
    assert [line.lines[0].get_ydata().tolist() for line in axes.containers] == [pytest.approx([0.53, 0.57])] * 2


def test_a_way_to_learn_has_one_colour_whatever_stands_beside_it():
    def colour(*methods):
        rows = [{"data": "emps", "method": m, "n": 1, "seed": seed, "iou": 0.5} for m in methods for seed in (1, 2)]
        found = {
            c.get_label(): c.lines[0].get_color() for c in evidence.labels_needed(pd.DataFrame(rows)).axes[0].containers
        }
        assert len(set(found.values())) == len(methods)
        return found["imagenet, frozen"]

    assert (
        colour("imagenet, frozen")
        == colour("a", "bundled, frozen", "imagenet, frozen")
        == colour(*"abcdef", "imagenet, frozen")
    )


def test_label_errors_begin_at_exact_labels_and_end_at_the_strongest():
    rows = [
        {"way": way, "strength": strength, "seed": seed, "encoder": encoder, "data": data, "teacher": teacher}
        | {"iou": 0.6 * teacher + 0.01 * seed + (encoder == "tuned")}
        for way, strength, teacher in (("exact", 0, 1.0), ("eroded", -0.1, 0.8), ("eroded", -0.2, 0.6))
        for seed in (1, 2, 3)
        for encoder in ("frozen", "tuned")
        for data in ("synthetic", "simulated")
    ]
    figure = evidence.label_errors(pd.DataFrame(rows))
    line = figure.axes[0].containers[0].lines[0]
    np.testing.assert_allclose(line.get_xydata(), [(1.0, 0.62), (0.8, 0.5), (0.6, 0.38)])
    assert [ax.get_title() for ax in figure.axes] == ["scored on synthetic", "scored on simulated"]


def test_ways_to_learn_have_a_row_each_and_a_colour_for_what_was_learned_from():
    rows = [
        {"network": network, "source": source, "seed": seed, "iou": base + 0.01 * seed}
        for network, base in (("first", 0.5), ("second", 0.7))
        for source in ("hand", "ML")
        for seed in (1, 2, 3)
    ]
    (ax,) = evidence.ways_to_learn(pd.DataFrame(rows), "network", "source").axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["second", "first"]
    means = ax.collections[1].get_offsets()  # after the seeds of the first source
    np.testing.assert_allclose(means[:, 0], [0.52, 0.72])
    assert means[0, 1] > means[1, 1]
    assert ax.collections[1].get_facecolor().tolist() != ax.collections[3].get_facecolor().tolist()
    (alone,) = evidence.ways_to_learn(pd.DataFrame(rows[:3]), "network").axes
    assert len(alone.collections) == 2


def test_a_legend_is_no_wider_than_its_figure(dark_discs):
    image, mask = dark_discs[0][0], dark_discs[1][0]
    kinds = dict.fromkeys(("truth", "ML", "TL"), mask)
    for images in ([image], [image] * 4):
        figure = drawing.show_micrographs(images, ["a"] * len(images), [kinds] * len(images), columns=4)
        figure.canvas.draw()
        box = figure.legends[0].get_window_extent()
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert len(figure.legends) == 1


@pytest.mark.parametrize(("burnt_in", "corner"), [(False, "lower right"), (True, "lower left")])
def test_a_scale_bar_does_not_hide_the_picture_s_own(burnt_in, corner):
    picture = np.random.default_rng(0).integers(90, 130, (400, 500)).astype(np.uint8)
    if burnt_in:
        picture[360:372, 380:480] = 255
    image = micrograph(picture, 0.5)
    _, axes = mpl.pyplot.subplots()
    drawing.show_micrograph(axes, image)
    (bar,) = [artist for artist in axes.artists if isinstance(artist, ScaleBar)]
    assert bar.location == ScaleBar(1, location=corner).location
