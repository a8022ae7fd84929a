"""Search settings, n-best hypotheses, and search by transformers' ``generate``."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from espnet2.st.espnet_model import ESPnetSTModel
from typeguard import typechecked


class Hypothesis(NamedTuple):
    """Translation as rows of the token list."""

    tokens: list[int]
    """Without start, target-language and end token."""
    length: int
    """Number of tokens that the score counts: the end token is one."""
    score: float
    """Log-probability with its bonuses, divided by length ** length_penalty."""


class Translation(NamedTuple):
    """Translation of one utterance."""

    text: str
    """Detokenised."""
    token: list[str]
    """Pieces, without the start, target-language and end tokens."""
    token_int: list[int]
    """Rows of the token list."""
    score: float
    """Log-probability, divided by the length if normalize_length is set."""


class AbsSearch(ABC):
    """Interface of the search backends."""

    @abstractmethod
    def __call__(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        languages: torch.Tensor | None = None,
    ) -> list[list[Hypothesis]]:
        """Search for the translations of a batch.

        Args:
            frames: Encoded speech (B, T, D).
            lengths: Number of frames (B,).
            languages: Rows of the target-language tokens (B,); None: the model's own.

        Returns:
            For each utterance its n best, best first.
        """
        raise NotImplementedError


BACKENDS = ("auto", "generate", "beam_search")


class Backend(NamedTuple):
    """Search backend that was chosen."""

    name: str
    """``generate`` or ``beam_search``."""
    reason: str
    """Why, for the log."""


@typechecked
@dataclass(frozen=True)
class SearchSettings:
    """Search options; those that ESPnet has keep its names.

    Raises:
        ValueError: A value is not allowed, alone or beside another one.
    """

    beam_size: int = 5
    """Hypotheses kept at each step; 1: the likeliest token each time."""
    nbest: int = 1
    """Translations of an utterance, at most beam_size unless do_sample."""
    maxlenratio: float = 0.0
    """0: as many tokens as frames; positive: that share of the frames; negative:
    -maxlenratio tokens. The end token is one of them."""
    minlenratio: float = 0.0
    """Least number of tokens as a share of the frames; negative: -minlenratio tokens.
    The end token is none of them."""
    normalize_length: bool = True
    """Compare hypotheses by their mean log-probability."""
    penalty: float = 0.0
    """Added for every token (backend beam_search)."""
    ctc_weight: float = 0.0
    """Share of the CTC over translations (backend beam_search)."""
    lm_weight: float = 1.0
    """Factor of the language model, if there is one (backend beam_search)."""
    backend: str = "auto"
    """``generate``: transformers' search; ``beam_search``: ESPnet's; ``auto``: see
    :meth:`choose_backend`."""
    do_sample: bool = False
    """Draw tokens at random (backend generate)."""
    temperature: float = 1.0
    """Of the draws: logits are divided by it."""
    top_k: int = 0
    """Draw among the so many likeliest tokens; 0: all."""
    top_p: float = 1.0
    """Draw among the likeliest tokens that have this probability together."""

    def __post_init__(self) -> None:
        if self.beam_size < 1:
            raise ValueError(f"beam_size {self.beam_size} must be 1 or more")
        if self.nbest < 1 or self.nbest > self.beam_size and not self.do_sample:
            raise ValueError(
                f"nbest {self.nbest} must be from 1 to beam_size {self.beam_size}"
            )
        if self.backend not in BACKENDS:
            raise ValueError(
                f"backend '{self.backend}' is not one of {', '.join(BACKENDS)}"
            )
        if not 0 <= self.ctc_weight < 1:
            raise ValueError(
                f"ctc_weight {self.ctc_weight} must be from 0 to below 1: the decoder "
                "has the rest"
            )
        if self.lm_weight < 0:
            raise ValueError(f"lm_weight {self.lm_weight} must be 0 or more")
        self._check_sampling()

    def _check_sampling(self) -> None:
        if self.temperature <= 0 or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError(
                f"temperature {self.temperature} must be above 0, top_k {self.top_k} 0 "
                f"or more, top_p {self.top_p} above 0 and at most 1"
            )
        changed = [
            name
            for name, value in (("temperature", 1), ("top_k", 0), ("top_p", 1))
            if getattr(self, name) != value
        ]
        if changed and not self.do_sample:
            raise ValueError(f"{', '.join(changed)}: only with do_sample")
        if self.nbest > self.beam_size > 1:
            raise ValueError(
                f"nbest {self.nbest} must be from 1 to beam_size {self.beam_size}; "
                "with beam_size 1 any number is drawn"
            )

    def beam_search_options(self, has_lm: bool) -> list[str]:
        """Return the options that only backend ``beam_search`` has.

        Args:
            has_lm: Whether there is a language model.

        Raises:
            ValueError: There are some, and other options ask for ``generate``.
        """
        settings = {
            "ctc_weight": self.ctc_weight > 0,
            "lm_weight with a language model": has_lm and self.lm_weight > 0,
            "penalty": self.penalty != 0,
        }
        wanted = [name for name, value in settings.items() if value]
        if wanted and self.backend == "generate":
            raise ValueError(
                f"backend 'generate' has no {', '.join(wanted)}; use beam_search"
            )
        if self.do_sample and (wanted or self.backend == "beam_search"):
            raise ValueError(
                f"do_sample: backend 'beam_search' ({', '.join(wanted) or 'chosen'}) "
                "does not sample; use generate"
            )
        return wanted

    def choose_backend(self, has_lm: bool, device: str, n_tokens: int) -> Backend:
        """Return the backend, and why it is used.

        Both find the same hypotheses. ``auto`` takes the one that an option needs, or
        else the faster one. On a CPU that is ``beam_search``
        (tools/benchmark/decode.py). On CUDA nobody has measured it yet
        (tools/benchmark/gpu_check.py does): there it is ``generate``, which keeps
        track of hypotheses on the device, where ``beam_search`` copies scores to the
        host at every step.

        Args:
            has_lm: Whether there is a language model.
            device: ``cpu``, ``cuda`` or ``cuda:N``.
            n_tokens: Length of the token list.

        Raises:
            ValueError: The backend cannot do what other options ask for.
        """
        wanted = self.beam_search_options(has_lm)
        if self.backend != "auto":
            return Backend(self.backend, "it was chosen")
        if wanted:
            return Backend("beam_search", f"for {', '.join(wanted)}")
        if self.do_sample:
            return Backend("generate", "for do_sample")
        if self.beam_size > n_tokens:
            reason = f"beam_size {self.beam_size} is wider than {n_tokens} tokens"
            return Backend("generate", reason)
        if torch.device(device).type == "cpu":
            return Backend("beam_search", "the faster one on a CPU")
        return Backend("generate", f"the default on {device}")

    @property
    def length_penalty(self) -> float:
        """Exponent of the length by which log-probabilities are divided."""
        return 1.0 if self.normalize_length else 0.0

    def length_limits(
        self, lengths: torch.Tensor, positions: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the length limits of each utterance.

        Args:
            lengths: Number of frames (B,).
            positions: Number of tokens that the decoder can read.

        Returns:
            Least number of tokens (B,) without the end token; greatest (B,) with it.
        """

        def limit(ratio: float) -> torch.Tensor:
            if ratio < 0:
                return torch.full_like(lengths, int(-ratio))
            return (ratio * lengths.double()).long()

        longest = limit(self.maxlenratio) if self.maxlenratio != 0 else lengths
        # Start and language token are read too.
        longest = longest.clamp(1, positions - 2)
        return limit(self.minlenratio).minimum(longest), longest


class GenerateSearch(AbsSearch):
    """Greedy search, beam search or sampling with a key-value cache.

    Args:
        model: With an ``mbart`` decoder.
        settings: Those of this backend are used.
    """

    def __init__(self, model: ESPnetSTModel, settings: SearchSettings):
        self.model = model
        self.settings = settings
        self.options = {
            "num_beams": settings.beam_size,
            "num_return_sequences": settings.nbest,
            "length_penalty": settings.length_penalty,
            "do_sample": settings.do_sample,
        }
        if settings.do_sample:
            # transformers' own default is top_k 50.
            self.options.update(
                temperature=settings.temperature,
                top_k=settings.top_k,
                top_p=settings.top_p,
            )

    @torch.no_grad()
    def __call__(
        self,
        frames: torch.Tensor,
        lengths: torch.Tensor,
        languages: torch.Tensor | None = None,
    ) -> list[list[Hypothesis]]:
        """See :class:`AbsSearch`."""
        model, decoder, nbest = self.model, self.model.decoder, self.settings.nbest
        if languages is None:
            languages = decoder.languages.rows(len(frames), frames.device)
        positions = decoder.model.config.max_position_embeddings
        shortest, longest = self.settings.length_limits(lengths, positions)
        with decoder.target_languages(languages):
            found = decoder.generate_with_scores(
                frames, lengths, model.sos, model.eos, longest, shortest, **self.options
            )
        rows = zip(found.tokens.tolist(), found.lengths.tolist(), found.scores.tolist())
        hypotheses = [self._hypothesis(*row) for row in rows]
        groups = [hypotheses[i : i + nbest] for i in range(0, len(hypotheses), nbest)]
        # Sampled hypotheses are not sorted.
        return [sorted(group, key=lambda h: -h.score) for group in groups]

    def _hypothesis(self, tokens: list[int], length: int, score: float) -> Hypothesis:
        tokens = tokens[:length]
        if tokens[-1:] == [self.model.eos]:
            tokens = tokens[:-1]
        return Hypothesis(tokens, length, score)
