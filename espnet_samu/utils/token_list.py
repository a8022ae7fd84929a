"""Token lists, as ESPnet's tasks take them, and their sentencepiece models."""

from pathlib import Path
from typing import List, Sequence, Union

from sentencepiece import SentencePieceProcessor


def read_token_list(token_list: Union[str, Path, Sequence[str]]) -> List[str]:
    """Tokens of a file of one a line, or the list itself.

    An experiment's config.yaml has the list, its command line the file.
    """
    if not isinstance(token_list, (str, Path)):
        return list(token_list)
    with open(token_list, encoding="utf-8") as file:
        return [line.rstrip() for line in file]


def read_bpemodel(path: Union[str, Path]) -> SentencePieceProcessor:
    """Read a sentencepiece model.

    Raises:
        ValueError: It is missing, or none; names it.
    """
    try:
        return SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"bpemodel {path} is no sentencepiece model, or damaged ({error})"
        ) from error


def check_bpemodel(path: Union[str, Path], tokens: Sequence[str]) -> None:
    """Raise if a sentencepiece model is not that of a token list.

    ESPnet takes pieces that are not in the list for ``<unk>``.

    Raises:
        ValueError: It is no such model, or has pieces that are not in the list.
    """
    model = read_bpemodel(path)
    pieces = [
        model.id_to_piece(i)
        for i in range(len(model))
        if not (model.is_unknown(i) or model.is_control(i) or model.is_unused(i))
    ]
    foreign = sorted({*pieces} - {*tokens})
    if foreign:
        raise ValueError(
            f"bpemodel {path} is of another vocabulary than the token list: "
            f"{len(foreign)} of {len(pieces)} pieces are not in it, e.g. "
            f"{' '.join(foreign[:3])}; name the two that stage 5 wrote together"
        )
