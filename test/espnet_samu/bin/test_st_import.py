import pytest
import torch

from espnet_samu.bin import st_import
from espnet_samu.speech2text import Speech2Text
from espnet_samu.tasks.st import STTask

LORA = {part: {"type": "lora", "size": 2} for part in ("encoder", "decoder")}


def test_options(monkeypatch):
    seen = []
    monkeypatch.setattr(st_import, "import_st", lambda *args: seen.append(args))
    st_import.main(["--from", "user/model", "--output_dir", "exp/st_x"])
    st_import.main(
        [
            "--from=folder",
            "--output_dir=exp/st_x",
            "--revision=v1",
            "--tgt_lang_token=de_DE",
        ]
    )
    assert seen == [
        ("user/model", "exp/st_x", None, None),
        ("folder", "exp/st_x", "v1", "de_DE"),
    ]
    with pytest.raises(SystemExit):
        st_import.main(["--output_dir=exp/st_x"])


@pytest.fixture(scope="module")
def trained(st_cmd, tmp_path_factory):
    """Folder of a model with LoRA that is not 0, and target languages."""
    folder = tmp_path_factory.mktemp("lora")
    STTask.main(
        cmd=st_cmd(folder, "--dry_run=true", adapters=LORA, tgt_lang_token="en_XX")
    )
    torch.manual_seed(0)
    model, _ = STTask.build_model_from_file(folder / "config.yaml")
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    torch.save(model.state_dict(), folder / "model.pth")
    return folder


@pytest.fixture
def rewrite(trained, tmp_path):
    """Runs the command; returns the new checkpoint."""

    def run(*options):
        out = tmp_path / "out"
        cmd = [f"--from={trained}/model.pth", f"--output_dir={out}", *options]
        st_import.main(cmd)
        return out / "valid.acc.best.pth"

    return run


def translate(checkpoint, lang="en"):
    speech = torch.randn(4000, generator=torch.Generator().manual_seed(0)) * 0.1
    speech2text = Speech2Text(st_model_file=checkpoint, beam_size=2, maxlenratio=-4)
    return speech2text(speech, tgt_lang=lang)[0]


def test_lora_is_merged(trained, rewrite):
    merged = rewrite("--merge_lora=true")
    state = torch.load(merged, weights_only=True)
    assert not any("lora" in name for name in state)
    before, after = translate(trained / "model.pth"), translate(merged)
    assert after.token == before.token
    assert after.score == pytest.approx(before.score, abs=1e-4)


def test_new_languages(trained, rewrite):
    grown = rewrite("--add_languages=ca_ES=en_XX,cy_GB=en_XX", "--merge_lora=true")
    model, args = STTask.build_model_from_file(None, grown)
    old, _ = STTask.build_model_from_file(None, trained / "model.pth")
    tokens = old.token_list
    assert args.token_list == [*tokens, "ca_ES", "cy_GB"]
    rows = model.decoder.model.lm_head.weight.detach()
    former = old.decoder.model.lm_head.weight.detach()
    assert torch.equal(rows[: len(tokens)], former)
    near = former[tokens.index("en_XX")]
    for row in rows[len(tokens) :]:
        # half of its length away
        distance = float((row - near).norm() / near.norm())
        assert distance == pytest.approx(0.5, abs=1e-4)
    # the logits of the old tokens are as before
    frames, lengths = torch.randn(1, 5, 16), torch.tensor([5])
    ids = torch.tensor([[29, 4, 5]]), torch.tensor([3])
    with torch.no_grad():
        expected, _ = old.eval().decoder(frames, lengths, *ids)
        found, _ = model.eval().decoder(frames, lengths, *ids)
    torch.testing.assert_close(found[..., : len(tokens)], expected, rtol=0, atol=1e-4)
    assert translate(grown, "ca").score != translate(grown, "en").score


def test_mistakes(trained, rewrite, st_exp, tmp_path):
    with pytest.raises(ValueError, match="say what is to be changed, --merge_lora"):
        rewrite()
    with pytest.raises(ValueError, match="--add_languages en_XX: a new code has the"):
        rewrite("--add_languages=en_XX=en_XX")
    cmd = [f"--from={st_exp}/1epoch.pth", f"--output_dir={tmp_path}/x"]
    with pytest.raises(ValueError, match="has adapters: none; only LoRA can be merged"):
        st_import.main([*cmd, "--merge_lora=true"])
    with pytest.raises(SystemExit):
        st_import.main(["--from=a/b", f"--output_dir={tmp_path}/x", "--merge_lora=1"])
