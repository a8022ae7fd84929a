"""The page that translates, in headless Chromium; needs the extra ``demo``."""

import importlib.util
import os

import look_at_page
import numpy as np
import pytest
import soundfile

from espnet_samu.bin import demo
from espnet_samu.speech2text import Speech2Text

NEEDED = "SAMU_REQUIRE_DEMO"
if importlib.util.find_spec("gradio") is None and not os.environ.get(NEEDED):
    pytest.skip(
        f"gradio is not installed: pip install -e .[demo] ({NEEDED}=1 fails instead)",
        allow_module_level=True,
    )


class Nearest:
    """Stands in for sentences in a student's space."""

    def nearest(self, speech):
        return [(f"{len(speech)} samples", 0.875), ("another", -0.25)]


@pytest.fixture
def address(st_exp):
    """Where the page of a random model is served."""
    speech2text = Speech2Text(
        st_model_file=st_exp / "1epoch.pth", beam_size=2, maxlenratio=-5
    )
    page = demo.build_page(demo.Translator(speech2text, Nearest()))
    yield speech2text, demo.launch(page, None, wait=False)
    page.close()


def test_a_file_is_translated(address, tmp_path):
    speech2text, url = address
    assert url.startswith("http://127.0.0.1:")
    noise = np.random.default_rng(0).normal(0, 0.1, 8000)
    soundfile.write(tmp_path / "a.wav", noise, 16000)
    program = look_at_page.find_browser()
    if program is None:
        pytest.skip(f"no browser found; to install one: {look_at_page.INSTALL}")
    with look_at_page.open_browser(program) as browser:
        page = browser.new_page(viewport={"width": 400, "height": 900})
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.get_by_text("Speech translation").first.wait_for()
        button = page.get_by_role("button", name="Translate")
        button.click()
        page.get_by_text("Record something or choose a file first").wait_for()
        page.locator("input[type=file]").first.set_input_files(tmp_path / "a.wav")
        page.get_by_label("Play").first.wait_for()
        button.click()
        # the table measures its cells with hidden copies
        page.get_by_text("8000 samples").filter(visible=True).first.wait_for()
        text = page.get_by_label("Translation", exact=True).input_value()
        best = speech2text(soundfile.read(tmp_path / "a.wav", dtype="float32")[0])[0]
        assert text == best.text
        score = page.get_by_label("Score", exact=True).input_value()
        assert score == f"log-probability {best.score:.2f}"
        assert page.get_by_text("0.875").filter(visible=True).count() == 1
        wide = page.evaluate("document.documentElement.scrollWidth")
        page.screenshot(path=os.environ.get("SAMU_SHOT", str(tmp_path / "shot.png")))
    own = (url, "data:", "blob:")
    assert [other for other in asked if not other.startswith(own)] == []
    assert errors == [] and wide <= 400
