"""Tiny models and data, made on the spot: no test reads the network."""

import copy
import importlib
import multiprocessing
import os
import string
import sys
from concurrent.futures import ThreadPoolExecutor

# Before anything imports huggingface_hub.
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest  # noqa: E402

# One frame every 40 samples, the first one from 105 samples. Not 8 channels: oneDNN's
# bfloat16 convolution of 8 channels with kernel 8 is wrong by 2 (torch 2.14.1, AVX512).
_CONVOLUTIONS = {
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [5, 4, 2],
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
_TRANSFORMER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "layerdrop": 0.0,
}
_LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
_GROUP_NORM = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
_WAVEFORM = {**_CONVOLUTIONS, **_TRANSFORMER}
_SPEECH_MODELS = {
    "wav2vec2-layer": {"model_type": "wav2vec2", **_WAVEFORM, **_LAYER_NORM},
    "wav2vec2-group": {"model_type": "wav2vec2", **_WAVEFORM, **_GROUP_NORM},
    "hubert": {"model_type": "hubert", **_WAVEFORM, **_GROUP_NORM},
    "wavlm": {"model_type": "wavlm", **_WAVEFORM, **_GROUP_NORM},
    "wav2vec2-bert": {
        "model_type": "wav2vec2-bert",
        **_TRANSFORMER,
        "feature_projection_input_dim": 160,
        "position_embeddings_type": "relative_key",
        "conv_depthwise_kernel_size": 3,
    },
    # A window of 1 s instead of 30 s.
    "whisper": {
        "model_type": "whisper",
        "d_model": 16,
        "encoder_layers": 2,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "max_source_positions": 50,
        "decoder_layers": 1,
        "decoder_attention_heads": 2,
        "decoder_ffn_dim": 32,
        "max_target_positions": 8,
        "vocab_size": 8,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 1,
    },
}
# The adaptor makes a frame of 4 instead of 8.
_SEAMLESS = {
    "hidden_size": 16,
    "speech_encoder_layers": 2,
    "speech_encoder_attention_heads": 2,
    "speech_encoder_intermediate_size": 32,
    "speech_encoder_layerdrop": 0.0,
    "conv_depthwise_kernel_size": 3,
    "adaptor_kernel_size": 4,
    "adaptor_stride": 4,
    "adaptor_dropout": 0.0,
    "vocab_size": 30,
    **{f"{part}coder_layers": 1 for part in ("en", "t2u_en", "t2u_de")},
    **{
        f"{part}_{size}": value
        for part in ("encoder", "decoder", "t2u_encoder", "t2u_decoder")
        for size, value in (("attention_heads", 2), ("ffn_dim", 32))
    },
    "decoder_layers": 2,
    "decoder_layerdrop": 0.0,
    "initializer_range": 0.5,
    "max_position_embeddings": 64,
    "t2u_vocab_size": 8,
    "t2u_max_position_embeddings": 8,
    "upsample_initial_channel": 32,
    **dict.fromkeys(("unit_embed_dim", "lang_embed_dim", "spkr_embed_dim"), 4),
    "unit_hifi_gan_vocab_size": 8,
}
_SPEECH_MODELS["seamless_m4t"] = {"model_type": "seamless_m4t", **_SEAMLESS}
_SPEECH_MODELS["seamless_m4t_v2"] = {
    "model_type": "seamless_m4t_v2",
    **_SEAMLESS,
    "char_vocab_size": 8,
    "t2u_variance_predictor_embed_dim": 8,
    "t2u_variance_predictor_hidden_dim": 8,
}
_MBART = {
    "d_model": 16,
    # So that tokens differ in probability.
    "init_std": 0.5,
    "dropout": 0.0,
    "decoder_layers": 2,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
    "scale_embedding": True,
}


@pytest.fixture(scope="session", autouse=True)
def late_modules():
    """Imports what espnet_samu puts off, so that no test's time counts it."""
    for name in ("torch._dynamo", "scipy.optimize", "scipy.signal"):
        importlib.import_module(name)


# What differs among families in what a forward pass needs beside its input: lengths
# for group and batch norms and for adapters, cached positions.
_ADAPTER = {"add_adapter": True, "num_adapter_layers": 2}
_THREADED = {
    "wav2vec2-group": {},
    "wav2vec2-layer": _ADAPTER,
    "hubert": {"conv_pos_batch_norm": True},
    "wavlm": _ADAPTER,
    "wav2vec2-bert": {**_ADAPTER, "position_embeddings_type": "rotary"},
    "whisper": {},
    "seamless_m4t": {},
}


@pytest.fixture(params=_THREADED)
def threaded_frontend(request, speech_models):
    """A tiny frontend of each family (D = 16) in eval mode."""
    import torch

    from espnet_samu.frontend.samu import SamuFrontend

    conf = {**speech_models[request.param], **_THREADED[request.param]}
    torch.manual_seed(0)
    return SamuFrontend(model_conf=conf).eval()


@pytest.fixture
def written():
    """Paths that were opened for writing, made or renamed during the test."""
    paths, active = [], [True]

    def note(event, args):
        if not active:
            return
        if event == "open":
            path, mode, flags = args
            writes = set(mode or "") & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR)
            if writes and not str(path).startswith("/dev/"):
                paths.append(str(path))
        elif event in ("os.mkdir", "os.rename", "os.remove", "os.symlink", "os.utime"):
            paths.append(str(args[0]))

    sys.addaudithook(note)  # it cannot be removed
    yield paths
    active.clear()


@pytest.fixture
def in_threads():
    """Calls a function with each item, in 8 threads that take turns often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with ThreadPoolExecutor(8) as pool:
        yield lambda function, items: list(pool.map(function, items))
    sys.setswitchinterval(before)


@pytest.fixture
def speech_models():
    """model_conf of a tiny speech encoder (D = 16) by the name of its family."""
    return copy.deepcopy(_SPEECH_MODELS)


@pytest.fixture
def mbart_conf():
    """model_conf of a tiny mBART decoder (D = 16) without dropout."""
    return dict(_MBART)


@pytest.fixture(scope="session")
def noise():
    """Makes waveforms (B, N), loud where padded, and their samples; seed 0."""
    import torch

    def make(*lengths):
        generator = torch.Generator().manual_seed(0)
        speech = torch.randn(len(lengths), max(lengths), generator=generator) * 0.1
        for row, length in zip(speech, lengths):
            row[length:] *= 50
        return speech, torch.tensor(lengths)

    return make


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Folder of wav.scp, text, src_text, embed.scp (E = 4), tokens.txt, src_tokens.txt.

    Four utterances whose lengths are not sorted, 16 kHz. tokens.txt is as ESPnet
    makes it, with the target-language token en_XX.
    """
    import numpy as np
    import soundfile

    from espnet_samu.utils.kaldi_io import write_text, write_vectors

    folder = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(0)
    samples = {"utt1": 3000, "utt2": 5000, "utt3": 2000, "utt4": 4000}
    for utt, n in samples.items():
        soundfile.write(folder / f"{utt}.wav", generator.normal(0, 0.1, n), 16000)
    write_text(folder / "wav.scp", {u: str(folder / f"{u}.wav") for u in samples})
    write_text(folder / "text", dict(zip(samples, ("ab", "bcd", "e", "dcba"))))
    write_text(folder / "src_text", dict(zip(samples, ("zy", "yxw", "v", "wxyz"))))
    vectors = generator.normal(size=(4, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_vectors(folder, zip(samples, vectors))
    letters = "\n".join(string.ascii_lowercase)
    for name, extra in (("tokens.txt", "en_XX\n"), ("src_tokens.txt", "")):
        content = f"<blank>\n<unk>\n{letters}\n{extra}<sos/eos>\n"
        (folder / name).write_text(content, encoding="utf-8")
    return folder


# Nothing random in training but the order of the utterances in the one batch.
_EXACT = {
    key: 0.0
    for key in (
        "hidden_dropout",
        "attention_dropout",
        "activation_dropout",
        "feat_proj_dropout",
        "final_dropout",
        "mask_time_prob",
    )
}
_TRAINING = {
    "batch_type": "unsorted",
    "batch_size": 4,
    "max_epoch": 1,
    "num_iters_per_epoch": 1,
    "optim": "sgd",
    "optim_conf": {"lr": 0.1},
    "grad_clip": 1e9,
    "seed": 3,
    "num_workers": 0,
    "num_att_plot": 0,
    "keep_nbest_models": 1,
    "best_model_criterion": [["valid", "loss", "min"]],
    "use_matplotlib": False,
    "use_tensorboard": False,
}


@pytest.fixture(scope="session")
def frontend_conf():
    """frontend_conf of a tiny wav2vec2 without dropout."""
    return {"model_conf": {**_SPEECH_MODELS["wav2vec2-layer"], **_EXACT}}


@pytest.fixture(scope="session")
def samu_cmd(data, frontend_conf):
    """Makes arguments of samu_train: four utterances, one update."""
    import yaml

    def make(output_dir, *args, **conf):
        conf = {
            **_TRAINING,
            "frontend_conf": frontend_conf,
            "projector_conf": {"output_size": 4},
            **conf,
        }
        output_dir.mkdir(parents=True, exist_ok=True)
        (output_dir / "train.yaml").write_text(yaml.safe_dump(conf))
        cmd = ["--config", f"{output_dir}/train.yaml", "--output_dir", str(output_dir)]
        for part in ("train", "valid"):
            cmd += [f"--{part}_shape_file", f"{data}/wav.scp"]
            for file in ("wav.scp,speech,sound", "embed.scp,embed,kaldi_ark"):
                cmd += [f"--{part}_data_path_and_name_and_type", f"{data}/{file}"]
        return [*cmd, *args]

    return make


@pytest.fixture(scope="session")
def st_cmd(data, frontend_conf):
    """Makes arguments of st_train: four utterances, one update, no transcripts."""
    import yaml

    def make(output_dir, *args, src=False, **conf):
        conf = {
            **_TRAINING,
            "token_type": "char",
            "src_token_type": "char" if src else "none",
            "token_list": f"{data}/tokens.txt",
            "src_token_list": f"{data}/src_tokens.txt" if src else None,
            "frontend": "samu",
            "frontend_conf": frontend_conf,
            "specaug": None,
            "normalize": None,
            "encoder": "passthrough",
            "decoder": "mbart",
            "decoder_conf": {"model_conf": _MBART},
            "model_conf": {"report_bleu": False},
            **conf,
        }
        output_dir.mkdir(parents=True, exist_ok=True)
        (output_dir / "train.yaml").write_text(yaml.safe_dump(conf))
        cmd = ["--config", f"{output_dir}/train.yaml", "--output_dir", str(output_dir)]
        files = ["wav.scp,speech,sound", "text,text,text"]
        for part in ("train", "valid"):
            cmd += [f"--{part}_shape_file", f"{data}/wav.scp"]
            for file in files + (["src_text,src_text,text"] if src else []):
                cmd += [f"--{part}_data_path_and_name_and_type", f"{data}/{file}"]
        return [*cmd, *args]

    return make


@pytest.fixture(scope="session")
def samu_exp(samu_cmd, tmp_path_factory):
    """Folder of a distillation of one update."""
    from espnet_samu.tasks.samu import SAMUTask

    folder = tmp_path_factory.mktemp("samu_exp")
    SAMUTask.main(cmd=samu_cmd(folder))
    return folder


@pytest.fixture(scope="session")
def st_exp(st_cmd, tmp_path_factory):
    """Folder of a translation model of one update, with a target-language token."""
    from espnet_samu.tasks.st import STTask

    folder = tmp_path_factory.mktemp("st_exp")
    STTask.main(cmd=st_cmd(folder, tgt_lang_token="en_XX"))
    return folder


@pytest.fixture(scope="session")
def start_two():
    """Function that starts a task's training in two processes, which it returns.

    They are forked: ESPnet is imported once.
    """

    def start_two(task, cmd, folder):
        context = multiprocessing.get_context("fork")
        options = ["--dist_world_size=2", "--dist_backend=gloo"]
        options += [f"--dist_init_method=file://{folder}/init"]
        options += ["--multiprocessing_distributed=false"]
        processes = [
            context.Process(
                target=task.main,
                kwargs={"cmd": [*cmd, *options, f"--dist_rank={rank}"]},
            )
            for rank in range(2)
        ]
        for process in processes:
            process.start()
        return processes

    return start_two


@pytest.fixture(scope="session")
def batch(data):
    """Waveforms (4, 5000) of the data folder, and their samples."""
    import soundfile
    import torch

    from espnet_samu.utils.kaldi_io import read_text

    wavs = [soundfile.read(path)[0] for path in read_text(data / "wav.scp").values()]
    wavs = [torch.tensor(wav, dtype=torch.float32) for wav in wavs]
    speech = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    return speech, torch.tensor([len(wav) for wav in wavs])
