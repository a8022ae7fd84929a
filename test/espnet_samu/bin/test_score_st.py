import json
import subprocess
import sys

import pytest

from espnet_samu.bin.score_st import get_parser, main
from espnet_samu.scoring.translation import score_translation
from espnet_samu.utils.kaldi_io import write_text

LANGS = ("es", "it")
REFS = {f"{lang}{i}": f"wait for {i} long hours" for lang in LANGS for i in range(4)}


@pytest.fixture
def cmd(tmp_path, monkeypatch):
    """Arguments for one system whose last hypothesis is empty."""
    monkeypatch.chdir(tmp_path)
    write_text("ref", REFS)
    write_text("utt2lang", {utt: utt[:2] for utt in REFS})
    write_text("hyp", {**REFS, "it3": ""})
    (tmp_path / "slots").write_text("0\n1\n2\n3\n")
    words = "--ref ref --utt2lang utt2lang --output_dir out --system samu=hyp"
    return words.split()


def test_ceiling(cmd, tmp_path, capsys):
    # A vocabulary without the digit 3.
    tokens = ["<unk>", "<space>", *sorted(set("".join(REFS.values())) - {" ", "3"})]
    content = {"token_type": "char", "bpemodel": None, "token_list": tokens}
    (tmp_path / "config.yaml").write_text(json.dumps(content))
    main([*cmd, "--ceiling", "samu=config.yaml"])
    results = json.loads((tmp_path / "out/results.json").read_text())
    written = [ref.replace("3", "<unk>") for ref in REFS.values()]
    bleu = score_translation(written, [*REFS.values()])["bleu"].value
    name = "ceiling of samu, the references through its vocabulary"
    ceiling = f"en BLEU {bleu:.1f}, exact match 0.750"
    assert results["notes"] == {name: ceiling}
    assert f"- {name}: {ceiling}\n" in capsys.readouterr().out


def test_results(cmd, tmp_path, capsys):
    write_text("floor", dict.fromkeys(REFS, "wait for 0 long hours"))
    score = {"lang": "es", "direction": "speech-text", "r1": 0.5}
    signature = {"signature": "direction:speech-text|lang:es|pool:4"}
    back = {**score, **signature, "direction": "text-speech", "r1": 0.75}
    content = {"scores": [{**score, **signature}, back]}
    (tmp_path / "retrieval.json").write_text(json.dumps(content))
    cmd += ["--system", "template floor=floor", "--train_langs", "es fr"]
    cmd += ["--slots", "slots", "--retrieval", "samu=retrieval.json"]
    cmd += ["--note", "seed=1", "updates=2=2", "--note", "data=mini"]
    main(cmd)
    results = json.loads((tmp_path / "out/results.json").read_text())
    samu = results["systems"]["samu"]
    assert samu["means"]["supervised"]["bleu"] == pytest.approx(100)
    italian = [utt for utt in REFS if utt.startswith("it")]
    hyps = [REFS[utt] for utt in italian[:3]] + [""]
    expected = score_translation(hyps, [REFS[utt] for utt in italian])["bleu"]
    assert samu["directions"]["it"]["bleu"] == expected.value
    assert samu["directions"]["it"]["signatures"]["bleu"] == expected.signature
    assert samu["directions"]["it"]["exact_match"] == 0.75
    assert samu["directions"]["es"]["r1"] == 0.5
    assert results["systems"]["template floor"]["means"]["zero-shot"][
        "slot_accuracy"
    ] == pytest.approx(0.25)
    assert samu["directions"]["it"]["empty_hypotheses"] == 1
    assert results["command"].startswith("python -m espnet_samu.bin.score_st --ref ref")
    assert "--system 'template floor=floor'" in results["command"]
    assert results["notes"] == {"seed": "1", "updates": "2=2", "data": "mini"}
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out/table.md").read_text()
    assert "- R@1 (es): `direction:speech-text|pool:4`" in printed
    assert "- updates: 2=2" in printed


def test_missing_and_extra(cmd, tmp_path):
    write_text("hyp", {utt: ref for utt, ref in REFS.items() if utt != "it3"})
    with pytest.raises(ValueError, match=r"'samu' misses .* 1 utterances \(it3\)"):
        main(cmd)
    assert not (tmp_path / "out").exists()
    main([*cmd, "--allow_missing", "true"])
    first = (tmp_path / "out/table.md").read_text()
    assert "- empty hypotheses of samu: it 1" in first
    write_text("hyp", {**REFS, "it3": "", "xx": "y"})
    with pytest.raises(ValueError, match=r"without a reference for 1 .* \(xx\)"):
        main(cmd)
    main([*cmd, "--allow_extra", "true"])
    assert (tmp_path / "out/table.md").read_text() == first


def test_failed_in_decoding(cmd, tmp_path):
    """What the decoding gave up counts as empty; what else is missing is an error."""
    write_text("hyp", {utt: ref for utt, ref in REFS.items() if utt != "it3"})
    write_text("failed.scp", {"it3": "too short", "xx": "of another set"})
    main(cmd)
    table = (tmp_path / "out/table.md").read_text()
    assert "- empty hypotheses of samu: it 1" in table
    assert "- failed in decoding, counted as empty: samu: 1 utterances (it3)" in table
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["failed"] == {"samu": ["it3"]}
    assert results["systems"]["samu"]["directions"]["it"]["empty_hypotheses"] == 1
    write_text("failed.scp", {"xx": "of another set"})
    with pytest.raises(ValueError, match=r"'samu' misses .* 1 utterances \(it3\)"):
        main(cmd)


def test_order_does_not_count(cmd, tmp_path):
    main(cmd)
    first = (tmp_path / "out/table.md").read_text()
    write_text("hyp", dict(reversed({**REFS, "it3": ""}.items())))
    main(cmd)
    assert (tmp_path / "out/table.md").read_text() == first
    with open("hyp", "a") as f:
        f.write("es0 again\n")
    with pytest.raises(ValueError, match="hyp:9: id 'es0' is already on line 8"):
        main(cmd)


def test_groups_ter_and_significance(cmd, tmp_path, capsys):
    (tmp_path / "groups").write_text("high\tes fr\nlow\tit\n")
    write_text("floor", dict.fromkeys(REFS, "wait for 0 long hours"))
    cmd += ["--groups", "groups", "--metrics", "bleu,chrf,ter", "--system", "b=floor"]
    main([*cmd, "--baseline", "b", "--paired_bs_n", "50"])
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["groups"] == {"es": "high", "fr": "high", "it": "low"}
    samu = results["systems"]["samu"]
    assert [*samu["means"]] == ["high", "low", "average"]
    means = {name: row["bleu"] for name, row in samu["means"].items()}
    assert samu["trf_gap"] == pytest.approx(means["high"] - means["low"])
    assert samu["directions"]["it"]["ter"] == 25.0  # 5 words of 20
    tests = results["significance"]
    assert tests["baseline"] == "b"
    assert tests["directions"]["es"]["samu"]["bleu"]["score"] == pytest.approx(100)
    assert "bs:50|seed:" in tests["signatures"]["it"]["ter"]
    printed = capsys.readouterr().out
    assert "every language counts the same; without fr (high): no utt" in printed
    assert "| b      | it        | " in printed
    line = "- two-sided paired bootstrap against b: p is the share of 50 resampled "
    assert line in printed and "; 6 tests, p not corrected" in printed


def test_retrieval_by_direction(cmd, tmp_path):
    """Speech finds translations into each language by itself; old files name none."""
    write_text("targets", {utt: "fr" if utt[2] < "2" else "en" for utt in REFS})
    score = {"lang": "es", "direction": "speech-text", "signature": "lang:es"}
    scores = [
        {**score, "target_lang": t, "r1": r} for t, r in (("fr", 0.25), ("en", 1))
    ]
    scores.append({**score, "lang": "it", "r1": 0.5})
    scores.append({**score, "lang": "average", "target_lang": "average", "r1": 0.6})
    (tmp_path / "r.json").write_text(json.dumps({"scores": scores}))
    main([*cmd, "--utt2tgt_lang", "targets", "--retrieval", "samu=r.json"])
    results = json.loads((tmp_path / "out/results.json").read_text())
    rows = results["systems"]["samu"]["directions"]
    r1 = {name: row["r1"] for name, row in rows.items()}
    assert r1 == {"es-en": 1, "es-fr": 0.25, "it-en": 0.5, "it-fr": 0.5}
    assert (rows["es-fr"]["source"], rows["es-fr"]["target"]) == ("es", "fr")
    (tmp_path / "r.json").write_text('{"scores": [{"lang": "es"}]}')
    with pytest.raises(ValueError, match="r.json: not a retrieval.json of score_retr"):
        main([*cmd, "--retrieval", "samu=r.json"])


def test_options_without_effect(cmd, tmp_path, capsys, caplog):
    score = {"lang": "de", "direction": "speech-text", "r1": 0.5, "signature": "s"}
    (tmp_path / "r.json").write_text(json.dumps({"scores": [score]}))
    (tmp_path / "slots").write_text("never\n")
    cmd += ["--retrieval", "samu=r.json", "--slots", "slots", "--tokenizer", "de=intl"]
    main([*cmd, "--train_langs", "de,pl", "--paired_bs_n", "50"])
    unused = json.loads((tmp_path / "out/results.json").read_text())["had_no_effect"]
    assert unused == [
        "--retrieval samu: it has no R@1 of a scored direction",
        "--slots slots: no reference has one of its words",
        "--tokenizer de=intl: no translation is into de",
        "--train_langs de,pl: none of them is scored",
        "--paired_bs_n: there is no --baseline",
    ]
    assert f"- had no effect: {'; '.join(unused)}\n" in capsys.readouterr().out
    assert f"had no effect: {unused[1]}" in caplog.text


def test_byte_order_marks(cmd, tmp_path):
    """Editors put one before a file, pasted files have one before a sentence."""
    main(cmd)
    first = (tmp_path / "out/table.md").read_text()
    text = (tmp_path / "hyp").read_text().replace("it0 ", "it0 \ufeff")
    (tmp_path / "hyp").write_text(text, encoding="utf-8-sig")
    main(cmd)
    assert (tmp_path / "out/table.md").read_text() == first


def test_japanese(cmd, tmp_path):
    cmd += ["--tgt_lang", "ja", "--metrics", "bleu,ter"]
    main([*cmd, "--ja_tokenizer", "char"])
    results = json.loads((tmp_path / "out/results.json").read_text())
    signatures = results["systems"]["samu"]["directions"]["es"]["signatures"]
    assert "tok:char" in signatures["bleu"]
    assert "norm:yes|punct:yes|asian:yes" in signatures["ter"]
    assert "tok:char" in (tmp_path / "out/table.md").read_text()


@pytest.mark.parametrize(
    "extra, message",
    [
        (["--system", "hyp"], "--system must be NAME=VALUE: 'hyp'"),
        (["--system", "samu=ref"], "--system has 'samu' twice"),
        (["--ceiling", "x=y"], r"--ceiling must name one of \['samu'\]: 'x'"),
        (["--retrieval", "x=y"], r"--retrieval must name one of \['samu'\]: 'x'"),
        (["--baseline", "x"], r"--baseline must name one of \['samu'\]: 'x'"),
        (["--baseline", "samu"], "--baseline needs another --system"),
        (["--comet", "x"], "--comet needs --src"),
        (["--metrics", "bleu ter"], r"metrics must be different ones of .*'bleu ter'"),
        (["--tokenizer", "ja=char"], "--tokenizer cannot have 'ja': see --ja_tok"),
        (
            ["--tgt_lang", "x2en"],
            "language 'x2en', which is not known: --tokenizer x2e",
        ),
        (["--tgt_lang", "th"], "no tokenizer is chosen for target language 'th'"),
        (["--groups", "only_es"], r"--groups has no group for the languages \['it'\]"),
        (["--utt2tgt_lang", "some"], r"some misses 7 utterances \(es1 .* \.\.\.\)"),
    ],
)
def test_refused(cmd, extra, message):
    write_text("some", {"es0": "en"})
    write_text("only_es", {"high": "es"})
    with pytest.raises(ValueError, match=message):
        main([*cmd, *extra])


def test_light():
    code = "import sys, espnet_samu.bin.score_st, espnet_samu.bin.score_retrieval\n"
    code += "import espnet_samu.bin.report\n"
    code += "assert not {'torch', 'matplotlib', 'comet'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert get_parser().description
