"""Export of a trained student to a self-contained folder.

The folder is three things at once:

* a plain transformers folder of the frame encoder (config.json, model.safetensors,
  preprocessor_config.json), for ``transformers.AutoModel`` and for
  ``frontend_conf: {model: FOLDER}``; AutoModel has no class for Whisper's encoder
  alone: it is ``AutoModel.from_pretrained(FOLDER).get_encoder()``, of a model whose
  decoder has no layers;
* a published ESPnet model of the whole student (meta.yaml, student/config.yaml,
  student/model.pth), for ``Speech2Embedding.from_pretrained``. Its content zipped, or
  uploaded to the hub, is what espnet_model_zoo reads;
* a model of sentence-transformers (modules.json), for ``SentenceTransformer(FOLDER,
  trust_remote_code=True)`` where this package is installed. Its own modules would not
  do: they average the padding of wav2vec 2.0's frames, and have no attention pooling.
"""

import argparse
import json
import logging
import math
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from espnet2 import __version__ as espnet_version

from espnet_samu import __version__
from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.layers.adapters import merge_lora
from espnet_samu.samu_model import ESPnetSAMUModel
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.safe_reading import dump_yaml
from espnet_samu.utils.waveform import SAMPLING_RATE


def save(model, extractor, folder: Path) -> None:
    """Write a model and its feature extractor.

    Args:
        model: A ``transformers.PreTrainedModel``.
        extractor: Its ``transformers.FeatureExtractionMixin``.
        folder: An existing folder.
    """
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)


# Not samu/: espnet_model_zoo takes a config's value for a path if the archive has a
# folder of that name, and frontend: samu would become one.
CONFIG, MODEL = "student/config.yaml", "student/model.pth"

# The class is not imported here: sentence-transformers would come with it.
MODULES = [
    {
        "idx": 0,
        "name": "0",
        "path": "",
        "type": "espnet_samu.sentence_transformer.Student",
    }
]
SENTENCE_TRANSFORMER = {
    "model_type": "SentenceTransformer",
    "similarity_fn_name": "cosine",
}
CARD = """---
library_name: sentence-transformers
pipeline_tag: feature-extraction
tags: [sentence-transformers, espnet, espnet_samu, audio, speech]
{licence}---
# {name}

Utterance embeddings of speech, ({size},), in the space of a sentence encoder: a speech
encoder distilled on transcripts by [espnet_samu](https://arxiv.org/abs/2306.00789).

- frames: {frontend}
- pooling: {pooling}; projector: {projector}
- weight of the losses: {losses}

```python
from sentence_transformers import SentenceTransformer

# The permission is for the class, of the installed espnet_samu; there is no code here.
model = SentenceTransformer("{name}", trust_remote_code=True)
model.encode(["speech.wav"])  # 16 kHz, one channel; or arrays
```

`espnet_samu.bin.samu_embed.Speech2Embedding.from_pretrained("{name}")` gives the same
embeddings.{frames} Sentences are embedded by the distillation's teacher.
"""
CARD_FRAMES = """ `transformers.AutoModel.from_pretrained("{name}"){encoder}` gives the
frames before pooling."""

# Largest difference between transformers' frames and the student's, as a share of
# their standard deviation. Another hidden state differs by about 1; features computed
# in numpy differ by 1e-5.
TOLERANCE = 1e-3


def export(
    samu_train_config: Path | str | None,
    samu_model_file: Path | str,
    output_dir: Path | str,
    frame_encoder: bool = True,
) -> None:
    """Write a student's folder.

    Args:
        samu_train_config: config.yaml of the distillation. None: beside
            samu_model_file.
        samu_model_file: Checkpoint.
        output_dir: Replaced as a whole if an earlier export made it.
        frame_encoder: Write the frame encoder too, beside the whole student.

    Raises:
        ValueError: output_dir holds an input or what samu_export has not made, the
            frontend is not ``samu``, the checkpoint does not fill the
            model, or transformers alone would not give the student's frames: it has
            bottleneck adapters (LoRA is merged) or takes another hidden state.
    """
    config = samu_train_config or Path(samu_model_file).parent / "config.yaml"
    output = AtomicFolder(output_dir, "samu_export", [samu_model_file, config])
    model, args = SAMUTask.build_model_from_file(config, samu_model_file)
    if not isinstance(model.frontend, SamuFrontend):
        raise ValueError(
            f"{samu_model_file} has frontend: {args.frontend}; only frontend: samu is "
            "exported, since transformers does not know the others"
        )
    model.eval()
    kind = model.frontend.model.config.model_type
    if frame_encoder and kind.startswith("seamless_m4t"):
        raise ValueError(
            f"{samu_model_file}: AutoModel of transformers has no class for the speech "
            f"encoder of {kind} alone. Export the utterance embeddings only "
            "(--frame_encoder false)"
        )
    adapters = getattr(args, "adapters", None) or {}
    types = {conf["type"] for conf in adapters.values()}
    if types == {"lora"}:
        merge_lora(model)
        args.adapters = None
    elif types and frame_encoder:
        raise ValueError(
            f"{samu_model_file} has adapters that transformers does not know: "
            f"{adapters}. Export the utterance embeddings only (--frame_encoder false)"
        )
    card = _card(model, args, Path(output_dir), frame_encoder)
    with output as folder:
        if frame_encoder:
            save_frame_encoder(model.frontend, folder)
            _check_frames(model.frontend, folder, samu_model_file)
        write_student(folder, model, args)
        for name, content in (
            ("modules.json", MODULES),
            ("config_sentence_transformers.json", SENTENCE_TRANSFORMER),
        ):
            text = json.dumps(content, indent=2)
            (folder / name).write_text(f"{text}\n", encoding="utf-8")
        (folder / "README.md").write_text(card, encoding="utf-8")
    logging.info(f"{output_dir}: written from {samu_model_file}")


def _card(
    model: ESPnetSAMUModel, args: argparse.Namespace, folder: Path, frame_encoder: bool
) -> str:
    """Return a model card; the licence that an earlier one states stays."""
    old = folder / "README.md"
    text = old.read_text(encoding="utf-8") if old.is_file() else ""
    licence = re.search(r"^license:.*\n", text, re.MULTILINE)
    conf = args.frontend_conf
    source = str(conf.get("model") or "")
    encoder: Any = model.frontend.model
    kind = encoder.config.model_type
    named = f", from {source}" if source and not Path(source).exists() else ""
    frames = ""
    if frame_encoder:
        getter = ".get_encoder()" if kind == "whisper" else ""
        frames = CARD_FRAMES.format(name=folder.name, encoder=getter)
    return CARD.format(
        licence=licence[0] if licence else "",
        name=folder.name,
        size=model.projector.output_size(),
        frontend=f"{kind}{named}, encoder: {args.encoder}",
        pooling=args.pooling,
        projector=args.projector,
        losses=", ".join(
            f"{weight:g} {name}" for name, weight in model.loss.weights.items()
        ),
        frames=frames,
    )


def write_student(
    folder: Path, model: torch.nn.Module, args: argparse.Namespace
) -> None:
    """Write what ``Speech2Embedding.from_pretrained`` reads.

    Args:
        folder: An existing folder.
        model: Student.
        args: What it was built from.
    """
    (folder / MODEL).parent.mkdir(exist_ok=True)
    torch.save(model.state_dict(), folder / MODEL)
    (folder / CONFIG).write_text(dump_yaml(published_config(args)), encoding="utf-8")
    meta = {
        "files": {"samu_model_file": MODEL},
        "yaml_files": {"samu_train_config": CONFIG},
        "espnet": espnet_version,
        "espnet_samu": __version__,
        "torch": str(torch.__version__),
    }
    (folder / "meta.yaml").write_text(dump_yaml(meta), encoding="utf-8")


def save_frame_encoder(frontend: SamuFrontend, folder: Path) -> None:
    """Write a frontend's model and feature extractor as transformers files."""
    import transformers

    config: Any = frontend.model.config
    conf = frontend.portable_conf()
    extractor: Any
    if config.model_type == "whisper":
        window = frontend.family.longest() or 0
        # The extractor can only hold whole seconds.
        extractor = transformers.WhisperFeatureExtractor(
            feature_size=config.num_mel_bins,
            chunk_length=math.ceil(window / SAMPLING_RATE),
        )
        if window % SAMPLING_RATE:
            logging.warning(
                f"{folder}: its window is not in whole seconds: call the feature "
                f"extractor with max_length={window} (samples, "
                f"{window / SAMPLING_RATE:g} s)"
            )
    elif config.model_type == "wav2vec2-bert":
        log_mel = conf["log_mel_conf"]
        extractor = transformers.SeamlessM4TFeatureExtractor(
            feature_size=log_mel["n_mels"],
            num_mel_bins=log_mel["n_mels"],
            stride=log_mel["stack"],
        )
    else:
        extractor = transformers.Wav2Vec2FeatureExtractor(
            do_normalize=conf["normalize_waveform"],
            return_attention_mask=config.feat_extract_norm == "layer",
        )
    model = frontend.model
    if config.model_type == "whisper":
        model = _with_empty_decoder(model)
    save(model, extractor, folder)


def _with_empty_decoder(encoder):
    """Return Whisper's encoder in the model class that AutoModel builds."""
    from transformers import WhisperModel

    config = deepcopy(encoder.config)
    config.decoder_layers = 0
    config.vocab_size = config.max_target_positions = 1
    config.pad_token_id = config.bos_token_id = config.eos_token_id = 0
    config.decoder_start_token_id = 0
    model = WhisperModel(config)
    model.encoder = encoder
    return model


@torch.no_grad()
def _check_frames(frontend: SamuFrontend, folder: Path, name: Path | str) -> None:
    """Check that AutoModel computes the student's frames, on a second of noise."""
    from transformers import AutoFeatureExtractor, AutoModel

    noise = torch.randn(SAMPLING_RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    options = {}
    config: Any = frontend.model.config
    is_whisper = config.model_type == "whisper"
    if is_whisper:
        options = {"max_length": frontend.family.longest()}
        noise = noise[: options["max_length"]]
    dtype, frontend.dtype = frontend.dtype, torch.float32  # no autocast
    frames, _ = frontend(noise[None], torch.tensor([len(noise)]))
    frontend.dtype = dtype
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    features = extractor(
        noise.numpy(), sampling_rate=SAMPLING_RATE, return_tensors="pt", **options
    )
    model, info = AutoModel.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    if info["missing_keys"] or info["unexpected_keys"]:
        raise ValueError(
            f"{name}: AutoModel does not load what was written: it misses "
            f"{sorted(info['missing_keys'])[:3]} ({len(info['missing_keys'])} in all) "
            f"and does not use {sorted(info['unexpected_keys'])[:3]} "
            f"({len(info['unexpected_keys'])})"
        )
    model = (model.get_encoder() if is_whisper else model).eval()
    others = model(**features).last_hidden_state[:, : frames.size(1)]
    differs = others.shape != frames.shape
    if not differs:
        differs = float((others - frames).abs().max() / frames.std()) > TOLERANCE
    if differs:
        fields = ("layer", "layer_mix", "layer_mix_norm", "log_mel_conf")
        conf = frontend.portable_conf()
        given = {k: conf[k] for k in fields if conf.get(k)}
        if frontend.average_frames > 1:
            given["average_frames"] = frontend.average_frames
        raise ValueError(
            f"{name}: transformers alone does not give the student's frames, which "
            f"are not its model's output: frontend_conf has {given}. Export the "
            "utterance embeddings only (--frame_encoder false), or train with "
            "keep_layers in place of layer"
        )


def published_config(args: argparse.Namespace) -> dict[str, Any]:
    """Return the training options that rebuild the model, without paths.

    Args:
        args: Of a built model, portable.
    """
    parser = argparse.ArgumentParser()
    SAMUTask.add_task_arguments(parser)
    # Options of the trainer name local files, and build no part of the model.
    names = {"adapters", *vars(parser.parse_args([]))} - {"valid_utt2lang"}
    config = {name: value for name, value in vars(args).items() if name in names}
    config["preprocessor_conf"] = {
        key: value
        for key, value in config["preprocessor_conf"].items()
        if not key.endswith("_scp")  # noise and reverberation, in training only
    }
    source: str | None = config["frontend_conf"].get("model")
    if source is not None and Path(source).exists():
        config["frontend_conf"] = {**config["frontend_conf"], "model": None}
    return config
