"""Objectives of the methods as pure functions on tensors.

Nothing here knows of training loops, devices or estimators: tensors go in, tensors come out, and
each function cites the equation that it computes.
"""

from skdeepcluster.objectives._category_style import (
    augmentation_divergence,
    category_style_prior,
    critic_loss,
    encoder_adversarial_loss,
    gradient_penalty,
    mutual_information_estimate,
    mutual_information_loss,
)
from skdeepcluster.objectives._clustering import (
    TARGET_READINGS,
    kl_divergence,
    squared_distances,
    student_t,
    target_distribution,
    target_weights,
)
from skdeepcluster.objectives._mixture import (
    bernoulli_log_likelihood,
    gaussian_kl,
    gaussian_log_likelihood,
    mixture_elbo,
    smallest_set,
    squared_wasserstein,
    standard_normal_divergence,
)

__all__ = [
    "TARGET_READINGS",
    "augmentation_divergence",
    "bernoulli_log_likelihood",
    "category_style_prior",
    "critic_loss",
    "encoder_adversarial_loss",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "gradient_penalty",
    "kl_divergence",
    "mixture_elbo",
    "mutual_information_estimate",
    "mutual_information_loss",
    "smallest_set",
    "squared_distances",
    "squared_wasserstein",
    "standard_normal_divergence",
    "student_t",
    "target_distribution",
    "target_weights",
]
