import pytest

from espnet_samu.bin.student_import import main


def test_options_of_folders(tmp_path, capsys):
    (tmp_path / "samu.pt").write_bytes(b"")
    for option in ("--revision", "--encoder_config"):
        with pytest.raises(SystemExit):
            main(
                ["--from", f"{tmp_path}/samu.pt", "--output_dir", f"{tmp_path}/exp"]
                + [option, "main"]
            )
        assert "samu.pt is a file" in capsys.readouterr().err
    with pytest.raises(ValueError, match="samu.pt is damaged, or no file of torch"):
        main(["--from", f"{tmp_path}/samu.pt", "--output_dir", f"{tmp_path}/exp"])
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        main(["--from", f"{tmp_path}/none", "--output_dir", f"{tmp_path}/exp"])


def test_help(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "facebook/w2v-bert-2.0" in capsys.readouterr().out
