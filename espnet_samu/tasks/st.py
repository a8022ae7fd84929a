"""ESPnet's speech-translation task with the plug-in's classes."""

import argparse
from pathlib import Path
from typing import List

from espnet2.st.espnet_model import ESPnetSTModel

from espnet_samu import registry

# Before the host module is read: a spawned worker may come here first.
registry.install()

from espnet2.tasks import st as host  # noqa: E402
from espnet2.utils.types import str2bool, str_or_none  # noqa: E402

from espnet_samu.tasks.exact_task import ExactTask  # noqa: E402
from espnet_samu.train.safe_trainer import SafeTrainer  # noqa: E402

registry.register(host)


class STTask(ExactTask, host.STTask):
    """``espnet2.tasks.st.STTask`` of the same options, and a few repairs.

    * ``--use_src_lang false`` of st.sh works: a model without transcripts.
    * ``--tgt_lang_token en_XX`` names the target-language token of ``mbart``.
    """

    trainer = SafeTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add ESPnet's options and ours."""
        super().add_task_arguments(parser)
        group = parser.add_argument_group("espnet_samu related")
        group.add_argument(
            "--tgt_lang_token",
            type=str_or_none,
            default=None,
            help="Target-language token as it stands in the token list, e.g. en_XX. "
            "It begins every translation, outside the loss (decoder: mbart)",
        )
        group.add_argument(
            "--init_from_samu",
            type=str2bool,
            default=False,
            help="Start the frontend from that of --samu_model",
        )
        group.add_argument(
            "--samu_model",
            type=str_or_none,
            default=None,
            help="Checkpoint of the distillation; samu_st.sh passes it",
        )

    @classmethod
    def main_worker(cls, args: argparse.Namespace) -> None:
        """Train, from the distilled encoder if the configuration says so."""
        if args.init_from_samu and not args.collect_stats:
            if args.samu_model is None or not Path(args.samu_model).is_file():
                raise FileNotFoundError(
                    f"init_from_samu: there is no student at '{args.samu_model}'; run "
                    "stage 8, or name one with samu_st.sh --samu_model FILE"
                )
            spec = f"{args.samu_model}:frontend:frontend"
            args.init_param = [*args.init_param, spec]
        super().main_worker(args)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetSTModel:
        """Build the model; args is made portable."""
        if args.src_token_list is None:
            if args.model_conf.get("asr_weight", 0.0) > 0.0:
                raise ValueError(
                    "model_conf: asr_weight > 0 needs transcripts: pass "
                    "--use_src_lang true to samu_st.sh, or set asr_weight to 0"
                )
            # ESPnetSTModel copies the list unasked: None would be an error there.
            args.src_token_list = []
        model = super().build_model(args)
        token = getattr(args, "tgt_lang_token", None)
        if token is not None:
            model.decoder.lang_token_id = _token_id(token, args.token_list, model)
        cls.make_sparing(args, model)
        cls.make_portable(args, model)
        return model


def _token_id(token: str, token_list: List[str], model: ESPnetSTModel) -> int:
    """Row of a target-language token."""
    if not hasattr(model.decoder, "lang_token_id"):
        raise ValueError(
            f"--tgt_lang_token {token}: decoder {type(model.decoder).__name__} has no "
            "target-language token; it is for decoder: mbart"
        )
    if token not in token_list:
        codes = [t for t in token_list if len(t) == 5 and t[2] == "_"]
        raise ValueError(
            f"--tgt_lang_token {token} is not in the token list; it has "
            f"{', '.join(codes) or 'no language codes'}"
        )
    return token_list.index(token)
