"""A pre-trained decoder with the tokens that a task needs, as a folder of its own.

Most of mBART-50's 250,054 tokens belong to languages that are not translated into.
Their rows cost memory, and their logits cost time at every step. The folder is

* a transformers folder in the layout of the model (config.json, model.safetensors,
  sentencepiece.bpe.model, ...), to be named as ``model`` in ``decoder_conf``;
* ESPnet's tokeniser of ``token_type: bpe``: bpe.model and tokens.txt, whose line n is
  row n of the embedding.

The sentencepiece model is trimmed with the embedding: it has the kept pieces only, so
that a word whose pieces are gone is spelled with others, and is not unknown. A text
whose pieces are all kept is cut into the same ones as before.

Reference: Abdaoui et al. (Load What You Need), arXiv 2010.05609.
"""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence

import sentencepiece
from safetensors.torch import save_file
from sentencepiece import sentencepiece_model_pb2

from espnet_samu.text import checkpoint, coverage, kept_pieces
from espnet_samu.text.languages import is_code, to_code
from espnet_samu.text.layout import find_layout
from espnet_samu.text.trim_report import REPORT_FILE, input_key, read_report
from espnet_samu.text.vocabulary import Vocabulary
from espnet_samu.utils.atomic import AtomicFolder

TOKEN_LIST = "tokens.txt"
# The name that st.sh gives to a tokeniser.
BPE_MODEL = "bpe.model"
_WEIGHTS = "model.safetensors"
# Of unknown characters in the training texts, the most frequent ones are reported.
_LISTED = 50


def trim(
    model: str,
    texts: Sequence[str],
    output_dir: str,
    revision: Optional[str] = None,
    check_texts: Sequence[str] = (),
    add_languages: Optional[Mapping[str, str]] = None,
    nj: int = 1,
) -> Dict[str, Any]:
    """Write a trimmed folder, unless it is there for the same input.

    Args:
        model: Hub id or folder: mBART-25, mBART-50, M2M-100 or NLLB.
        texts: Kaldi text files of the training targets.
        output_dir: Replaced as a whole if an earlier trimming made it.
        revision: Branch, tag or commit on the hub.
        check_texts: Kaldi text files to count unknown characters in.
        add_languages: New language tokens, each with the language whose token it
            starts as a copy of: ``{"ca_ES": "es_XX"}``.
        nj: Threads of the tokeniser.

    Returns:
        Content of ``trim.json``.

    Raises:
        FileNotFoundError: The model or a text is not complete.
        ValueError: output_dir holds an input or what trim_vocab has not made, the
            model is of another family or size than those published,
            there is no sentence, or a language cannot be added.
    """
    files = checkpoint.find_files(model, revision)
    added = dict(add_languages or {})
    key = input_key(files.all(), texts, check_texts, added)
    report = read_report(Path(output_dir))
    if report is not None and report.get("key") == key:
        logging.info(f"{output_dir} is up to date")
        return report

    inputs = [model, *texts, *check_texts]
    output = AtomicFolder(output_dir, "trim_vocab", inputs)
    config = json.loads(files.config.read_text(encoding="utf-8"))
    vocabulary = _read_vocabulary(files, config)
    neighbours = _neighbours(added, vocabulary)
    full = vocabulary.processor()
    counts = coverage.count_pieces(full, texts, nj)
    if not counts.pieces:
        raise ValueError(f"--text {', '.join(texts)}: there is no sentence to keep")
    logging.info(f"{counts.sentences} sentences, {counts.pieces.total()} pieces")
    reasons = kept_pieces.choose(vocabulary, counts.pieces)
    rows = list(reasons)
    tokens = [vocabulary.layout.tokens[row] for row in rows] + list(added)
    proto = vocabulary.trimmed_model(rows)
    trimmed = sentencepiece.SentencePieceProcessor(model_proto=proto)
    tensors = checkpoint.decoder_tensors(
        checkpoint.open_tensors(files.weights), rows + neighbours, len(vocabulary)
    )
    kept = Counter(reasons.values())
    unknown = coverage.unknown_characters(full, counts.pieces)
    report = {
        "model": model,
        "revision": revision,
        "texts": list(texts),
        "sentences": counts.sentences,
        "pieces": counts.pieces.total(),
        "unknown_characters": dict(unknown.most_common(_LISTED)),
        "kept": {
            **{reason: kept[reason] for reason in kept_pieces.REASONS},
            "added language": len(added),
        },
        "tokens": {"before": len(vocabulary), "after": len(tokens)},
        "parameters": checkpoint.count_parameters(tensors, len(vocabulary)),
        "check": [coverage.compare(full, trimmed, text, nj) for text in check_texts],
        "key": key,
    }
    with output as folder:
        for name in (BPE_MODEL, checkpoint.TOKENIZER_FILE):
            (folder / name).write_bytes(proto)
        lines = "".join(f"{token}\n" for token in tokens)
        (folder / TOKEN_LIST).write_text(lines, encoding="utf-8", newline="\n")
        for name, text in vocabulary.tokenizer_files(rows, added).items():
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


def _neighbours(added: Mapping[str, str], vocabulary: Vocabulary) -> List[int]:
    """Rows that new language tokens are copies of."""
    for code in added:
        if not is_code(code) or code in vocabulary.layout.tokens:
            raise ValueError(
                f"--add_languages {code}: a new code has the form of the others and "
                f"is not one of them: {', '.join(vocabulary.languages)}"
            )
    codes = list(vocabulary.languages)
    return [vocabulary.languages[to_code(near, codes)] for near in added.values()]


def _trimmed_config(
    config: Mapping[str, Any], rows: Sequence[int], n_tokens: int
) -> Dict[str, Any]:
    """config.json of the trimmed model."""
    position = {row: i for i, row in enumerate(rows)}
    # The tasks were the text encoder's.
    new = {k: v for k, v in config.items() if k != "task_specific_params"}
    for name, row in new.items():
        if name.endswith("_token_id") and row is not None:
            if row not in position:
                raise ValueError(
                    f"config.json: {name} {row} is neither a special token nor a "
                    "language code"
                )
            new[name] = position[row]
    return {**new, "vocab_size": n_tokens, "encoder_layers": 0}
