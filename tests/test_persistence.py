"""Saved estimators come back whole; files that are not whole are refused, and never executed."""

import json
import os
import pickle
import re
import stat

import joblib
import numpy as np
import pandas as pd
import pytest
import safetensors
import torch
from estimators import QUICK, blobs, brief, every_estimator, images, quick, unconverged
from numpy.testing import assert_array_equal
from safetensors.torch import save_file
from skorch.callbacks import Callback

import skdeepcluster
from skdeepcluster import LoadError, _persistence
from skdeepcluster.networks import MLPAutoencoder

pytestmark = unconverged


@pytest.fixture(scope="module", params=sorted(QUICK))
def fitted(request):
    """A fitted estimator, never to be changed, and its training data."""
    X = pd.DataFrame(blobs(), columns=["a", "b", "c", "d"])
    return quick(request.param, n_clusters=3, random_state=0).fit(X), X


@pytest.fixture
def saved(fitted, tmp_path):
    """The file of `fitted`."""
    path = tmp_path / "model.safetensors"
    fitted[0].save(path)
    return path


def assert_same(loaded, model, X) -> None:
    for method in ("predict", "predict_proba", "transform", "score", "score_samples"):
        if hasattr(model, method):
            got, expected = getattr(loaded, method)(X), getattr(model, method)(X)
            assert_array_equal(got, expected, err_msg=method)
    if hasattr(model, "inverse_transform"):
        Z = model.transform(X)
        assert_array_equal(loaded.inverse_transform(Z), model.inverse_transform(Z))
    for name, value in vars(model).items():
        if name.endswith("_") and name != "net_":
            assert_array_equal(getattr(loaded, name), value, err_msg=name)
            assert type(getattr(loaded, name)) is type(value), name
    assert vars(loaded).keys() == vars(model).keys()


# ------------------------------------------------------------------ round trips


def test_everything_comes_back(fitted, saved):
    model, X = fitted
    loaded = skdeepcluster.load(saved)
    assert type(loaded) is type(model)
    assert_same(loaded, model, X)
    assert loaded.get_params() == model.get_params()
    assert_array_equal(loaded.get_feature_names_out(), model.get_feature_names_out())


def test_a_loaded_estimator_is_fitted_again(fitted, saved):
    model, X = fitted
    loaded = skdeepcluster.load(str(saved)).fit(X)
    assert_array_equal(loaded.labels_, model.labels_)
    assert_array_equal(loaded.transform(X), model.transform(X))


def test_a_loaded_estimator_is_saved_again(fitted, saved, tmp_path):
    model, X = fitted
    again = tmp_path / "again"
    skdeepcluster.load(saved).save(again)
    assert_same(skdeepcluster.load(again), model, X)
    assert again.read_bytes() == saved.read_bytes()


def test_a_loaded_estimator_is_pickled(fitted, saved):
    model, X = fitted
    assert_same(pickle.loads(pickle.dumps(skdeepcluster.load(saved))), model, X)


@every_estimator
@pytest.mark.parametrize("channels, first", [(None, False), (1, False), (3, False), (3, True)])
@pytest.mark.parametrize("as_rows", [False, True])
def test_images(name, channels, first, as_rows, tmp_path):
    X = images(channels=channels)
    if first:
        X = X.transpose(0, 3, 1, 2)
    image_shape = list(X.shape[1:]) if as_rows else None
    if as_rows:
        X = X.reshape(len(X), -1)
    model = brief(name, n_clusters=2, random_state=0, image_shape=image_shape).fit(X)
    model.save(tmp_path / "model")
    assert_same(skdeepcluster.load(tmp_path / "model"), model, X)


@every_estimator
def test_parameters_of_all_kinds(name, tmp_path):
    model = quick(
        name,
        n_clusters=np.int64(2),
        image_shape=np.array([2, 2]),
        learning_rate=np.float32(0.001),
        random_state=np.random.RandomState(0),
        callbacks=[],
        checkpoint=tmp_path / "checkpoints",
        verbose=False,
    ).fit(blobs())
    model.save(tmp_path / "model")
    loaded = skdeepcluster.load(tmp_path / "model")
    assert_same(loaded, model, blobs())
    assert loaded.n_clusters == 2
    assert loaded.image_shape == (2, 2)
    assert loaded.random_state is None
    assert loaded.callbacks is None
    assert loaded.checkpoint is None


def test_parameters_in_place_of_the_saved_ones(fitted, saved):
    model, X = fitted
    loaded = skdeepcluster.load(saved, device="cpu", batch_size=7)
    assert (loaded.device, loaded.batch_size) == ("cpu", 7)
    assert_array_equal(loaded.predict(X), model.labels_)


def test_loading_and_saving_leave_the_global_random_state_alone(fitted, tmp_path):
    before = torch.get_rng_state()
    fitted[0].save(tmp_path / "model")
    skdeepcluster.load(tmp_path / "model")
    assert torch.equal(torch.get_rng_state(), before)


# ------------------------------------------------------------------ networks of the user's own


class Tied(torch.nn.Module):
    """An autoencoder whose decoder shares the encoder's weights."""

    def __init__(self, input_shape, width=2):
        super().__init__()
        self.first = torch.nn.Linear(int(np.prod(input_shape)), width)
        self.last = torch.nn.Linear(width, self.first.in_features)
        self.last.weight = torch.nn.Parameter(torch.zeros_like(self.first.weight.T))
        self.again = self.first
        self.input_shape = input_shape

    def encode(self, x):
        return self.first(x.flatten(1))

    def decode(self, z, q=None):
        return (self.last(z) + z @ self.again.weight).unflatten(1, self.input_shape)

    def forward(self, x):
        return self.encode(x)


class Trunk(torch.nn.Sequential):
    """Features of tables, for methods without an autoencoder."""

    def __init__(self, input_shape, width=2):
        super().__init__(torch.nn.Linear(int(np.prod(input_shape)), width))


class TiedGaussian(Tied):
    """The same with variances beside its means, for a Gaussian likelihood."""

    def __init__(self, input_shape, width=4):
        super().__init__(input_shape, width)
        self.variance = torch.nn.Linear(width, self.first.in_features)

    def decode(self, z):
        return torch.cat([super().decode(z), self.variance(z)], dim=1)


#: Networks that methods take.
NETWORKS = {
    "DCCS": Tied,
    "MMDC": Trunk,
    "StatDEC": Tied,
    "VariationalGMMClustering": TiedGaussian,
}


@every_estimator
def test_what_could_not_be_loaded_is_not_saved(name, tmp_path):
    path = tmp_path / "model.safetensors"
    model = brief(name, n_clusters=3).fit(blobs()).set_params(n_clusters=5)
    with pytest.raises(ValueError, match=r"not those of the fit.*should be .*found"):
        model.save(path)
    other = {"StatDEC": {"statistics_pooling": False}, "DCCS": {"n_clusters": 4, "n_style": 3},
             "VariationalGMMClustering": {"batch_norm": False}}  # fmt: skip
    for params in ({"learning_rate": -1.0}, other.get(name, {"n_clusters": 2})):
        changed = brief(name, n_clusters=3).fit(blobs()).set_params(**params)
        with pytest.raises(ValueError, match="not those of the fit"):
            changed.save(path)
    mine = type("Mine", (type(model),), {"__module__": "somewhere"})
    with pytest.raises(TypeError, match="a Mine cannot be saved"):
        mine(**model.get_params()).fit(blobs()).save(path)
    assert not path.exists()
    model.set_params(n_clusters=3, max_epochs=7).save(path)  # what shapes no network may change
    assert skdeepcluster.load(path).max_epochs == 7


@every_estimator
def test_what_a_callback_records_is_saved(name, tmp_path):
    class Records(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("probe", torch.tensor(1.5))

    model = brief(name, n_clusters=3, callbacks=[Records()]).fit(blobs())
    model.save(tmp_path / "model.safetensors")
    assert skdeepcluster.load(tmp_path / "model.safetensors").history_ == model.history_
    assert model.history_[0]["probe"] == 1.5


@pytest.mark.filterwarnings("error")
def test_a_model_from_a_memory_map_is_saved(tmp_path):
    model = brief("StatDEC", n_clusters=3, random_state=0).fit(blobs())
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    mapped.save(tmp_path / "model.safetensors")
    assert_same(skdeepcluster.load(tmp_path / "model.safetensors"), model, blobs())


@every_estimator
def test_a_network_of_ones_own_must_be_passed(name, tmp_path):
    if name not in NETWORKS:
        return
    network, path = NETWORKS[name], tmp_path / "model"
    model = quick(name, n_clusters=3, network=network, random_state=0).fit(blobs())
    model.save(path)
    with pytest.raises(LoadError, match="pass network to load: functions are not saved"):
        skdeepcluster.load(path)
    assert_same(skdeepcluster.load(path, network=network), model, blobs())
    with pytest.raises(LoadError, match=r"model.*(size mismatch|Error\(s\) in loading|shapes)"):
        skdeepcluster.load(path, network=lambda shape: network(shape, width=3))
    with pytest.raises(LoadError, match=r"model.*(Error\(s\) in loading|shapes)"):
        skdeepcluster.load(path, network=lambda shape: MLPAutoencoder(shape, 2, (4, 4)))
    with pytest.raises(LoadError, match="network must be one of"):
        skdeepcluster.load(path, network="other")


class Brightness(torch.nn.Module):
    """A task for MMDC beside clustering: the mean of an input's numbers."""

    name = "brightness"

    def __init__(self, n_features, n_hidden=1):
        super().__init__()
        self.linear = torch.nn.Linear(n_features, n_hidden)

    def forward(self, trunk, x, crop):
        x = crop(x)
        error = self.linear(trunk(x)).mean(dim=1) - x.flatten(1).mean(dim=1)
        return {"loss": error.square().mean()}


def test_an_auxiliary_task_of_ones_own_must_be_passed(tmp_path):
    path = tmp_path / "model"
    params = {"auxiliary": Brightness, "max_epochs": 2, "random_state": 0}
    model = quick("MMDC", n_clusters=3, **params).fit(blobs())
    model.save(path)
    with pytest.raises(LoadError, match="pass auxiliary to load: functions are not saved"):
        skdeepcluster.load(path)
    loaded = skdeepcluster.load(path, auxiliary=Brightness)
    assert_same(loaded, model, blobs())
    assert_array_equal(*(m.net_.auxiliary_.linear.weight.detach() for m in (loaded, model)))
    with pytest.raises(LoadError, match=r"size mismatch for linear\.weight"):
        skdeepcluster.load(path, auxiliary=lambda n_features: Brightness(n_features, 2))
    with pytest.raises(LoadError, match=r"unknown tensors \['auxiliary.linear.bias'"):
        skdeepcluster.load(path, auxiliary=None)
    again = loaded.fit(blobs())
    assert_array_equal(again.labels_, model.labels_)
    assert {row["phase"] for row in again.history_} == {"brightness", "clustering"}


# ------------------------------------------------------------------ writing


def test_a_failing_write_keeps_the_old_file(fitted, saved, tmp_path, monkeypatch):
    model, X = fitted

    def fail(*args):
        raise OSError("no space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, fail)
            with pytest.raises(OSError, match="no space left"):
                model.save(saved)
    assert os.listdir(tmp_path) == [saved.name]
    assert_same(skdeepcluster.load(saved), model, X)


def test_a_folder_that_is_not_there(fitted, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        fitted[0].save(tmp_path / "nowhere" / "model")


@pytest.mark.skipif(os.name != "posix", reason="permissions are posix's")
def test_a_file_has_the_permissions_of_any_new_file(saved, tmp_path):
    other = tmp_path / "other"
    other.touch()
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_a_file_is_replaced(fitted, saved, tmp_path):
    model, X = fitted
    saved.write_bytes(b"something else")
    model.save(saved)
    assert_same(skdeepcluster.load(saved), model, X)
    assert os.listdir(tmp_path) == [saved.name]


# ------------------------------------------------------------------ refusals


def refuse(path, message) -> None:
    with pytest.raises(LoadError, match=message) as caught:
        skdeepcluster.load(path)
    assert str(path) in str(caught.value)


def contents(path) -> tuple[dict, dict]:
    """What a file holds: its description and its tensors."""
    with safetensors.safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        description = json.loads(file.metadata()["skdeepcluster"])
    del description["checksum"]
    return description, tensors


def rewrite(path, change) -> None:
    """Change what a file holds, with a checksum that is right."""
    description, tensors = contents(path)
    change(description, tensors)
    path.write_bytes(_persistence.encode(description, tensors))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        skdeepcluster.load(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        skdeepcluster.load(tmp_path)


class Malicious:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
def test_pickles_are_never_executed(tmp_path, protocol):
    path, trace = tmp_path / "model", str(tmp_path / "executed")
    path.write_bytes(pickle.dumps(Malicious(trace), protocol=protocol))
    refuse(path, "not a saved estimator, or it is damaged")
    torch.save(Malicious(trace), path)
    refuse(path, "not a saved estimator, or it is damaged")
    assert not os.path.exists(trace)


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"hello", b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}"]
)
def test_other_files(tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    refuse(path, "not a saved estimator, or it is damaged")


def test_safetensors_of_others(tmp_path):
    path = tmp_path / "model"
    save_file({"weight": torch.zeros(2)}, path)
    refuse(path, "not a saved estimator")
    save_file({"weight": torch.zeros(2)}, path, {"skdeepcluster": "not JSON"})
    refuse(path, "not a saved estimator, or it is damaged")
    save_file({"weight": torch.zeros(2)}, path, {"skdeepcluster": "[" * 100_000})
    refuse(path, "not a saved estimator, or it is damaged")
    for text in ("[]", "3", "{}", "null"):
        save_file({"weight": torch.zeros(2)}, path, {"skdeepcluster": text})
        refuse(path, "has format .*this version reads format 1")


def test_truncated_files(saved):
    content = saved.read_bytes()
    for length in range(0, len(content), max(1, len(content) // 40)):
        saved.write_bytes(content[:length])
        refuse(saved, "not a saved estimator, or it is damaged")
    saved.write_bytes(content[:-1])
    refuse(saved, "not a saved estimator, or it is damaged")
    saved.write_bytes(content + b"\0")
    refuse(saved, "not a saved estimator, or it is damaged")


def test_flipped_bits(saved):
    content = saved.read_bytes()
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(content[:8], "little")
    places = [*range(10), *rng.integers(8, header, 200), *rng.integers(header, len(content), 50)]
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        saved.write_bytes(damaged)
        refuse(saved, "damaged|has format|not a saved estimator")


def set_path(*keys, value):
    def change(description, tensors):
        for key in keys[:-1]:
            description = description[key]
        description[keys[-1]] = value

    return change


#: Changes of the description, and what the message says.
DESCRIPTIONS = {
    "another format": (set_path("format", value=2), "has format 2, this version reads format 1"),
    "unknown estimator": (set_path("estimator", value="Other"), "unknown estimator 'Other'"),
    "estimator of a wrong type": (set_path("estimator", value=[]), r"a name, found \[\]"),
    "unknown parameter": (set_path("params", "foo", value=1), "unexpected keyword .*'foo'"),
    "bad parameter": (set_path("params", "n_clusters", value=2.5), "n_clusters must be an int"),
    "other parameter": (set_path("params", "n_clusters", value=4), "size mismatch|shape|size"),
    "parameters of a wrong type": (set_path("params", value=[]), "cannot load"),
    "wrong input": (set_path("input_shape", value=[5]), "row_shape should be 5, found 4"),
    "no input": (set_path("input_shape", value=None), "cannot load"),
    "wrong row": (set_path("row_shape", value=[2, 3]), "row_shape should be 4, found 6"),
    "wrong features": (set_path("n_features_in", value=3), "n_features_in should be 4, found 3"),
    "wrong names": (set_path("feature_names_in", value=["a"]), "feature_names_in should be 4"),
    "wrong number of rows": (set_path("n_samples", value=3), r"labels should be \(3,\), found"),
    "left out": (set_path("left_out", value=["network"]), "pass network to load"),
}


@pytest.mark.parametrize("change, message", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
def test_descriptions_that_do_not_fit(saved, change, message):
    rewrite(saved, change)
    refuse(saved, message)


def test_descriptions_with_something_missing(saved):
    whole = saved.read_bytes()
    for key in contents(saved)[0]:
        rewrite(saved, lambda description, tensors, key=key: description.pop(key))
        refuse(saved, "has format None" if key == "format" else f"it has no '{key}'")
        saved.write_bytes(whole)


def test_tensors_missing(saved):
    whole = saved.read_bytes()
    for key in contents(saved)[1]:
        rewrite(saved, lambda description, tensors, key=key: tensors.pop(key))
        refuse(saved, key.split(".", 1)[-1])
        saved.write_bytes(whole)


def test_tensors_of_another_shape(saved):
    def grow(description, tensors, key):
        tensors[key] = torch.cat([tensors[key].reshape(-1), tensors[key].reshape(-1)[:1]])

    whole = saved.read_bytes()
    for key in contents(saved)[1]:
        rewrite(saved, lambda description, tensors, key=key: grow(description, tensors, key))
        refuse(saved, "size mismatch|shape")
        saved.write_bytes(whole)


def test_tensors_of_another_type(saved):
    def change(description, tensors, key):
        tensors[key] = tensors[key].to(torch.int32)

    whole = saved.read_bytes()
    for key in ("labels", "shift", "factor"):
        rewrite(saved, lambda description, tensors, key=key: change(description, tensors, key))
        refuse(saved, f"the type of {key} should be")
        saved.write_bytes(whole)


def test_tensors_too_many(saved):
    rewrite(saved, lambda description, tensors: tensors.update(other=torch.zeros(2)))
    refuse(saved, r"unknown tensors \['other'\]")


def test_a_device_that_is_not_here(saved):
    rewrite(saved, set_path("params", "device", value="cuda:99"))
    refuse(saved, "device='cuda:99' is not available")
    skdeepcluster.load(saved, device="cpu")


def test_a_checksum_is_needed(saved):
    description, tensors = contents(saved)
    save_file(tensors, saved, {"skdeepcluster": json.dumps(description)})
    refuse(saved, "does not match its checksum")


def test_another_spelling_of_the_same_content_is_damage(saved):
    with safetensors.safe_open(saved, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = file.metadata()["skdeepcluster"]
    number = re.search(r'"learning_rate": 0\.\d+', text).group()
    for before, after in (('"format": 1', '"format":  1'), (number, f"{number}E0")):
        assert before in text
        save_file(tensors, saved, {"skdeepcluster": text.replace(before, after, 1)})
        refuse(saved, "does not match its checksum")
