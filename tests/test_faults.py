"""Fits that are broken from outside: the same call goes on, or says which file it cannot use."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from estimators import every_estimator
from faults import LONGER, PATIENCE, Fits, X

import skdeepcluster
from skdeepcluster._training._checkpoint import read

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="limits, disks and clocks of other processes are Linux'"
)

#: A user without rights, for root, who may else write anywhere.
NOBODY = 65534


@pytest.fixture(scope="module")
def fits(tmp_path_factory):
    forking = Fits(tmp_path_factory.mktemp("results"))
    yield forking
    forking.close()


@pytest.fixture(scope="module")
def references(fits, tmp_path_factory):
    """A function that gives what an unbroken fit comes to, and the CPU seconds it takes."""
    kept = {}

    def reference(name):
        if name not in kept:
            fit = fits.start(name, None)
            code, result = fit.wait()
            assert code == 0
            assert "error" not in result, result
            kept[name] = result, fit.seconds
        return kept[name]

    return reference


class Run:
    """A run with a checkpoint, which a test breaks."""

    def __init__(self, fits, name, folder, reference, seed=0):
        self.fits, self.name, self.folder = fits, name, folder
        self.expected, self.seconds = reference
        self.rng = np.random.default_rng([seed, sorted(LONGER).index(name)])

    def start(self, **job):
        return self.fits.start(self.name, self.folder, **job)

    def go(self, **job) -> dict:
        return self.fits.run(self.name, self.folder, **job)

    def begin(self) -> bytes:
        """Leave the checkpoint of a run that died on its way; return its content."""
        code, _ = self.start(die_at=25).wait()
        assert code == -signal.SIGKILL
        return self.path.read_bytes()

    @property
    def path(self) -> Path:
        (path,) = self.folder.glob("*.checkpoint")
        return path

    def moment(self) -> float:
        return self.rng.uniform(0, 1.2 * self.seconds)

    def check_whole(self) -> None:
        """Whatever has a checkpoint's name is a whole checkpoint."""
        for path in self.folder.glob("*.checkpoint"):
            assert read(path) is not None

    def finish(self) -> None:
        """The same call must end as if nothing had happened."""
        self.check_whole()
        assert self.go() == self.expected
        assert self.go() == self.expected  # which the file now holds

    def refuse(self, message: str, **job) -> None:
        """The call must name the file and say what is wrong, and leave the file as it is."""
        before = {path: path.read_bytes() for path in self.folder.iterdir()}
        result = self.go(**job)
        assert result.get("error") == "CheckpointError", result
        assert f"{self.folder}/{self.name}-" in result["message"]
        assert re.search(message, result["message"]), result["message"]
        assert {path: path.read_bytes() for path in self.folder.iterdir()} == before


@pytest.fixture
def run_of(fits, references, tmp_path):
    """A function that makes a run of a method in a new folder."""

    def make(name, seed=0, folder=None):
        folder = Path(tempfile.mkdtemp(dir=tmp_path)) if folder is None else folder
        return Run(fits, name, folder, references(name), seed)

    return make


# ------------------------------------------------------------------ signals


def break_by_signal(run, number, **job) -> bool:
    """Send a signal at a random moment; return whether it ended the run."""
    fit = run.start(interval=float(run.rng.choice([0.0, 0.02])), **job)
    fit.compute(run.moment())
    fit.signal(number)
    code, result = fit.wait()
    run.check_whole()
    if code == 0 and "error" not in result:
        assert result == run.expected
        return False
    if number == signal.SIGINT or job.get("sigterm_as_ctrl_c"):
        assert result == {"error": "KeyboardInterrupt", "message": ""}
    else:
        assert code == -number
    return True


def broken_until_done(run_of, name, number, n_times, **job) -> int:
    """Break runs until it was done so often, each until it comes through; return how often."""
    done = seed = 0
    while done < n_times:
        run = run_of(name, seed)
        while break_by_signal(run, number, **job) and done < 10 * n_times:
            done += 1
        run.finish()
        seed += 1
    print(name, signal.Signals(number).name, done, "in", seed, "runs")
    return done


#: How many times a signal breaks runs of a method: by default, and in the long version.
few_and_many = pytest.mark.parametrize("n", [2, pytest.param(60, marks=pytest.mark.slow)])


@every_estimator
@few_and_many
def test_kill_9_at_random_moments(run_of, name, n, record_property):
    record_property("faults", broken_until_done(run_of, name, signal.SIGKILL, n))


@every_estimator
@few_and_many
def test_ctrl_c_at_random_moments(run_of, name, n, record_property):
    record_property("faults", broken_until_done(run_of, name, signal.SIGINT, n))


@every_estimator
@few_and_many
def test_sigterm_at_random_moments(run_of, name, n, record_property):
    record_property("faults", broken_until_done(run_of, name, signal.SIGTERM, n))


def test_sigterm_as_ctrl_c(run_of):
    """What the documentation advises where a scheduler ends runs by SIGTERM."""
    run = run_of("StatDEC")
    fit = run.start(interval=1e9, sigterm_as_ctrl_c=True, params={"pretrain_epochs": 100_000})
    while not list(run.folder.glob("*.checkpoint")):  # the first phase's end
        time.sleep(0.01)
    before = run.path.read_bytes()
    fit.signal(signal.SIGTERM)
    _, result = fit.wait()
    assert result == {"error": "KeyboardInterrupt", "message": ""}
    assert read(run.path)["phase"][2] > 0  # steps of the phase that went on
    assert run.path.read_bytes() != before


# ------------------------------------------------------------------ places that cannot be written


@every_estimator
@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_files_that_may_not_grow_so_large(run_of, name, n):
    for seed in range(n):
        run = run_of(name, seed)
        started = seed % 2 == 0
        size = len(run.begin()) if started else 1000
        message = "cannot write the checkpoint .*: .*File too large"
        run.refuse(message, limits={"file_size": int(run.rng.integers(1, size))})
        run.finish()


@contextmanager
def small_disk(folder: Path, size: int):
    """A disk of `size` bytes at a folder."""
    try:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no disk can be mounted")
    try:
        yield lambda size: subprocess.run(
            ["mount", "-o", f"remount,size={size}", str(folder)], check=True
        )
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@every_estimator
def test_a_full_disk(run_of, name, tmp_path):
    content = (elsewhere := run_of(name)).begin()
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, len(content) + 4096) as resize:
        run = run_of(name, folder=folder)
        (folder / elsewhere.path.name).write_bytes(content)
        run.refuse("cannot write the checkpoint .*: .*No space left on device")
        resize(10 * len(content))
        run.finish()


@contextmanager
def of_nobody(folder: Path, mode: int):
    """A folder that its owner, who is not root, may use as `mode` says."""
    for path in [folder, *folder.iterdir()]:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
    folder.chmod(mode)
    try:
        yield
    finally:
        folder.chmod(0o755)


@every_estimator
def test_a_folder_that_is_read_only(run_of, name):
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run, limits = run_of(name, folder=folder), {"user": NOBODY}
        with of_nobody(folder, 0o555):
            run.refuse("cannot write the checkpoint .*: .*Permission denied", limits=limits)
        run.begin()
        with of_nobody(folder, 0o555):
            run.refuse("cannot write the checkpoint .*: .*Permission denied", limits=limits)
        run.finish()
        with of_nobody(folder, 0o555):
            assert run.go(limits=limits) == run.expected  # nothing is to be written


# ------------------------------------------------------------------ damage


def truncated(content, rng):
    return content[: rng.integers(len(content))]


def flipped(content, rng):
    damaged = bytearray(content)
    damaged[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return bytes(damaged)


@every_estimator
@pytest.mark.parametrize("damage", [truncated, flipped])
@few_and_many
def test_damaged_files(run_of, name, damage, n):
    run = run_of(name)
    content = run.begin()
    path = run.path
    for _ in range(n):
        path.write_bytes(damage(content, run.rng))
        run.refuse(f"{re.escape(str(path))} is (damaged|not a checkpoint of this version)")
    path.write_bytes(content)
    run.finish()


# ------------------------------------------------------------------ others beside


@every_estimator
@pytest.mark.parametrize("n", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_two_processes_that_share_a_path(run_of, name, n):
    for seed in range(n):
        run = run_of(name, seed)
        one, other = run.start(), run.start()
        one.compute(run.moment())
        one.signal(signal.SIGKILL)
        third = run.start()  # where the dead one was, and the other one is
        one.wait()
        assert other.wait() == (0, run.expected)
        assert third.wait() == (0, run.expected)
        run.finish()


# Not by default: where memory is short, OpenBLAS asks for its buffer again and again.
@pytest.mark.slow
@every_estimator
@pytest.mark.parametrize("n", [60])
def test_little_memory(run_of, name, n, record_property):
    ends = {}
    run = run_of(name)
    content = run.begin()
    path = run.path
    for _ in range(n):
        limits = {"memory": int(run.rng.integers(0, 1 << run.rng.integers(12, 26)))}
        code, result = run.start(limits=limits).wait()
        assert code != -signal.SIGALRM, f"hangs for {PATIENCE} s"
        run.check_whole()
        # One that finished all the same may have rounded otherwise: libraries have ways to do
        # without the memory that they like to have.
        end = "finished"
        if code != 0 or "error" in result:
            end = result["error"] if code == 0 else f"exit code {code}"
            # Only memory is short: nothing is wrong with the file, which nobody must delete.
            assert "Delete it" not in (result or {}).get("message", "")
        ends[end] = ends.get(end, 0) + 1
        path.write_bytes(content)
    record_property("ends", ends)
    print(name, ends)
    run.finish()


# ------------------------------------------------------------------ saved estimators


@every_estimator
@pytest.mark.parametrize("n", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_kill_9_while_saving(fits, name, n, tmp_path):
    path = tmp_path / "model"
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(n):
        fit = fits.start(name, path, do="save")
        while not path.exists():
            time.sleep(0.01)
        fit.compute(rng.uniform(0.1, 0.6))
        fit.signal(signal.SIGKILL)
        assert fit.wait()[0] == -signal.SIGKILL
        seen.add(skdeepcluster.load(path).max_epochs)
        skdeepcluster.load(path).predict(X)
    assert seen <= {1, 2}


# ------------------------------------------------------------------ what the dead leave


def test_what_killed_processes_left_is_swept_in_a_day(run_of):
    run = run_of("MMDC")
    names = ["a" * 32, "b" * 32]
    run.begin()
    old, new = (run.folder / f"{run.path.name}.{name}.partial" for name in names)
    others = [run.folder / f"other.checkpoint.{'c' * 32}.partial", run.folder / "mine.partial"]
    for path in (old, new, *others):
        path.write_bytes(b"half")
    for path in (old, *others):
        os.utime(path, (time.time() - 90_000,) * 2)
    run.finish()
    assert not old.exists()
    assert new.exists()  # somebody may be writing it
    assert all(path.exists() for path in others)  # of other runs, or none of ours


def test_the_folder_of_a_run_is_enough(run_of, tmp_path):
    """A checkpoint that was moved is gone on with where it now is."""
    run = run_of("MMDC")
    run.begin()
    moved = tmp_path / "moved"
    shutil.move(run.folder, moved)
    run_of("MMDC", folder=moved).finish()
