"""Batches of similar lengths, results in the order of the input."""

from typing import Callable, Iterable, Iterator, List, Sequence, Tuple, TypeVar

import torch

Result = TypeVar("Result")


def batches_by_length(lengths: Sequence[int], batch_size: int) -> List[List[int]]:
    """Group what is of similar lengths, the longest first.

    Args:
        lengths: Of the items.
        batch_size: Largest number of items of a batch.

    Returns:
        Places of the items of each batch.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def map_in_batches(
    items: Iterable[Tuple[str, torch.Tensor]],
    function: Callable[[torch.Tensor, torch.Tensor], List[Result]],
    batch_size: int,
    window: int = 32,
) -> Iterator[Tuple[str, Result]]:
    """Apply a function to padded batches of waveforms.

    Args:
        items: Utterance id and waveform (N,).
        function: Takes waveforms (B, N), zero where padded, and their samples (B,);
            returns B results.
        batch_size: Largest B.
        window: So many batches are read ahead and sorted by length, which keeps
            padding small without reading the corpus.

    Yields:
        Utterance id and result, in the order of items.

    Raises:
        RuntimeError: The function raised; names the utterances of the batch.
    """
    waiting: List[Tuple[str, torch.Tensor]] = []
    for item in items:
        waiting.append(item)
        if len(waiting) == batch_size * window:
            yield from _apply(waiting, function, batch_size)
            waiting = []
    yield from _apply(waiting, function, batch_size)


def _apply(items, function, batch_size):
    results = [None] * len(items)
    for chosen in batches_by_length([len(w) for _, w in items], batch_size):
        waveforms = [items[i][1] for i in chosen]
        lengths = torch.tensor([len(w) for w in waveforms])
        padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        try:
            outcome = function(padded, lengths)
        except Exception as error:
            names = ", ".join(items[i][0] for i in chosen)
            raise RuntimeError(
                f"in the batch of utterances {names}: {error}"
            ) from error
        for i, result in zip(chosen, outcome, strict=True):
            results[i] = result
    for (key, _), result in zip(items, results):
        yield key, result
