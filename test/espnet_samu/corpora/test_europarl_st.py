"""Sets of the scenarios, on a tree without faults; counts by hand."""

import pytest


def sizes(data):
    """Number of utterances of each data directory."""
    return {
        path.parent.name: len(path.read_text().splitlines())
        for path in data.glob("*/segments")
    }


def test_x2en(prepare_europarl, data, read, tree):
    assert prepare_europarl("--src_langs", "de,fr") == 0
    # samu: 3 languages x 2 directions x 4 segments, each piece in both directions.
    assert sizes(data) == {
        "samu_train": 12,
        "samu_dev": 6,
        "train.de-en": 4,
        "train.fr-en": 4,
        "train.x2en": 8,
        "dev.de-en": 2,
        "dev.fr-en": 2,
        "dev.x2en": 4,
        "test.de-en": 2,
        "test.fr-en": 2,
        "test.x2en": 4,
    }
    utt = "EUmember_0-de_test.0-00001250_00002500-en"
    flac = f"{tree.root}/de/audios/test.0.flac"
    expected = {
        "segments": "de_test.0 1.250 2.500",
        "utt2spk": "EUmember_0",
        "utt2lang": "de",
        "utt2tgt_lang": "en",
    }
    texts = {"said": "de test.0 1.25", "written": "en of de test.0 1.25"}
    for name, src, tgt in (("test.de-en", "de", "en"), ("test.x2en", "multi", "x2en")):
        folder = data / name
        files = {path.name for path in folder.glob("[!.]*")}
        assert files == {
            *("wav.scp", "spk2utt", f"text.tc.{src}", f"text.tc.{tgt}"),
            *expected,
        }
        for file, value in expected.items():
            assert read(folder / file)[utt] == value
        assert read(folder / f"text.tc.{src}")[utt] == texts["said"]
        assert read(folder / f"text.tc.{tgt}")[utt] == texts["written"]
        assert read(folder / "wav.scp")["de_test.0"] == flac


def test_distillation_has_transcripts_alone(prepare_europarl, data, read):
    assert prepare_europarl() == 0
    folder = data / "samu_train"
    files = {path.name for path in folder.glob("[!.]*")}
    assert files == {
        *("wav.scp", "segments", "utt2spk", "spk2utt", "utt2lang", "text.tc.multi")
    }
    text = read(folder / "text.tc.multi")
    assert text["EUmember_1-en_train.1-00000500_00001250"] == "en train.1 0.5"
    assert sorted(read(folder / "utt2lang").values()) == sorted("de en fr".split() * 4)


def test_m2m(prepare_europarl, data, read, counts):
    assert (
        prepare_europarl("--scenario", "m2m", "--tag", "m2m", "--tgt_langs", "de,en,fr")
        == 0
    )
    found = sizes(data)
    assert {name: found[name] for name in ("train.m2m", "dev.m2m", "test.m2m")} == {
        "train.m2m": 24,
        "dev.m2m": 12,
        "test.m2m": 12,
    }
    assert sum(name.startswith("train.") for name in found) == 6 + 1
    utt = "EUmember_0-de_train.0-00000500_00001250-{}"
    text = read(data / "train.m2m" / "text.tc.m2m")
    langs = read(data / "train.m2m" / "utt2tgt_lang")
    for tgt in ("en", "fr"):
        assert text[utt.format(tgt)] == f"{tgt} of de train.0 0.5"
        assert langs[utt.format(tgt)] == tgt
    # One recording for both of its directions.
    assert len(read(data / "train.m2m" / "wav.scp")) == 6
    assert counts("samu_train", "m2m")[:2] == (24, 12)


def test_zeroshot(prepare_europarl, data, read):
    options = "--scenario zeroshot --tag zs --src_langs de,fr --st_src_langs de"
    assert prepare_europarl(*options.split()) == 0
    found = sizes(data)
    assert {n: found[n] for n in ("train.zs", "dev.zs", "test.zs")} == {
        "train.zs": 4,
        "dev.zs": 2,
        "test.zs": 4,
    }
    assert set(read(data / "train.zs" / "utt2lang").values()) == {"de"}
    assert set(read(data / "test.zs" / "utt2lang").values()) == {"de", "fr"}
    # The distillation hears the others all the same.
    assert set(read(data / "samu_train" / "utt2lang").values()) == {"de", "en", "fr"}


def test_noisy(prepare_europarl, data, counts):
    assert prepare_europarl("--with_noisy", "true", "--src_langs", "de,fr") == 0
    found = sizes(data)
    assert (found["train.de-en"], found["train.x2en"]) == (5, 10)
    assert found["samu_train"] == 15
    assert (found["dev.x2en"], found["test.x2en"]) == (4, 4)


def test_hours_and_published_counts(prepare_europarl, data, capsys, tables):
    assert prepare_europarl("--src_langs", "de,fr") == 0
    printed = capsys.readouterr().out
    assert printed == (data / "local" / "x2en" / "counts.md").read_text() + "\n"
    (found,) = tables(printed)
    rows = {f"{row['split']}.{row['set']}": row for row in found}
    # 4 pieces of 0.75 and 1.25 s each in turn
    assert rows["train.de-en"] == {
        **{"set": "de-en", "split": "train", "listed": "4", "kept": "4"},
        **{"hours": f"{4.0 / 3600:.2f}", "published": "-", "difference": "-"},
        "piece of audio that is there already": "0",
    }
    test = rows["test.de-en"]
    assert (test["published"], test["difference"]) == ("2631", "-2629")
    assert rows["-.samu_train"]["kept"] == "12"


@pytest.mark.parametrize(
    "options, message",
    [
        ("--src_langs de,sv", "--src_langs: 'sv' is not one of de en es fr it"),
        ("--src_langs de,de", "--src_langs: 'de' stands twice"),
        ("--tgt_langs de", "--tgt_langs de: --scenario x2en translates to en"),
        ("--src_langs en", "no direction is left of --src_langs en and --tgt_langs en"),
        ("--st_src_langs de", "--st_src_langs de is for --scenario zeroshot"),
        ("--scenario zeroshot", "--st_src_langs '': --scenario zeroshot trains on"),
        (
            "--scenario zeroshot --src_langs de,fr --st_src_langs de,fr",
            "--st_src_langs 'de fr': --scenario zeroshot trains on some, not all, of",
        ),
        ("--samu_langs de,pl", "/pl holds no direction such as pl/en; unpack the"),
    ],
)
def test_options_that_do_not_fit(prepare_europarl, data, stderr, options, message):
    assert prepare_europarl(*options.split()) == 1
    assert message in stderr()
    assert not data.exists()
