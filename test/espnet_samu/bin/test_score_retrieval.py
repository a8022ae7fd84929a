import json

import numpy as np
import pytest

from espnet_samu.bin.score_retrieval import get_parser, main
from espnet_samu.scoring.retrieval import score_retrieval
from espnet_samu.utils.kaldi_io import write_text, write_vectors


def test_files_and_table(tmp_path, capsys):
    generator = np.random.default_rng(0)
    text = dict(zip("abcdef", generator.normal(size=(6, 4)).astype(np.float32)))
    speech = {u: v + generator.normal(size=4).astype("f4") for u, v in text.items()}
    query = write_vectors(tmp_path / "speech", speech.items())
    # a target of another utterance is left out
    text["z"] = np.ones(4, dtype=np.float32)
    target = write_vectors(tmp_path / "text", text.items())
    langs = {u: "es" if u < "d" else "it" for u in speech}
    write_text(tmp_path / "utt2lang", langs)
    write_text(tmp_path / "words", {u: u for u in speech})
    out = tmp_path / "out"
    cmd = ["--query", str(query), "--target", str(target), "--output_dir", str(out)]
    cmd += ["--query_lang", str(tmp_path / "utt2lang")]
    cmd += ["--target_text", str(tmp_path / "words")]
    main([*cmd, "--margin", "distance", "--k", "2"])

    expected = score_retrieval(speech, text, langs, margin="distance", k=2)
    saved = json.loads((out / "retrieval.json").read_text())["scores"]
    assert saved == [score.to_dict() for score in expected]
    printed = capsys.readouterr().out
    assert printed == (out / "retrieval.md").read_text()
    lines = printed.splitlines()
    assert lines[2].split("|")[1].strip() == "es"
    assert lines[2].split("|")[3].strip() == f"{expected[0].r1:.3f}"
    assert lines[-1].endswith("margin:distance|k:2`")

    main(cmd[:6])
    saved = json.loads((out / "retrieval.json").read_text())["scores"]
    assert [s["lang"] for s in saved] == ["all", "all", "average", "average"]
    assert saved[0]["r1"] == saved[2]["r1"]


def test_parser():
    assert get_parser().description
    with pytest.raises(SystemExit):
        get_parser().parse_args(["--margin", "none"])
