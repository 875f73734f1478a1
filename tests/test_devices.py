"""MPS has no float64 and not every operator: what is said, and what is spared it, without one."""

import pytest
import torch

from skdeepcluster._training._device import explained

MPS, CPU = torch.device("mps"), torch.device("cpu")


def test_a_missing_operator_is_explained():
    with pytest.raises(RuntimeError, match=r"'aten::x' is not .*device='cpu'.*MPS_FALLBACK=1"):  # noqa: SIM117
        with explained(MPS):
            raise NotImplementedError("'aten::x' is not currently implemented for the MPS device.")


def test_elsewhere_it_stays_what_it_is():
    with pytest.raises(NotImplementedError, match="of the user's own"), explained(CPU):
        raise NotImplementedError("of the user's own")
    with pytest.raises(ValueError, match="another"), explained(MPS):
        raise ValueError("another")
