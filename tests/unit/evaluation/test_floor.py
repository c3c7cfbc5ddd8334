"""Results beside the mean face's on the same pictures."""

import json

import numpy as np
import pytest

from facemill.evaluation.floor import NowFiles, floor_ratios, write_floor
from facemill.evaluation.histograms import count_distances, write_histograms
from facemill.evaluation.settings import NowSettings
from facemill.runtime.errors import FormatError

SETTINGS = NowSettings(draws=50)


def write(folder, name, factor, predictions, people=6, **keys):
    """An evaluation of two pictures per person: distances around 1 mm, times `factor`."""
    random = np.random.default_rng(3)
    cases, rows = [], ["case,challenge,yaw"]
    for person in range(people):
        for yaw in (5, 40):
            case = f"p{person}/{'selfie' if yaw == 5 else 'multiview_neutral'}/{yaw}"
            cases.append((case, f"p{person}", factor * (1 + yaw / 100) * random.uniform(0, 2, 2000)))
            rows.append(f"{case},{case.split('/')[1]},{yaw}")
    summary = {"dataset": "d", "protocol": "now", "visible_only": True, "predictions": predictions} | keys
    (folder / f"{name}.json").write_text(json.dumps(summary))
    (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    write_histograms(folder / f"{name}.npz", count_distances(cases))
    return NowFiles(name, folder / f"{name}.json", folder / f"{name}.csv", folder / f"{name}.npz")


def test_ratios_by_hand(tmp_path):
    files = [
        write(tmp_path, "other floor", 3.0, "mean_face", visible_only=False),
        write(tmp_path, "ours", 0.75, "coarse", people=4),
        write(tmp_path, "floor", 1.0, "mean_face"),
        write(tmp_path, "theirs", 1.5, "/somewhere"),
        write(tmp_path, "alone", 1.0, "coarse", dataset="e"),
    ]
    table = floor_ratios(files, SETTINGS)
    assert table["evaluation"].unique().tolist() == ["ours", "theirs"] and set(table["floor"]) == {"floor"}
    ours = table[table["evaluation"] == "ours"].set_index(["column", "group"])
    assert ours.loc[("", "all"), "ratio"] == pytest.approx(0.75, abs=3e-3)
    assert ours.loc[("", "all"), "cases"] == 8 and ours.loc[("", "all"), "people"] == 4
    # uniform in 0..2: the median is 1, times 1.05 and 1.40 for the two turns
    assert ours.loc[("yaw", "0-15"), "floor_median"] == pytest.approx(1.05, abs=0.04)
    assert ours.loc[("yaw", "30-60"), "median"] == pytest.approx(0.75 * 1.40, abs=0.04)
    assert ("challenge", "selfie") in ours.index and ("yaw", "15-30") not in ours.index
    assert (ours["ratio_error"] < 0.01).all()
    theirs = table[table["evaluation"] == "theirs"]
    assert theirs["ratio"].to_numpy() == pytest.approx(1.5, abs=6e-3)
    write_floor(tmp_path / "floor.csv", table)
    assert "ours,floor,,all," in (tmp_path / "floor.csv").read_text()


def test_without_a_floor_the_table_is_empty(tmp_path):
    assert floor_ratios([write(tmp_path, "a", 1.0, "coarse")], SETTINGS).empty
    assert floor_ratios([], SETTINGS).empty


def test_other_files_are_named(tmp_path):
    files = write(tmp_path, "a", 1.0, "coarse")
    files.summary.write_text("{}")
    with pytest.raises(FormatError, match=r"(?s)a\.json.*dataset"):
        floor_ratios([files], SETTINGS)
