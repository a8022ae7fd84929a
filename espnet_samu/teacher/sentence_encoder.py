"""Sentence embeddings of a sentence-transformers model."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from typeguard import typechecked

from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
from espnet_samu.teacher.token_batches import token_batches
from espnet_samu.teacher.vectors import check_vectors, unit_length

DEFAULT_TEACHER = "sentence-transformers/LaBSE"
# Most tokens a batch, with padding. More are slower on a CPU, whose cache they leave.
BATCH_TOKENS = 16384
BATCH_TOKENS_CPU = 1024
DTYPES = ("float32", "bfloat16", "float16")


class SentenceEncoder(AbsSentenceEncoder):
    """A sentence-transformers model as the teacher of the distillation.

    The whole module list of the model is run (LaBSE: BERT, CLS pooling, Dense with
    tanh, L2), not a bare transformer: its `pooler_output` is another vector. Offline
    mode (`HF_HUB_OFFLINE=1`) is honoured, code from the hub is never run.

    Reference:
        Feng et al., "Language-agnostic BERT Sentence Embedding", ACL 2022.

    Args:
        name: Hub id or local folder.
        revision: Branch, tag or commit of a hub model.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        batch_size: Most sentences a batch; long ones are fewer, see `BATCH_TOKENS`.
        normalize: Scale every embedding to length 1.
        dtype: Precision of weights and activations; embeddings are float32 always.

    Raises:
        ValueError: For a batch size or dtype that is not allowed, and for a model that
            is not to be found or not a sentence-transformers model.
    """

    @typechecked
    def __init__(
        self,
        name: str = DEFAULT_TEACHER,
        revision: str | None = None,
        device: str = "auto",
        batch_size: int = 256,
        normalize: bool = True,
        dtype: str = "float32",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1: {batch_size}")
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {DTYPES}: {dtype!r}")
        self.name = name
        self.batch_size = batch_size
        self.normalize = normalize
        self.model, self._commit = _load(name, revision, device, dtype)

    @property
    def dimension(self) -> int:
        """Size D of an embedding."""
        return self.model.get_embedding_dimension()

    @property
    def commits(self) -> list[str | None]:
        """The commit that the hub resolved the revision to; None for a folder."""
        return [self._commit]

    def encode(
        self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Embed sentences: see `AbsSentenceEncoder.encode`."""
        row: dict[str, int] = {}
        rows = [row.setdefault(text, len(row)) for text in texts]
        sentences = list(row)
        distinct = np.empty((len(row), self.dimension), dtype=np.float32)
        limit = BATCH_TOKENS_CPU if self.model.device.type == "cpu" else BATCH_TOKENS
        for chosen in token_batches(self._lengths(sentences), self.batch_size, limit):
            batch = [sentences[i] for i in chosen]
            vectors = self.model.encode(
                batch, batch_size=len(batch), show_progress_bar=False
            ).astype(np.float32)
            check_vectors(vectors, batch, self.name)
            # Not the library's: it scales in the model's precision
            distinct[chosen] = unit_length(vectors) if self.normalize else vectors
            if on_batch is not None:
                on_batch(len(batch))
        return distinct if len(row) == len(texts) else distinct[rows]

    def _lengths(self, sentences: list[str], window: int = 1024) -> list[int]:
        """Count tokens; characters, as the library sorts, for models without a mask.

        Characters mislead where scripts mix: a Chinese one is a token of its own.
        """
        lengths: list[int] = []
        for start in range(0, len(sentences), window):
            some = sentences[start : start + window]
            mask = self.model.preprocess(some).get("attention_mask")
            lengths += map(len, some) if mask is None else mask.sum(dim=1).tolist()
        return lengths


def _load(
    name: str, revision: str | None, device: str, dtype: str
) -> tuple[Any, str | None]:
    """Return a SentenceTransformer and its commit, or say what to do."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import load_file_path
    from transformers.utils.hub import extract_commit_hash

    # The library's rule for names without an organisation
    hub_id = "/" not in name and not Path(name).exists()
    place = f"sentence-transformers/{name}" if hub_id else name
    cache_folder = os.getenv("SENTENCE_TRANSFORMERS_HOME")
    try:
        modules = load_file_path(
            place, "modules.json", revision=revision, cache_folder=cache_folder
        )
        # The library would make up mean pooling, and only log it
        if modules is None:
            raise FileNotFoundError("modules.json is not there")
        commit = extract_commit_hash(modules, None)
        model = SentenceTransformer(
            place,
            revision=commit or revision,
            device=None if device == "auto" else device,
            cache_folder=cache_folder,
            trust_remote_code=False,
            model_kwargs={"dtype": getattr(torch, dtype)},
        )
        return model.eval(), commit
    except (OSError, ValueError) as e:
        cause = str(e).strip().partition("\n")[0]
        raise ValueError(
            f"teacher {name!r} (revision {revision}) cannot be loaded: {cause}. Give "
            "a folder that SentenceTransformer.save has written, or the id of such a "
            "model on the hub; without network (HF_HUB_OFFLINE=1) that revision must "
            "be in the hub's cache already (HF_HOME names its place)"
        ) from e
