"""Each method's training as anyone would write it by hand, and the bare passes of its networks.

A loop takes the modules of an estimator, so that both sides compute the same; steps, batches and
optimisers are written out here, with nothing around them: no history, no checks, no resuming.
`epoch` is the method's mathematics, `passes` the forward and backward passes of its networks alone
on inputs made before and without a step of the optimiser, `forward` what a prediction needs and
`forward_passes` that alone.
"""

import copy
import math

import torch
from scipy.optimize import linear_sum_assignment
from torch.nn import functional as F

from skdeepcluster._training._data import inference_batch_size, n_batches
from skdeepcluster.objectives import target_weights


class Loop:
    """Batches of 8-bit grey images; a subclass has the steps."""

    def __init__(self, model, X, precision):
        net = model.net_
        self.device = net.device
        self.batch_size = -(-len(X) // n_batches(len(X), net.batch_size))  # as large as ours
        self.host = torch.from_numpy(X).unsqueeze(1)  # (n, 1, H, W)
        self.rows = self.host.to(self.device)
        threads = torch.get_num_threads() if self.device.type == "cpu" else 1
        self.chunk = inference_batch_size(self.rows.shape[1:], threads, net.inference_cost)
        self.precision = precision
        self.build(copy.deepcopy(net))
        self.ready = self.prepared(self.images(slice(0, self.batch_size)))
        self.many = self.prepared(self.images(slice(0, self.chunk)))

    def autocast(self):
        enabled = self.precision != torch.float32
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    @property
    def n_steps(self):
        """Steps of an epoch."""
        return -(-len(self.rows) // self.batch_size)

    def images(self, index):
        return self.scaled(self.rows[index])

    def scaled(self, rows):
        return rows.float() / 255

    def prepared(self, x):
        """What the networks see of undistorted images."""
        return x

    def epoch(self):
        self.train(True)
        for index in torch.randperm(len(self.rows), device=self.device).split(self.batch_size):
            self.step(index).item()  # as one would, to print it

    def passes(self):
        self.train(True)
        for _ in range(self.n_steps):
            self.bare(self.ready)

    def train(self, mode):
        for module in self.modules:
            module.train(mode)

    def predict(self):
        """Labels of all rows, which come from the host as the package's do, batch by batch."""
        self.train(False)
        with torch.no_grad():
            images = (self.scaled(part.to(self.device)) for part in self.host.split(self.chunk))
            return torch.cat([self.forward(self.prepared(x)).argmax(dim=1) for x in images]).cpu()

    def forward_passes(self):
        """What a prediction needs, on images made before."""
        self.train(False)
        with torch.no_grad():
            for i in range(0, len(self.rows), self.chunk):
                self.forward(self.many[: len(self.rows) - i])

    def descend(self, loss, optimizer=None):
        optimizer = optimizer or self.optimizer
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def back(self, loss):
        """The backward pass alone: the weights stay those that the loop by hand has."""
        loss.backward()
        for module in self.modules:
            module.zero_grad()

    def adam(self, *modules, **kwargs):
        parameters = [p for module in modules for p in module.parameters()]
        return torch.optim.Adam(parameters, fused=True, **kwargs)


class StatDECLoop(Loop):
    """Eq. 1 with the weighted target and statistics pooling, P every 80 steps."""

    every, lam = 80, 0.1
    whole = True

    def build(self, net):
        self.network, self.head = net.module_, net.assignment_
        self.modules = (self.network, self.head)
        self.optimizer = self.adam(*self.modules)
        self.unit = net.power_
        self.steps, self.target = 0, None

    def refresh(self):
        self.train(False)
        with torch.no_grad(), self.autocast():
            q = torch.cat([self.forward(self.scaled(rows)) for rows in self.rows.split(self.chunk)])
        target = q.square() / (target_weights(q) if self.whole else q.sum(dim=0))
        self.target = target / target.sum(dim=1, keepdim=True)
        self.train(True)

    def step(self, index):
        if self.steps % self.every == 0:
            self.refresh()
        self.steps += 1
        x, p = self.images(index), self.target[index]
        with self.autocast():
            z = self.network.encode(x)
        log_q = self.head(z)
        with self.autocast():
            output = self.network.decode(z, log_q.exp() if self.whole else None)
        kl = (torch.xlogy(p, p) - p * log_q).sum(dim=1).mean()
        error = F.mse_loss(output.float(), x) / self.unit
        return self.descend(self.lam * kl + (1 - self.lam) * error)

    def passes(self):
        super().passes()
        for _ in range(self.n_steps // self.every):  # as P is refreshed
            with self.autocast():
                self.forward_passes()

    def bare(self, x):
        with self.autocast():
            z = self.network.encode(x)
            output = self.network.decode(z, self.head(z).exp() if self.whole else None)
        self.back(F.mse_loss(output.float(), x))

    def forward(self, x):
        return self.head(self.network.encode(x)).exp()


class IDECLoop(StatDECLoop):
    """Eq. 1 with the target of DEC, and nothing pooled."""

    whole = False


class DCCSLoop(Loop):
    """Algorithm 1, with an encoder pass for each of the four critic steps."""

    n_critic, sigma = 4, 0.1

    def build(self, net):
        self.encoder, self.critic, self.judge = net.module_, net.critic_, net.discriminator_
        self.modules = (self.encoder, self.critic, self.judge)
        self.optimizer = self.adam(self.encoder, self.judge, betas=(0.5, 0.9))
        self.critic_optimizer = self.adam(self.critic, betas=(0.5, 0.9))
        self.augment, self.k, self.n_style = net.augment, net.n_clusters, net.n_style

    def encode(self, x):
        with self.autocast():
            logits, style, features = self.encoder(x)
        return torch.cat([logits.float().softmax(dim=1), style.float()], dim=1), logits, features

    def step(self, index):
        for _ in range(self.n_critic):
            rows = torch.randint(len(self.rows), (len(index),), device=self.device)
            self.critic_step(self.images(rows))
        x = self.images(index)
        return self.encoder_step(x, self.augment(x))

    def critic_step(self, x):
        with torch.no_grad():
            z = self.encode(x)[0]
        category = F.one_hot(torch.randint(self.k, (len(z),), device=self.device), self.k).float()
        style = self.sigma * torch.randn(len(z), self.n_style, device=self.device)
        prior = torch.cat([category, style], dim=1)
        epsilon = torch.rand(len(z), 1, device=self.device)
        between = (epsilon * z + (1 - epsilon) * prior).requires_grad_()
        penalty = ((self.slopes(between).norm(dim=1) - 1) ** 2).mean()
        loss = self.critic(z).mean() - self.critic(prior).mean() + 10 * penalty
        self.descend(loss, self.critic_optimizer)

    def slopes(self, between):
        """Gradient of the critic, of which there is a gradient, too."""
        # A view, for torch cannot count the FLOP of a module whose input is a leaf of `grad`
        scores = self.critic(between.view_as(between))
        return torch.autograd.grad(scores.sum(), between, create_graph=True)[0]

    def encoder_step(self, x, augmented):
        z, logits, features = self.encode(x)
        _, logits_augmented, _ = self.encode(augmented)
        with self.autocast():
            pairs = torch.stack([z, z[torch.randperm(len(z), device=self.device)]])
            positive, negative = self.judge(features, pairs).float()
        information = (F.softplus(-positive).mean() + F.softplus(negative).mean()) / 2
        p, q = logits.float().log_softmax(dim=1), logits_augmented.float().log_softmax(dim=1)
        divergence = (p.exp() * (p - q)).sum(dim=1).mean()
        return self.descend(0.5 * information + divergence - 2 * self.critic(z).mean())

    def bare(self, x):
        """What a cycle has: of the encoder four passes without gradients and two with."""
        with torch.no_grad():
            codes = [self.encode(x)[0] for _ in range(self.n_critic)]
        for z in codes:
            value = self.critic(torch.cat([z, z])).mean()
            self.back(value + self.slopes(z.requires_grad_()).square().mean())
        z, _, features = self.encode(x)
        with self.autocast():
            value = self.judge(features, torch.stack([z, z])).float().mean()
        self.back(value + self.critic(z).mean() + self.encode(x)[1].float().mean())

    def forward(self, x):
        return self.encoder(x)[0]


class PreparedLoop(DCCSLoop):
    """The same steps on batches that are there, augmented, before the clock starts."""

    def prepare(self):
        self.batches = []
        for index in torch.randperm(len(self.rows), device=self.device).split(self.batch_size):
            rows = torch.randint(len(self.rows), (self.n_critic, len(index)), device=self.device)
            x = self.images(index)
            self.batches.append((self.images(rows.flatten()).split(len(index)), x, self.augment(x)))

    def epoch(self):
        self.train(True)
        for critic, x, augmented in self.batches:
            for batch in critic:
                self.critic_step(batch)
            self.encoder_step(x, augmented).item()


class VGMMLoop(Loop):
    """Eqs. 13 to 18, the expectation over k taken exactly."""

    def build(self, net):
        self.network, self.latent = net.module_, net.latent_
        self.modules = (self.network, self.latent)
        self.optimizer = self.adam(*self.modules)
        self.augment, self.recons = net.augment, net.lambda_recons[0][1]
        self.aug, self.aug_weights = net.lambda_aug[0][1], net.aug_weights

    def infer(self, x):
        with self.autocast():
            h, h_posterior = self.network.encode(x)
            mean, variance = self.latent.posterior(self.latent.project(h_posterior))
        return self.latent.log_assignment(h), mean, variance

    def step(self, index):
        x = self.images(index)
        both = torch.cat([x, self.augment(x)])
        log_q, mean, variance = self.infer(both)
        q, std = log_q.exp(), variance.sqrt()
        z = mean + std * torch.randn_like(std)  # (2n, K, e)
        with self.autocast():
            output = self.network.decode(z.flatten(0, 1))
        target = both.repeat_interleave(log_q.shape[1], dim=0)
        error = F.binary_cross_entropy_with_logits(output.float(), target, reduction="none")
        log_likelihood = -error.flatten(1).sum(dim=1).view_as(log_q)
        prior_mean, prior_variance = self.latent.prior()
        ratio = variance / prior_variance
        distance = (mean - prior_mean).square() / prior_variance
        kl = 0.5 * (ratio - ratio.log() - 1 + distance).sum(dim=-1)
        kl = kl + log_q + math.log(log_q.shape[1])  # of q(k|x) from 1/K, too
        elbo = (q * (self.recons * log_likelihood - kl)).sum(dim=1).mean()
        (a, b), (m, n), (s, t) = q.chunk(2), mean.chunk(2), std.chunk(2)
        l2 = (a - b).square().sum(dim=1).mean()
        w2 = (a * ((m - n).square() + (s - t).square()).sum(dim=-1)).sum(dim=1).mean()
        return self.descend(
            -elbo + self.aug * (self.aug_weights[0] * l2 + self.aug_weights[1] * w2)
        )

    def bare(self, x):
        both = torch.cat([x, x])
        log_q, mean, variance = self.infer(both)
        with self.autocast():
            output = self.network.decode(mean.flatten(0, 1))
        self.back(output.float().mean() + log_q.mean() + variance.mean())

    def forward(self, x):
        return self.latent.log_assignment(self.network.encode_assignment(x))


class MMDCLoop(Loop):
    """Algorithm 1 without the auxiliary task: Hungarian method in each batch, then one step."""

    def build(self, net):
        self.trunk, self.head, self.views = net.module_, net.head_, net.views
        self.modules = (self.trunk, self.head)
        parameters = [p for module in self.modules for p in module.parameters()]
        weights = {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 5e-4}
        biases = {"params": [p for p in parameters if p.ndim <= 1]}
        self.optimizer = torch.optim.SGD([weights, biases], lr=0.05, momentum=0.9,
                                         fused=self.device.type != "mps")  # fmt: skip
        means = net.assignment_.means
        self.means = means
        self.points = means[torch.randint(len(means), (len(self.rows),), device=self.device)]

    def prepared(self, x):
        return self.views.center(x)

    def output(self, x):
        with self.autocast():
            return self.represent(x)

    def represent(self, x):
        return self.head(self.trunk(x.contiguous(memory_format=torch.channels_last)))

    def step(self, index):
        x, targets = self.images(index), self.points[index]
        self.train(False)
        with torch.no_grad():
            z = self.output(self.prepared(x))
        self.train(True)
        chosen = linear_sum_assignment(torch.cdist(z.float(), targets).cpu().numpy())[1]
        targets = targets[torch.from_numpy(chosen).to(self.device)]
        self.points[index] = targets
        return self.descend(F.mse_loss(self.output(self.views.augment(x)).float(), targets))

    def bare(self, x):
        self.train(False)
        with torch.no_grad():
            self.output(x)
        self.train(True)
        self.back(F.mse_loss(self.output(x).float(), self.points[: len(x)]))

    def forward(self, x):
        return -torch.cdist(self.represent(x), self.means)


LOOPS = {
    "StatDEC": StatDECLoop,
    "IDEC": IDECLoop,
    "DCCS": DCCSLoop,
    "VariationalGMMClustering": VGMMLoop,
    "MMDC": MMDCLoop,
}
