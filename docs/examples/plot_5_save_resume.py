"""
Save, load, interrupt and resume
================================

A fitted model is saved to one file. A run that takes long writes its state to a folder, and the
same call goes on from there.
"""

# %%
# Save and load
# -------------
# The file holds weights and plain values, and nothing that is ever executed. ``joblib.dump`` and
# ``pickle`` work, too, with the usual caution about whose files one loads.

import signal
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

import skdeepcluster
from skdeepcluster import StatDEC

images = load_digits().images
quick = {"hidden_sizes": (100, 100), "pretrain_epochs": 20, "max_epochs": 15, "tol": 0}
model = StatDEC(n_clusters=10, random_state=0, **quick).fit(images)

folder = tempfile.TemporaryDirectory()  # in place of a folder of yours
model.save(Path(folder.name) / "digits.safetensors")
same = skdeepcluster.load(Path(folder.name) / "digits.safetensors")
print((same.predict(images) == model.labels_).all())

# %%
# Interrupt
# ---------
# A callback plays the person who presses Ctrl-C during the twelfth epoch. ``fit`` writes its state
# first, then raises. A run that is killed outright loses a minute at most.


class CtrlC(Callback):
    """Press Ctrl-C during an epoch."""

    def on_epoch_begin(self, net, **kwargs):
        """Count epochs."""
        if len(net.history) == 12:
            signal.raise_signal(signal.SIGINT)


resumed = StatDEC(n_clusters=10, random_state=0, checkpoint=folder.name, **quick)
before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
try:
    resumed.set_params(callbacks=[CtrlC()]).fit(images)
except KeyboardInterrupt:
    print("interrupted, with", [path.suffix for path in Path(folder.name).glob("*.checkpoint")])
finally:
    signal.signal(signal.SIGINT, before)

# %%
# Resume
# ------
# The same call goes on, and ends with the labels that the run would have had. Once finished, it
# returns at once.

resumed.set_params(callbacks=None).fit(images)
print((resumed.labels_ == model.labels_).all())

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot([row["reconstruction"] for row in resumed.history_], label="resumed")
ax.plot([row["reconstruction"] for row in model.history_], ":", label="in one go")
ax.axvline(11.5, color="tab:gray", linewidth=1)
ax.annotate("Ctrl-C", (11.5, 0.9), xycoords=("data", "axes fraction"), ha="right", rotation=90)
ax.set(xlabel="epoch", ylabel="reconstruction error")
ax.legend()
plt.show()
folder.cleanup()
