"""Files from the future settle in their order; a folder belongs to one process until that ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from facemill.runtime.clocks import settle_future_times
from facemill.runtime.locks import LOCK, FolderInUseError, lock_folder

HOLD = """
import sys, time
from facemill.runtime.locks import lock_folder
held = lock_folder(sys.argv[1])
print("held", flush=True)
time.sleep(600)
"""


def test_files_from_the_future_come_to_just_before_now_in_their_order(tmp_path):
    now = time.time()
    times = {"old": now - 100, "new": now - 1, "later": now + 7200, "first": now + 3600, "same": now + 3600}
    (tmp_path / "folder").mkdir()
    for name, changed in times.items():
        (tmp_path / "folder" / name).touch()
        os.utime(tmp_path / "folder" / name, (changed, changed))
    assert settle_future_times(tmp_path) == 3
    found = {name: (tmp_path / "folder" / name).stat().st_mtime_ns for name in times}
    assert found["old"] == pytest.approx((now - 100) * 1e9, abs=1e6)
    assert found["old"] < found["new"] < found["first"] == found["same"] < found["later"] <= time.time_ns()
    assert settle_future_times(tmp_path) == 0


def test_links_are_settled_and_what_they_lead_to_is_not(tmp_path):
    inside, photo = tmp_path / "results", tmp_path / "photo.png"
    inside.mkdir()
    photo.touch()
    (inside / "link").symlink_to(photo)
    future = time.time() + 3600
    os.utime(photo, (future, future))
    os.utime(inside / "link", (future, future), follow_symlinks=False)
    assert settle_future_times(inside) == 1
    assert photo.stat().st_mtime == pytest.approx(future)


def test_a_folder_is_held_until_its_process_dies(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline()
        with pytest.raises(FolderInUseError, match=f"process {holder.pid} on"):
            lock_folder(tmp_path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with lock_folder(tmp_path):
        assert f"process {os.getpid()} on" in (tmp_path / LOCK).read_text()
    lock_folder(tmp_path).close()
