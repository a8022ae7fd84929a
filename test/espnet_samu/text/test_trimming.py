import json
import shutil
from collections import Counter

import pytest
import sentencepiece
import torch
from espnet2.text.sentencepiece_tokenizer import SentencepiecesTokenizer
from espnet2.text.token_id_converter import TokenIDConverter
from safetensors.torch import load_file, save_file
from sentencepiece import sentencepiece_model_pb2
from transformers import AutoConfig, AutoTokenizer
from transformers.models.m2m_100 import tokenization_m2m_100 as m2m100
from transformers.models.mbart50 import tokenization_mbart50 as mbart50
from transformers.models.nllb import tokenization_nllb as nllb

from espnet_samu.decoder.mbart import MBartDecoder
from espnet_samu.text.trim_report import table
from espnet_samu.text.trimming import (
    choose_pieces,
    main_scripts,
    merge_steps,
    scripts,
    trim,
)
from espnet_samu.text.vocabulary import Vocabulary, find_layout
from espnet_samu.utils.kaldi_io import read_text, write_text

from ...egs2.tiny_models import SEAMLESS_CODES, SEAMLESS_MARKS

# "ab" joins first, then "cd", "bc" never in "abcd", then "abcd".
SCORES = {"ab": 0, "cd": -1, "bc": -2, "abcd": -3, "a": -9, "b": -9, "c": -9, "d": -9}

# Codes of English and Spanish, and two new ones.
CODES = {
    "mbart": ("en_XX", "es_XX", "ca_ES", "cy_GB"),
    "m2m100": ("__en__", "__es__", "__qa__", "__qb__"),
    "nllb": ("eng_Latn", "spa_Latn", "qaa_Latn", "qab_Latn"),
    "seamless": ("__eng__", "__spa__", "__qaa__", "__qab__"),
}


@pytest.fixture(scope="module", params=list(CODES))
def family(request):
    return request.param


# Rows of the first four tokens, and the start token's.
FIRST = dict.fromkeys(CODES, ["<s>", "<pad>", "</s>", "<unk>"])
FIRST["seamless"] = ["<pad>", "<unk>", "<s>", "</s>"]


@pytest.fixture(scope="module")
def unknown(family):
    """Row of <unk>."""
    return FIRST[family].index("<unk>")


@pytest.fixture(scope="module")
def start(family):
    """Row of </s>."""
    return FIRST[family].index("</s>")


@pytest.fixture(scope="module")
def codes(family):
    return CODES[family]


@pytest.fixture(scope="module")
def model_folder(family, request):
    """Folder of the full model."""
    return request.getfixturevalue(f"{family}_folder")


@pytest.fixture(scope="module")
def trimmed(model_folder, codes, targets, tmp_path_factory):
    """Folder trimmed to English, with two new languages."""
    folder = tmp_path_factory.mktemp("trimmed") / "model"
    added = {codes[2]: codes[1], codes[3]: "en"}
    trim(str(model_folder), [str(targets)], str(folder), add_languages=added)
    return folder


@pytest.fixture(scope="module")
def tokens(trimmed):
    return (trimmed / "tokens.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def full(model_folder):
    """Tokeniser of the full model."""
    file = str(model_folder / "sentencepiece.bpe.model")
    return sentencepiece.SentencePieceProcessor(model_file=file)


@pytest.fixture(scope="module")
def rows(family, model_folder, full, tokens):
    """Row of the full model for every kept token.

    Written out here by the rules of transformers' tokenisers, which
    test_layout compares with them.
    """
    pieces = [full.id_to_piece(i) for i in range(full.get_piece_size())]
    first = FIRST[family]
    if family == "seamless":
        names = [f"__{code}__" for code in SEAMLESS_CODES]
        order = [*first, *pieces[3:], *names, *SEAMLESS_MARKS]
    elif family == "mbart":
        order = [*first, *pieces[3:], *mbart50.FAIRSEQ_LANGUAGE_CODES, "<mask>"]
    elif family == "nllb":
        order = [*first, *pieces[3:], *nllb.FAIRSEQ_LANGUAGE_CODES, "<mask>"]
    else:
        vocab = json.loads((model_folder / "vocab.json").read_text(encoding="utf-8"))
        order = sorted(vocab, key=vocab.get)
        order += [f"__{code}__" for code in m2m100.FAIRSEQ_LANGUAGE_CODES["m2m100"]]
    return [order.index(token) for token in tokens[:-2]]


class ESPnetText:
    """ESPnet's road from text to rows and back."""

    def __init__(self, folder):
        self.tokenizer = SentencepiecesTokenizer(folder / "bpe.model")
        self.converter = TokenIDConverter(folder / "tokens.txt")

    def ids(self, line):
        return self.converter.tokens2ids(self.tokenizer.text2tokens(line))

    def line(self, ids):
        return self.tokenizer.tokens2text(self.converter.ids2tokens(ids))


@pytest.fixture(scope="module")
def espnet(trimmed):
    return ESPnetText(trimmed)


def test_order_of_tokens(tokens, rows, codes, full, family):
    assert tokens[:4] == FIRST[family]
    assert tokens[-2:] == list(codes[2:])
    assert {codes[0], codes[1]} < set(tokens)
    # As in the full model.
    assert rows == sorted(set(rows))
    kept = [token for token in tokens if full.piece_to_id(token) != 0]
    assert len(kept) < 0.75 * full.get_piece_size()


def test_training_targets(targets, tokens, espnet, full, unknown):
    for line in read_text(targets).values():
        ids = espnet.ids(line)
        assert unknown not in ids
        assert [tokens[i] for i in ids] == full.encode(line, out_type=str)
        assert espnet.line(ids) == line


@pytest.mark.parametrize("line", ["sleep greenhouse.", "unseen Pets", "läuft!"])
def test_unseen_words_are_spelled(espnet, full, line, unknown):
    assert full.unk_id() not in full.encode(line)
    ids = espnet.ids(line)
    assert unknown not in ids
    assert espnet.line(ids) == line


def test_unknown_characters(espnet, full, unknown):
    # The cat is Chinese, the snowman is unknown to the full model as well.
    assert espnet.ids("the ☃ cat").count(unknown) == 1
    assert espnet.ids("the 猫 cat").count(unknown) == 1
    assert full.encode("the 猫 ☃ cat").count(full.unk_id()) == 1


@pytest.mark.parametrize("family", ["mbart", "m2m100"], indirect=True)
def test_same_ids_as_transformers(trimmed, targets, espnet, tokens, family):
    tokenizer = AutoTokenizer.from_pretrained(trimmed)
    # M2M-100's tokeniser has rows that nothing uses before new codes.
    known = tokens if family == "mbart" else tokens[:-2]
    assert tokenizer.convert_tokens_to_ids(known) == list(range(len(known)))
    for line in [*read_text(targets).values(), "sleep greenhouse", "läuft"]:
        pieces = tokenizer.tokenize(line)
        assert tokenizer.convert_tokens_to_ids(pieces) == espnet.ids(line)


def test_logits(trimmed, model_folder, tokens, rows, espnet, codes, start):
    config = json.loads((model_folder / "config.json").read_text())
    full = MBartDecoder(config["vocab_size"], 16, model=str(model_folder)).eval()
    decoder = MBartDecoder(len(tokens), 16, model=str(trimmed)).eval()
    torch.manual_seed(1)
    frames, lengths = torch.randn(2, 7, 16), torch.tensor([7, 4])
    ids = espnet.ids("the cat sleeps under the house")
    ids = torch.tensor([[start, 0, *ids]] * 2)
    sizes = torch.full((2,), ids.size(1))
    ids[:, 1] = tokens.index(codes[0])
    got, _ = decoder(frames, lengths, ids, sizes)
    expected, _ = full(frames, lengths, torch.tensor(rows)[ids], sizes)
    assert got.std() > 0.1
    torch.testing.assert_close(got[..., :-2], expected[..., rows], rtol=0, atol=1e-5)
    # New languages can be told from their neighbours while the embedding is frozen.
    rows = decoder.model.model.shared.weight
    for code, neighbour in ((codes[2], codes[1]), (codes[3], codes[0])):
        new, near = rows[tokens.index(code)], rows[tokens.index(neighbour)]
        torch.testing.assert_close((new - near).norm(), 0.5 * near.norm())


# Two marks that NFKC folds, a character that the models do not know.
MARKED = ["the cat sleeps？", "the dog runs！ ☃ a tree", "green？green"]


@pytest.fixture(scope="module")
def marked(model_folder, targets, tmp_path_factory):
    """Folder trimmed to English with marks, one new language, and its trim.json."""
    folder = tmp_path_factory.mktemp("marked")
    lines = [*read_text(targets).values(), *MARKED]
    write_text(folder / "text", {f"utt{i}": line for i, line in enumerate(lines)})
    report = trim(
        str(model_folder),
        [str(folder / "text")],
        str(folder / "model"),
        check_texts=[str(folder / "text")],
        add_languages={CODES["mbart"][2]: "en"} if "mbart" in str(model_folder) else {},
    )
    return folder / "model", report


def test_marks_are_written(marked, tokens, full, targets, unknown):
    folder, report = marked
    espnet = ESPnetText(folder)
    new_tokens = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
    added = [c for c in "☃！？" if c in new_tokens]
    assert added == list("☃！？")
    for line in [*MARKED, *read_text(targets).values()]:
        ids = espnet.ids(line)
        assert unknown not in ids
        assert espnet.line(ids) == line
    # A text without the marks is cut as before.
    for line in read_text(targets).values():
        pieces = [new_tokens[i] for i in espnet.ids(line)]
        assert pieces == full.encode(line, out_type=str)
    assert report["added_characters"] == {
        "☃": {"count": 1, "was": " ⁇ "},
        "！": {"count": 1, "was": "!"},
        "？": {"count": 2, "was": "?"},
    }
    assert report["kept"]["added character"] == 3
    assert (report["changed_sentences"], report["changed_characters"]) == (0, {})
    ceiling = report["check"][0]["ceiling"]["und"]
    assert ceiling["bleu"] == pytest.approx(100)
    assert ceiling["exact_match"] == 1


def test_logits_and_rows_with_marks(marked, model_folder, full, start):
    folder, _ = marked
    config = json.loads((model_folder / "config.json").read_text())
    decoder = MBartDecoder(config["vocab_size"], 16, model=str(model_folder)).eval()
    tokens = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
    new = MBartDecoder(len(tokens), 16, model=str(folder)).eval()
    before = decoder.model.model.shared.weight
    after = new.model.model.shared.weight
    # Every kept token has its row of the full model.
    rows = [(before == row).all(1).nonzero()[0, 0].item() for row in after[:-4]]
    torch.manual_seed(1)
    frames, lengths = torch.randn(1, 7, 16), torch.tensor([7])
    ids = torch.tensor([[start, *ESPnetText(folder).ids("the cat sleeps")]])
    sizes = torch.tensor([ids.size(1)])
    got, _ = new(frames, lengths, ids, sizes)
    expected, _ = decoder(frames, lengths, torch.tensor(rows)[ids], sizes)
    torch.testing.assert_close(got[..., :-4], expected[..., rows], rtol=0, atol=1e-5)
    # ？ starts near ?, ☃ near <unk>.
    for mark, folded in (("？", "?"), ("☃", "<unk>")):
        row, near = after[tokens.index(mark)], after[tokens.index(folded)]
        torch.testing.assert_close((row - near).norm(), 0.5 * near.norm())


@pytest.mark.parametrize("family", ["mbart"], indirect=True)
def test_marks_are_learned_with_a_frozen_embedding(marked):
    folder, _ = marked
    tokens = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
    marks = torch.tensor([tokens.index("？"), tokens.index("?")])
    decoder = MBartDecoder(len(tokens), 16, model=str(folder)).eval()
    decoder.model.model.shared.weight.requires_grad_(False)
    # One utterance is ？, the other ?. With the same row for both, the loss would stay
    # above log 2 for ever.
    torch.manual_seed(0)
    frames, lengths = torch.randn(2, 5, 16), torch.tensor([5, 5])
    ids, sizes = torch.tensor([[2], [2]]), torch.tensor([1, 1])
    trained = [p for p in decoder.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=0.03)
    for _ in range(100):
        logits = decoder(frames, lengths, ids, sizes)[0][:, 0]
        loss = torch.nn.functional.cross_entropy(logits, marks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3


@pytest.mark.parametrize("family", ["mbart"], indirect=True)
def test_marks_are_known_to_transformers(marked):
    folder, _ = marked
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
    assert tokenizer.convert_tokens_to_ids(tokens) == list(range(len(tokens)))


@pytest.mark.parametrize("family", ["mbart"], indirect=True)
def test_marks_that_are_not_added(model_folder, targets, tmp_path, capsys):
    for folder, lang, line in (("train", "zh", "the cat？"), ("test", "ja", "a dog！")):
        (tmp_path / folder).mkdir()
        write_text(tmp_path / folder / "text", {"utt1": line, "utt2": "a\u00a0cat"})
        write_text(tmp_path / folder / "utt2tgt_lang", {"utt1": lang, "utt2": "en"})
    texts = [str(tmp_path / folder / "text") for folder in ("train", "test")]
    options = dict(check_texts=texts[1:], add_characters=False)
    report = trim(
        str(model_folder), texts[:1], str(tmp_path / "out"), languages=["zh"], **options
    )
    assert report["added_characters"] == {}
    assert report["changed_sentences"] == 1
    assert report["changed_characters"] == {"？": 1, "\u00a0": 1}
    (check,) = report["check"]
    assert check["changed_sentences"] == 1
    assert check["changed_characters"] == {"！": 1, "\u00a0": 1}
    scores = check["ceiling"]
    assert scores["ja"]["exact_match"] == 0
    assert scores["ja"]["bleu"] < 70
    assert "tok:char" in scores["ja"]["signature"]
    assert scores["en"]["exact_match"] == 1
    printed = table(report)
    assert "still changed in training: ？ 1, U+00A0 1\n" in printed
    assert f"{texts[1]}: not written in 1 of 2 sentences: ！ 1, U+00A0 1\n" in printed
    assert "; ja BLEU" in printed


def test_empty_to_the_vocabulary(mbart_folder, tmp_path):
    write_text(tmp_path / "text", {"utt1": "a cat", "utt2": "\u200b\ufeff"})
    expected = r"text:2: the translation of 'utt2', '\\u200b\\ufeff', is empty to the"
    with pytest.raises(ValueError, match=expected):
        trim(str(mbart_folder), [str(tmp_path / "text")], str(tmp_path / "out"))


def test_generate(trimmed, tokens, start):
    decoder = MBartDecoder(len(tokens), 16, model=str(trimmed)).eval()
    torch.manual_seed(1)
    frames, lengths = torch.randn(2, 7, 16), torch.tensor([7, 4])
    options = {"num_beams": 2, "max_new_tokens": 5}
    output = decoder.generate(frames, lengths, start, start, **options)
    assert output.sequences.max() < len(tokens)
    assert output.sequences[:, 0].tolist() == [start, start]


@pytest.mark.parametrize("family", ["mbart"], indirect=True)
def test_config(trimmed, tokens, mbart_folder):
    config = json.loads((trimmed / "config.json").read_text())
    before = json.loads((mbart_folder / "config.json").read_text())
    assert config["forced_bos_token_id"] == tokens.index("en_XX")
    changed = {"vocab_size": len(tokens), "encoder_layers": 0}
    changed["forced_bos_token_id"] = config["forced_bos_token_id"]
    # transformers takes the old name for that of the encoder
    assert before.pop("num_hidden_layers") == 1
    assert config == {**before, **changed}
    assert AutoConfig.from_pretrained(trimmed).encoder_layers == 0
    names = load_file(trimmed / "model.safetensors")
    assert not [name for name in names if "encoder.layers" in name]


def test_report(mbart_folder, targets, tmp_path):
    original = AutoTokenizer.from_pretrained(mbart_folder)
    check = tmp_path / "check"
    write_text(check, {"utt1": "the 猫 sleeps", "utt2": "läuft"})
    report = trim(
        str(mbart_folder),
        [str(targets)],
        str(tmp_path / "out"),
        check_texts=[str(check)],
    )
    assert json.loads((tmp_path / "out" / "trim.json").read_text()) == report
    tokens = (tmp_path / "out" / "tokens.txt").read_text().splitlines()
    before, after = len(original), len(tokens)
    assert report["tokens"] == {"before": before, "after": after}
    assert sum(report["kept"].values()) == after
    assert report["kept"]["language code"] == 52
    used = {t for line in read_text(targets).values() for t in original.tokenize(line)}
    assert report["kept"]["piece of the texts"] == len(used)
    assert report["sentences"] == 200
    decoder = MBartDecoder(after, 16, model=str(tmp_path / "out"))
    count = sum(p.numel() for p in decoder.model.model.parameters())
    gone = 16 * (before - after)
    assert report["parameters"] == {
        "embedding": {"before": 16 * before, "after": 16 * after},
        "all": {"before": count + gone, "after": count},
    }
    assert report["check"][0]["lost_characters"] == {"猫": 1}
    assert report["check"][0]["unknown_after"] == 1


def test_up_to_date(mbart_folder, targets, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(mbart_folder, model)
    texts, out = tmp_path / "text", tmp_path / "out"
    shutil.copy(targets, texts)

    def changed(**options):
        before = (out / "trim.json").stat().st_ino if out.exists() else None
        trim(str(model), [str(texts)], str(out), **options)
        return (out / "trim.json").stat().st_ino != before

    assert changed()
    assert not changed()
    assert changed(add_languages={"ca_ES": "es_XX"})
    assert changed(check_texts=[str(texts)])
    assert changed()
    with texts.open("a") as f:
        f.write("new die Katze\n")
    assert changed()
    state = load_file(model / "model.safetensors")
    state = {name: tensor + 1 for name, tensor in state.items()}
    save_file(state, model / "model.safetensors", metadata={"format": "pt"})
    assert changed()
    assert not changed()


@pytest.mark.parametrize(
    "added, expected",
    [
        ({"en_XX": "es_XX"}, "en_XX: a new code has the form of the others and"),
        ({"catalan": "es_XX"}, "catalan: a new code has the form of the others"),
        ({"ca_ES": "cy"}, "language 'cy' has no code"),
    ],
)
def test_languages_that_cannot_be_added(
    mbart_folder, targets, tmp_path, added, expected
):
    with pytest.raises(ValueError, match=expected):
        trim(str(mbart_folder), [str(targets)], str(tmp_path / "out"), None, (), added)
    assert list(tmp_path.iterdir()) == []


def test_wrong_input(mbart_folder, targets, tmp_path):
    (tmp_path / "empty").write_text("utt1\n")
    with pytest.raises(ValueError, match="empty: there is no sentence"):
        trim(str(mbart_folder), [str(tmp_path / "empty")], str(tmp_path / "out"))
    for out in (mbart_folder, targets.parent):
        with pytest.raises(ValueError, match=f"{out} would be .* holds an input"):
            trim(str(mbart_folder), [str(targets)], str(out))
    other = tmp_path / "other"
    shutil.copytree(mbart_folder, other)
    (other / "config.json").write_text('{"model_type": "t5", "vocab_size": 9}')
    with pytest.raises(ValueError, match="model_type 't5' is none of those"):
        trim(str(other), [str(targets)], str(tmp_path / "out"))
    config = json.loads((mbart_folder / "config.json").read_text())
    config["forced_bos_token_id"] = 77
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="forced_bos_token_id 77 is neither"):
        trim(str(other), [str(targets)], str(tmp_path / "out"))
    model = other / "sentencepiece.bpe.model"
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"{model} is not a sentencepiece model, or"):
        trim(str(other), [str(targets)], str(tmp_path / "out"))
    model.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match=f"{model} is only a pointer of git-lfs"):
        trim(str(other), [str(targets)], str(tmp_path / "out"))


def test_merge_steps():
    assert merge_steps(["abcd"], SCORES) == {"ab", "cd", "abcd"}
    assert merge_steps(["bcd"], SCORES) == {"cd"}
    assert merge_steps(["bc", "a", "☃x"], SCORES) == {"bc"}


def test_without_a_step_the_piece_is_not_reached():
    def encode(pieces):
        proto = sentencepiece_model_pb2.ModelProto()
        proto.trainer_spec.model_type = proto.trainer_spec.BPE
        proto.normalizer_spec.add_dummy_prefix = False
        for name, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
            proto.pieces.add(piece=name, type=kind)
        for piece in pieces:
            proto.pieces.add(piece=piece, score=SCORES[piece])
        processor = sentencepiece.SentencePieceProcessor(
            model_proto=proto.SerializeToString()
        )
        return processor.encode("abcd", out_type=str)

    assert encode(SCORES) == ["abcd"]
    assert encode(["a", "b", "c", "d", *merge_steps(["abcd"], SCORES)]) == ["abcd"]
    assert encode(["a", "b", "c", "d", "abcd"]) == ["a", "b", "c", "d"]


PIECES = ["▁", "▁ab", "a", "b", "c", "é", "ж", "ш", "漢", "字", ".", "“", "5", "€", "¬"]
RARE = ["▁rare", "zz"]


def make_vocabulary(scores, model_type=1):
    """An mBART-25 of pieces by score."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.model_type = model_type
    for name, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
        proto.pieces.add(piece=name, type=kind)
    for name, score in scores.items():
        proto.pieces.add(piece=name, score=score)
    pieces = [piece.piece for piece in proto.pieces]
    config = {"model_type": "mbart", "vocab_size": len(pieces) + 1 + 25 + 1}
    return Vocabulary(proto, find_layout(config, pieces))


@pytest.fixture
def vocabulary():
    """PIECES and RARE; the last one is the least probable."""
    return make_vocabulary({piece: -i for i, piece in enumerate(PIECES + RARE)})


def test_reasons(vocabulary):
    # 200 Latin letters, one Russian one, which does not bring its script.
    reasons = choose_pieces(vocabulary, {"▁ab": 100, "ж": 1, "☃": 5})
    kept = {vocabulary.layout.tokens[row]: reason for row, reason in reasons.items()}
    assert list(reasons) == sorted(reasons)
    assert [kept.pop(t) for t in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")] == (
        ["special token"] * 5
    )
    assert [kept.pop(code) for code in vocabulary.languages] == ["language code"] * 25
    assert kept == {
        "▁ab": "piece of the texts",
        "ж": "piece of the texts",
        "▁": "character of the texts",
        "a": "character of the texts",
        "b": "character of the texts",
        "c": "letter of their scripts",
        "é": "letter of their scripts",
        ".": "common character",
        "“": "common character",
        "5": "common character",
        "€": "common character",
        "zz": "least probable piece",
    }


def test_scripts_of_the_target_languages(vocabulary):
    # One Chinese character among 200 Japanese letters, and none of them.
    for counts in ({"あ": 200, "漢": 1}, {"あ": 200}):
        for languages, other in (([], None), (["ja"], "letter of their scripts")):
            reasons = choose_pieces(vocabulary, counts, languages)
            assert reasons.get(vocabulary.pieces["字"]) == other
    assert vocabulary.pieces["ш"] in choose_pieces(vocabulary, {"a": 1}, ["en", "sr"])
    assert vocabulary.pieces["ш"] not in choose_pieces(
        vocabulary, {"a": 1}, ["sr-Latn"]
    )


def test_steps_of_byte_pair_encoding():
    scores = {"▁": -9, "ab": -1, "abab": -2, "cc": -3, "a": -9, "b": -9, "c": -9}
    vocabulary = make_vocabulary(scores, model_type=2)
    reasons = choose_pieces(vocabulary, {"▁": 1, "abab": 1})
    assert reasons[vocabulary.pieces["abab"]] == "piece of the texts"
    assert reasons[vocabulary.pieces["ab"]] == "step to a longer piece"
    assert vocabulary.pieces["cc"] not in reasons
    assert "least probable piece" not in reasons.values()


def test_cost_of_unknown_characters():
    # sentencepiece: that of the least probable piece and 10 more. "▁ xa b" has log
    # probability -29, "▁ ? ab" has -32 with "zz" and would have -26 without.
    scores = {"▁": -1, "xa": -14, "b": -14, "ab": -1, "zz": -20, "other": -2}
    vocabulary = make_vocabulary(scores)
    pieces = vocabulary.processor().encode("xab ab", out_type=str)
    assert pieces == ["▁", "xa", "b", "▁", "ab"]
    rows = choose_pieces(vocabulary, Counter(pieces))
    assert rows[vocabulary.pieces["zz"]] == "least probable piece"
    assert vocabulary.pieces["other"] not in rows

    def encode(rows):
        processor = sentencepiece.SentencePieceProcessor(
            model_proto=vocabulary.trimmed_model(rows)
        )
        return processor.encode("xab ab", out_type=str)

    assert encode(rows) == pieces
    assert encode(set(rows) - {vocabulary.pieces["zz"]})[:2] == ["▁", "x"]


@pytest.mark.parametrize(
    "character, expected",
    [
        ("a", "Latn"),
        ("é", "Latn"),
        ("ж", "Cyrl"),
        ("漢", "Hani"),
        ("あ", "Hira"),
        ("ி", "Taml"),
        ("ー", "Hira Kana"),
        ("َ", "Arab Syrc"),
        ("5", ""),
        ("▁", ""),
        ("€", ""),
    ],
)
def test_scripts(character, expected):
    assert scripts(character) == set(expected.split())


def test_main_scripts():
    assert main_scripts({"a": 98, "é": 1, "ж": 1, "漢": 0, "5": 900}) == [
        "Latn",
        "Cyrl",
    ]
    assert main_scripts({"a": 100, "ж": 1, ".": 1}) == ["Latn"]
    assert main_scripts({}) == []
