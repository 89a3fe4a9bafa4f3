import subprocess
import sys

import pytest

from temlib.progress import progress_bar


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_tensorflow_starts_without_chatter():
    result = python(
        "from temlib.network.backend import start_keras; start_keras().ops.ones((2, 2)) + 1; print('started')"
    )
    assert result.returncode == 0
    assert (result.stdout, result.stderr) == ("started\n", "")


def test_errors_after_the_start_are_still_seen():
    result = python("from temlib.network.backend import start_keras; start_keras(); raise ValueError('seen')")
    assert "ValueError: seen" in result.stderr


def test_determinism_is_a_choice_of_the_caller():
    code = (
        "from temlib.network.backend import make_deterministic, start_keras; start_keras();"
        "from tensorflow.python.framework import config as c; before = c.is_op_determinism_enabled();"
        "make_deterministic(); print(before, c.is_op_determinism_enabled())"
    )
    assert python(code).stdout == "False True\n"


@pytest.mark.parametrize(("show", "variable", "shown"), [(True, "0", True), (True, "1", False), (False, "0", False)])
def test_progress_bars_can_be_silenced(show, variable, shown, monkeypatch, capsys):
    monkeypatch.setenv("TQDM_DISABLE", variable)
    assert list(progress_bar(range(3), show=show, desc="counting")) == [0, 1, 2]
    assert ("counting" in capsys.readouterr().err) == shown
