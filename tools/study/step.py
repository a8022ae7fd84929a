"""One training of an arm: a configuration and what is changed in it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from study.encoder_swap import EncoderSwap
from study.settings import merge


def updates_of(conf: Mapping[str, Any]) -> int:
    """Return the number of updates that a configuration of ESPnet asks for.

    Args:
        conf: Its settings.

    Raises:
        ValueError: It does not say them.
    """
    try:
        return int(conf["max_epoch"]) * int(conf["num_iters_per_epoch"])
    except (KeyError, TypeError):
        raise ValueError(
            "max_epoch and num_iters_per_epoch must both be numbers: "
            f"{conf.get('max_epoch')}, {conf.get('num_iters_per_epoch')}"
        ) from None


@dataclasses.dataclass(frozen=True)
class Step:
    """A configuration file and the settings that replace its own."""

    config: str
    """YAML file, relative to the recipe."""
    set: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Settings that replace those of the file, nested as there."""
    encoder: EncoderSwap | None = None
    """Speech encoder that takes the place of the file's."""

    def load(self, recipe: Path, share: float = 1.0) -> dict[str, Any]:
        """Return the settings that the training gets.

        Args:
            recipe: Folder of the recipe.
            share: Share of the updates of every epoch that are made. The learning
                rate's cycle ends with the last update, as it does in the file.

        Raises:
            ValueError: Naming the file, which is not a table of settings, or does not
                go with the encoder.
        """
        import yaml

        with open(recipe / self.config, encoding="utf-8") as f:
            conf = yaml.safe_load(f)
        if not isinstance(conf, dict):
            raise ValueError(f"{recipe / self.config} must be a table of settings")
        conf = merge(conf, self.set)
        if self.encoder is not None:
            conf = self.encoder.apply(conf, self.config)
        return conf if share == 1.0 else _shorten(conf, share)


def _shorten(conf: dict[str, Any], share: float) -> dict[str, Any]:
    """Return settings with a share of the updates, and of all that is counted so."""
    iterations = max(1, round(conf["num_iters_per_epoch"] * share))
    schedule = {
        "first_cycle_steps": conf["max_epoch"] * iterations + 1,
        "warmup_steps": round(conf["scheduler_conf"]["warmup_steps"] * share),
    }
    changes: dict[str, Any] = {
        "num_iters_per_epoch": iterations,
        "scheduler_conf": schedule,
    }
    frozen = conf.get("model_conf", {}).get("freeze_encoder_updates")
    if frozen:
        changes["model_conf"] = {"freeze_encoder_updates": round(frozen * share)}
    return merge(conf, changes)
