"""Sections of gpu_check.py that compare a device with the CPU.

A section takes ``note(name, value, lowest, highest)``, the device, and whether models
are tiny: these always are.
"""

import copy
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import torch

Note = Callable[..., None]
CLOSE = 1e-3
"""Largest difference of float32 results, relative to the largest value."""
COSINE = 0.99
"""Smallest cosine of bfloat16 results to those of float32."""

_SMALL = dict(
    hidden_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=128,
    layerdrop=0.0,
)
_WAVEFORM = dict(
    **_SMALL,
    conv_dim=[64] * 7,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=4,
)
FAMILIES: dict[str, dict[str, Any]] = {
    "wav2vec2": dict(**_WAVEFORM, feat_extract_norm="layer", do_stable_layer_norm=True),
    "hubert": _WAVEFORM,
    "wavlm": _WAVEFORM,
    "wav2vec2-bert": dict(**_SMALL, position_embeddings_type="relative_key"),
    "whisper": dict(
        d_model=64,
        encoder_layers=3,
        encoder_attention_heads=4,
        encoder_ffn_dim=128,
        max_source_positions=200,
    ),
    "seamless_m4t_v2": dict(
        hidden_size=64,
        speech_encoder_layers=2,
        speech_encoder_attention_heads=4,
        speech_encoder_intermediate_size=128,
        speech_encoder_layerdrop=0.0,
    ),
}


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest value."""
    ours, theirs = ours.detach().float().cpu(), theirs.detach().float().cpu()
    return float((ours - theirs).abs().max() / theirs.abs().max())


def cosine(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Return the smallest cosine of rows (..., D)."""
    pair = (x.detach().float().cpu() for x in (ours, theirs))
    return float(torch.nn.functional.cosine_similarity(*pair, dim=-1).min())


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> torch.Tensor:
    """Return the gradients of a loss as one vector."""
    loss.backward()
    found = [p.grad.cpu().flatten() for p in model.parameters() if p.grad is not None]
    return torch.cat(found)


def batch_of_noise(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return waveforms (B, N), zero where padded, and their samples."""
    generator = torch.Generator().manual_seed(0)
    speech = torch.randn(len(lengths), max(lengths), generator=generator) * 0.1
    samples = torch.tensor(lengths)
    return speech * (torch.arange(max(lengths)) < samples[:, None]), samples


def exact() -> None:
    """Switch TF32 off: convolutions have it by default."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def frontends(note: Note, device: str, tiny: bool) -> None:
    """Frames, poolings and gradients of each family of encoders."""
    from espnet_samu.frontend.samu import SamuFrontend
    from espnet_samu.pooling.attention import AttentionPooling
    from espnet_samu.pooling.max import MaxPooling
    from espnet_samu.pooling.mean import MeanPooling

    exact()
    speech, lengths = batch_of_noise([24000, 16000, 9000])
    for family, conf in FAMILIES.items():
        torch.manual_seed(0)
        options = {"model_conf": {"model_type": family, **conf}}
        ours = SamuFrontend(**options, freeze_feature_encoder=False).eval()
        other = copy.deepcopy(ours).to(device)
        frames, n_frames = ours(speech, lengths)
        found, n_found = other(speech.to(device), lengths.to(device))
        assert n_found.tolist() == n_frames.tolist()
        inside = torch.arange(frames.size(1)) < n_frames[:, None]
        note(
            f"{family}: frames",
            difference(found.cpu()[inside], frames[inside]),
            None,
            CLOSE,
        )
        other.dtype = torch.bfloat16
        half, _ = other(speech.to(device), lengths.to(device))
        note(f"{family}: bfloat16", cosine(half.cpu()[inside], frames[inside]), COSINE)
        expected = gradients(ours, frames.square().mean())
        moved = gradients(other, found.square().mean())
        note(f"{family}: gradients", difference(moved, expected), None, 10 * CLOSE)
    size = frames.size(-1)
    for pooling in (AttentionPooling(size), MeanPooling(size), MaxPooling(size)):
        expected = pooling(frames, n_frames)
        vectors = copy.deepcopy(pooling).to(device)(found, n_found)
        note(f"{type(pooling).__name__}", difference(vectors, expected), None, CLOSE)


def decoder(note: Note, device: str, tiny: bool) -> None:
    """Logits, gradients, and the hypotheses of both backends."""
    import decode

    exact()
    vocab, length, dim = 500, 12, 128
    plain, theirs, ours = decode.build(vocab, dim, 2, 10.0, 64)
    torch.manual_seed(1)
    frames, lengths = torch.randn(3, 40, dim), torch.tensor([40, 31, 17])
    tokens = torch.randint(4, vocab, (3, 9))
    sizes = torch.tensor([9, 5, 7])
    moved = copy.deepcopy(ours).to(device)
    inputs = [x.to(device) for x in (frames, lengths, tokens, sizes)]
    expected, _ = ours(frames, lengths, tokens, sizes)
    found, _ = moved(*inputs)
    inside = torch.arange(9) < sizes[:, None]
    note("logits", difference(found.cpu()[inside], expected[inside]), None, CLOSE)
    vectors = []
    for model, logits in ((ours, expected), (moved, found)):
        targets = tokens[:, :5].flatten().to(logits.device)
        predicted = logits[:, :5].flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(predicted, targets)
        vectors.append(gradients(model, loss))
    note("gradients", difference(vectors[1], vectors[0]), None, 10 * CLOSE)
    moved.dtype = torch.bfloat16
    half, _ = moved(*inputs)
    note("bfloat16", cosine(half.cpu()[inside], expected[inside]), COSINE)
    moved.dtype = torch.float32
    alone = decode.searches(plain, theirs, ours, vocab, frames, length)
    plain.to(device)
    there = decode.searches(plain, theirs, moved, vocab, frames.to(device), length)
    for backend in ("generate", "beam_search"):
        pairs = [
            (one, other)
            for best, others in zip(alone[backend](), there[backend](), strict=True)
            for one, other in zip(best, others, strict=True)
        ]
        same = statistics.mean(one.tokens == other.tokens for one, other in pairs)
        note(f"{backend}: same hypotheses", same, 1.0)
        worst = max(abs(one.score - other.score) for one, other in pairs)
        note(f"{backend}: difference of scores", worst, None, CLOSE)
    moved.dtype = torch.bfloat16
    for backend in ("generate", "beam_search"):
        scores = [best[0].score for best in there[backend]()]
        worst = max(abs(s - best[0].score) for s, best in zip(scores, alone[backend]()))
        note(f"{backend}, bfloat16: difference of scores", worst, None, 0.1)


def ddp(note: Note, device: str, tiny: bool) -> None:
    """A process group of one, DistributedDataParallel, and what processes exchange."""
    import distill

    from espnet_samu.utils.distributed import gather_objects, process_share

    exact()
    if device == "cuda":
        torch.cuda.set_device(0)
    with tempfile.TemporaryDirectory() as folder:
        torch.distributed.init_process_group(
            "nccl" if device == "cuda" else "gloo",
            init_method=f"file://{folder}/init",
            rank=0,
            world_size=1,
        )
        model = distill.build_student("tiny").to(device).eval()
        wrapped = torch.nn.parallel.DistributedDataParallel(copy.deepcopy(model))
        data = distill.Data(4, 1.0, 4, 100)
        batch = [x.to(device) for x in (data.speech, data.lengths, data.embed)]
        alone, under = (gradients(one, one(*batch)[0]) for one in (model, wrapped))
        note("gradients under DDP", difference(under, alone), None, 1e-5)
        note("objects gathered", len(gather_objects({"a": 1})), 1, 1)
        share = process_share(3, 3, torch.device(device))
        note("share of a process", float(share), 1.0, 1.0)
        torch.distributed.destroy_process_group()
