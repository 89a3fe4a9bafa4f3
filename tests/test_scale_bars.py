"""Scale bars: found and measured by shape, read with their labels, or not at all."""

import socket
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import maximum_filter

import temlib
from temlib.errors import MicrographError
from temlib.files.resampling import resize
from temlib.files.scale_bars import marks, scale_bar, scale_labels
from temlib.files.scale_bars.bars import find_bars
from temlib.files.scale_bars.rulers import rulers
from temlib.files.scale_bars.scale_labels import Text, can_read, labels_in, length_of
from temlib.jobs.batch import overlay
from temlib.jobs.movies import segment_movie
from temlib.network import finding
from temlib.particles.measurement import measure_particles
from temlib.particles.scores import iou
from tests.benchmarks.scale_bars import MEASURED, STYLES, drawn, ground, judged, summary
from tests.conftest import ROOT

ocr = pytest.mark.skipif(not can_read(), reason="needs RapidOCR: pip install 'temlib[scalebar]'")


def noisy(height, width, level=120.0, noise=5.0, seed=0):
    return np.random.default_rng(seed).normal(level, noise, (height, width)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(15, 50),
    st.integers(60, 180),
    st.integers(2, 12),
    st.integers(30, 150),
    st.sampled_from([0.0, 255.0]),
)
def test_the_length_of_a_drawn_bar_is_found_to_a_fifth_of_a_pixel(x, y, thick, length, tone):
    image = noisy(240, 260)
    image[y : y + thick, x : x + length] = tone
    best = find_bars(image)[0]
    assert abs(best.x0 - x) < 0.2
    assert abs(best.x1 - (x + length)) < 0.2
    assert abs(best.y0 - y) <= 2
    assert np.sign(best.contrast) == np.sign(tone - 120)


def test_an_end_between_two_pixels_is_found():
    image = np.full((100, 200), 100.0)
    image[50:56, 40:120] = 0
    image[50:56, 120] = 70  # three tenths of a pixel
    assert find_bars(image)[0].length == pytest.approx(80.3, abs=0.15)


def test_an_outline_and_caps_belong_to_a_bar():
    image = noisy(120, 240, 170, 2)
    image[60:72, 30:150] = 0
    image[62:70, 32:148] = 255
    assert find_bars(image)[0].length == pytest.approx(120, abs=0.6)
    image = noisy(120, 240, 60, 2)
    image[60:63, 30:150] = 255
    image[54:69, 30:33] = image[54:69, 147:150] = 255
    assert find_bars(image)[0].length == pytest.approx(120, abs=0.3)


def test_the_paper_that_a_bar_is_drawn_on_is_no_outline():
    image = np.full((120, 240), 190.0, np.float32) + noisy(120, 240, 0)
    image[60:100, 44:186] = 0  # paper, 6 px wider than the bar on either side
    image[66:74, 50:180] = 255
    (bar, *_) = find_bars(image)
    assert (bar.x0, bar.x1) == pytest.approx((50, 180), abs=0.3)


def test_discs_tilted_rods_and_noise_are_no_bars():
    y, x = np.mgrid[:200, :200]
    image = noisy(200, 200)
    image[np.hypot(y - 60, x - 60) < 30] = 20
    image[(np.abs((y - 130) * 0.94 - (x - 130) * 0.34) < 6) & (np.abs((y - 130) * 0.34 + (x - 130) * 0.94) < 40)] = 20
    assert [bar for bar in find_bars(image) if bar.length > 25 and bar.quality > 0.5] == []


def test_a_ruler_goes_from_its_first_mark_to_its_last():
    image = noisy(100, 300, 20, 2)
    for mark in range(11):
        image[40:50, 50 + 20 * mark : 52 + 20 * mark] = 255
    (ruler,) = rulers(image)
    assert ruler.length == pytest.approx(200, abs=0.2)
    image[40:50, 250:252] = 20  # with ten marks it could be one that the frame cuts
    assert rulers(image) == []


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        ("200 nm", 200),
        ("200nm", 200),
        ("200 n m", 200),
        ("1µm", 1000),
        ("0.2 um", 200),
        ("0,5 μm", 500),
        ("0.5pm", 500),
        ("1.00 mm", 1e6),
        ("5 Å", 0.5),
    ],
)
def test_a_label_is_a_number_and_a_unit_of_length(text, nm):
    assert length_of(text) == pytest.approx(nm)


@pytest.mark.parametrize(
    "text", ["nm", "200", "100 kV", "05 µm", "100 pm", "0 nm", "b2", "12:24:05", "200 nmol", "x50.0k"]
)
def test_what_could_mean_something_else_is_no_label(text):
    assert length_of(text) is None


def test_lengths_of_other_things_in_a_data_bar_are_no_labels():
    line = (0.0, 0.0, 300.0, 20.0)
    assert labels_in([Text("WD = 4.5 mm", line, 1.0), Text("HFW 2.98 µm", line, 1.0), Text("200 nm", line, 0.3)]) == []
    (label,) = labels_in([Text("Mag 50 k  200 nm", line, 1.0)])
    assert (label.length_nm, label.box[2]) == (200, 300.0)
    joined = labels_in([Text("20", (0, 0, 30, 20), 1.0), Text("nm", (35, 0, 60, 20), 1.0)])
    assert [label.length_nm for label in joined] == [20]


def test_without_the_extra_one_line_says_how_to_install_it(monkeypatch):
    scale_labels._reader.cache_clear()
    monkeypatch.setattr(scale_labels, "find_spec", lambda name: None)
    with pytest.raises(MicrographError, match=r"pip install 'temlib\[scalebar\]'") as error:
        temlib.read_scale_bar(noisy(200, 200))
    assert "\n" not in str(error.value)


def saying(monkeypatch, *texts):
    """Let texts be read as these; a line again as it was."""
    monkeypatch.setattr(scale_bar, "read_texts", lambda picture: list(texts))
    monkeypatch.setattr(scale_bar, "read_line", lambda picture: (texts[0].says, 1.0))


def with_bars(*bars):
    image = noisy(300, 400)
    for x, y, length in bars:
        image[y : y + 6, x : x + length] = 255
    return image


def test_a_bar_and_its_label_give_the_pixel_size(monkeypatch):
    saying(monkeypatch, Text("200 nm", (40.0, 250.0, 130.0, 275.0), 0.99))
    found = temlib.read_scale_bar(with_bars((30, 280, 100), (250, 40, 70)))
    assert found.pixel_size_nm == pytest.approx(2, rel=0.005)
    assert found.source == "scale bar, 200 nm over 100.0 px, read"
    assert (found.label, found.length_nm) == ("200 nm", 200)


def test_labels_or_panels_that_disagree_are_no_answer(monkeypatch):
    one, two = Text("200 nm", (40.0, 250.0, 130.0, 275.0), 1.0), Text("500 nm", (240.0, 250.0, 330.0, 275.0), 1.0)
    saying(monkeypatch, one, two)
    with pytest.warns(UserWarning, match=r"'200 nm' over 100.* and '500 nm' over 110.* disagree"):
        assert temlib.read_scale_bar(with_bars((30, 280, 100), (240, 280, 110))) is None


def test_a_label_that_reads_differently_the_second_time_is_no_answer(monkeypatch):
    saying(monkeypatch, Text("200 nm", (40.0, 250.0, 130.0, 275.0), 1.0))
    monkeypatch.setattr(scale_bar, "read_line", lambda picture: ("20 nm", 1.0))
    with pytest.warns(UserWarning, match="read twice alike"):
        assert temlib.read_scale_bar(with_bars((30, 280, 100))) is None


def test_half_of_a_bar_that_its_label_interrupts_is_no_bar(monkeypatch):
    halves = with_bars((40, 100, 40), (180, 100, 40))
    for box in ((90.0, 90.0, 170.0, 112.0), (45.0, 90.0, 175.0, 112.0)):  # the second holds the left half, too
        saying(monkeypatch, Text("20 nm", box, 1.0))
        assert temlib.read_scale_bar(halves).length_px == pytest.approx(180, abs=0.3)
    blurred = halves.copy()
    blurred[100:106, 38:52] = np.linspace(120, 255, 14)  # one half is not found, and the other is not taken for all
    saying(monkeypatch, Text("20 nm", (90.0, 90.0, 170.0, 112.0), 1.0))
    found = scale_bar.look_for_scale_bar(blurred)[0]
    assert found is None or found.length_px > 150


def test_a_label_in_millimetres_over_a_short_bar_is_misread(monkeypatch):
    saying(monkeypatch, Text("1 mm", (60.0, 110.0, 100.0, 130.0), 1.0))
    with pytest.warns(UserWarning, match="no scale bar was read"):
        assert temlib.read_scale_bar(with_bars((30, 130, 100))) is None


def test_a_label_without_a_bar_and_a_bar_cut_by_the_frame_are_no_answer(monkeypatch):
    saying(monkeypatch, Text("200 nm", (40.0, 250.0, 130.0, 275.0), 1.0))
    for image in (with_bars(), with_bars((0, 280, 100)), with_bars((20, 280, 380))):
        with pytest.warns(UserWarning, match="no clear bar"):
            assert temlib.read_scale_bar(image) is None


def test_a_label_cut_by_the_left_frame_is_no_answer(monkeypatch):
    saying(monkeypatch, Text("00 nm", (0.0, 250.0, 130.0, 275.0), 1.0), Text("20 nm", (0.0, 250.0, 130.0, 275.0), 1.0))
    image = with_bars((30, 280, 100))
    image[255:270, 0:4] = 255
    with pytest.warns(UserWarning, match="no scale bar was read"):
        assert temlib.read_scale_bar(image) is None


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (31, 400), (40, 40), (2, 3000), (64, 64, 3), (64, 64, 4)])
def test_pictures_of_any_shape_without_a_label_are_no_answer(monkeypatch, shape):
    saying(monkeypatch)
    monkeypatch.setattr(scale_bar, "read_texts", lambda picture: [])
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert temlib.read_scale_bar(rng.integers(0, 255, shape, dtype=np.uint8)) is None
        assert temlib.read_scale_bar(np.zeros(shape)) is None
        assert temlib.read_scale_bar(np.full(shape, np.nan)) is None


def test_what_is_no_picture_is_said():
    with pytest.raises(MicrographError, match="shape"):
        temlib.read_scale_bar(np.zeros((2, 3, 4, 5)))


def drawn_file(folder, style="ImageJ", seed=2):
    image, length_nm, length_px = drawn(style, np.random.default_rng(seed), 512)
    Image.fromarray(image).save(folder / "a.png")
    return folder / "a.png", length_nm / length_px


@ocr
@pytest.mark.parametrize("style", [style for style in STYLES if style != "Hitachi"])
def test_bars_of_the_makers_styles_are_read(style):
    image, length_nm, length_px = drawn(style, np.random.default_rng([7, list(STYLES).index(style)]), 512)
    found = temlib.read_scale_bar(image)
    assert found.length_nm == length_nm
    outline = 2 if style == "Gatan" else 0  # thinner than a pixel here, it may be lost
    assert found.length_px == pytest.approx(length_px, abs=1 + outline)


@ocr
def test_nothing_is_fetched_and_nothing_is_read_where_there_is_no_bar(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    scale_labels._reader.cache_clear()
    assert temlib.read_scale_bar(ground(300, np.random.default_rng(1))) is None


@ocr
def test_load_micrograph_takes_the_pixel_size_from_the_scale_bar_where_asked(tmp_path):
    file, size = drawn_file(tmp_path)
    assert temlib.pixel_size_of(temlib.load_micrograph(file)) is None
    image = temlib.load_micrograph(file, scale_bar=True)
    assert temlib.pixel_size_of(image) == pytest.approx((size, size), rel=0.01)
    assert image.metadata.General.pixel_size_source.startswith("scale bar, ")
    assert temlib.pixel_size_of(temlib.load_micrograph(file, 3.0, scale_bar=True)) == (3.0, 3.0)


def marked(height=300, width=400):
    """A micrograph with discs, a scale bar with letters, and a data bar below."""
    image = noisy(height, width)
    y, x = np.mgrid[:height, :width]
    labels = np.zeros(image.shape, np.int32)
    for number, (cy, cx) in enumerate([(60, 60), (150, 200), (230, 110)], start=1):
        labels[np.hypot(y - cy, x - cx) < 25] = number
    image[labels > 0] = 60
    image[235:243, 90:190] = 255
    image[-40:] = 0
    image[-30:-15, 50:300:20] = 255
    return image, labels


def test_marks_are_found_by_shape_alone(monkeypatch):
    monkeypatch.setattr(marks, "can_read", lambda: False)
    image, labels = marked()
    found = marks.find_marks(image)
    assert found[235:243, 90:190].all()
    assert found[-40:].all()
    assert not found[:200].any()
    assert marks.data_bar(scale_bar.grey_levels(image)) == (0, 260)
    for plain in (noisy(200, 200), np.zeros((200, 200)), noisy(20, 20), np.where(labels > 0, 20.0, 200.0)):
        assert not marks.find_marks(plain).any()


@pytest.mark.parametrize("paper", [0, 255])
def test_the_paper_behind_a_bar_and_its_letters_is_a_mark(monkeypatch, paper):
    monkeypatch.setattr(marks, "can_read", lambda: False)
    image, ink = noisy(300, 400), 255 - paper
    image[190:250, 220:390] = paper
    image[235:243, 240:360] = ink
    for left in (250, 270, 290, 310):  # letters
        image[205:225, left : left + 9] = ink
    paper_of = np.zeros(image.shape, bool)
    paper_of[190:250, 220:390] = True
    found = marks.find_marks(image)
    assert found[paper_of].all()
    assert not found[~maximum_filter(paper_of, 7)].any()

    y, x = np.mgrid[:300, :400]
    disc = np.hypot(y - 200, x - 215) < 10  # cut by the paper, and of its tone
    image[disc & ~paper_of] = paper
    beside = marks.find_marks(image)
    assert beside[paper_of].all()
    assert not beside[disc & ~maximum_filter(paper_of, 7)].any()
    assert measure_particles(marks.without_marks(disc.astype(int), beside), marks=beside)["touches_edge"].all()


def test_an_overexposed_ground_behind_a_bar_is_no_paper(monkeypatch):
    monkeypatch.setattr(marks, "can_read", lambda: False)
    image, labels = marked()
    image = image[:260]
    image[(labels[:260] == 0) & (image > 90)] = 255
    image[235:243, 90:190] = 0
    assert marks.find_marks(image).mean() < 0.02


def test_a_particle_under_a_mark_is_cut_and_one_that_it_hides_is_none(monkeypatch):
    monkeypatch.setattr(marks, "can_read", lambda: False)
    image, labels = marked()
    labels[270:280, 100:110] = 4
    found = marks.find_marks(image)
    kept = marks.without_marks(labels, found)
    assert kept.dtype == labels.dtype
    assert set(np.unique(kept)) == {0, 1, 2, 3}
    assert not kept[found].any()
    table = measure_particles(kept, marks=found)
    assert list(table["touches_edge"]) == [False, False, True]
    assert not measure_particles(labels)["touches_edge"].any()


class Dark(temlib.Segmenter):
    """Takes all that is much darker or brighter than the ground for a particle."""

    def _seen(self, grey, scales, tile):
        for scale in scales:
            size = finding.scaled(grey.shape[1:], scale)
            seen = np.stack([resize(abs(each - np.median(each)), (size[0] // 2, size[1] // 2)) > 0.3 for each in grey])
            yield scale, size, np.stack([seen, seen], axis=-1).astype(np.float32)


def test_marks_are_no_particles_by_whatever_door(tmp_path, monkeypatch):
    monkeypatch.setattr(marks, "can_read", lambda: False)
    image, labels = marked()
    found, segmenter = marks.find_marks(image), Dark(SimpleNamespace(get_weights=list))
    assert (segmenter(image, 1.0, marks="keep") & found).sum() > 0.9 * found.sum()
    for mask in (segmenter(image, 1.0), segmenter.particles(image, 1.0) > 0):
        assert not mask[found].any()
        assert iou(mask, (labels > 0) & ~found) > 0.9
    seen, _ = segmenter.find(image, 1.0)
    np.testing.assert_array_equal(seen.labels, segmenter.particles(image, 1.0))
    np.testing.assert_array_equal(seen.marks, found)
    assert len(seen.confidence) == seen.labels.max() == 3
    assert segmenter.find(image, 1.0, marks="keep")[0].marks is None

    stack = np.stack([image, np.where(found, noisy(*image.shape), image)])  # the first frame's marks are those of all
    stack[1, :20] = 0
    movie = temlib.load_micrograph(_saved(tmp_path / "movie.tif", stack))
    lazy = temlib.load_micrograph(tmp_path / "movie.tif", lazy=True)
    for what in (segmenter, segmenter.particles):
        some = what(movie, 1.0).data
        assert not some[:, found].any()
        assert some[1, 5, 50]
        np.testing.assert_array_equal(what(lazy, 1.0).data.compute(scheduler="synchronous"), some)
    for what, door in (("mask", segmenter), ("particles", segmenter.particles)):
        segment_movie(tmp_path / "movie.tif", tmp_path / f"{what}.zspy", segmenter, what=what, scale=1.0)
        written = temlib.load_micrograph(tmp_path / f"{what}.zspy", lazy=False).data
        np.testing.assert_array_equal(written, door(movie, 1.0).data)
    with pytest.raises(ValueError, match="marks='hide' is none of leave out, keep"):
        segmenter(image, marks="hide")


def _saved(path, stack):
    tifffile.imwrite(path, stack.astype(np.float32))
    return path


def test_marks_are_hatched_in_the_overlay():
    image, labels = marked()
    found = np.zeros(image.shape, bool)
    found[-40:] = True
    hatched = np.asarray(overlay(image, labels, found)) != np.asarray(overlay(image, labels))
    assert hatched[-40:].any()
    assert not hatched[:-40].any()


def test_what_is_said_of_real_scale_bars_is_what_was_measured():
    evidence = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    rows = judged()
    readable = rows[rows["readable"] == "yes"]
    result = summary(readable)
    answered = readable[readable["answered_px"].notna()]
    right = (answered["answered_px"] / answered["length_px"] - 1).abs() <= 0.01
    assert f"{len(answered)} of {len(readable)} ({100 * result['answered']:.0f} %)" in evidence
    assert f"the right label on {int((answered['answered_nm'] == answered['label_nm']).sum())} of them" in evidence
    assert f"within 1 % on {right.sum()} ({100 * right.mean():.0f} %)" in evidence
    assert not rows.loc[rows["readable"] != "yes", "answered_px"].notna().any()
    for name in [*answered.loc[~right, "name"], *readable.loc[readable["answered_px"].isna(), "name"]]:
        assert f"`{name}`" in evidence
    twice = rows[rows["x0_again"].notna()]
    apart = np.abs(np.r_[twice["x0_again"] - twice["true_x0"], twice["x1_again"] - twice["true_x1"]])
    assert len(twice) == 20
    assert apart.max() <= 0.5
    engines = pd.read_csv(MEASURED / "scale_bars_engines.csv")
    read = f"{engines['RapidOCR'].sum()} of the {len(engines)}; Tesseract 5, with the picture enlarged twice, of"
    assert f"{read} {engines['Tesseract'].sum()}" in evidence


def test_what_is_said_of_drawn_bars_is_what_was_measured():
    evidence = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    rows = pd.read_csv(MEASURED / "scale_bars_drawn.csv")
    all_of_them, right = summary(rows), "length_within_1_percent_or_px"
    of_style = {style: summary(some)[right] for style, some in rows.groupby("style")}
    assert f"Of {len(rows):,} drawn bars" in evidence
    assert f"answers {100 * all_of_them['answered']:.0f} %, with the right label on" in evidence
    assert f"on {100 * all_of_them['right_label']:.1f} % and the length" in evidence
    assert f"or a pixel on {100 * all_of_them[right]:.0f} %" in evidence
    assert f"on {100 * of_style.pop('Gatan'):.0f} % in Gatan's" in evidence
    assert f"on {100 * min(of_style.values()):.0f} % or more in seven" in evidence


def test_nothing_is_learned_where_labels_call_a_mark_a_particle():
    from temlib.files.grey_levels import GreyLevels
    from temlib.network.augmentation import IGNORED, Augmentation
    from temlib.network.learning import windows_of

    image, labels = marked()
    labels[235:243, 90:190] = 4  # as the pixel classifier would have it
    plain = Augmentation(marks=0.0)
    targets = []
    for picture in (image, np.where(labels > 0, 60.0, 120.0)):  # with marks, and without any
        windows, truth = windows_of([picture], [labels], [1.0], 6, 256, GreyLevels(), plain, 0)
        assert len(list(windows)) == 6
        targets.append(np.stack(truth).astype(float))
    with_marks, without = targets
    ignored = (with_marks == IGNORED) & (without != IGNORED)
    assert ignored.any()
    assert (without[ignored[..., 0], 0] > 0).all()
    assert np.abs(with_marks[~ignored] - without[~ignored]).max() < 0.01


@ocr
def test_pictures_that_are_no_micrographs_have_no_scale_bar():
    from temlib.network.bundled import pictures

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not [name for name, picture in pictures().items() if temlib.read_scale_bar(picture)]


def test_no_particle_is_lost_where_marks_hide_most_of_the_background():
    labels = np.repeat(np.arange(1, 11), 50).reshape(10, 50).repeat(5, axis=0)
    labels[:10] = 0
    hidden = np.zeros(labels.shape, bool)
    hidden[:8] = True
    np.testing.assert_array_equal(marks.without_marks(labels, hidden), np.maximum(labels - 2, 0))
    whole = np.ones((20, 20), np.int32)
    np.testing.assert_array_equal(marks.without_marks(whole, np.zeros(whole.shape, bool)), whole)
