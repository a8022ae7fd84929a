#!/usr/bin/env python3
"""Open an HTML file in headless Chromium as readers would, and look for faults.

At every width, light and dark, and on paper, with all ``details`` open: errors in the
console, anything loaded from elsewhere, text or figures that stick out of the window,
text that is too small or too pale to read, images and sounds that cannot be decoded.
Writes screenshots.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Request, sync_playwright

# Debian's names first; the shell alone is a third smaller to install.
PROGRAMS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
)
VARIABLE = "SAMU_BROWSER"
INSTALL = "apt-get install --no-install-recommends chromium-headless-shell"
NO_BROWSER = 3  # exit status
TIMEOUT = 60_000  # milliseconds
LEAST_FONT = 8.0  # CSS pixels as shown, figures included
LEAST_CONTRAST = 4.5  # WCAG 2.1, level AA
PAPER = 718  # CSS pixels: 210 mm without margins of 10 mm
TALLEST = 16000  # pixels of a screenshot

LOOK = """
(async () => {
  for (const folded of document.querySelectorAll('details')) folded.open = true;
  const faults = [], wide = document.documentElement.clientWidth;
  const name = (e) => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + ' "' +
    (e.textContent || e.alt || '').trim().slice(0, 40) + '"';
  if (document.documentElement.scrollWidth > wide)
    faults.push(`page is ${document.documentElement.scrollWidth} wide, not ${wide}`);
  const scrolls = (e) => {
    for (; e && e !== document.body; e = e.parentElement)
      if (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX)) return true;
    return false;
  };
  const canvas = document.createElement('canvas').getContext('2d',
    {willReadFrequently: true});
  const rgba = (css) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const paper = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgba(getComputedStyle(e).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const light = (c) => [.2126, .7152, .0722].reduce((sum, k, i) => {
    const v = c[i] / 255;
    return sum + k * (v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  }, 0);
  let font = Infinity, contrast = Infinity;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || e.closest('title, desc, style, script'))
      continue;
    const box = e.getBoundingClientRect(), svg = e.closest('svg');
    if (!box.width || !box.height) continue;
    const style = getComputedStyle(e);
    const scale = svg && e.getScreenCTM ? Math.hypot(e.getCTM().a, e.getCTM().b) : 1;
    const size = parseFloat(style.fontSize) * scale;
    font = Math.min(font, size);
    if (size < LEAST_FONT) faults.push(`text of ${size.toFixed(1)} pixels: ${name(e)}`);
    const ink = light(rgba(svg ? style.fill : style.color));
    const ground = light(paper(svg ? svg.parentElement : e));
    const ratio = (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
    if (!e.closest('[data-own-ground]')) {
      contrast = Math.min(contrast, ratio);
      if (ratio < LEAST_CONTRAST)
        faults.push(`contrast of ${ratio.toFixed(2)}: ${name(e)}`);
    }
    if ((box.right > wide + .5 || box.left < -.5) && !scrolls(e))
      faults.push(`sticks out, ${box.left.toFixed(0)} to ${box.right.toFixed(0)}: ` +
        name(e));
    if (svg) {
      const frame = svg.getBoundingClientRect();
      if (box.right > frame.right + 1 || box.left < frame.left - 1 ||
          box.bottom > frame.bottom + 1 || box.top < frame.top - 1)
        faults.push(`is cut off by its figure: ${name(e)}`);
    }
  }
  for (const image of document.images)
    if (!image.complete || !image.naturalWidth) faults.push(`no image: ${name(image)}`);
  let seconds = 0;
  for (const sound of document.querySelectorAll('audio')) {
    await new Promise((done) => {
      sound.onloadedmetadata = () => { seconds += sound.duration; done(); };
      sound.onerror = () => {
        faults.push(`no sound: ${sound.getAttribute('aria-label')}`); done(); };
      sound.preload = 'auto'; sound.load();
    });
  }
  const round = (x) => Number.isFinite(x) ? Math.round(x * 100) / 100 : null;
  return {faults, height: document.documentElement.scrollHeight,
    smallest_font: round(font), least_contrast: round(contrast),
    images: document.images.length, svg: document.querySelectorAll('svg').length,
    seconds_of_sound: round(seconds)};
})()
""".replace("LEAST_FONT", str(LEAST_FONT)).replace(
    "LEAST_CONTRAST", str(LEAST_CONTRAST)
)


def find_browser() -> str | None:
    """Return the program: what SAMU_BROWSER names, else the first one that is found."""
    for name in [os.environ.get(VARIABLE, ""), *PROGRAMS]:
        path = shutil.which(name) if name else None
        if path is not None:
            return path
    return None


@contextmanager
def open_browser(program: str) -> Iterator[Browser]:
    """Start a headless browser, and end it.

    Args:
        program: Path of a Chromium of the system.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, timeout=TIMEOUT)
        try:
            yield browser
        finally:
            browser.close()


def look(
    browser: Browser, path: Path, width: int, scheme: str, picture: Path | None
) -> dict[str, Any]:
    """Open a page once.

    Args:
        browser: The browser.
        path: HTML file.
        width: Width of the window in CSS pixels.
        scheme: `light` or `dark`, what the reader prefers, or `print`: on paper.
        picture: PNG file to write.

    Returns:
        Width, scheme, the figures that `LOOK` measures, and all faults.
    """
    faults: list[str] = []
    url = path.resolve().as_uri()
    viewport = {"width": width, "height": 900}
    on_paper = scheme == "print"
    colours = "light" if on_paper else scheme
    page = browser.new_page(viewport=viewport, color_scheme=colours)
    page.set_default_timeout(TIMEOUT)
    if on_paper:
        page.emulate_media(media="print")

    def note_request(request: Request) -> None:
        if request.url != url and not request.url.startswith("data:"):
            faults.append(f"loads {request.url[:100]}")

    page.on("pageerror", lambda error: faults.append(f"exception: {error}"))
    page.on("console", lambda one: faults.append(f"console: {one.type} {one.text}"))
    page.on("request", note_request)
    page.goto(url)
    found = page.evaluate(LOOK)
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        height = min(found["height"], TALLEST)
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        page.screenshot(path=picture, clip=clip, full_page=True)
    page.close()
    return {
        "width": width,
        "scheme": scheme,
        **found,
        "faults": faults + found["faults"],
    }


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog=f"Exit status: 0 no fault, 1 faults, {NO_BROWSER} no browser found "
        f"({VARIABLE} names one; to install one: {INSTALL}).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("page", type=Path, help="HTML file")
    parser.add_argument(
        "--width", type=int, nargs="+", default=[400, 1400], help="In CSS pixels"
    )
    parser.add_argument(
        "--output_dir", type=Path, default=None, help="Folder for screenshots"
    )
    args = parser.parse_args()
    program = find_browser()
    if program is None:
        print(f"no browser found; to install one: {INSTALL}", file=sys.stderr)
        return NO_BROWSER
    if not args.page.is_file():
        parser.error(f"no such file: {args.page}")
    looks = []
    with open_browser(program) as browser:
        ways = [(width, way) for width in args.width for way in ("light", "dark")]
        for width, scheme in [*ways, (PAPER, "print")]:
            picture = None
            if args.output_dir is not None:
                picture = args.output_dir / f"{args.page.stem}_{width}_{scheme}.png"
            looks.append(look(browser, args.page, width, scheme, picture))
    print(json.dumps(looks, indent=2, ensure_ascii=False))
    return int(any(one["faults"] for one in looks))


if __name__ == "__main__":
    sys.exit(main())
