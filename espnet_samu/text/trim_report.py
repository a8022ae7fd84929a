"""Report of a trimmed vocabulary (``trim.json``): input, kept pieces, losses."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet_samu.scoring.inputs import read_target_languages
from espnet_samu.scoring.table import format_table
from espnet_samu.scoring.tokenizers import OF_SACREBLEU, usual_tokenizer
from espnet_samu.scoring.translation import MetricSettings, score_translation
from espnet_samu.text.coverage import (
    RoundTrip,
    find_losses,
    name_character,
    name_characters,
)
from espnet_samu.text.vocabulary import check_bpemodel
from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.language_codes import merge_spellings
from espnet_samu.utils.safe_reading import hash_file


def score_ceiling(
    write: RoundTrip,
    refs: Mapping[str, str],
    utt2tgt_lang: Mapping[str, str],
    tokenizers: Mapping[str, str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Score references after a round trip through a vocabulary, by BLEU.

    Args:
        write: Of the vocabulary.
        refs: Reference of every utterance.
        utt2tgt_lang: Target language of every utterance.
        tokenizers: BLEU's tokenizer by target language; by default characters where
            the language is not known, or sacreBLEU has no tokenizer for it that needs
            no other package.

    Returns:
        Scores by target language, as of `score_translation`; ``bleu`` has its
        signature beside it.
    """
    written = dict(zip(refs, write([*refs.values()])))
    table: dict[str, dict[str, Any]] = {}
    (tgt_langs,) = merge_spellings(
        "target languages", {utt: utt2tgt_lang[utt] for utt in refs}
    )
    langs = sorted({*tgt_langs.values()})
    if tokenizers is None:
        others = [lang for lang in langs if usual_tokenizer(lang) not in OF_SACREBLEU]
        tokenizers = dict.fromkeys(others, "char")
    settings = MetricSettings(("bleu",), tokenizers)
    for lang in langs:
        utts = [utt for utt in refs if tgt_langs[utt] == lang]
        scores = score_translation(
            [written[utt] for utt in utts], [refs[utt] for utt in utts], lang, settings
        )
        table[lang] = {name: score.value for name, score in scores.items()}
        table[lang]["signature"] = scores["bleu"].signature
    return table


def describe_ceiling(ceiling: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the scores of a ceiling in one line.

    Args:
        ceiling: From `score_ceiling`.
    """
    return "; ".join(
        f"{lang} BLEU {scores['bleu']:.1f}, exact match {scores['exact_match']:.3f}"
        for lang, scores in ceiling.items()
    )


def check_text(write: RoundTrip, text: str, tgt_lang: str = "und") -> dict[str, Any]:
    """Count and score a text after a round trip through a vocabulary.

    Args:
        write: Of the vocabulary.
        text: Kaldi text file; ``utt2tgt_lang`` beside it has its target languages.
        tgt_lang: Target language where there is no such file.

    Returns:
        ``file``, ``sentences``, ``changed_sentences``, ``changed_characters`` and
        ``ceiling``.
    """
    losses = find_losses(write, [text])
    refs = {utt: line for utt, line in read_text(text).items() if line}
    path = Path(text).parent / "utt2tgt_lang"
    langs = read_target_languages(str(path) if path.exists() else None, tgt_lang, refs)
    return {
        "file": text,
        **losses.report(),
        "ceiling": score_ceiling(write, refs, langs),
    }


def espnet_round_trip(
    token_type: str, bpemodel: str | None, token_list: Collection[str]
) -> RoundTrip:
    """Return a function that passes texts through a vocabulary of ESPnet.

    Args:
        token_type: ``bpe``, ``char``, ``word`` or ``hugging_face``.
        bpemodel: sentencepiece model of ``bpe``; hub id or folder of ``hugging_face``.
        token_list: Tokens; all others are unknown.

    Raises:
        ValueError: The token type is another one, or the sentencepiece model is not
            that of the token list.
    """
    # One by one: espnet2.text.build_tokenizer imports torch and transformers.
    if token_type == "bpe":
        from espnet2.text.sentencepiece_tokenizer import SentencepiecesTokenizer

        check_bpemodel(str(bpemodel), [*token_list])
        tokenizer = SentencepiecesTokenizer(str(bpemodel))
    elif token_type == "char":
        from espnet2.text.char_tokenizer import CharTokenizer

        tokenizer = CharTokenizer()
    elif token_type == "word":
        from espnet2.text.word_tokenizer import WordTokenizer

        tokenizer = WordTokenizer()
    elif token_type == "hugging_face":
        from espnet2.text.hugging_face_tokenizer import HuggingFaceTokenizer

        tokenizer = HuggingFaceTokenizer(bpemodel)
    else:
        raise ValueError(
            f"token_type must be bpe, char, word or hugging_face: '{token_type}'"
        )
    known = frozenset(token_list)

    def write_one(line: str) -> str:
        tokens = tokenizer.text2tokens(line)
        return tokenizer.tokens2text([t if t in known else "<unk>" for t in tokens])

    return lambda lines: [write_one(line) for line in lines]


REPORT_FILE = "trim.json"
# To be raised when the same input would give another folder.
_VERSION = 2

_CHECK_COLUMNS = {
    "sentences": "sentences",
    "pieces": "pieces",
    "not kept": "not_kept",
    "pieces after": "pieces_trimmed",
    "unknown before": "unknown_before",
    "unknown after": "unknown_after",
}


def input_key(
    files: Sequence[Path],
    texts: Sequence[str],
    check_texts: Sequence[str],
    added: Mapping[str, str],
) -> dict[str, Any]:
    """Return the hashes of all that a trimmed folder depends on.

    Args:
        files: Of the pre-trained model.
        texts: Training targets.
        check_texts: Texts that are only counted in.
        added: New language tokens.
    """
    return {
        "version": _VERSION,
        "model_sha256": {path.name: hash_file(path) for path in files},
        "texts_sha256": [hash_file(text) for text in texts],
        "check_texts_sha256": [hash_file(text) for text in check_texts],
        "add_languages": dict(added),
    }


def read_report(folder: Path) -> dict[str, Any] | None:
    """Read the report of a folder; None if there is none."""
    path = folder / REPORT_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def table(report: Mapping[str, Any]) -> str:
    """Return a report as readable tables."""
    tokens, parameters = report["tokens"], report["parameters"]
    kept = [[reason, f"{n:,}"] for reason, n in report["kept"].items()]
    kept.append(["all", f"{tokens['after']:,}"])
    sizes = {
        "tokens": tokens,
        "parameters of the embedding": parameters["embedding"],
        "parameters of the decoder": parameters["all"],
    }
    parts = [
        format_table(["kept because", "tokens"], kept),
        format_table(
            ["", "before", "after"],
            [
                [name, f"{n['before']:,}", f"{n['after']:,}"]
                for name, n in sizes.items()
            ],
        ),
    ]
    for line in _characters(report):
        parts.append(f"{line}\n")
    if report["check"]:
        rows = [
            [check["file"], *(f"{check[name]:,}" for name in _CHECK_COLUMNS.values())]
            for check in report["check"]
        ]
        parts.append(format_table(["text", *_CHECK_COLUMNS], rows))
        parts += [f"{line}\n" for check in report["check"] for line in describe(check)]
    return "\n".join(parts)


def _characters(report: Mapping[str, Any]) -> Iterator[str]:
    """Return lines on the characters: added, changed and unknown ones."""
    added = report["added_characters"].items()
    if added:
        listed = ", ".join(
            f"{name_character(c)} {entry['count']} (was '{entry['was']}')"
            for c, entry in added
        )
        yield f"added, so that they can be written: {listed}"
    listings = {
        "still changed in training": report["changed_characters"],
        "unknown in training": report["unknown_characters"],
    }
    for check in report["check"]:
        name = f"no longer known in {check['file']}"
        listings[name] = check["lost_characters"]
    for name, characters in listings.items():
        if characters:
            yield f"{name}: {name_characters(characters)}"


def describe(check: Mapping[str, Any]) -> Iterator[str]:
    """Return lines on a text's coverage by the vocabulary.

    Args:
        check: From :func:`check_text`; ``ceiling`` may lack.
    """
    if check["changed_characters"]:
        yield (
            f"{check['file']}: not written in {check['changed_sentences']} of "
            f"{check['sentences']} sentences: "
            f"{name_characters(check['changed_characters'])}"
        )
    if "ceiling" in check:
        yield f"{check['file']}: ceiling {describe_ceiling(check['ceiling'])}"
