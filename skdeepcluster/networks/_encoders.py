"""Encoders of DCCS: a trunk, and the head that splits its output into category and style."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skdeepcluster.augmentation import sobel, to_grey
from skdeepcluster.networks._convolutions import Conv2d
from skdeepcluster.networks._probe import as_pair
from skdeepcluster.networks._residual import ResidualBlock

#: Slope of the leaky ReLU below zero.
SLOPE = 0.2

#: Sides in pixels from which images keep enough of them through convolutions without padding, and
#: that convolutions take at least.
SMALL_SIDE, SMALLEST_SIDE = 16, 4

#: How colours can be seen, and the channels that a colour image then has.
COLOR_CHANNELS = {"grey": 1, "color": 3, "sobel": 2}


def xavier(module: nn.Module) -> None:
    """Draw the weights of linear and convolutional layers by Xavier's normal, biases zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class ConvEncoder(nn.Module):
    """Two 4x4 convolutions of stride 2 and a dense layer, for small grey images.

    Batch norm and a leaky ReLU follow each of them. Images of less than 16 pixels a side are padded
    by one pixel before each convolution: they would vanish.

    Parameters
    ----------
    input_shape : (C, H, W)
        Sides of 4 pixels at least.
    maps : (int, int), default=(64, 128)
        Maps of the convolutions.
    width : int, default=1024
        Size of the dense layer.

    Raises
    ------
    ValueError
        If a side is too small.

    References
    ----------
    DCCS, Table 6.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import ConvEncoder
    >>> output, features = ConvEncoder((1, 28, 28))(torch.rand(2, 1, 28, 28))
    >>> output.shape, features.shape  # features: 128 maps of 5x5
    (torch.Size([2, 1024]), torch.Size([2, 3200]))
    """

    def __init__(
        self, input_shape: Sequence[int], maps: tuple[int, int] = (64, 128), width: int = 1024
    ) -> None:
        super().__init__()
        channels, *sides = input_shape
        if min(sides) < SMALLEST_SIDE:
            raise ValueError(
                f"sides must have {SMALLEST_SIDE} pixels at least, got images of {tuple(sides)}."
            )
        padding = 0 if min(sides) >= SMALL_SIDE else 1
        self.conv1 = Conv2d(channels, maps[0], 4, 2, padding, bias=False)
        self.norm1 = nn.BatchNorm2d(maps[0])
        self.conv2 = Conv2d(maps[0], maps[1], 4, 2, padding, bias=False)
        self.norm2 = nn.BatchNorm2d(maps[1])
        for _ in maps:
            sides = [(side + 2 * padding - 4) // 2 + 1 for side in sides]
        self.dense = nn.Linear(maps[1] * math.prod(sides), width, bias=False)
        self.norm3 = nn.BatchNorm1d(width)
        xavier(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output (n, width) and, flattened, the last convolution's (n, f)."""
        h = F.leaky_relu(self.norm1(self.conv1(x)), SLOPE, inplace=True)
        h = F.leaky_relu(self.norm2(self.conv2(h)), SLOPE, inplace=True)
        features = h.flatten(1)
        return F.leaky_relu(self.norm3(self.dense(features)), SLOPE, inplace=True), features


class ResidualEncoder(nn.Module):
    """Residual blocks that halve the sides, one more block, and the mean over all pixels.

    Parameters
    ----------
    input_shape : (C, H, W)
    maps : sequence of int or None, default=None
        Maps of the blocks; all but the last halve the sides. None doubles the maps from block to
        block up to 512, with so many halvings that about 4 to 7 pixels a side remain: (128, 256,
        512, 512) for sides of 32, (64, 128, 256, 512, 512) for sides of 96.

    Raises
    ------
    ValueError
        If a side is too short for so many halvings.

    References
    ----------
    DCCS, Tables 7 and 8.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import ResidualEncoder
    >>> output, features = ResidualEncoder((1, 32, 32), (8, 16, 32, 32))(torch.rand(2, 1, 32, 32))
    >>> output.shape, features.shape  # features: 32 maps of 4x4
    (torch.Size([2, 32]), torch.Size([2, 512]))
    """

    def __init__(self, input_shape: Sequence[int], maps: Sequence[int] | None = None) -> None:
        super().__init__()
        maps = tuple(maps or residual_maps(input_shape))
        least = 2 ** (len(maps) - 1)
        if min(input_shape[1:]) < least:
            raise ValueError(
                f"sides must have {least} pixels at least for {len(maps) - 1} halvings, got images "
                f"of {tuple(input_shape[1:])}."
            )
        down = [
            ResidualBlock(a, b, "down", first=i == 0)
            for i, (a, b) in enumerate(pairwise((input_shape[0], *maps[:-1])))
        ]
        self.down = nn.Sequential(*down)
        self.last = ResidualBlock(maps[-2], maps[-1])
        self.norm = nn.BatchNorm2d(maps[-1])
        xavier(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output (n, last maps) and, flattened, the second last block's (n, f)."""
        h = self.down(x)
        return self.norm(self.last(h)).relu_().mean(dim=(2, 3)), h.flatten(1)


def residual_maps(input_shape: Sequence[int]) -> tuple[int, ...]:
    """Choose the maps of a residual encoder's blocks for images of shape (C, H, W)."""
    side = min(input_shape[1:])
    n_down = max(1, round(math.log2(side / 5)))
    return (*(512 >> i for i in reversed(range(n_down))), 512)


class MLPEncoder(nn.Module):
    """Dense layers with batch norm and ReLU, for feature tables and embeddings.

    The discriminator sees the input itself.

    Parameters
    ----------
    input_shape : sequence of int
        It is flattened.
    hidden : sequence of int, default=(500, 500, 2000)
        Sizes of the layers.

    References
    ----------
    DCCS, supplement F, where a frozen network's embeddings come in.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import MLPEncoder
    >>> output, features = MLPEncoder((2048,))(torch.rand(2, 2048))
    >>> output.shape, features.shape
    (torch.Size([2, 2000]), torch.Size([2, 2048]))
    """

    def __init__(
        self, input_shape: Sequence[int], hidden: Sequence[int] = (500, 500, 2000)
    ) -> None:
        super().__init__()
        layers = []
        for a, b in pairwise((math.prod(input_shape), *hidden)):
            layers += [nn.Linear(a, b, bias=False), nn.BatchNorm1d(b), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)
        xavier(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output (n, last size) and the flattened input (n, d)."""
        x = x.flatten(1)
        return self.layers(x), x


class CategoryStyleEncoder(nn.Module):
    r"""A trunk, and the head that gives the latent representation :math:`z = (z_c, z_s)`.

    .. math:: z_c = \operatorname{softmax}(A h + a), \qquad z_s = B h + b

    with :math:`h` the trunk's output. Images are turned to what the trunk sees before: grey, colour
    or gradients, stretched to [-1, 1].

    Parameters
    ----------
    trunk : module
        Maps (n, *trunk's input shape) to the output h of shape (n, e), or to a pair of h and
        features (n, f), the "X" of the discriminator; without features, that is h.
    n_output : int
        The trunk's e.
    n_clusters : int
        Size of the category part.
    n_style : int
        Size of the style part; may be 0.
    color : {"grey", "color", "sobel"} or None, default=None
        How images are seen. None is for feature tables.
    stretch : bool, default=True
        Whether images come in [0, 1] and are stretched; gradients are not.

    References
    ----------
    DCCS, section 3, Tables 6 to 8, 14 and 15.

    Examples
    --------
    >>> import torch
    >>> from skdeepcluster.networks import CategoryStyleEncoder, MLPEncoder
    >>> encoder = CategoryStyleEncoder(MLPEncoder((4,), (8,)), 8, n_clusters=3, n_style=2)
    >>> logits, style, features = encoder(torch.rand(5, 4))
    >>> logits.shape, style.shape, features.shape
    (torch.Size([5, 3]), torch.Size([5, 2]), torch.Size([5, 4]))
    """

    def __init__(
        self,
        trunk: nn.Module,
        n_output: int,
        n_clusters: int,
        n_style: int,
        color: str | None = None,
        stretch: bool = True,
    ) -> None:
        super().__init__()
        self.n_clusters = n_clusters
        self.color = color
        self.stretch = stretch
        self.trunk = trunk
        self.head = nn.Linear(n_output, n_clusters + n_style)
        xavier(self.head)

    def see(self, x: Tensor) -> Tensor:
        """Turn images (n, C, H, W) to what the trunk sees: their colours, stretched to [-1, 1]."""
        if self.color is None:
            return x
        if self.color == "sobel":
            return sobel(x)
        x = to_grey(x) if self.color == "grey" else x
        return 2 * x - 1 if self.stretch else x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode a batch.

        Parameters
        ----------
        x : Tensor of shape (n, *input_shape)

        Returns
        -------
        logits : Tensor of shape (n, n_clusters)
            :math:`z_c` before the softmax.
        style : Tensor of shape (n, n_style)
            :math:`z_s`.
        features : Tensor of shape (n, f)
        """
        h, features = as_pair(self.trunk(self.see(x)))
        logits, style = self.head(h).split_with_sizes(
            [self.n_clusters, self.head.out_features - self.n_clusters], dim=1
        )
        return logits, style, features.flatten(1)

    def latent(self, x: Tensor) -> Tensor:
        """Return z of shape (n, n_clusters + n_style)."""
        logits, style, _ = self(x)
        return torch.cat([logits.float().softmax(dim=1), style.float()], dim=1)
