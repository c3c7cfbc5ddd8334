"""Status tables: every photo ends as a row."""

import numpy as np
import pandas as pd
import pytest

from facemill.runtime.errors import FacemillError, FormatError, PhotoError
from facemill.runtime.tables import (
    EveryPhotoFailedError,
    map_photos,
    named_rows,
    read_table,
    write_table,
)


def table(*statuses: str) -> pd.DataFrame:
    rows = [
        {"photo": f"p{number}", "status": status, "reason": "" if status == "ok" else "before", "n": number}
        for number, status in enumerate(statuses)
    ]
    return pd.DataFrame(rows, columns=["photo", "status", "reason", "n"]).astype({"n": "Int64"})


def halve(row):
    if row["n"] == 1:
        raise PhotoError("odd", f"{row['n']} is odd")
    if row["n"] == 2:
        raise ZeroDivisionError("never mind")
    return {"half": row["n"] / 2, "pair": [row["n"], 0.5]}


def test_results_reasons_and_errors_become_columns_in_the_same_order(caplog):
    result = map_photos(table("ok", "ok", "ok", "no_face", "ok"), halve, ["half", "pair"])
    assert result["photo"].tolist() == ["p0", "p1", "p2", "p3", "p4"]
    assert result["status"].tolist() == ["ok", "odd", "error", "no_face", "ok"]
    assert result["reason"].tolist() == ["", "1 is odd", "ZeroDivisionError: never mind", "before", ""]
    assert result["half"].tolist()[::4] == [0.0, 2.0] and result["half"].isna().tolist()[1:4] == [True] * 3
    assert result["pair"].tolist() == [[0, 0.5], None, None, None, [4, 0.5]]
    assert "p2: Traceback" in caplog.text and "p1" not in caplog.text


def test_the_types_of_other_columns_and_the_table_given_stay():
    given = table("ok", "no_face")
    given.loc[1, "n"] = pd.NA
    before = given.copy()
    result = map_photos(given, halve, ["half"])
    pd.testing.assert_frame_equal(given, before)
    assert result["n"].dtype == "Int64"


def test_strict_lets_unforeseen_exceptions_through():
    with pytest.raises(ZeroDivisionError):
        map_photos(table("ok", "ok", "ok"), halve, ["half"], strict=True)


def test_a_shard_in_which_every_photo_meets_an_exception_fails():
    with pytest.raises(EveryPhotoFailedError, match="all 2 photos"):
        map_photos(table("ok", "no_face", "ok"), lambda row: 1 / 0, ["half"])


@pytest.mark.parametrize("given", [table(), table("no_face", "unreadable")])
def test_nothing_to_do_still_gives_the_columns(given):
    result = map_photos(given, halve, ["half", "pair"])
    assert list(result.columns) == ["photo", "status", "reason", "n", "half", "pair"]
    assert len(result) == len(given) and result["half"].isna().all()


def test_tables_survive_and_equal_tables_give_equal_bytes(tmp_path):
    result = map_photos(table("ok", "ok", "ok", "ok"), halve, ["half", "pair"])
    for name in ("a.parquet", "b.parquet"):
        write_table(tmp_path / name, result)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    again = read_table(tmp_path / "a.parquet")
    assert again["n"].dtype == "Int64"
    assert np.array_equal(again["pair"][3], [3, 0.5]) and again["pair"][1] is None


def test_a_missing_or_damaged_table_is_named(tmp_path):
    for content in (None, b"PAR1 and no more"):
        if content:
            (tmp_path / "a.parquet").write_bytes(content)
        with pytest.raises(FormatError) as error:
            read_table(tmp_path / "a.parquet")
        assert str(tmp_path / "a.parquet") in error.value.subject


def test_rows_are_found_by_name_and_those_that_are_none_are_told():
    people = pd.DataFrame(
        {
            "person": ["ann", "bob", "cat"],
            "status": ["ok", "ok", "one_photo"],
            "reason": ["", "", "bob has one photo"],
        }
    )
    found = named_rows(people, ["bob", "ann"], "reconstruction", "reconstruct_person.md", "person")
    assert list(found["person"]) == ["ann", "bob"] and list(found.index) == [0, 1]
    with pytest.raises(FacemillError, match=r"(?s)person dan is unknown.*ann, bob, cat.*folder"):
        named_rows(people, ["ann", "dan"], "reconstruction", "reconstruct_person.md", "person")
    with pytest.raises(FacemillError, match=r"(?s)cat has no mesh.*one_photo: bob has.*docs/page\.md"):
        named_rows(people, ["cat"], "mesh", "page.md", "person")
