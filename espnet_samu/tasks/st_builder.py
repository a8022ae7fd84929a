"""Building a translation model from its options."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from espnet2.asr.ctc import CTC
from espnet2.asr.postencoder.abs_postencoder import AbsPostEncoder
from espnet2.asr_transducer.joint_network import JointNetwork
from espnet2.tasks import st as host
from espnet2.train.class_choices import ClassChoices

from espnet_samu.st_model import SamuSTModel
from espnet_samu.text.vocabulary import read_token_list
from espnet_samu.utils.base_weights import read_weights
from espnet_samu.utils.safe_reading import read_yaml


def student_specs(args: argparse.Namespace) -> list[str]:
    """Return the ``--init_param`` specs of ``--init_from_samu``.

    Raises:
        FileNotFoundError: There is no student.
    """
    if args.samu_model is None or not Path(args.samu_model).is_file():
        raise FileNotFoundError(
            f"init_from_samu: there is no student at '{args.samu_model}'; run "
            "stage 8, or name one with samu_st.sh --samu_model FILE"
        )
    specs = [f"{args.samu_model}:frontend:frontend"]
    # A passthrough encoder has none.
    if _encoder_parameters(args.samu_model):
        specs.append(f"{args.samu_model}:encoder:encoder")
    return specs


def check_student_encoder(samu_model: str, model: torch.nn.Module) -> None:
    """Check that the model has all parameters of the student's encoder.

    Raises:
        ValueError: The model has no place for some of it.
    """
    present = model.state_dict()
    lost = [name for name in _encoder_parameters(samu_model) if name not in present]
    if lost:
        raise ValueError(
            f"init_from_samu: {len(lost)} parameters of the student's encoder have no "
            f"place in encoder: {type(model.encoder).__name__}, e.g. {lost[0]}; set "
            "encoder and encoder_conf as in the distillation"
        )


_OUTPUT = ("layer", "layer_mix")
_FRAMES = (*_OUTPUT, "normalize_waveform", "log_mel_conf", "average_frames")
_FRAMES_OF_MODEL = (
    "model_type conv_stride conv_kernel do_stable_layer_norm feat_extract_norm "
    "feat_extract_activation position_embeddings_type hidden_act num_attention_heads "
    "add_adapter adapter_stride adaptor_stride speech_encoder_hidden_act "
    "speech_encoder_attention_heads speech_encoder_chunk_size "
    "speech_encoder_left_chunk_num max_source_positions"
).split()
_FRAMES_OF_ADAPTERS = ("type", "alpha")


def check_student_settings(samu_model: str, args: argparse.Namespace) -> None:
    """Check that the model makes the student's frames of the student's weights.

    These settings keep names and shapes of parameters, so that loading alone does not
    find them.

    Args:
        samu_model: Checkpoint; without config.yaml beside it nothing is compared.
        args: Options of the translation model.

    Raises:
        ValueError: Names the settings and both values.
    """
    config = Path(samu_model).parent / "config.yaml"
    if not config.is_file():
        return
    options = read_yaml(config)
    student, ours = options.get("frontend_conf") or {}, args.frontend_conf
    pairs: list[tuple[str, Any, Any, Sequence[str]]] = [
        ("frontend_conf", student, ours, _FRAMES)
    ]
    model, our_model = student.get("model_conf"), ours.get("model_conf")
    if model and our_model:
        pairs.append(("frontend_conf.model_conf", model, our_model, _FRAMES_OF_MODEL))
    adapters = (options.get("adapters") or {}).get("encoder")
    our_adapters = (getattr(args, "adapters", None) or {}).get("encoder")
    if adapters and our_adapters:
        pairs.append(("adapters.encoder", adapters, our_adapters, _FRAMES_OF_ADAPTERS))
    found = [
        f"{part}.{name} {theirs.get(name)} -> {mine.get(name)}"
        for part, theirs, mine, names in pairs
        for name in names
        # An earlier version's config.yaml has not all of them.
        if (name in _OUTPUT or (name in theirs and name in mine))
        and (theirs.get(name) or None) != (mine.get(name) or None)
    ]
    if found:
        is_window = any("max_source_positions" in text for text in found)
        window = " (50 positions are a second of window_seconds)" if is_window else ""
        raise ValueError(
            f"init_from_samu: the student {samu_model} makes other frames of its "
            f"weights than this model would: {', '.join(found)}; use the settings of "
            f"{config}{window}"
        )


def _encoder_parameters(samu_model: str) -> list[str]:
    """Return the names of a student's encoder parameters, without the frontend's."""
    names = read_weights(samu_model, shapes_only=True)
    return [name for name in names if name.startswith("encoder.")]


class STBuilder:
    """Builder of the same model as ``espnet2.tasks.st.STTask.build_model``.

    ESPnet's names its model and its CTC itself, so that it cannot be made to build

    * our model, of the same parameters;
    * no CTC layer where no loss uses one: over mBART-50's 250,054 tokens it has 256
      million parameters, which ESPnet makes and drops;
    * a model with any of its post-encoders: ``hugging_face_transformers`` is an
      AttributeError in translation.

    Args:
        args: Options of the task. Token lists in it replace the names of their
            files, so that config.yaml does without them.
    """

    def __init__(self, args: argparse.Namespace):
        self.args = args
        args.token_list = read_token_list(args.token_list)
        args.src_token_list = read_token_list(args.src_token_list or [])
        logging.info(f"Vocabulary size: {len(args.token_list)}")
        logging.info(f"Source vocabulary size: {len(args.src_token_list)}")

    def build(self) -> SamuSTModel:
        """Build the model."""
        args = self.args
        size = len(args.token_list)
        frontend, n_feats = None, args.input_size
        if n_feats is None:
            frontend = self._part(host.frontend_choices)
            n_feats = frontend.output_size()
        else:
            args.frontend, args.frontend_conf = None, {}
        specaug = self._part(host.specaug_choices)
        normalize = self._part(host.normalize_choices)
        preencoder = self._part(host.preencoder_choices)
        if preencoder is not None:
            n_feats = preencoder.output_size()
        encoder = self._part(host.encoder_choices, input_size=n_feats)
        n_frame = encoder.output_size()
        hier_encoder = self._part(host.hier_encoder_choices, input_size=n_frame)
        if hier_encoder is not None:
            n_frame = hier_encoder.output_size()
        postencoder = self._postencoder(n_frame)
        if postencoder is not None:
            n_frame = postencoder.output_size()
        decoder = self._decoder(n_frame)
        ctc, st_ctc = self._ctc(encoder.output_size(), n_frame, postencoder)
        extra_asr_decoder = None
        if args.src_token_list:
            extra_asr_decoder = self._part(
                host.extra_asr_decoder_choices,
                vocab_size=len(args.src_token_list),
                encoder_output_size=encoder.output_size(),
            )
        return SamuSTModel(
            vocab_size=size,
            src_vocab_size=len(args.src_token_list),
            token_list=args.token_list,
            src_token_list=args.src_token_list,
            frontend=frontend,
            specaug=specaug,
            normalize=normalize,
            preencoder=preencoder,
            encoder=encoder,
            hier_encoder=hier_encoder,
            postencoder=postencoder,
            decoder=decoder,
            st_joint_network=self._joint_network(decoder, n_frame),
            ctc=ctc,
            st_ctc=st_ctc,
            extra_asr_decoder=extra_asr_decoder,
            extra_mt_decoder=self._part(
                host.extra_mt_decoder_choices,
                vocab_size=size,
                encoder_output_size=n_frame,
            ),
            md_encoder=self._part(
                host.md_encoder_choices,
                input_size=getattr(extra_asr_decoder, "_output_size_bf_softmax", None),
            ),
            # Its input is not frames but one of the tokens' rows.
            extra_mt_encoder=self._part(host.extra_mt_encoder_choices, input_size=size),
            **args.model_conf,
        )

    def _part(self, choices: ClassChoices, **kwargs: Any) -> Any:
        """Build the part that the options choose, or return None."""
        # config.yaml of an earlier ESPnet has not all of them.
        name = getattr(self.args, choices.name, None)
        if name is None:
            return None
        conf = getattr(self.args, f"{choices.name}_conf")
        return choices.get_class(name)(**kwargs, **conf)

    def _postencoder(self, n_frame: int) -> AbsPostEncoder | None:
        postencoder = self._part(host.postencoder_choices, input_size=n_frame)
        # ESPnetSTModel reads this attribute, which only length_adaptor has. If it is
        # true, the CTC layers read the encoder's output, not the post-encoder's.
        if postencoder is not None and not hasattr(postencoder, "return_int_enc"):
            postencoder.return_int_enc = self.args.model_conf.get("asr_weight", 0) > 0
        return postencoder

    def _decoder(self, n_frame: int) -> torch.nn.Module:
        size = len(self.args.token_list)
        if self.args.decoder == "transducer":
            return self._part(host.decoder_choices, vocab_size=size, embed_pad=0)
        return self._part(
            host.decoder_choices, vocab_size=size, encoder_output_size=n_frame
        )

    def _joint_network(
        self, decoder: torch.nn.Module, n_frame: int
    ) -> JointNetwork | None:
        if self.args.decoder != "transducer":
            return None
        return JointNetwork(
            len(self.args.token_list),
            n_frame,
            decoder.dunits,
            **self.args.st_joint_net_conf,
        )

    def _ctc(
        self, n_encoder: int, n_frame: int, postencoder: torch.nn.Module | None
    ) -> tuple[CTC | None, CTC | None]:
        """Build the CTC layers over transcripts and translations that a loss uses."""
        conf, model_conf = self.args.ctc_conf, self.args.model_conf
        before_postencoder = getattr(postencoder, "return_int_enc", False)
        ctc = st_ctc = None
        if model_conf.get("asr_weight", 0) > 0 and model_conf.get("mtlalpha", 0) > 0:
            if postencoder and not before_postencoder and n_frame != n_encoder:
                raise ValueError(
                    f"postencoder {self.args.postencoder} makes {n_frame} dimensions "
                    f"of the encoder's {n_encoder}, which the CTC over transcripts "
                    "reads; set postencoder_conf: {return_int_enc: true}"
                )
            ctc = CTC(len(self.args.src_token_list), n_encoder, **conf)
        if model_conf.get("st_mtlalpha", 0) > 0:
            n_input = n_encoder if before_postencoder else n_frame
            st_ctc = CTC(len(self.args.token_list), n_input, **conf)
        return ctc, st_ctc
