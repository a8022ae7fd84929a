"""Sentence embeddings of a sentence-transformers model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

DEFAULT_TEACHER = "sentence-transformers/LaBSE"


class SentenceEncoder:
    """A sentence-transformers model as the teacher of the distillation.

    The whole module list of the model is run (LaBSE: BERT, CLS pooling, Dense with
    tanh, L2), not a bare transformer. Offline mode (`HF_HUB_OFFLINE=1`) is honoured,
    code from the hub is never run.

    Reference:
        Feng et al., "Language-agnostic BERT Sentence Embedding", ACL 2022.

    Args:
        name: Hub id or local folder.
        revision: Branch, tag or commit of a hub model.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        batch_size: Sentences a batch.
        normalize: Scale every embedding to length 1.
    """

    def __init__(
        self,
        name: str = DEFAULT_TEACHER,
        revision: str | None = None,
        device: str = "auto",
        batch_size: int = 256,
        normalize: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1: {batch_size}")
        from sentence_transformers import SentenceTransformer

        self.model: Any = SentenceTransformer(
            name,
            revision=revision,
            device=None if device == "auto" else device,
            trust_remote_code=False,
        )
        self.model.eval()
        self.batch_size = batch_size
        self.normalize = normalize

    @property
    def dimension(self) -> int:
        """Size D of an embedding."""
        return self.model.get_embedding_dimension()

    def encode(
        self, texts: Sequence[str], show_progress_bar: bool = False
    ) -> np.ndarray:
        """Embed sentences; a sentence that occurs twice is run once.

        Batches are sorted by length inside the library.

        Args:
            texts: N sentences.
            show_progress_bar: Draw the library's progress bar.

        Returns:
            Embeddings (N, D), float32, in the order of `texts`.
        """
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        row: dict[str, int] = {}
        rows = [row.setdefault(text, len(row)) for text in texts]
        distinct = self.model.encode(
            list(row),
            batch_size=self.batch_size,
            normalize_embeddings=self.normalize,
            convert_to_numpy=True,
            show_progress_bar=show_progress_bar,
        )
        distinct = np.asarray(distinct, dtype=np.float32)
        return distinct if len(row) == len(texts) else distinct[rows]
