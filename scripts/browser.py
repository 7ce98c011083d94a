"""Drives chromium over its debugging pipe: loads a page, zooms, selects, sorts, and checks what is shown.

Usage: browser.py PAGE FOLDER [--picture FILE]. Called by scripts/browser.
"""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

# So long a step may take before it counts as hung, in seconds.
PATIENCE = 60


class Browser:
    """A headless chromium; commands go down one pipe, answers and events come up another."""

    def __init__(self, profile):
        down_read, self.down = os.pipe()
        self.up, up_write = os.pipe()
        for fd in (down_read, up_write):
            os.set_inheritable(fd, True)

        def pipes():
            # Chromium reads from descriptor 3 and writes to 4.
            read, write = os.dup(down_read), os.dup(up_write)
            os.dup2(read, 3)
            os.dup2(write, 4)
            os.set_inheritable(3, True)
            os.set_inheritable(4, True)

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--remote-debugging-pipe", f"--user-data-dir={profile}", "--window-size=1400,1000", "about:blank"],
            close_fds=False, preexec_fn=pipes, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(down_read)
        os.close(up_write)
        self.rest, self.number, self.session, self.errors = b"", 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.size(1400, 1000)

    def read(self):
        while b"\0" not in self.rest:
            part = os.read(self.up, 1 << 20)
            if not part:
                sys.exit("browser: chromium ended")
            self.rest += part
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(params["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent" and not params["request"]["url"].startswith(("file:", "data:", "about:")):
            self.errors.append("the page fetches " + params["request"]["url"])

    def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.down, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            answer = self.read()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"browser: {method}: {answer['error']}")
                return answer["result"]
            self.note(answer)
        sys.exit(f"browser: {method} took longer than {PATIENCE} s")

    def open(self, path):
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        until = time.monotonic() + PATIENCE
        while self.value("document.readyState") != "complete":
            if time.monotonic() > until:
                sys.exit("browser: the page does not load")
            time.sleep(0.05)

    def open_without_scripts(self, path):
        self.call("Emulation.setScriptExecutionDisabled", value=True)
        self.call("Page.navigate", url=pathlib.Path(path).resolve().as_uri())
        self.call("DOM.enable")
        time.sleep(1)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            sys.exit(f"browser: {expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def frame(self):
        """Waits until what was asked for has been painted; the time that took in milliseconds."""
        return self.value("new Promise(done => { const t = performance.now();"
                          "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - t))); })")

    def size(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def mouse(self, kind, x, y, **more):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x, y):
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def key(self, key):
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key if len(key) == 1 else "")
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def shot(self, path):
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        pathlib.Path(path).write_bytes(data)
        return len(data)


def check(is_so, what):
    if not is_so:
        sys.exit(f"browser: FAILED: {what}")
    print(f"browser: {what}")


def main():
    page, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    picture = sys.argv[sys.argv.index("--picture") + 1] if "--picture" in sys.argv else None
    folder.mkdir(parents=True, exist_ok=True)
    profile = tempfile.mkdtemp(prefix="resv-browser-")
    browser = Browser(profile)
    try:
        look(browser, page, folder, picture)
    finally:
        browser.process.kill()
        browser.process.wait()
        shutil.rmtree(profile, ignore_errors=True)


def look(browser, page, folder, picture):
    browser.open(page)
    browser.frame()
    jobs = browser.value("resv.data.jobs.line.length")
    check(jobs > 0 and browser.value("!document.getElementById('lanes').hidden"), f"the lanes of {jobs} jobs are shown")
    inked = ("(() => { const c = document.querySelector('#lanes canvas'), p = c.getContext('2d').getImageData(200, 22, c.width - 200, c.height - 22).data;"
             "let n = 0; for (let i = 3; i < p.length; i += 4) n += p[i] > 0; return n; })()")
    check(browser.value(inked) > 500, "something is drawn")
    browser.shot(folder / "all.png")

    # Zoom with the wheel.
    box = browser.value("(() => { const r = document.getElementById('lanes').getBoundingClientRect(); return [r.left + r.width * .6, r.top + 60]; })()")
    width = "resv.view.to - resv.view.from"
    before = browser.value(width)
    for _ in range(4):
        browser.mouse("mouseWheel", *box, deltaX=0, deltaY=-300)
    slow = browser.frame()
    after = browser.value(width)
    check(after < before / 10, f"the wheel zooms in, {before / after:.0f} times")
    check(slow < 2000, f"a frame after zooming takes {slow:.0f} ms")
    # Pan with the mouse.
    start = browser.value("resv.view.from")
    browser.mouse("mousePressed", *box, button="left", clickCount=1)
    browser.mouse("mouseMoved", box[0] - 120, box[1], button="left", buttons=1)
    browser.mouse("mouseReleased", box[0] - 120, box[1], button="left", clickCount=1)
    browser.frame()
    check(browser.value("resv.view.from") > start, "dragging moves along")

    # Select a job that others depend on, by the mouse.
    job = browser.value("resv.data.recorded[0] ?? 0")
    browser.value(f"(j => {{ const d = resv.data.jobs, t = d.run[j] >= 0 ? d.run[j] : Math.max(d.submit[j], 0);"
                  f"const w = 3 * Math.max(1e5, (d.done[j] >= 0 ? d.done[j] : t) - t); resv.show(t - w, t + 2 * w); }})({job})")
    browser.frame()
    x, y = browser.value(f"resv.xy({job})")
    browser.mouse("mouseMoved", x, y)
    check(browser.value("!document.getElementById('tip').hidden"), "a job under the mouse is described")
    browser.click(x, y)
    browser.frame()
    name = browser.value("resv.name(resv.view.selected)")
    told = browser.value("document.getElementById('selected').textContent")
    check(browser.value("resv.view.selected") >= 0 and name in told and "hardware" in told, f"a click selects {name}")
    names = browser.value("resv.data.semantics.map(s => s.name)")
    check(all(n + ": waits for" in told for n in names), f"its dependencies stand side by side under {', '.join(names)}")
    if browser.value("resv.data.recorded.length") > 0 and browser.value("resv.view.selected") == job:
        on = browser.value("resv.name(resv.data.recorded[1])")
        check(on + " (recorded" in told, f"a recorded dependency is named: {on}")
    browser.shot(folder / "selected.png")

    # By the keyboard.
    browser.value("document.querySelector('#lanes canvas').focus()")
    browser.key("0")
    check(browser.value(width) > before * 0.99, "the key 0 shows all")
    browser.key("n")
    check(browser.value("resv.view.selected") >= 0, "the key n selects a job")
    browser.key("Escape")
    check(browser.value("resv.view.selected") == -1, "Escape selects nothing")

    # Tables sort.
    browser.value("document.querySelectorAll('table.sort')[0].tHead.rows[0].cells[1].querySelector('button').click()")
    column = "[...document.querySelectorAll('table.sort')[0].tBodies[0].rows].map(r => Number(r.cells[1].dataset.v))"
    values = browser.value(column)
    check(values == sorted(values, reverse=True), "a click on a heading sorts the table")
    check(not browser.errors, f"no error, nothing fetched {browser.errors or ''}".strip())

    if picture:
        # The lanes with a job and its arrows, not too wide for a README.
        browser.size(1000, 640)
        browser.mouse("mouseMoved", 3, 3)
        browser.value("document.activeElement.blur()")
        browser.frame()
        busiest = browser.value("(() => { const d = resv.data, n = new Map(); for (let p = 0; p < d.recorded.length; p += 2) n.set(d.recorded[p], (n.get(d.recorded[p]) || 0) + 1);"
                                "const most = [...n].sort((a, b) => b[1] - a[1])[0]; return most ? most[0] : 0; })()")
        browser.value(f"(j => {{ const t = resv.data.jobs.submit[j]; resv.show(t - 6e7, t + 6e7); resv.select(j); scrollTo(0, document.querySelector('h2').offsetTop - 8); }})({busiest})")
        browser.frame()
        size = browser.shot(picture)
        check(size <= 200_000, f"{picture}: {size} bytes")
        browser.size(1400, 1000)

    # With scripts off there are tables.
    browser.open_without_scripts(page)
    document = browser.call("DOM.getDocument", depth=1)["root"]["nodeId"]
    text = browser.call("DOM.getOuterHTML", nodeId=browser.call("DOM.querySelector", nodeId=document, selector="body")["nodeId"])["outerHTML"]
    check("Semantics side by side" in text and "<table" in text and "Without scripts" in text, "without scripts the tables are there")
    browser.shot(folder / "no-scripts.png")


if __name__ == "__main__":
    main()
