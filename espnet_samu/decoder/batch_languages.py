"""Target languages of the utterances of a batch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import torch

# By the identity of their BatchLanguages; each thread has a context of its own.
_batches: ContextVar[Mapping[int, torch.Tensor | None]] = ContextVar(
    "batches", default={}
)


class BatchLanguages:
    """Token rows of the target languages: a default, and those of the next batch.

    Args:
        vocab_size: Length V of the token list.
        default: Row of the language of batches without languages of their own; None:
            no language token.

    Raises:
        ValueError: A row is not in the token list.
    """

    def __init__(self, vocab_size: int, default: int | None):
        self.vocab_size = vocab_size
        self.default = default

    @property
    def default(self) -> int | None:
        """Row of the token, or None."""
        return self._default

    @default.setter
    def default(self, row: int | None) -> None:
        if row is not None and not 0 <= row < self.vocab_size:
            raise ValueError(
                f"decoder_conf: lang_token_id {row} is not in the token list of "
                f"{self.vocab_size}"
            )
        self._default = row

    @contextmanager
    def of_batch(self, rows: torch.Tensor | None) -> Iterator[None]:
        """Set the languages (B,) inside a with block; None: no language tokens."""
        if rows is not None:
            wrong = rows[(rows < 0) | (rows >= self.vocab_size)]
            if len(wrong):
                raise ValueError(
                    f"target languages {wrong.tolist()} are not in the token list of "
                    f"{self.vocab_size}"
                )
        token = _batches.set({**_batches.get(), id(self): rows})
        try:
            yield
        finally:
            _batches.reset(token)

    def rows(self, n: int, device, repeat: bool = False) -> torch.Tensor | None:
        """Return the language tokens (n,) of n utterances, or None.

        Args:
            n: Number of utterances.
            device: Where they shall be.
            repeat: n may be a multiple of the batch's utterances, namely the number
                of their hypotheses, those of an utterance in a row.

        Raises:
            ValueError: The batch has another number of languages.
        """
        batches = _batches.get()
        if id(self) not in batches:
            if self.default is None:
                return None
            return torch.full((n,), self.default, device=device)
        batch = batches[id(self)]
        if batch is None:
            return None
        languages = len(batch)
        if n != languages and not (repeat and n % languages == 0):
            raise ValueError(f"{languages} target languages for {n} utterances")
        return batch.to(device).repeat_interleave(n // languages)


def insert_language_tokens(
    tokens: torch.Tensor, rows: torch.Tensor | None
) -> torch.Tensor:
    """Insert language tokens (B,) behind the start tokens of tokens (B, L)."""
    if rows is None:
        return tokens
    return torch.cat([tokens[:, :1], rows[:, None].to(tokens), tokens[:, 1:]], dim=1)
