"""A cascade of published models, to compare a translation model with."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from typeguard import typechecked

from espnet_samu.decoding.search import Translation
from espnet_samu.text.languages import TargetLanguages
from espnet_samu.utils import hub
from espnet_samu.utils.language_codes import parse_code
from espnet_samu.utils.waveform import SAMPLING_RATE

_TIMESTAMP = re.compile(r"<\|\d+\.\d+\|>")


class Cascade:
    """Speech recognition, then translation of the transcript, by transformers.

    Args:
        asr: Hub id or folder: Whisper, or another model of transformers for speech
            recognition, with a decoder or CTC.
        mt: Hub id or folder: NLLB, M2M-100, mBART-50, or Marian, which has one
            direction. None: Whisper translates into English by itself.
        asr_revision: Branch, tag or commit on the hub.
        mt_revision: Branch, tag or commit on the hub.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``float32``, ``float16`` or ``bfloat16``.
        beam_size: Of both searches.

    Raises:
        FileNotFoundError: There is no such model.
        ValueError: Without ``mt`` the model is no multilingual Whisper.
    """

    @typechecked
    def __init__(
        self,
        asr: str,
        mt: str | None = None,
        asr_revision: str | None = None,
        mt_revision: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        beam_size: int = 5,
    ):
        import transformers as library

        place = hub.locate(asr, asr_revision)
        self.identity = {"asr": _identity(place, asr_revision)}
        self.beam_size = beam_size
        options: dict[str, Any] = {"revision": asr_revision, "trust_remote_code": False}
        config = library.AutoConfig.from_pretrained(place, **options)
        generates = type(config) in library.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING
        auto_class: Any = library.AutoModelForCTC
        if generates:
            auto_class = library.AutoModelForSpeechSeq2Seq
        _check_class(config, auto_class, f"--asr {asr}", "speech recognition")
        weights = {"dtype": getattr(torch, dtype)}
        self.asr: Any = auto_class.from_pretrained(place, **weights, **options)
        self.asr.eval().to(device)
        self.extractor = library.AutoFeatureExtractor.from_pretrained(place, **options)
        self.tokenizer = library.AutoTokenizer.from_pretrained(place, **options)
        self.generates = generates
        self.is_whisper = config.model_type == "whisper"
        asr_tokens: dict[str, int] = {}  # {"<|en|>": 50259, ...}
        if self.is_whisper:
            _complete(self.asr.generation_config, self.tokenizer)
            asr_tokens = getattr(self.asr.generation_config, "lang_to_id", None) or {}
        self.asr_languages = {
            parse_code(token.strip("<|>")).language: token for token in asr_tokens
        }
        self.mt = self.mt_tokenizer = None
        if mt is None:
            if not self.asr_languages:
                raise ValueError(
                    f"{asr} is no multilingual Whisper, which could translate by "
                    "itself: name a model for the translation, --mt"
                )
            return
        place = hub.locate(mt, mt_revision)
        self.identity["mt"] = _identity(place, mt_revision)
        options["revision"] = mt_revision
        config = library.AutoConfig.from_pretrained(place, **options)
        auto_class = library.AutoModelForSeq2SeqLM
        _check_class(config, auto_class, f"--mt {mt}", "translation")
        self.mt_tokenizer = library.AutoTokenizer.from_pretrained(place, **options)
        self.mt = library.AutoModelForSeq2SeqLM.from_pretrained(
            place, **weights, **options
        )
        self.mt.eval().to(device)
        rows = list(range(len(self.mt_tokenizer)))
        tokens = self.mt_tokenizer.convert_ids_to_tokens(rows)
        self.mt_tokens = tokens
        self.languages = TargetLanguages(tokens)

    def check(self, src_lang: str, tgt_langs: Sequence[str]) -> None:
        """Check the languages of a data set before any work.

        A spoken language that Whisper does not know is logged: it detects one.

        Raises:
            ValueError: The translation model does not have one of them.
        """
        language = parse_code(src_lang).language
        if self.asr_languages and language not in self.asr_languages:
            logging.warning(
                f"the model for speech recognition does not know '{src_lang}': it "
                "detects the language of each utterance"
            )
        if self.mt is None:
            others = [x for x in tgt_langs if parse_code(x).language != "eng"]
            if others:
                raise ValueError(
                    f"target language '{others[0]}': Whisper translates into English "
                    "only; name a model for the translation, --mt"
                )
        elif self.languages.codes:
            self.languages.ids([src_lang, *tgt_langs])

    @torch.no_grad()
    def batch(
        self, speeches: Sequence[torch.Tensor], tgt_langs: Sequence[str], src_lang: str
    ) -> list[list[Translation]]:
        """Translate some waveforms of one language.

        Args:
            speeches: B waveforms (N,) at 16 kHz.
            tgt_langs: Target language of each.
            src_lang: Spoken language of all.

        Returns:
            For each the translation and, with a translation model, the transcript.
        """
        # Whisper reads speech that is longer than its window in another way.
        window = self.extractor.n_samples if self.is_whisper else 0
        transcripts = [""] * len(speeches)
        for is_long in (False, True):
            rows = [i for i, x in enumerate(speeches) if (len(x) > window) is is_long]
            if rows:
                texts = self._recognize([speeches[i] for i in rows], src_lang, is_long)
                for i, text in zip(rows, texts):
                    transcripts[i] = text
        if self.mt is None:
            return [[_plain(text)] for text in transcripts]
        translations = [""] * len(speeches)
        for tgt_lang in dict.fromkeys(tgt_langs):
            rows = [i for i, name in enumerate(tgt_langs) if name == tgt_lang]
            texts = self._translate([transcripts[i] for i in rows], src_lang, tgt_lang)
            for i, text in zip(rows, texts):
                translations[i] = text
        return [[*map(_plain, texts)] for texts in zip(translations, transcripts)]

    def _recognize(
        self, speeches: Sequence[torch.Tensor], src_lang: str, is_long: bool
    ) -> list[str]:
        """Return transcripts or, by Whisper alone, English translations."""
        asr = self.asr
        options: dict[str, Any] = {"padding": True}
        search: dict[str, Any] = {"num_beams": self.beam_size}
        if self.is_whisper:
            # Without options the extractor fills a window.
            options = {"truncation": False, "padding": "longest"} if is_long else {}
            options["return_attention_mask"] = True
            search["return_timestamps"] = is_long
            if self.asr_languages:
                search["task"] = "translate" if self.mt is None else "transcribe"
                name = self.asr_languages.get(parse_code(src_lang).language)
                if name is not None:
                    search["language"] = name
        inputs = self.extractor(
            [speech.float().numpy() for speech in speeches],
            sampling_rate=SAMPLING_RATE,
            return_tensors="pt",
            **options,
        ).to(asr.device, asr.dtype)
        if self.generates:
            ids = asr.generate(**inputs, **search)
        else:
            ids = asr(**inputs).logits.argmax(-1)
        found = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [" ".join(_TIMESTAMP.sub(" ", text).split()) for text in found]

    def _translate(
        self, texts: Sequence[str], src_lang: str, tgt_lang: str
    ) -> list[str]:
        tokenizer: Any = self.mt_tokenizer
        model: Any = self.mt
        search: dict[str, Any] = {"num_beams": self.beam_size}
        if self.languages.codes:
            source, target = self.languages.ids([src_lang, tgt_lang])
            # M2M-100 writes the token __fr__ and calls the language fr.
            tokenizer.src_lang = self.mt_tokens[source].strip("_")
            search["forced_bos_token_id"] = target
        # No transcript is not translated: a model would make up a sentence.
        rows = [i for i, text in enumerate(texts) if text]
        translations = [""] * len(texts)
        if rows:
            inputs = tokenizer(
                [texts[i] for i in rows],
                return_tensors="pt",
                return_token_type_ids=False,
                padding=True,
            ).to(model.device)
            size = inputs["input_ids"].size(1)
            longest = 2 * size + 50
            limit = getattr(model.config, "max_position_embeddings", longest)
            if size > limit:
                raise ValueError(
                    f"the transcript has {size} tokens, but the translation model "
                    f"reads {limit}; cut the utterance into segments in stage 1"
                )
            ids = model.generate(
                **inputs, **search, max_new_tokens=min(longest, limit - 2)
            )
            for i, text in zip(
                rows, tokenizer.batch_decode(ids, skip_special_tokens=True)
            ):
                translations[i] = " ".join(text.split())
        return translations


def _check_class(config: Any, auto_class: Any, name: str, task: str) -> None:
    if type(config) not in auto_class._model_mapping:
        raise ValueError(
            f"{name} is a model of type '{config.model_type}', which is not for {task}"
        )


def _complete(config: Any, tokenizer: Any) -> None:
    """Add to Whisper's generation_config.json what converted models lack.

    Languages and tasks are tokens; Whisper for English alone has them, too, but not the
    last language's, so that its tokens have other numbers.
    """
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    if getattr(config, "lang_to_id", None) or config.decoder_start_token_id != (
        tokenizer.convert_tokens_to_ids("<|startoftranscript|>")
    ):
        return
    tokens = tokenizer.get_vocab()
    languages = {f"<|{code}|>" for code in LANGUAGES} & tokens.keys()
    config.lang_to_id = {name: tokens[name] for name in sorted(languages)}
    config.task_to_id = {t: tokens[f"<|{t}|>"] for t in ("transcribe", "translate")}
    config.no_timestamps_token_id = tokens["<|notimestamps|>"]
    config.is_multilingual = True


def _plain(text: str) -> Translation:
    return Translation(text, [], [], 0.0)


def _identity(place: str, revision: str | None) -> Any:
    """Return what tells a model from another: its files, or its name on the hub."""
    if not Path(place).is_dir():
        return [place, revision]
    files = sorted(path for path in Path(place).rglob("*") if path.is_file())
    stats = [path.stat() for path in files]
    return [
        [str(path.relative_to(place)), stat.st_size, stat.st_mtime_ns]
        for path, stat in zip(files, stats)
    ]
