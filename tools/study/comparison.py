"""The comparisons that count, as they were registered before the runs."""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two arms, of which the first is expected to be better."""

    name: str
    """Name of the hypothesis."""
    arm: str
    """Arm that is expected to be better."""
    against: str
    """Arm that it is compared with."""
    shows: str
    """What it would show."""

    @property
    def title(self) -> str:
        """What is subtracted from what."""
        return f"{self.arm} - {self.against}"


PRIMARY = (
    Comparison("H1", "c_frozen", "b", "distillation helps at equal total updates"),
    Comparison(
        "H2",
        "c_frozen",
        "j",
        "it is the distillation, not the transcribed speech as such",
    ),
    Comparison(
        "H3",
        "k",
        "c_frozen",
        "keeping the distillation loss on during translation helps further",
    ),
    Comparison(
        "H4",
        "c_frozen",
        "l",
        "H1 is not owed to a control that has not learned its own languages",
    ),
)
BASELINES = ("b", "j", "c_frozen")
"""Arms that every other one is compared with: the controls, and the distilled arm."""
PAIRS = (("k", "k_0"), ("c_full", "j_full"))
"""Further pairs: the loss alone; distillation where nothing is frozen."""


def adjust(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number.

    Reference:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979.

    Args:
        p_values: P-values of a family of tests.

    Returns:
        Adjusted ones, in the same order.
    """
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    ranked = sorted(range(len(p_values)), key=lambda i: p_values[i])
    for rank, i in enumerate(ranked):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = worst
    return adjusted
