"""Opens pages of `report --format html` in a browser and says what is wrong with them.

    page.py <chromium> <folder>

Each `*.html` of the folder is opened at two widths, light and dark, and printed. Pictures lie in `<folder>/pictures`.
"""

import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTHS = {1400: 900, 390: 844}
SCHEMES = ["light", "dark"]
# A landscape A4 without its margins, at 96 dots an inch.
PAPER = 1046
# Milliseconds in which a page must answer to a key.
PATIENCE = 2000

OVERFLOWS = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  return [...document.body.querySelectorAll("*")]
    .filter((part) => part.getBoundingClientRect().right > wide + 1 && !part.closest(".scroll"))
    .map((part) => part.tagName + " " + part.textContent.slice(0, 40));
}"""
SILENT = """() => [...document.querySelectorAll("svg")].filter((chart) => {
  const words = chart.closest("figure")?.querySelectorAll("details li") ?? [];
  return chart.getAttribute("role") !== "img" || !chart.getAttribute("aria-label") || words.length === 0;
}).length"""
TWICE = """() => { const ids = [...document.querySelectorAll("[id]")].map((part) => part.id);
  return ids.filter((id, at) => ids.indexOf(id) !== at); }"""
CLIPPED = """() => [...document.querySelectorAll("svg")].flatMap((chart) => {
  const box = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("text")].filter((text) => {
    const own = text.getBoundingClientRect();
    return own.left < box.left - 1 || own.right > box.right + 1 || own.top < box.top - 1
      || own.bottom > box.bottom + 1;
  }).map((text) => text.textContent.slice(0, 40));
})"""
CUT = """() => [...document.querySelectorAll(".scroll")]
  .filter((part) => part.scrollWidth > part.clientWidth + 1).length"""
COLUMN = """([table, at]) => [...document.querySelectorAll("table.sort")[table].tBodies[0].rows]
  .map((row) => row.cells[at].dataset.value ?? "")"""
CONTRAST = """() => {
  const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = light(getComputedStyle(document.body).backgroundColor);
  const ratio = (colour) => {
    const [low, high] = [light(colour), page].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  return [...document.querySelectorAll("p, td, th, a, li, summary, svg text, figcaption")]
    .map((part) => [part.tagName, ratio(part.tagName === "text" ? getComputedStyle(part).fill
      : getComputedStyle(part).color)])
    .filter(([, ratio]) => ratio < 4.5).map(([tag, ratio]) => tag + " " + ratio.toFixed(2));
}"""


class Faults:
    def __init__(self):
        self.told = []

    def check(self, where, is_fine, fault):
        if not is_fine:
            self.told.append(f"{where}: {fault}")


def by_keyboard(page, where, faults):
    """Sorts by a column of figures and by the models, with the keyboard alone."""
    for name, at in [("decode tok/s", None), ("model", 0)]:
        button = page.locator("table.sort th button", has_text=name).first
        if button.count() == 0:
            continue
        if at is None:
            at = button.evaluate("(button) => button.closest('th').cellIndex")
        reached = False
        page.evaluate("document.activeElement.blur()")
        for _ in range(400):
            page.keyboard.press("Tab")
            if button.evaluate("(button) => button === document.activeElement"):
                reached = True
                break
        faults.check(where, reached, f"`{name}` is not reached with the Tab key")
        if not reached:
            continue
        outline = button.evaluate("(button) => getComputedStyle(button).outlineStyle")
        faults.check(where, outline != "none", f"`{name}` does not show that it has the focus")
        for key, falling in [("Enter", False), ("Space", True)]:
            began = time.monotonic()
            page.keyboard.press(key)
            told = [value for value in page.evaluate(COLUMN, [0, at]) if value != ""]
            took = (time.monotonic() - began) * 1e3
            faults.check(where, took < PATIENCE, f"sorting by `{name}` takes {took:.0f} ms")
            if name != "model":
                told = [float(value) for value in told]
                faults.check(where, told == sorted(told, reverse=falling), f"`{name}` is not sorted after {key}")
            else:
                order = page.evaluate("(told) => [...told].sort((a, b) => a.localeCompare(b))", told)
                faults.check(where, told == (order[::-1] if falling else order), f"`{name}` is not sorted after {key}")
            state = button.evaluate("(button) => button.closest('th').getAttribute('aria-sort')")
            faults.check(where, state == ("descending" if falling else "ascending"), f"`{name}` says it is {state}")


def opened(browser, path, width, scheme, faults):
    where = f"{path.name} at {width} px, {scheme}"
    context = browser.new_context(viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme)
    page = context.new_page()
    said, asked, dialogs = [], [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    began = time.monotonic()
    page.goto(path.as_uri())
    took = time.monotonic() - began
    faults.check(where, said == [], f"the console says {said}")
    faults.check(where, asked == [path.as_uri()], f"it asks for {asked[1:]}")
    faults.check(where, page.evaluate(OVERFLOWS) == [], f"too wide: {page.evaluate(OVERFLOWS)}")
    faults.check(where, page.evaluate(SILENT) == 0, f"{page.evaluate(SILENT)} charts without words")
    faults.check(where, page.evaluate(TWICE) == [], f"ids twice: {page.evaluate(TWICE)}")
    faults.check(where, page.evaluate(CLIPPED) == [], f"words leave their chart: {page.evaluate(CLIPPED)}")
    faults.check(where, page.evaluate(CONTRAST) == [], f"too little contrast: {page.evaluate(CONTRAST)[:5]}")
    faults.check(where, page.locator("img, iframe, object, embed").count() == 0, "it holds what it should not")
    pictures = path.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    page.screenshot(path=pictures / f"{path.stem}-{width}-{scheme}.png", full_page=True)
    by_keyboard(page, where, faults)
    for summary in page.locator("summary").all():
        summary.focus()
        page.keyboard.press("Enter")
    faults.check(where, page.evaluate(OVERFLOWS) == [], f"too wide once opened: {page.evaluate(OVERFLOWS)}")
    faults.check(where, dialogs == [] and said == [], f"something ran: {dialogs} {said}")
    charts = page.locator("svg").count()
    context.close()
    return f"{where}: opened in {took:.2f} s, {charts} charts"


def printed(browser, path, faults):
    page = browser.new_page()
    page.goto(path.as_uri())
    page.pdf(path=path.with_suffix(".pdf"), prefer_css_page_size=True)
    page.emulate_media(media="print", color_scheme="light")
    page.set_viewport_size({"width": PAPER, "height": 718})
    page.screenshot(path=path.parent / "pictures" / f"{path.stem}-print.png", full_page=True)
    wide = page.evaluate("document.documentElement.scrollWidth")
    faults.check(f"{path.name} on paper", wide <= PAPER, f"{wide} of {PAPER} px wide")
    cut = page.evaluate(CUT)
    faults.check(f"{path.name} on paper", cut == 0, f"{cut} parts are cut")
    page.close()


def main(chromium, folder):
    pages = sorted(Path(folder).resolve().glob("*.html"))
    if not pages:
        sys.exit(f"no page in `{folder}`")
    faults = Faults()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for path in pages:
            for width in WIDTHS:
                for scheme in SCHEMES:
                    print(opened(browser, path, width, scheme, faults), flush=True)
            printed(browser, path, faults)
        browser.close()
    print("\n".join(faults.told) or f"{len(pages)} pages, no fault")
    sys.exit(1 if faults.told else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
