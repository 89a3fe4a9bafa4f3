"""A folder means what its owner thinks: what is a micrograph in it, and what is whose."""

import os
import signal
import struct
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import temlib
from temlib import cli
from temlib.errors import RunError
from temlib.files.labels.label_files import load_labels
from temlib.files.micrographs import micrograph
from temlib.files.reading import READABLE
from temlib.jobs import batch
from temlib.jobs.inputs import digest_of, files_in, find_inputs, names_of
from temlib.jobs.records import Record, Watched, alone
from temlib.writing import write_text
from tests.conftest import ROOT, disc
from tests.test_batch import Threshold
from tests.test_every_door import FROM_MICROSCOPES, written

SHAPE = (60, 100)
TWO, ONE = [(30, 30), (30, 70)], [(30, 50)]


def picture(centres=TWO):
    """Dark discs on a bright ground, uint8."""
    image = np.full(SHAPE, 200, np.uint8)
    for centre in centres:
        image[disc(SHAPE, centre, 9)] = 40
    return image


class Dark(Threshold):
    """A segmenter that takes for particles what is dark, in 8 bits."""

    def maps(self, image, scale="auto"):
        return super().maps(micrograph(np.asarray(image.data) / 255.0))


@pytest.fixture(autouse=True)
def quick(request, monkeypatch):
    """No network, and pages of reports that take no second to draw."""

    def brief_report(stem, *_, **__):
        for suffix in (".png", ".pdf", ".json"):
            write_text(f"{stem}{suffix}", "a page")

    monkeypatch.setattr("temlib.network.segmenter.load_segmenter", lambda path, runtime: Dark())
    if not request.node.name.startswith("test_names_that"):
        monkeypatch.setattr(batch, "save_report", brief_report)


def write(path, centres=TWO, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, picture(centres), **options)
    return path


def segment(*arguments):
    """The command, in this process."""
    return cli.main(["segment", *map(str, arguments)])


def rows(out):
    return pd.read_csv(out / "micrographs.csv", keep_default_na=False)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_folder_of_micrographs_may_be_that_of_results(tmp_path, capsys):
    write(tmp_path / "m.tif")
    write(tmp_path / "n.tif", ONE)
    assert segment(tmp_path, "--out", tmp_path) == 0
    first = contents(tmp_path)
    for again in ([tmp_path], sorted(tmp_path.glob("[mn]*.tif"))):
        assert segment(*again, "--out", tmp_path) == 0
        said = capsys.readouterr()
        assert "0 segmented, 2 done before, 0 failed" in said.out
        assert "of temlib's results" in said.err
        assert contents(tmp_path) == first
    assert list(rows(tmp_path)["micrograph"]) == ["m", "n"]
    assert len(pd.read_csv(tmp_path / "particles.csv")) == 3


@pytest.mark.parametrize(("folder", "out"), [("a", "a/out"), ("a/b", "a"), ("a", "a/../a"), ("a", "b")])
def test_results_may_lie_in_above_or_beside_the_folder(folder, out, tmp_path):
    write(tmp_path / folder / "m.tif")
    (tmp_path / "a").mkdir(exist_ok=True)
    for _ in range(2):
        assert segment(tmp_path / folder, "--out", tmp_path / out) == 0
        assert list(rows(tmp_path / out)["micrograph"]) == ["m"]
    assert files_in([tmp_path / folder]) == [tmp_path / folder / "m.tif"]
    if (tmp_path / out).resolve() != (tmp_path / folder).resolve():
        with pytest.raises(RunError, match="no files there"):
            files_in([tmp_path / out])


def test_what_the_painter_wrote_is_no_micrograph(tmp_path):
    write(tmp_path / "m.tif")
    painter = temlib.LabelPainter(tmp_path, tmp_path)
    painter.paint("particle", [[30, 30]])
    painter.accept()
    assert files_in([tmp_path]) == [tmp_path / "m.tif"]


def test_kinds_that_hold_no_micrograph_are_left_alone_and_counted(tmp_path, capsys):
    write(tmp_path / "in" / "m.tif")
    for name in ("a.txt", "b.txt", "c.csv", "d.pdf", "Thumbs.db", "m.xml", "README", ".hidden.tif"):
        (tmp_path / "in" / name).write_text("no micrograph")
    (tmp_path / "in" / "folder.tif").mkdir()
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "left alone" in line]
    for kind in ("2 of kind .txt", "1 of kind .csv", "1 of kind .pdf", "1 of kind .db", "1 without a kind"):
        assert kind in line
    assert segment(tmp_path / "in" / "a.txt", "--out", tmp_path / "out") == 1
    assert "a.txt: files of type '.txt' are not read" in capsys.readouterr().err


def test_folders_in_a_folder_are_said_to_be_left_out(tmp_path):
    write(tmp_path / "m.tif")
    assert find_inputs([tmp_path]).notes == []
    for name in ("a", "b", ".hidden", "movie.zspy"):
        (tmp_path / name).mkdir()
    assert segment(tmp_path / "m.tif", "--out", tmp_path / "aa_results") == 0
    (note,) = [note for note in find_inputs([tmp_path]).notes if "not looked into" in note]
    assert note.startswith(f"{tmp_path}: folders in it are not looked into (a/ and 1 more);")


@pytest.mark.parametrize("change", [lambda grey: grey, lambda grey: grey // 2 + 20, lambda grey: 255 - grey])
def test_an_exported_picture_and_its_micrograph_are_one(change, tmp_path, capsys):
    temlib.save_micrograph(micrograph(picture(), 0.5), tmp_path / "in" / "a.hspy")
    write(tmp_path / "in" / "b.tif", ONE)
    tifffile.imwrite(tmp_path / "in" / "a.tif", change(picture()))
    Image.fromarray(change(picture())[::2, ::2]).save(tmp_path / "in" / "a.png")
    inputs = find_inputs([tmp_path / "in"])
    assert [file.name for file in inputs.files] == ["a.hspy", "b.tif"]
    assert len(inputs.notes) == 2
    assert all("shows the same as a.hspy, which is taken" in note for note in inputs.notes)
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert list(rows(tmp_path / "out")["micrograph"]) == ["a", "b"]
    assert "a.png: shows the same as a.hspy" in capsys.readouterr().err


def test_of_two_files_of_one_picture_that_with_a_pixel_size_is_taken(tmp_path):
    temlib.save_micrograph(micrograph(picture()), tmp_path / "a.hspy")
    temlib.save_micrograph(micrograph(picture(), 0.5), tmp_path / "a.tif")
    assert files_in([tmp_path]) == [tmp_path / "a.tif"]


def test_two_micrographs_of_one_stem_are_two(tmp_path):
    temlib.save_micrograph(micrograph(picture(), 0.5), tmp_path / "a.hspy")
    write(tmp_path / "a.tif", ONE)
    assert len(files_in([tmp_path])) == 2
    names = names_of(files_in([tmp_path]))
    assert sorted(names) == ["a_hspy", "a_tif"]


def test_an_emi_and_its_series_are_one(tmp_path, capsys):
    for name in ("a.emi", "a_1.ser", "a_2.ser", "b_1.ser"):
        (tmp_path / name).write_bytes(name.encode())
    inputs = find_inputs([tmp_path])
    assert [file.name for file in inputs.files] == ["a.emi", "b_1.ser"]
    assert inputs.notes[0].endswith("a_1.ser: holds the data of a.emi, which is taken")
    before = digest_of(tmp_path / "a.emi")
    (tmp_path / "a_1.ser").write_bytes(b"other data")
    assert digest_of(tmp_path / "a.emi") != before


def test_a_link_to_a_micrograph_is_that_micrograph(tmp_path):
    write(tmp_path / "in" / "a.tif")
    (tmp_path / "in" / "b.tif").symlink_to("a.tif")
    inputs = find_inputs([tmp_path / "in", tmp_path / "in" / "a.tif"])
    assert [file.name for file in inputs.files] == ["a.tif"]


def test_names_mean_themselves(tmp_path):
    for name in ("a*.tif", "a!.tif", "c?.tif", "c!.tif", "e[1].tif", "e1.tif", "f{x}.tif", "~.tif"):
        write(tmp_path / "in" / name, TWO if any(sign in name for sign in "*?[{~") else ONE)
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    table = rows(tmp_path / "out").set_index("micrograph")
    assert table["particles"].to_dict() == {"a*": 2, "a!": 1, "c?": 2, "c!": 1, "e[1]": 2, "e1": 1, "f{x}": 2, "~": 2}
    assert not table["note"].any()


def write_ser(path):
    """A series of FEI's with one element, calibrated grey levels."""
    grey = picture()[::-1]
    dimension = struct.pack("<IddIIBIB", 1, 0, 1, 0, 1, 78, 1, 32)
    start = 30 + len(dimension) + 8
    element = struct.pack("<ddI", 0, 5e-10, 0) * 2 + struct.pack("<HII", 1, SHAPE[1], SHAPE[0]) + grey.tobytes()
    head = struct.pack("<HHHIIIIII", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1, start - 8, 1)
    offsets = struct.pack("<II", start, start + len(element))
    path.write_bytes(head + dimension + offsets + element + struct.pack("<HHI", 0x4152, 0, 0))


def write_emi(path):
    write_ser(path.with_name(f"{path.stem}_1.ser"))
    path.write_bytes(b"JL<ObjectInfo><AcquireDate>Thu Nov 26 12:00:00 2026</AcquireDate></ObjectInfo>")


KINDS = [kind for kind in READABLE if kind not in FROM_MICROSCOPES] + ["ser", "emi"]


def write_kind(path):
    """Write a micrograph with two particles, of the kind that its suffix names."""
    path.parent.mkdir(exist_ok=True)
    kind = path.suffix[1:]
    if kind in ("ser", "emi"):
        {"ser": write_ser, "emi": write_emi}[kind](path)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zarr
            written(path.parent / "new", kind).rename(path)
        (path.parent / "new").rmdir()
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_names_mean_themselves_in_each_kind(kind, tmp_path):
    path = write_kind(tmp_path / "f [1]*" / f"a [2]?{{}}.{kind}")
    assert temlib.load_micrograph(path).data.ndim == 2
    assert temlib.load_micrograph(path, lazy=True).data.ndim == 2


def test_a_folder_of_all_kinds_twice(tmp_path, capsys):
    for kind in KINDS:
        write_kind(tmp_path / "in" / f"{kind}.{kind}")
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert f"{len(KINDS)} segmented, 0 done before, 0 failed" in capsys.readouterr().out
    table = rows(tmp_path / "out")
    assert sorted(table["micrograph"]) == sorted(KINDS)
    assert (table["particles"] == 2).all()
    before = contents(tmp_path / "out")
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert f"0 segmented, {len(KINDS)} done before, 0 failed" in capsys.readouterr().out
    assert contents(tmp_path / "out") == before


def test_particles_in_pixels_are_not_pooled(tmp_path, capsys):
    """Magnifications may differ where nobody says what they are."""
    write(tmp_path / "in" / "a.tif")
    write(tmp_path / "in" / "b.tif", [(30, 30), (30, 55), (30, 80)])
    write(tmp_path / "in" / "c.tif", ONE)
    out = tmp_path / "out"
    assert segment(tmp_path / "in", "--out", out) == 0
    said = capsys.readouterr().err
    assert "one distribution for each micrograph, since 3 of 3 have no pixel size" in said
    assert "no report of c: fewer than 2 whole particles" in said
    table = pd.read_csv(out / "distribution.csv")
    assert list(table["micrograph"].unique()) == ["a", "b"]
    assert set(table["size"]) == {"equivalent_diameter_px"}
    assert segment(tmp_path / "in", "--out", tmp_path / "nm", "--pixel-size", "2") == 0
    assert "micrograph" not in pd.read_csv(tmp_path / "nm" / "distribution.csv")
    assert "for each micrograph" not in capsys.readouterr().err


def test_a_file_that_was_exchanged_is_done_again(tmp_path, capsys):
    file, out = write(tmp_path / "in" / "a.tif"), tmp_path / "out"
    write(tmp_path / "in" / "b.tif")
    assert segment(tmp_path / "in", "--out", out) == 0
    times = file.stat()
    write(file, ONE)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert segment(tmp_path / "in", "--out", out) == 0
    said = capsys.readouterr()
    assert "1 segmented, 1 done before" in said.out
    assert "a.tif: has changed since it was done; done again" in said.err
    assert load_labels(out / "a_labels.tif").max() == 1
    assert not list(out.glob("a_report*")), "one particle has no report, and that of two is gone"
    row = rows(out).set_index("micrograph").loc["a"]
    assert (row["file"], row["bytes"], row["sha256"]) == (str(file), *digest_of(file))


def test_a_file_of_another_folder_is_another_one(tmp_path, capsys):
    out = tmp_path / "out"
    segment(write(tmp_path / "1" / "a.tif"), "--out", out)
    assert segment(write(tmp_path / "2" / "a.tif", ONE), "--out", out) == 0
    said = capsys.readouterr().err
    assert f"2/a.tif: is not {tmp_path}/1/a.tif, which had its name; done again" in said
    assert list(rows(out)["particles"]) == [1]
    os.rename(tmp_path / "2", tmp_path / "3")
    assert segment(tmp_path / "3", "--out", out) == 0, "the same file, moved"
    assert "1 done before" in capsys.readouterr().out
    assert list(rows(out)["file"]) == [str(tmp_path / "3" / "a.tif")]


@pytest.mark.parametrize("options", [(), ("--overwrite",)])
def test_a_renamed_micrograph_counts_once_and_two_copies_count_twice(tmp_path, capsys, options):
    folder, out = tmp_path / "in", tmp_path / "out"
    file = write(folder / "a.tif")
    write(folder / "other.tif", [(30, 40), (30, 60)])
    segment(folder, "--out", out)
    file.rename(folder / "b.tif")
    assert segment(folder, "--out", out, *options) == 0
    assert f"b.tif: was {file}, which is gone" in capsys.readouterr().err
    assert list(rows(out)["micrograph"]) == ["b", "other"]
    assert len(pd.read_csv(out / "particles.csv")) == 4
    assert not list(out.glob("a_*"))
    write(file)
    assert segment(folder, "--out", out, *options) == 0
    assert "is gone" not in capsys.readouterr().err
    assert list(rows(out)["micrograph"]) == ["a", "b", "other"]


def test_a_micrograph_renamed_to_a_name_that_was_known_counts_once(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    file = write(folder / "a.tif")
    write(folder / "b.tif", ONE)
    segment(folder, "--out", out)
    file.replace(folder / "b.tif")
    assert segment(folder, "--out", out) == 0
    assert list(rows(out)["micrograph"]) == ["b"]
    assert list(rows(out)["particles"]) == [2]


def test_an_exchanged_file_that_fails_leaves_no_result_of_the_old_one(tmp_path, capsys):
    file, out = write(tmp_path / "in" / "a.tif"), tmp_path / "out"
    write(tmp_path / "in" / "b.tif")
    segment(tmp_path / "in", "--out", out)
    file.write_bytes(b"damaged")
    assert segment(tmp_path / "in", "--out", out) == 1
    assert list(rows(out)["micrograph"]) == ["b"]
    assert not list(out.glob("a_*"))
    before = contents(out)
    (tmp_path / "in" / "b.tif").rename(tmp_path / "b.tif")
    assert segment(tmp_path / "in" / "b.tif", "--out", out) == 1
    assert contents(out) == before, "a file that is not there has not changed"


def test_a_micrograph_keeps_its_name_when_another_comes(tmp_path):
    write(tmp_path / "in" / "a.tif")
    segment(tmp_path / "in", "--out", tmp_path / "out")
    Image.fromarray(picture(ONE)).convert("L").save(tmp_path / "in" / "a.bmp")
    names = names_of(files_in([tmp_path / "in"]), {str(tmp_path / "in" / "a.tif"): "a"})
    assert {name: file.name for name, file in names.items()} == {"a": "a.tif", "a_bmp": "a.bmp"}


MINE = ("particles.csv", "m_mask.png", "settings.json", "micrographs.csv", "m_report.pdf")


@pytest.mark.parametrize("name", MINE)
def test_a_users_own_file_is_not_replaced(name, tmp_path, capsys):
    write(tmp_path / "in" / "m.tif")
    out = tmp_path / "out"
    out.mkdir()
    for file in (name, ".thesis.3999999-part.docx"):
        (out / file).write_text("mine")
    before = contents(out)
    assert segment(tmp_path / "in", "--out", out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert "name another folder, or overwrite it (--overwrite)" in line
    assert {file: data for file, data in contents(out).items() if file != "settings.json" or file in before} == before
    assert segment(tmp_path / "in", "--out", out, "--overwrite") == 0
    assert (out / name).read_bytes() != b"mine"
    assert (out / ".thesis.3999999-part.docx").read_text() == "mine"


def test_links_and_folders_under_the_names_of_results_are_not_followed(tmp_path, capsys):
    write(tmp_path / "in" / "m.tif")
    out, victim = tmp_path / "out", tmp_path / "victim.txt"
    out.mkdir()
    victim.write_text("mine")
    (out / "m_mask.png").symlink_to(victim)
    assert segment(tmp_path / "in", "--out", out) == 2
    assert "m_mask.png: is there, and not written by temlib" in capsys.readouterr().err
    assert segment(tmp_path / "in", "--out", out, "--overwrite") == 0
    assert not (out / "m_mask.png").is_symlink(), "the link was replaced"
    (tmp_path / "other" / "particles.csv").mkdir(parents=True)
    assert segment(tmp_path / "in", "--out", tmp_path / "other", "--overwrite") == 2
    assert "particles.csv: is there" in capsys.readouterr().err
    assert victim.read_text() == "mine"


def test_a_micrograph_is_not_replaced_by_the_result_of_another(tmp_path, capsys):
    write(tmp_path / "m.tif")
    write(tmp_path / "m_labels.tif", ONE)
    before = contents(tmp_path)
    for options in ([], ["--overwrite"]):
        assert segment(tmp_path, "--out", tmp_path, *options) == 2
        assert "m_labels.tif: is read, and would be replaced; name another folder" in capsys.readouterr().err
        assert {name: data for name, data in contents(tmp_path).items() if name in before} == before


@pytest.mark.parametrize("table", ["micrographs.csv", "a_particles.csv"])
def test_a_damaged_table_is_one_line(table, tmp_path, capsys):
    write(tmp_path / "in" / "a.tif")
    segment(tmp_path / "in", "--out", tmp_path / "out")
    (tmp_path / "out" / table).write_bytes(np.random.default_rng(0).bytes(3000))
    capsys.readouterr()
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 2
    assert f"{table}: cannot be read" in capsys.readouterr().err
    (tmp_path / "out" / table).unlink()
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system whose names are bytes")
def test_names_that_are_no_text_and_titles_that_are_no_formulas(tmp_path, capsys):
    for name in (b"a$b_{$c.tif", "Größe.tif".encode("latin-1"), b"b.tif"):
        os.rename(write(tmp_path / "t.tif"), os.path.join(os.fsencode(tmp_path), name))
    (tmp_path / "in").mkdir()
    for file in list(tmp_path.glob("*.tif")):
        file.rename(tmp_path / "in" / file.name)
    out = tmp_path / "out"
    for _ in range(2):
        assert segment(tmp_path / "in", "--out", out, "--pixel-size", "1") == 0
        assert list(rows(out)["micrograph"]) == ["Größe", "a$b_{$c", "b"]
    assert "3 done before" in capsys.readouterr().out
    assert len(list(out.glob("*_report.pdf"))) == 3
    (tmp_path / "in" / os.fsdecode(b"\xff.tif")).write_bytes(b"damaged")
    assert segment(tmp_path / "in", "--out", out, "--pixel-size", "1") == 1
    assert "ÿ.tif" in capsys.readouterr().err


@pytest.mark.parametrize("error", [RuntimeError("no\nluck"), MemoryError(), KeyError("x"), RecursionError("deep")])
def test_whatever_one_file_raises_is_its_own_line(error, tmp_path, capsys, monkeypatch):
    write(tmp_path / "in" / "a.tif", ONE)
    write(tmp_path / "in" / "b.tif")
    maps = Dark.maps

    def fail(self, image, scale="auto"):
        if image.metadata.General.title == "a":
            raise error
        return maps(self, image, scale)

    monkeypatch.setattr(Dark, "maps", fail)
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert "1 segmented, 0 done before, 1 failed" in said.out
    (line,) = [line for line in said.err.splitlines() if "a.tif" in line]
    assert type(error).__name__ in line or "does not fit into memory" in line
    assert "Traceback" not in said.err
    assert segment(tmp_path / "in", "--out", tmp_path / "out", "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_one_line_that_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    write(tmp_path / "in" / "a.tif")
    write(tmp_path / "in" / "b.tif")
    out, maps = tmp_path / "out", Dark.maps
    with monkeypatch.context() as patch:

        def stop(self, image, scale="auto"):
            if image.metadata.General.title == "b":
                raise KeyboardInterrupt
            return maps(self, image, scale)

        patch.setattr(Dark, "maps", stop)
        assert segment(tmp_path / "in", "--out", out) == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        "temlib: stopped; what is done is kept, and the same command goes on from there"
    )
    assert segment(tmp_path / "in", "--out", out) == 0
    assert "1 segmented, 1 done before" in capsys.readouterr().out


def test_two_runs_at_once_are_refused_in_a_line(tmp_path, capsys):
    write(tmp_path / "in" / "a.tif")
    with alone(tmp_path / "out"):
        before = contents(tmp_path / "out")
        assert segment(tmp_path / "in", "--out", tmp_path / "out") == 2
        assert contents(tmp_path / "out") == before
    assert "out: another process of temlib is writing there" in capsys.readouterr().err
    assert segment(tmp_path / "in", "--out", tmp_path / "out") == 0
    assert not list((tmp_path / "out").glob(".*")), "no lock is left"


HOLD = """
import sys, time
from pathlib import Path
from temlib.jobs.records import Record, Watched, alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_of_a_killed_process_holds_nothing(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with pytest.raises(RunError, match="another process"), alone(tmp_path):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.glob(".temlib-*.lock"))
    with alone(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_that_changed_is_known(tmp_path):
    first = Watched(tmp_path / "a.json")
    assert not first.changed()
    first.write("1")
    assert not first.changed()
    second = Watched(tmp_path / "a.json")
    assert second.data == b"1"
    second.write("2")
    assert first.changed()
    assert not second.changed()
    (tmp_path / "a.json").unlink()
    assert second.changed()


def test_a_record_is_known_by_its_mark(tmp_path):
    path = tmp_path / "a.json"
    assert not Record(path, "a kind").foreign
    Record(path, "a kind").write({"x": 1})
    assert Record(path, "a kind").content == {"temlib": "a kind", "x": 1}
    for data in (b"\xff\xfe", b"[" * 100_000, b"{}", b'{"temlib": "another kind"}', b"17", b""):
        path.write_bytes(data)
        assert Record(path, "a kind").foreign
    path.unlink()
    Record(tmp_path / "b.json", "a kind").write({})
    path.symlink_to(tmp_path / "b.json")
    assert Record(path, "a kind").foreign, "a link is not followed"
