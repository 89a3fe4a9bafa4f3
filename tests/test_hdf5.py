"""The process that looks through HDF5 files: given up when it stands still, never left over, never in the way."""

import os
import signal
import subprocess
import sys
import textwrap

import h5py
import numpy as np
import psutil
import pytest

from temlib.errors import MicrographError
from temlib.files.hdf5 import inspection as hdf5
from temlib.files.hdf5.inspection import check_hdf5, look_through

STANDING = "import ctypes; wait = ctypes.PyDLL(None).sleep"  # as the library at work: nothing else runs meanwhile
WORKING = "import time; wait = time.sleep"


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.zeros((4, 4))
    return tmp_path / "a.h5"


@pytest.fixture
def helped(monkeypatch):
    """Let helpers be started that wait so many times for so many seconds over a file."""

    def with_waiting(how, times, seconds, limit):
        code = f"""
            {how}
            from temlib.files.hdf5 import inspection as hdf5
            def slow(path, progress):
                for _ in range({times}):
                    progress()
                    wait({seconds})
                return "", set()
            hdf5._look_through_one, hdf5._SECONDS = slow, {limit}
            hdf5.serve()
        """
        command = [sys.executable, "-c", textwrap.dedent(code)]
        hdf5._stop()
        monkeypatch.setattr(hdf5, "python", lambda _: command)
        monkeypatch.setattr(hdf5, "_SECONDS", float(limit + 4))  # the helper itself is the first to notice

    yield with_waiting
    hdf5._stop()


def test_a_file_takes_as_long_as_it_goes_on(helped, file):
    helped(WORKING, times=12, seconds=0.5, limit=4)
    check_hdf5(file)


@pytest.mark.skipif(os.name != "posix", reason="needs the C library of POSIX")
@pytest.mark.parametrize("how", [WORKING, STANDING])
def test_a_file_over_which_it_stands_still_is_given_up(helped, file, how):
    helped(how, times=1, seconds=60, limit=1)
    with pytest.raises(MicrographError, match=r"fails on it\); it stood still for 5 s; check the file"):
        check_hdf5(file)


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_the_message_says_how_the_library_failed(helped, file):
    helped("import os; wait = lambda _: os.abort()", times=1, seconds=0, limit=4)
    with pytest.raises(MicrographError, match=rf"it ended the process that looked into it \({-signal.SIGABRT}\)"):
        check_hdf5(file)


def test_many_small_arrays_are_read(tmp_path):
    with h5py.File(tmp_path / "many.h5", "w") as file:
        for i in range(3000):
            file.create_dataset(f"{i % 30}/{i}", data=i).attrs["unit"] = "nm"
    check_hdf5(tmp_path / "many.h5")


def test_more_parts_than_a_file_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "_MOST_PARTS", 20)
    with h5py.File(tmp_path / "many.h5", "w") as file:
        for i in range(21):
            file[f"{i}"] = i
    assert "more than 20 parts" in look_through(tmp_path / "many.h5")


def test_files_that_link_to_one_another_are_looked_through_once_each(tmp_path, monkeypatch):
    names = [f"{i}.h5" for i in range(14)]
    for name in names:
        with h5py.File(tmp_path / name, "w") as file:
            for other in names:
                file[f"to {other}"] = h5py.ExternalLink(other, "/")
    seen, look = [], hdf5._look_through_one
    monkeypatch.setattr(
        hdf5, "_look_through_one", lambda path, progress: (seen.append(path.name), look(path, progress))[1]
    )
    assert look_through(tmp_path / "0.h5") == ""
    assert sorted(seen) == sorted(names)
    with h5py.File(tmp_path / "13.h5", "a") as file:
        file["away"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(MicrographError, match=r"^0\.h5: 13\.h5: away is kept in /etc/hostname, outside of its folder"):
        check_hdf5(tmp_path / "0.h5")


@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize("how", [WORKING, STANDING])
def test_the_helper_ends_with_its_parent_also_at_work(file, how):
    code = f"""
        import sys, threading
        from temlib.files.hdf5 import inspection as hdf5
        slow = "{how}; from temlib.files.hdf5 import inspection as hdf5; hdf5._SECONDS = 5; "
        slow += "hdf5._look_through_one = lambda path, progress: wait(600); "
        hdf5.python = lambda code: [sys.executable, "-c", slow + code]
        threading.Thread(target=hdf5.check_hdf5, args=[{str(file)!r}]).start()
        while hdf5._helper is None:
            pass
        print(hdf5._helper[1].pid, flush=True)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as parent:
        helper = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _, alive = psutil.wait_procs([helper], timeout=60)
    assert not alive


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_a_file_is_looked_through_does_not_hang(file):
    code = f"""
        import os, signal
        from temlib.files.hdf5 import inspection as hdf5
        hdf5.check_hdf5({str(file)!r})
        mine = hdf5._helper[1].pid
        with hdf5._lock:
            child = os.fork()
            if not child:
                signal.alarm(60)
                hdf5.check_hdf5({str(file)!r})
                os._exit(0 if hdf5._helper[1].pid != mine else 1)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        hdf5.check_hdf5({str(file)!r})
        print(hdf5._helper[1].pid == mine)
    """
    quiet = [sys.executable, "-W", "ignore::DeprecationWarning", "-c"]  # Python 3.12 warns of any fork beside a thread
    done = subprocess.run([*quiet, textwrap.dedent(code)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\nTrue\n", "")


def test_files_are_looked_through_in_a_dask_worker(file, tmp_path):
    distributed = pytest.importorskip("distributed")
    (tmp_path / "damaged.h5").write_bytes(file.read_bytes()[:1000])
    options = {"n_workers": 1, "threads_per_worker": 4, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        good = [client.submit(check_hdf5, file, pure=False) for _ in range(8)]
        bad = [client.submit(check_hdf5, tmp_path / "damaged.h5", pure=False) for _ in range(4)]
        assert client.gather(good) == [None] * 8
        assert all(isinstance(each.exception(), MicrographError) for each in bad)
        helper = client.submit(lambda: hdf5._helper[1].pid).result()
    _, alive = psutil.wait_procs([psutil.Process(helper)] if psutil.pid_exists(helper) else [], timeout=60)
    assert not alive
