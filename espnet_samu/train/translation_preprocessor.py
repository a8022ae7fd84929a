"""Preprocessing of translations: token ids and target language."""

from collections.abc import Callable

import numpy as np
from typeguard import typechecked

from espnet_samu.text.languages import TargetLanguages

Data = dict[str, str | np.ndarray]


class TranslationPreprocessor:
    """ESPnet's preprocessor, with ``tgt_lang`` converted to a token row.

    Args:
        preprocess: ESPnet's, of waveform and text.
        languages: Languages of the token list.
    """

    @typechecked
    def __init__(
        self, preprocess: Callable[[str, Data], Data], languages: TargetLanguages
    ):
        self.preprocess = preprocess
        self.languages = languages

    def __call__(self, uid: str, data: Data) -> Data:
        """Preprocess one utterance.

        Args:
            uid: Name of the utterance.
            data: What its files say: ``speech`` (N,), ``text``, ``src_text``,
                ``tgt_lang``.

        Returns:
            Token ids instead of texts; ``tgt_lang`` (1,).

        Raises:
            ValueError: The token list does not have the target language, or the
                translation is empty.
        """
        data = dict(data)
        name = data.pop("tgt_lang", None)
        data = dict(self.preprocess(uid, data))
        if "text" in data and len(data["text"]) == 0:
            raise ValueError(
                f"utterance {uid}: the translation is empty; take the utterance out of "
                "the data (stage 4 does so)"
            )
        if isinstance(name, str):
            try:
                row = self.languages.id(name.strip())
            except ValueError as error:
                raise ValueError(f"utterance {uid}: {error}") from None
            data["tgt_lang"] = np.array([row], dtype=np.int64)
        return data
