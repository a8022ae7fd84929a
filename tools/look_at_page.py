#!/usr/bin/env python3
"""Open an HTML file in headless Chromium as readers would, and look for faults.

At every width, light and dark: errors in the console, anything loaded from elsewhere,
text or figures that stick out of the window, text that is too small or too pale to
read, images and sounds that cannot be decoded. Writes screenshots.
"""

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import Any

from browser import INSTALL, VARIABLE, Browser, find_browser

NO_BROWSER = 3  # exit status
LEAST_FONT = 8.0  # CSS pixels as shown, figures included
LEAST_CONTRAST = 4.5  # WCAG 2.1, level AA
TALLEST = 16000  # pixels of a screenshot

LOOK = """
(async () => {
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


def collect_faults(events: list[dict[str, Any]]) -> list[str]:
    """Return what the console and the network say.

    Args:
        events: What the browser told.
    """
    faults = []
    pages = 0
    for event in events:
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            faults.append(f"exception: {params['exceptionDetails']['text']}")
        elif method == "Runtime.consoleAPICalled":
            faults.append(f"console: {params['type']} {params['args']}")
        elif method == "Log.entryAdded":
            faults.append(f"console: {params['entry']['text']}")
        elif method == "Network.requestWillBeSent":
            url = params["request"]["url"]
            pages += url.startswith("file:")
            if not url.startswith(("data:", "file:")) or pages > 1:
                faults.append(f"loads {url[:100]}")
    return faults


def look(
    browser: Browser, page: Path, width: int, scheme: str, picture: Path | None
) -> dict[str, Any]:
    """Open a page once.

    Args:
        browser: The browser.
        page: HTML file.
        width: Width of the window in CSS pixels.
        scheme: `light` or `dark`.
        picture: PNG file to write.
    """
    browser.open(page, width, scheme)
    found = browser.evaluate(LOOK)
    if picture is not None:
        height = min(found["height"], TALLEST)
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = browser.call(
            "Page.captureScreenshot", clip=clip, captureBeyondViewport=True
        )
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(base64.b64decode(shot["data"]))
    faults = collect_faults(browser.events) + found.pop("faults")
    return {"width": width, "scheme": scheme, **found, "faults": faults}


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
    with Browser(program) as browser:
        for width in args.width:
            for scheme in ("light", "dark"):
                picture = None
                if args.output_dir is not None:
                    picture = args.output_dir / f"{args.page.stem}_{width}_{scheme}.png"
                looks.append(look(browser, args.page, width, scheme, picture))
    print(json.dumps(looks, indent=2, ensure_ascii=False))
    return int(any(one["faults"] for one in looks))


if __name__ == "__main__":
    sys.exit(main())
