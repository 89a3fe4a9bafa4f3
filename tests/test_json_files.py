import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from temlib.errors import RunError, TemlibError
from temlib.files.json_files import parse_json, read_json

FLAWED = {
    "nothing": (b"", "Expecting value"),
    "no JSON": (b"{'a': 1}", "property name"),
    "cut short": (b'{"a": [1, 2', "delimiter"),
    "not in UTF-8": (b'{"a": "\xe9"}', "utf-8"),
    "nested too deeply": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    "objects nested too deeply": (b'{"a":' * 100_000, "nested too deeply"),
    "a number of too many digits": (b'{"a": ' + b"9" * 5000 + b"}", "4300 digits"),
    "a list": (b"[1]", "holds a list, not a dict"),
    "null": (b"null", "holds a NoneType, not a dict"),
    "too large": (b'{"a": "' + b"x" * 1000 + b'"}', "larger than 1,000 bytes"),
}


@pytest.mark.parametrize("flaw", FLAWED)
def test_what_is_wrong_is_one_line(flaw, tmp_path):
    content, reason = FLAWED[flaw]
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(RunError) as refused:
        read_json(path, 1000 if flaw == "too large" else 10**6, error=RunError)
    message = str(refused.value)
    assert str(path) in message
    assert reason in message
    assert "\n" not in message


def test_what_is_no_file_is_not_opened(tmp_path):
    with pytest.raises(TemlibError, match="it is not there"):
        read_json(tmp_path / "none.json")
    with pytest.raises(TemlibError, match="it is no file"):
        read_json(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.json")
        with pytest.raises(TemlibError, match="it is no file"):
            read_json(tmp_path / "pipe.json")


def test_other_kinds_and_a_byte_order_mark(tmp_path):
    path = tmp_path / "list.json"
    path.write_bytes(b"\xef\xbb\xbf[1, 2]")
    assert read_json(path, kind=list) == [1, 2]


@given(st.binary(max_size=60))
def test_any_bytes_are_a_dict_or_a_value_error(text):
    try:
        assert isinstance(parse_json(text), dict)
    except ValueError as error:
        assert str(error)  # noqa: PT017
