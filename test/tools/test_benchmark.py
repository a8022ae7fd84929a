"""Every benchmark at a tiny size: it runs, and its last line has the figures."""

import argparse
import importlib
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

# What benchmarks import when they run: here it does not count for a test's time.
from espnet2.asr.decoder import hugging_face_transformers_decoder  # noqa: F401
from espnet2.legacy.nets import batch_beam_search  # noqa: F401
from transformers import BertModel, Wav2Vec2BertModel, Wav2Vec2Model  # noqa: F401

from espnet_samu import samu_model, st_model  # noqa: F401
from espnet_samu.decoding import beam_search  # noqa: F401

FOLDER = Path(__file__).parents[2] / "tools" / "benchmark"


@pytest.fixture(autouse=True)
def threads():
    """Benchmarks set the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def load(monkeypatch):
    """Imports a benchmark, as a script finds its neighbours."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


@pytest.fixture
def last_line(monkeypatch, capsys):
    """Runs a main function; the figures that it prints."""

    def run(main, *options):
        monkeypatch.setattr(sys, "argv", ["benchmark", *options])
        main()
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return run


def test_decode(load, last_line):
    options = "--cells 40:6:2 --dim 16 --layers 1 --frames 10 --repeats 1"
    figures = last_line(load("decode").main, *options.split())
    (cell,) = figures["cells"]
    assert cell["same_tokens_beam_search"] == cell["same_tokens_generate"] == 1.0
    assert set(cell["seconds"]) == {"raw", "generate", "int8", "beam_search"}
    factors = cell["real_time_factor"]
    # 2 x 10 frames of 20 ms
    assert factors["generate"] == pytest.approx(cell["seconds"]["generate"] / 0.4)


def test_distill(load, last_line, monkeypatch):
    distill = load("distill")
    monkeypatch.setattr(distill, "peak_of", lambda name, argv: 1.0)
    options = "--teacher small --batch_size 2 --seconds 0.5 --tokens 4 --repeats 1"
    figures = last_line(distill.main, *options.split())
    assert figures["ratio"] > 0 and figures["memory_saved_gib"] == 0


@pytest.mark.parametrize("kind", ["samu", "st"])
def test_overhead(load, last_line, kind):
    options = f"--kinds {kind} --batch_size 2 --seconds 0.5 --repeats 1 --warmup 0"
    figures = last_line(load("overhead").main, *options.split())[kind]
    # The plain loop trains the same model.
    assert figures["difference_of_gradients"] < 1e-4
    seconds = figures["cpu_seconds"]
    assert figures["ratio"] == pytest.approx(seconds["trainer"] / seconds["plain"])


GPU_SECTIONS = "frontends decoder ddp training student translation frames_cache".split()


@pytest.mark.timeout(40)  # two trainings through ESPnet's trainer
@pytest.mark.parametrize("name", GPU_SECTIONS)
def test_gpu_check(load, name):
    """A section on the CPU with tiny models: all checks pass."""
    gpu_check, rows = load("gpu_check"), []
    assert list(gpu_check.SECONDS) == GPU_SECTIONS
    section = getattr(load("gpu_speed"), name, None)
    section = section or getattr(load("gpu_correctness"), name)
    section(lambda *row: rows.append(gpu_check.Row(*row)), "cpu", True)
    assert rows and all(row.is_good for row in rows), rows


def test_gpu_check_goes_on(load, monkeypatch, capsys):
    """An error, a crash, a slow section and a failed check are reported."""
    gpu_check, sections = load("gpu_check"), load("gpu_correctness")

    def frontends(note, device, tiny):
        note("frames", 0.5, None, 0.1)

    def decoder(note, device, tiny):
        note("logits", 0.0, None, 0.1)
        raise RuntimeError("no kernel")

    def training(note, device, tiny):
        os._exit(3)

    def ddp(note, device, tiny):
        time.sleep(60)

    names = ["frontends", "decoder", "training", "ddp"]
    for name, section in zip(names, (frontends, decoder, training, ddp)):
        monkeypatch.setattr(sections, name, section, raising=False)
    monkeypatch.setitem(gpu_check.SECONDS, "ddp", 0.2)
    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(gpu_check, "CONTEXT", fork)
    with pytest.raises(SystemExit) as info:
        gpu_check.main(["--dry_run", "--sections", *names])
    assert info.value.code == 1
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert figures["failed"] == ["frontends: frames", "decoder", "training", "ddp"]
    errors = {name: found["error"] for name, found in figures["sections"].items()}
    assert errors == {
        "frontends": "",
        "decoder": "RuntimeError: no kernel",
        "training": "ended with exit status 3",
        "ddp": "stopped after 0.2 s",
    }
    assert figures["sections"]["decoder"]["figures"] == {"logits": 0.0}


def test_start(load, last_line, monkeypatch):
    start = load("start")
    monkeypatch.setattr(start, "measure", lambda name, folder: start_seconds(name))
    figures = last_line(start.main, "--repeats", "1")
    assert figures["cpu_seconds"] == {"base": 2.0, "ours": 3.0}
    assert figures["ratio"] == 1.5


def start_seconds(name):
    """CPU and clock of a process that is not started."""
    return {"base": (2.0, 4.0), "ours": (3.0, 5.0)}[name]


@pytest.fixture
def full_size(load, monkeypatch):
    """The benchmark with small models, measured in this process."""
    module = load("full_size")
    tiny = dict(
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=[16] * 7,
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )
    monkeypatch.setitem(module.SIZES, "300M", {"hidden_size": 1024, **tiny})
    monkeypatch.setattr(module, "COMMON", {"model_type": "wav2vec2"})
    sense = {**module.W2V_BERT, "num_hidden_layers": 1, "intermediate_size": 16}
    monkeypatch.setattr(module, "W2V_BERT", sense)
    small = {**module.MBART_LARGE, "decoder_layers": 1, "decoder_ffn_dim": 16}
    monkeypatch.setattr(module, "MBART_LARGE", small)
    monkeypatch.setattr(module, "FULL", 60)
    monkeypatch.setattr(module, "MODELS", {"whole model": []})
    # Collecting takes 0.3 s with all of these imports.
    monkeypatch.setattr(module, "gc", SimpleNamespace(collect=lambda: 0))

    def measure_here(options):
        args = module.get_parser().parse_args(options)
        return json.loads(json.dumps(module.measure(args)))

    monkeypatch.setattr(module, "measure_apart", measure_here)
    return module


def test_full_size_model(full_size, last_line):
    options = "--trimmed 40 --batch_size 2 --seconds 0.3 --tokens 5"
    figures = last_line(full_size.main, *options.split())
    assert [r["vocab"] for r in figures["results"]] == [60, 40]
    assert figures["results"][0]["parameters"]["frontend"]["trainable"] > 0
    assert len(figures["trimmed_over_full"]) == 9


def test_frames(load, last_line):
    options = "--batches 2 --batch_size 2 --seconds 1 --tokens 4"
    figures = last_line(load("frames").main, *options.split())
    assert figures["times_as_fast"] > 0
    # 25 frames of 80 ms in 2 s, 144 numbers of 2 bytes each
    assert figures["gb_per_hour_of_speech"] == pytest.approx(0.0128, rel=0.2)


def test_full_size_seamless(full_size, last_line, monkeypatch):
    sizes = {"hidden_size": 16, "speech_encoder_layers": 1, "decoder_layers": 1}
    sizes |= {"decoder_ffn_dim": 16, "speech_encoder_intermediate_size": 16}
    monkeypatch.setattr(full_size, "SEAMLESS", {**full_size.SEAMLESS, **sizes})
    monkeypatch.setattr(full_size, "SEAMLESS_FULL", 60)
    options = "--seamless --batch_size 2 --seconds 0.5 --tokens 5"
    lna, lora = last_line(full_size.main, *options.split())["results"]
    trained = [r["parameters"]["all"]["trainable"] for r in (lna, lora)]
    assert lna["trainable"] == "lna_ed" and lora["trainable"] == "adapters"
    assert lna["vocab"] == 60 and trained[0] > trained[1] > 0


@pytest.mark.parametrize("size", ["300M", "SENSE"])
def test_full_size_student(full_size, last_line, size):
    options = f"--student {size} --seconds 0.3 --updates 2"
    figures = last_line(full_size.main, *options.split())
    assert figures["batch_size"] == 1 and len(figures["loss_by_update"]) == 2
    projector = figures["parameters"].get("projector", {"total": 0})["total"]
    assert projector == (0 if size == "SENSE" else 1024 * 768 + 768)


def test_retrieval(load):
    retrieval = load("retrieval")
    # Both in this process: another one would import everything again.
    figures = {
        name: retrieval.run(name, 300, 16, 1.0, 4)
        for name in ("ours", "ranks", "naive")
    }
    assert figures["ours"]["r1"] == figures["naive"]["r1"] == figures["ranks"]["r1"]
    assert 0 < figures["ours"]["r1"] < 1


def test_sampler(load, tmp_path):
    sampler = load("sampler")
    args = sampler.get_parser().parse_args(
        ["--utterances", "2000", "--batch_bins", "100000", "--repeats", "1"]
    )
    args = argparse.Namespace(**{**vars(args), "folder": tmp_path})
    sampler.make_corpus(tmp_path, 2000)
    assert all(value >= 0 for value in sampler.measure_large(args).values())
    assert "ours" in sampler.measure_pairwise(args)


def test_window(load, last_line, monkeypatch):
    window = load("window")
    small = {"d_model": 16, "encoder_layers": 1, "encoder_attention_heads": 2}
    sizes = {
        **small,
        "encoder_ffn_dim": 16,
        "max_source_positions": 200,
        "init_std": 1.0,
    }
    monkeypatch.setattr(window, "BASE", {"model_type": "whisper", **sizes})
    # Not installed in every environment, and then left out.
    monkeypatch.setattr(window, "build_espnet", lambda frontend: None)
    options = "--windows 4 3 --utterances 2 --repeats 1"
    figures = last_line(window.main, *options.split())
    assert all(1 <= seconds <= 3 for seconds in figures["seconds_of_speech"])
    times = figures["cpu_ms_per_utterance"]
    # The third window is as long as the longest utterance, which may have 3 s.
    assert times["alone"].keys() == times["batch"].keys()
    assert {"window 4 s", "window 3 s"} <= times["batch"].keys()
    cosines = figures["cosine_to_30_s"]
    assert min(cosines["window 4 s"]) > 0.9999 > min(cosines["window 3 s"])


def test_prepare(load, last_line, monkeypatch):
    prepare = load("prepare")
    monkeypatch.setattr(prepare, "measure_apart", prepare.measure)
    figures = last_line(prepare.main, *"--rows 60 --scenario en2x --clips 2".split())
    assert 0 < figures["ours_times_plain"] < 100
    for corpus in ("manifest", "covost2", "covost2_parquet"):
        assert figures[f"{corpus}_wall_seconds"] > 0
        assert figures[f"{corpus}_cpu_seconds"] > 0
        assert 0 < figures[f"{corpus}_peak_gb"] < 100
