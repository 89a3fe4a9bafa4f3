import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import temlib
from temlib import cli, datasets
from temlib.files.micrographs import micrograph
from temlib.reproduction import run_folder


@pytest.fixture
def run(tmp_path):
    return temlib.Run("simulated", "random", root=tmp_path)


def test_names_tell_data_encoder_and_unusual_seeds(tmp_path):
    assert temlib.Run().name == "simulated-bundled"
    assert temlib.Run(encoder="random").name == "simulated-random"
    assert temlib.Run("emps", "imagenet").name == "emps-imagenet"
    assert temlib.Run("emps", "imagenet", seed=7).name == "emps-imagenet-seed7"
    assert temlib.Run("simulated", str(tmp_path / "net.weights.h5")).name == "simulated-net"
    assert temlib.Run("simulated", str(tmp_path / "mobilenet_0.5_224.weights.h5")).name == "simulated-mobilenet_0.5_224"


def test_what_stands_for_the_experiment_is_called_by_its_name():
    assert temlib.Run("simulated").kind == "simulated"
    assert temlib.Run("emps").kind == "experimental"


def test_every_caption_names_the_encoder():
    assert "weights from synthetic micrographs, frozen" in temlib.Run().caption
    assert "random weights, frozen" in temlib.Run(encoder="random").caption
    assert "ImageNet weights, frozen" in temlib.Run(encoder="imagenet").caption
    assert "weights net.weights.h5, frozen" in temlib.Run(encoder="folder/net.weights.h5").caption


def test_missing_steps_name_the_notebook_to_run(run):
    with pytest.raises(temlib.TemlibError, match="run notebook 03_machine_learning_labels"):
        run.read_images(["a"], "ml_labels", notebook=3)


def test_images_and_tables_come_back_and_stale_ones_are_gone(run):
    run.save_images({"old": micrograph(np.zeros((3, 3)))}, "ml_labels")
    run.save_images({"a": micrograph(np.eye(3, dtype=bool), 0.5)}, "ml_labels")
    assert run.names("ml_labels", notebook=3) == ["a"]
    (image,) = run.read_images(["a"], "ml_labels", notebook=3)
    assert np.array_equal(image.data, np.eye(3))
    table = pd.DataFrame({"name": ["007", "1e5"], "split": ["train", "test"]})
    run.save_table(table, "micrographs.csv")
    assert run.read_table("micrographs.csv", notebook=1).equals(table)


def test_provenance_holds_what_the_figures_were_made_from(run):
    run.save_table(datasets.table("simulated").iloc[[0, 25, 39]], "micrographs.csv")
    run.record(epochs=3)
    run.record(views=2)
    run.save_provenance()
    record = json.loads((run.figures / "provenance.json").read_text())
    chosen = {"train": ["simulated_0000"], "validation": ["simulated_0025"], "test": ["simulated_0039"]}
    assert record["split"] == chosen
    assert record["parameters"] == {"epochs": 3, "views": 2}
    assert record["seed"] == run_folder.DEFAULT_SEED
    assert record["versions"]["temlib"] == temlib.__version__
    assert record["encoder"] == {"network": "MobileNet v1, frozen", "weights": "random", "sha256": None}


def test_provenance_holds_the_sha256_of_the_weights(imagenet, tmp_path):
    run = temlib.Run("simulated", "imagenet", root=tmp_path)
    run.save_table(datasets.table("simulated").iloc[:1], "micrographs.csv")
    run.record()
    run.save_provenance()
    encoder = json.loads((run.figures / "provenance.json").read_text())["encoder"]
    assert encoder["weights"] == imagenet.name
    assert len(encoder["sha256"]) == 64


def test_runs_are_compared(run):
    scores = pd.DataFrame({"name": ["a", "b"], "ML": [0.5, 0.7], "TL": [0.6, 0.7], "Otsu": [0.1, 0.2]})
    run.save_scores(scores)
    temlib.Run("emps", "imagenet", root=run.root).save_scores(scores)
    table = run.compare()
    assert list(table.index) == ["emps-imagenet", "simulated-random"]
    assert table.loc["simulated-random", "TL mean"] == 0.65
    assert table.loc["simulated-random", "TL > ML"] == "1 of 2"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["figures", "--encoder", "none.h5"], "no such weights file"),
        (["figures", "--parameters", "none.yml"], "cannot be read as yaml"),
        (["figures", "--parameters", "list.yml"], "must map notebooks"),
        (["figures", "--parameters", "typo.yml"], "no notebook is called '04_trian'"),
        (["figures", "--parameters", "epoch.yml"], "05_reproduce_figures.ipynb: has no parameter 'epoch'"),
    ],
)
def test_the_command_line_reports_mistakes_in_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    (tmp_path / "list.yml").write_text("[1, 2]")
    (tmp_path / "typo.yml").write_text("04_trian: {epochs: 2}")
    (tmp_path / "epoch.yml").write_text("05_reproduce_figures: {epoch: 2}")
    monkeypatch.chdir(tmp_path)
    assert cli.main([*arguments, "--root", str(tmp_path)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("temlib: ")
    assert message in error


def test_without_network_and_weights_the_command_stops_at_once(offline, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TEMLIB_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    assert cli.main(["figures", "--encoder", "imagenet", "--root", str(tmp_path / "new")]) == 2
    assert "no ImageNet weights" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_outside_a_clone_the_command_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "site" / "temlib" / "cli.py"))
    assert cli.main(["figures"]) == 2
    assert "in a clone of the temlib repository" in capsys.readouterr().err


def test_a_failing_notebook_is_named_and_kept(monkeypatch, tmp_path, capsys):
    (tmp_path / "epochs.yml").write_text("01_load_micrographs: {n_train: many}")
    assert cli.main(["figures", "--root", str(tmp_path), "--parameters", str(tmp_path / "epochs.yml")]) == 2
    assert "01_load_micrographs.ipynb: TypeError" in capsys.readouterr().err
    assert (tmp_path / "runs" / "simulated-bundled" / "notebooks" / "01_load_micrographs.ipynb").is_file()


RUNS = st.tuples(
    st.sampled_from(sorted(datasets.DATASETS)),
    st.sampled_from(["bundled", "imagenet", "random"]) | st.from_regex(r"[a-z]{1,8}\.weights\.h5", fullmatch=True),
    st.integers(0, 2**32 - 1),
)


@given(RUNS, RUNS)
def test_different_runs_have_different_folders(one, other):
    a, b = temlib.Run(*one), temlib.Run(*other)
    reserved = {"bundled", "imagenet", "random"}
    if any(run.encoder.split(".")[0] in reserved and run.encoder not in reserved for run in (a, b)):
        return  # a file that has the name of what is no file
    assert (a.folder == b.folder) == (a.figures == b.figures) == (one == other)
    assert a.folder.parent == b.folder.parent
    assert f"Seed {a.seed}" in a.caption


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_]{0,7}", fullmatch=True),
        arrays.arrays(
            st.sampled_from([bool, np.uint8, np.float32]), arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)
        ),
        max_size=3,
    ).filter(lambda images: len({name.lower() for name in images}) == len(images)),
    st.lists(
        st.tuples(st.from_regex(r"[A-Za-z0-9]{1,6}", fullmatch=True), st.floats(allow_nan=False)),
        min_size=1,
        max_size=5,
    ),
)
def test_whatever_a_notebook_hands_on_comes_back(tmp_path_factory, images, rows):
    run = temlib.Run(root=tmp_path_factory.mktemp("clone"))
    run.save_images({name: micrograph(image, 0.5) for name, image in images.items()}, "some/images")
    if images:
        assert run.names("some/images", notebook=2) == sorted(images)
        for name, back in zip(images, run.read_images(list(images), "some/images", notebook=2), strict=True):
            assert back.data.dtype == images[name].dtype or images[name].dtype == bool
            np.testing.assert_array_equal(back.data, images[name])
            assert temlib.pixel_size_of(back) == (0.5, 0.5)
    run.save_table(pd.DataFrame(rows, columns=["name", "iou"]), "table.csv")
    table = run.read_table("table.csv", notebook=1)
    assert table["name"].tolist() == [name for name, _ in rows]
    assert table["iou"].tolist() == pytest.approx([value for _, value in rows], rel=1e-12)
