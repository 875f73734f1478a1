"""Saving fitted estimators without pickle: one safetensors file with JSON in its header."""

import hashlib
import json
import math
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import save as to_safetensors

from skdeepcluster._files import write_whole
from skdeepcluster._training import Preprocessor

FORMAT = 1


class LoadError(ValueError):
    """A file that :func:`skdeepcluster.load` refuses; the message names it and what is wrong.

    See Also
    --------
    skdeepcluster.load : What raises it.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import skdeepcluster
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "model.safetensors"
    ...     _ = file.write_bytes(b"no model")
    ...     try:
    ...         skdeepcluster.load(file)
    ...     except skdeepcluster.LoadError as error:
    ...         print("is not a saved estimator" in str(error))
    True
    """


def save(estimator, path: str | Path) -> None:
    """Write `estimator` to `path` atomically; see `DeepClusterer.save`."""
    path = Path(path)
    if not _is_of_the_package(type(estimator)):
        raise TypeError(
            f"a {type(estimator).__name__} cannot be saved: load knows the package's own "
            "estimators. Pickle it, or keep the weights of its net_."
        )
    tensors = {
        f"{name}.{key}": value.detach().to("cpu", copy=True).contiguous()  # tied weights, too
        for name in estimator.net_._modules
        for key, value in getattr(estimator.net_, f"{name}_").state_dict().items()
    }
    preprocess = estimator._preprocess
    try:
        estimator._check_parameters()
        _expect("n_clusters", estimator.n_clusters, [estimator.net_.n_clusters])
        if not _left_to_the_user(estimator):
            _check_sizes(estimator, preprocess.input_shape, len(estimator.labels_), tensors)
    except ValueError as error:
        raise ValueError(
            f"parameters are not those of the fit, and load would refuse the file: {error} "
            "Set them back, or fit again."
        ) from error
    tensors["labels"] = torch.tensor(estimator.labels_)  # a copy: they may be read-only
    tensors["shift"] = torch.tensor(preprocess.shift)
    tensors["factor"] = torch.tensor(preprocess.factor)
    params, left_out = _plain(estimator.get_params(deep=False))
    description = {
        "format": FORMAT,
        "estimator": type(estimator).__name__,
        "params": params,
        "left_out": left_out,
        "input_shape": list(preprocess.input_shape),
        "channels_last": preprocess.channels_last,
        "row_shape": list(estimator._row_shape),
        "n_features_in": estimator.n_features_in_,
        "feature_names_in": _names(estimator),
        "n_samples": len(estimator.labels_),
        "n_iter": estimator.n_iter_,
        "history": estimator.history_,
        "own": estimator._own_state(),
    }
    write_whole(path, [encode(description, tensors)])


def _is_of_the_package(cls: type) -> bool:
    """Whether :func:`load` knows a class by its name."""
    return cls.__module__.partition(".")[0] == __package__


def _left_to_the_user(estimator) -> bool:
    """Whether there are functions among the parameters, such as a network of the user's own."""
    return any(map(callable, estimator.get_params(deep=False).values()))


def encode(description: dict, tensors: dict[str, torch.Tensor]) -> bytes:
    """Return the content of a file, checksum included."""
    description = json.loads(json.dumps(description, default=_as_json))
    description["checksum"] = _checksum(description, tensors)
    # One entry only: safetensors writes several in random order.
    return to_safetensors(tensors, {"skdeepcluster": json.dumps(description)})


def _checksum(description: dict, tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.blake2b(json.dumps(description).encode(), digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def load(path: str | Path, estimators: dict[str, type], **params) -> Any:
    """Read what :func:`save` wrote.

    Parameters
    ----------
    path : str or path
    estimators : dict of str to class
        The estimators that may be in the file.
    **params
        Parameters in place of the saved ones.

    Raises
    ------
    LoadError
        If the file is not one of ours, or is damaged, or does not fit together.
    """
    path = Path(path)
    description, tensors = _read(path)
    try:
        _check_description(description)
        return _rebuild(description, tensors, estimators, params)
    except KeyError as error:
        raise LoadError(f"cannot load {path}: it has no {error}.") from error
    except Exception as error:  # a file may say anything
        raise LoadError(f"cannot load {path}: {error}") from error


def _read(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}.")
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        text = metadata["skdeepcluster"]
        description = json.loads(text)
        # The same numbers may be spelt otherwise (1E-05): that is not what was written, either.
        spelt = json.dumps(description) == text
    except Exception as error:  # a file may hold anything
        raise LoadError(f"{path} is not a saved estimator, or it is damaged: {error}") from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        found = description.get("format") if isinstance(description, dict) else description
        raise LoadError(f"{path} has format {found!r:.100}, this version reads format {FORMAT}.")
    if description.pop("checksum", None) != _checksum(description, tensors) or not spelt:
        raise LoadError(f"{path} is damaged: its content does not match its checksum.")
    return description, tensors


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0  # True is none


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any, check: Callable) -> bool:
    return isinstance(value, list) and all(map(check, value))


#: What a description holds, in words and as a check.
_EXPECTED = {
    "estimator": ("a name", _is_name),
    "params": ("a dict", _is_dict),
    "left_out": ("a list of names", partial(_is_list, check=_is_name)),
    "input_shape": ("a list of counts", partial(_is_list, check=_is_count)),
    "channels_last": ("true or false", lambda value: isinstance(value, bool)),
    "row_shape": ("a list of counts", partial(_is_list, check=_is_count)),
    "n_features_in": ("a count", _is_count),
    "feature_names_in": (
        "a list of names or null",
        lambda value: value is None or _is_list(value, _is_name),
    ),
    "n_samples": ("a count", _is_count),
    "n_iter": ("a count", _is_count),
    "history": ("a list of dicts", partial(_is_list, check=_is_dict)),
    "own": ("a dict", _is_dict),
}


def _check_description(description: dict) -> None:
    """Raise unless values have the types that they are written with."""
    for name, (words, check) in _EXPECTED.items():
        if not check(description[name]):
            raise TypeError(f"{name} should be {words}, found {description[name]!r:.100}.")
    # A file must not choose where a later `fit` writes, nor what it calls.
    for name in ("callbacks", "checkpoint"):
        value = description["params"].get(name)
        if value is not None:
            raise ValueError(f"{name} is never saved, found {value!r:.100}.")


def _rebuild(description: dict, tensors: dict, estimators: dict[str, type], params: dict) -> Any:
    name = description["estimator"]
    if name not in estimators:
        raise ValueError(f"unknown estimator {name!r}, expected one of {sorted(estimators)}.")
    missing = set(description["left_out"]) - set(params)
    if missing:
        raise ValueError(f"pass {', '.join(sorted(missing))} to load: functions are not saved.")
    cls = estimators[name]
    estimator = cls(**{**cls._before, **_tuples(description["params"]), **params})
    estimator._check_parameters()
    input_shape = tuple(description["input_shape"])
    n_features = math.prod(input_shape)
    names = description["feature_names_in"]
    _expect("row_shape", math.prod(description["row_shape"]), (n_features,))
    _expect("n_features_in", description["n_features_in"], (n_features,))
    if description["channels_last"] and len(input_shape) != 3:
        raise ValueError(f"channels_last is of images, found input_shape {list(input_shape)}.")
    _expect("feature_names_in", n_features if names is None else len(names), (n_features,))
    estimator._preprocess = Preprocessor(
        input_shape,
        description["channels_last"],
        _array("shift", tensors, torch.float64, [(1,), (n_features,)]),
        _array("factor", tensors, torch.float64, [(1,), (n_features,)]),
    )
    estimator._row_shape = tuple(description["row_shape"])
    estimator._prepared_by = estimator._preparation()
    estimator.n_features_in_ = n_features
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)
    estimator.labels_ = _array("labels", tensors, torch.int64, [(description["n_samples"],)])
    estimator.n_iter_ = description["n_iter"]
    estimator.history_ = description["history"]
    if not _left_to_the_user(estimator):
        _check_sizes(estimator, input_shape, description["n_samples"], tensors)
    net = estimator._empty_net(input_shape, description["n_samples"])
    _load_modules(net, tensors)
    net.trim_for_prediction()
    estimator.net_ = net
    estimator._load_own_state(description["own"])
    estimator._collect()
    return estimator


def _expect(name: str, value: Any, expected: Collection) -> None:
    if value not in expected:
        raise ValueError(f"{name} should be {' or '.join(map(str, expected))}, found {value}.")


def _array(name: str, tensors: dict, dtype: torch.dtype, shapes: Collection) -> np.ndarray:
    tensor = tensors.pop(name)
    _expect(f"the shape of {name}", tuple(tensor.shape), shapes)
    _expect(f"the type of {name}", tensor.dtype, [dtype])
    return tensor.numpy()


def _check_sizes(estimator, input_shape: tuple, n_samples: int, tensors: dict) -> None:
    """Raise unless the file has the weights that its parameters ask for.

    Nothing is allocated for that: a small file might ask for more memory than there is. Networks of
    the user's own, who passes them, need not work on the device "meta" that it takes.
    """
    net = estimator._empty_net(input_shape, n_samples, device=torch.device("meta"))
    wanted = {
        f"{name}.{key}": tuple(value.shape)
        for name in net._modules
        for key, value in getattr(net, f"{name}_").state_dict().items()
    }
    for key, shape in wanted.items():
        if key not in tensors:
            raise ValueError(f"it has no {key}.")
        _expect(f"the shape of {key}", tuple(tensors[key].shape), [shape])
    surplus = tensors.keys() - wanted.keys()
    if surplus:
        raise ValueError(f"unknown tensors {sorted(surplus)}.")


def _load_modules(net, tensors: dict[str, torch.Tensor]) -> None:
    for name in net._modules:
        prefix = f"{name}."
        own = {key.removeprefix(prefix): tensors.pop(key)
               for key in list(tensors) if key.startswith(prefix)}  # fmt: skip
        module = getattr(net, f"{name}_")
        module.load_state_dict(own)
        # Batch normalisation takes a count that is missing for zero.
        missing = module.state_dict().keys() - own.keys()
        if missing:
            raise ValueError(f"it has no {', '.join(sorted(missing))}.")
    if tensors:
        raise ValueError(f"unknown tensors {sorted(tensors)}.")


def _plain(params: dict) -> tuple[dict, list[str]]:
    """Split parameters into what JSON holds and the names of functions that it does not."""
    plain, left_out = {}, []
    for name, value in params.items():
        if name in ("callbacks", "checkpoint") or isinstance(value, np.random.RandomState):
            value = None
        if callable(value):
            left_out.append(name)
        else:
            plain[name] = value
    return plain, left_out


def _as_json(value: Any) -> Any:
    """Turn numpy's numbers and arrays, which parameters may be, into Python's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be saved.")


def _tuples(params: dict) -> dict:
    """JSON has lists where the parameters were tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in params.items()}


def _names(estimator) -> list[str] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else list(names)
