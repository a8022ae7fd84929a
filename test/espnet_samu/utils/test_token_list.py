from espnet_samu.utils.token_list import read_token_list


def test_file_and_list(tmp_path):
    file = tmp_path / "tokens.txt"
    file.write_text("<blank>\n▁das \n\u3000\n中\n", encoding="utf-8")
    # a token that is a blank is empty, as in ESPnet's models
    assert read_token_list(file) == ["<blank>", "▁das", "", "中"]
    assert read_token_list(str(file)) == read_token_list(file)
    tokens = ("a", "b")
    assert read_token_list(tokens) == ["a", "b"]
