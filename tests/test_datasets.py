import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from temlib import datasets, pixel_size_of
from temlib.errors import DatasetError
from temlib.registry.make_emps import make_emps


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

    def retrieve(url, known_hash, fname, path):
        asked.update(url=url, known_hash=known_hash)
        raise ValueError("hash of downloaded file does not match")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    row = datasets._registry("emps").iloc[0]
    with pytest.raises(DatasetError):
        datasets.load("emps", [row["name"]])
    assert asked["known_hash"] == f"sha256:{row['image_sha256']}"
    assert "dd8f86d714894fd08f3db80041893982ce058dd6" in asked["url"]


def test_simulated_needs_nothing_from_outside_and_is_always_the_same(offline, monkeypatch):
    monkeypatch.delenv("TEMLIB_DATA", raising=False)
    table = datasets.table("simulated")
    assert table["split"].value_counts().to_dict() == {"train": 24, "validation": 5, "test": 11}
    first, again = (
        datasets.load("simulated", ["stand_in_0003", "stand_in_0001"]),
        datasets.load("simulated", ["stand_in_0003"]),
    )
    assert [m.name for m in first] == ["stand_in_0003", "stand_in_0001"]
    assert np.array_equal(first[0].image.data, again[0].image.data)
    assert pixel_size_of(first[0].image) == (0.5, 0.5)
    assert first[0].mask.mean() < 0.3


def test_simulated_is_equal_on_every_machine_within_rounding():
    m = datasets.load("simulated", ["stand_in_0000"])[0]
    assert m.labels.data.max() == 93
    assert m.mask.mean() == pytest.approx(0.15307, abs=1e-4)
    assert m.image.data.mean() == pytest.approx(37.477, rel=1e-3)


def test_unknown_names_are_refused():
    with pytest.raises(DatasetError, match="choose from emps, simulated"):
        datasets.table("cifar")
    with pytest.raises(DatasetError, match="no micrograph 'x'"):
        datasets.load("simulated", ["x"])
