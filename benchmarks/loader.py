"""DCCS fed by a `DataLoader` that transforms one image after another, as tutorials do it."""

import math

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks.loops import DCCSLoop


def transform(x, rng):
    """Crop and jitter one image (1, H, W) in [0, 1], as torchvision's transforms go about it."""
    _, height, width = x.shape
    for _ in range(10):
        area = height * width * rng.uniform(0.4, 1.0)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if w <= width and h <= height:
            break
    else:
        w, h = width, height
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    crop = x[None, :, top : top + h, left : left + w]
    x = F.interpolate(crop, (height, width), mode="bilinear")[0]
    x = (x * rng.uniform(0.6, 1.4)).clamp(0, 1)
    mean = x.mean()
    return ((x - mean) * rng.uniform(0.6, 1.4) + mean).clamp(0, 1)


class Images(Dataset):
    """Images, with a transformed copy where one is asked for."""

    def __init__(self, X, augment):
        self.X, self.augment = X, augment
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        x = torch.from_numpy(self.X[i]).unsqueeze(0).float() / 255
        return (x, transform(x, self.rng)) if self.augment else x


class LoaderLoop(DCCSLoop):
    """The loop by hand, with every batch from a loader."""

    def __init__(self, model, X, precision):
        super().__init__(model, X, precision)
        self.loaders = [
            DataLoader(Images(X, augment), batch_size=self.batch_size, shuffle=True, drop_last=True)
            for augment in (False, True)
        ]

    def epoch(self):
        self.train(True)
        critic = iter(())
        for x, augmented in self.loaders[1]:
            for _ in range(self.n_critic):
                batch = next(critic, None)
                if batch is None:
                    critic = iter(self.loaders[0])
                    batch = next(critic)
                self.critic_step(batch.to(self.device))
            self.encoder_step(x.to(self.device), augmented.to(self.device)).item()
