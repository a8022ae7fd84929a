#!/usr/bin/env python3
"""Feed mutated tables, recordings, packs and checkpoints to our commands.

``make -C tools fuzz`` runs all of it; each case follows from the seed, its kind and its
number alone, so that ``ARGS="--seed 1 --case manifest/17"`` runs one of them again and
keeps its folder. A case may be accepted or refused in clear words. What is counted as a
violation, and gives exit status 1:

* traceback: another exception than a refusal, or a refusal without a message;
* lost: an utterance of the input is neither kept nor counted with a reason;
* executed: a process was started, a pickle was run;
* outside: something was written, moved or removed outside the output folder;
* slow: more than a minute of processor time.
"""

import argparse
import contextlib
import io
import json
import os
import pickle
import random
import shutil
import string
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "test" / "espnet_samu" / "corpora"))
os.environ["HF_HUB_OFFLINE"] = "1"
sys.dont_write_bytecode = True  # would be writing outside

SLOWEST = 60  # seconds of processor time of one case
RATE = 16000  # samples per second
OUTCOMES = ("accepted", "refused")
VIOLATIONS = ("traceback", "lost", "executed", "outside", "slow")
# Programs that a command may start, always with a list of arguments.
PROGRAMS = ("ldconfig",)  # by ctypes, for libsndfile


class Call(NamedTuple):
    """A command to be run on the files of a case."""

    main: Callable[[list[str]], Any]
    """What ``espnet_samu.utils.command.run`` takes."""
    cmd: list[str]
    """Its arguments."""
    find_lost: Callable[[], Iterable[str]] = tuple
    """Utterances that are neither kept nor counted; asked if the status is 0, or 1 of a
    command that goes on after faults."""
    goes_on: bool = False
    """Whether status 1 means that some utterances failed."""


class Case:
    """The folder of a case: ``in`` must stay as it is, ``out`` and ``home`` may change.

    Args:
        folder: New.
        name: Kind and number.
        seed: Of the run.
    """

    def __init__(self, folder: Path, name: str, seed: int) -> None:
        self.rng = random.Random(f"{seed} {name}")
        self.folder = folder
        self.input = folder / "in"
        self.output = folder / "out"
        self.canary = folder / "canary"
        self.input.mkdir(parents=True)
        (folder / "home").mkdir()

    @property
    def poison(self) -> list[str]:
        """Fields that are not what a table should have."""
        touch = f"touch {self.canary}"
        commands = "{0} |,|{0},$({0}),`{0}`,a;{0};.wav,{0}|:5".format(touch)
        numbers = "nan inf -1 0 1e308 1e-400 -:0 a.ark:5 a.ark:99999999999999999999"
        names = '- None ../../x /etc/passwd ~ * %s C:\\x <s> \' " "a \uff1f \U0001f4a5'
        blanks = "\u200b|\ufeff|\u00a0|\u3000|\u2028|\u202e|e\u0301|\0|\x1b[31m|\r"
        words = [*numbers.split(), *names.split(), *blanks.split("|")]
        return ["", " ", "a b", "x" * 300, "9" * 30, *commands.split(","), *words]

    def mutate(self, rows: list[list[str]], blank: str) -> bytes:
        """Change a table of fields a little, and write it.

        Args:
            rows: Lines of fields; the first may be a header.
            blank: Between fields.
        """
        rng, rows = self.rng, [list(row) for row in rows]
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            row = rng.choice(rows)
            change = rng.randrange(9)
            if change < 4:
                row[rng.randrange(len(row))] = rng.choice(self.poison)
            elif change == 4 and len(row) > 1:
                row.pop(rng.randrange(len(row)))
            elif change == 5:
                row.insert(rng.randrange(len(row) + 1), rng.choice(self.poison))
            elif change == 6:
                rows.insert(rng.randrange(len(rows) + 1), list(row))
            elif change == 7 and len(rows) > 1:
                rows.remove(row)
            else:
                rng.shuffle(rows)
        data = "".join(blank.join(row) + "\n" for row in rows).encode()
        change = rng.randrange(24)
        if change == 0:
            data = data.replace(b"\n", b"\r\n")
        elif change == 1:
            data = data.rstrip(b"\n")
        elif change == 2:
            data = b"\xef\xbb\xbf" + data
        elif change == 3:
            data = b""
        elif change == 4:
            data = data[: rng.randrange(len(data) + 1)]
        elif change == 5:
            place = rng.randrange(len(data) + 1)
            data = data[:place] + rng.randbytes(3) + data[place:]
        elif change == 6:
            data = data.decode().encode("utf-16")
        return data


# --- Tables


def manifest(case: Case) -> Call:
    """Manifest of an own corpus, and the recordings that it names."""
    from espnet_samu.bin import prepare as command

    names = [f"{i}.wav" for i in range(3)]
    for i, name in enumerate(names):
        write_wave(case.input / name, noise(case.rng, 4000 + i))
    header = "id audio language transcript translation target_language".split()
    rows = [header + ["speaker", "start", "end"]]
    cut = case.rng.random() < 0.5
    for i in range(6):
        times = [f"0.0{i}", "0.2"] if cut else ["", ""]
        row = [f"utt{i}", names[i % 3], "fr", f"un {i}", f"one {i}", "en", f"s{i % 2}"]
        rows.append(row + times)
    path = case.input / "train.tsv"
    data = case.mutate(rows, "\t")
    path.write_bytes(data)
    sets = case.output / "data" / "train"
    cmd = ["manifest", f"--manifest={path}", f"--output_dir={sets}"]
    cmd += [f"--clips_dir={case.output}/clips"]
    cmd += [f"--drop_faulty={case.rng.choice(('true', 'false'))}"]

    def find_lost() -> Iterator[str]:
        lines = [line for line in data.decode("utf-8-sig").split("\n") if line.strip()]
        kept = len(ids_of(sets / "utt2spk"))
        faults = sets.with_name("local") / "train" / "faults.tsv"
        counted = len(faults.read_text().splitlines()) - 1 if faults.exists() else 0
        if kept + counted != len(lines) - 1:
            yield f"{len(lines) - 1} lines, {kept} kept, {counted} counted"

    return Call(command.main, cmd, find_lost)


def covost2(case: Case) -> Call:
    """Tables of Common Voice and CoVoST-2."""
    import covost2_tree as tree

    from espnet_samu.bin import prepare as command

    release = case.input / "cv" / tree.RELEASE
    translations = case.input / "covost2"
    tree.write_clips(release, "fr", range(1, 9), b"not read")
    tree.write_language(release, "fr", [(n, n, f"Phrase {n}.") for n in range(1, 9)])
    rows = [(n, f"Sentence {n}.", tree.SPLITS[n - 1]) for n in range(1, 9)]
    tree.write_translations(translations, "fr", "en", rows)
    table = translations / "covost_v2.fr_en.tsv"
    path = case.rng.choice((release / "fr" / "validated.tsv", table))
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    path.write_bytes(case.mutate(rows, "\t"))
    options = {
        "commonvoice": case.input / "cv",
        "covost2": translations,
        "langs": "fr",
        "audio": "stat",
        "samu_langs": "none",
        "nj": 1,
        "output_dir": case.output / "data",
        "clips_dir": case.output / "clips",
        "conf_dir": ROOT / "egs2" / "covost2" / "samu_st1" / "conf",
    }

    def find_lost() -> Iterator[str]:
        (counts,) = case.output.glob("data/local/*/counts.json")
        sets = json.loads(counts.read_text())["sets"]
        listed = sum(entry["listed"] for entry in sets)
        dropped = sum(sum(entry["dropped"].values()) for entry in sets)
        faults = counts.with_name("faults.tsv").read_text().splitlines()
        others = sum(line.split("\t")[1] == "-" for line in faults[1:])
        lines = [x for x in table.read_bytes().split(b"\n")[1:] if x.strip()]
        kept = sum(len(ids_of(p / "wav.scp")) for p in case.output.glob("data/*.fr-en"))
        if listed - dropped != kept or listed + others < len(lines):
            yield f"{len(lines)} lines, {listed} listed, {dropped} dropped, {kept} kept"

    cmd = ["covost2", *(f"--{name}={value}" for name, value in options.items())]
    return Call(command.main, cmd, find_lost)


def europarl(case: Case) -> Call:
    """Tables of a direction of Europarl-ST."""
    from europarl_st_tree import Tree

    from espnet_samu.bin import prepare as command

    tree = Tree(case.input / "v1.1")
    for split in ("train", "dev", "test"):
        tree.speech("de-en", split, f"{split}.0")
        for i in range(3):
            tree.segment("de-en", split, f"{split}.0", 0.5 * i, 0.5 * i + 0.5)
    split = case.rng.choice(("train", "dev", "test"))
    name = case.rng.choice(
        ("segments.lst", "segments.lst", "segments.de", "speeches.lst", "speakers.lst")
    )
    path = tree.folder("de-en", split) / name
    rows = [line.split(" ") for line in path.read_text().splitlines()]
    path.write_bytes(case.mutate(rows, " "))
    cmd = ["europarl_st", f"--root={tree.root}", "--nj=1"]
    cmd += [f"--output_dir={case.output}/data"]
    cmd += ["--src_langs=de", "--samu_langs=de", f"--clips_dir={case.output}/clips"]

    def find_lost() -> Iterator[str]:
        for split in ("train", "dev", "test"):
            lst = tree.folder("de-en", split) / "segments.lst"
            lines = [line for line in lst.read_bytes().split(b"\n") if line.strip()]
            counts = (case.output / "data/local/x2en/counts.json").read_text()
            sets = {(s["set"], s["split"]): s for s in json.loads(counts)["sets"]}
            mine = sets["de-en", split]
            kept = len(ids_of(case.output / "data" / f"{split}.de-en" / "utt2spk"))
            if mine["listed"] != len(lines) or mine["kept"] != kept:
                yield f"{split}: {len(lines)} segments, counts say {mine}, {kept} kept"

    return Call(command.main, cmd, find_lost)


def selection(case: Case) -> Call:
    """What stage 7 reads."""
    from espnet_samu.bin import samu_select

    wav = case.input / "a.wav"
    write_wave(wav, noise(case.rng, 1600))
    utts = [f"utt{i}" for i in range(5)]
    tables = {
        "wav.scp": [[utt, str(wav)] for utt in utts],
        "utt2num_samples": [[utt, "1600"] for utt in utts],
        "utt2lang": [[utt, "fr"] for utt in utts],
        "text": [[utt, "un", "texte"] for utt in utts],
        "embed.scp": [[utt, f"{case.input}/embed.ark:5"] for utt in utts],
    }
    write_tables(case, tables)
    cmd = [
        f"--data_dir={case.input}",
        f"--text={case.input}/text",
        "--check_audio=true",
    ]
    cmd += [f"--embed={case.input}/embed.scp", f"--output_dir={case.output}"]

    def find_lost() -> Iterator[str]:
        given = {*ids_of(case.input / "wav.scp"), *ids_of(case.input / "text")}
        named = {*ids_of(case.output / "speech_shape")}
        lines = (case.output / "dropped.tsv").read_text().splitlines()
        yield from given - named - {line.split("\t")[0] for line in lines}

    return Call(samu_select.main, cmd, find_lost)


def retrieval(case: Case) -> Call:
    """Embeddings, their languages and their texts."""
    import numpy as np

    from espnet_samu.bin import score_retrieval
    from espnet_samu.utils.kaldi_io import write_vectors

    utts = [f"utt{i}" for i in range(6)]
    generator = np.random.default_rng(case.rng.randrange(2**32))
    scp = write_vectors(case.input, [(u, generator.normal(size=4)) for u in utts])
    (case.input / "pickle.ark").write_bytes(
        b"a PKL" + pickle.dumps(Canary(case.canary))
    )
    rows = [line.split(" ", 1) for line in scp.read_text().splitlines()]
    if case.rng.random() < 0.3:
        rows[1][1] = f"{case.input}/pickle.ark:2"
    if case.rng.random() < 0.2:
        ark = bytearray((case.input / "embed.ark").read_bytes())
        ark[case.rng.randrange(len(ark))] ^= 1 << case.rng.randrange(8)
        (case.input / "embed.ark").write_bytes(ark[: case.rng.choice((40, len(ark)))])
    tables = {
        "embed.scp": rows,
        "utt2lang": [[utt, "fr" if i % 2 else "es"] for i, utt in enumerate(utts)],
        "text": [[utt, f"text{i}"] for i, utt in enumerate(utts)],
    }
    write_tables(case, tables)
    cmd = [f"--query={scp}", f"--target={scp}", f"--query_lang={case.input}/utt2lang"]
    cmd += [f"--content={case.input}/text", f"--output_dir={case.output}"]

    def find_lost() -> Iterator[str]:
        result = json.loads((case.output / "retrieval.json").read_text())
        if not result:
            yield "no scores"

    return Call(score_retrieval.main, [*cmd, "--projection=none"], find_lost)


def batches(case: Case) -> Call:
    """Shape files and languages of balanced batches."""
    from espnet_samu.samplers.balanced_sampler import BalancedSampler
    from espnet_samu.samplers.data_files import read_languages, read_shapes

    utts = [f"utt{i}" for i in range(8)]
    tables = {
        "speech_shape": [[utt, f"{1000 + i}"] for i, utt in enumerate(utts)],
        "text_shape": [[utt, f"{3 + i},40"] for i, utt in enumerate(utts)],
        "utt2category": [[utt, "fr" if i % 2 else "es"] for i, utt in enumerate(utts)],
    }
    write_tables(case, tables)
    paths = [str(case.input / name) for name in tables]

    def main(cmd: list[str]) -> None:
        shapes = read_shapes(cmd[:2])
        languages = read_languages(Path(cmd[2]), shapes.utterances)
        BalancedSampler(shapes, languages, upsampling_factor=0.5, batch_bins=10**5)

    return Call(main, paths)


# --- Recordings


def noise(rng: random.Random, samples: int) -> Any:
    """Return a waveform (N,)."""
    import numpy as np

    return np.random.default_rng(rng.randrange(2**32)).normal(0, 0.1, samples)


def write_wave(path: Path, wave: Any, rate: int = RATE, **options: Any) -> None:
    """Write a sound file."""
    import soundfile

    soundfile.write(path, wave, rate, **options)


def write_recording(case: Case, path: Path) -> Path:
    """Write one recording, good or bad, in one of several formats."""
    import numpy as np

    rng = case.rng
    suffix, options = rng.choice(
        (
            ("wav", {"subtype": "PCM_16"}),
            ("wav", {"subtype": "FLOAT"}),
            ("flac", {}),
            ("ogg", {}),
            ("mp3", {}),
        )
    )
    path = path.with_suffix(f".{suffix}")
    rate = rng.choice((RATE, RATE, RATE, RATE, 8000, 44100, 96000))
    if suffix == "mp3" and rate == 96000:
        rate = 48000
    wave = noise(rng, rng.choice((0, 1, 50, 399, 400, 4000, 8000, 20000)))
    change = rng.randrange(8)
    if change == 0 and len(wave) and options.get("subtype") == "FLOAT":
        wave[rng.randrange(len(wave))] = rng.choice((np.nan, np.inf, -np.inf, 1e30))
    elif change == 1:
        wave[:] = 0
    elif change == 2:
        wave = np.stack([wave, wave[::-1]], axis=1)
    write_wave(path, wave, rate, **options)
    data = bytearray(path.read_bytes())
    change = rng.randrange(12) if data else 5
    if change == 0:
        data = data[: rng.randrange(len(data) + 1)]  # cut
    elif change == 1:
        data = data * 2  # joined
    elif change == 2:
        data = data[rng.randrange(min(len(data), 64)) :]
    elif change == 3:
        for _ in range(3):  # lying headers
            data[rng.randrange(min(len(data), 64))] = rng.randrange(256)
    elif change == 4:
        data = bytearray(rng.randbytes(200))
    elif change == 5:
        data = bytearray()
    path.write_bytes(data)
    return path


def write_recordings(case: Case) -> list[str]:
    """Write ten recordings and a good one to in/wav.scp; their ids."""
    good = case.input / "good.wav"
    write_wave(good, noise(case.rng, 6000))
    paths = [write_recording(case, case.input / f"{i}") for i in range(10)]
    paths.insert(case.rng.randrange(10), good)
    lines = "".join(f"utt{i} {path}\n" for i, path in enumerate(paths))
    (case.input / "wav.scp").write_text(lines)
    return [f"utt{i}" for i in range(len(paths))]


def embedding(case: Case) -> Call:
    """Recordings that a student embeds."""
    from espnet_samu.bin import samu_embed

    utts = write_recordings(case)
    cmd = [f"--samu_model_file={models()}/samu/model.pth", "--num_workers=0"]
    cmd += [f"--wav_scp={case.input}/wav.scp,sound", f"--output_dir={case.output}"]

    def find_lost() -> Iterator[str]:
        named = [
            *ids_of(case.output / "embed.scp"),
            *ids_of(case.output / "failed.scp"),
        ]
        if sorted(named) != sorted(utts) or not ids_of(case.output / "embed.scp"):
            yield f"{len(utts)} utterances, named are {named}"

    return Call(samu_embed.main, cmd, find_lost, goes_on=True)


def translation(case: Case) -> Call:
    """Recordings that a model translates."""
    from espnet_samu.bin import st_inference

    utts = write_recordings(case)
    cmd = [f"--st_model_file={models()}/st/model.pth", "--num_workers=0"]
    cmd += [f"--st_train_config={models()}/st/config.yaml", "--maxlenratio=-4"]
    cmd += [f"--data_path_and_name_and_type={case.input}/wav.scp,speech,sound"]
    cmd += [f"--output_dir={case.output}", "--beam_size=2", "--batch_size=4"]

    def find_lost() -> Iterator[str]:
        done = ids_of(case.output / "1best_recog" / "text")
        named = [*done, *ids_of(case.output / "failed.scp")]
        if sorted(named) != sorted(utts) or not done:
            yield f"{len(utts)} utterances, named are {named}"

    return Call(st_inference.main, cmd, find_lost, goes_on=True)


def recordings(case: Case) -> Call:
    """Recordings of a manifest."""
    from espnet_samu.bin import prepare as command

    utts = write_recordings(case)
    lines = ["id audio language transcript translation target_language".split()]
    for line in (case.input / "wav.scp").read_text().splitlines():
        utt, path = line.split()
        lines.append([utt, path, "fr", "un", "one", "en"])
    table = "".join("\t".join(line) + "\n" for line in lines)
    (case.input / "train.tsv").write_text(table)
    sets = case.output / "data" / "train"
    cmd = ["manifest", f"--manifest={case.input}/train.tsv", f"--output_dir={sets}"]
    cmd += [f"--clips_dir={case.output}/clips", "--drop_faulty=true"]

    def find_lost() -> Iterator[str]:
        faults = sets.with_name("local") / "train" / "faults.tsv"
        lines = faults.read_text().splitlines()[1:] if faults.exists() else []
        named = [*ids_of(sets / "utt2spk"), *(line.split("\t")[2] for line in lines)]
        if sorted(named) != sorted(utts):
            yield f"{len(utts)} utterances, named are {named}"

    return Call(command.main, cmd, find_lost)


# --- Packs and checkpoints


class Canary:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


_models: list[Path] = []


def models() -> Path:
    """Return the folder of a tiny student and a tiny translation model, made once."""
    import torch
    import yaml

    from espnet_samu.checkpoint.model_import import task_defaults
    from espnet_samu.tasks.samu import SAMUTask
    from espnet_samu.tasks.st import STTask

    if _models:
        return _models[0]
    folder = Path(tempfile.mkdtemp(prefix="fuzz_models"))
    torch.manual_seed(0)
    transformer = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = {"model_type": "wav2vec2", "intermediate_size": 16, **transformer}
    encoder |= {"conv_dim": [16, 16], "conv_kernel": [10, 8], "conv_stride": [8, 8]}
    encoder |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    encoder |= {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    letters = [*string.ascii_lowercase]
    decoder = {"d_model": 16, "decoder_layers": 1, "decoder_attention_heads": 2}
    decoder |= {"decoder_ffn_dim": 16, "max_position_embeddings": 64}
    options = {
        "samu": {"projector_conf": {"output_size": 4}},
        "st": {
            "token_type": "char",
            "token_list": ["<blank>", "<unk>", *letters, "en_XX", "<sos/eos>"],
            "src_token_list": [],
            "src_token_type": "none",
            "specaug": None,
            "normalize": None,
            "encoder": "passthrough",
            "decoder": "mbart",
            "decoder_conf": {"model_conf": decoder},
            "model_conf": {"report_bleu": False},
            "tgt_lang_token": "en_XX",
        },
    }
    for name, task in (("samu", SAMUTask), ("st", STTask)):
        (folder / name).mkdir()
        config = {**task_defaults(task), **options[name], "frontend": "samu"}
        config["frontend_conf"] = {"model_conf": encoder}
        args = argparse.Namespace(**config)
        model = task.build_model(args)
        torch.save(model.state_dict(), folder / name / "model.pth")
        plain = json.loads(json.dumps(vars(args), default=str))
        (folder / name / "config.yaml").write_text(yaml.safe_dump(plain))
    _models.append(folder)
    return folder


def bad_checkpoint(case: Case, data: bytes) -> bytes:
    """Return a checkpoint that is none, is damaged, or runs something if unpickled."""
    import torch

    rng, file = case.rng, io.BytesIO()
    change = rng.randrange(9)
    if change == 0:
        torch.save({"a": Canary(case.canary)}, file)
    elif change == 1:
        return pickle.dumps(Canary(case.canary))
    elif change == 2:
        torch.save(rng.choice(([], {}, None, 5, "x", {"model": 3}, {1: 2})), file)
    elif change == 3:
        torch.save({"model": {"x": torch.zeros(2)}, "x": Canary(case.canary)}, file)
    elif change == 4:
        return data[: rng.randrange(len(data))]
    elif change == 5:
        return rng.randbytes(100)
    elif change == 6:
        damaged = bytearray(data)
        for _ in range(5):
            damaged[rng.randrange(len(data))] ^= 255
        return bytes(damaged)
    elif change == 7:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x/data.pkl", pickle.dumps({}))
            with archive.open("x/data/0", "w") as out:
                for _ in range(17):
                    out.write(bytes(2**24))
    return file.getvalue()


def bad_config(case: Case, config: dict[str, Any]) -> str:
    """Return a config.yaml that is wrong, or that would run or repeat something."""
    import yaml

    rng = case.rng
    evil = {"path_or_url": "exp/evil.pt", "upstream": "hubert_local"}
    extra = {
        "extra_conf": {"model_config": "exp/evil.pt"},
        "upstream": "baseline_local",
    }
    hub = {"download_dir": "exp", "frontend_conf": {"upstream": "no_such_upstream"}}
    changes: tuple[Any, ...] = (
        {"frontend": "s3prl", "frontend_conf": {"frontend_conf": evil}},
        {"frontend": "s3prl", "frontend_conf": {"frontend_conf": extra}},
        {"frontend": "s3prl", "frontend_conf": hub},
        {"encoder": "hubert", "encoder_conf": {"hubert_url": "exp/evil.pt"}},
        {"init_param": ["exp/evil.pt"]},
        {"token_type": "hugging_face", "bpemodel": "exp/tokenizer"},
        {"base_weights": {"file": "evil.pt", "sha256": "0"}},
        {"base_weights": {"file": "../../../x", "sha256": "0"}},
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
            for a, b in zip("abcdefgh", "bcdefghi")
        ),
        "[" * 10**5,
        "a: &a {b: *a}\n",
        "!!python/object/apply:os.mkdir [x]\n",
        "null\n",
        "- a\n",
        "a: [\n",
        "",
        None,
        None,
        None,
        None,
    )
    change = rng.choice(changes)
    if isinstance(change, str):
        return change
    if change is None:  # any field of another type
        values = (None, 5, "x", [], {}, [1], {"x": 1}, True, -1.5, "../../x")
        config = {**config, rng.choice(sorted(config)): rng.choice(values)}
        change = {}
    return yaml.safe_dump({**config, **change})


def pack(case: Case) -> Call:
    """Packed translation models, and published students, of strangers."""
    import yaml

    from espnet_samu.bin import samu_embed, st_inference

    rng = case.rng
    kind, other = rng.sample(("st", "samu"), 2)
    source = models() / kind
    config = yaml.safe_load((source / "config.yaml").read_text())
    weights = (source / "model.pth").read_bytes()
    meta: Any = {
        "files": {f"{kind}_model_file": "exp/model.pth"},
        "yaml_files": {f"{kind}_train_config": "exp/config.yaml"},
    }
    members = {
        "exp/config.yaml": yaml.safe_dump(config).encode(),
        "exp/model.pth": weights,
        "exp/evil.pt": pickle.dumps(Canary(case.canary)),
        "exp/tokenizer/config.json": b'{"auto_map": {"AutoTokenizer": "evil.Evil"}}',
        "exp/tokenizer/evil.py": f"import os; os.mkdir({str(case.canary)!r})".encode(),
    }
    change = rng.randrange(8)
    if change < 3:
        members["exp/config.yaml"] = bad_config(case, config).encode()
    elif change < 5:
        members["exp/model.pth"] = bad_checkpoint(case, weights)
    elif change == 5:
        name = rng.choice(("../x", "/tmp/fuzz_outside", "exp/../../x", "..\\x", "C:/x"))
        members[name] = b"outside"
    elif change == 6:
        meta = rng.choice(
            (
                *(
                    None,
                    [],
                    "x",
                    {},
                    {"files": None},
                    {"files": []},
                    {"files": {"a": 1}},
                ),
                {"files": {f"{other}_model_file": "exp/model.pth"}},
                {**meta, "files": {f"{kind}_model_file": rng.choice(case.poison)}},
                {**meta, "espnet": rng.choice((5, None, "1.2", [1]))},
                {**meta, "espnet_samu": rng.choice((5, None, "9.1.0", {}))},
            )
        )
    path = case.input / "model.zip"
    with zipfile.ZipFile(path, "w", rng.choice((0, zipfile.ZIP_DEFLATED))) as archive:
        archive.writestr("meta.yaml", yaml.safe_dump(meta))
        for name, data in members.items():
            archive.writestr(name, data)
        if change == 7:
            with archive.open("zeros", "w") as out:
                for _ in range(rng.choice((1, 17))):
                    out.write(bytes(2**24))
    if rng.random() < 0.2:
        data = path.read_bytes()
        path.write_bytes(data[: rng.randrange(len(data))])
    write_wave(case.input / "a.wav", noise(rng, 6000))
    (case.input / "wav.scp").write_text(f"utt {case.input}/a.wav\n")
    cmd = [f"--model_tag={path}", f"--output_dir={case.output}", "--num_workers=0"]
    if kind == "samu":
        cmd.append(f"--wav_scp={case.input}/wav.scp,sound")
        return Call(samu_embed.main, cmd)
    cmd += [f"--data_path_and_name_and_type={case.input}/wav.scp,speech,sound"]
    return Call(st_inference.main, [*cmd, "--beam_size=2", "--maxlenratio=-4"])


def checkpoint(case: Case) -> Call:
    """Checkpoints of fairseq, and experiments that are exported."""
    import yaml

    from espnet_samu.bin import fairseq_convert, samu_export

    source = models() / "samu"
    data = (source / "model.pth").read_bytes()
    path = case.input / "model.pth"
    path.write_bytes(bad_checkpoint(case, data))
    (case.input / "evil.pt").write_bytes(pickle.dumps(Canary(case.canary)))
    # The folder of the input must not be replaced.
    output = case.rng.choice((case.output / "model", case.output / "model", case.input))
    if case.rng.random() < 0.5:
        cmd = [f"--checkpoint={path}", f"--output_dir={output}"]
        return Call(fairseq_convert.main, cmd)
    config = yaml.safe_load((source / "config.yaml").read_text())
    text = (source / "config.yaml").read_text()
    if case.rng.random() < 0.3:
        path.write_bytes(data)
        config["init_param"] = [f"{case.input}/evil.pt"]
        text = yaml.safe_dump(config)
    (case.input / "config.yaml").write_text(text)
    cmd = [f"--samu_model_file={path}", f"--output_dir={output}"]
    return Call(samu_export.main, cmd)


KINDS: dict[str, tuple[Callable[[Case], Call], int]] = {
    "manifest": (manifest, 500),
    "covost2": (covost2, 120),
    "europarl": (europarl, 120),
    "selection": (selection, 120),
    "retrieval": (retrieval, 120),
    "batches": (batches, 120),
    "recordings": (recordings, 10),
    "embedding": (embedding, 5),
    "translation": (translation, 5),
    "pack": (pack, 60),
    "checkpoint": (checkpoint, 30),
}
"""Makers of cases and how many there are. A case of recordings has eleven."""


# --- Running cases


def ids_of(path: Path) -> list[str]:
    """Return the first words of a file; none if there is no file."""
    if not path.exists():
        return []
    # As bytes: a lone carriage return ends no line.
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    return [line.split(None, 1)[0] for line in lines if line.strip()]


def write_tables(case: Case, tables: dict[str, list[list[str]]]) -> None:
    """Write tables, one of them mutated."""
    chosen = case.rng.choice(sorted(tables))
    for name, rows in tables.items():
        plain = "".join(" ".join(row) + "\n" for row in rows).encode()
        (case.input / name).write_bytes(
            case.mutate(rows, " ") if name == chosen else plain
        )


class Watch:
    """Notes what Python code starts and where it writes, while ``folder`` is set."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.seen: list[tuple[str, str]] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event == "subprocess.Popen":
            program = os.path.basename(os.fsdecode(args[0]))
            if program not in PROGRAMS:
                self.seen.append(("executed", f"{args[1]}"))
        elif event in ("os.system", "os.exec", "os.posix_spawn"):
            self.seen.append(("executed", f"{args[:2]}"))
        elif event == "open":
            path, _, flags = args
            if flags & (os.O_WRONLY | os.O_RDWR) and not isinstance(path, int):
                self._check(path)
        elif event in ("os.rename", "os.link", "os.symlink"):
            self._check(args[1])
            if event == "os.rename":
                self._check(args[0])
        elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod"):
            self._check(args[0])

    def _check(self, path: Any) -> None:
        if isinstance(path, int) or path is None:
            return
        name = os.path.abspath(os.fsdecode(path))
        allowed = [f"{self.folder}/{part}/" for part in ("out", "home", "tmp")]
        if name in ("/dev/null", str(self.folder)) or "/" not in os.fsdecode(path):
            return  # the latter in a folder that was opened before: shutil.rmtree
        if not f"{name}/".startswith(tuple(allowed)):
            self.seen.append(("outside", name))


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Return sizes and times of everything that a case must not change."""
    found = {}
    for path in [folder, *folder.parent.glob("*")]:
        status = path.lstat()
        found[path.name] = (0, 0) if path.is_dir() else (status.st_size, 0)
    for path in (folder / "in").rglob("*"):
        status = path.lstat()
        size = 0 if path.is_dir() else status.st_size
        found[str(path)] = (size, status.st_mtime_ns)
    return found


def run_case(name: str, seed: int, work: Path, watch: Watch) -> tuple[str, str]:
    """Make and run one case.

    Returns:
        Outcome or violation, and what was seen.
    """
    from espnet_samu.utils.command import run

    kind, _, number = name.partition("/")
    case = Case(work / f"{kind}_{number}", name, seed)
    call = KINDS[kind][0](case)
    before = snapshot(case.folder)
    printed, status, seen = io.StringIO(), 0, ""
    environment = {"HOME": f"{case.folder}/home", "TMPDIR": f"{case.folder}/tmp"}
    (case.folder / "tmp").mkdir()
    saved = {key: os.environ.get(key) for key in environment}
    os.environ.update(environment)
    tempfile.tempdir = None
    start = time.process_time()
    watch.seen.clear()
    watch.folder = case.folder
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            run(call.main, call.cmd)
    except SystemExit as end:
        status = end.code or 0
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        seen = "".join(traceback.format_exception(error)[-3:])
    finally:
        watch.folder = None
        for key, value in saved.items():
            if value is None:
                os.environ.pop(key)
            else:
                os.environ[key] = value
        tempfile.tempdir = None
    seconds = time.process_time() - start
    executed = [what for how, what in watch.seen if how == "executed"]
    outside = [what for how, what in watch.seen if how == "outside"]
    after = snapshot(case.folder)
    outside += sorted(k for k in {*before, *after} if before.get(k) != after.get(k))
    if case.canary.exists():
        return "executed", f"the canary is there; {executed}"
    if executed:
        return "executed", f"{executed}"
    if outside:
        return "outside", f"{outside[:3]}"
    if seen:
        return "traceback", seen
    if seconds > SLOWEST:
        return "slow", f"{seconds:.0f} s"
    message = printed.getvalue()
    if status and not call.goes_on:
        if "rror: " not in message or "Traceback" in message:
            return "traceback", f"status {status}: {message[-500:]}"
        return "refused", message.strip().rpartition("\n")[2]
    try:
        lost = list(call.find_lost())
    except Exception as error:
        lost = [f"what was kept cannot be told: {error!r}; {message[-500:]}"]
    if lost:
        return "lost", f"{lost[:5]}"
    return ("refused" if status else "accepted"), ""


def get_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", help="One case, e.g. manifest/17; its folder is kept")
    parser.add_argument(
        "--kinds", default=",".join(KINDS), help="Some kinds, by commas"
    )
    parser.add_argument(
        "--share", type=float, default=1.0, help="Of the number of cases of each kind"
    )
    return parser


def main(cmd: list[str] | None = None) -> int:
    """Run from the command line.

    Returns:
        Exit status: 1 if there was a violation.
    """
    args = get_parser().parse_args(cmd)
    watch = Watch()
    work = Path(tempfile.mkdtemp(prefix="fuzz"))
    names = [args.case] if args.case else []
    if not names:
        for kind in args.kinds.split(","):
            count = max(1, round(KINDS[kind][1] * args.share))
            names += [f"{kind}/{number}" for number in range(count)]
    counts: dict[str, Counter[str]] = {}
    for name in names:
        outcome, seen = run_case(name, args.seed, work, watch)
        counts.setdefault(name.partition("/")[0], Counter())[outcome] += 1
        if outcome in VIOLATIONS or args.case:
            print(f"{outcome}: --seed {args.seed} --case {name}\n{seen}", flush=True)
        if not args.case:
            shutil.rmtree(work / name.replace("/", "_"), ignore_errors=True)
    columns = (*OUTCOMES, *VIOLATIONS)
    print(f"{'kind':<12}{'cases':>7}" + "".join(f"{name:>11}" for name in columns))
    for kind, found in [*counts.items(), ("all", sum(counts.values(), Counter()))]:
        numbers = "".join(f"{found[name]:>11}" for name in columns)
        print(f"{kind:<12}{found.total():>7}{numbers}")
    if args.case:
        print(f"its folder is {work}")
    else:
        shutil.rmtree(work, ignore_errors=True)
    for folder in _models:
        shutil.rmtree(folder, ignore_errors=True)
    return int(any(found[name] for found in counts.values() for name in VIOLATIONS))


if __name__ == "__main__":
    sys.exit(main())
