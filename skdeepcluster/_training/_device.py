"""Which device and which precision a run uses."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from skdeepcluster._training._group import current_group

PRECISIONS = ("auto", "float32", "bfloat16")


def resolve_device(device: str) -> torch.device:
    """Turn ``"auto"`` or a device's name into a device that is there.

    Raises
    ------
    ValueError
        If the name is unknown to torch, or the device is not available, or not this process's in
        `data_parallel`.
    """
    group = current_group()
    if group is not None:
        if device in ("auto", group.device.type, str(group.device)):
            return group.device
        raise ValueError(
            f"in data_parallel this process's device is {str(group.device)!r}, got "
            f"device={device!r}: pass 'auto'."
        )
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    expected = "expected 'auto', 'cpu', 'cuda', 'cuda:N' or 'mps'"
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is not a device's name; {expected}.") from error
    if resolved.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"device={device!r} is not supported; {expected}.")
    if not is_available(resolved):
        raise ValueError(f"device={device!r} is not available on this machine; {expected}.")
    return resolved


def is_available(device: torch.device) -> bool:
    """Whether this machine has the device."""
    if device.type == "cuda":
        return (device.index or 0) < torch.cuda.device_count()
    return device.type == "cpu" or (device.type == "mps" and torch.backends.mps.is_available())


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Turn ``"auto"`` into bfloat16 where the hardware multiplies it, else float32."""
    if precision == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 matrix products in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


@contextmanager
def explained(device: torch.device) -> Iterator[None]:
    """Say what to do where MPS lacks an operator that a network or a distortion needs.

    Raises
    ------
    RuntimeError
        In place of torch's NotImplementedError there.
    """
    try:
        yield
    except NotImplementedError as error:
        if device.type != "mps":
            raise
        raise RuntimeError(
            f"torch has no such operation on device='mps': {error} Pass device='cpu', or set the "
            "environment variable PYTORCH_ENABLE_MPS_FALLBACK=1 before Python starts, which does "
            "that one on the CPU."
        ) from error


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Context of the forward pass; float32 is no autocast at all."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)
