"""Real fits in processes of their own, for tests that break them.

Started as a program, this module imports the package once and forks itself for each fit: a process
is there in milliseconds instead of seconds. Forking is sound here, though in general it is not with
torch, because the parent never computes: there is no thread pool of torch, OpenMP or BLAS yet
whose threads a child would miss, and no lock that one of them could hold.
"""

import hashlib
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
import torch._dynamo
from estimators import blobs, quick
from sklearn.cluster import KMeans
from skorch.callbacks import Callback

from skdeepcluster._training import _net

#: Settings that make runs of some hundred steps, a fraction of a second.
LONGER = {
    "DCCS": {"max_epochs": 5, "tol": 0},
    "MMDC": {"max_epochs": 12},
    "StatDEC": {"pretrain_epochs": 6, "max_epochs": 8, "tol": 0},
    "VariationalGMMClustering": {"max_epochs": 10},
}

#: Seconds after which a fit counts as hanging.
PATIENCE = 300

#: What the fits cluster: groups that overlap, so that each step counts.
X = blobs(96) + np.random.default_rng(1).normal(scale=4, size=(96, 4))


def estimator(name, folder=None, **params):
    given = {"n_clusters": 3, "random_state": 0, "checkpoint": folder, **LONGER[name], **params}
    return quick(name, **given)


def outcome(model) -> dict:
    """Return all that a user sees of a fit, but for the seconds."""
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in model.history_]
    digest = hashlib.blake2b(json.dumps(history).encode(), digest_size=16)
    for array in (model.labels_, model.predict_proba(X), model.transform(X), model.score(X)):
        digest.update(np.asarray(array).tobytes())
    return {"labels": model.labels_.tolist(), "n_iter": model.n_iter_, "digest": digest.hexdigest()}


# ------------------------------------------------------------------ in the child


class Dies(Callback):
    """End the process at a step, as from outside."""

    def __init__(self, step):
        self.step = step
        self.n_ = 0

    def on_batch_end(self, net, **kwargs):
        self.n_ += 1
        if self.n_ == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def set_limits(limits: dict) -> None:
    """Take away rights, memory or room for files, as a job says."""
    if "file_size" in limits:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits["file_size"], resource.RLIM_INFINITY))
    if "memory" in limits:  # bytes beyond what the process has now
        # OpenBLAS ends the process, or asks forever, where it gets no memory for its buffer: let it
        # have that before, the way that a fit takes.
        KMeans(3, n_init=1, random_state=0).fit(X.astype(np.float32))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + limits["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    if "user" in limits and os.geteuid() == 0:  # root may write anywhere
        # torch imports parts of itself when it reads a file, which the other user need not see.
        buffer = io.BytesIO()
        torch.save({"x": torch.zeros(1)}, buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
        os.setresuid(limits["user"], limits["user"], 0)


def lift_limits() -> None:
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_AS):
        resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if os.getresuid()[2] == 0:
        os.setresuid(0, 0, 0)


def fit_job(job: dict) -> dict:
    _net.CHECKPOINT_INTERVAL = job.get("interval", 0.0)
    if job.get("sigterm_as_ctrl_c"):
        signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    model = estimator(job["name"], job["folder"], **job.get("params", {}))
    if "die_at" in job:
        model.set_params(callbacks=[Dies(job["die_at"])])
    set_limits(job.get("limits", {}))
    model.fit(X)
    lift_limits()
    return outcome(model)


def save_job(job: dict) -> dict:
    """Save two models to one path in turn, until somebody ends it."""
    models = [estimator(job["name"], max_epochs=n).fit(X) for n in (1, 2)]
    while True:
        for model in models:
            model.save(job["folder"])


def child(job: dict) -> None:
    signal.alarm(PATIENCE)
    warnings.simplefilter("ignore")
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        result = {"fit": fit_job, "save": save_job}[job.get("do", "fit")](job)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except (Exception, KeyboardInterrupt) as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        lift_limits()
        result = {"error": type(error).__name__, "message": str(error)}
    result["seconds"] = time.process_time()
    Path(job["result"]).write_text(json.dumps(result))


def main() -> None:
    """Take orders, a line each: fork for a job and tell the pid, or wait for a pid."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until a child is ready for it
    children = {}
    for line in sys.stdin:
        order = json.loads(line)
        if order == "ready?":
            answer = 1
        elif "wait" in order:
            status = os.waitpid(children.pop(order["wait"]), 0)[1]
            answer = os.waitstatus_to_exitcode(status)
        else:
            answer = os.fork()
            if answer == 0:
                code = 1
                try:
                    child(order)
                    code = 0
                finally:
                    os._exit(code)
            children[answer] = answer
        print(answer, flush=True)


# ------------------------------------------------------------------ in the test


class Fits:
    """A process that forks fits, and the fits that it forked."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.count = 0
        here = Path(__file__).parent
        one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", "import faults; faults.main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **one, "PYTHONPATH": path},
            text=True,
        )

        self._ask("ready?")

    def _ask(self, order: dict | str) -> int:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the process that forks has died"
        return int(answer)

    def start(self, name: str, folder: Path | None, **job) -> "Fit":
        self.count += 1
        result = self.folder / f"result-{self.count}"
        order = {
            "name": name,
            "folder": None if folder is None else str(folder),
            "result": str(result),
            **job,
        }
        return Fit(self, self._ask(order), result)

    def run(self, name: str, folder: Path | None, **job) -> dict:
        """Let a fit come to its own end, and return what became of it."""
        code, result = self.start(name, folder, **job).wait()
        assert code == 0, f"exit code {code}"
        return result

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Fit:
    """One fit that is running."""

    def __init__(self, fits: Fits, pid: int, result: Path):
        self.fits, self.pid, self.result = fits, pid, result
        self.seconds = None

    def compute(self, seconds: float) -> None:
        """Let it have so many seconds of a processor, however busy the machine is."""
        clock = (~self.pid << 3) | 2  # Linux' clock of another process's time
        while True:
            try:
                if time.clock_gettime(clock) >= seconds or self.result.exists():
                    return
            except OSError:  # it has ended
                return
            time.sleep(0.001)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)  # nobody has waited for it: the pid is still its own

    def wait(self) -> tuple[int, dict | None]:
        """Return the exit code, or minus the signal, and the result if it came to an end."""
        code = self.fits._ask({"wait": self.pid})
        if code != 0:
            return code, None
        result = json.loads(self.result.read_text())
        self.seconds = result.pop("seconds")
        return code, result
