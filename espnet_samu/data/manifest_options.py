"""What a manifest must hold and how its output is named."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ManifestOptions:
    """What a manifest must hold and how its output is named.

    Attributes:
        src_lang: Suffix of the transcripts: ``text.<src_case>.<src_lang>``.
        tgt_lang: Suffix of the translations: ``text.<tgt_case>.<tgt_lang>``.
        src_case: Case tag of the transcripts.
        tgt_case: Case tag of the translations.
        langs: Source languages allowed; empty: any code that looks like ISO 639.
        samu: Transcribed speech for distillation: translations are neither needed
            nor written.
        use_src_lang: False: transcripts are neither needed nor written.
    """

    src_lang: str = "multi"
    tgt_lang: str = "en"
    src_case: str = "tc"
    tgt_case: str = "tc"
    langs: tuple[str, ...] = ()
    samu: bool = False
    use_src_lang: bool = True

    def __post_init__(self) -> None:
        if self.samu and not self.use_src_lang:
            raise ValueError("use_src_lang must be true with samu: it learns from them")
        if not self.samu and self.use_src_lang and self.src_name == self.tgt_name:
            raise ValueError(f"transcripts and translations would be {self.src_name}")

    @property
    def src_name(self) -> str:
        """File name of the transcripts."""
        return f"text.{self.src_case}.{self.src_lang}"

    @property
    def tgt_name(self) -> str:
        """File name of the translations."""
        return f"text.{self.tgt_case}.{self.tgt_lang}"
