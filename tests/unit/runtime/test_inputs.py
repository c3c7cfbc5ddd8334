"""Files of others: only plain files are opened, JSON and archives have bounds, decoders a guard."""

import io
import json
import os
import struct
import zipfile

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from facemill.runtime import files, tables
from facemill.runtime.errors import ConfigurationError, FormatError, LicensedFileError
from facemill.runtime.files import load_array, load_arrays
from facemill.runtime.inputs import decoding, read_content, read_json, read_json_object, read_text
from facemill.runtime.tables import read_csv, read_table


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(FormatError, match="a pipe, socket or device"):
        read_content(tmp_path / "a.json", "text", "remove it")


@pytest.mark.parametrize(
    ("target", "words"),
    [("/dev/zero", "not a plain file"), ("/dev/null", "not a plain file"), ("a", "leads in a circle"),
     ("nowhere", "a link to nothing"), (".", "a folder")],
)  # fmt: skip
def test_links_to_what_is_no_file_say_so(tmp_path, target, words):
    (tmp_path / "a").symlink_to(target)
    with pytest.raises(FormatError, match=words):
        read_content(tmp_path / "a", "text", "remove it")


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_names_that_no_file_can_have(tmp_path, name):
    with pytest.raises(FormatError, match="cannot be read"):
        read_text(tmp_path / name, "text", "rename it")


def test_a_refusal_is_of_the_kind_asked_for(tmp_path):
    with pytest.raises(LicensedFileError, match="is missing"):
        read_content(tmp_path / "a", "a licensed file", "apply for it", LicensedFileError)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FormatError, match="too large"):
        read_content(tmp_path / "a", "text", "cut it")


def test_what_is_not_utf8_is_no_text(tmp_path):
    (tmp_path / "a").write_bytes(b"caf\xe9")
    with pytest.raises(FormatError, match="is not text"):
        read_text(tmp_path / "a", "text", "save it as UTF-8")
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa")
    assert read_text(tmp_path / "a", "text", "x") == "a"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested more than 64 deep"),
        ('{"a":' * 65 + "1" + "}" * 65, "nested more than 64 deep"),
        ("9" * 41, "a whole number of 41 digits"),
        ("{", "JSON"),
        ("", "JSON"),
    ],
)
def test_json_that_cannot_be(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(FormatError, match=words):
        read_json(tmp_path / "a.json", "JSON", "correct it")


def test_brackets_in_texts_do_not_nest(tmp_path):
    value = {"a": "[" * 500, 'b"': "\\", "c": [[1, 2.5, -7]]}
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert read_json(tmp_path / "a.json", "JSON", "x") == value


def test_an_object_names_its_missing_keys_and_its_format(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"format": ["x"], "b": 1}')
    assert read_json_object(path, "an object", "x", ("b",)) == {"format": ["x"], "b": 1}
    with pytest.raises(FormatError, match="lacks c, d"):
        read_json_object(path, "an object", "x", ("b", "c", "d"))
    with pytest.raises(FormatError, match="another format"):
        read_json_object(path, "an object", "x", (), "f-1")
    path.write_text("[]")
    with pytest.raises(FormatError, match="a list"):
        read_json_object(path, "an object", "x")


@pytest.mark.parametrize(
    "error",
    [AssertionError(), RecursionError("deep"), struct.error("short"), MemoryError(), ZeroDivisionError()],
)
def test_whatever_a_decoder_raises_becomes_a_refusal(error):
    with pytest.raises(FormatError, match=r"a\.bin cannot be read") as caught, decoding("a.bin", "x", "y"):
        raise error
    assert caught.value.__cause__ is error and caught.value.found


def test_our_own_errors_and_interrupts_pass_through_the_guard():
    with pytest.raises(ConfigurationError), decoding("a.bin", "x", "y"):
        raise ConfigurationError("a", "b", "c", "d")
    with pytest.raises(KeyboardInterrupt), decoding("a.bin", "x", "y"):
        raise KeyboardInterrupt


def npy(shape: str, kind: str = "<f8", body: bytes = b"") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


@pytest.mark.parametrize("shape", ["(1099511627776,)", "(4611686018427387904, 8)", "(-1,)"])
def test_an_array_that_claims_more_than_its_file_holds(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(npy(shape, body=bytes(64)))
    for mapped in (False, True):
        with pytest.raises(FormatError, match="needs more"):
            load_array(tmp_path / "a.npy", "an array", "x", mapped=mapped)
    (tmp_path / "a.npy").write_bytes(npy("(8,)", body=bytes(64)))
    assert load_array(tmp_path / "a.npy", "an array", "x", mapped=True).tolist() == [0.0] * 8


def archive(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in members.items():
            zipped.writestr(f"{name}.npy", content)
    return stream.getvalue()


def test_an_archive_that_claims_more_than_it_can_hold(tmp_path):
    content = bytearray(archive(a=npy("(500000000,)")))
    at = content.find(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 4_000_000_000)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(FormatError, match="more than it can hold"):
        load_arrays(tmp_path / "a.npz")


def test_an_archive_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_ARRAYS", 5000)
    (tmp_path / "a.npz").write_bytes(archive(a=npy("(800,)", body=bytes(6400))))
    with pytest.raises(FormatError, match="at most 5000 are read"):
        load_arrays(tmp_path / "a.npz")


def test_an_archive_of_other_files(tmp_path):
    (tmp_path / "a.npz").write_bytes(archive(a=b"plain text"))
    with pytest.raises(FormatError, match=r"holds more than arrays|cannot be read"):
        load_arrays(tmp_path / "a.npz")


def test_a_table_of_one_value_repeated_is_refused_by_its_count(tmp_path, monkeypatch):
    parquet.write_table(pyarrow.table({"a": np.zeros(1000, np.int8)}), tmp_path / "a.parquet")
    assert len(read_table(tmp_path / "a.parquet")) == 1000
    monkeypatch.setattr(tables, "MOST_ROWS", 999)
    with pytest.raises(FormatError, match="1000 rows"):
        read_table(tmp_path / "a.parquet")


def test_csv_tables_name_what_they_lack(tmp_path):
    path = tmp_path / "a.csv"
    pd.DataFrame({"a": [1], "b": ["x"]}).to_csv(path, index=False)
    assert read_csv(path, "a table", "x", ("a", "b"))["a"].tolist() == [1]
    with pytest.raises(FormatError, match="lacks the columns c"):
        read_csv(path, "a table", "x", ("a", "c"))
    for content in (b"", b"\xff\xfe\x00", b'a,b\n1,2,3,4\n"'):
        path.write_bytes(content)
        with pytest.raises(FormatError):
            read_csv(path, "a table", "x", ("a",))
