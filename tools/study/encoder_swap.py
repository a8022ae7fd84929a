"""The study with another speech encoder in the place of the small one."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study.settings import merge

BATCHES = ("batch_type", "batch_size", "batch_bins", "accum_grad", "use_amp")
"""Settings that follow from the size of the encoder."""
SCHEDULES = ("optim", "optim_conf", "scheduler", "scheduler_conf")
"""Settings of a training from beginning to end."""


@dataclasses.dataclass(frozen=True)
class EncoderSwap:
    """A distillation's settings, whose encoder takes the place of another one."""

    config: str
    """YAML file that they were read from."""
    conf: Mapping[str, Any]
    """The settings."""

    def apply(self, conf: Mapping[str, Any], config: str) -> dict[str, Any]:
        """Return the settings of a training with this encoder.

        Distillation, and CTC which is compared with it, get schedule and batches,
        too. Translation gets the batches and, where it trains the encoder, the
        learning rate: those of an encoder that begins at random are too high.

        Args:
            conf: The settings with the other encoder.
            config: Their YAML file, for errors.

        Raises:
            ValueError: The number of updates differs from that of this encoder's
                distillation, which other arms are compared by.
        """
        frontend_conf = dict(self.conf["frontend_conf"])
        frozen = conf["frontend_conf"].get("freeze", False)
        if "freeze" in conf["frontend_conf"]:
            frontend_conf["freeze"] = frozen
        swapped = {
            **conf,
            "frontend": self.conf["frontend"],
            "frontend_conf": frontend_conf,
            **{name: self.conf[name] for name in BATCHES if name in self.conf},
        }
        if "decoder" not in conf:
            for name in ("max_epoch", "num_iters_per_epoch"):
                if conf[name] != self.conf[name]:
                    raise ValueError(
                        f"{self.config}: {name} must be that of {config}, "
                        f"{conf[name]}, since arms are compared at equal updates: "
                        f"{self.conf[name]}"
                    )
            for name in SCHEDULES:
                swapped[name] = self.conf[name]
        elif not frozen and conf.get("trainable") != "adapters":
            rate = self.conf["optim_conf"]["lr"]
            changes = {"optim_conf": {"lr": rate}, "scheduler_conf": {"max_lr": rate}}
            swapped = merge(swapped, changes)
        return swapped


def read_encoder(path: str | os.PathLike[str]) -> EncoderSwap:
    """Read the settings of a distillation with another encoder.

    Args:
        path: YAML file, as samu_train gets it.

    Raises:
        ValueError: Naming the file, and what it lacks.
    """
    import yaml

    if not Path(path).is_file():
        raise ValueError(f"--encoder: no file {path}")
    with open(path, encoding="utf-8") as f:
        conf = yaml.safe_load(f)
    needed = {"frontend", "frontend_conf", "max_epoch", "num_iters_per_epoch"}
    needed |= {*SCHEDULES}
    if not isinstance(conf, dict) or needed - set(conf):
        raise ValueError(f"{path}: a distillation's settings need {sorted(needed)}")
    return EncoderSwap(str(path), conf)
