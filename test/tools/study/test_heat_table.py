"""Tests of study.heat_table."""

import re

from study.heat_table import make_heat_table


def test_cells_have_their_own_ground():
    values = {("es", "it"): 0.0, ("it", "es"): 99.6}
    text = make_heat_table("R@1 <%>", "", ["es", "it"], ["es", "it"], values)
    cells = re.findall(r"<td class=\"number\"(?: style=\"(.*?)\")?>(.*?)</td>", text)
    assert [number for _, number in cells] == ["-", "0", "100", "-"]
    # Both ends of viridis
    assert cells[1][0] == "background: #440154; color: #fff"
    assert cells[2][0].startswith("background: #fde725"[:14])
    assert cells[2][0].endswith("color: #000")
    assert cells[0][0] == ""
    assert "R@1 &lt;%&gt;" in text
