"""The commands that made a figure."""

from collections.abc import Sequence

from espnet_samu.report.html import Html, tag


def show_commands(commands: Sequence[str]) -> Html:
    """Return commands to open and read, or that none is known.

    Args:
        commands: Command lines; empty ones are not known.
    """
    known = [command for command in commands if command]
    if not known:
        return tag("span", "Its command was not given.", class_="none")
    title = "Command" if len(known) == 1 else "Commands"
    return tag(
        "details", tag("summary", title), tag("pre", tag("code", "\n".join(known)))
    )
