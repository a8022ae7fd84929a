from argparse import ArgumentParser

import torch

from espnet_samu.bin.st_train import get_parser, main


def test_trains_as_its_task(st_cmd, st_exp, tmp_path):
    parser = get_parser()
    assert isinstance(parser, ArgumentParser)
    defaults = parser.parse_args([])
    assert (defaults.init_from_samu, defaults.tgt_lang_token) == (False, None)
    main(st_cmd(tmp_path, "--tgt_lang_token", "en_XX"))
    expected = torch.load(st_exp / "1epoch.pth")
    for name, value in torch.load(tmp_path / "1epoch.pth").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)
