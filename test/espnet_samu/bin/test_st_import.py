import pytest

from espnet_samu.bin import st_import


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
