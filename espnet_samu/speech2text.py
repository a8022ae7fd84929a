"""Translation of waveforms by a trained model."""

from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Tuple, Union

import numpy as np
import torch
from espnet2.text.build_tokenizer import build_tokenizer
from transformers import LogitsProcessorList, StoppingCriteriaList

from espnet_samu.decoder.length_limits import LongestLengths, ShortestLengths
from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.tasks.st import STTask


class Translation(NamedTuple):
    """One hypothesis for an utterance."""

    text: str
    """Detokenised."""
    token: List[str]
    """Pieces, without the start, target-language and end tokens."""
    token_int: List[int]
    """Rows of the token list."""
    score: float
    """Log-probability, divided by the length if normalize_length is set."""


class Speech2Text:
    """Translation of waveforms by a model with an ``mbart`` decoder.

    Decoding is transformers' ``generate``: K/V cache, encoder mask, batches.

    Args:
        st_train_config: config.yaml of the experiment. None: beside st_model_file.
        st_model_file: Checkpoint.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Of the whole model: float16, float32, float64.
        beam_size: Number of beams.
        nbest: Number of hypotheses, at most beam_size.
        maxlenratio: As ESPnet's: 0 allows as many tokens as frames, a positive value
            that share of the frames, a negative one -maxlenratio tokens.
        minlenratio: Least number of tokens as a share of the frames, a negative one
            -minlenratio tokens.
        normalize_length: Compare hypotheses by their mean log-probability.

    Raises:
        ValueError: The decoder is not ``mbart``, or nbest is above beam_size.
    """

    def __init__(
        self,
        st_train_config: Union[Path, str, None] = None,
        st_model_file: Union[Path, str, None] = None,
        device: str = "cpu",
        dtype: str = "float32",
        beam_size: int = 5,
        nbest: int = 1,
        maxlenratio: float = 0.0,
        minlenratio: float = 0.0,
        normalize_length: bool = True,
    ):
        if not 1 <= nbest <= beam_size:
            raise ValueError(f"nbest {nbest} must be from 1 to beam_size {beam_size}")
        model, args = STTask.build_model_from_file(
            st_train_config, st_model_file, device
        )
        if not isinstance(model.decoder, MBartDecoder):
            raise ValueError(
                f"{st_train_config}: decoder '{args.decoder}' is not mbart; use "
                "espnet2.bin.st_inference"
            )
        self.model = model.to(dtype=getattr(torch, dtype)).eval()
        self.st_train_args = args
        self.device = device
        self.beam_size = beam_size
        self.nbest = nbest
        self.maxlenratio = maxlenratio
        self.minlenratio = minlenratio
        self.length_penalty = 1.0 if normalize_length else 0.0
        self.tokenizer = build_tokenizer(args.token_type, args.bpemodel)

    @classmethod
    def from_pretrained(
        cls, model_tag: Optional[str] = None, **kwargs: Any
    ) -> "Speech2Text":
        """Load a packed model.

        Args:
            model_tag: Zip file of stage 14, or a tag of espnet_model_zoo.
            kwargs: Of the constructor.
        """
        if model_tag is not None:
            from espnet2.utils.pretrained import download_pretrained

            kwargs.update(download_pretrained(model_tag))
        return cls(**kwargs)

    def __call__(self, speech: Union[torch.Tensor, np.ndarray]) -> List[Translation]:
        """Translate one waveform (N,) at 16 kHz: the n best, best first."""
        speech = torch.as_tensor(speech)
        return self.translate(speech[None], torch.tensor([len(speech)]))[0]

    @torch.no_grad()
    def translate(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> List[List[Translation]]:
        """Translate a batch.

        Args:
            speech: Waveforms (B, N) at 16 kHz.
            speech_lengths: Samples (B,).

        Returns:
            For each utterance its n best, best first.
        """
        dtype = next(self.model.parameters()).dtype
        speech = speech.to(device=self.device, dtype=dtype)
        frames, lengths = self.model.encode(speech, speech_lengths.to(self.device))
        shortest, longest = self._length_limits(lengths)
        output = self.model.decoder.generate(
            frames,
            lengths,
            sos=self.model.sos,
            eos=self.model.eos,
            num_beams=self.beam_size,
            num_return_sequences=self.nbest,
            length_penalty=self.length_penalty,
            do_sample=False,
            output_scores=self.beam_size > 1,
            output_logits=self.beam_size == 1,
            max_new_tokens=int(longest.max()),
            logits_processor=LogitsProcessorList(
                [ShortestLengths(shortest, self.prefix, self.model.eos)]
            ),
            stopping_criteria=StoppingCriteriaList(
                [LongestLengths(longest, self.prefix)]
            ),
        )
        longest = longest.repeat_interleave(self.nbest)
        if self.beam_size > 1:
            scores = output.sequences_scores.tolist()
        else:
            scores = self._greedy_scores(output, longest)
        hypotheses = [
            self._to_translation(sequence[: self.prefix + limit], score)
            for sequence, limit, score in zip(
                output.sequences.tolist(), longest.tolist(), scores
            )
        ]
        return [
            hypotheses[i : i + self.nbest]
            for i in range(0, len(hypotheses), self.nbest)
        ]

    @property
    def prefix(self) -> int:
        """Number of tokens before a translation: start token, target language."""
        return 1 if self.model.decoder.lang_token_id is None else 2

    def _greedy_scores(self, output, longest: torch.Tensor) -> List[float]:
        """Log-probabilities of greedy hypotheses, which have no beam scores."""
        steps = self.model.decoder.model.compute_transition_scores(
            output.sequences, output.logits, normalize_logits=True
        )
        ended = output.sequences[:, -steps.size(1) :] == self.model.eos
        after = ended.cumsum(1) - ended.long() > 0
        # What follows is padding.
        after |= torch.arange(steps.size(1), device=steps.device) >= longest[:, None]
        steps = steps.masked_fill(after, 0.0)
        length = (~after).sum(1) ** self.length_penalty
        return (steps.sum(1) / length).tolist()

    def _length_limits(
        self, lengths: torch.Tensor
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """ESPnet's length ratios in tokens of each utterance.

        Args:
            lengths: Number of frames (B,).

        Returns:
            Least and greatest number of tokens (B,), the end token among the latter.
        """

        def limit(ratio: float) -> torch.Tensor:
            if ratio < 0:
                return torch.full_like(lengths, int(-ratio))
            return (ratio * lengths.double()).long()

        positions = self.model.decoder.model.config.max_position_embeddings - 2
        longest = limit(self.maxlenratio) if self.maxlenratio != 0 else lengths
        longest = longest.clamp(1, positions)
        return limit(self.minlenratio).minimum(longest), longest

    def _to_translation(self, sequence: List[int], score: float) -> Translation:
        ids = sequence[self.prefix :]
        if self.model.eos in ids:
            ids = ids[: ids.index(self.model.eos)]
        tokens = [self.model.token_list[i] for i in ids]
        return Translation(self.tokenizer.tokens2text(tokens), tokens, ids, score)
