"""Utterance embeddings of waveforms by a trained student."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from typeguard import typechecked

from espnet_samu.checkpoint import pack
from espnet_samu.layers.adapters import check_quantize, quantize_linear
from espnet_samu.tasks.samu import SAMUTask
from espnet_samu.utils.safe_reading import Configuration
from espnet_samu.utils.torch_modules import (
    MODEL_DTYPES,
    encoder_lock,
    host_settings_kept,
    parse_dtype,
    waveform_dtype,
    without_autocast,
)
from espnet_samu.utils.waveform import (
    UnusableWaveforms,
    check_speeches,
    named_waveforms,
)


class Speech2Embedding:
    """Encoder of waveforms to utterance embeddings in the teacher's space.

    Several threads may share one object: each call needs the memory of its own batch.

    Examples:
        >>> from espnet_samu.corpora.audio import read_speech
        >>> speech2embedding = Speech2Embedding.from_pretrained("exported_folder")
        >>> speech2embedding(read_speech("utt.wav"))  # (E,)

    Args:
        samu_train_config: config.yaml of the distillation. None: beside
            samu_model_file.
        samu_model_file: Checkpoint.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: Of the whole model, whatever it was trained in: float16, bfloat16,
            float32, float64.
        quantize: Linear layers with int8 weights, on the CPU: see
            :func:`espnet_samu.layers.adapters.quantize_linear`.

    Raises:
        ValueError: The checkpoint does not fill the model, or dtype is unknown.
    """

    @typechecked
    def __init__(
        self,
        samu_train_config: Configuration | Path | str | None = None,
        samu_model_file: Path | str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        quantize: bool = False,
    ):
        self.dtype = parse_dtype("dtype", dtype, MODEL_DTYPES)
        if quantize:
            check_quantize(device, dtype)
        if samu_model_file is None:
            raise ValueError(
                "samu_model_file is not given: name a checkpoint, or a folder or tag "
                "in from_pretrained"
            )
        model, args = SAMUTask.build_model_from_file(
            samu_train_config, samu_model_file, device
        )
        self.samu_model = without_autocast(model).to(dtype=self.dtype).eval()
        if quantize:
            with host_settings_kept():
                quantize_linear(self.samu_model)
        self.samu_train_args = args
        self.device = device
        self._lock = encoder_lock(model)

    @classmethod
    def from_pretrained(
        cls,
        model_tag: Path | str | None = None,
        cache_dir: Path | str | None = None,
        **kwargs: Any,
    ) -> "Speech2Embedding":
        """Load a published student.

        Args:
            model_tag: Folder of ``samu_export``, a zip file of it, or its tag on the
                hub (``user/name``, as espnet_model_zoo has them).
            cache_dir: Where a zip file is unpacked. None: in ~/.cache/espnet_samu.
            kwargs: Of the constructor.

        Raises:
            ConnectionError: See :func:`espnet_samu.utils.hub.locate`.
            FileNotFoundError: There is no such model, or the folder has no meta.yaml.
            ValueError: The student is unsafe, or of another version.
        """
        if model_tag is None:
            return cls(**kwargs)
        with pack.opened(model_tag, cache_dir, pack.STUDENT) as files:
            return cls(**{**kwargs, **files})

    def __call__(
        self,
        speech: torch.Tensor | np.ndarray,
        sampling_rate: int | None = None,
    ) -> torch.Tensor:
        """Embed one waveform.

        Args:
            speech: (N,) at 16 kHz, in [-1, 1].
            sampling_rate: Of the waveform in Hz: others than 16000 are refused.

        Returns:
            Utterance embedding (E,), L2-normalised, on the CPU.

        Raises:
            ValueError: It is no such waveform, or too short for one frame.
        """
        return self.batch([speech], sampling_rate)[0]

    def batch(
        self,
        speeches: Sequence[torch.Tensor | np.ndarray],
        sampling_rate: int | None = None,
    ) -> torch.Tensor:
        """Embed some waveforms together; the longest one decides the memory.

        Args:
            speeches: B waveforms (N,) at 16 kHz, in [-1, 1].
            sampling_rate: Of the waveforms in Hz: others than 16000 are refused.

        Returns:
            Utterance embeddings (B, E), L2-normalised, on the CPU. Each is the one that
            its utterance gets alone.

        Raises:
            ValueError: There is none, or one is no such waveform; says which.
        """
        dtype = waveform_dtype(self.samu_model, self.dtype)
        labels, tensors = check_speeches(speeches, sampling_rate, dtype)
        lengths = torch.tensor([len(speech) for speech in tensors])
        padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
        with named_waveforms(labels, what=""):
            return self.embed(padded, lengths)

    @torch.no_grad()
    def embed(self, speech: torch.Tensor, speech_lengths: torch.Tensor) -> torch.Tensor:
        """Embed a padded batch that was checked.

        Args:
            speech: Waveforms (B, N) at 16 kHz, anything where padded.
            speech_lengths: Samples (B,).

        Returns:
            Utterance embeddings (B, E), on the CPU.

        Raises:
            UnusableWaveforms: Some are too short or too long, or have an embedding
                that is not finite.
        """
        speech = speech.to(self.device, waveform_dtype(self.samu_model, self.dtype))
        with self._lock:
            output = self.samu_model.embed(speech, speech_lengths.to(self.device))
        embedding = output.embedding.cpu()
        bad = (~embedding.isfinite().all(1)).nonzero()[:, 0].tolist()
        if bad:
            reason = (
                f"the embedding is not finite in {self.dtype}; use another dtype, or "
                "look for NaN in the checkpoint"
            )
            raise UnusableWaveforms(dict.fromkeys(bad, reason))
        return embedding
