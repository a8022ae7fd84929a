"""Tiny models: fairseq's, made by s3prl's copy of its classes, and transformers'."""

import dataclasses
import io
import json
import random

import pytest
import torch

from ...egs2.tiny_models import MBART50, PUBLISHED, XLS_R

_TINY = {
    "conv_feature_layers": "[(16, 10, 5)] + [(16, 8, 4)] * 1 + [(16,4,2)]",
    "encoder_embed_dim": 24,
    "encoder_ffn_embed_dim": 40,
    "encoder_layers": 2,
    "encoder_attention_heads": 3,
    "conv_pos": 4,
    "conv_pos_groups": 2,
    "final_dim": 8,
}
VARIANTS = {
    "layer": {"extractor_mode": "layer_norm", "layer_norm_first": True},
    "group": {"extractor_mode": "default", "layer_norm_first": False},
    # Not used by a published model, but allowed by the options.
    "group-first": {"extractor_mode": "default", "layer_norm_first": True},
}


@pytest.fixture(scope="session", autouse=True)
def _imports():
    """The first model of transformers imports half of torch: not a test's time."""
    import torch._dynamo  # noqa: F401
    from transformers import AutoModel, HubertModel, Wav2Vec2Model  # noqa: F401


@torch.no_grad()
def our_logits(model, speech, lengths, targets):
    """Return the logits of a translation model of ours, given the targets."""
    start = torch.full((len(speech), 1), model.sos)
    tokens = torch.cat([start, targets], dim=1)
    frames, n_frames = model.encode(speech, lengths)
    n_tokens = torch.full((len(speech),), tokens.size(1))
    return model.decoder(frames, n_frames, tokens, n_tokens)[0]


def _random(model: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    return model.eval()


@pytest.fixture
def fairseq_wav2vec2():
    """Makes a wav2vec 2.0 and its settings, random weights of seed 0."""
    module = pytest.importorskip("s3prl.upstream.wav2vec2.wav2vec2_model")

    def make(variant="layer", **options):
        cfg = module.Wav2Vec2Config(
            **{
                **_TINY,
                **VARIANTS[variant],
                "conv_bias": variant == "layer",
                "quantize_targets": True,
                "latent_vars": 4,
                **options,
            }
        )
        return _random(module.Wav2Vec2Model(cfg)), dataclasses.asdict(cfg)

    return make


@pytest.fixture
def fairseq_hubert():
    """Makes a HuBERT and its settings, random weights of seed 0."""
    module = pytest.importorskip("s3prl.upstream.hubert.hubert_model")

    def make(variant="group"):
        cfg = module.HubertConfig(label_rate=50, **_TINY, **VARIANTS[variant])
        task = module.HubertPretrainingConfig()
        model = module.HubertModel(cfg, task, [list(range(5))])
        return _random(model), dataclasses.asdict(cfg)

    return make


_SENTENCES = ("the small dog runs under a tree", "a cat sleeps")


@pytest.fixture(scope="session")
def sentencepiece_model():
    """Content of a unigram model of a few English words; random.seed 0."""
    import sentencepiece

    rng = random.Random(0)
    words = "the a cat dog house tree sleeps runs small green and under".split()
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(" ".join(rng.choices(words, k=6)) for _ in range(200)),
        model_writer=model,
        model_type="unigram",
        vocab_size=60,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


@pytest.fixture(scope="session")
def mbart50_processor(sentencepiece_model):
    """Wav2Vec2Processor with the tokeniser of a tiny mBART-50."""
    import sentencepiece
    from transformers import (
        MBart50Tokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Processor,
    )

    pieces = sentencepiece.SentencePieceProcessor(model_proto=sentencepiece_model)
    vocab = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(len(pieces))]
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=True)
    return Wav2Vec2Processor(extractor, MBart50Tokenizer(vocab=vocab))


@pytest.fixture
def published(mbart50_processor, sentencepiece_model, speech_models, mbart_conf):
    """Makes folders of a random SpeechEncoderDecoderModel (seed 0) with mBART.

    One of 2021 is laid out as facebook/wav2vec2-xls-r-300m-21-to-en, the others as
    transformers 5 does it. One that learns has seen translations of two waveforms.
    """
    from transformers import (
        MBartConfig,
        SpeechEncoderDecoderConfig,
        SpeechEncoderDecoderModel,
    )

    from espnet_samu.utils.huggingface import load_config

    tokenizer = mbart50_processor.tokenizer

    def make(folder, family="wav2vec2-layer", of_2021=False, learns=None, **fields):
        encoder = load_config(None, {**speech_models[family], **fields})
        decoder = MBartConfig(**mbart_conf, vocab_size=len(tokenizer))
        config = SpeechEncoderDecoderConfig.from_encoder_decoder_configs(
            encoder, decoder
        )
        model = _random(SpeechEncoderDecoderModel(config))
        if learns is not None:
            _learn(model, mbart50_processor, learns, _SENTENCES)
        generation = {
            "decoder_start_token_id": 2,
            "eos_token_id": 2,
            "pad_token_id": 1,
            "forced_bos_token_id": tokenizer.convert_tokens_to_ids("en_XX"),
            "forced_eos_token_id": 2,
            "num_beams": 3,
            "max_length": 14,
        }
        model.generation_config.update(**generation)
        model.save_pretrained(folder)
        mbart50_processor.save_pretrained(folder)
        if of_2021:
            _as_of_2021(folder, generation)
            mbart50_processor.feature_extractor.save_pretrained(folder)
            (folder / "sentencepiece.bpe.model").write_bytes(sentencepiece_model)
        return folder

    return make


def _learn(model, processor, speech, sentences):
    """Train until the sentences are likely, but not certain."""
    tokenizer, start = processor.tokenizer, torch.tensor([[2]] * len(speech))
    tokenizer.src_lang = "en_XX"  # the one that begins what it encodes
    targets = tokenizer(list(sentences), return_tensors="pt", padding=True).input_ids
    inputs = processor(list(speech.numpy()), sampling_rate=16000, return_tensors="pt")
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    for _ in range(100):
        tokens = torch.cat([start, targets[:, :-1]], dim=1)
        logits = model(inputs.input_values, decoder_input_ids=tokens).logits
        loss = torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), targets, ignore_index=1, label_smoothing=0.2
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _as_of_2021(folder, generation):
    """Rewrite a folder as transformers 4.12 wrote it, but for the tokeniser."""
    from safetensors.torch import load_file

    for name in ("generation_config", "tokenizer", "processor_config"):
        (folder / f"{name}.json").unlink()
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    embedding = state["decoder.model.decoder.embed_tokens.weight"]
    state["decoder.lm_head.weight"] = embedding.clone()
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        name = "encoder.encoder.pos_conv_embed.conv."
        state[name + old] = state.pop(f"{name}parametrizations.weight.{new}")
    torch.save(state, folder / "pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text())
    search = {name: generation.pop(name) for name in ("num_beams", "max_length")}
    config |= {**generation, "tokenizer_class": "mbart50", "torch_dtype": "float32"}
    config["decoder"] |= {
        **search,
        "early_stopping": True,
        "is_encoder_decoder": True,
        "add_bias_logits": False,
        "static_position_embeddings": False,
        "gradient_checkpointing": False,
        "cross_attention_hidden_size": None,
    }
    config["encoder"] |= {"num_beams": 1, "max_length": 20}
    for part, name in (("encoder", XLS_R), ("decoder", MBART50)):
        # All that the published parts say, and transformers does not know.
        config[part] = {**PUBLISHED[name]["config.json"], **config[part]}
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = {"tokenizer_class": "MBart50Tokenizer", "src_lang": "en_XX"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
