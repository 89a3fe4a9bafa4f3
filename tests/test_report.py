import json

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib_scalebar.scalebar import ScaleBar
from PIL import Image

import temlib
from temlib.files.micrographs import micrograph
from temlib.palette import COLOURS
from temlib.particles.measurement import measure_particles, shape_groups
from temlib.particles.report import contact_sheet, report_figure, report_record, save_report
from temlib.particles.size_distribution import size_distribution
from tests.conftest import disc

mpl.use("Agg")

RADII = (4, 5, 6, 7, 8, 9)


@pytest.fixture(autouse=True)
def _close():
    yield
    mpl.pyplot.close("all")


@pytest.fixture
def labels():
    """Six whole discs and one that the frame cuts."""
    array = np.zeros((60, 110), np.int32)
    for number, radius in enumerate(RADII, start=1):
        array[disc(array.shape, (15 + 30 * (number % 2), 14 * number - 2), radius)] = 10 * number
    array[disc(array.shape, (0, 100), 5)] = 99
    return array


@pytest.fixture
def image(labels):
    return micrograph(np.random.default_rng(0).normal(size=labels.shape) - 5 * (labels > 0), 0.5, "gold 7")


def texts(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text)]


def statistics(figure):
    (table,) = figure.findobj(mpl.table.Table)
    cells = {place: cell.get_text().get_text() for place, cell in table.get_celld().items()}
    return {cells[row, 0]: [cells[row, 1], cells[row, 2]] for row, column in sorted(cells) if column == 0}


def outlines_of(figure):
    found = [artist for artist in figure.axes[0].collections if isinstance(artist, LineCollection)]
    return {mpl.colors.to_hex(lines.get_color()[0]).upper(): len(lines.get_segments()) for lines in found}


def test_axes_are_labelled_with_units_and_numbers_are_those_of_the_distribution(image, labels):
    table = measure_particles(labels, image)
    distribution = size_distribution(table)
    figure = report_figure(image, labels, table, distribution)
    words = texts(figure)
    assert {"equivalent diameter [nm]", "number of particles", "circularity", "gold 7"} <= set(words)
    sizes = np.sqrt(4 * np.array([(labels == 10 * n).sum() for n in range(1, 7)]) * 0.25 / np.pi)
    weights = 1 / np.array([(59 - 2 * radius - 1) * (109 - 2 * radius - 1) for radius in RADII])
    mean = np.average(sizes, weights=weights)
    median, spread = distribution.median.value, distribution.standard_deviation.value
    assert distribution.mean.value == pytest.approx(mean)
    assert sizes.min() < np.median(sizes) < median < sizes.max(), "corrected for the frame"
    cells = statistics(figure)
    assert cells["equivalent diameter, by number"] == ["value [nm]", "95 % interval [nm]"]
    assert list(cells)[1:] == ["N", "median", "mean", "standard deviation", "d10", "d90"]
    assert cells["N"] == ["6", ""]
    assert [cells[name][0] for name in list(cells)[2:5]] == [f"{value:.2f}" for value in (median, mean, spread)]
    low, high = distribution.median.low, distribution.median.high
    assert cells["median"][1] == f"{low:.2f} to {high:.2f}"
    assert f"median {median:.2f} nm, 95 % interval {low:.2f} to {high:.2f} nm" in words
    assert any(word.startswith("log-normal fit") for word in words)
    assert figure.axes[2].collections[0].get_offsets().shape == (6, 2)


def test_what_is_counted_and_what_is_left_out_is_drawn(image, labels):
    table = measure_particles(labels, image)
    assert outlines_of(report_figure(image, labels, table)) == {COLOURS["found"]: 6, COLOURS["left out"]: 1}
    large = table[table["area_nm2"] > 25]
    figure = report_figure(image, labels, large)
    assert outlines_of(figure) == {COLOURS["found"]: 4, COLOURS["left out"]: 3}
    assert {"4 counted", "3 left out"} <= set(texts(figure))
    everything = size_distribution(table, edge_particles=True)
    assert outlines_of(report_figure(image, labels, table, everything)) == {COLOURS["found"]: 7}


def test_scale_bar_where_the_pixel_size_is_known_and_pixels_where_not(image, labels):
    figure = report_figure(image, labels, measure_particles(labels, image))
    assert [bar.dx for bar in figure.findobj(ScaleBar)] == [0.5]
    plain = report_figure(image.data, labels, measure_particles(labels))
    assert not plain.findobj(ScaleBar)
    assert {"pixel size unknown", "equivalent diameter [px]"} <= set(texts(plain))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_particles_make_a_page_too(image, labels, n):
    few = np.where(labels <= 10 * n, labels, 0)
    table = measure_particles(few, image)
    figure = report_figure(image, few, table)
    figure.canvas.draw()
    assert any("two particles at least" in word for word in texts(figure)) == (n < 2)
    record = report_record(image, few, table)
    assert record["particles"]["counted"] == n
    assert (record["size_distribution"] is None) == (n < 2)


def test_nothing_is_cut_off_and_panels_do_not_overlap(image, labels):
    figure = report_figure(image, labels, measure_particles(labels, image))
    figure.canvas.draw()
    page = figure.bbox
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    assert all(page.x0 <= b.x0 and b.x1 <= page.x1 and page.y0 <= b.y0 and b.y1 <= page.y1 for b in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_record_states_what_the_numbers_depend_on(image, labels):
    table = measure_particles(labels, image)
    record = report_record(
        image,
        labels,
        table[table["area_nm2"] > 25],
        model="bundled",
        threshold=0.5,
        pixel_size_source="scale bar",
        exclusions=["area of 25 nm2 or less"],
    )
    assert record["temlib"] == temlib.__version__
    assert (record["micrograph"], record["shape_px"]) == ("gold 7", [60, 110])
    assert (record["pixel_size_nm"], record["pixel_size_source"]) == ([0.5, 0.5], "scale bar")
    assert (record["model"], record["threshold"]) == ("bundled", 0.5)
    assert record["exclusions"] == ["area of 25 nm2 or less", "touches the edge of the image"]
    assert record["particles"] == {"found": 7, "counted": 4, "left_out": 3}
    assert record["size_distribution"]["n"] == 4
    everything = report_record(image, labels, table, size_distribution(table, edge_particles=True))
    assert everything["exclusions"] == []
    assert everything["particles"] == {"found": 7, "counted": 7, "left_out": 0}
    plain = report_record(image.data, labels, measure_particles(labels))
    assert (plain["pixel_size_nm"], plain["pixel_size_source"]) == (None, None)
    assert plain["size_distribution"]["column"] == "equivalent_diameter_px"


def test_page_and_record_are_saved_and_agree(image, labels, tmp_path):
    table = measure_particles(labels, image)
    stem = tmp_path / "new" / "gold 7.dm4"
    files = save_report(stem, image, labels, table, threshold=0.5)
    assert [file.name for file in files] == ["gold 7.dm4.png", "gold 7.dm4.pdf", "gold 7.dm4.json"]
    assert sorted(file.name for file in stem.parent.iterdir()) == sorted(file.name for file in files)
    assert json.loads(files[2].read_text()) == report_record(image, labels, table, threshold=0.5)
    assert Image.open(files[0]).size == (1650, 1050)  # no taller than a screen
    assert not mpl.pyplot.get_fignums(), "the figure is closed"
    before = [file.read_bytes() for file in files]
    with pytest.raises(temlib.MicrographError, match=r"gold 7\.dm4\.png: exists already; pass overwrite=True"):
        save_report(stem, image, labels, table)
    save_report(stem, image, labels, table, threshold=0.5, overwrite=True)
    assert [file.read_bytes() for file in files] == before


def test_a_record_never_contradicts_itself(image, labels, tmp_path):
    table = measure_particles(labels, image)
    filtered = table[table["area_nm2"] > 25]
    of_filtered = size_distribution(filtered)
    for make in (report_figure, report_record):
        with pytest.raises(temlib.MicrographError, match="is of 4 particles and the table has 6"):
            make(image, labels, table, of_filtered)
        with pytest.raises(temlib.MicrographError, match="pass the rows that were counted"):
            make(image, labels, filtered.assign(equivalent_diameter_nm=9.0), of_filtered)
    with pytest.raises(temlib.MicrographError, match="pass the rows that were counted"):
        save_report(tmp_path / "a", image, labels, table, of_filtered)
    assert not list(tmp_path.iterdir())
    record = report_record(image, labels, filtered, of_filtered)
    assert record["particles"] == {"found": 7, "counted": 4, "left_out": 3}
    assert record["exclusions"] == ["not in the table (3 particles)", "touches the edge of the image"]


def test_the_frame_is_corrected_for_and_page_and_record_say_so(image, labels):
    table = measure_particles(labels, image)
    record = report_record(image, labels, table)["size_distribution"]
    assert (record["corrected_for_frame"], record["frames_px"]) == (True, [[60, 110]])
    figure = report_figure(image, labels, table)
    assert any("weighted for it" in word for word in texts(figure))
    stairs = [patch for patch in figure.axes[1].patches if isinstance(patch, mpl.patches.StepPatch)]
    assert stairs[0].get_data().values.sum() == pytest.approx(6)
    bare = table.drop(columns=["frame_height_px", "frame_width_px"])
    assert report_record(image, labels, bare)["size_distribution"]["frames_px"] == [[60, 110]], "that of the labels"
    without = size_distribution(table, frame_px=None)
    record = report_record(image, labels, table, without)["size_distribution"]
    assert (record["corrected_for_frame"], record["frames_px"]) == (False, [])
    assert any("nothing corrects" in word for word in texts(report_figure(image, labels, table, without)))


def test_proposals_left_out_are_a_pale_histogram_and_stand_in_the_record(image, labels, tmp_path):
    table = measure_particles(labels, image)
    left_out = [2.0, 2.5, 3.0, 12.0]
    save_report(tmp_path / "a", image, labels, table, left_out=left_out)
    said = json.loads((tmp_path / "a.json").read_text())["proposals_left_out"]
    assert said == {"number": 4, "d10": pytest.approx(2.15), "d50": 2.75, "d90": pytest.approx(9.3)}
    assert report_record(image, labels, table)["proposals_left_out"] == {"number": 0}
    figure = report_figure(image, labels, table, left_out=left_out)
    assert "4 proposals left out" in texts(figure)
    _, pale = (patch for patch in figure.axes[1].patches if isinstance(patch, mpl.patches.StepPatch))
    assert pale.get_alpha() < 0.5
    assert (pale.get_data().values - pale.get_data().baseline).sum() == 4


def test_a_large_proposal_left_out_does_not_squeeze_what_is_counted_into_one_bar(image, labels):
    table = measure_particles(labels, image)

    def counted(left_out):
        figure = report_figure(image, labels, table, left_out=left_out)
        bars = next(patch for patch in figure.axes[1].patches if isinstance(patch, mpl.patches.StepPatch)).get_data()
        return np.diff(bars.edges)[0], bars.edges[-1], np.count_nonzero(bars.values)

    (narrow, _, bars), (width, last, still) = counted([]), counted([200.0])
    assert width == pytest.approx(narrow, rel=0.1)
    assert last == pytest.approx(200)
    assert still >= bars - 1 > 0


def test_long_pixels_are_drawn_in_their_true_proportions_with_a_true_bar(labels):
    image = micrograph(np.random.default_rng(0).normal(size=labels.shape), (0.5, 2.0))
    figure = report_figure(image, labels, measure_particles(labels, image))
    axes = figure.axes[0]
    figure.canvas.draw()
    box = axes.get_window_extent()
    assert box.height / box.width == pytest.approx(60 * 0.5 / (110 * 2.0), rel=0.01)
    (bar,) = axes.findobj(ScaleBar)
    assert (bar.dx, bar.rotation) == (2.0, "horizontal-only"), "along x, where a pixel is 2 nm"


def test_labels_of_another_micrograph_are_refused(image, labels, tmp_path):
    table = measure_particles(labels, image)
    for make in (report_figure, report_record):
        with pytest.raises(temlib.MicrographError, match="pass those of one micrograph"):
            make(image, labels[:-1], table)
    with pytest.raises(temlib.MicrographError, match="pass those of one micrograph"):
        save_report(tmp_path / "a", image, labels[:-1], table)
    assert not list(tmp_path.iterdir())


def test_a_contact_sheet_has_a_row_for_each_group_that_is_there(image, labels):
    table = measure_particles(labels, image)
    groups = shape_groups(table)
    figure = contact_sheet(image, labels, groups, table, columns=3)
    kinds = [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]
    assert kinds == [f"{kind}\n{n}" for kind, n in groups.value_counts(sort=False).items() if n]
    assert sum(bool(ax.images) for ax in figure.axes) == sum(min(n, 3) for n in groups.value_counts())
