#!/usr/bin/env python3
"""Whisper's encoder by window: time, and how far its frames are from those of 30 s.

(window)   frontend: samu with window_seconds, here 30 (as published), 8, 3 and as long
           as the longest utterance
(espnet)   ESPnet's own Whisper encoder, which computes the length of its batch. It
           needs openai-whisper and is left out without; it has the same weights

Human speech of 1 to 3 s: prompts of the recipe mini_asterisk. The CPU time of each
utterance alone, and of all in one batch, in turn. Freed memory is kept, as in training,
embedding and decoding (bin/samu_embed.py, bin/st_inference.py).
"""

import argparse
import importlib.util
import io
import re
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import soundfile
import soxr
import torch
from report import print_report, time_pairwise

from espnet_samu.frontend.samu import SamuFrontend
from espnet_samu.utils.torch_modules import keep_freed_memory
from espnet_samu.utils.waveform import SAMPLING_RATE

SPEECH = Path(__file__).parents[2] / "egs2/mini_asterisk/samu_st1/prompts.tar.gz"
SHORTEST, LONGEST = 1.0, 3.0  # seconds
# Sizes of whisper-base.
BASE = {
    "model_type": "whisper",
    "d_model": 512,
    "encoder_layers": 6,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
}
NAMES = {
    r"embed_positions\.weight": "positional_embedding",
    r"^layers\.": "blocks.",
    r"self_attn\.q_proj": "attn.query",
    r"self_attn\.k_proj": "attn.key",
    r"self_attn\.v_proj": "attn.value",
    r"self_attn\.out_proj": "attn.out",
    r"self_attn_layer_norm": "attn_ln",
    r"\.fc1\.": ".mlp.0.",
    r"\.fc2\.": ".mlp.2.",
    r"final_layer_norm": "mlp_ln",
    r"^layer_norm\.": "ln_post.",
}
"""Names in transformers, and in openai-whisper."""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", help="Hub id or folder (default: random weights of base's size)"
    )
    parser.add_argument("--windows", type=float, nargs="+", default=[30.0, 8.0, 3.0])
    parser.add_argument("--utterances", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3, help="Timed calls of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="Of random weights")
    return parser


def read_speech(number: int) -> list[torch.Tensor]:
    """Return waveforms (N,) at 16 kHz of the recipe's prompts, longest first."""
    found = []
    with tarfile.open(SPEECH) as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is None or not member.name.endswith((".wav", ".flac", ".ogg")):
                continue
            wave, rate = soundfile.read(io.BytesIO(file.read()), dtype="float32")
            if SHORTEST <= len(wave) / rate <= LONGEST:
                found.append((wave, rate))
    found.sort(key=lambda pair: len(pair[0]) / pair[1], reverse=True)
    step = max(1, len(found) // number)
    return [
        torch.from_numpy(soxr.resample(wave, rate, SAMPLING_RATE))
        for wave, rate in found[::step][:number]
    ]


def build_espnet(frontend: SamuFrontend) -> torch.nn.Module | None:
    """Return ESPnet's encoder with a frontend's weights; None: no openai-whisper."""
    if importlib.util.find_spec("whisper") is None:
        return None
    import whisper
    from espnet2.asr.encoder.whisper_encoder import OpenAIWhisperEncoder
    from whisper.model import ModelDimensions, Whisper

    config = frontend.model.config
    sizes = [
        config.num_mel_bins,
        config.max_source_positions,
        config.d_model,
        config.encoder_attention_heads,
        config.encoder_layers,
    ]
    model = Whisper(ModelDimensions(*sizes, 8, 8, config.d_model, 1, 1))
    state = {}
    for name, value in frontend.model.state_dict().items():
        for pattern, replacement in NAMES.items():
            name = re.sub(pattern, replacement, name)
        state[name] = value
    model.encoder.load_state_dict(state)
    whisper.load_model = lambda *_, **__: model  # it would be downloaded
    # ESPnet asks for it; gone from openai-whisper with large-v3, which has 128.
    whisper.audio.N_MELS = config.num_mel_bins
    return OpenAIWhisperEncoder(whisper_model="base").eval()


@torch.no_grad()
def frames_of(
    encode: Callable, speech: list[torch.Tensor], samples: int | None = None
) -> list[torch.Tensor]:
    """Return the frames (T, D) of each utterance, from one batch.

    Args:
        encode: Of waveforms (B, N) and samples (B,).
        speech: Waveforms.
        samples: N; None: those of the longest.
    """
    lengths = torch.tensor([len(wave) for wave in speech])
    batch = torch.nn.utils.rnn.pad_sequence(speech, batch_first=True)
    if samples is not None:
        batch = torch.nn.functional.pad(batch, (0, samples - batch.size(1)))
    frames = encode(batch, lengths)[0]
    return [rows[: -(-n // 320)] for rows, n in zip(frames, lengths.tolist())]


def measure(args: argparse.Namespace) -> tuple[list[list[str]], dict]:
    """Return the rows of the table and the figures."""
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    keep_freed_memory()
    speech = read_speech(args.utterances)
    conf = {"model": args.model} if args.model else {"model_conf": BASE}
    whole = SamuFrontend(**conf).eval()
    state = whole.model.state_dict()
    longest = -(-max(map(len, speech)) // 320) * 0.02
    encoders: dict[str, Callable] = {}
    for seconds in [*args.windows, longest]:
        frontend = SamuFrontend(**conf, window_seconds=seconds).eval()
        rows = frontend.model.config.max_source_positions
        cut = {
            **state,
            "embed_positions.weight": state["embed_positions.weight"][:rows],
        }
        frontend.model.load_state_dict(cut)
        encoders[f"window {seconds:g} s"] = frontend
    ours = f"window {longest:g} s"
    espnet = build_espnet(whole)
    if espnet is not None:
        encoders["espnet"] = espnet
    milliseconds = {}
    for name, groups in (("alone", [[wave] for wave in speech]), ("batch", [speech])):
        calls = {
            key: lambda encode=encode: [frames_of(encode, group) for group in groups]
            for key, encode in encoders.items()
        }
        seconds = time_pairwise(calls, args.repeats, clock=time.process_time)
        milliseconds[name] = {k: 1000 * s / len(speech) for k, s in seconds.items()}
    frames = {
        key: frames_of(encode, speech, round(longest * SAMPLING_RATE))
        for key, encode in encoders.items()
    }
    expected = frames_of(whole, speech)
    cosines = {}
    for key, found in frames.items():
        means = [
            float(torch.cosine_similarity(a, b, dim=-1).mean())
            for a, b in zip(found, expected)
        ]
        cosines[key] = [min(means), max(means)]
    rows = [
        [
            key,
            f"{milliseconds['alone'][key]:.0f}",
            f"{milliseconds['batch'][key]:.0f}",
            f"{low:.3f} to {high:.3f}",
        ]
        for key, (low, high) in cosines.items()
    ]
    figures = {
        "model": args.model or "random",
        "seconds_of_speech": [len(wave) / SAMPLING_RATE for wave in speech],
        "longest": longest,
        "cpu_ms_per_utterance": milliseconds,
        "cosine_to_30_s": cosines,
    }
    if espnet is not None:
        batch = milliseconds["batch"]
        figures["ours_over_espnet"] = batch[ours] / batch["espnet"]
        figures["difference_to_espnet"] = max(
            float((a - b).abs().max()) for a, b in zip(frames[ours], frames["espnet"])
        )
    return rows, figures


def main() -> None:
    """Run the command."""
    args = get_parser().parse_args()
    rows, figures = measure(args)
    if "ours_over_espnet" not in figures:
        print("ESPnet's encoder is left out: pip install openai-whisper")
    print_report(
        f"Whisper's encoder by window, {args.utterances} utterances of up to "
        f"{figures['longest']:.2f} s, weights: {figures['model']}",
        [
            "encoder",
            "CPU ms alone",
            "CPU ms in a batch",
            "cosine to 30 s, by utterance",
        ],
        rows,
        figures,
    )


if __name__ == "__main__":
    main()
