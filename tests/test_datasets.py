import hashlib
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from temlib import datasets, pixel_size_of
from temlib.datasets.multislice.atoms import Nanocrystal, bin_mean, film_atoms, footprint, label_particles
from temlib.datasets.multislice.design import FIELD_PX, STEP_NM, draw
from temlib.datasets.multislice.render import MARGIN_PX, mtf, record, render
from temlib.datasets.register_emps import make_emps
from temlib.errors import DatasetError
from temlib.particles.scores import iou
from temlib.pixel_classifier import otsu_mask
from tests.conftest import ROOT

SIMULATED = ROOT / "temlib" / "data" / "simulated"


def test_no_article_of_emps_is_in_two_splits():
    table = datasets.table("emps")
    assert table.groupby("group")["split"].nunique().max() == 1
    assert table["split"].value_counts().to_dict() == {"train": 140, "validation": 36, "test": 11}
    assert table["name"].is_unique


def test_the_committed_split_is_the_seeded_one():
    table = datasets.table("emps")
    assert list(table["split"]) == datasets.assign_splits(table["group"], {"test": 11, "validation": 36}, seed=2023)


def test_the_committed_registry_is_that_of_the_files(emps):
    made = make_emps(emps)
    assert made.equals(datasets._registry("emps"))


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60), st.integers(0, 20), st.integers(0, 99))
def test_splits_keep_groups_whole_and_never_overflow(groups, size, seed):
    splits = datasets.assign_splits(groups, {"test": size}, seed)
    assert len({(g, s) for g, s in zip(groups, splits)}) == len(set(groups))
    assert splits.count("test") <= size


def test_emps_is_read_from_the_folder_without_a_network(emps, offline):
    names = list(datasets.table("emps").query("split == 'validation'")["name"][:3])
    micrographs = datasets.load("emps", names)
    assert [m.name for m in micrographs] == names
    for m in micrographs:
        assert m.image.data.shape == m.labels.data.shape == m.mask.shape
        assert m.image.data.dtype == np.uint8
        assert pixel_size_of(m.image) is None
        assert m.labels.data.max() > 0


def test_a_changed_file_is_refused(emps, tmp_path, monkeypatch):
    name = datasets.table("emps")["name"][0]
    for folder in ("images", "segmaps"):
        (tmp_path / "emps" / folder).mkdir(parents=True)
        shutil.copy(emps / folder / f"{name}.png", tmp_path / "emps" / folder)
    monkeypatch.setenv("TEMLIB_DATA", str(tmp_path))
    datasets.load("emps", [name])
    path = tmp_path / "emps" / "images" / f"{name}.png"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(DatasetError, match="sha256"):
        datasets.load("emps", [name])


def test_without_network_and_folder_the_message_names_the_ways_out(offline, monkeypatch, tmp_path):
    import pooch

    monkeypatch.delenv("TEMLIB_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    with pytest.raises(DatasetError, match="connect to the network, or set TEMLIB_DATA") as caught:
        datasets.load("emps", [datasets.table("emps")["name"][0]])
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("TEMLIB_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match="missing"):
        datasets.load("emps", [datasets.table("emps")["name"][0]])


def test_downloads_are_checked_against_their_sha256(monkeypatch, tmp_path):
    import pooch

    monkeypatch.delenv("TEMLIB_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    asked = {}

    def retrieve(url, known_hash, **_):
        asked.update(url=url, known_hash=known_hash)
        raise ValueError("hash of downloaded file does not match")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    row = datasets._registry("emps").iloc[0]
    with pytest.raises(DatasetError):
        datasets.load("emps", [row["name"]])
    assert asked["known_hash"] == f"sha256:{row['image_sha256']}"
    assert "dd8f86d714894fd08f3db80041893982ce058dd6" in asked["url"]


def test_simulated_has_three_splits_of_micrographs_that_stand_alone():
    table = datasets.table("simulated")
    assert table["split"].value_counts().to_dict() == {"train": 24, "validation": 9, "test": 11}
    assert list(table["name"]) == list(table["group"]) == [f"simulated_{index:04d}" for index in range(44)]


def test_simulated_files_are_those_of_the_registry_and_small():
    rows = datasets._registry("simulated")
    for part, column in (("images", "image_sha256"), ("labels", "labels_sha256")):
        sums = [hashlib.sha256((SIMULATED / part / f"{name}.hspy").read_bytes()).hexdigest() for name in rows["name"]]
        assert sums == list(rows[column])
    files = list(SIMULATED.rglob("*.*"))
    assert len(files) == 88
    assert sum(file.stat().st_size for file in files) < 10e6


def test_simulated_files_say_how_they_were_made():
    import hyperspy.api as hs

    rows = datasets._registry("simulated").set_index("name")
    for name, row in rows.iterrows():
        image, labels = (hs.load(SIMULATED / part / f"{name}.hspy") for part in ("images", "labels"))
        assert image.data.dtype == labels.data.dtype == np.uint16
        assert image.metadata.General.title == name
        known = image.metadata.Simulation
        assert known.licence == "CC0-1.0"
        assert known.software.startswith("abTEM 1.")
        assert list(known.seed) == [2023, rows.index.get_loc(name)]
        assert known.material == row["material"]
        for key in ("voltage_kv", "defocus_nm", "aperture_mrad", "dose_per_nm2", "film_thickness_nm", "pixel_size_nm"):
            assert float(row[key]) == pytest.approx(known[key], rel=1e-4)
        assert np.isfinite(known.cs_mm)
        assert float(row["median_diameter_nm"]) == pytest.approx(np.median(known.diameters_nm), rel=1e-3)


def test_simulated_is_calibrated_labelled_and_hard_for_a_threshold(offline, monkeypatch):
    monkeypatch.delenv("TEMLIB_DATA", raising=False)
    rows = datasets._registry("simulated").set_index("name")
    scores = []
    for m in datasets.load("simulated", list(rows.index)):
        row = rows.loc[m.name]
        assert pixel_size_of(m.image) == pixel_size_of(m.labels) == (float(row["pixel_size_nm"]),) * 2
        assert m.image.data.shape == m.labels.data.shape == (512, 512)
        assert m.labels.data.dtype == np.int32
        assert list(np.unique(m.labels.data)) == list(range(int(row["n_particles"]) + 1))
        assert 0.01 < m.mask.mean() < 0.6
        scores.append(iou(otsu_mask(m.image.data), m.mask))
    assert np.mean(scores) < 0.7  # measured: mean 0.405, median 0.385, from 0.14 to 0.73


def test_simulated_needs_no_generator(monkeypatch):
    monkeypatch.setitem(sys.modules, "temlib.synthetic", None)
    names = ["simulated_0003", "simulated_0001"]
    assert [m.name for m in datasets.load("simulated", names)] == names


def test_the_draw_of_a_micrograph_depends_on_its_index_alone():
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)
    assert draw(7).pixel_size_nm == pytest.approx(draw(7).binning * STEP_NM)


def test_the_footprint_of_a_sphere_of_atoms_is_its_circle():
    radius, spacing = 2.0, 0.12
    axis = np.arange(-radius, radius + spacing, spacing)
    atoms = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    atoms = atoms[np.linalg.norm(atoms, axis=1) <= radius]
    disc = spacing * (3 / (4 * np.pi)) ** (1 / 3)
    mask, corner, diameter = footprint(atoms[:, :2] + 5, disc, binning=4)
    assert diameter == pytest.approx(2 * (radius + disc), rel=0.05)
    assert mask.sum() * 0.08**2 == pytest.approx(np.pi * (radius + disc) ** 2, rel=0.1)
    assert np.allclose((np.argwhere(mask).mean(0) + 0.5 + corner) * 0.08, 5, atol=0.05)
    assert ndimage.binary_fill_holes(mask).sum() == mask.sum()


def test_the_upper_particle_hides_the_lower_one_and_the_edge_cuts():
    pixel, box = 0.08, FIELD_PX * 0.08 + 6
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(40000, 3))
    ball *= np.cbrt(rng.random((40000, 1))) / np.linalg.norm(ball, axis=1, keepdims=True)
    # the lower one, the upper one, one outside of the field, one at its edge; the field starts at 3 nm
    centres = [np.array(xyz) for xyz in ((10, 10, 0), (11, 10, -3), (1.5, 20, 0), (3, 30, 0))]
    particles = [Nanocrystal(np.full(len(ball), 79), ball + centre, 1.0, centre, -1, 1) for centre in centres]
    labels, diameters = label_particles(particles, 0.1, 4, box)
    assert sorted(np.unique(labels)) == [0, 1, 2, 3]
    assert diameters == pytest.approx([2.2] * 3, rel=0.05)
    lower, upper, edge = (labels[round(y / pixel), round(x / pixel)] for y, x in ((6.3, 7), (8, 7), (0, 27)))
    area = np.bincount(labels.ravel()) * pixel**2 / (np.pi * 1.1**2)
    assert area[upper] == pytest.approx(1, rel=0.05)
    assert area[lower] < 0.7
    assert area[edge] == pytest.approx(0.5, rel=0.1)


def test_binning_conserves_what_was_counted():
    counts = np.random.default_rng(0).poisson(5, (24, 36))
    assert bin_mean(counts, 4).shape == (6, 9)
    assert bin_mean(counts, 4).sum() * 16 == pytest.approx(counts.sum())


def test_the_camera_transfers_all_at_zero_and_what_was_asked_at_nyquist():
    transfer = mtf((64, 64), 0.3)
    assert transfer[0, 0] == 1
    assert transfer[32, 0] == pytest.approx(0.3)
    assert transfer[0, 32] == pytest.approx(0.3)


def test_the_camera_is_linear_in_dose_and_steps_by_half_the_noise():
    e = replace(draw(0), illumination_gradient=0, dose_per_nm2=5000, mtf_nyquist=0.9999, readout_electrons=0)
    shape = (FIELD_PX + 2 * MARGIN_PX,) * 2
    counts = record(e, np.ones(shape), np.random.default_rng(0)).astype(float)
    assert counts.shape == (FIELD_PX, FIELD_PX)
    low, high = np.percentile(counts, [16, 84])
    assert (high - low) / 2 == pytest.approx(2.2, abs=0.6)


def test_the_film_has_the_density_of_amorphous_carbon():
    surfaces = np.stack([np.zeros((40, 40)), np.full((40, 40), 5.0)])
    atoms = film_atoms(surfaces, 40 * 0.2154, np.random.default_rng(0))
    density = len(atoms) / ((40 * 0.2154) ** 2 * 5.0) / 1e-21 * 12.011 / 6.022e23  # g/cm^3
    assert density == pytest.approx(2.0, rel=0.05)


@pytest.mark.slow
def test_a_micrograph_rendered_again_is_the_committed_one(tmp_path):
    pytest.importorskip("abtem", reason="needs abtem and ase: pip install -c constraints.txt '.[render]'")
    name = "simulated_0018"
    counts, labels, _ = render(int(name[-4:]))
    committed = datasets.load("simulated", [name])[0]
    assert np.array_equal(labels, committed.labels.data)
    smooth, expected = (ndimage.gaussian_filter(data.astype(float), 2) for data in (counts, committed.image.data))
    assert np.corrcoef(smooth.ravel(), expected.ravel())[0, 1] > 0.95  # rounding may change single electrons


def test_unknown_names_are_refused():
    with pytest.raises(DatasetError, match="choose from emps, simulated"):
        datasets.table("cifar")
    with pytest.raises(DatasetError, match="no micrograph 'x'"):
        datasets.load("simulated", ["x"])


def test_no_test_micrograph_took_part_in_improving_the_generator():
    import pandas as pd

    from temlib.reproduction.run_folder import MEASURED

    scored = set(pd.read_csv(MEASURED / "synthetic_transfer.csv", dtype={"name": str})["name"])
    test = {n for data in ("emps", "simulated") for n in datasets.table(data).query("split == 'test'")["name"]}
    assert scored
    assert not scored & test


def test_splits_are_loaded_whole_and_in_the_order_of_the_table():
    known = datasets.table("simulated")
    chosen = [m.name for m in datasets.of_split("simulated", "validation", "test")]
    assert chosen == list(known["name"][known["split"] != "train"])
    assert len(datasets.of_split("simulated")) == len(known)
