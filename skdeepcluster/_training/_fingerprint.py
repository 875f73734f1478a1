"""Names of runs: hashes of all that shapes them, the same in every process."""

import dis
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType

import numpy as np
import torch

#: Raised when the same parameters come to mean another computation: no file of before fits then.
_COMPUTATION = 6

#: Packages whose code counts by its name: what they compute does not change from call to call.
_LIBRARIES = frozenset(sys.stdlib_module_names) | {
    "numpy",
    "scipy",
    "skdeepcluster",
    "sklearn",
    "skorch",
    "torch",
    "torchvision",
}


def fingerprint(name: str, params: dict, data: np.ndarray) -> str:
    """Hash of all that shapes a run: method, parameters and data.

    Parameters
    ----------
    name : str
        The method's name.
    params : dict of str to object
        Parameters that shape the result. Functions and classes count by name and code, and by the
        functions and classes of their own module that the code names; functions also by what they
        hold. Other objects count by their class and what they hold, or their `repr`. Addresses
        never do.
    data : ndarray
    """
    digest = hashlib.blake2b(digest_size=12)
    described = {key: _Description().of(value) for key, value in sorted(params.items())}
    head = [_COMPUTATION, name, described, list(data.shape), str(data.dtype)]
    digest.update(json.dumps(head).encode())
    step = max(1, (1 << 24) // max(1, data[:1].nbytes))
    for start in range(0, len(data), step):
        digest.update(np.ascontiguousarray(data[start : start + step]).data)
    return digest.hexdigest()


#: Types of what is described by its value where a function's code names it.
_VALUES = (bool, int, float, str, bytes, tuple, list, dict, np.generic, np.ndarray, torch.Tensor)


class _Description:
    """Describes a parameter so that the same call in another process gives the same words."""

    def __init__(self):
        self.known = set()  # functions and classes: described once, however often they are named

    def of(self, value: object, above: tuple[int, ...] = ()) -> str:
        """Describe a value; what stands above it are the objects that hold it."""
        if id(value) in above:  # a function may hold itself
            return "..."
        above = (*above, id(value))

        def inside(*values) -> str:
            return f"{type(value).__qualname__}({', '.join(self.of(v, above) for v in values)})"

        match value:
            case type() | FunctionType():
                name = f"{value.__module__}.{value.__qualname__}"
                if id(value) in self.known or _is_of_a_library(value):
                    return name
                self.known.add(id(value))
                return f"{name} {inside(*_parts(value))}"
            case list() | tuple():
                return inside(*value)
            case set() | frozenset():
                return inside(*sorted(_Description().of(v, above) for v in value))
            case Mapping():
                return inside(*value.items())
            case CodeType():
                return inside(value.co_code, value.co_names, value.co_consts)
            case MethodType():
                return inside(value.__self__, value.__func__)
            case partial():
                return inside(value.func, value.args, value.keywords)
            case np.ndarray() if not value.dtype.hasobject:
                return inside(str(value.dtype), value.shape, value.tobytes())
            case bytes():
                return inside(hashlib.blake2b(value, digest_size=12).hexdigest())
            case torch.Tensor() if value.layout == torch.strided and not value.is_meta:
                content = value.detach().resolve_conj().resolve_neg().cpu().contiguous()
                content = content.reshape(-1).view(torch.uint8)
                return inside(str(value.dtype), tuple(value.shape), content.numpy())
            case torch.nn.Module():
                return inside(type(value), repr(value), value.state_dict())
        if type(value).__repr__ is object.__repr__:
            return inside(type(value), getattr(value, "__dict__", {}))
        text = re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
        return text if _is_of_a_library(type(value)) else text + inside(type(value))


def _is_of_a_library(value: type | FunctionType) -> bool:
    return (value.__module__ or "").partition(".")[0] in _LIBRARIES


def _parts(value: type | FunctionType) -> Iterator[object]:
    """Yield what a function or a class is made of, and what of its module its code names."""
    if isinstance(value, type):
        yield value.__bases__
        for name, member in vars(value).items():
            code = getattr(member, "fget", None) or getattr(member, "__func__", member)
            plain = isinstance(member, int | float | str | tuple) and not name.startswith("__")
            if plain or isinstance(code, FunctionType | type):
                yield name, code
        return
    yield from (value.__code__, value.__defaults__, value.__kwdefaults__)
    yield from (cell.cell_contents for cell in value.__closure__ or ())
    for name in _names(value.__code__):
        named = value.__globals__.get(name)
        if isinstance(named, type | FunctionType) and named.__module__ == value.__module__:
            yield named
        elif isinstance(named, _VALUES):
            yield name, named


def _names(code: CodeType) -> list[str]:
    """Return the names of its module that code reads, but for those that it sets: counters, say."""
    steps = list(_steps(code))
    read = dict.fromkeys(s.argval for s in steps if s.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    written = {s.argval for s in steps if s.opname == "STORE_GLOBAL"}
    return [name for name in read if name not in written]


def _steps(code: CodeType) -> Iterator[dis.Instruction]:
    """Yield the instructions of code, and those of functions and classes defined in it."""
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _steps(constant)
