"""Sentence encoder of sentence-transformers."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
from typeguard import typechecked

from espnet_samu.teacher.abs_sentence_encoder import AbsSentenceEncoder
from espnet_samu.teacher.cache import check_vectors, unit_length
from espnet_samu.utils import hub

COMBINE = ("concat", "mean")


def token_batches(
    lengths: Sequence[int], batch_size: int, batch_tokens: int
) -> Iterator[list[int]]:
    """Group sentences of similar lengths, the longest first.

    A batch that does not fit in memory is thus met at the start, not after hours.

    Args:
        lengths: Tokens of N sentences.
        batch_size: Most sentences a batch.
        batch_tokens: Most tokens a batch, with padding; a longer sentence is alone.

    Yields:
        Positions in ``lengths``; every position once.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        end = start + max(1, min(batch_size, batch_tokens // longest))
        yield order[start:end]
        start = end


DEFAULT_TEACHER = "sentence-transformers/LaBSE"
# Most tokens a batch, with padding. More do not fit a CPU's cache, and are slower.
BATCH_TOKENS = 16384
BATCH_TOKENS_CPU = 1024
_WINDOW = 1024  # sentences that are tokenized at once
DTYPES = ("float32", "bfloat16", "float16")


class SentenceEncoder(AbsSentenceEncoder):
    """Sentence-transformers model as the teacher of the distillation.

    The whole module list of the model is run (LaBSE: BERT, CLS pooling, Dense with
    tanh, L2), not a bare transformer: its ``pooler_output`` is another vector. Offline
    mode (``HF_HUB_OFFLINE=1``) is honoured, code from the hub is never run.

    Reference:
        Feng et al., "Language-agnostic BERT Sentence Embedding", ACL 2022.

    Args:
        name: Hub id or local folder.
        revision: Branch, tag or commit of a hub model.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        batch_size: Most sentences a batch; long ones are fewer, see ``BATCH_TOKENS``.
        normalize: Scale every embedding to length 1.
        dtype: Precision of weights and activations; embeddings are float32 always.
        prompt: Text put before every sentence, e.g. "query: "; None: the model's own
            default prompt, which few have.

    Raises:
        ValueError: For a batch size or dtype that is not allowed, and for a model that
            is not to be found, not a sentence-transformers model, or brings code of
            its own.
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
        prompt: str | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1: {batch_size}")
        if dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {DTYPES}: {dtype!r}")
        self.name = name
        self.batch_size = batch_size
        self.normalize = normalize
        self.model, self._commit = _load(name, revision, device, dtype)
        if prompt is None:
            prompt = self.model.prompts.get(self.model.default_prompt_name, "")
        self.prompt = prompt

    @property
    def dimension(self) -> int:
        """Size D of an embedding."""
        return self.model.get_embedding_dimension()

    @property
    def commits(self) -> list[str | None]:
        """The commit that the hub resolved the revision to; None for a folder."""
        return [self._commit]

    @property
    def prompts(self) -> list[str]:
        """The prompt."""
        return [self.prompt]

    def truncated(self, texts: Sequence[str]) -> dict[str, int]:
        """Return the sentences longer than the model can read."""
        from transformers import PreTrainedTokenizerBase

        tokenizer = getattr(self.model, "tokenizer", None)
        limit = self.model.max_seq_length
        if not isinstance(tokenizer, PreTrainedTokenizerBase) or limit is None:
            return {}
        found = {}
        for some in batched(texts, _WINDOW):
            prompted = [self.prompt + text for text in some]
            ids = tokenizer(prompted, truncation=False, verbose=False)["input_ids"]
            found.update({t: limit for t, row in zip(some, ids) if len(row) > limit})
        return found

    def encode(
        self, texts: Sequence[str], on_batch: Callable[[int], object] | None = None
    ) -> np.ndarray:
        """Return embeddings: see ``AbsSentenceEncoder.encode``."""
        row: dict[str, int] = {}
        rows = [row.setdefault(text, len(row)) for text in texts]
        sentences = list(row)
        distinct = np.empty((len(row), self.dimension), dtype=np.float32)
        limit = BATCH_TOKENS_CPU if self.model.device.type == "cpu" else BATCH_TOKENS
        for chosen in token_batches(self._lengths(sentences), self.batch_size, limit):
            batch = [sentences[i] for i in chosen]
            vectors = self.model.encode(
                batch,
                prompt=self.prompt,
                batch_size=len(batch),
                show_progress_bar=False,
            ).astype(np.float32)
            check_vectors(vectors, batch, self.name)
            # Not the library's: it scales in the model's precision
            distinct[chosen] = unit_length(vectors) if self.normalize else vectors
            if on_batch is not None:
                on_batch(len(batch))
        return distinct if len(row) == len(texts) else distinct[rows]

    def _lengths(self, sentences: list[str]) -> list[int]:
        """Count tokens, or characters for models without a mask.

        Characters mislead where scripts mix: a Chinese one is a token of its own.
        """
        lengths: list[int] = []
        for some in batched(sentences, _WINDOW):
            features = self.model.preprocess(list(some), prompt=self.prompt)
            mask = features.get("attention_mask")
            lengths += map(len, some) if mask is None else mask.sum(dim=1).tolist()
        return lengths


class CodeError(ValueError):
    """Error for a teacher that brings code of its own.

    Args:
        name: The teacher.
        place: What names the code.
    """

    def __init__(self, name: str, place: str) -> None:
        super().__init__(
            f"teacher {name!r} brings code of its own ({place}), which is never run "
            "here: embed the texts where you trust it, write embed.scp yourself, and "
            "go on from stage 7: see 'A teacher with code of its own' in "
            "egs2/TEMPLATE/samu_st1/README.md"
        )


def _refuse_code(name: str, modules: str) -> None:
    """Raise an error for a modules.json with modules of other packages.

    The library would import them, from the current folder as well.
    """
    for module in json.loads(Path(modules).read_text(encoding="utf-8")):
        if not module["type"].startswith("sentence_transformers."):
            raise CodeError(name, f"{module['type']} in modules.json")


def _load(
    name: str, revision: str | None, device: str, dtype: str
) -> tuple[Any, str | None]:
    """Return a SentenceTransformer and its commit, or raise a clear error."""
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.util import load_file_path
    from transformers.utils.hub import extract_commit_hash

    # The library's rule for names without an organisation
    hub_id = "/" not in name and not Path(name).exists()
    place = f"sentence-transformers/{name}" if hub_id else name
    cache_folder = os.getenv("SENTENCE_TRANSFORMERS_HOME")
    try:
        place = hub.locate(place, revision, cache_folder)
    except OSError as error:
        raise type(error)(f"teacher {error}") from error
    try:
        modules = load_file_path(
            place, "modules.json", revision=revision, cache_folder=cache_folder
        )
        # The library would make up mean pooling, and only log it
        if modules is None:
            raise FileNotFoundError("modules.json is not there")
        _refuse_code(name, modules)
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
    except CodeError:
        raise
    except (OSError, ValueError, SafetensorError) as e:
        if "trust_remote_code" in str(e):
            raise CodeError(name, "its config.json") from e
        cause = str(e).strip().partition("\n")[0]
        raise ValueError(
            f"teacher {name!r} (revision {revision}) cannot be loaded: {cause}. Give "
            "a folder that SentenceTransformer.save has written, or the id of such a "
            "model on the hub"
        ) from e


class EncoderEnsemble(AbsSentenceEncoder):
    """Concatenation or mean of the L2-normalised embeddings of several encoders.

    The cosine of two concatenations is the mean of the encoders' cosines. The mean
    needs encoders of one space, e.g. several trainings of one model.

    Args:
        encoders: Two or more; their embeddings are scaled to length 1 here.
        combine: "concat" (D is the sum of the sizes) or "mean" (of equal sizes).
        normalize: Scale the result to length 1 again.

    Raises:
        ValueError: For fewer encoders, another ``combine``, and a mean of embeddings of
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
        """Return embeddings: see ``AbsSentenceEncoder.encode``.

        ``on_batch`` counts what the last encoder does, i.e. what is finished.
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
