"""The methods that are measured, by name: the package's with their ablations, and baselines."""

from dataclasses import dataclass, field

from skdeepcluster.objectives import TARGET_READINGS


@dataclass(frozen=True)
class Setting:
    """An estimator (see `estimators.py`), and what differs from its defaults."""

    estimator: str
    params: dict = field(default_factory=dict)


_IDEC = {"weighted_target": False, "statistics_pooling": False}
_DEC = {"lam": 1.0, **_IDEC}
_STATDEC = {
    "AE + KMeans": {"max_epochs": 0},
    "VAE + KMeans": {"network": "vae", "max_epochs": 0},
    "DEC": _DEC,
    "IDEC": _IDEC,
    "VDEC": {"network": "vae", **_IDEC},
    "StatDEC-1": {},
    "StatDEC-2": {"statistics_pooling": False},
    "StatDEC-3": {"weighted_target": False},
    "StatDEC+CNN": {"network": "cnn", "weighted_target": False},
    "StatDEC+UNet": {"network": "unet"},
    "StatDEC+VAE": {"network": "vae"},
    "StatDEC-1 + affine": {"augmentation": "affine"},
    "StatDEC-1 paper": {"pretraining": "paper"},
    # "members" is StatDEC-1, "dec" StatDEC-3
    **{
        f"StatDEC-1 {reading}": {"weighted_target": reading}
        for reading in TARGET_READINGS
        if reading not in ("members", "dec")
    },
}

#: M1 has the prior alone, M2 mutual information, too, M3 augmentation instead.
_PAPER_DCCS = {"beta_aug": 2.0, "beta_adv": 1.0, "learning_rate": 1e-4, "max_epochs": 3000}
_DCCS = {
    "DCCS": {},
    "DCCS M1": {"beta_mi": 0.0, "beta_aug": 0.0},
    "DCCS M2": {"beta_aug": 0.0},
    "DCCS M3": {"beta_mi": 0.0},
    "DCCS without style": {"n_style": 0},
    "DCCS decoder": {"information": "decoder"},
    "DCCS Sobel": {"color": "sobel"},
    "DCCS colour": {"color": "color"},
    "DCCS paper": _PAPER_DCCS,
    "DCCS paper, 5e-4": _PAPER_DCCS | {"learning_rate": 5e-4},
    "DCCS 5e-4": {"learning_rate": 5e-4},
    # For as long as it is given: the default's 50 epochs are for small data
    "DCCS long": {"max_epochs": 3000, "tol": 0.0},
}

_PAPER_VGMM = {
    "network": "conv",
    "lambda_aug": "paper",
    "aug_weights": (1.0, 1.0),
    "augmented_elbo": False,
}
_VGMM = {
    "VGMM": {},
    "VGMM k=8": {"n_clusters": 8},
    "VGMM k=20": {"n_clusters": 20},
    "VGMM posterior_mass=0.99": {"posterior_mass": 0.99},
    "VGMM posterior_mass=0.999": {"posterior_mass": 0.999},
    "VGMM conv": {"network": "conv"},
    "VGMM without augmentation": {"augmentation": None},
    "VGMM L2": {"aug_weights": (1.0, 0.0)},
    "VGMM W2": {"aug_weights": (0.0, 1.0)},
    "VGMM paper": _PAPER_VGMM,
    "VGMM paper, VAE with GMM prior": _PAPER_VGMM | {"augmentation": None},
    # Scale factors of the reconstruction, in its Table V without augmentation
    **{
        f"VGMM paper, lambda_recons={value}": _PAPER_VGMM
        | {"augmentation": None, "lambda_recons": value}
        for value in (0.4, 0.5, 0.65, 0.7)
    },
    "VGMM paper, L2": _PAPER_VGMM | {"aug_weights": (1.0, 0.0)},
    "VGMM paper, W2": _PAPER_VGMM | {"aug_weights": (0.0, 1.0)},
    # With lambda_recons=1 from the start, z tells nothing of a point
    "VGMM toy": {
        "network": "toy",
        "learning_rate": 0.003,
        "batch_size": 100,
        "lambda_recons": 5.0,
        "n_init": 4,
        "init_epochs": 2,
        "max_epochs": 40,
    },
}

_MMDC = {
    "MMDC": {},
    "MMDC neither": {"auxiliary": None},
    "MMDC Sobel": {"auxiliary": None, "sobel": True},
    "MMDC Sobel + rotation": {"auxiliary": "rotation", "sobel": True},
    "NAT": {"auxiliary": None, "targets": "uniform"},
    "NAT + RotNet": {"auxiliary": "rotation", "targets": "uniform"},
}

SETTINGS = {
    "KMeans": Setting("KMeans"),
    **{name: Setting("StatDEC", params) for name, params in _STATDEC.items()},
    **{name: Setting("DCCS", params) for name, params in _DCCS.items()},
    **{name: Setting("VariationalGMMClustering", params) for name, params in _VGMM.items()},
    **{name: Setting("MMDC", params) for name, params in _MMDC.items()},
    "RotNet": Setting("RotNet", {"auxiliary": "rotation", "targets": "uniform"}),
}

#: What suits a data set beside the setting, by estimator: clothes and photographs may be mirrored.
_MIRRORED = {"horizontal_flip": True}
FOR_DATA = {
    ("DCCS", "fashion_mnist"): _MIRRORED,
    ("DCCS", "cifar10"): _MIRRORED,
}

#: Of the variational paper, its Table II and section V, for the settings that follow it.
_PAPER_FOR_DATA = {
    "mnist": {"augmentation": "rotation", "lambda_recons": 1.0, "batch_size": 100},
    "fashion_mnist": {"augmentation": "brightness", "lambda_recons": 1.0, "batch_size": 100},
    "cifar10": {
        "augmentation": "affine",
        "lambda_recons": ((0, 0.5), (40, 0.1)),
        "batch_size": 30,
        "learning_rate": 1e-4,
    },
}


def parameters(name: str, data: str) -> dict:
    """What differs from the estimator's defaults, for a setting on a data set."""
    setting = SETTINGS[name]
    more = FOR_DATA.get((setting.estimator, data), {})
    if name.startswith("VGMM paper"):
        more = _PAPER_FOR_DATA.get(data, {})
    return more | setting.params
