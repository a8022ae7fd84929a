"""From hypotheses to translations."""

from typing import Callable, List, Optional, Sequence

from espnet_samu.decoding.hypothesis import Hypothesis, Translation
from espnet_samu.decoding.long_form import glue


class TranslationMaker:
    """Makes one translation of the hypotheses of an utterance's pieces.

    Args:
        token_list: Tokens; line n is row n of the embedding.
        detokenize: Text of tokens.
        length_penalty: Exponent of the length by which scores were divided.
        language: Target language where no other is said; None: not known.
    """

    def __init__(
        self,
        token_list: Sequence[str],
        detokenize: Callable[[List[str]], str],
        length_penalty: float,
        language: Optional[str] = None,
    ):
        self.token_list = token_list
        self.detokenize = detokenize
        self.length_penalty = length_penalty
        self.language = language

    def __call__(
        self, parts: Sequence[Hypothesis], language: Optional[str] = None
    ) -> Translation:
        """Join hypotheses.

        Args:
            parts: One of each piece, in turn; mostly there is one piece.
            language: Target language, if it is not the usual one.

        Returns:
            Their texts and tokens one after the other. The score is that of the whole:
            the sum, or the mean over all tokens, of the log-probabilities.
        """
        texts = [self.detokenize(self._tokens(part.tokens)) for part in parts]
        ids = [i for part in parts for i in part.tokens]
        score = parts[0].score
        if len(parts) > 1:
            exponent = self.length_penalty
            score = sum(part.score * part.length**exponent for part in parts)
            score /= sum(part.length for part in parts) ** exponent
        text = glue(language or self.language).join(text for text in texts if text)
        return Translation(text, self._tokens(ids), ids, score)

    def _tokens(self, ids: Sequence[int]) -> List[str]:
        return [self.token_list[i] for i in ids]
