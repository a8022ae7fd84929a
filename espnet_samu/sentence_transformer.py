"""A student as a module of sentence-transformers."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import soundfile
import torch
from sentence_transformers.base.modality import InputFormatter
from sentence_transformers.base.modules import InputModule

from espnet_samu.checkpoint.export import write_student
from espnet_samu.speech2embedding import Speech2Embedding
from espnet_samu.utils.torch_modules import encoder_lock, waveform_dtype
from espnet_samu.utils.waveform import check_waveform, named_waveforms


class Student(InputModule):
    """Utterance embeddings of a folder of ``samu_export``, for audio.

    In ``modules.json`` of that folder, so that ``SentenceTransformer(FOLDER,
    trust_remote_code=True)`` is the student: the library asks for the permission since
    the class is this package's, the folder has no code. It does without as
    ``SentenceTransformer(modules=[Student(FOLDER)])``.

    An input is a waveform (N,) at 16 kHz, a dict of ``array`` and ``sampling_rate``, an
    ``AudioDecoder`` of torchcodec or an audio file.

    Args:
        name: Folder of ``samu_export``, a zip file of it, or its name on the hub.
        dtype: Of the whole model: see :class:`Speech2Embedding`.
    """

    def __init__(self, name: Path | str, dtype: str = "float32"):
        super().__init__()
        speech2embedding = Speech2Embedding.from_pretrained(name, dtype=dtype)
        self.student = speech2embedding.samu_model
        self.train_args = speech2embedding.samu_train_args
        self.formatter = InputFormatter("samu", "flat", supported_modalities=["audio"])
        # One for all calls: threads that share the object wait for each other.
        self.lock = encoder_lock(self.student)

    @property
    def modalities(self) -> list[Any]:
        """What the module reads: audio."""
        return ["audio"]

    def get_embedding_dimension(self) -> int:
        """Return the dimension E of an embedding."""
        return self.student.projector.output_size()

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Return a padded batch.

        Args:
            inputs: B recordings.
            prompt: Not used: it is for texts.
            kwargs: Not used.

        Returns:
            ``speech`` (B, N), ``speech_lengths`` (B,) and ``modality``.

        Raises:
            ValueError: A recording is not at 16 kHz, or has more than one channel.
        """
        modality, found, options = self.formatter.parse_inputs(inputs)
        if modality != "audio":
            raise ValueError(f"a student reads audio, not {modality}")
        rate = options["audio"].get("sampling_rate")
        waveforms = []
        for index, item in enumerate(found["audio"]):
            name, its_rate = f"inputs[{index}]", rate
            if isinstance(item, str):
                name = item
                item, its_rate = soundfile.read(item, dtype="float32")
            waveforms.append(check_waveform(item, name, its_rate))
        return {
            "speech": torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True),
            "speech_lengths": torch.tensor([len(w) for w in waveforms]),
            "modality": "audio",
        }

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Add ``sentence_embedding`` (B, E), L2-normalised, to a batch."""
        dtype = waveform_dtype(self.student, next(self.student.parameters()).dtype)
        names = [f"inputs[{i}]" for i in range(len(features["speech"]))]
        lock = nullcontext() if self.training else self.lock
        with lock, named_waveforms(names, what=""):
            output = self.student.embed(
                features["speech"].to(dtype), features["speech_lengths"]
            )
        features["sentence_embedding"] = output.embedding
        return features

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Write the student, as it is now, to a folder that :meth:`load` reads."""
        write_student(Path(output_path), self.student, self.train_args)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        init_defaults: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> "Student":
        """Read a folder or repository.

        Args:
            model_name_or_path: Folder, or name on the hub.
            subfolder: Folder in it.
            token: Of the hub.
            cache_folder: Of the hub's files.
            revision: Branch, tag or commit on the hub.
            local_files_only: Ask the cache alone.
            init_defaults: Not used.
            kwargs: ``model_kwargs`` may have a ``dtype``.
        """
        folder = cls.load_dir_path(
            model_name_or_path,
            subfolder,
            token,
            cache_folder,
            revision,
            local_files_only,
        )
        if folder is None:
            raise FileNotFoundError(f"{model_name_or_path} has no folder {subfolder!r}")
        options = kwargs.get("model_kwargs") or {}
        dtype = options.get("dtype", options.get("torch_dtype")) or "float32"
        return cls(folder, str(dtype).removeprefix("torch."))
