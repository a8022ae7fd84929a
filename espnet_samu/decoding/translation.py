"""From token ids to text: target languages, detokenizers, chunks of recordings."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from espnet2.st.espnet_model import ESPnetSTModel
from espnet2.text.build_tokenizer import build_tokenizer
from typeguard import typechecked

from espnet_samu.decoding.search import Hypothesis, Translation
from espnet_samu.text.languages import TargetLanguages
from espnet_samu.text.vocabulary import read_bpemodel
from espnet_samu.utils import hub
from espnet_samu.utils.language_codes import is_code, is_spaced
from espnet_samu.utils.waveform import SAMPLING_RATE

# Tokens without a text, of ESPnet's token lists and of mBART's.
_SILENT = frozenset(["<blank>", "<sos/eos>", "<s>", "<pad>", "</s>", "<mask>"])


class Detokenizer:
    """Converter of tokens to text, for each of ESPnet's token types.

    Special tokens and language codes have no text.

    Args:
        token_type: ``hugging_face``, ``bpe``, ``char``, ``word``, ...
        bpemodel: For ``bpe`` the file of a sentencepiece model, for ``hugging_face``
            the folder or hub id of a tokenizer.

    Raises:
        ConnectionError: See :func:`espnet_samu.utils.hub.locate`.
        FileNotFoundError: There is no such file, folder or hub id.
        ValueError: There is none, or it is none of a tokenizer.
    """

    @typechecked
    def __init__(self, token_type: str, bpemodel: str | None = None):
        if token_type == "bpe" and not Path(bpemodel or "").is_file():
            raise FileNotFoundError(
                f"bpemodel '{bpemodel}', the sentencepiece model of the translations, "
                "is missing; name it with --bpemodel"
            )
        if token_type == "hugging_face" and bpemodel is not None:
            bpemodel = _locate(bpemodel)
        try:
            self.tokenizer = build_tokenizer(token_type, bpemodel)
            # ESPnet reads tokenizers at the first text, when the file may be gone.
            if token_type == "bpe":
                self.tokenizer.sp = read_bpemodel(str(bpemodel))
            if token_type == "hugging_face":
                # ESPnet may ask whether to run code.
                from transformers import AutoTokenizer

                self.tokenizer.tokenizer = AutoTokenizer.from_pretrained(
                    bpemodel, trust_remote_code=False
                )
        except (OSError, ValueError) as error:
            if token_type != "hugging_face":
                raise
            raise ValueError(
                f"bpemodel '{bpemodel}' is not a tokenizer of transformers; set one "
                f"with --bpemodel ({_first_line(error)})"
            ) from error

    def __call__(self, tokens: Sequence[str]) -> str:
        """Return the text of tokens, one line."""
        words = [t for t in tokens if t not in _SILENT and not is_code(t)]
        return " ".join(self.tokenizer.tokens2text(words).splitlines())


def _locate(model: str) -> str:
    """Return where a tokenizer is read from."""
    try:
        return hub.locate(model)
    except OSError as error:
        raise type(error)(
            f"bpemodel {error}; name another with --bpemodel, or decode a packed model "
            "(stage 14), which brings its tokenizer along"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


class ModelLanguages:
    """Target-language tokens of a model trained with them.

    Args:
        model: With an ``mbart`` decoder.
        args: Options of its training.
    """

    def __init__(self, model: ESPnetSTModel, args: argparse.Namespace):
        row = model.decoder.lang_token_id
        self.default = None if row is None else model.token_list[row]
        data = getattr(args, "train_data_path_and_name_and_type", None) or []
        self.is_many = any(name == "tgt_lang" for _, name, _ in data)
        self.known = TargetLanguages(model.token_list)

    @property
    def has_tokens(self) -> bool:
        """Whether translations begin with a language token."""
        return self.default is not None or self.is_many

    def rows(self, names: Sequence[str | None]) -> torch.Tensor | None:
        """Return the language rows (B,) of a batch, or None without language tokens.

        Args:
            names: ``de``, ``de_DE``, ...; None: the default.

        Raises:
            ValueError: The model does not know a language, or has no default.
        """
        if not self.has_tokens:
            named = sorted({name for name in names if name is not None})
            if named:
                raise ValueError(
                    f"tgt_lang {', '.join(named)}: the model was trained without "
                    "target-language tokens (--tgt_lang_token, utt2tgt_lang) and "
                    "translates to one language; leave it out"
                )
            return None
        chosen = [self.default if name is None else name for name in names]
        known = [name for name in chosen if name is not None]
        if len(known) < len(chosen):
            raise ValueError(
                "tgt_lang is not given, and the model has no language of its own; it "
                f"knows {', '.join(self.known.codes)}"
            )
        return torch.tensor(self.known.ids(known), dtype=torch.long)


_FRAME = SAMPLING_RATE // 50  # samples, 20 ms
_SMOOTH = 15  # frames, 0.3 s: a pause between words, not a closed mouth


def check_limit(limit: int, window: int | None = None) -> None:
    """Raise a ValueError if a chunk of so many samples is too short or too long.

    Args:
        limit: Samples at 16 kHz of a chunk.
        window: Samples at 16 kHz that the encoder reads at most; None: any number.
    """
    seconds = limit / SAMPLING_RATE
    if limit < SAMPLING_RATE:
        raise ValueError(
            f"chunk_seconds {seconds:g} must be 1 or more, or 0 to leave utterances "
            "whole"
        )
    if window is not None and limit > window:
        raise ValueError(
            f"chunk_seconds {seconds:g} is longer than the window of this model's "
            f"encoder: at most {window / SAMPLING_RATE:g}"
        )


def cut(speech: torch.Tensor, limit: int) -> list[torch.Tensor]:
    """Cut a waveform at quiet places.

    Each cut is in the middle of the quietest 0.3 s in the second half of the longest
    possible piece; the last piece has a quarter of the limit or more.

    Args:
        speech: Waveform (N,).
        limit: Greatest number of samples of a piece.

    Returns:
        The pieces in turn, views of the waveform.
    """
    pieces = []
    while len(speech) > limit:
        last = min(limit, len(speech) - limit // 4)
        place = limit // 2 + _quietest(speech[limit // 2 : last])
        pieces.append(speech[:place])
        speech = speech[place:]
    return [*pieces, speech]


def _quietest(speech: torch.Tensor) -> int:
    """Return the sample in the middle of the quietest 0.3 s."""
    frames = speech[: len(speech) // _FRAME * _FRAME].double().view(-1, _FRAME)
    energy = frames.square().mean(1)
    width = min(_SMOOTH, len(energy))
    smooth = energy.unfold(0, width, 1).mean(1)
    return int(smooth.argmin() * _FRAME + width * _FRAME // 2)


def glue(language: str | None) -> str:
    """Return the separator between the translations of two chunks.

    Args:
        language: Code of the target language (``ja_XX``, ``ja``); None: not known.
    """
    return "" if language and is_spaced(language) is False else " "


class TranslationMaker:
    """Joins the hypotheses of an utterance's chunks to one translation.

    Args:
        token_list: Tokens; line n is row n of the embedding.
        detokenize: Text of tokens.
        length_penalty: Exponent of the length by which scores were divided.
        language: Default target language; None: not known.
    """

    def __init__(
        self,
        token_list: Sequence[str],
        detokenize: Callable[[list[str]], str],
        length_penalty: float,
        language: str | None = None,
    ):
        self.token_list = token_list
        self.detokenize = detokenize
        self.length_penalty = length_penalty
        self.language = language

    def __call__(
        self, parts: Sequence[Hypothesis], language: str | None = None
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

    def _tokens(self, ids: Sequence[int]) -> list[str]:
        return [self.token_list[i] for i in ids]
