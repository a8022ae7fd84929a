"""Examples of a report."""

from collections.abc import Sequence

from espnet_samu.report.embedded_clip import embed_clip
from espnet_samu.report.examples import Example
from espnet_samu.report.html import Html, join, tag
from espnet_samu.report.page import Section
from espnet_samu.scoring.tokenizers import base_language


def _sentence(text: str | None, lang: str, missing: str) -> Html:
    """Return a sentence in its own direction of writing."""
    if text is None or not text.strip():
        return tag("span", missing if text is None else "(empty)", class_="none")
    return tag("span", text, lang=base_language(lang), dir="auto")


def _card(example: Example) -> Html:
    """Return one example."""
    source, target = example.direction.source, example.direction.target
    items = [
        ("source", _sentence(example.source, source, "(not given)")),
        ("reference", _sentence(example.reference, target, "")),
    ]
    for name, hyp in example.hypotheses.items():
        items.append((name, _sentence(hyp, target, "(missing)")))
    sound = [] if example.sound is None else [embed_clip(example.sound, example.utt)]
    pairs = [join([tag("dt", name), tag("dd", text)]) for name, text in items]
    return tag(
        "article",
        tag("h4", example.utt),
        *sound,
        tag("dl", *pairs),
        class_="example",
    )


def make_example_section(examples: Sequence[Example], seed: int) -> Section:
    """Return examples by direction.

    Args:
        examples: Examples, those of a direction beside each other.
        seed: Seed that they were drawn with.
    """
    by_direction: dict[str, list[Html]] = {}
    for example in examples:
        title = f"{example.direction.source} to {example.direction.target}"
        by_direction.setdefault(title, []).append(_card(example))
    parts = [tag("p", f"Drawn at random from each direction, seed {seed}: not chosen.")]
    for title, cards in by_direction.items():
        parts += [tag("h3", title), tag("div", *cards, class_="examples")]
    return Section("examples", "Examples", join(parts))
