"""One number and how it was made."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Score:
    """A corpus-level score that carries its settings, as sacreBLEU's do."""

    name: str
    """Name of the metric."""
    value: float
    """Shares are 0 to 1, BLEU and chrF 0 to 100."""
    signature: str
    """Settings in sacreBLEU's form, `key:value|key:value`."""
