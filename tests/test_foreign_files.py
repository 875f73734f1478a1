"""Files that others made: models of every version are opened, and nothing else does harm."""

import json
import os
import pickle
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import skdeepcluster
from skdeepcluster import LoadError, _persistence

FIXTURES = sorted(Path(__file__).parent.glob("fixtures/format-*/*.safetensors"))

fixtures = pytest.mark.parametrize(
    "path", FIXTURES, ids=[f"{path.parent.name}/{path.stem}" for path in FIXTURES]
)


# ------------------------------------------------------------------ models of every version


def test_there_are_models_of_every_format():
    formats = {path.parent.name for path in FIXTURES}
    assert formats == {f"format-{n}" for n in range(1, _persistence.FORMAT + 1)}
    for folder in formats:
        kinds = {path.stem.split("-")[0] for path in FIXTURES if path.parent.name == folder}
        assert kinds >= {"DCCS", "MMDC", "StatDEC", "VariationalGMMClustering"}
    assert sum(path.stat().st_size for path in FIXTURES) < 200_000


@fixtures
def test_models_of_every_version_are_opened(path, tmp_path):
    """Other processors round otherwise, but labels are the same."""
    model = skdeepcluster.load(path)
    with np.load(path.with_suffix(".npz")) as file:
        answers = {name: file[name] for name in file.files}
    X = answers.pop("X")
    assert_array_equal(model.labels_, answers["predict"])
    assert_array_equal(model.predict(X), answers.pop("predict"))
    for method, expected in answers.items():
        assert_allclose(getattr(model, method)(X), expected, rtol=1e-4, atol=1e-5, err_msg=method)
    model.save(tmp_path / "again")
    assert_array_equal(skdeepcluster.load(tmp_path / "again").predict(X), model.labels_)


def test_a_parameter_that_came_later_is_what_the_model_was_like():
    (path,) = (p for p in FIXTURES if p.name == "VariationalGMMClustering.safetensors")
    assert "batch_norm" not in contents(path)[0]["params"]
    assert skdeepcluster.load(path).batch_norm is False


# ------------------------------------------------------------------ what a file may hold


def contents(path: Path) -> tuple[dict, dict]:
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = json.loads(file.metadata()["skdeepcluster"])
    del description["checksum"]
    return description, tensors


def refused_or_loaded(path: Path) -> bool:
    """Load a file that may hold anything; return whether it was refused, as it must be, or fits."""
    message = ""
    try:
        model = skdeepcluster.load(path)
    except LoadError as error:
        message = str(error)
    if message:
        assert str(path) in message
        return True
    try:
        assert model.predict(np.zeros((2, model.n_features_in_))).shape == (2,)
    except ValueError as error:
        message = str(error)
    assert not message or "not finite" in message
    return False


def forge(path: Path, description: dict, tensors: dict) -> None:
    """Write a file whose checksum is right: anybody can calculate it."""
    path.write_bytes(_persistence.encode(description, tensors))


class Harm:
    """What makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_pickles_within_other_files_are_not_executed(tmp_path):
    path, trace = tmp_path / "model", str(tmp_path / "harm")
    poison = pickle.dumps(Harm(trace))
    description, tensors = contents(FIXTURES[0])
    archive = tmp_path / "archive"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", poison)
        file.writestr("archive/version", "3")
    whole = FIXTURES[0].read_bytes()
    for content in (poison, archive.read_bytes(), whole + poison, poison + whole):
        path.write_bytes(content)
        assert refused_or_loaded(path)
    poisoned = torch.frombuffer(bytearray(poison), dtype=torch.uint8)
    for name in tensors:
        forge(path, description, {**tensors, name: poisoned})
        assert refused_or_loaded(path)
    forge(path, {**description, "own": {"pickle": poison.hex()}}, tensors)
    refused_or_loaded(path)
    assert not os.path.exists(trace)


@pytest.mark.parametrize("name", ["../../harm", "/tmp/harm", "..\\harm", "module.__class__", "\0"])
def test_names_of_members_are_no_paths(tmp_path, name):
    """Members of an archive, tensors, parameters: none is a place to write to."""
    inner = tmp_path / "inner"
    inner.mkdir()
    path = inner / "model"
    description, tensors = contents(FIXTURES[0])
    before = sorted(tmp_path.rglob("*"))
    forge(path, description, {**tensors, name: torch.zeros(1)})
    assert refused_or_loaded(path)
    params = {**description["params"], name: 1}
    forge(path, {**description, "params": params}, tensors)
    assert refused_or_loaded(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name.replace("\0", "harm"), b"harm")
    assert refused_or_loaded(path)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, path])


@pytest.mark.parametrize("name, value", [("checkpoint", "../harm"), ("callbacks", ["os.system"])])
def test_a_file_does_not_choose_what_a_later_fit_writes_or_calls(tmp_path, name, value):
    description, tensors = contents(FIXTURES[0])
    description["params"][name] = value
    forge(tmp_path / "model", description, tensors)
    with pytest.raises(LoadError, match=f"{name} is never saved, found"):
        skdeepcluster.load(tmp_path / "model")


@fixtures
@pytest.mark.parametrize("name", ["n_clusters", "hidden_sizes"])
def test_a_small_file_does_not_ask_for_much_memory(path, name, tmp_path):
    description, tensors = contents(path)
    description["params"][name] = {"n_clusters": 1 << 36, "hidden_sizes": [1 << 18] * 4}[name]
    forge(tmp_path / "model", description, tensors)
    with pytest.raises(LoadError, match=r"should be|it has no|larg|overflow|size"):
        skdeepcluster.load(tmp_path / "model")


def header(content: bytes) -> dict:
    return json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])


def with_header(content: bytes, described: object) -> bytes:
    start = 8 + struct.unpack("<Q", content[:8])[0]
    text = json.dumps(described).encode()
    return struct.pack("<Q", len(text)) + text + content[start:]


@pytest.mark.parametrize("length", [0, 1, 7, 1 << 20, 1 << 31, 1 << 63, (1 << 64) - 1])
def test_lengths_of_headers_that_are_wrong(tmp_path, length):
    content = FIXTURES[0].read_bytes()
    (tmp_path / "model").write_bytes(struct.pack("<Q", length) + content[8:])
    assert refused_or_loaded(tmp_path / "model")


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [1 << 62], "data_offsets": [0, 1 << 62]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1]},
        {"dtype": "F8_E8M0", "shape": [4], "data_offsets": [0, 4]},
        [],
        None,
    ],
    ids=str,
)
def test_entries_of_headers_that_are_wrong(tmp_path, entry):
    content = FIXTURES[0].read_bytes()
    for name in header(content):
        described = {**header(content), name: entry}
        (tmp_path / "model").write_bytes(with_header(content, described))
        assert refused_or_loaded(tmp_path / "model")


@pytest.mark.parametrize("depth", [500, 990, 100_000])
def test_json_that_is_deep(tmp_path, depth):
    """Deep enough for the parser to read, and not for what goes through it afterwards."""
    content = FIXTURES[0].read_bytes()
    described = header(content)
    described["__metadata__"]["skdeepcluster"] = '{"format": ' + "[" * depth + "]" * depth + "}"
    (tmp_path / "model").write_bytes(with_header(content, described))
    assert refused_or_loaded(tmp_path / "model")


def test_features_have_no_channels(tmp_path):
    description, tensors = contents(FIXTURES[[p.stem for p in FIXTURES].index("StatDEC")])
    description["channels_last"] = True
    forge(tmp_path / "model", description, tensors)
    with pytest.raises(LoadError, match=r"channels_last is of images, found input_shape \[4\]"):
        skdeepcluster.load(tmp_path / "model")


# ------------------------------------------------------------------ fuzzing

#: Values that a description's own are exchanged for.
odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 3, 1 << 31, 1 << 63, 10**30, 1e30, -1e-30, 1e400, float("nan")]),
    st.sampled_from(["", "auto", "mlp", "StatDEC", "cuda:7", "../x", "\0", "\ud800", "x" * 1000]),
    st.text(max_size=5),
    st.recursive(
        st.integers(-2, 5) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)

odd_tensors = st.builds(
    lambda shape, dtype, value: torch.full(shape, value).to(dtype),
    st.lists(st.integers(0, 4), max_size=4),
    st.sampled_from([torch.float32, torch.float64, torch.int64, torch.uint8, torch.bfloat16]),
    st.sampled_from([0.0, 1.0, float("nan"), float("inf"), 1e30, -1.0]),
)


def places(value: object, above: tuple = ()) -> list[tuple]:
    """List where everything is in nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else []
    if isinstance(value, list):
        items = enumerate(value)
    return [place for key, v in items for place in [(*above, key), *places(v, (*above, key))]]


def forged(draw, path: Path) -> bytes:
    """Exchange, take out and rename things; the checksum is right."""
    description, tensors = contents(path)
    for _ in range(draw(st.integers(1, 3))):
        change = draw(st.sampled_from(["value", "value", "value", "remove", "rename", "tensor"]))
        if change == "tensor":
            name = draw(st.sampled_from(sorted(tensors)) | st.text(max_size=5))
            tensors[name] = draw(odd_tensors)
            continue
        *above, key = draw(st.sampled_from(places(description)))
        holder = description
        for step in above:
            holder = holder[step]
        value = holder[key]
        if change == "value":
            holder[key] = draw(odd_values)
        else:
            del holder[key]
        if change == "rename" and isinstance(holder, dict):
            holder[draw(st.text(max_size=5))] = value
        if not description:
            break
    return _persistence.encode(description, tensors)


def damaged(draw, path: Path) -> bytes:
    """Change bytes, without a thought of what they mean."""
    content = bytearray(path.read_bytes())
    for _ in range(draw(st.integers(1, 4))):
        length = len(content)
        # The header is where parsing is.
        at = draw(st.integers(0, max(0, length - 1)) | st.integers(0, min(length, 400)))
        change = draw(st.sampled_from(["flip", "cut", "insert", "overwrite", "repeat", "remove"]))
        some = draw(st.binary(min_size=1, max_size=9))
        if change == "flip" and at < length:
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif change == "cut":
            del content[at:]
        elif change == "insert":
            content[at:at] = some
        elif change == "overwrite":
            content[at : at + len(some)] = some
        elif change == "repeat":
            content[at:at] = content[at : at + draw(st.integers(1, 500))]
        else:
            del content[at : at + draw(st.integers(1, 500))]
    return bytes(content)


def mislabelled(draw, path: Path) -> bytes:
    """Change what the header of safetensors says of the tensors."""
    content = path.read_bytes()
    described = header(content)
    *above, key = draw(st.sampled_from(places(described)))
    holder = described
    for step in above:
        holder = holder[step]
    holder[key] = draw(odd_values)
    return with_header(content, described)


@st.composite
def hostile_files(draw):
    make = draw(st.sampled_from([forged, forged, damaged, mislabelled]))
    path = draw(st.sampled_from(FIXTURES))
    try:
        return make(draw, path)
    except UnicodeEncodeError:  # half of a surrogate pair is no name of a tensor
        return b""


def fuzz(folder: Path, n: int) -> dict[str, int]:
    """Load `n` files that are not what they should be; return how many were refused."""
    path = folder / "model"
    count = {"files": 0, "refused": 0}

    @settings(
        max_examples=n,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(hostile_files())
    def load(content):
        path.write_bytes(content)
        count["files"] += 1
        count["refused"] += refused_or_loaded(path)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A file may name features, as a frame does that was fitted.
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        warnings.filterwarnings("ignore", "Generating overly large repr")  # of a failing file
        load()
    assert os.listdir(folder) == ["model"]
    return count


@pytest.mark.parametrize("n", [200, pytest.param(100_000, marks=pytest.mark.slow)])
def test_files_that_hold_anything(tmp_path, n, record_property):
    folder = tmp_path / "folder"
    folder.mkdir()
    count = fuzz(folder, n)
    print(count)
    record_property("count", count)
    # Each is another file; hypothesis may leave out what it has seen.
    assert count["files"] >= n // 2
    assert count["refused"] > count["files"] // 2
