"""Options of the command; what it makes is tested in corpora/."""

import pytest

from espnet_samu.bin.prepare import get_parser

MANIFEST = "manifest --manifest a.tsv --output_dir data/a"


@pytest.mark.parametrize(
    "options, message",
    [
        (f"{MANIFEST} --audio sox", "--audio: invalid choice: 'sox'"),
        (f"{MANIFEST} --samu yes", "--samu: 'yes' is neither true nor false"),
        (f"{MANIFEST} --nj x", "--nj: 'x' is not a number from 0 on"),
        # The last clips of a list, or all but the last: a negative slice.
        ("covost2 --samu_max_clips -1", "--samu_max_clips: '-1' is not a number from"),
        ("covost2 --dev_per_direction 1.5", "'1.5' is not a number from 0 on"),
    ],
)
def test_values_that_are_not_allowed(capsys, options, message):
    with pytest.raises(SystemExit) as end:
        get_parser().parse_args(options.split())
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_lists_and_numbers():
    options = ["--src_langs", "de,fr", "--samu_langs", "de  en", "--nj", "0"]
    args = get_parser().parse_args(["europarl_st", "--root", "v1.1", *options])
    assert (args.src_langs, args.samu_langs) == (["de", "fr"], ["de", "en"])
    assert (args.st_src_langs, args.nj) == ([], 1)
