#!/usr/bin/env python3
"""A small corpus in both layouts of FLEURS; texts are made up, recordings are sines.

``python fleurs_tree.py FOLDER`` writes ``FOLDER/tsv``, as its authors have it, and
``FOLDER/parquet``, as the hub does. French has faults, other languages hardly any.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa

from espnet_samu.corpora.fleurs_reader import SPLITS

if __package__:
    from .covost2_parquet_tree import write_shards
else:
    from covost2_parquet_tree import write_shards

FOLDERS = """
    af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq
    cmn_hans_cn cs_cz cy_gb da_dk de_de el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi
    fil_ph fr_fr ga_ie gl_es gu_in ha_ng he_il hi_in hr_hr hu_hu hy_am id_id ig_ng
    is_is it_it ja_jp jv_id ka_ge kam_ke kea_cv kk_kz km_kh kn_in ko_kr ky_kg lb_lu
    lg_ug ln_cd lo_la lt_lt luo_ke lv_lv mi_nz mk_mk ml_in mn_mn mr_in ms_my mt_mt
    my_mm nb_no ne_np nl_nl nso_za ny_mw oc_fr om_et or_in pa_in pl_pl ps_af pt_br
    ro_ro ru_ru sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se sw_ke ta_in te_in tg_tj
    th_th tr_tr uk_ua umb_ao ur_pk uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za
    """.split()
"""Of the 102 languages of google/fleurs."""
RATE = 16000
TEXTS = {
    "en_us": "The train {} leaves.",
    "fr_fr": "Le train {} part « enfin ».",
    "es_419": 'El "tren" {} sale.',
    "cmn_hans_cn": "火车{}出发。",
}
NUMBERS = {"train": range(10, 18), "dev": range(20, 24), "test": range(30, 34)}
"""Sentences of each split, which languages have in common."""
GENDERS = ("MALE", "FEMALE", "OTHER")
SCHEMA = pa.schema(
    [
        ("id", pa.int32()),
        ("num_samples", pa.int32()),
        ("path", pa.string()),
        ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("transcription", pa.string()),
        ("raw_transcription", pa.dictionary(pa.int32(), pa.string())),
        ("gender", pa.int64()),
        ("lang_id", pa.int64()),
        ("language", pa.string()),
        ("lang_group_id", pa.int64()),
    ]
)
SHARDS = {"train": "train", "dev": "validation", "test": "test"}


def write_wav(path, frequency):
    """Write 0.3 s of a sine."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(2 * np.pi * frequency * np.arange(RATE * 3 // 10) / RATE)
    soundfile.write(path, wave, RATE, subtype="PCM_16")


class Tree:
    """The original layout.

    Args:
        folder: Of the corpus.
    """

    def __init__(self, folder):
        self.folder = folder
        self.frequency = 200

    def wav(self, lang, split, name):
        """Return where a recording is."""
        return self.folder / lang / "audio" / split / name

    def add(self, lang, split, number, text, name=None, gender="FEMALE", wav=True):
        """Add a line, and its recording."""
        self.frequency += 1
        name = name or f"{self.frequency}.wav"
        if wav:
            write_wav(self.wav(lang, split, name), self.frequency)
        plain = text.lower().strip('."')
        row = [f"{number}", name, text, plain, "| ".join(plain), f"{RATE}", gender]
        with (self.folder / lang / f"{split}.tsv").open("a", encoding="utf-8") as file:
            file.write("\t".join(row) + "\n")
        return name


def fill(tree):
    """Write all languages without faults; some sentences are read by two speakers."""
    for lang, text in TEXTS.items():
        for split, numbers in NUMBERS.items():
            for number in numbers:
                gender = GENDERS[number % 3]
                tree.add(lang, split, number, text.format(number), gender=gender)
        tree.add(lang, "test", 30, text.format(30), gender="MALE")


def add_faults(tree):
    """Add what can be wrong, most of it to the French test split."""
    fr = TEXTS["fr_fr"]
    twice = tree.add("fr_fr", "test", 31, fr.format(31))
    tree.add("fr_fr", "test", 31, fr.format(31), twice)
    tree.add("fr_fr", "test", 99, fr.format(99), "no_english.wav")
    tree.add("fr_fr", "test", 32, " \u200b", "no_text.wav")
    tree.add("fr_fr", "test", 32, fr.format(32), "missing.wav", wav=False)
    for name, size in (("empty.wav", 0), ("cut.wav", 3000)):
        tree.add("fr_fr", "test", 32, fr.format(32), name)
        path = tree.wav("fr_fr", "test", name)
        path.write_bytes(path.read_bytes()[:size])
    tree.add("fr_fr", "test", 32, fr.format(32), "noise.wav")
    tree.wav("fr_fr", "test", "noise.wav").write_bytes(b"no sound file " * 99)
    tree.add("fr_fr", "test", "x", fr.format(32), "no_number.wav")
    # In two splits: a sentence, the same with another number, and a recording.
    tree.add("fr_fr", "train", 30, fr.format(30), "of_test.wav")
    tree.add("fr_fr", "train", 18, fr.format(33).upper(), "as_of_test.wav")
    copy = tree.add("fr_fr", "train", 17, fr.format(17), "copy.wav")
    first = (tree.folder / "fr_fr/test.tsv").read_text("utf-8").split("\t")[1]
    shutil.copyfile(tree.wav("fr_fr", "test", first), tree.wav("fr_fr", "train", copy))
    # English sentences that are in other splits, or differ.
    tree.add("es_419", "test", 21, TEXTS["es_419"].format(21))
    tree.add("en_us", "test", 33, "The train 33 is leaving.")
    return tree


def write_parquet(tsv, folder, languages=TEXTS):
    """Write a tree as the hub has it."""
    for lang in languages:
        for split in SPLITS:
            lines = (tsv / lang / f"{split}.tsv").read_text("utf-8").splitlines()
            rows = []
            for number, name, raw, plain, _, samples, gender in (
                line.split("\t") for line in lines
            ):
                wav = tsv / lang / "audio" / split / name
                row = {
                    "id": int(number) if number.isdecimal() else None,
                    "num_samples": int(samples),
                    "path": f"{SHARDS[split]}/{name}",
                    "audio": {
                        "bytes": wav.read_bytes() if wav.exists() else None,
                        "path": name,
                    },
                    "transcription": plain,
                    "raw_transcription": raw,
                    "gender": GENDERS.index(gender),
                    "language": lang,
                }
                rows.append(row)
            shards = 2 if split == "train" else 1
            write_shards(folder / lang, SHARDS[split], rows, SCHEMA, shards)
    return folder


def make_corpus(folder, faults=True):
    """Write both layouts; return their folders."""
    tree = Tree(folder / "tsv")
    fill(tree)
    if faults:
        add_faults(tree)
    return tree.folder, write_parquet(tree.folder, folder / "parquet")


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="For tsv and parquet")
    make_corpus(parser.parse_args().folder)


if __name__ == "__main__":
    main()
