"""ESPnet's speech-translation task with the plug-in's classes."""

import argparse
import os
from collections.abc import Callable

import numpy as np
import torch
from typeguard import typechecked

from espnet_samu import registry

# Before the host module is read: a spawned worker may come here first.
registry.install()

from espnet2.tasks import st as host  # noqa: E402
from espnet2.utils.types import str2bool, str_or_none  # noqa: E402

from espnet_samu.st_model import SamuSTModel  # noqa: E402
from espnet_samu.tasks.abs_samu_task import AbsSamuTask  # noqa: E402
from espnet_samu.tasks.auxiliary_distillation import (  # noqa: E402
    AuxiliaryDistillationTask,
)
from espnet_samu.tasks.st_builder import (  # noqa: E402
    STBuilder,
    check_student_encoder,
    check_student_settings,
    student_specs,
)
from espnet_samu.text.languages import TargetLanguages  # noqa: E402
from espnet_samu.text.tokenizer_files import (  # noqa: E402
    FOLDERS,
    keep_tokenizers,
    own_tokenizer,
)
from espnet_samu.text.vocabulary import check_bpemodel, read_token_list  # noqa: E402
from espnet_samu.train.safe_trainer import SafeTrainer  # noqa: E402
from espnet_samu.utils.distributed import is_first  # noqa: E402

registry.register(host)

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


class STTask(AuxiliaryDistillationTask, AbsSamuTask, host.STTask):
    """``espnet2.tasks.st.STTask`` with the same options, and extensions.

    * ``--use_src_lang false`` of st.sh works: a model without transcripts.
    * ``--tgt_lang_token en_XX`` names the target-language token of ``mbart``.
    * Data named ``tgt_lang`` give the target language of each utterance.
    * ``--samu_weight`` keeps the distillation on.
    * Tokenizer files are copied into the experiment, and config.yaml names the copies.
    """

    trainer = SafeTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add ESPnet's options and ours."""
        super().add_task_arguments(parser)
        group = parser.add_argument_group(
            "espnet_samu related",
            "A data file of the name tgt_lang and the type text, such as "
            "dump/raw/train/utt2tgt_lang,tgt_lang,text, says the target language of "
            "each utterance (de, zh-CN, de_DE, ...). --model_conf has one more "
            "argument: freeze_encoder_updates, the number of first updates that leave "
            "frontend and encoder alone",
        )
        group.add_argument(
            "--tgt_lang_token",
            type=str_or_none,
            default=None,
            help="Target language where there is no tgt_lang: a code of the token list "
            "(en_XX) or another name of the same language (en). Its token begins the "
            "translation, outside the loss (decoder: mbart)",
        )
        group.add_argument(
            "--init_from_samu",
            type=str2bool,
            default=False,
            help="Start frontend and encoder from those of --samu_model",
        )
        group.add_argument(
            "--samu_model",
            type=str_or_none,
            default=None,
            help="Checkpoint of the distillation; samu_st.sh passes it",
        )

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Return ESPnet's optional data, and target languages."""
        return (*super().optional_data_names(train, inference), "tgt_lang")

    @classmethod
    def build_preprocess_fn(
        cls, args: argparse.Namespace, train: bool
    ) -> TranslationPreprocessor | None:
        """Return ESPnet's preprocessor, with target languages.

        Raises:
            ValueError: bpemodel is none, or not of the token list.
        """
        preprocess = super().build_preprocess_fn(args, train)
        if preprocess is None:
            return None
        tokens = read_token_list(args.token_list)
        if args.token_type == "bpe":
            check_bpemodel(args.bpemodel, tokens)
        languages = TargetLanguages(tokens)
        return TranslationPreprocessor(preprocess, languages)

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train; with ``init_from_samu`` from the student's encoder."""
        if args.init_from_samu and not args.collect_stats:
            args.init_param = [*args.init_param, *student_specs(args)]
        for option in FOLDERS:
            # Of a config.yaml that was moved.
            if not os.path.exists(getattr(args, option) or ""):
                value = own_tokenizer(getattr(args, option), args.output_dir)
                setattr(args, option, value)
        super().main_worker(args)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> SamuSTModel:
        """Build the model; ``args`` gets the options that rebuild it."""
        if not args.src_token_list and args.model_conf.get("asr_weight", 0.0) > 0.0:
            raise ValueError(
                "model_conf: asr_weight > 0 needs transcripts: pass "
                "--use_src_lang true to samu_st.sh, or set asr_weight to 0"
            )
        model = STBuilder(args).build()
        cls.initialize(args, model)
        token = getattr(args, "tgt_lang_token", None)
        if token is not None:
            model.decoder.lang_token_id = _token_id(token, args.token_list, model)
        cls.set_up_fine_tuning(args, model)
        cls.make_portable(args, model)
        return model

    @classmethod
    def build_optimizers(  # type: ignore[override]  # the model of this task
        cls, args: argparse.Namespace, model: SamuSTModel
    ) -> list[torch.optim.Optimizer]:
        """Build the optimisers; each step counts as an update of the model.

        Raises:
            ValueError: The data lack the target languages that the model needs, or the
                model lacks parameters of the student's encoder.
        """
        if not args.collect_stats and not args.dry_run:
            _check_target_languages(args, model)
            if args.init_from_samu and not args.ignore_init_mismatch:
                check_student_encoder(args.samu_model, model)
                check_student_settings(args.samu_model, args)
        optimizers = super().build_optimizers(args, model)
        for optimizer in optimizers:
            optimizer.register_step_post_hook(model.count_update)
        # Other processes read the same files where they were.
        if not args.collect_stats and not args.dry_run and is_first():
            keep_tokenizers(args)
        return optimizers


def _token_id(token: str, token_list: list[str], model: SamuSTModel) -> int:
    """Return the row of a target-language token."""
    if not model.has_target_languages:
        raise ValueError(
            f"--tgt_lang_token {token}: decoder {type(model.decoder).__name__} has no "
            "target-language token; it is for decoder: mbart"
        )
    try:
        return TargetLanguages(token_list).id(token)
    except ValueError as error:
        raise ValueError(f"--tgt_lang_token {token}: {error}") from None


def _check_target_languages(args: argparse.Namespace, model: SamuSTModel) -> None:
    """Check that the model can use the target languages of the data."""
    given = [
        any(name == "tgt_lang" for _, name, _ in files)
        for files in (
            args.train_data_path_and_name_and_type,
            args.valid_data_path_and_name_and_type,
        )
    ]
    if given[0] != given[1]:
        one, other = "training", "validation"
        if given[1]:
            one, other = other, one
        raise ValueError(
            f"the {one} data have target languages (tgt_lang), the {other} data do "
            "not; write utt2tgt_lang for both"
        )
    if any(given) and not model.has_target_languages:
        raise ValueError(
            "the data have target languages (tgt_lang), but decoder "
            f"{args.decoder} has none; they are for decoder: mbart"
        )
    if any(given) and args.ngpu > 1 and not args.distributed:
        # DataParallel's threads would share the languages of one part of the batch.
        raise ValueError(
            f"target languages (tgt_lang) on {args.ngpu} GPUs need "
            "--multiprocessing_distributed true"
        )
    codes = TargetLanguages(model.token_list).codes
    if (
        len(codes) > 1
        and model.has_target_languages
        and not any(given)
        and model.decoder.lang_token_id is None
    ):
        raise ValueError(
            f"the token list has {len(codes)} language codes ({codes[0]}, ...), but "
            "nothing says the target language: write utt2tgt_lang for training and "
            "validation, or set tgt_lang_token, e.g. to en_XX"
        )
