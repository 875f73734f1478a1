"""Checkpoint files: the old one or the new one, never anything between; damage is named."""

import errno
import hashlib
import os
import re
import stat
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from skdeepcluster import StatDEC, _files
from skdeepcluster._training import _checkpoint, _fingerprint
from skdeepcluster._training._checkpoint import CheckpointError, read, write
from skdeepcluster._training._fingerprint import fingerprint

STATE = {
    "seed": 3,
    "phase": [1, 2, 30, False],
    "stopped_by": None,
    "history": [{"epoch": 1, "loss": 0.25, "sizes": [1, 2]}],
    "modules": {"module": {"weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}},
    "random": {"cpu": torch.get_rng_state()},
}


def same(a, b):
    if torch.is_tensor(a):
        return torch.equal(a, b) and a.dtype == b.dtype
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b and type(a) is type(b)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "run.checkpoint"


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


# ------------------------------------------------------------------ writing


def test_what_was_written_is_read(path):
    write(path, STATE)
    assert same(read(path), STATE)
    assert names(path) == [path.name]


def test_no_file_is_nothing(path):
    assert read(path) is None


def test_a_new_file_takes_the_place_of_the_old_one(path):
    write(path, {"seed": 1})
    write(path, STATE)
    assert same(read(path), STATE)
    assert names(path) == [path.name]


class Faulty:
    """A call that fails the n-th time."""

    def __init__(self, function, n, error):
        self.function, self.left, self.error = function, n, error

    def __call__(self, *args, **kwargs):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.function(*args, **kwargs)


class FullDisk:
    """A file on a disk that is full after so many writes."""

    def __init__(self, file, n_writes):
        self.file = file
        self.n_writes = n_writes

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()

    def write(self, part):
        if self.n_writes == 0:
            self.file.write(bytes(part)[: len(part) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        self.n_writes -= 1
        return self.file.write(part)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("before", [None, {"seed": 1}])
@pytest.mark.parametrize("fault", ["replace", "fsync", "open", "mkdir", 0, 1, 2])
def test_a_write_that_fails_leaves_the_old_file(monkeypatch, path, before, fault):
    if before is not None:
        write(path, before)
    error = OSError(errno.EIO, "Input/output error")
    if isinstance(fault, int):
        full = lambda *args: FullDisk(open(*args), fault)  # noqa: E731, SIM115
        monkeypatch.setattr(_files, "open", full, raising=False)
        words = "No space left"
    else:
        owner = {"open": _files, "mkdir": Path}.get(fault, os)
        monkeypatch.setattr(owner, fault, Faulty(getattr(owner, fault, open), 1, error), False)
        words = "Input/output error"
    with pytest.raises(CheckpointError, match=words) as caught:
        write(path, STATE)
    monkeypatch.undo()
    assert str(path) in str(caught.value)
    assert same(read(path), before)
    if path.parent.exists():
        assert names(path) == ([] if before is None else [path.name])
    write(path, STATE)
    assert same(read(path), STATE)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_ctrl_c_while_writing_leaves_the_old_file(monkeypatch, path, call):
    write(path, {"seed": 1})
    monkeypatch.setattr(os, call, Faulty(getattr(os, call), 1, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write(path, STATE)
    assert same(read(path), {"seed": 1})
    assert names(path) == [path.name]


def test_content_is_on_the_disk_before_it_gets_its_name(monkeypatch, path):
    calls = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(handle):
        calls.append(("fsync", os.fstat(handle).st_ino, os.fstat(handle).st_size))
        fsync(handle)

    def noting_replace(source, target):
        calls.append(("replace", os.stat(source).st_ino, os.stat(source).st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    write(path, STATE)
    file = path.stat()
    assert calls == [("fsync", file.st_ino, file.st_size), ("replace", file.st_ino, file.st_size)]


def test_a_place_that_cannot_be_written_is_found_out_before(path):
    _checkpoint.check_writable(path)
    assert names(path) == []
    write(path, STATE)
    _checkpoint.check_writable(path)
    assert same(read(path), STATE)

    blocked = path / "run.checkpoint"  # a file is no folder
    for call in (partial(write, blocked, STATE), partial(_checkpoint.check_writable, blocked)):
        with pytest.raises(CheckpointError, match=re.escape(str(blocked))):
            call()
    with pytest.raises(CheckpointError, match=re.escape(str(blocked))):
        read(blocked)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_named(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    path = tmp_path / "run.checkpoint"
    try:
        for call in (partial(write, path, STATE), partial(_checkpoint.check_writable, path)):
            with pytest.raises(CheckpointError, match=re.escape(str(path))):
                call()
    finally:
        tmp_path.chmod(stat.S_IRWXU)


# ------------------------------------------------------------------ damage


def damaged(path, content):
    """Read `content` as a checkpoint: it must be refused, and the file kept and named."""
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "Delete it" in str(caught.value)
    assert path.read_bytes() == content


def test_a_truncated_file_is_named(path):
    write(path, STATE)
    content = path.read_bytes()
    start = len(_checkpoint._MAGIC) + _checkpoint._DIGEST_SIZE
    lengths = {*range(start + 2), *range(start, len(content), 101), len(content) - 1}
    for length in lengths:
        damaged(path, content[:length])


def test_a_flipped_bit_is_named(path):
    write(path, STATE)
    content = path.read_bytes()
    start = len(_checkpoint._MAGIC) + _checkpoint._DIGEST_SIZE
    for position in {*range(start + 8), *range(start, len(content), 53), len(content) - 1}:
        wrong = bytearray(content)
        wrong[position] ^= 1 << position % 8
        damaged(path, bytes(wrong))


def test_more_than_a_checkpoint_is_named(path):
    write(path, STATE)
    damaged(path, path.read_bytes() + b"\0")


def test_other_files_are_named(path):
    write(path, STATE)
    content = path.read_bytes()
    damaged(path, b"")
    damaged(path, b"PK\x03\x04 something else")
    damaged(path, content.replace(b"checkpoint 1", b"checkpoint 2", 1))
    torch.save(STATE, path)
    damaged(path, path.read_bytes())
    payload = b"no state, though it has its checksum"
    digest = hashlib.blake2b(payload, digest_size=_checkpoint._DIGEST_SIZE).digest()
    damaged(path, _checkpoint._MAGIC + digest + payload)


def test_a_folder_in_its_place_is_named(path):
    path.mkdir(parents=True)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        read(path)
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        write(path, STATE)
    assert names(path) == [path.name]


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_nothing_in_a_file_is_executed(monkeypatch, tmp_path, path):
    monkeypatch.chdir(tmp_path)
    write(path, {"harm": Harm()})
    with pytest.raises(CheckpointError, match=re.escape(str(path))):
        read(path)
    assert not (tmp_path / "harm").exists()


# ------------------------------------------------------------------ fingerprints

X = np.arange(12.0).reshape(4, 3)


def of(data=X, name="Method", **params):
    return fingerprint(name, {"lam": 0.1, "network": "auto", "sizes": (5, 4), **params}, data)


def build(shape, width=10):
    return torch.nn.Linear(shape[0], width)


def test_files_of_another_computation_are_not_taken_for_the_same_run(tmp_path, monkeypatch):
    """What the same parameters compute has changed: a run of before is not gone on with."""
    monkeypatch.setattr(_fingerprint, "_COMPUTATION", _fingerprint._COMPUTATION - 1)
    before = file_of(tmp_path)
    monkeypatch.undo()
    assert file_of(tmp_path) != before


def maker(width):
    def build(shape):
        return torch.nn.Linear(shape[0], width)

    return build


class Builder:
    def __init__(self, width):
        self.width = width

    def __call__(self, shape):
        return torch.nn.Linear(shape[0], self.width)

    def method(self, shape):
        return self(shape)


def recursive(depth):
    def build(shape):
        return depth and build(shape)

    return build


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "Other"},
        {"lam": 0.2},
        {"lam": None},
        {"lam": "0.1"},
        {"sizes": (5, 3)},
        {"sizes": (5,)},
        {"more": 1},
        {"network": build},
    ],
)
def test_every_parameter_counts(changed):
    assert of() == of()
    assert of(**changed) != of()


@pytest.mark.parametrize(
    "data",
    [
        X.astype(np.float32),
        X.astype(np.int64),
        X.reshape(3, 4),
        X.reshape(12, 1),
        X[:3],
        X[::-1],
        np.vstack([X, X[:1]]),
        X.T.copy().reshape(4, 3),
    ],
)
def test_dtype_shape_and_order_of_the_data_count(data):
    assert of(data) != of()


@pytest.mark.parametrize("n_rows", [4, 100_001])  # small, and in several pieces
def test_every_number_counts(n_rows):
    data = np.random.default_rng(0).normal(size=(n_rows, 50))
    expected = of(data)
    for row in (0, 1, n_rows // 2, n_rows - 1):
        for column in (0, 49):
            number = data[row, column]
            data[row, column] = np.nextafter(number, np.inf)
            assert of(data) != expected
            data[row, column] = number
    assert of(data) == expected


def test_layout_in_memory_does_not_count(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    wide = np.zeros((8, 6))
    wide[::2, ::2] = X
    for data in (np.asfortranarray(X), mapped, wide[::2, ::2]):
        assert of(data) == of()


@pytest.mark.parametrize(
    "one, other",
    [
        (lambda shape: build(shape, 10), lambda shape: build(shape, 20)),
        (lambda shape: build(shape).bias, lambda shape: build(shape).weight),
        (lambda shape, width=1: width, lambda shape, width=2: width),
        (lambda shape, *, width=1: width, lambda shape, *, width=2: width),
        (lambda shape: [1 for _ in shape], lambda shape: [2 for _ in shape]),
        (maker(10), maker(20)),
        (recursive(1), recursive(2)),
        (partial(build, width=10), partial(build, width=20)),
        (partial(build), build),
        (Builder(10), Builder(20)),
        (Builder(10).method, Builder(20).method),
        (Builder, torch.nn.Linear),
        (maker(np.arange(5000)), maker(np.arange(5000) % 4999)),
        (maker(torch.zeros(5000)), maker(torch.eye(5000)[2500])),
        (maker(torch.tensor(1)), maker(torch.tensor(1.0))),
        (maker({"a": 1}), maker({"a": 2})),
        (maker(b"a"), maker(b"b")),
        (maker(torch.nn.ReLU()), maker(torch.nn.GELU())),
    ],
)
def test_functions_count_by_what_they_do(one, other):
    assert of(network=one) != of(network=other)
    assert of(network=one) == of(network=one)


NETWORK = """
from dataclasses import dataclass

import torch


TWICE = 2
SHIFT = {"by": 1}


def widened(width):
    return TWICE * width


class Layer(torch.nn.Module):
    slope = 1

    def forward(self, x):
        return self.slope * x


class Network(Layer):
    def __init__(self, shape, width=3):
        super().__init__()
        self.layer = torch.nn.Linear(shape[0], widened(width))

    @property
    def size(self):
        return 10

    @staticmethod
    def scaled(x):
        return x / 4

    class Head(torch.nn.Module):
        def forward(self, x):
            return x - SHIFT["by"]

    def encode(self, x):
        return [Layer()(self.layer(row)) for row in x]


def build(shape):
    return [Network(size) for size in shape]


@dataclass
class Builder:
    width: int = 3

    def __call__(self, shape):
        return Network(shape, self.width)
"""


def written(text):
    """What a module of a user's defines."""
    module = ModuleType("networks_of_a_user")
    exec(compile(text, "networks.py", "exec"), vars(module))
    return module


@pytest.mark.parametrize("use", ["Network", "build", "Builder", "Builder()", "Network((3,))"])
@pytest.mark.parametrize(
    "old, new",
    [
        ("TWICE * width", "3 * width"),  # a function that the class names
        ("TWICE = 2", "TWICE = 4"),  # a number that a function names
        ('{"by": 1}', '{"by": 2}'),
        ("slope = 1", "slope = 2"),  # an attribute of its base
        ("slope * x", "slope + x"),  # a method of its base
        ("x / 4", "x / 5"),
        ("return 10", "return 11"),
        ('x - SHIFT["by"]', "x - 2"),  # a class within the class
        ("Layer()(self.layer(row))", "self.layer(row)"),
        ("Network(Layer)", "Network(torch.nn.Module)"),
    ],
)
def test_networks_count_by_the_code_of_their_module(use, old, new):
    made = []
    for text in (NETWORK, NETWORK, NETWORK.replace(old, new)):
        with torch.random.fork_rng():
            torch.manual_seed(0)  # for weights
            made.append(eval(use, vars(written(text))))
    one, same, other = made
    assert of(network=one) == of(network=same)
    assert of(network=one) != of(network=other)


def test_attributes_of_the_same_name_and_counters_do_not_count():
    text = "n = 0\nmean = 1\ndef f(x):\n    global n\n    n += 1\n    return x.mean()"
    one = written(text)
    before = of(network=one.f)
    one.mean, one.n = 2, 5
    assert of(network=one.f) == before


@pytest.mark.parametrize("value", ["eye(3).to_sparse()", "ones(2, dtype=torch.cfloat).conj()",
                                   "ones(2, device='meta')"])  # fmt: skip
def test_any_tensor_of_the_module_counts(value):
    text = f"import torch\nt = torch.{value}\ndef f(x): return x * t"
    assert of(network=written(text).f) == of(network=written(text).f)


def test_code_that_names_itself_and_others_has_an_end():
    lines = [f"def f{i}(x): return {', '.join(f'f{k}(x)' for k in range(40))}" for i in range(40)]
    one, other = (written("\n".join(lines).replace("f0(x): return", new)) for new in
                  ("f0(x): return", "f0(x): return x,"))  # fmt: skip
    assert of(network=one.f39) != of(network=other.f39)


@pytest.mark.parametrize(
    "make",
    [
        lambda: maker(10),
        lambda: recursive(1),
        lambda: partial(maker(10), 5),
        lambda: Builder(10),
        lambda: Builder(10).method,
        lambda: maker(Builder(10)),
        lambda: lambda shape: [build(s) for s in {1, 2, "a"}],
        lambda: maker({"a", "b", "c"}),
        lambda: maker(torch.relu),
        lambda: maker(object()),
    ],
)
def test_functions_made_anew_are_the_same(make):
    one, other = make(), make()
    assert one is not other
    assert of(network=one) == of(network=other)


SCRIPT = """
import sys
from functools import partial
import numpy as np
import torch
from skdeepcluster._training._fingerprint import fingerprint

class Builder:
    def __init__(self, width):
        self.width = width
    def __call__(self, shape):
        return torch.nn.Linear(shape[0], self.width)

def maker(held):
    return lambda shape: [held for _ in {"a", "b", "c"} if shape in ("x", {"y", "z", "w"})]

params = {
    "a": maker(Builder(3)), "b": partial(maker, {"a", "b", "c"}), "c": (1, 2.5, None, "text"),
    "d": torch.relu, "e": Builder(2), "f": np.tanh,
}
print(fingerprint("Method", params, np.ones((3, 2), dtype=np.float32)))
"""


def test_another_process_finds_the_same_file():
    found = set()
    for seed in ("1", "2"):  # of the hashes of strings, so of the order of sets
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


# ------------------------------------------------------------------ the name of an estimator's run

BLOBS = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)


def file_of(folder, data=BLOBS, **changed):
    """Name of the file that a fit keeps, found without training: the run has no epochs."""
    params = {"n_clusters": 2, "hidden_sizes": (4, 4), "random_state": 0, **changed}
    none = {"layerwise_epochs": 0, "pretrain_epochs": 0, "max_epochs": 0}
    before = set(folder.iterdir())
    StatDEC(**{**none, "precision": "float32", **params}, checkpoint=folder).fit(data)
    (new,) = set(folder.iterdir()) - before
    name = new.name
    new.unlink()
    return name


@pytest.mark.parametrize(
    "changed",
    [
        {"n_clusters": 3},
        {"random_state": 1},
        {"random_state": None},
        {"hidden_sizes": (4, 5)},
        {"embedding_dim": 2},
        {"lam": 0.2},
        {"scaling": None},
        {"image_shape": (2, 2)},
        {"batch_size": 7},
        {"tol": 0.5},
        {"update_interval": 3},
        {"statistics_pooling": False},
        {"weighted_target": False},
        {"learning_rate": 0.1},
        {"precision": "bfloat16"},
        {"max_epochs": 1, "layerwise_epochs": 0},
        {"data": BLOBS.astype(np.float64)},
        {"data": BLOBS + 1},
        {"data": BLOBS.reshape(30, 2, 2)},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_shapes_a_run_names_its_file(tmp_path, changed):
    assert file_of(tmp_path, **changed) != file_of(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"verbose": 1},
        {"max_time": 1000},
        {"callbacks": []},
        {"device": "cpu"},
        {"compile": True},
        {"random_state": np.random.RandomState(0)},
        {"data": BLOBS.tolist(), "exact": False},
        {"data": np.asfortranarray(BLOBS)},
    ],
    ids=lambda changed: next(iter(changed)),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_does_not_shape_a_run_does_not_name_its_file(tmp_path, capsys, changed):
    changed = dict(changed)
    data = BLOBS if changed.pop("exact", True) else BLOBS.astype(np.float64)
    assert file_of(tmp_path, **changed) == file_of(tmp_path, data=data)
