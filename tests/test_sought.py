"""The user says what is looked for: a size, dark or bright."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import temlib
from temlib import cli, synthetic
from temlib.errors import RunError
from temlib.files.micrographs import micrograph, save_micrograph
from temlib.jobs import batch
from temlib.network.sought import Sought
from temlib.network.workers import segmenter_fingerprint
from temlib.particles.scores import iou
from tests.conftest import ROOT, disc
from tests.test_batch import Threshold

SMALL, LARGE = (30, 30), (70, 90)


def labels_of_three():
    labels = np.zeros((120, 160), np.int32)
    for number, (centre, radius) in enumerate([((20, 20), 4), ((60, 60), 15), ((60, 120), 30)], start=1):
        labels[disc(labels.shape, centre, radius)] = number
    return labels


@pytest.mark.parametrize(
    ("told", "kept"),
    [({}, {1, 2, 3}), ({"diameter_px": 8}, {1}), ({"diameter_px": 30}, {2, 3}), ({"diameter_px": (8, 25)}, {1, 2})],
)
def test_what_is_far_in_size_is_no_particle(told, kept):
    labels = labels_of_three()
    found = Sought(**told).keep(labels)
    assert set(np.unique(labels[found > 0])) == kept
    assert set(np.unique(found)) == set(range(len(kept) + 1)), "numbered without a gap"


def test_a_particle_that_nearly_fills_the_frame_is_found_with_its_size_told(segmenter):
    truth = disc((512, 512), (250, 262), 165)
    noise = np.random.default_rng(3).normal(0, 8, truth.shape)
    image = micrograph((150 - 60 * truth + noise).astype(np.float32))
    told = segmenter.looking_for(diameter_px=330)
    assert told.scales_for(image) == segmenter.scales_for(image)[:1]
    assert iou(told(image), truth) > 0.9


def test_the_scale_follows_the_size():
    near, far = (Sought(diameter_px=d).scales(64)[0] for d in (40, 20))
    assert far == pytest.approx(2 * near)
    assert Sought(diameter_px=400).scales(64, coarsest=0.3) == [0.3], "a picture too small shows nothing around it"
    assert Sought(diameter_px=1).scales(64) == [4.0], "no further enlarged"
    several = Sought(diameter_px=(20, 160)).scales(64)
    assert len(several) == 4
    assert np.diff(np.log2(several)) == pytest.approx(1)


def test_nm_become_pixels_of_the_image():
    image = micrograph(np.zeros((8, 8)), 0.5)
    assert Sought(diameter_nm=4).on(image) == Sought(diameter_px=8)
    assert Sought(diameter_nm=(2, 10)).on(image) == Sought(diameter_px=(4, 20))
    with pytest.raises(ValueError, match="diameter_nm=2 to 10, but the pixel size is unknown; pass it, or diameter_px"):
        Sought(diameter_nm=(2, 10)).on(np.zeros((8, 8)))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"diameter_nm": 0}, "diameter_nm=0 must be a positive number"),
        ({"diameter_px": (5, 2)}, r"diameter_px=\(5, 2\) must be"),
        ({"diameter_px": float("nan")}, "diameter_px=nan"),
        ({"diameter_px": "large"}, "diameter_px='large'"),
        ({"diameter_px": (1, 2, 3)}, "least and the greatest"),
        ({"diameter_px": 3, "diameter_nm": 3}, "pass one of them"),
        ({"contrast": "grey"}, "contrast='grey' is none of dark, bright, auto"),
    ],
)
def test_nonsense_is_refused_in_one_line(told, message):
    with pytest.raises(ValueError, match=message) as caught:
        Sought(**told)
    assert "\n" not in str(caught.value)


@settings(max_examples=50)
@given(st.floats(0.5, 1e4), st.floats(1, 100))
def test_scales_of_a_range_cover_it_and_are_at_most_twice_apart(least, ratio):
    scales = Sought(diameter_px=(least, least * ratio)).scales(64)
    assert all(0 < scale <= 4 for scale in scales)
    assert np.all(np.diff(np.log2(scales)) < 1.6)


@pytest.fixture(scope="module")
def segmenter():
    return temlib.load_segmenter()


@pytest.fixture(scope="module")
def made():
    scene = synthetic.Scene(size_px=256, n_particles=8, diameters_nm=(6.0, 30.0), overlap=0, dose=4000)
    return synthetic.simulate(scene, 3)


def test_a_segmenter_finds_the_size_that_it_is_told(segmenter, made):
    for told in ({"diameter_nm": 30}, {"diameter_px": 60}):
        found = segmenter.particles(made.image, **told).data
        sizes = 2 * np.sqrt(np.bincount(found.ravel())[1:] / np.pi)
        assert len(sizes)
        assert (sizes > 60 / 2.5).all()
        np.testing.assert_array_equal(segmenter(made.image, **told).data, found > 0)


def test_told_once_or_with_each_call_is_the_same(segmenter, made):
    told = segmenter.looking_for(diameter_px=60, contrast="bright")
    assert told.sought == Sought(diameter_px=60, contrast="bright")
    assert told.looking_for(contrast="dark").sought == Sought(diameter_px=60)
    assert segmenter.sought == Sought(), "the first is not changed"
    with_call = segmenter.probability(made.image, diameter_px=60, contrast="bright").data
    np.testing.assert_array_equal(told.probability(made.image).data, with_call)


def test_bright_particles_are_the_inverted_picture_s_dark_ones(segmenter, made):
    negative = 60000 - made.counts.astype(np.float64)
    dark = segmenter.probability(made.counts, scale=0.8)
    np.testing.assert_allclose(segmenter.probability(negative, scale=0.8, contrast="bright"), dark, atol=2e-3)


def test_auto_takes_the_contrast_that_is_less_doubted(segmenter, made):
    dark, bright, auto = (segmenter.probability(made.image, contrast=c).data for c in ("dark", "bright", "auto"))
    assert np.array_equal(auto, dark) or np.array_equal(auto, bright)


def negative_of(made):
    return micrograph(60000 - made.counts.astype(np.float64), 0.5)


@pytest.mark.filterwarnings("ignore:.*expect an IoU")
@pytest.mark.parametrize("told", [{}, {"diameter_px": 60}])
def test_a_segmenter_says_which_contrast_it_took(segmenter, made, told, monkeypatch):
    monkeypatch.setattr("temlib.network.segmenter._IN_DOUBT", 0.0)  # both are looked at
    negative = negative_of(made)
    for image, contrast in ((made.image, "dark"), (negative, "bright")):
        found, _ = segmenter.find(image, contrast="auto", **told)
        assert found.contrast == contrast
        of_it = segmenter.find(image, contrast=contrast, **told)[0]
        np.testing.assert_array_equal(found.labels, of_it.labels)
        assert segmenter.find(image, contrast="bright", **told)[0].contrast == "bright"
    assert segmenter.find(negative, **told)[0].contrast == "dark", "that is what it was told"


def test_a_lazy_stack_is_told_too(segmenter, made):
    stack = micrograph(made.counts, 0.5)
    frames = type(stack)(np.stack([made.counts] * 2))
    for axis in frames.axes_manager.signal_axes:
        axis.scale, axis.units = 0.5, "nm"
    here = segmenter.particles(frames, diameter_nm=30).data
    lazy = segmenter.particles(frames.as_lazy(), diameter_nm=30).data.compute()
    np.testing.assert_array_equal(lazy, here)
    np.testing.assert_array_equal(here[0], here[1])


def test_what_is_told_is_part_of_a_segmenter_s_fingerprint(segmenter):
    told = [segmenter, segmenter.looking_for(diameter_px=4), segmenter.looking_for(contrast="auto")]
    assert len({segmenter_fingerprint(each) for each in told}) == 3


@pytest.fixture
def folder(tmp_path):
    image = np.ones((100, 150), np.float32)
    image[disc(image.shape, SMALL, 5)] = 0
    image[disc(image.shape, LARGE, 20)] = 0
    save_micrograph(micrograph(image, 0.5), tmp_path / "in" / "a.tif")
    return tmp_path


def test_a_batch_keeps_the_size_that_is_told_and_says_so(folder):
    files, out = batch.files_in([folder / "in"]), folder / "out"
    done = batch.segment_files(files, out, Threshold(), diameter_nm=20, progress=False)
    assert list(done.micrographs["particles"]) == [1]
    record = json.loads((out / "settings.json").read_text())
    assert (record["diameter_nm"], record["diameter_px"], record["contrast"]) == (20, None, "dark")
    with pytest.raises(RunError, match="other settings"):
        batch.segment_files(files, out, Threshold(), diameter_nm=5, progress=False)
    with pytest.raises(RunError, match="other settings"):
        batch.segment_files(files, out, Threshold(), diameter_nm=20, contrast="bright", progress=False)
    assert batch.segment_files(files, out, Threshold(), diameter_nm=20, progress=False).skipped == 1


@pytest.mark.filterwarnings("ignore:.*expect an IoU")
def test_a_batch_says_which_contrast_it_took_of_each_micrograph(segmenter, made, tmp_path, monkeypatch):
    monkeypatch.setattr("temlib.network.segmenter._IN_DOUBT", 0.0)
    save_micrograph(made.image, tmp_path / "in" / "dark.tif")
    save_micrograph(negative_of(made), tmp_path / "in" / "negative.tif")
    files, out = batch.files_in([tmp_path / "in"]), tmp_path / "out"
    done = batch.segment_files(files, out, segmenter, contrast="auto", progress=False)
    assert list(done.micrographs["contrast"]) == ["dark", "bright"]
    for name, contrast in (("dark", "dark"), ("negative", "bright")):
        record = json.loads((out / f"{name}_report.json").read_text())
        assert (record["contrast"], record["sought"]["contrast"]) == (contrast, "auto")


@pytest.mark.parametrize(("told", "known"), [("dark", "dark"), ("bright", "bright"), ("auto", "")])
def test_a_folder_of_before_contrasts_were_kept_is_gone_on_with(folder, told, known):
    files, out = batch.files_in([folder / "in"]), folder / "out"
    first = batch.segment_files(files, out, Threshold(), contrast=told, progress=False)
    table = out / "micrographs.csv"
    before = pd.read_csv(table, keep_default_na=False)
    before.drop(columns="contrast").to_csv(table, index=False)
    save_micrograph(micrograph(np.eye(64), 0.5), folder / "in" / "b.tif")
    done = batch.segment_files(batch.files_in([folder / "in"]), out, Threshold(), contrast=told, progress=False)
    assert done.skipped == 1
    assert list(done.micrographs["contrast"]) == [known, known]
    assert list(done.micrographs) == list(first.micrographs) == list(before)


@pytest.mark.parametrize(
    ("text", "told"),
    [("4nm", {"diameter_nm": 4}), ("30 px", {"diameter_px": 30}), ("2-10nm", {"diameter_nm": (2, 10)})],
)
def test_the_command_line_reads_sizes(text, told):
    options = cli._parser().parse_args(["segment", "a.tif", "--out", "out", "--diameter", text, "--contrast", "auto"])
    given = cli._of_both(options)
    sought = {
        name: value for name, value in given.items() if name.startswith("diameter") or name in ("contrast", "marks")
    }
    assert sought == {**told, "contrast": "auto", "marks": None}


def test_the_readme_and_the_api_show_how_to_say_it():
    readme, api = ((ROOT / name).read_text() for name in ("README.md", "docs/api.md"))
    (told,) = re.findall(r"--diameter \S+ --contrast \w+", readme)
    options = cli._parser().parse_args(["segment", "in", "--out", "out", *told.split()])
    assert (options.diameter, options.contrast) == ({"diameter_nm": 4}, "bright")
    assert 'diameter_nm=4, contrast="bright"' in readme
    assert ".. automodule:: temlib.network.sought" in api


@pytest.mark.parametrize("text", ["4", "nm", "-4nm", "10-2nm", "4um", "0px", "1.2.3px"])
def test_the_command_line_refuses_what_is_no_size(text, capsys):
    with pytest.raises(SystemExit):
        cli._parser().parse_args(["segment", "a.tif", "--out", "out", f"--diameter={text}"])
    assert "is no size; give one as 4nm, 30px or 2-10nm" in capsys.readouterr().err
