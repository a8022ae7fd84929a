import torch

from espnet_samu.bin.samu_export import get_parser, main


def test_writes_both(samu_exp, tmp_path):
    cmd = ["--samu_model_file", f"{samu_exp}/1epoch.pth", "--output_dir"]
    main([*cmd, f"{tmp_path}/out"])
    state = torch.load(samu_exp / "1epoch.pth", weights_only=True)
    written = torch.load(tmp_path / "out/student/model.pth", weights_only=True)
    assert state.keys() == written.keys()
    assert all(torch.equal(state[key], written[key]) for key in state)
    assert (tmp_path / "out/model.safetensors").exists()
    modes = {p.stat().st_mode for p in (tmp_path / "out").iterdir() if p.is_file()}
    assert len(modes) == 1
    # Replaced as a whole.
    main([*cmd, f"{tmp_path}/out", "--frame_encoder", "false"])
    assert not (tmp_path / "out/model.safetensors").exists()
    assert get_parser().description
