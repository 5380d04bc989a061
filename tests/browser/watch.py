"""Shows a page and tells when it says something: `python watch.py TEXT ...`, with OCWEB_URL in the environment.

Prints `open` once the page says the first text. Then prints for each of the others when the page said it, in seconds since the epoch, or
`reloaded` where it was loaded anew in between.
"""

import os
import sys
import time

from playwright.sync_api import sync_playwright


def main() -> None:
    first, *texts = sys.argv[1:]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium-headless-shell", args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: print(f"error {error}", flush=True))
        page.set_default_timeout(60_000)
        page.goto(os.environ["OCWEB_URL"])
        page.get_by_text(first).wait_for()
        # Its development server has to be listened to before anything is edited.
        page.wait_for_load_state("networkidle")
        page.evaluate("window.sameDocument = true")
        print("open", flush=True)
        for text in texts:
            page.wait_for_function("text => document.body.innerText.includes(text)", arg=text)
            seen = time.time()
            print(seen if page.evaluate("window.sameDocument === true") else "reloaded", flush=True)


if __name__ == "__main__":
    main()
