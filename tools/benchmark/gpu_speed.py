"""Sections of gpu_check.py that train: the mini recipe, and models of published sizes.

See gpu_correctness.py.
"""

import functools
import statistics
import tempfile
from pathlib import Path
from typing import Any

import frames
import full_size
import torch
import yaml
from distill import build_student
from gpu_correctness import Note, batch_of_noise, exact
from report import clock_of, peak_memory, time_pairwise

CONF = Path(__file__).parents[2] / "egs2/mini_asterisk/samu_st1/conf"
WORDS = 6
SECONDS_OF_A_WORD = 0.4


def make_corpus(folder: Path, n_utterances: int) -> None:
    """Write spoken sentences of three words of six: a word is a chord, with noise."""
    import numpy as np
    import soundfile

    from espnet_samu.utils.kaldi_io import write_text, write_vectors

    generator = np.random.default_rng(0)
    time = np.arange(int(SECONDS_OF_A_WORD * 16000)) / 16000
    chords = generator.uniform(200, 3000, (WORDS, 3))
    meanings = generator.normal(size=(3, WORDS, 128))
    files, texts, sizes, vectors = {}, {}, {}, []
    for i in range(n_utterances):
        name = f"utt{i:04d}"
        words = generator.integers(WORDS, size=3)
        tones = [np.sin(2 * np.pi * np.outer(chords[w], time)).mean(0) for w in words]
        speech = 0.3 * np.concatenate(tones)
        speech += generator.normal(0, 0.01, len(speech))
        files[name] = str(folder / f"{name}.wav")
        soundfile.write(files[name], speech, 16000)
        texts[name] = " ".join(f"word{w}" for w in words)
        sizes[name] = str(len(speech))
        vector = sum(meanings[place, w] for place, w in enumerate(words))
        vectors.append((name, (vector / np.linalg.norm(vector)).astype(np.float32)))
    for name, content in (("wav.scp", files), ("text", texts), ("shape", sizes)):
        write_text(folder / name, content)
    write_vectors(folder, vectors)
    words = "\n".join(f"word{w}" for w in range(WORDS))
    (folder / "tokens").write_text(f"<blank>\n<unk>\n{words}\n<sos/eos>\n")


def train(
    task: Any,
    folder: Path,
    name: str,
    schedule: tuple[int, int],
    ngpu: int,
    **conf: Any,
) -> dict[int, Any]:
    """Train by a configuration of the mini recipe, in bfloat16.

    Args:
        task: ESPnet's.
        folder: Has the data; the experiment goes into it.
        name: ``samu`` or ``st``.
        schedule: Number of epochs, and of updates in each.
        ngpu: 1, or 0 for the CPU.
        conf: What is different.

    Returns:
        Statistics by epoch.
    """
    file = {"samu": "train_samu.yaml", "st": "train_st.yaml"}[name]
    epochs, updates = schedule
    conf = {**yaml.safe_load((CONF / file).read_text(encoding="utf-8")), **conf}
    warmup = epochs * updates // 10 + 1
    conf["scheduler_conf"].update(first_cycle_steps=epochs * updates + 1)
    conf["scheduler_conf"].update(warmup_steps=warmup)
    conf.update(max_epoch=epochs, num_iters_per_epoch=updates, num_workers=2 * ngpu)
    conf["use_amp"] = ngpu > 0
    conf["frontend_conf"]["dtype"] = "bfloat16"
    (folder / file).write_text(yaml.safe_dump(conf), encoding="utf-8")
    answers = {"samu": "embed.scp,embed,kaldi_ark", "st": "text,text,text"}
    cmd = ["--config", f"{folder}/{file}", "--output_dir", f"{folder}/{name}"]
    cmd += ["--ngpu", str(ngpu)]
    for part in ("train", "valid"):
        cmd += [f"--{part}_shape_file", f"{folder}/shape"]
        for triple in ("wav.scp,speech,sound", answers[name]):
            cmd += [f"--{part}_data_path_and_name_and_type", f"{folder}/{triple}"]
    task.main(cmd=cmd)
    state = torch.load(folder / name / "checkpoint.pth", weights_only=False)
    return state["reporter"]["stats"]


def training(note: Note, device: str, tiny: bool) -> None:
    """Both trainings of the mini recipe in bfloat16, and decoding on both devices."""
    import soundfile

    from espnet_samu.speech2text import Speech2Text
    from espnet_samu.tasks.samu import SAMUTask
    from espnet_samu.tasks.st import STTask

    exact()
    ngpu, schedule = int(device != "cpu"), (1, 1) if tiny else (3, 100)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_corpus(folder, 4 if tiny else 300)

        def learn(task: Any, kind: str, what: str, **conf: Any) -> None:
            stats = train(task, folder, kind, schedule, ngpu, **conf)
            last = stats[schedule[0]]
            gain = last["valid"][what] - stats[1]["valid"][what]
            note(f"{kind}: {what}", last["valid"][what])
            note(f"{kind}: gain since the first epoch", gain, 0.0)
            note(f"{kind}: updates/s", 1 / last["train"]["train_time"])

        learn(SAMUTask, "samu", "cos_right")
        learn(
            *(STTask, "st", "acc"),
            samu_model=f"{folder}/samu/valid.cos_right.best.pth",
            token_type="word",
            token_list=f"{folder}/tokens",
            src_token_type="none",
        )
        recordings = sorted(folder.glob("*.wav"))[:16]
        speeches = [soundfile.read(file, dtype="float32")[0] for file in recordings]
        files = folder / "st" / "config.yaml", folder / "st" / "valid.acc.best.pth"

        def translate(backend: str, device: str, dtype: str) -> list[str]:
            options = {"maxlenratio": -6.0, "backend": backend, "dtype": dtype}
            model = Speech2Text(*files, device=device, **options)
            return [best[0].text for best in model.batch(speeches)]

        expected = translate("generate", "cpu", "float32")
        for backend in ("generate", "beam_search"):
            for dtype in ("float32", "bfloat16"):
                found = translate(backend, device, dtype)
                same = statistics.mean(a == b for a, b in zip(found, expected))
                # Those of few updates are close to each other.
                lowest = 0.9 if dtype == "float32" else None
                note(f"{backend}, {dtype}: same translations", same, lowest)


def peak_gib(device: str) -> float:
    """Return the most memory in GiB that was taken since the last call."""
    if device == "cpu":
        return peak_memory()
    peak = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return peak


def student(note: Note, device: str, tiny: bool) -> None:
    """Updates of a student of XLS-R 300M's size."""
    for dtype in ("float32", "bfloat16"):
        if tiny:
            model = build_student("tiny")
        else:
            model = full_size.build_student("300M", dtype, False)
        model.to(device).train()
        n, seconds = (2, 0.5) if tiny else (16, 10)
        speech, lengths = batch_of_noise([int(seconds * 16000)] * n)
        embed = torch.randn(n, model.projector.output_size())
        batch = tuple(x.to(device) for x in (speech, lengths, embed))
        frames.epoch(model, [batch])
        peak_gib(device)
        n_updates = 1 if tiny else 8
        took = frames.epoch(model, [batch] * n_updates)
        note(f"{dtype}: updates/s, {n} x {seconds} s", n_updates / took)
        note(f"{dtype}: hours of speech/s", n * seconds * n_updates / took / 3600)
        note(f"{dtype}: peak GiB", peak_gib(device))
        del model


def translation(note: Note, device: str, tiny: bool) -> None:
    """Training and decoding of XLS-R 300M's and mBART-50's sizes, all tokens."""
    from espnet_samu.utils.torch_modules import without_autocast

    if tiny:
        model = frames.mini_model()
    else:
        options = ["--vocab", str(full_size.FULL)]
        model = full_size.build(full_size.get_parser().parse_args(options))
    model.to(device)
    for dtype in ("float32", "bfloat16"):
        model.frontend.dtype = model.decoder.dtype = getattr(torch, dtype)
        model.train()
        n, seconds = (2, 0.5) if tiny else (8, 10)
        speech, lengths = (
            x.to(device) for x in batch_of_noise([int(seconds * 16000)] * n)
        )
        batch = speech, lengths, *full_size.random_text(model, speech, 40)
        frames.epoch(model, [batch])
        peak_gib(device)
        n_updates = 1 if tiny else 6
        took = frames.epoch(model, [batch] * n_updates)
        note(f"{dtype}: updates/s, {n} x {seconds} s", n_updates / took)
        note(f"{dtype}: peak GiB", peak_gib(device))
    without_autocast(model).eval()
    n_tokens = 4 if tiny else 40
    for dtype in ("float32", "bfloat16"):
        model.to(getattr(torch, dtype))
        for n in (1, 2) if tiny else (1, 8, 32):
            speech, lengths = batch_of_noise([int(seconds * 16000)] * n)
            speech = speech.to(device, getattr(torch, dtype))
            lengths = lengths.to(device)
            backends = {
                backend: functools.partial(
                    full_size.decode, model, speech, lengths, n_tokens, backend
                )
                for backend in ("generate", "beam_search")
            }
            took = time_pairwise(backends, 1 if tiny else 2, clock=clock_of(device))
            for backend, value in took.items():
                factor = value / (n * seconds)
                note(f"{dtype}, batch {n}, {backend}: real-time factor", factor)
            ratio = took["generate"] / took["beam_search"]
            note(f"{dtype}, batch {n}: beam_search over generate", ratio)
        note(f"{dtype}: decoding, peak GiB", peak_gib(device))


def frames_cache(note: Note, device: str, tiny: bool) -> None:
    """Epochs with the frames of a frozen encoder kept, and without."""
    options = ["--device", device, "--batches", "1" if tiny else "6"]
    options += [
        "--batch_size",
        "2" if tiny else "8",
        "--seconds",
        "1" if tiny else "10",
    ]
    if not tiny:
        options += ["--size", "300M"]
    figures = frames.measure(frames.get_parser().parse_args(options))
    for name, value in figures.items():
        note(name.replace("_", " "), value)
