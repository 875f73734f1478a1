"""Parts of networks that autocast leaves alone."""

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager:
    """Context without autocast; on the device "meta", which holds shapes alone, there is none."""
    if device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
