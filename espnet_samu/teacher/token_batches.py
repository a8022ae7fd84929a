"""Batches that are bounded by what they cost."""

from collections.abc import Iterator, Sequence


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
        Positions in `lengths`; every position once.
    """
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        end = start + max(1, min(batch_size, batch_tokens // longest))
        yield order[start:end]
        start = end
