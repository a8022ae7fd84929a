from argparse import ArgumentParser

import pytest
import torch

from espnet_samu.bin.samu_train import get_parser, main


def test_trains_as_its_task(samu_cmd, samu_exp, tmp_path):
    assert isinstance(get_parser(), ArgumentParser)
    main(samu_cmd(tmp_path))
    expected = torch.load(samu_exp / "1epoch.pth")
    for name, value in torch.load(tmp_path / "1epoch.pth").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-6)


def test_refused(capsys):
    with pytest.raises(SystemExit) as info:
        main(["--frontend", "whisper", "--output_dir", "exp"])
    assert info.value.code == 2
    assert "invalid choice: 'whisper'" in capsys.readouterr().err
