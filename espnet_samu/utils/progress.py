"""Progress of a long loop."""

import logging
import sys
import time
from typing import Iterable, Iterator, TypeVar

Item = TypeVar("Item")


def progress(
    items: Iterable[Item], total: int, name: str, seconds: float = 30.0
) -> Iterator[Item]:
    """Show how far a loop is: a bar on a terminal, a line now and then in a log.

    Args:
        items: What is looped over.
        total: Number of items.
        name: Of the items, for the message.
        seconds: Least time between two lines of a log.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, unit=f" {name}")
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            logging.info(
                f"{done} of {total} {name}, {done / (now - start):.1f} a second"
            )
