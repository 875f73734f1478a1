"""The methods that are measured, by name: the package's with their ablations, and baselines."""

from dataclasses import dataclass, field

from skdeepcluster import DCCS, StatDEC, VariationalGMMClustering
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
    "StatDEC-1 paper": {},
    # For an hour on two cores: the default's schedule is for less
    "StatDEC-1 long": {"pretrain_epochs": 300, "max_epochs": 200, "tol": 0.0},
    # "members" is StatDEC-1, "dec" StatDEC-3
    **{
        f"StatDEC-1 {reading}": {"weighted_target": reading}
        for reading in TARGET_READINGS
        if reading not in ("members", "dec")
    },
}

#: M1 has the prior alone, M2 mutual information, too, M3 augmentation instead.
_DCCS = {
    "DCCS": {},
    "DCCS M1": {"beta_mi": 0.0, "beta_aug": 0.0},
    "DCCS M2": {"beta_aug": 0.0},
    "DCCS M3": {"beta_mi": 0.0},
    "DCCS without style": {"n_style": 0},
    "DCCS decoder": {"information": "decoder"},
    "DCCS Sobel": {"color": "sobel"},
    "DCCS colour": {"color": "color"},
    "DCCS paper": {},
    "DCCS paper, 5e-4": {"learning_rate": 5e-4},
    "DCCS 5e-4": {"learning_rate": 5e-4},
    # For as long as it is given: the default's 50 epochs are for small data
    "DCCS long": {"max_epochs": 3000, "tol": 0.0},
}

_VGMM = {
    "VGMM": {},
    "VGMM k=8": {"n_clusters": 8},
    "VGMM k=20": {"n_clusters": 20},
    "VGMM posterior_mass=0.99": {"posterior_mass": 0.99},
    "VGMM posterior_mass=1": {"posterior_mass": 1.0},
    "VGMM conv": {"network": "conv"},
    "VGMM without augmentation": {"augmentation": None},
    "VGMM L2": {"aug_weights": (1.0, 0.0)},
    "VGMM W2": {"aug_weights": (0.0, 1.0)},
    "VGMM paper": {},
    "VGMM paper, VAE with GMM prior": {"augmentation": None, "lambda_recons": 1.0},
    # Scale factors of the reconstruction, in its Table V without augmentation
    **{
        f"VGMM paper, lambda_recons={value}": {"augmentation": None, "lambda_recons": value}
        for value in (0.4, 0.5, 0.65, 0.7)
    },
    "VGMM paper, L2": {"aug_weights": (1.0, 0.0)},
    "VGMM paper, W2": {"aug_weights": (0.0, 1.0)},
    # With lambda_recons=1 from the start, z may tell nothing of a point
    "VGMM toy": {
        "network": "toy",
        "learning_rate": 0.005,
        "batch_size": 100,
        "lambda_recons": [[0, 1.5], [20, 0.8]],  # as a file of results has it
        "n_init": 4,
        "init_epochs": 10,
        "max_epochs": 120,
        "precision": "float32",
        "posterior_mass": 1.0,
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

#: Data sets of the papers: the shape of an image, and their number.
_IMAGES = {
    "mnist": ((1, 28, 28), 70_000),
    "fashion_mnist": ((1, 28, 28), 70_000),
    "cifar10": ((3, 32, 32), 60_000),
}

#: What names of settings begin with that follow a paper whole: the estimator, and what its preset,
#: which knows the shape of an image alone, leaves to be said of a data set.
_PAPERS = {
    "StatDEC-1 paper": (StatDEC, {}),
    "DCCS paper": (DCCS, {}),
    "VGMM paper": (VariationalGMMClustering, {"fashion_mnist": {"augmentation": "brightness"}}),
}


def parameters(name: str, data: str) -> dict:
    """What differs from the estimator's defaults, for a setting on a data set."""
    setting = SETTINGS[name]
    more = FOR_DATA.get((setting.estimator, data), {})
    for beginning, (cls, by_data) in _PAPERS.items():
        if name.startswith(beginning) and data in _IMAGES:
            more = cls._preset("paper", *_IMAGES[data]) | by_data.get(data, {}) | more
    return more | setting.params


#: Settings, and the methods of other packages that they are compared with.
COUNTERPARTS = {"DEC": "ClustPy DEC", "IDEC": "ClustPy IDEC", "StatDEC-1": "ClustPy DCN",
                "VGMM": "ClustPy VaDE"}  # fmt: skip
