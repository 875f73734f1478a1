"""Batches: every row once an epoch, no copy of the data, and nothing ever written to it."""

import warnings
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skdeepcluster._training._data import (
    MIN_STEPS_PER_EPOCH,
    ROW_BLOCK,
    BatchIterator,
    Preprocessor,
    TensorSource,
    inference_batch_size,
)
from skdeepcluster._training._sampling import evenly_spread, sample_mean


def source_of(n_rows, n_features=2):
    """Rows that tell their own number."""
    rows = np.repeat(np.arange(n_rows, dtype=np.float32)[:, None], n_features, axis=1)
    return TensorSource(rows, Preprocessor.identity(n_features), "cpu")


def iterator_of(n_rows, batch_size, seed=0):
    return BatchIterator(source_of(n_rows), batch_size, torch.Generator().manual_seed(seed))


def flat(batches):
    return list(chain.from_iterable(batches))


def epoch_of(iterator):
    """Row numbers of an epoch, batch by batch, as the net takes an epoch."""
    batches = [batch.index.tolist() for batch in iterator]
    iterator.rewind()
    return batches


# ------------------------------------------------------------------ the iterator


@given(n_rows=st.integers(1, 200), batch_size=st.integers(1, 250))
def test_an_epoch_has_every_row_once_in_even_batches(n_rows, batch_size):
    iterator = iterator_of(n_rows, batch_size)
    batches = epoch_of(iterator)
    sizes = [len(batch) for batch in batches]

    assert sorted(flat(batches)) == list(range(n_rows))
    assert len(iterator) == len(batches)
    assert max(sizes) - min(sizes) <= 1
    # A batch size of 2 and an odd number of rows leave no other way than one batch of three.
    assert max(sizes) <= max(batch_size, 3 if batch_size == 2 else 1)
    if batch_size > 1 and n_rows > 1:
        assert min(sizes) >= 2
    fewest = n_rows if batch_size == 1 else n_rows // 2
    assert len(batches) >= max(1, min(MIN_STEPS_PER_EPOCH, fewest))


@pytest.mark.parametrize(
    "n_rows, batch_size, sizes",
    [
        (1, 256, [1]),
        (2, 256, [2]),
        (3, 256, [3]),
        (5, 256, [3, 2]),
        (7, 4, [3, 2, 2]),
        (7, 1, [1] * 7),
        (3, 2, [3]),
        (100, 256, [13] * 4 + [12] * 4),
        (1000, 300, [125] * 8),
        (1000, 100, [100] * 10),
        (1001, 100, [91] * 11),
        (2049, 256, [228] * 6 + [227] * 3),
        (2048, 256, [256] * 8),
        (1797, 256, [225] * 5 + [224] * 3),
        (8192, 256, [256] * 32),
    ],
)
def test_batch_sizes(n_rows, batch_size, sizes):
    assert [len(batch) for batch in epoch_of(iterator_of(n_rows, batch_size))] == sizes


@given(n_rows=st.integers(128, 30_000), batch_size=st.sampled_from([128, 160, 256, 512]))
def test_many_large_batches_suit_matrix_products(n_rows, batch_size):
    sizes = [len(batch) for batch in epoch_of(iterator_of(n_rows, batch_size))]
    assert sum(sizes) == n_rows
    assert max(sizes) <= batch_size
    if len(sizes) < 32:
        assert max(sizes) - min(sizes) <= 1
    elif n_rows / len(sizes) >= 128:
        assert all(size % 32 == 0 for size in sizes[:-1])
        assert min(sizes) >= n_rows / len(sizes) - 32  # none is tiny


def test_a_batch_holds_the_rows_that_its_index_names():
    for batch in iterator_of(57, 10):
        assert batch.x.tolist() == [[i, i] for i in batch.index.tolist()]


def test_epochs_are_shuffled_anew_and_repeat_with_the_seed():
    iterator = iterator_of(60, 10)
    epochs = [epoch_of(iterator) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert flat(epochs[0]) != list(range(60))

    again = iterator_of(60, 10)
    assert [epoch_of(again) for _ in range(3)] == epochs
    assert epoch_of(iterator_of(60, 10, seed=1)) != epochs[0]


def test_shuffling_neither_reads_nor_moves_the_global_generator():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = epoch_of(iterator_of(60, 10))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert epoch_of(iterator_of(60, 10)) == first


@pytest.mark.parametrize("n_done", range(7))
@pytest.mark.parametrize("n_epochs", [0, 2])
def test_the_state_in_mid_epoch_gives_the_rest_of_the_same_permutation(n_done, n_epochs):
    whole = iterator_of(60, 10)
    for _ in range(n_epochs):
        epoch_of(whole)
    expected = [epoch_of(whole), epoch_of(whole)]

    cut = iterator_of(60, 10)
    assert len(cut) == 8
    for _ in range(n_epochs):
        epoch_of(cut)
    running = iter(cut)
    done = [next(running).index.tolist() for _ in range(n_done)]
    state = cut.state_dict()

    # Another seed, and an epoch begun: all of it must come from the state.
    resumed = iterator_of(60, 10, seed=5)
    next(iter(resumed))
    resumed.load_state_dict(state)
    assert [done + epoch_of(resumed), epoch_of(resumed)] == expected


def test_the_state_after_the_last_batch_leaves_nothing_of_the_epoch():
    cut = iterator_of(60, 10)
    expected = [epoch_of(cut), epoch_of(cut)]
    cut = iterator_of(60, 10)
    for _ in cut:  # and no rewind yet
        pass
    resumed = iterator_of(60, 10, seed=5)
    resumed.load_state_dict(cut.state_dict())
    assert epoch_of(resumed) == []
    assert epoch_of(resumed) == expected[1]


def test_an_epoch_that_was_broken_off_is_followed_by_a_whole_one():
    iterator = iterator_of(60, 10)
    for _ in iterator:
        break
    iterator.rewind()
    state = iterator.state_dict()
    following = epoch_of(iterator)
    assert sorted(flat(following)) == list(range(60))

    resumed = iterator_of(60, 10, seed=5)
    resumed.load_state_dict(state)
    assert epoch_of(resumed) == following


# ------------------------------------------------------------------ the source


def shares_memory(source, array):
    return source.rows.data_ptr() == array.__array_interface__["data"][0]


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "float16", "int64"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("writable", [True, False])
def test_rows_share_memory_with_the_array(dtype, order, writable):
    X = np.asarray(np.arange(60).reshape(20, 3), dtype=dtype, order=order)
    X.flags.writeable = writable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = TensorSource(X, Preprocessor.identity(3), "cpu")
    assert shares_memory(source, X)
    assert source.rows.tolist() == X.tolist()
    assert X.flags.writeable == writable


def test_views_share_memory_with_their_array():
    base = np.arange(240, dtype=np.float32).reshape(40, 6)
    X = base[4:34:3, 1:6:2]
    source = TensorSource(X, Preprocessor.identity(3), "cpu")
    assert shares_memory(source, X)
    assert source[torch.tensor([0, 9])].tolist() == X[[0, 9]].tolist()


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_memory_map_is_read_where_it_is(tmp_path, dtype):
    expected = np.random.default_rng(0).integers(0, 200, (50, 4)).astype(dtype)
    np.save(tmp_path / "X.npy", expected)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = TensorSource(X, Preprocessor.identity(4), "cpu")
    assert shares_memory(source, X)
    address = X.__array_interface__["data"][0]
    del X  # the source alone keeps the map open
    assert source.rows.data_ptr() == address
    assert source[slice(None)].tolist() == expected.tolist()


@pytest.mark.parametrize("index", [slice(None), torch.arange(20)], ids=["slice", "tensor"])
@pytest.mark.parametrize("mode", ["r", None])
def test_a_network_that_works_in_place_leaves_the_data_alone(tmp_path, index, mode):
    # Writing to a read-only map would end the process, writing to an array would change it.
    np.save(tmp_path / "X.npy", np.ones((20, 3), dtype=np.float32))
    X = np.load(tmp_path / "X.npy", mmap_mode=mode)
    source = TensorSource(X, Preprocessor.identity(3), "cpu")
    source[index].mul_(2)
    for x, _ in source.chunks():
        x.mul_(2)
    assert (X == 1).all()


def reference(X, preprocess):
    """What the networks should see, in float64."""
    x = (X.astype(np.float64) - preprocess.shift) * preprocess.factor
    if preprocess.channels_last:
        c, h, w = preprocess.input_shape
        return x.reshape(-1, h, w, c).transpose(0, 3, 1, 2)
    return x.reshape(-1, *preprocess.input_shape)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int8", "int64"])
@pytest.mark.parametrize(
    "input_shape, channels_last",
    [((24,), False), ((1, 6, 4), False), ((3, 4, 2), False), ((3, 4, 2), True)],
)
def test_batches_are_the_preprocessed_rows(dtype, input_shape, channels_last):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 100, (30, 24)).astype(dtype)
    preprocess = Preprocessor(
        input_shape, channels_last, rng.uniform(0, 9, 24), rng.uniform(0.1, 2, 24)
    )
    source = TensorSource(X, preprocess, "cpu")
    iterator = BatchIterator(source, 7, torch.Generator().manual_seed(0))
    expected = reference(X, preprocess)
    for x, index in iterator:
        assert x.dtype == torch.float32
        assert x.is_contiguous()
        np.testing.assert_allclose(x.numpy(), expected[index.numpy()], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(preprocess(source.rows).numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32"])
def test_differences_of_large_numbers_survive(dtype):
    # In float32 these are all the same number.
    X = (1_600_000_000 + np.arange(10)[:, None]).astype(dtype)
    preprocess = Preprocessor((1,), False, np.array([1_600_000_000.0]), np.array([0.5]))
    source = TensorSource(X, preprocess, "cpu")
    assert source[slice(None)].ravel().tolist() == [i / 2 for i in range(10)]
    assert source[torch.arange(10)].ravel().tolist() == [i / 2 for i in range(10)]


@pytest.mark.parametrize("channels_last", [False, True])
def test_invert_undoes_the_preprocessing(channels_last):
    rng = np.random.default_rng(0)
    X = rng.normal(1000, 3, (10, 24))
    preprocess = Preprocessor(
        (3, 4, 2), channels_last, rng.uniform(900, 1000, 24), rng.uniform(0.1, 2, 24)
    )
    back = preprocess.invert(preprocess(torch.from_numpy(X)))
    np.testing.assert_allclose(back.numpy(), X, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("free", "fits"), [(0, False), (1999, False), (2000, True), (9999, True)])
def test_rows_go_to_a_gpu_if_they_take_half_of_what_is_free_there(monkeypatch, dtype, free, fits):
    rows = torch.zeros(1000 // dtype.itemsize, dtype=dtype)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**6))
    source = source_of(3)
    assert not source._fits(rows)  # they are there already
    source.device = source._workplace = torch.device("cuda")
    assert source._fits(rows) == fits


# ------------------------------------------------------------------ inference batches


@pytest.mark.parametrize("n_features", [1, 700, 784, 5000, 200_000])
@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_chunks_have_one_shape_and_hold_all_rows_in_order(n_features, extra):
    size = inference_batch_size((n_features,), torch.get_num_threads())
    # One row told by its first number; the others are not looked at.
    n_rows = (2 if n_features < 5000 else 1) * size + extra
    X = np.zeros((n_rows, n_features), dtype=np.uint8)
    X[:, 0] = np.arange(n_rows) % 251 + 1
    source = TensorSource(X, Preprocessor.identity(n_features), "cpu")
    seen = []
    for x, n_valid in source.chunks():
        assert x.shape == (size, n_features)
        assert not x[n_valid:].any()
        seen += x[:n_valid, 0].tolist()
    assert seen == X[:, 0].tolist()


@given(st.integers(1, 10**8), st.integers(1, 128))
def test_inference_batches_are_whole_blocks_for_every_thread(n_features, threads):
    rows = inference_batch_size((n_features,), threads)
    unit = ROW_BLOCK * threads
    assert rows % unit == 0
    assert rows == unit or 64 - unit / 2 <= rows <= 1024 + unit / 2
    assert rows >= inference_batch_size((n_features + 1,), threads)


def test_a_costly_network_sees_smaller_inference_batches():
    sizes = [inference_batch_size((784,), 1, cost) for cost in (1, 4, 16, 10**9)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[1] < sizes[0] / 2
    assert sizes[-1] >= 64 - ROW_BLOCK / 2


@pytest.mark.parametrize("n_rows", [1, 2, 1025])
def test_chunks_do_not_depend_on_the_number_of_rows(n_rows):
    shapes = {x.shape for x, _ in source_of(n_rows).chunks()}
    assert shapes == {x.shape for x, _ in source_of(3).chunks()}


# ------------------------------------------------------------------ samples


@pytest.mark.parametrize(
    ("n_rows", "n_sampled"), [(3, 3), (8191, 8191), (8192, 4096), (20_001, 5001)]
)
def test_a_sample_is_spread_over_all_rows(n_rows, n_sampled):
    numbers = evenly_spread(source_of(n_rows)).numpy()
    assert len(numbers) == n_sampled
    assert numbers[0] == 0
    step = np.unique(np.diff(numbers)).item()
    assert n_rows - numbers[-1] <= step
    means = sample_mean(source_of(n_rows)), sample_mean(source_of(n_rows), torch.square)
    np.testing.assert_allclose(means[0], [numbers.mean()] * 2)
    np.testing.assert_allclose(means[1], [(numbers.astype(float) ** 2).mean()] * 2)
