"""The HTML map in a browser (Debian's chromium and chromium-driver): from the arena to a block by clicks and by
keys, and the numbers there are those of the other subcommands.

Speaks the WebDriver protocol itself; it is a few HTTP requests.
"""

import http.client
import json
import os
import re
import shutil
import subprocess
import time

from command import Skip, case, facts, fill, loft, main


class Browser:
    def __enter__(self):
        self.driver = self.session = None
        if not shutil.which("chromium") or not shutil.which("chromedriver"):
            raise Skip("there is no chromium with chromedriver (Debian: chromium, chromium-driver)")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        self.port = 0
        for line in self.driver.stdout:
            if "successfully on port" in line:
                self.port = int(line.rstrip(".\n").rsplit(" ", 1)[1])
                break
        if not self.port:
            raise Skip("chromedriver does not start")
        options = {"args": ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,900",
                            "--user-data-dir=" + os.path.realpath("profile")]}
        self.session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"}}}})["sessionId"]
        return self

    def __exit__(self, *_):
        if self.session:
            self.ask("DELETE", f"/session/{self.session}")
        if self.driver:
            self.driver.terminate()
            self.driver.wait()
            self.driver.stdout.close()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, json.dumps(body) if body is not None else None,
                           {"Content-Type": "application/json"})
        value = json.loads(connection.getresponse().read())["value"]
        connection.close()
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def call(self, command, **body):
        return self.ask("POST", f"/session/{self.session}/{command}", body)

    def open(self, path):
        self.call("url", url="file://" + os.path.realpath(path))

    def run(self, script, *arguments):
        return self.call("execute/sync", script=script, args=list(arguments))

    def click(self, cell):
        x, y = self.run("return loftMap.middle(arguments[0])", cell)
        self.call("actions", actions=[{"type": "pointer", "id": "mouse", "actions": [
            {"type": "pointerMove", "x": round(x), "y": round(y)}, {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0}]}])
        time.sleep(0.2)  # the fragment's change comes with the next turn

    def key(self, key):
        self.call("actions", actions=[{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]}])
        time.sleep(0.2)

    def detail(self):
        return self.run("return document.getElementById('detail').innerText")

    def facts(self):
        return dict(self.run("return [...document.querySelectorAll('#detail dt')].map("
                             "(dt) => [dt.innerText, dt.nextSibling.innerText])"))

    def complaints(self):
        log = self.ask("POST", f"/session/{self.session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]


def page_of(name, *more):
    loft("map", *more, "--html", "map.html", name)
    return facts("map", loft("map", "--json", *more, name))["runs"]


def count(number):
    return f"{number:,}"


@case
def from_arena_to_block():
    with Browser() as browser:
        fill("small", "a.loft")
        runs = page_of("a.loft")
        browser.open("map.html")
        assert browser.run("return loftMap.level()") == "arena", browser.detail()
        decoded = browser.run("const r = loftMap.runs; return Array.from(r.kind, (kind, i) => "
                              "[r.page[i] * 4096, r.pages[i] * 4096, r.live[i]])")
        assert decoded == [[run["offset"], run["bytes"], run.get("live", 0)] for run in runs]
        which, slab = next((i, run) for i, run in enumerate(runs)
                           if run["kind"] == "slab" and 0 < run["live"] < run["blocks"])
        chunk = slab["offset"] // (4 << 20)
        cell = browser.run("return loftMap.chunks.findIndex((chunk) => chunk.idx === arguments[0])", chunk)
        browser.click(cell)
        assert browser.run("return loftMap.level()") == "chunk"
        page = slab["offset"] % (4 << 20) // 4096
        browser.click(page)
        assert browser.run("return [loftMap.level(), location.hash]") == ["run", f"#r{which}"], browser.detail()
        assert f"Slab of {count(slab['blocks'])} blocks" in browser.run("return document.body.innerText")
        dead = live = 0
        for block in (*range(12), *range(slab["blocks"] - 12, slab["blocks"])):
            offset = slab["offset"] + block * slab["block_bytes"]
            browser.click(block)
            told = browser.facts()
            dump = facts("dump", loft("dump", "--json", "a.loft", f"+{offset}"))
            assert told["state"] == ("live" if dump["block"]["live"] else "free"), (block, told, dump)
            assert told["address"] == dump["address"] and told["offset"] == count(offset), (told, dump)
            live += told["state"] == "live"
            dead += told["state"] == "free"
        assert live and dead, "no block of each kind was looked at"
        assert browser.complaints() == []


@case
def keys_and_roots():
    with Browser() as browser:
        fill("small", "a.loft")
        page_of("a.loft")
        browser.open("map.html")
        browser.key("\ue015")  # down, and right: nothing but the choice changes
        browser.key("\ue014")
        assert browser.run("return loftMap.level()") == "arena"
        browser.key("\ue007")
        assert browser.run("return loftMap.level()") == "chunk"
        browser.key("\ue00c")
        assert browser.run("return loftMap.level()") == "arena"
        theme = browser.run("return document.documentElement.dataset.theme")
        browser.key("t")
        assert browser.run("return document.documentElement.dataset.theme") != theme
        browser.key("2")
        assert browser.run("return document.querySelector('#by [aria-checked=true]').innerText") == "Class"
        roots = facts("roots", loft("roots", "--json", "a.loft"))["roots"]
        assert browser.run("return document.querySelectorAll('#roots button').length") == len(roots)
        for number, root in enumerate(sorted(roots, key=lambda root: root["offset"])):
            browser.run("document.querySelectorAll('#roots button')[arguments[0]].click()", number)
            time.sleep(0.2)
            told = browser.facts()
            assert browser.run("return loftMap.level()") == "run" and root["name"][:4] in told["roots"], told
        assert browser.complaints() == []


@case
def nothing_sticks_out_of_a_narrow_window():
    with Browser() as browser:
        fill("small", "a.loft")
        runs = page_of("a.loft")
        free = next(i for i, run in enumerate(runs) if run["kind"] == "free" and run["bytes"] < 4 << 20)
        # Of so many heights there is one that has a scrollbar only once the map is drawn.
        for width, height in ((700, 500), (1400, 900), *((420, height) for height in range(600, 1300, 50))):
            browser.call("window/rect", width=width, height=height)
            for place in ("", f"#r{free}"):
                browser.open("map.html")
                browser.run("location.hash = arguments[0]", place)
                time.sleep(0.2)
                over = browser.run("const root = document.documentElement, stage = document.getElementById('stage');"
                                   "return [root.scrollWidth - root.clientWidth,"
                                   " stage.querySelector('canvas').getBoundingClientRect().right -"
                                   " stage.getBoundingClientRect().right]")
                assert max(over) < 1, (width, place, over)
            assert browser.run("return loftMap.level()") == "run"
            assert re.fullmatch("free, [0-9.]+ [KM]iB", browser.facts()["of"]), browser.facts()
        assert browser.complaints() == []


@case
def changes_since_a_snapshot():
    with Browser() as browser:
        fill("small", "a.loft")
        loft("snapshot", "a.loft", "b.loft")
        fill("more", "a.loft")
        runs = page_of("a.loft", "--against", "b.loft")
        browser.open("map.html")
        changed = browser.run("return loftMap.chunks.reduce((sum, chunk) => sum + chunk.changed, 0)")
        assert changed == sum(run["changed_pages"] for run in runs) > 0, changed
        assert browser.run("return document.querySelector('#by [aria-checked=true]').innerText") == "Changes"
        assert browser.complaints() == []


@case
def a_chunk_has_the_class_that_most_of_it_is_of():
    with Browser() as browser:
        fill("slabs", "a.loft")
        page_of("a.loft")
        browser.open("map.html")
        browser.run("location.hash = '#c1'; location.hash = ''")
        assert browser.run("return loftMap.chunks.find((chunk) => chunk.idx === 1).size") == 32
        assert browser.complaints() == []


@case
def a_window_without_any_width():
    with Browser() as browser:
        fill("small", "a.loft")
        page_of("a.loft")
        browser.open("map.html")
        for place in ("", "#c1", "#r3"):
            browser.run("location.hash = arguments[0]", place)
            for width in ("0", "9px", "70px", ""):
                browser.run("document.body.style.cssText = 'min-width: 0; padding: 0; width: ' + arguments[0];"
                            "dispatchEvent(new Event('resize'))", width)
                time.sleep(0.1)
        assert browser.complaints() == [], "the map is not drawn"
        browser.run("location.hash = ''")
        time.sleep(0.1)
        assert browser.run("return [loftMap.level(), document.getElementById('map').height > 80]") == ["arena", True]


@case
def an_arena_with_nothing_in_it():
    with Browser() as browser:
        loft("create", "a.loft")
        page_of("a.loft")
        browser.open("map.html")
        for place in ("", "#c0", "#c1", "#r0", "#r3", "#r99", "#c99", "#r1b99999999"):
            browser.run("location.hash = arguments[0]", place)
            time.sleep(0.1)
            for key in ("\ue015", "\ue007", "\ue00c", "2", "3", "1"):
                browser.key(key)
        assert browser.complaints() == []


@case
def a_hundred_thousand_slabs():
    with Browser() as browser:
        fill("wide", "a.loft", 7000)
        runs = page_of("a.loft")
        slabs = sum(run["kind"] == "slab" for run in runs)
        assert slabs > 100000, slabs
        browser.open("map.html")
        assert browser.run("return loftMap.runs.count") == len(runs)
        spent = browser.run("const begin = performance.now(); for (let i = 0; i < 10; i++) "
                            "dispatchEvent(new KeyboardEvent('keydown', {key: String(i % 2 + 1)})); "
                            "return (performance.now() - begin) / 10")
        print(f"{slabs} slabs, {os.path.getsize('map.html')} bytes, {spent:.0f} ms for a picture")
        assert browser.complaints() == []


main()
