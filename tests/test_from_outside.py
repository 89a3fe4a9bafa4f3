"""What comes from outside: downloads, weights and saved networks are checked before they are used."""

import http.server
import json
import subprocess
import sys
import threading
import time
import zipfile
from hashlib import sha256

import numpy as np
import pytest

import temlib
from temlib import datasets
from temlib.errors import DatasetError, SegmenterError, WeightsError
from temlib.network import unet
from temlib.network.weights import BUNDLED, resolve_weights

CONTENT = np.random.default_rng(0).bytes(300_000)
SUM = sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Gives a file whole, cut short, changed, in drops, or not at all."""

    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/proxy":
            self.send_error(407)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.path == "/silent":
            time.sleep(3)
        elif self.path == "/dripping":
            for start in range(0, 10_000, 100):
                time.sleep(0.1)
                self.wfile.write(CONTENT[start : start + 100])
        else:
            cut = {"/cut": CONTENT[:1000], "/changed": CONTENT[::-1]}.get(self.path, CONTENT)
            for start in range(0, len(cut), 30_000):  # slowly enough for two to overlap
                time.sleep(0.02)
                self.wfile.write(cut[start : start + 30_000])

    def handle(self):
        try:
            super().handle()
        except OSError:  # who asked has gone
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def test_a_download_is_whole_and_checked(address, tmp_path):
    target = tmp_path / "cache" / "a.bin"
    assert datasets.fetch(f"{address}/a.bin", target, SUM).read_bytes() == CONTENT
    target.write_bytes(b"half")  # as a cache of another program may be
    assert datasets.fetch(f"{address}/a.bin", target, SUM).read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["a.bin"]
    assert datasets.fetch("http://127.0.0.1:1/a.bin", target, SUM) == target  # it is there: no network needed


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "404"),
        ("proxy", "407"),
        ("cut", "IncompleteRead"),
        ("changed", "hash"),
        ("silent", "timed out"),
        ("dripping", "too slow"),
    ],
)
def test_a_download_that_fails_says_why_soon_and_leaves_nothing(address, tmp_path, monkeypatch, path, reason):
    monkeypatch.setattr(datasets, "_SILENT", 0.5)
    started = time.monotonic()
    with pytest.raises(DatasetError, match=reason) as caught:
        datasets.fetch(f"{address}/{path}", tmp_path / "a.bin", SUM, seconds=1.0)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - started < 8
    assert not list(tmp_path.iterdir())


def test_a_proxy_that_is_not_there_is_named_with_the_ways_out(tmp_path, monkeypatch):
    import pooch

    monkeypatch.delenv("TEMLIB_DATA", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setattr(pooch, "os_cache", lambda _: tmp_path)
    with pytest.raises(DatasetError, match=r"Proxy.*connect to the network, or set TEMLIB_DATA") as caught:
        datasets.load("emps", list(datasets.table("emps")["name"][:1]))
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("TEMLIB_WEIGHTS", raising=False)
    with pytest.raises(WeightsError, match=r"Proxy.*set TEMLIB_WEIGHTS"):
        resolve_weights("imagenet")


def test_two_processes_that_download_at_once_do_not_harm_each_other(address, tmp_path):
    code = (
        "import sys; from pathlib import Path; from temlib.datasets import fetch; "
        "print(fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3] or None).stat().st_size)"
    )
    for name, known in (("a.bin", SUM), ("b.bin", "")):
        command = [sys.executable, "-c", code, f"{address}/{name}", str(tmp_path / name), known]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert [process.communicate()[0].strip() for process in both] == [str(len(CONTENT))] * 2
        assert (tmp_path / name).read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "b.bin"]


def test_a_data_file_that_was_changed_is_refused_with_both_sums(tmp_path, monkeypatch):
    row = datasets._registry("emps").iloc[0]
    path = tmp_path / "emps" / "images" / f"{row['name']}.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"other")
    monkeypatch.setenv("TEMLIB_DATA", str(tmp_path))
    with pytest.raises(DatasetError) as caught:
        datasets.load("emps", [row["name"]])
    assert row["image_sha256"][:12] in str(caught.value)
    assert sha256(b"other").hexdigest()[:12] in str(caught.value)


def tampered(path, change):
    """Copy the bundled segmenter, with a change to its members."""
    with zipfile.ZipFile(BUNDLED) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def with_layer(class_name, **config):
    def change(members):
        model = json.loads(members["config.json"])
        model["config"]["layers"][1] |= {"class_name": class_name, "config": config}
        members["config.json"] = json.dumps(model)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_layer("Lambda", function="code"), "asks for 'Lambda'"),
        (with_layer("TFSMLayer", filepath="elsewhere"), "asks for 'TFSMLayer'"),
        (lambda members: members.update({"../../escaped": b"x"}), "leads out of the archive"),
        (lambda members: members.update({"/etc/escaped": b"x"}), "leads out of the archive"),
        (lambda members: members.update({"..\\escaped": b"x"}), "leads out of the archive"),
        (lambda members: members.pop("config.json"), "config.json"),
        (lambda members: members.pop("model.weights.h5"), "model.weights.h5"),
        (lambda members: members.update({"config.json": b"{"}), "Expecting"),
        (lambda members: members.update({"model.weights.h5": members["model.weights.h5"][:5000]}), "truncated"),
    ],
)
def test_a_segmenter_that_was_tampered_with_is_refused_in_one_line(tmp_path, change, reason):
    path = tampered(tmp_path / "a.keras", change)
    for load, error in ((temlib.load_segmenter, SegmenterError), (unet.encoder, WeightsError)):
        with pytest.raises(error) as caught:
            load(path)
        assert "a.keras: is no segmenter saved by temlib" in str(caught.value)
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["a.keras"]


def test_a_segmenter_that_was_damaged_is_refused_or_whole(tmp_path):
    whole, rng = BUNDLED.read_bytes(), np.random.default_rng(0)
    weights, refusals = temlib.load_segmenter().model.get_weights(), []
    for trial in range(12):
        spoilt = bytearray(whole[: int(rng.integers(1, len(whole)))] if trial % 3 == 0 else whole)
        for place in rng.integers(0, len(spoilt), 3):
            spoilt[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "a.keras").write_bytes(spoilt)
        try:
            loaded = temlib.load_segmenter(tmp_path / "a.keras").model.get_weights()
        except SegmenterError as error:
            refusals.append(str(error))
        else:
            for a, b in zip(loaded, weights, strict=True):
                np.testing.assert_array_equal(a, b)
    assert len(refusals) > 4
    assert not any("\n" in refusal for refusal in refusals)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    segmenter = temlib.load_segmenter()
    weights = segmenter.model.get_weights()
    weights[0] = np.full_like(weights[0], np.nan)
    segmenter.model.set_weights(weights)
    path = segmenter.save(tmp_path / "a.keras")
    with pytest.raises(SegmenterError, match="not all finite"):
        temlib.load_segmenter(path)
