"""The best score that a vocabulary allows: that of decode(encode(reference))."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from espnet_samu.scoring.metric_settings import MetricSettings
from espnet_samu.scoring.score_inputs import read_target_languages
from espnet_samu.scoring.tokenizers import UNSPACED
from espnet_samu.scoring.translation import score_translation
from espnet_samu.text.coverage import RoundTrip, find_losses
from espnet_samu.utils.kaldi_io import read_text
from espnet_samu.utils.token_list import check_bpemodel

# By characters where sacreBLEU's tokenizer needs another package, or there is none.
_SETTINGS = MetricSettings(
    metrics=("bleu",), tokenizers=dict.fromkeys(("ja", "ko", *UNSPACED), "char")
)


def score_ceiling(
    write: RoundTrip,
    refs: Mapping[str, str],
    utt2tgt_lang: Mapping[str, str],
    settings: MetricSettings = _SETTINGS,
) -> dict[str, dict[str, Any]]:
    """Score references that went through a vocabulary.

    Args:
        write: Of the vocabulary.
        refs: Reference of every utterance.
        utt2tgt_lang: Target language of every utterance.
        settings: Which scores, and how.

    Returns:
        Scores by target language, as of `score_translation`; ``bleu`` has its
        signature beside it.
    """
    written = dict(zip(refs, write([*refs.values()])))
    table = {}
    for lang in sorted({utt2tgt_lang[utt] for utt in refs}):
        utts = [utt for utt in refs if utt2tgt_lang[utt] == lang]
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
    """Count and score what a vocabulary makes of a text.

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
    """Return what maps texts to those that a vocabulary of ESPnet makes of them.

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
