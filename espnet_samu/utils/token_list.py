"""Token lists, as ESPnet's tasks take them."""

from pathlib import Path
from typing import List, Sequence, Union


def read_token_list(token_list: Union[str, Path, Sequence[str]]) -> List[str]:
    """Tokens of a file of one a line, or the list itself.

    An experiment's config.yaml has the list, its command line the file.
    """
    if not isinstance(token_list, (str, Path)):
        return list(token_list)
    with open(token_list, encoding="utf-8") as file:
        return [line.rstrip() for line in file]
