"""Ensemble of sentence encoders."""

from collections.abc import Callable, Sequence

import numpy as np
from typeguard import typechecked

from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
from espnet_samu.teacher.cache import check_vectors, unit_length

COMBINE = ("concat", "mean")


class EncoderEnsemble(AbsSentenceEncoder):
    """Concatenation or mean of the L2-normalised embeddings of several encoders.

    The cosine of two concatenations is the mean of the encoders' cosines. The mean
    needs encoders of one space, e.g. several trainings of one model.

    Args:
        encoders: Two or more; their embeddings are scaled to length 1 here.
        combine: "concat" (D is the sum of the sizes) or "mean" (of equal sizes).
        normalize: Scale the result to length 1 again.

    Raises:
        ValueError: For fewer encoders, another `combine`, and a mean of embeddings of
            different sizes.
    """

    @typechecked
    def __init__(
        self,
        encoders: Sequence[AbsSentenceEncoder],
        combine: str = "concat",
        normalize: bool = True,
    ) -> None:
        sizes = [encoder.dimension for encoder in encoders]
        if len(sizes) < 2:
            raise ValueError(f"encoders must be two or more: {len(sizes)}")
        if combine not in COMBINE:
            raise ValueError(f"combine must be one of {COMBINE}: {combine!r}")
        if combine == "mean" and len(set(sizes)) > 1:
            raise ValueError(
                f"combine 'mean' needs embeddings of one size, not {sizes}: "
                "use 'concat'"
            )
        self.encoders = encoders
        self.combine = combine
        self.normalize = normalize
        self._dimension = sizes[0] if combine == "mean" else sum(sizes)

    @property
    def dimension(self) -> int:
        """Size D of an embedding."""
        return self._dimension

    @property
    def commits(self) -> list[str | None]:
        """Commits of all encoders, in their order."""
        return [commit for encoder in self.encoders for commit in encoder.commits]

    @property
    def prompts(self) -> list[str]:
        """Prompts of all encoders, in their order."""
        return [prompt for encoder in self.encoders for prompt in encoder.prompts]

    def truncated(self, texts: Sequence[str]) -> dict[str, int]:
        """Return the sentences that an encoder truncates; the smallest limit counts."""
        least: dict[str, int] = {}
        for encoder in self.encoders:
            for text, n in encoder.truncated(texts).items():
                least[text] = min(n, least.get(text, n))
        return least

    def encode(
        self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Return embeddings: see `AbsSentenceEncoder.encode`.

        `on_batch` counts what the last encoder does, i.e. what is finished.
        """
        last = len(self.encoders) - 1
        vectors = [
            unit_length(encoder.encode(texts, on_batch if i == last else None))
            for i, encoder in enumerate(self.encoders)
        ]
        if self.combine == "concat":
            result = np.concatenate(vectors, axis=1)
        else:
            result = np.mean(vectors, axis=0)
            check_vectors(result, texts, "mean of teachers")
        return unit_length(result) if self.normalize else result
