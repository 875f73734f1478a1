"""
Compared with KMeans
====================

Digits are images, and KMeans compares them pixel by pixel: a digit that leans or lies a pixel
further left is another one to it. This example sets it beside three methods of the package, with
settings that take seconds. Longer runs are better, and differ less from seed to seed.
"""

import time

import matplotlib.pyplot as plt
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import normalized_mutual_info_score

from skdeepcluster import DCCS, MMDC, StatDEC
from skdeepcluster.metrics import clustering_accuracy

digits = load_digits()

models = {
    "KMeans": KMeans(10, n_init=10, random_state=0),
    "StatDEC": StatDEC(
        10, hidden_sizes=(200, 200), pretrain_epochs=30, max_epochs=20, tol=0, random_state=0
    ),
    "MMDC": MMDC(10, network="mlp", hidden_sizes=(256, 256), max_epochs=20, random_state=0),
    "DCCS": DCCS(
        10,
        network="mlp",
        hidden_sizes=(128, 128),
        critic_sizes=(64, 64),
        learning_rate=0.002,
        max_epochs=8,
        tol=0,
        random_state=0,
    ),
}

# %%
# Labels never reach ``fit``; they score what came out. ACC is the share of images that are right
# under the best map from clusters to labels, NMI the mutual information of the two.

table = {}
for name, model in models.items():
    started = time.perf_counter()
    X = digits.data if name == "KMeans" else digits.images
    labels = model.fit_predict(X)
    table[name] = {
        "ACC": clustering_accuracy(digits.target, labels),
        "NMI": normalized_mutual_info_score(digits.target, labels),
    }
    scores = ", ".join(f"{key} {value:.3f}" for key, value in table[name].items())
    print(f"{name:8} {scores}, {time.perf_counter() - started:4.1f} s")

# %%
fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
for offset, score in ((-0.2, "ACC"), (0.2, "NMI")):
    bars = ax.bar(
        [i + offset for i in range(len(table))],
        [row[score] for row in table.values()],
        width=0.38,
        label=score,
    )
    ax.bar_label(bars, fmt="%.2f")
ax.set_xticks(range(len(table)), table)
ax.set_ylim(0, 1.05)
ax.legend(loc="lower right")
plt.show()
