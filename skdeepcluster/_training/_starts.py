"""Several short starts from different random weights; the run goes on from the best of them."""

from torch import nn

from skdeepcluster._training._net import CLUSTERING, ClusteringNet, Phase

#: Name of the phase of a start.
START = "start"


class StartingNet(ClusteringNet):
    """A net that draws its weights anew for each of several short starts.

    Its constructor sets ``n_init``, the number of starts, and ``init_epochs``, the epochs of one.
    With a single start, or none of its epochs, there is nothing to choose from, and the run begins
    at once.

    A method extends this class and says, beside what every net says,

    - `fresh_modules`: its modules, with weights newly drawn;
    - `rate_start`: how good the start is that ends now. The highest goes on;
    - `start_measure`: the name of that number in the history.
    """

    start_measure: str

    _transient = (*ClusteringNet._transient, "best_")

    def fresh_modules(self) -> dict[str, nn.Module]:
        """Return all modules of the method by name (what is ``NAME_`` here), newly drawn."""
        raise NotImplementedError

    def rate_start(self, means: dict[str, float]) -> float:
        """Rate the start whose last epoch had these `means` of its terms."""
        raise NotImplementedError

    def initialize_module(self):
        """Take the modules that the method draws."""
        for name, module in self.fresh_modules().items():
            setattr(self, name + "_", module)
        self.best_ = None  # the best start so far: its measure and its weights
        return self

    def phases(self) -> list[Phase]:
        """Return the starts, if there are several, and the run from the best of them."""
        starts = range(self.n_init) if self.n_init > 1 and self.init_epochs > 0 else ()
        return [
            *(Phase(START, self.init_epochs, stage=i) for i in starts),
            Phase(CLUSTERING, self.max_epochs),
        ]

    def begin_phase(self) -> None:
        """Draw weights for a start; take those of the best one for the run."""
        if self.phase_.name == START and self.phase_.stage > 0 and self.stopped_by_ is None:
            fresh = self.fresh_modules()
            self._set_weights({name: module.state_dict() for name, module in fresh.items()})
        elif self.phase_.name == CLUSTERING and self.best_ is not None:
            self._set_weights(self.best_["weights"])
            self.best_ = None

    def _set_weights(self, weights: dict[str, dict]) -> None:
        for name, state in weights.items():
            getattr(self, name + "_").load_state_dict(state)

    def end_epoch(self, means: dict[str, float]) -> dict:
        """Keep a start that ends here if none was better."""
        is_last = self.phase_epoch_ + 1 == self.phase_.max_epochs
        if self.phase_.name != START or not is_last:
            return {}
        measure = self.rate_start(means)
        if self.best_ is None or measure > self.best_["measure"]:
            weights = {
                name: {
                    key: value.detach().clone()
                    for key, value in getattr(self, name + "_").state_dict().items()
                }
                for name in self._modules
            }
            self.best_ = {"measure": measure, "weights": weights}
        return {self.start_measure: measure}

    def method_state(self) -> dict:
        """Return the best start so far."""
        return {"best": self.best_}

    def load_method_state(self, state: dict) -> None:
        """Restore it."""
        self.best_ = state["best"]
