"""Translation of waveforms by a trained model."""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from espnet2.st.espnet_model import ESPnetSTModel
from typeguard import typechecked

from espnet_samu.checkpoint import pack
from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.decoding import beam_search, translation
from espnet_samu.decoding.batch_decoder import batches_by_length
from espnet_samu.decoding.search import (
    AbsSearch,
    GenerateSearch,
    Hypothesis,
    SearchSettings,
    Translation,
)
from espnet_samu.decoding.translation import (
    Detokenizer,
    ModelLanguages,
    TranslationMaker,
)
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.layers.adapters import check_quantize, quantize_linear
from espnet_samu.tasks.st import STTask
from espnet_samu.text.tokenizer_files import own_tokenizer
from espnet_samu.utils.safe_reading import Configuration
from espnet_samu.utils.state_dict import StateDictError
from espnet_samu.utils.torch_modules import (
    MODEL_DTYPES,
    encoder_lock,
    host_settings_kept,
    parse_dtype,
    waveform_dtype,
    without_autocast,
)
from espnet_samu.utils.waveform import SAMPLING_RATE, check_speeches, named_waveforms

PIECES = 16
"""Pieces of long recordings that are translated together, or as many as there are
recordings."""


class Speech2Text:
    """Translator of waveforms: a trained model with an ``mbart`` decoder.

    Several threads may share one object: each call needs the memory of its own batch.

    Examples:
        >>> from espnet_samu.corpora.audio import read_speech
        >>> speech2text = Speech2Text.from_pretrained("packed.zip", beam_size=5)
        >>> speech2text(read_speech("utt.wav"), tgt_lang="de")[0].text

    Args:
        st_train_config: config.yaml of the experiment. None: beside st_model_file.
        st_model_file: Checkpoint.
        lm_train_config: config.yaml of a language model. None: beside lm_file.
        lm_file: Checkpoint of a language model of the same tokens. None: no language
            model.
        token_type: As in training if it is None.
        bpemodel: Of the tokenizer; as in training if it is None.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Of the whole model, whatever it was trained in: float16, bfloat16,
            float32, float64.
        quantize: Linear layers with int8 weights, on the CPU: see
            :func:`espnet_samu.layers.adapters.quantize_linear`.
        chunk_seconds: Longer utterances are cut where they are quiet, into pieces of
            at most so many seconds, which are translated in batches of similar
            lengths: their texts are joined, the n-th of all pieces to the n-th of the
            utterance, and their scores are those of the whole. Pieces know nothing of
            each other. 0:
            utterances are never cut; Whisper's encoders then refuse more than their
            window (30 s as published), others need memory for the square of the
            length.
        search: Fields of :class:`SearchSettings`: beam_size, nbest, ...

    Raises:
        FileNotFoundError: A file is missing.
        TypeError: There is no such option.
        ValueError: A value is not allowed or does not fit the model, the decoder is
            not ``mbart``, or the checkpoint is not of the configuration.
    """

    @typechecked
    def __init__(
        self,
        st_train_config: Configuration | Path | str | None = None,
        st_model_file: Path | str | None = None,
        lm_train_config: Path | str | None = None,
        lm_file: Path | str | None = None,
        token_type: str | None = None,
        bpemodel: Path | str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        quantize: bool = False,
        chunk_seconds: float = 0.0,
        **search: Any,
    ):
        search.pop(pack.LOAD_BY, None)
        known = [field.name for field in fields(SearchSettings)]
        unknown = [name for name in search if name not in known]
        if unknown:
            raise TypeError(
                f"Speech2Text has no {', '.join(unknown)}; its search has "
                f"{', '.join(known)}. What else ESPnet's Speech2Text takes means "
                "nothing to decoder: mbart; leave it out"
            )
        self.settings = SearchSettings(**search)
        self.dtype = parse_dtype("dtype", dtype, MODEL_DTYPES)
        if quantize:
            check_quantize(device, dtype)
        self.limit = int(chunk_seconds * SAMPLING_RATE)
        if self.limit != 0:
            translation.check_limit(self.limit)
        has_lm = lm_file is not None or lm_train_config is not None
        # What does not fit together is an error before a large model is read.
        self.settings.beam_search_options(has_lm)
        self.device = device
        # All that a request needs is read here: the files may be gone later.
        with host_settings_kept():
            model, args = load_model(st_train_config, st_model_file, device)
            frontend = getattr(model, "frontend", None)
            if self.limit != 0 and isinstance(frontend, SamuFrontend):
                translation.check_limit(self.limit, frontend.family.longest())
            self.model = without_autocast(model).to(dtype=self.dtype).eval()
            if quantize:
                quantize_linear(self.model)
            bpemodel = args.bpemodel if bpemodel is None else str(bpemodel)
            detokenizer = Detokenizer(token_type or args.token_type, bpemodel)
            args.bpemodel = bpemodel
            self.search = self._build_search(has_lm, lm_train_config, lm_file)
        self.st_train_args = args
        self._lock = encoder_lock(model)
        self.languages = ModelLanguages(model, args)
        self.translation = TranslationMaker(
            model.token_list,
            detokenizer,
            self.settings.length_penalty,
            self.languages.default,
        )

    def _build_search(
        self, has_lm: bool, lm_config: Path | str | None, lm_file: Path | str | None
    ) -> AbsSearch:
        """Build the search, and load the language model if there is one.

        Raises:
            ValueError: The beam is wider than the vocabulary, or the language model is
                of other tokens.
        """
        model, settings = self.model, self.settings
        tokens = model.token_list
        self.backend, reason = settings.choose_backend(has_lm, self.device, len(tokens))
        logging.info(f"search backend {self.backend}: {reason}")
        if self.backend == "generate":
            return GenerateSearch(model, settings)
        if settings.beam_size > len(tokens):
            raise ValueError(
                f"beam_size {settings.beam_size} is wider than the model's vocabulary "
                f"of {len(tokens)} tokens"
            )
        lm = None
        if has_lm and settings.lm_weight > 0:
            lm = beam_search.load_lm(lm_config, lm_file, tokens, self.device)
            lm = lm.to(dtype=self.dtype)
        return beam_search.FusionSearch(model, settings, lm)

    @classmethod
    def from_pretrained(
        cls,
        model_tag: Path | str | None = None,
        cache_dir: Path | str | None = None,
        **kwargs: Any,
    ) -> "Speech2Text":
        """Load a packed model.

        Args:
            model_tag: Zip file of stage 14, the folder of an unpacked one, or a tag
                on the hub (``user/name``, as espnet_model_zoo has them).
            cache_dir: Where a zip file is unpacked. None: in ~/.cache/espnet_samu.
            kwargs: Of the constructor.

        Raises:
            FileNotFoundError: There is no such file, or it is no pack.
            ValueError: The pack is unsafe, or of another version.
        """
        if model_tag is None:
            return cls(**kwargs)
        with pack.opened(model_tag, cache_dir) as files:
            return cls(**{**kwargs, **files})

    def __call__(
        self,
        speech: torch.Tensor | np.ndarray,
        tgt_lang: str | None = None,
        sampling_rate: int | None = None,
    ) -> list[Translation]:
        """Translate one waveform.

        Args:
            speech: (N,) at 16 kHz, in [-1, 1].
            tgt_lang: Target language: ``de``, ``de_DE``. None: the model's own.
            sampling_rate: Of the waveform in Hz: others than 16000 are refused.

        Returns:
            The n best, best first.

        Raises:
            ValueError: It is no such waveform, or the model does not know the
                language.
        """
        return self.batch([speech], [tgt_lang], sampling_rate)[0]

    def batch(
        self,
        speeches: Sequence[torch.Tensor | np.ndarray],
        tgt_langs: Sequence[str | None] | None = None,
        sampling_rate: int | None = None,
    ) -> list[list[Translation]]:
        """Translate some waveforms together; the longest one decides the memory.

        Args:
            speeches: B waveforms (N,) at 16 kHz, in [-1, 1].
            tgt_langs: Target language of each. None: the model's own.
            sampling_rate: Of the waveforms in Hz: others than 16000 are refused.

        Returns:
            For each its n best, best first.

        Raises:
            ValueError: There is none, or one is no such waveform or language.
        """
        if tgt_langs is None:
            tgt_langs = [None] * len(speeches)
        if len(tgt_langs) != len(speeches):
            raise ValueError(f"{len(tgt_langs)} tgt_langs for {len(speeches)} speeches")
        for lang in tgt_langs:
            if lang is not None and not isinstance(lang, str):
                raise ValueError(
                    f"tgt_lang {lang!r} is not a language such as 'de'; a sampling "
                    "rate is given by sampling_rate"
                )
        pieces = []
        dtype = waveform_dtype(self.model, self.dtype)
        labels, tensors = check_speeches(speeches, sampling_rate, dtype)
        for i, speech in enumerate(tensors):
            cuts = translation.cut(speech, self.limit) if self.limit else [speech]
            pieces += [(i, piece) for piece in cuts]
        results: dict[int, list[Hypothesis]] = {}
        # Batches of pieces are as large as that of the speeches, and at least PIECES.
        size = max(len(speeches), PIECES)
        for chosen in batches_by_length([len(piece) for _, piece in pieces], size):
            owners, waveforms = zip(*(pieces[k] for k in chosen))
            lengths = torch.tensor([len(waveform) for waveform in waveforms])
            padded = torch.nn.utils.rnn.pad_sequence(list(waveforms), batch_first=True)
            names = [tgt_langs[i] for i in owners]
            with named_waveforms([labels[i] for i in owners], what=""):
                best = self.find(padded, lengths, names)
            results.update(zip(chosen, best, strict=True))
        found: list[list[list[Hypothesis]]] = [[] for _ in speeches]
        for k, (i, _) in enumerate(pieces):
            found[i].append(results[k])
        return [
            [self.translation(parts, lang) for parts in zip(*best)]
            for best, lang in zip(found, tgt_langs)
        ]

    @torch.no_grad()
    def find(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        tgt_langs: Sequence[str | None],
    ) -> list[list[Hypothesis]]:
        """Find the hypotheses for a padded batch that was checked.

        Args:
            speech: Waveforms (B, N) at 16 kHz, zero where padded.
            speech_lengths: Samples (B,).
            tgt_langs: Target language of each, or None.

        Returns:
            For each its n best, best first.
        """
        languages = self.languages.rows(tgt_langs)
        if languages is not None:
            languages = languages.to(self.device)
        speech = speech.to(self.device, waveform_dtype(self.model, self.dtype))
        with self._lock:
            frames, lengths = self.model.encode(speech, speech_lengths.to(self.device))
        found = self.search(frames, lengths, languages)
        if not all(np.isfinite(h.score) for best in found for h in best):
            raise ValueError(
                f"scores are not finite in {self.dtype}; use another dtype, or look "
                "for NaN in the checkpoint"
            )
        return found


def load_model(
    config: Configuration | Path | str | None, file: Path | str | None, device: str
) -> tuple[ESPnetSTModel, argparse.Namespace]:
    """Load a model with an ``mbart`` decoder.

    Args:
        config: config.yaml of the experiment. None: beside the file.
        file: Checkpoint. None: random weights.
        device: ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: The decoder is another one, or the checkpoint is not of this
            configuration, e.g. of another vocabulary.
    """
    if config is None:
        if file is None:
            raise ValueError(
                "st_train_config and st_model_file are not given: name them, or a "
                "packed model in from_pretrained"
            )
        config = Path(file).parent / "config.yaml"
    path = config.path if isinstance(config, Configuration) else Path(config)
    for name, file_path in (("st_train_config", path), ("st_model_file", file)):
        if file_path is not None and not Path(file_path).is_file():
            raise FileNotFoundError(f"{name} {file_path} is missing")
    try:
        model, args = STTask.build_model_from_file(config, file, device)
    except OSError as error:
        if isinstance(error, FileNotFoundError) or file is None:
            raise
        raise ValueError(f"{file} cannot be read; is it whole? {error}") from error
    except StateDictError as error:
        if not error.other_shapes:
            raise
        n_tokens = len(Configuration.of(config)["token_list"])
        raise ValueError(
            f"{error}; the model has {n_tokens} tokens: is the checkpoint of another "
            "vocabulary?"
        ) from None
    if not isinstance(model.decoder, MBartDecoder):
        raise ValueError(
            f"{path}: decoder '{args.decoder}' is not mbart; use "
            "espnet2.bin.st_inference"
        )
    args.bpemodel = own_tokenizer(args.bpemodel, path.parent)
    return model, args
