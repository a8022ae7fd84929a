"""setup.sh makes a recipe that a user's own recordings go through."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from espnet_samu.bin import new_recipe

ROOT = Path(__file__).parents[3]
MINI = ROOT / "egs2" / "mini_asterisk" / "samu_st1"
TEMPLATE = ROOT / "egs2" / "TEMPLATE"
LINKS = {
    "samu_st.sh": "../../TEMPLATE/samu_st1/samu_st.sh",
    "st.sh": "../../TEMPLATE/st1/st.sh",
    "path.sh": "../../TEMPLATE/st1/path.sh",
    "db.sh": "../../TEMPLATE/asr1/db.sh",
    "scripts": "../../TEMPLATE/asr1/scripts",
    "pyscripts": "../../TEMPLATE/asr1/pyscripts",
    "utils": "../../TEMPLATE/asr1/utils",
    "steps": "../../TEMPLATE/asr1/steps",
}
HEADER = "id audio language transcript translation target_language".split()


def call(command, cwd):
    """Run a command and return its status and all that it said."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.returncode, result.stdout


def setup(tree, folder="egs2/my_corpus/samu_st1"):
    """Run setup.sh as a user does, from the top of the tree."""
    return call(["egs2/TEMPLATE/samu_st1/setup.sh", folder], tree)


def listing(folder):
    """Everything below a folder, links as links."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def tree(tmp_path):
    """A checkout: egs2/TEMPLATE and tools."""
    template = tmp_path / "egs2" / "TEMPLATE"
    template.mkdir(parents=True)
    for name in ("asr1", "st1", "samu_st1"):
        (template / name).symlink_to((TEMPLATE / name).resolve())
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    return tmp_path


@pytest.fixture
def recipe(tree):
    """A recipe by setup.sh."""
    status, output = setup(tree)
    assert status == 0, output
    return tree / "egs2" / "my_corpus" / "samu_st1"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two recordings of people as .wav files, with what they say."""
    folder = tmp_path_factory.mktemp("recordings")
    names = {}
    with tarfile.open(MINI / "downloads.tar.gz") as archive:
        for member in archive:
            lang = Path(member.name).parts[2:3]
            if member.name.endswith(".flac") and lang and lang[0] not in names:
                archive.extract(member, folder, filter="data")
                names[lang[0]] = folder / f"{lang[0]}.wav"
                soundfile.write(names[lang[0]], *soundfile.read(folder / member.name))
            if len(names) == 2:
                break
    return names


def write_manifest(path, rows):
    """Write a manifest of the required columns."""
    lines = ["\t".join(row) for row in [HEADER, *rows]]
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture
def manifests(recordings, tmp_path):
    """train, dev and two test manifests in a folder with the recordings."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = []
    for lang, wav in recordings.items():
        shutil.copy(wav, folder)
        rows.append([f"{lang}1", wav.name, lang, f"words in {lang}", "words", "en"])
    for name in ("train", "dev", "test", "test2"):
        write_manifest(folder / f"{name}.tsv", rows)
    return folder


def stage_1(recipe, manifests, tests="test.tsv"):
    """Run stage 1 through run.sh, samu_st.sh, st.sh and local/data.sh."""
    tests = ",".join(str(manifests / test) for test in tests.split(","))
    options = f"--manifest {manifests}/train.tsv --valid_manifest {manifests}/dev.tsv"
    options += f" --test_manifests {tests}"
    command = ["./run.sh", "--stop_stage", "1", "--ngpu", "0"]
    return call([*command, "--local_data_opts", options], recipe)


def test_links_and_files(recipe):
    for name, target in LINKS.items():
        link = recipe / name
        assert str(link.readlink()) == target
        assert link.exists(), f"{name} leads nowhere"
    for name in ("run.sh", "local/data.sh"):
        assert (recipe / name).stat().st_mode & 0o111, f"{name} cannot be run"
    for name in ("cmd.sh", "conf/pbs.conf", "conf/queue.conf", "conf/slurm.conf"):
        original = TEMPLATE / "st1" / name
        assert (recipe / name).read_bytes() == original.read_bytes()
    assert listing(recipe / "conf") == sorted(
        listing(TEMPLATE / "samu_st1" / "conf")
        + ["pbs.conf", "queue.conf", "slurm.conf"]
    )
    assert (recipe / "local" / "path.sh").is_file()


def test_same_links_as_the_mini_recipe():
    links = {p.name: str(p.readlink()) for p in MINI.iterdir() if p.is_symlink()}
    assert links == LINKS


def test_an_old_recipe_is_kept(tree, recipe):
    (recipe / "run.sh").write_text("mine")
    before = listing(recipe)
    status, output = setup(tree)
    assert status == 1
    assert "already holds a recipe: it has run.sh" in output
    assert (recipe / "run.sh").read_text() == "mine"
    assert listing(recipe) == before


def test_wrong_place(tree):
    before = listing(tree)
    status, output = setup(tree, "egs2/my_corpus")
    assert status == 1
    assert "TEMPLATE should exist" in output
    assert listing(tree) == before


def test_without_espnet(tree):
    link = tree / "egs2" / "TEMPLATE" / "st1"
    link.unlink()
    link.symlink_to("../../nowhere/egs2/TEMPLATE/st1")
    status, output = setup(tree)
    assert status == 1
    assert f"make -C {tree}/tools setup" in output
    assert not (tree / "egs2" / "my_corpus").exists()


def test_clone_of_espnet_without_our_template(tree, capsys):
    """What the package holds is brought there, once; what is there is kept."""
    ours = tree / "egs2" / "TEMPLATE" / "samu_st1"
    ours.unlink()
    assert new_recipe.main([str(tree / "egs2/one/samu_st1")]) == 0
    assert str(ours) in capsys.readouterr().out
    assert list(new_recipe.different_files(TEMPLATE / "samu_st1", ours)) == []
    assert (ours / "samu_st.sh").stat().st_mode & 0o111
    assert (tree / "egs2/one/samu_st1/samu_st.sh").resolve() == ours / "samu_st.sh"
    (ours / "conf" / "train_st.yaml").write_text("frontend: mine\n")
    assert new_recipe.main([str(tree / "egs2/two/samu_st1")]) == 0
    assert str(ours) not in capsys.readouterr().out
    copy = tree / "egs2/two/samu_st1/conf/train_st.yaml"
    assert copy.read_text() == "frontend: mine\n"
    names = list(new_recipe.different_files(TEMPLATE / "samu_st1", ours))
    assert names == ["conf/train_st.yaml"]


def test_no_argument(tree):
    status, output = call(["egs2/TEMPLATE/samu_st1/setup.sh"], tree)
    assert status == 2
    assert "Usage:" in output


def test_own_recordings(recipe, manifests):
    status, output = stage_1(recipe, manifests, "test.tsv,test2.tsv")
    assert status == 0, output
    data = recipe / "data"
    sets = ["dev", "test", "test2", "train"]
    assert {p.name for p in data.iterdir()} == {".sets", "local", *sets}
    assert (data / ".sets").read_text().split() == ["train", "dev", "test", "test2"]
    files = {p.name for p in (data / "train").iterdir()}
    assert {"wav.scp", "utt2spk", "spk2utt", "utt2lang", "utt2tgt_lang"} < files
    lines = (data / "train" / "text.tc.en").read_text("utf-8").splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == ["words", "words"]
    for line in (data / "train" / "wav.scp").read_text("utf-8").splitlines():
        assert soundfile.info(recipe / line.split()[1]).samplerate == 16000
    assert "of 2 utterances of test2, 2 are recordings of a training set" in output


def test_parquet_files(recipe, manifests):
    """Training data with the recordings inside, beside manifests of the others."""
    wavs = sorted(manifests.glob("*.wav"))
    audio = [{"bytes": f.read_bytes(), "path": f.name} for f in wavs]
    table = pa.table({"n": [1, 2], "audio": audio, "said": ["un", "deux"]})
    (manifests / "own").mkdir()
    pq.write_table(table, manifests / "own" / "train-00000-of-00001.parquet")
    options = f"--manifest {manifests}/own:train --valid_manifest {manifests}/dev.tsv"
    options += f" --test_manifests {manifests}/test.tsv --columns id=n,transcript=said"
    options += ",translation=said,language:fr,target_language:en"
    command = ["./run.sh", "--stop_stage", "1", "--ngpu", "0"]
    status, output = call([*command, "--local_data_opts", options], recipe)
    assert status == 0, output
    said = (recipe / "data" / "train" / "text.tc.multi").read_text()
    assert said == "1 un\n2 deux\n"


def test_manifest_with_a_blank(recipe, manifests):
    manifest = (manifests / "train.tsv").rename(manifests / "my train.tsv")
    status, output = call(
        ["local/data.sh", "--manifest", *f"{manifest}".split()], recipe
    )
    assert status == 2
    assert "required: 'train.tsv'. A path within --local_data_opts cannot" in output


def test_mistake_in_a_manifest(recipe, manifests):
    rows = [["u1", "nowhere.wav", "fr", "un", "one", "en"]]
    write_manifest(manifests / "test.tsv", rows)
    status, output = stage_1(recipe, manifests)
    assert status != 0
    assert f"{manifests}/test.tsv:2: audio file missing: " in output
    # Nothing is written of the good ones either.
    assert not (recipe / "data").exists() or listing(recipe / "data") == []


@pytest.mark.timeout(60)
def test_stopped_formatting(recipe, manifests):
    """What stage 3 left half done is not used."""
    assert stage_1(recipe, manifests)[0] == 0
    options = ["--ngpu", "0", "--nj", "1", "--samu_model", "none.pth"]
    wav = sorted((recipe / "dump" / "clips").glob("*.flac"))[-1]
    wav.rename(manifests / "away")
    stage_3 = ["./run.sh", "--stage", "3", "--stop_stage", "4", *options]
    assert call(stage_3, recipe)[0] != 0
    for stage in ("4", "10"):
        command = ["./run.sh", "--stage", stage, "--stop_stage", stage, *options]
        status, output = call(command, recipe)
        assert status == 1, output
        assert "stage 3 or 4 was stopped while it wrote dump/raw/dev: run" in output
    (manifests / "away").rename(wav)
    status, output = call(stage_3, recipe)
    assert status == 0, output
    assert len((recipe / "dump/raw/train/wav.scp").read_text().splitlines()) == 2
    assert not list((recipe / "dump" / "raw").glob(".unfinished*"))


CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize("recipe", "TEMPLATE covost2 europarl fleurs tuxpaint".split())
def test_audio_is_decoded_on_all_cores(recipe):
    """Though path.sh, which st.sh sources before it, sets OMP_NUM_THREADS to 1."""
    folder = ROOT / "egs2" / recipe / "samu_st1"
    result = subprocess.run(
        [folder / "local" / "data.sh", "--help"],
        cwd=MINI if recipe == "TEMPLATE" else folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert f'default: the cores, "{CORES}"' in result.stdout + result.stderr


@pytest.mark.parametrize("recipe", ["mini_asterisk", "tuxpaint"])
@pytest.mark.parametrize("threads", ["", "1"])
def test_training_is_on_all_cores(recipe, threads):
    result = subprocess.run(
        ["bash", "-c", ". ./path.sh; echo threads: ${OMP_NUM_THREADS}"],
        cwd=ROOT / "egs2" / recipe / "samu_st1",
        env=os.environ | {"threads": threads},
        capture_output=True,
        text=True,
    )
    assert f"threads: {threads or CORES}\n" in result.stdout


def test_at_the_top_of_a_container(monkeypatch):
    monkeypatch.chdir("/")
    with pytest.raises(
        new_recipe.RecipeError, match="^/TEMPLATE should exist: <target"
    ):
        new_recipe.new_recipe(Path("my_corpus"))


def test_a_split_keeps_its_name(tree):
    """Of parquet files; of a manifest the name without .tsv."""
    assert setup(tree)[0] == 0
    folder = tree / "egs2" / "my_corpus" / "samu_st1"
    (folder / "hub").mkdir()
    command = ["local/data.sh", "--manifest", "hub:train.clean.100"]
    status, output = call([*command, "--python", "echo"], folder)
    assert "--output_dir data/train.clean.100 " in output
    (folder / "a.b.tsv").write_text("")
    command[2] = "a.b.tsv"
    assert "--output_dir data/a.b " in call([*command, "--python", "echo"], folder)[1]
