"""Pre-activation residual blocks, of the encoder's and the decoder's kind."""

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from skdeepcluster.networks._convolutions import Conv2d, ConvMeanPool, UpsampleConv


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after a batch norm and a ReLU, beside a shortcut.

    The shortcut is the input itself, or where maps or sides change a 1x1 convolution of it.

    Parameters
    ----------
    n_in, n_out : int
        Maps that come in and go out.
    resample : {None, "down", "up"}, default=None
        "down" averages over 2x2 pixels after the second convolution, "up" repeats pixels before the
        first.
    first : bool, default=False
        Whether the block sees pixels: these are not normalised before the first convolution.

    References
    ----------
    DCCS, Fig. 7.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import ResidualBlock
    >>> ResidualBlock(3, 16, "down", first=True)(torch.rand(2, 3, 8, 8)).shape
    torch.Size([2, 16, 4, 4])
    """

    def __init__(
        self, n_in: int, n_out: int, resample: str | None = None, *, first: bool = False
    ) -> None:
        super().__init__()
        self.resample = resample
        self.norm1 = None if first else nn.BatchNorm2d(n_in)
        plain = partial(Conv2d, kernel_size=3, padding=1, bias=False)
        self.conv1 = (UpsampleConv if resample == "up" else plain)(n_in, n_out)
        self.norm2 = nn.BatchNorm2d(n_out)
        self.conv2 = (ConvMeanPool if resample == "down" else plain)(n_out, n_out)
        changes = n_in != n_out or resample is not None
        self.shortcut = Conv2d(n_in, n_out, 1) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, n_in, H, W) to (n, n_out, H', W')."""
        h = x if self.norm1 is None else self.norm1(x).relu_()
        h = self.conv2(self.norm2(self.conv1(h)).relu_())
        if self.resample == "down":
            x = F.avg_pool2d(x, 2)  # before the 1x1 convolution: the same, for a fourth of it
        if self.shortcut is not None:
            x = self.shortcut(x)
        return h + (F.interpolate(x, scale_factor=2) if self.resample == "up" else x)
