"""Trimming of a pre-trained decoder to the tokens of a task.

Most of mBART-50's 250,054 tokens belong to languages that are not translated into.
Their rows cost memory, and their logits cost time at every step. The folder is

* a transformers folder in the layout of the model (config.json, model.safetensors,
  sentencepiece.bpe.model, ...), to be named as ``model`` in ``decoder_conf``; that of
  SeamlessM4T's text decoder is an M2M-100;
* ESPnet's tokeniser of ``token_type: bpe``: bpe.model and tokens.txt, whose line n is
  row n of the embedding.

Characters of the training targets that the model cannot write, because its
normalisation (NFKC) replaces them or because it lacks them, become pieces of their own
in bpe.model: ``，`` stays ``，`` instead of becoming ``,``. The embedding of such a piece
is initialised near those of the pieces that stood for the character before.

The sentencepiece model is trimmed with the embedding and has the kept pieces only, so
that a word whose pieces were removed is split into others instead of being unknown. A
text whose pieces are all kept is split into the same ones as before.

Reference: Abdaoui et al. (Load What You Need), arXiv 2010.05609.
"""

import json
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from fontTools.unicodedata import script_extension
from google.protobuf.message import DecodeError
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2

from espnet_samu.text import checkpoint, coverage
from espnet_samu.text.trim_report import REPORT_FILE, check_text, input_key, read_report
from espnet_samu.text.vocabulary import Vocabulary, find_layout
from espnet_samu.utils import huggingface, seamless
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.language_codes import is_code, scripts_of, to_code
from espnet_samu.utils.safe_reading import check_no_pointer, read_json


def merge_steps(pieces: Iterable[str], scores: Mapping[str, float]) -> set[str]:
    """Return all pieces that BPE passes through on the way to the given pieces.

    Byte pair encoding merges two neighbours at a time, those first whose union has the
    highest score. If a vocabulary lacks one of these steps, the pieces after it cannot
    be reached. If it has all of them, a text is split into the given pieces as before:
    a merge that was the best of many is the best of fewer.

    Args:
        pieces: Pieces that a tokeniser made.
        scores: Of all pieces of the full model.
    """
    steps: set[str] = set()
    for piece in pieces:
        symbols = list(piece)
        while len(symbols) > 1:
            joined = ["".join(pair) for pair in zip(symbols, symbols[1:])]
            known = [i for i, union in enumerate(joined) if union in scores]
            if not known:
                break
            best = max(known, key=lambda i: scores[joined[i]])
            symbols[best : best + 2] = [joined[best]]
            steps.add(joined[best])
    return steps


# A script that is none of the target languages counts from this share of a text's
# letters on [ours]: one Chinese character in an English corpus does not bring thousands
# of others with it.
SCRIPT_SHARE = 0.01
# Unicode's names for what belongs to all scripts, or to that of the letter before.
_SHARED = frozenset(("Zyyy", "Zinh"))
WORD_START = "▁"

REASONS = (
    "special token",
    "language code",
    "piece of the texts",
    "step to a longer piece",
    "character of the texts",
    "letter of their scripts",
    "common character",
    "least probable piece",
)


def choose_pieces(
    vocabulary: Vocabulary, counts: Mapping[str, int], languages: Sequence[str] = ()
) -> dict[int, str]:
    """Return the rows to keep, each with its first reason.

    Args:
        vocabulary: Of the full model.
        counts: How often the tokeniser makes each piece of the target texts.
        languages: Target languages, whose scripts are kept however rare their letters
            are in the texts.

    Returns:
        One of REASONS by row, rows in ascending order.
    """
    pieces = vocabulary.pieces
    characters = coverage.count_characters(counts)
    kept_scripts = {*main_scripts(characters)}
    kept_scripts.update(name for lang in languages for name in scripts_of(lang))
    singles = {piece: row for piece, row in pieces.items() if len(piece) == 1}
    steps = merge_steps(counts, vocabulary.scores) if vocabulary.is_bpe else ()
    least_probable = vocabulary.least_probable
    groups: tuple[Iterable[int], ...] = (
        vocabulary.special,
        vocabulary.languages.values(),
        (pieces[piece] for piece in counts if piece in pieces),
        (pieces[piece] for piece in steps),
        (row for c, row in singles.items() if c in characters),
        (row for c, row in singles.items() if scripts(c) & kept_scripts),
        (row for c, row in singles.items() if _is_common(c)),
        # A unigram model derives the cost of an unknown character from it: with it, a
        # text is cut as if all other pieces had been forbidden to the full model.
        [] if least_probable is None else [least_probable],
    )
    reasons: dict[int, str] = {}
    for reason, rows in zip(REASONS, groups, strict=True):
        for row in rows:
            reasons.setdefault(row, reason)
    return dict(sorted(reasons.items()))


def main_scripts(characters: Mapping[str, int]) -> list[str]:
    """Return the scripts of at least SCRIPT_SHARE of the letters.

    Args:
        characters: How often each character occurs.
    """
    letters: Counter = Counter()
    for character, n in characters.items():
        # A mark of several scripts tells nothing.
        if len(scripts(character)) == 1:
            letters.update(dict.fromkeys(scripts(character), n))
    total = sum(letters.values())
    return [name for name, n in letters.items() if n >= SCRIPT_SHARE * total]


def scripts(character: str) -> frozenset[str]:
    """Return the scripts of a letter or mark, e.g. {"Latn"}, by ISO 15924."""
    if unicodedata.category(character)[0] not in "LM":
        return frozenset()
    return frozenset(script_extension(character)) - _SHARED


def _is_common(character: str) -> bool:
    """Return whether a character is common to all scripts, e.g. punctuation."""
    if character.isascii() or character == WORD_START:
        return True
    category = unicodedata.category(character)
    return category[0] == "P" or category in ("Nd", "Sc")


TOKEN_LIST = "tokens.txt"
# The name that st.sh gives to a tokeniser.
BPE_MODEL = "bpe.model"
_WEIGHTS = "model.safetensors"


def trim(
    model: str,
    texts: Sequence[str],
    output_dir: str,
    revision: str | None = None,
    check_texts: Sequence[str] = (),
    add_languages: Mapping[str, str] | None = None,
    nj: int = 1,
    languages: Sequence[str] = (),
    add_characters: bool = True,
) -> dict[str, Any]:
    """Write a trimmed folder, unless it exists for the same input.

    Args:
        model: Hub id or folder: mBART-25, mBART-50, M2M-100, NLLB or SeamlessM4T.
        texts: Kaldi text files of the training targets.
        output_dir: Replaced as a whole if an earlier trimming made it.
        revision: Branch, tag or commit on the hub.
        check_texts: Kaldi text files to count in what cannot be written, and to score
            what can.
        add_languages: New language tokens, each with the language whose token it
            starts near: ``{"ca_ES": "es_XX"}``.
        nj: Threads of the tokeniser.
        languages: Target languages, whose scripts are kept. The first one is that of
            check texts without ``utt2tgt_lang`` beside them.
        add_characters: Whether characters of the training targets that the model
            cannot write become pieces.

    Returns:
        Content of ``trim.json``.

    Raises:
        FileNotFoundError: The model or a text is not complete.
        ValueError: output_dir holds an input or what trim_vocab has not made, the
            model is of another family or size than those published, there is no
            sentence or an empty one, or a language cannot be added.
    """
    files = checkpoint.find_files(model, revision)
    added = dict(add_languages or {})
    options = {"languages": list(languages), "add_characters": add_characters}
    key = {**input_key(files.all(), texts, check_texts, added), **options}
    report = read_report(Path(output_dir))
    if report is not None and report.get("key") == key:
        logging.info(f"{output_dir} is up to date")
        return report

    inputs = [model, *texts, *check_texts]
    output = AtomicFolder(output_dir, "trim_vocab", inputs)
    config = read_json(files.config)
    vocabulary = _read_vocabulary(files, config)
    opened = checkpoint.open_tensors(files.weights)
    if config["model_type"] in seamless.TYPES:
        whole = huggingface.load_config(model, {}, revision)
        config = seamless.decoder_fields(whole)
        opened = {seamless.decoder_name(name): opened[name] for name in opened}
    neighbours = _neighbours(added, vocabulary)
    for language in languages:
        if not scripts_of(language):
            logging.warning(f"target language '{language}': its script is not known")
    published = vocabulary.processor()
    write = coverage.round_trip(published, nj)
    losses = coverage.find_losses(write, texts)
    characters = [
        character
        for character in sorted(losses.characters)
        if add_characters and coverage.can_be_added(write, character)
    ]
    full = vocabulary.processor(characters)
    counts = coverage.count_pieces(full, texts, nj)
    if not counts.pieces:
        raise ValueError(f"--text {', '.join(texts)}: there is no sentence to keep")
    logging.info(f"{counts.sentences} sentences, {counts.pieces.total()} pieces")
    reasons = choose_pieces(vocabulary, counts.pieces, languages)
    rows = list(reasons)
    new = [c for c in characters if c not in vocabulary.rows]
    tokens = [vocabulary.layout.tokens[row] for row in rows] + new + list(added)
    proto = vocabulary.trimmed_model(rows, characters)
    trimmed = sentencepiece.SentencePieceProcessor(model_proto=proto)
    tensors = checkpoint.decoder_tensors(
        opened,
        rows,
        len(vocabulary),
        [vocabulary.rows_of(pieces) for pieces in published.encode(new, out_type=str)]
        + neighbours,
    )
    kept = Counter(reasons.values())
    unknown = coverage.unknown_characters(full, counts.pieces)
    report = {
        "model": model,
        "revision": revision,
        "texts": list(texts),
        "sentences": counts.sentences,
        "pieces": counts.pieces.total(),
        "unknown_characters": dict(unknown.most_common(coverage.LISTED)),
        "added_characters": {
            character: {"count": losses.characters[character], "was": was}
            for character, was in zip(characters, write(characters))
        },
        **coverage.find_losses(coverage.round_trip(trimmed, nj), texts).report(),
        "kept": {
            **{reason: kept[reason] for reason in REASONS},
            "added character": len(new),
            "added language": len(added),
        },
        "tokens": {"before": len(vocabulary), "after": len(tokens)},
        "parameters": checkpoint.count_parameters(tensors, len(vocabulary)),
        "check": [
            {
                **coverage.compare(full, trimmed, text, nj),
                **check_text(coverage.round_trip(trimmed, nj), text, *languages[:1]),
            }
            for text in check_texts
        ],
        "key": key,
    }
    with output as folder:
        (folder / BPE_MODEL).write_bytes(proto)
        # transformers has the added characters from the files below.
        without = vocabulary.trimmed_model(rows)
        (folder / checkpoint.TOKENIZER_FILE).write_bytes(without)
        lines = "".join(f"{token}\n" for token in tokens)
        (folder / TOKEN_LIST).write_text(lines, encoding="utf-8", newline="\n")
        for name, text in vocabulary.tokenizer_files(rows, added, new).items():
            (folder / name).write_text(f"{text}\n", encoding="utf-8", newline="\n")
        save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
        for name, content in (
            (checkpoint.CONFIG_FILE, _trimmed_config(config, rows, len(tokens))),
            (REPORT_FILE, report),
        ):
            text = json.dumps(content, indent=2, ensure_ascii=False)
            (folder / name).write_text(f"{text}\n", encoding="utf-8", newline="\n")
    logging.info(f"{output_dir} is written")
    return report


def _read_vocabulary(
    files: checkpoint.CheckpointFiles, config: Mapping[str, Any]
) -> Vocabulary:
    check_no_pointer(files.tokenizer)
    try:
        proto = sentencepiece_model_pb2.ModelProto.FromString(
            files.tokenizer.read_bytes()
        )
    except DecodeError as error:
        raise ValueError(
            f"{files.tokenizer} is not a sentencepiece model, or damaged ({error})"
        ) from error
    vocab = None if files.vocab is None else files.vocab.read_bytes()
    layout = find_layout(config, [p.piece for p in proto.pieces], vocab)
    return Vocabulary(proto, layout)


def _neighbours(added: Mapping[str, str], vocabulary: Vocabulary) -> list[list[int]]:
    """Return the rows near which new language tokens are initialised."""
    for code in added:
        if not is_code(code) or code in vocabulary.layout.tokens:
            raise ValueError(
                f"--add_languages {code}: a new code has the form of the others and "
                f"is not one of them: {', '.join(vocabulary.languages)}"
            )
    codes = list(vocabulary.languages)
    return [[vocabulary.languages[to_code(near, codes)]] for near in added.values()]


def _trimmed_config(
    config: Mapping[str, Any], rows: Sequence[int], n_tokens: int
) -> dict[str, Any]:
    """Return config.json of the trimmed model."""
    position = {row: i for i, row in enumerate(rows)}
    # task_specific_params are of the whole translation model; num_hidden_layers is
    # transformers' second name of encoder_layers.
    left_out = ("task_specific_params", "num_hidden_layers")
    new = {k: v for k, v in config.items() if k not in left_out}
    for name, row in new.items():
        if name.endswith("_token_id") and row is not None:
            if row not in position:
                raise ValueError(
                    f"config.json: {name} {row} is neither a special token nor a "
                    "language code"
                )
            new[name] = position[row]
    return {**new, "vocab_size": n_tokens, "encoder_layers": 0}
