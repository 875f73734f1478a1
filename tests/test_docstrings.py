"""Everything public has an example that runs (pytest runs them), and says what it returns."""

import inspect

import pytest
from skorch.callbacks import Callback
from torch import nn

import skdeepcluster
from skdeepcluster import (
    augmentation,
    callbacks,
    datasets,
    inspection,
    metrics,
    model_selection,
    networks,
    objectives,
    targets,
)
from skdeepcluster._base import DeepClusterer

MODULES = [
    skdeepcluster,
    augmentation,
    callbacks,
    datasets,
    inspection,
    metrics,
    model_selection,
    networks,
    objectives,
    targets,
]
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in MODULES
    for name in module.__all__
}
FUNCTIONS = {name: item for name, item in PUBLIC.items() if inspect.isfunction(item)}
CLASSES = {name: item for name, item in PUBLIC.items() if inspect.isclass(item)}
#: Callables that are neither: nothing but their module's docstring can have their example.
OBJECTS = sorted(set(PUBLIC) - {*FUNCTIONS, *CLASSES, "skdeepcluster.objectives.TARGET_READINGS"})


def methods(cls):
    """Public methods that the package itself defines; a callback's hooks are the net's to call."""
    hooks = set(dir(Callback)) if issubclass(cls, Callback) else set()
    return {
        f"{cls.__name__}.{name}": method
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") and method.__module__.startswith("skdeepcluster")
        if name not in hooks
    }


METHODS = {
    name: method
    for cls in [DeepClusterer, *CLASSES.values()]
    if not issubclass(cls, Exception | nn.Module)
    for name, method in methods(cls).items()
}


def examples(text):
    """What stands below the heading, without the lines that only import."""
    _, _, below = (text or "").partition("Examples\n")
    lines = [line.strip() for line in below.splitlines()]
    code = [line for line in lines if line.startswith((">>> ", "... "))]
    return "\n".join(line for line in code if not line[4:].startswith(("import ", "from ")))


@pytest.mark.parametrize("name", sorted(FUNCTIONS | CLASSES | METHODS))
def test_what_is_public_has_an_example_that_uses_it(name):
    item = (FUNCTIONS | CLASSES | METHODS)[name]
    assert name.rsplit(".", 1)[1] in examples(item.__doc__)


@pytest.mark.parametrize("name", OBJECTS)
def test_scorers_have_an_example_in_their_module(name):
    module, short = name.rsplit(".", 1)
    assert callable(PUBLIC[name])
    assert short in examples(inspect.getmodule(PUBLIC[name]).__doc__)
    assert module in ("skdeepcluster.metrics", "skdeepcluster.model_selection")


@pytest.mark.parametrize("name", sorted(FUNCTIONS | METHODS))
def test_what_is_public_says_the_type_of_what_it_returns(name):
    signature = inspect.signature((FUNCTIONS | METHODS)[name])
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.name == "self" or parameter.annotation is not inspect.Parameter.empty
