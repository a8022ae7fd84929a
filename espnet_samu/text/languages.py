"""Target languages: their rows in a token list, and those of a data folder."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from typeguard import typechecked

from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.language_codes import is_code, to_code

UTT2TGT_LANG = "utt2tgt_lang"


class TargetLanguages:
    """Language codes of a token list, found by any name of a language.

    A name is a code of the list (``de_DE``), the code of another model
    (``deu_Latn``, ``__de__``), or ISO 639-1 with or without a region (``de``,
    ``zh-CN``).

    Args:
        token_list: Tokens; line n is row n of the embedding.
    """

    @typechecked
    def __init__(self, token_list: Sequence[str]):
        self._rows = {t: row for row, t in enumerate(token_list) if is_code(t)}
        self.codes = list(self._rows)
        self._found: dict[str, int] = {}

    def id(self, name: str) -> int:
        """Return the row of a language.

        Raises:
            ValueError: The token list does not have it.
        """
        if name not in self._found:
            self._found[name] = self._rows[self._code(name)]
        return self._found[name]

    def ids(self, names: Iterable[str]) -> list[int]:
        """Return the rows of the languages of a batch."""
        return [self.id(name) for name in names]

    def _code(self, name: str) -> str:
        if name in self._rows:
            return name
        if not self.codes:
            raise ValueError(
                f"target language '{name}': the token list has no language codes, "
                "such as en_XX; mBART's has (--tgt_token_type hugging_face)"
            )
        try:
            return to_code(name, self.codes)
        except ValueError as error:
            listed = ", ".join(self.codes)
            message = f"target {error}"
            if listed not in message:
                message += f". The token list has {listed}"
            raise ValueError(message) from None


def find_tgt_langs(wav_scp: str | Path) -> dict[str, str] | None:
    """Return the target languages of a data folder's utterances.

    Args:
        wav_scp: The folder's ``wav.scp``, or another file in it.

    Returns:
        Name of the language of each utterance, as ``utt2tgt_lang`` beside the file
        has it; None if there is no such file: all are of the default language.

    Raises:
        ValueError: The file is malformed, or an utterance has no language.
    """
    path = Path(wav_scp).parent / UTT2TGT_LANG
    return read_text(path, allow_empty=False) if path.exists() else None


# In the order of the embedding's rows; the first 25 are those of mBART-25.
# Reference: Tang et al., arXiv 2008.00401.
MBART50_CODES: tuple[str, ...] = tuple("""
    ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ
    ko_KR lt_LT lv_LV my_MM ne_NP nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN af_ZA
    az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL
    ps_AF pt_XX sv_SE sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI
    """.split())
MBART25_CODES = MBART50_CODES[:25]
