"""Networks that map inputs to features: small VGG and residual networks, and one for tables."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from skdeepcluster.networks._convolutions import Conv2d


def _initialize(network: nn.Module) -> None:
    """Draw Kaiming-normal weights (fan-in)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")


def _convolution(n_in: int, n_out: int, side: int = 3, stride: int = 1) -> Conv2d:
    return Conv2d(n_in, n_out, side, stride, padding=side // 2, bias=False)


class SmallVGG(nn.Module):
    """Four blocks of a 3×3 convolution, batch normalisation, ReLU and 2×2 max pooling.

    Parameters
    ----------
    input_shape : sequence of int
        Shape (C, H, W) of one input.
    widths : sequence of int, default=(32, 64, 128, 256)
        Channels of the blocks.

    References
    ----------
    MMDC, section IV-A (MNIST).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import SmallVGG
    >>> SmallVGG((1, 32, 32))(torch.rand(5, 1, 32, 32)).shape
    torch.Size([5, 1024])
    """

    def __init__(
        self, input_shape: Sequence[int], widths: Sequence[int] = (32, 64, 128, 256)
    ) -> None:
        super().__init__()
        layers = []
        for n_in, n_out in pairwise([input_shape[0], *widths]):
            layers += [
                _convolution(n_in, n_out),
                nn.BatchNorm2d(n_out),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(2, ceil_mode=True),  # what is one pixel already stays one
            ]
        self.layers = nn.Sequential(*layers)
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of shape (n, last width * pixels that are left)."""
        return self.layers(x).flatten(1)


class ResNet(nn.Module):
    """Residual network for small images, of 18 or 34 layers.

    A 3×3 convolution with batch normalisation and ReLU, a 2×2 max pooling with a padding of 1,
    four stages of 64, 128, 256 and 512 channels, of which all but the first halve the sides, and
    the mean over the pixels.

    Parameters
    ----------
    input_shape : sequence of int
        Shape (C, H, W) of one input.
    blocks : sequence of int, default=(2, 2, 2, 2)
        Residual blocks of each stage, of two convolutions each. The default is ResNet-18,
        (3, 4, 6, 3) is ResNet-34.

    References
    ----------
    MMDC, section IV-A; He et al., "Deep Residual Learning for Image Recognition" (2016).

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import ResNet
    >>> ResNet((3, 32, 32))(torch.rand(2, 3, 32, 32)).shape
    torch.Size([2, 512])
    """

    def __init__(self, input_shape: Sequence[int], blocks: Sequence[int] = (2, 2, 2, 2)) -> None:
        super().__init__()
        widths = [64 * 2**i for i in range(len(blocks))]
        self.stem = nn.Sequential(
            _convolution(input_shape[0], widths[0]),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2, padding=1),
        )
        stages = []
        for i, (n_blocks, width) in enumerate(zip(blocks, widths, strict=True)):
            for j in range(n_blocks):
                first = j == 0 and i > 0
                stages.append(_Block(width // 2 if first else width, width, 2 if first else 1))
        self.stages = nn.Sequential(*stages)
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of shape (n, last width)."""
        return self.stages(self.stem(x)).mean(dim=(2, 3))


class _Block(nn.Module):
    """Two convolutions beside the identity, or beside a 1×1 convolution where the shape changes."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _convolution(n_in, n_out, stride=stride),
            nn.BatchNorm2d(n_out),
            nn.ReLU(inplace=True),
            _convolution(n_out, n_out),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut = nn.Identity()
        if stride > 1 or n_in != n_out:
            self.shortcut = nn.Sequential(
                _convolution(n_in, n_out, side=1, stride=stride), nn.BatchNorm2d(n_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        return (self.residual(x) + self.shortcut(x)).relu_()


class MLP(nn.Module):
    """Linear layers, each followed by batch normalisation and ReLU, for tables of features.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one input; it is flattened.
    hidden : sequence of int, default=(512, 512)
        Sizes of the layers.

    References
    ----------
    S. Ioffe, C. Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing
    Internal Covariate Shift", ICML 2015, section 3.2. MMDC has no network for tables.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import MLP
    >>> MLP((4,), hidden=(16, 8))(torch.rand(5, 4)).shape
    torch.Size([5, 8])
    """

    def __init__(self, input_shape: Sequence[int], hidden: Sequence[int] = (512, 512)) -> None:
        super().__init__()
        layers = []
        for n_in, n_out in pairwise([math.prod(input_shape), *hidden]):
            layers += [
                nn.Linear(n_in, n_out, bias=False),
                nn.BatchNorm1d(n_out),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers)
        _initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return features of shape (n, last size)."""
        return self.layers(x.flatten(1))


class NormalizedHead(nn.Module):
    r"""Linear layer whose outputs are projected to the unit sphere.

    .. math:: z = \frac{W h + b}{\lVert W h + b \rVert}

    Parameters
    ----------
    n_features : int
        Size of h.
    embedding_dim : int
        Dimension d of z.
    std : float or None, default=None
        Standard deviation of the weights W in the beginning. None is :math:`1 / \sqrt{f}` for f
        features, so that W h has about the length of one. What is much shorter is turned by the
        first steps as if the learning rate were huge, grows by that, and is hardly turned any more:
        the length is projected away, and no gradient makes it smaller again.

    References
    ----------
    MMDC, section III-A.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import NormalizedHead
    >>> NormalizedHead(8, 3)(torch.rand(5, 8)).norm(dim=1).round(decimals=3)
    tensor([1., 1., 1., 1., 1.], grad_fn=<RoundBackward1>)
    """

    def __init__(self, n_features: int, embedding_dim: int, std: float | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(n_features, embedding_dim)
        nn.init.normal_(self.linear.weight, std=n_features**-0.5 if std is None else std)
        nn.init.zeros_(self.linear.bias)

    def forward(self, h: Tensor) -> Tensor:
        """Return unit vectors of shape (n, embedding_dim) for features (n, n_features)."""
        return F.normalize(self.linear(h).float(), dim=1)
