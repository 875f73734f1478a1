"""What holds for every method on CUDA, beside what its own tests say: ``pytest -m gpu``."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from estimators import blobs, every_estimator, images, quick, unconverged
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import adjusted_rand_score
from torch.utils.data import TensorDataset

import skdeepcluster

pytestmark = [pytest.mark.gpu, unconverged]

data = pytest.mark.parametrize(
    "X", [blobs(), images(60, 12, 12, 3)], ids=["features", "photographs"]
)


@every_estimator
@data
def test_the_same_weights_answer_alike(name, X, tmp_path):
    model = quick(name, n_clusters=3, random_state=0, device="cpu").fit(X)
    model.save(tmp_path / "model")
    on_cuda = skdeepcluster.load(tmp_path / "model", device="cuda")
    for method in ("predict_proba", "transform"):
        expected, got = getattr(model, method)(X), getattr(on_cuda, method)(X)
        assert_allclose(got, expected, rtol=0.02, atol=2e-3 * np.abs(expected).max())
    assert on_cuda.score(X) == pytest.approx(model.score(X), rel=0.01, abs=0.01)
    assert (on_cuda.predict(X) == model.labels_).mean() > 0.95


@every_estimator
@data
def test_a_fit_on_cuda_keeps_the_identities(name, X):
    torch.cuda.manual_seed(3)
    before = torch.cuda.get_rng_state()
    model = quick(name, n_clusters=3, random_state=0, device="cuda").fit(X)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert_array_equal(model.predict(X), model.labels_)
    assert_array_equal(model.predict_proba(X).argmax(axis=1), model.labels_)
    order = np.random.default_rng(0).permutation(len(X))
    assert_array_equal(model.predict(X[order]), model.labels_[order])
    for row in model.history_:
        assert all(np.isfinite(v) for v in row.values() if isinstance(v, float))


@pytest.mark.parametrize("name", ["StatDEC", "DCCS", "MMDC", "VariationalGMMClustering"])
def test_both_devices_find_the_same_blobs(name):
    X = blobs(300)
    longer = {"DCCS": {"max_epochs": 20}, "VariationalGMMClustering": {"max_epochs": 30}}
    labels = [
        quick(name, n_clusters=3, random_state=0, device=device, **longer.get(name, {}))
        .fit(X)
        .labels_
        for device in ("cpu", "cuda")
    ]
    # Other random numbers, the same groups.
    assert adjusted_rand_score(*labels) > 0.9


@every_estimator
def test_a_model_fitted_on_cuda_opens_without_it(name, tmp_path):
    X = blobs()
    model = quick(name, n_clusters=3, random_state=0, device="cuda").fit(X)
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "X.npy", X)
    code = (
        "import pickle, sys, numpy as np; from skdeepcluster import load; folder = sys.argv[1];"
        "X = np.load(folder + '/X.npy');"
        "a = load(folder + '/model.safetensors', device='cpu').predict(X);"
        "b = pickle.load(open(folder + '/model.pickle', 'rb')).predict(X);"
        "np.save(folder + '/labels.npy', np.stack([a, b]))"
    )
    without_cuda = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=without_cuda, check=True)
    for labels in np.load(tmp_path / "labels.npy"):
        assert (labels == model.labels_).mean() > 0.95


@every_estimator
def test_a_run_on_cuda_is_resumed(name, tmp_path):
    X = blobs()
    params = {"n_clusters": 3, "random_state": 0, "device": "cuda"}
    quick(name, **params, checkpoint=tmp_path, max_time=1e-9).fit(X)
    resumed = quick(name, **params, checkpoint=tmp_path).fit(X)
    assert resumed.labels_.shape == (90,)
    assert len(list(tmp_path.iterdir())) == 1


@every_estimator
def test_a_dataset_and_going_on(name):
    X = blobs(dtype=np.float32)
    dataset = TensorDataset(torch.from_numpy(X))
    model = quick(name, n_clusters=3, random_state=0, device="cuda", warm_start=True).fit(dataset)
    assert_array_equal(model.predict(X), model.labels_)
    model.set_params(max_epochs=0)
    labels = model.labels_
    assert (model.fit(dataset).labels_ == labels).mean() > 0.95
    if hasattr(model, "partial_fit"):
        again = pickle.loads(pickle.dumps(model.partial_fit(X)))
        assert again.partial_fit(X).labels_.shape == (90,)


@every_estimator
def test_bfloat16(name):
    X = blobs()
    model = quick(name, n_clusters=3, random_state=0, device="cuda", precision="bfloat16").fit(X)
    assert_array_equal(model.predict(X), model.labels_)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *((name, {}) for name in ("StatDEC", "DCCS", "MMDC", "VariationalGMMClustering")),
        *(("VariationalGMMClustering", {"posterior_mass": mass}) for mass in (0.9, 1.0)),
        ("VariationalGMMClustering", {"network": "conv"}),
        *(("StatDEC", {"network": network}) for network in ("cnn", "unet", "vae")),
    ],
)
def test_deterministic_fits_are_the_same_to_the_last_bit(name, given):
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); from estimators import images, quick;"
        "X = images(200, 12, 12, 3); given = json.loads(sys.argv[3]);"
        "given |= dict(n_clusters=3, random_state=0, device='cuda', deterministic=True);"
        "a, b = (quick(sys.argv[2], **given).fit(X).predict_proba(X) for _ in range(2));"
        "assert (a == b).all()"
    )
    here = os.path.dirname(__file__)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, here, name, json.dumps(given)],
        env=os.environ | {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"},
        check=True,
    )
