"""What a cycle of DCCS costs: ``python -m benchmarks.dccs_speed``.

A cycle is `n_critic` critic steps and one encoder step, at batch 64 on MNIST. Three loops take
turns, a few cycles each at a time, so that what else the machine does meets them alike:

- ours: the estimator's own training steps;
- loader: the same mathematics as one would write it down, an encoder pass and a double backward
  pass for each critic step, fed by a `DataLoader` that transforms one image after another;
- augmented: that loop again, with batches and their augmentation made before the clock starts.

Reported are medians of the seconds of a cycle, by the clock and by the CPU, and their ratios.
"""

import argparse
import math
import time
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks import _common
from skdeepcluster import DCCS
from skdeepcluster._layout import make_preprocessor
from skdeepcluster._training import TensorSource
from skdeepcluster._training._device import resolve_precision
from skdeepcluster.networks import CategoryStyleEncoder, ConvEncoder, Critic

K, STYLE, SIGMA, BATCH, N_CRITIC, RATE = 10, 50, 0.1, 64, 4, 1e-4


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
    x = F.interpolate(x[None, :, top : top + h, left : left + w], (height, width), mode="bilinear")[
        0
    ]
    x = (x * rng.uniform(0.6, 1.4)).clamp(0, 1)
    mean = x.mean()
    return ((x - mean) * rng.uniform(0.6, 1.4) + mean).clamp(0, 1)


class Images(Dataset):
    """Images, with a transformed copy where one is asked for."""

    def __init__(self, X, augment):
        self.X = X
        self.augment = augment
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        x = torch.from_numpy(self.X[i]).unsqueeze(0).float() / 255
        return (x, transform(x, self.rng)) if self.augment else x


class Straightforward:
    """DCCS as one would write it from the paper."""

    def __init__(self, precision):
        self.encoder = CategoryStyleEncoder(ConvEncoder((1, 28, 28)), 1024, K, STYLE, "grey")
        self.critic = Critic(K + STYLE)
        self.discriminator = nn.Sequential(
            nn.Linear(3200 + K + STYLE, 1024), nn.LeakyReLU(0.2),
            nn.Linear(1024, 512), nn.LeakyReLU(0.2), nn.Linear(512, 1),
        )  # fmt: skip
        both = [*self.encoder.parameters(), *self.discriminator.parameters()]
        self.encoder_optimizer = torch.optim.Adam(both, RATE, betas=(0.5, 0.9))
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), RATE, betas=(0.5, 0.9))
        self.autocast = partial(
            torch.autocast, "cpu", torch.bfloat16, enabled=precision == torch.bfloat16
        )

    def encode(self, x):
        with self.autocast():
            logits, style, features = self.encoder(x)
        return torch.cat([logits.float().softmax(dim=1), style.float()], dim=1), logits, features

    def cycle(self, batches):
        for _ in range(N_CRITIC):
            self.critic_step(next(batches[0]))
        self.encoder_step(*next(batches[1]))

    def critic_step(self, x):
        with torch.no_grad():
            z = self.encode(x)[0]
        category = F.one_hot(torch.randint(K, (len(z),)), K).float()
        prior = torch.cat([category, SIGMA * torch.randn(len(z), STYLE)], dim=1)
        epsilon = torch.rand(len(z), 1)
        between = (epsilon * z + (1 - epsilon) * prior).requires_grad_()
        (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        penalty = ((gradient.norm(dim=1) - 1) ** 2).mean()
        loss = self.critic(z).mean() - self.critic(prior).mean() + 10 * penalty
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        loss.item()

    def encoder_step(self, x, augmented):
        z, logits, features = self.encode(x)
        _, logits_augmented, _ = self.encode(augmented)
        with self.autocast():
            positive = self.discriminator(torch.cat([features, z], dim=1))
            shuffled = z[torch.randperm(len(z))]
            negative = self.discriminator(torch.cat([features, shuffled], dim=1))
        information = F.binary_cross_entropy_with_logits(
            torch.cat([positive, negative]).float(),
            torch.cat([torch.ones(len(z), 1), torch.zeros(len(z), 1)]),
        )
        p, q = logits.float().log_softmax(dim=1), logits_augmented.float().log_softmax(dim=1)
        divergence = (p.exp() * (p - q)).sum(dim=1).mean()
        loss = 0.5 * information + 2 * divergence - self.critic(z).mean()
        self.encoder_optimizer.zero_grad()
        loss.backward()
        self.encoder_optimizer.step()
        loss.item()


def endless(loader):
    while True:
        yield from loader


class Loaded:
    """The straightforward loop, with a DataLoader."""

    def __init__(self, X, precision, cycles):
        self.loop = Straightforward(precision)
        load = partial(DataLoader, batch_size=BATCH, shuffle=True, drop_last=True)
        self.batches = [iter(endless(load(Images(X, augment)))) for augment in (False, True)]

    def prepare(self, cycles):
        pass

    def cycle(self):
        self.loop.cycle(self.batches)


class Augmented(Loaded):
    """The straightforward loop, with batches that were made before."""

    def prepare(self, cycles):
        plain = [next(self.batches[0]) for _ in range(cycles * N_CRITIC)]
        pairs = [next(self.batches[1]) for _ in range(cycles)]
        self.ready = [iter(plain), iter(pairs)]

    def cycle(self):
        self.loop.cycle(self.ready)


class Ours:
    """The estimator's net, step by step."""

    def __init__(self, X, precision, cycles):
        preprocess = make_preprocessor(X.reshape(len(X), -1), X.shape[1:], None, "auto")
        source = TensorSource(X.reshape(len(X), -1), preprocess, "cpu")
        self.net = DCCS(K, max_epochs=1, learning_rate=RATE)._make_net(
            preprocess.input_shape, len(X), seed=0, device=torch.device("cpu"), batch_size=BATCH,
            precision=precision,
        ).initialize()  # fmt: skip
        self.net.source_ = source
        self.net.iterator_ = self.net.get_iterator(source, training=True)
        self.net.phases_ = self.net.phases()
        self.net._configure_phase()
        self.net._set_training(True)
        self.batches = iter(endless(self.net.iterator_))

    def prepare(self, cycles):
        pass

    def cycle(self):
        self.net.training_step(next(self.batches))


def measure(X, precision, rounds, cycles):
    """Medians of a cycle's seconds over all rounds; the first one warms up."""
    torch.manual_seed(0)
    loops = {
        name: make(X, precision, cycles)
        for name, make in (("ours", Ours), ("loader", Loaded), ("augmented", Augmented))
    }
    seconds = {name: [] for name in loops}
    cpu = {name: [] for name in loops}
    for i in range(rounds + 1):
        for name, loop in loops.items():
            loop.prepare(cycles)
            clock, process = time.perf_counter(), time.process_time()
            for _ in range(cycles):
                loop.cycle()
            if i:
                seconds[name].append((time.perf_counter() - clock) / cycles)
                cpu[name].append((time.process_time() - process) / cycles)
    result = {"rounds": rounds, "cycles": cycles}
    for kind, values in (("seconds", seconds), ("cpu_seconds", cpu)):
        medians = {name: float(np.median(v)) for name, v in values.items()}
        pairs = {
            name: float(np.median(np.array(values[name]) / np.array(values["ours"])))
            for name in ("loader", "augmented")
        }
        result[kind] = medians
        result[f"{kind}_loader_by_ours"] = pairs["loader"]
        result[f"{kind}_ours_by_augmented"] = 1 / pairs["augmented"]
    images = (N_CRITIC + 1) * BATCH
    result["images_per_second"] = {k: images / v for k, v in result["seconds"].items()}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with mnist.npz")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cycles", type=int, default=4, help="of a loop at a time")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    X, _ = _common.load("mnist", args.data)
    result = _common.read("dccs_speed")
    result.pop("provenance", None)
    for precision in args.precisions:
        dtype = resolve_precision(precision, torch.device("cpu"))
        result[precision] = measure(X, dtype, args.rounds, args.cycles)
        print(precision, result[precision])
        print(_common.write("dccs_speed", result))


if __name__ == "__main__":
    main()
