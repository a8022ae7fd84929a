"""Which scores are computed, and how."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric

from espnet_samu.scoring.tokenizers import UNSPACED, choose_tokenizer, written_language

SACREBLEU_METRICS = ("bleu", "chrf", "ter")
# Target languages whose characters TER takes for words, as sacreBLEU supports it
BY_CHARACTER = ("zh", "ja")


@dataclasses.dataclass(frozen=True)
class MetricSettings:
    """Settings of all scores of translations.

    Raises:
        ValueError: For an unknown metric, a repeated one, or none of BLEU.
    """

    metrics: tuple[str, ...] = ("bleu", "chrf")
    """Those of `SACREBLEU_METRICS` to compute."""
    tokenizers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """BLEU's tokenizer by target language, instead of the usual one."""
    slot_words: Collection[str] = ()
    """Words for the slot accuracy; none, no such score."""

    def __post_init__(self) -> None:
        unknown = [m for m in self.metrics if m not in SACREBLEU_METRICS]
        if unknown or len(set(self.metrics)) < len(self.metrics):
            raise ValueError(
                f"metrics must be different ones of {SACREBLEU_METRICS}: {self.metrics}"
            )
        if "bleu" not in self.metrics:
            raise ValueError(
                f"metrics must have 'bleu', which TRFGap is made of: {self.metrics}"
            )

    def make_metrics(self, refs: Sequence[str], tgt_lang: str) -> dict[str, Metric]:
        """Return sacreBLEU's metrics for one translation direction, by field name.

        All are cased and with punctuation. chrF and BLEU are sacreBLEU's defaults;
        TER differs from its defaults by the case, and for Chinese and Japanese by
        taking characters for words.

        Args:
            refs: N references.
            tgt_lang: Target language; it chooses BLEU's tokenizer.

        Raises:
            ValueError: For TER of another language that is written without blanks,
                and as `choose_tokenizer`.
        """
        lang = written_language(tgt_lang)
        metrics: dict[str, Metric] = {}
        for name in self.metrics:
            if name == "bleu":
                tokenizer = choose_tokenizer(tgt_lang, self.tokenizers)
                metrics[name] = BLEU(tokenize=tokenizer, references=[list(refs)])
            elif name == "chrf":
                metrics[name] = CHRF(references=[list(refs)])
            else:
                if lang in UNSPACED:
                    raise ValueError(
                        "metrics cannot have 'ter' for target language "
                        f"'{tgt_lang}', which is written without blanks: "
                        f"{self.metrics}"
                    )
                metrics[name] = TER(
                    normalized=lang in BY_CHARACTER,
                    asian_support=lang in BY_CHARACTER,
                    case_sensitive=True,
                    references=[list(refs)],
                )
        return metrics
