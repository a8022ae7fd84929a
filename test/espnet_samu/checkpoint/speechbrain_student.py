#!/usr/bin/env python3
"""Write ``speechbrain_student/``: a small SENSE, saved and computed by SpeechBrain.

SpeechBrain is not among the tests' requirements (importing it takes seconds, and puts
modules into a process that fail when others look at them). To write the folder again::

    pip install speechbrain==1.1.2
    python test/espnet_samu/checkpoint/speechbrain_student.py

``encoder``: config.json of a w2v-BERT of 2 layers and 16 channels. ``save``: what
SpeechBrain's Checkpointer writes of the modules of its recipe CommonVoice/SENSE.
``expected.npz``: SpeechBrain's frames and embeddings of :func:`waveforms`,
``alone_<n>`` and in one padded ``batch``.
"""

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "speechbrain_student"
LENGTHS = (6640, 4880, 3440)
"""Samples: 40, 29 and 20 frames of 10 ms."""


def waveforms() -> list[np.ndarray]:
    """Return noise (N,) at 16 kHz."""
    generator = np.random.default_rng(0)
    return [generator.uniform(-0.3, 0.3, n).astype(np.float32) for n in LENGTHS]


def main() -> None:
    """Write the folder."""
    import tempfile

    import torch
    from speechbrain.integrations.huggingface.w2v_bert import W2VBert
    from speechbrain.nnet.pooling import AttentionPooling
    from speechbrain.utils.checkpoints import Checkpointer
    from speechbrain.utils.epoch_loop import EpochCounter
    from transformers import (
        SeamlessM4TFeatureExtractor,
        Wav2Vec2BertConfig,
        Wav2Vec2BertModel,
    )

    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(
        hidden_size=16,
        output_hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        conv_depthwise_kernel_size=3,
        apply_spec_augment=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        Wav2Vec2BertModel(config).save_pretrained(folder)
        SeamlessM4TFeatureExtractor(padding_value=1).save_pretrained(folder)
        encoder = W2VBert(folder, folder, freeze=False).eval()
    pooling = AttentionPooling(16)
    for parameter in [*encoder.parameters(), *pooling.parameters()]:
        torch.nn.init.normal_(parameter, 0.0, 0.2)
    config.save_pretrained(FOLDER / "encoder")
    checkpointer = Checkpointer(
        FOLDER / "save",
        {
            "model": torch.nn.ModuleList([pooling]),
            "wav2vec2": encoder,
            "counter": EpochCounter(limit=2),
        },
    )
    checkpointer.save_checkpoint({"loss": 0.5, "epoch": 1}, name="checkpoint_epoch1")

    def embed(waves, lengths):
        with torch.no_grad():
            frames = encoder(waves, lengths / lengths.max())
            pooled = torch.nn.functional.normalize(pooling(frames), p=2, dim=-1)
        return {"frames": frames.numpy(), "embedding": pooled.numpy()}

    waves = [torch.from_numpy(wave) for wave in waveforms()]
    results = {f"alone_{n}": embed(w[None], torch.ones(1)) for n, w in enumerate(waves)}
    padded = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
    results["batch"] = embed(padded, torch.tensor(LENGTHS))
    np.savez_compressed(
        FOLDER / "expected.npz",
        **{f"{k}_{name}": v for k, r in results.items() for name, v in r.items()},
    )


if __name__ == "__main__":
    main()
