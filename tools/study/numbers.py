"""Figures of a study in words."""

from study.difference import Difference
from study.estimate import Estimate

TITLES = {
    "bleu": "BLEU",
    "exact_match": "exact match",
    "slot_accuracy": "slot accuracy",
}
DIGITS = {"bleu": 1, "exact_match": 3, "slot_accuracy": 3}
NONE = "-"


def _mark(covers_seeds: bool) -> str:
    """Return the mark of an interval that says nothing about seeds."""
    return "" if covers_seeds else "*"


def format_interval(interval: tuple[float, float], digits: int, sign: str = "") -> str:
    """Return the ends of an interval."""
    low, high = interval
    return f"[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def format_estimate(estimate: Estimate | None, metric: str) -> str:
    """Return a mean with its interval, `*` where that is over sentences only."""
    if estimate is None:
        return NONE
    digits = DIGITS[metric]
    interval = format_interval(estimate.interval, digits)
    return f"{estimate.value:.{digits}f} {interval}{_mark(estimate.covers_seeds)}"


def format_difference(difference: Difference | None, metric: str) -> str:
    """Return a difference with its interval, `*` where that is over sentences only."""
    if difference is None:
        return NONE
    digits = DIGITS[metric]
    interval = format_interval(difference.interval, digits, "+")
    mark = _mark(difference.covers_seeds)
    return f"{difference.value:+.{digits}f} {interval}{mark}"


def format_p(p_value: float | None) -> str:
    """Return a p-value."""
    return NONE if p_value is None else f"{p_value:.4f}"


def format_size(effect_size: float | None) -> str:
    """Return an effect size."""
    return NONE if effect_size is None else f"{effect_size:+.1f}"


def format_seconds(seconds: float) -> str:
    """Return a duration as minutes."""
    return f"{seconds / 60:.1f}"
