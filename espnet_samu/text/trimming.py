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
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import sentencepiece
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2

from espnet_samu.text import checkpoint, coverage, kept_pieces
from espnet_samu.text.layout import find_layout
from espnet_samu.text.trim_report import REPORT_FILE, check_text, input_key, read_report
from espnet_samu.text.vocabulary import Vocabulary
from espnet_samu.utils import huggingface, seamless
from espnet_samu.utils.atomic import AtomicFolder
from espnet_samu.utils.language_codes import is_code, scripts_of, to_code

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
    config = json.loads(files.config.read_text(encoding="utf-8"))
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
    reasons = kept_pieces.choose(vocabulary, counts.pieces, languages)
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
            **{reason: kept[reason] for reason in kept_pieces.REASONS},
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
    proto = sentencepiece_model_pb2.ModelProto.FromString(files.tokenizer.read_bytes())
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
