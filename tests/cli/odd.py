"""What people do not mean to do with the `loft` command: names that would control a terminal or a page, windows that are
too narrow, output that nobody reads, signals in between, arenas with nothing in them.
"""

import json
import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree

from command import (FILL, PATIENCE, PROGRAM, SANITIZERS, Skip, case, content, facts, fill, loft, main,
                     needs_room, scans)

# ESC, a line's end, C1 as UTF-8 and as a byte, no UTF-8 at all, marks of HTML, an umlaut.
ODD = b"a\x1b[31m\n\xc2\x9b31m\x9b\xff</script><script>\"'&\xc3\xa4"
SEEN = "a?[31m??31m??</script><script>\"'&\u00e4"
CONTROLS = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\ufffd]")
SCANS = scans()
TABLES = (("info",), ("check",), ("check", *SCANS), ("stat",), ("map",), ("roots",))


def odd_file():
    """An arena whose name is as odd as that of its root: names in files have no slashes."""
    name = os.fsdecode(ODD.replace(b"/", b"") + b".loft")
    done = subprocess.run([FILL, "root", os.fsencode(name), ODD], stderr=subprocess.PIPE, check=False)
    needs_room(done)
    assert done.returncode == 0, done
    return name


@case
def names_control_no_terminal():
    name = odd_file()
    seen = SEEN.replace("/", "") + ".loft"
    for command in TABLES:
        answer = loft(*command, name)
        assert not CONTROLS.search(answer.out), repr(answer.out)
        assert seen in answer.out or command[0] in ("stat", "roots"), repr(answer.out)
    assert f"  {SEEN}  (" in loft("roots", name).out
    for arguments in (("info", "no" + name), ("info", "--" + name, "x"), ("dump", name, "no" + name),
                      ("map", "--svg", "nowhere/" + name, name), ("map", "--html", name, name), ("no" + name,),
                      ("snapshot", name, name), ("create", "--reserve", name, "x"), ("salvage", name, "nowhere/x")):
        answer = loft(*arguments, want={2, 3})
        assert answer.error and not CONTROLS.search(answer.error + answer.out), repr(answer.error)


@case
def names_are_text_in_json_and_pictures():
    name = odd_file()
    text = SEEN.replace("a?[31m??31m??", "a\x1b[31m\n\u009b31m\ufffd\ufffd")
    for command in TABLES:
        value = json.loads(loft(*command, "--json", name).out)
        assert value["file"] == text.replace("/", "") + ".loft", value["file"]
    (root,) = facts("roots", loft("roots", "--json", name))["roots"]
    assert root["name"] == text and bytes.fromhex(root["name_hex"]) == ODD, root
    page = loft("map", "--html", "-", name).out
    assert page.count("<script") == page.count("</script>") == 3
    inside = json.loads(re.search(r'id="facts">(.*?)</script>', page, re.DOTALL).group(1))
    assert inside["roots"][0][0] == text
    svg = xml.etree.ElementTree.fromstring(loft("map", "--svg", "-", name).out)
    title = svg.find("{http://www.w3.org/2000/svg}text").text
    assert title == SEEN.replace("/", "").replace("??31m", "?\u009b31m") + ".loft", repr(title)
    fill("root", "\ufffe\uffff\ufffd\U0001f600.loft")
    svg = xml.etree.ElementTree.fromstring(loft("map", "--svg", "-", "\ufffe\uffff\ufffd\U0001f600.loft").out)
    assert svg.find("{http://www.w3.org/2000/svg}text").text == "??\ufffd\U0001f600.loft"


@case
def names_that_begin_with_a_dash():
    fill("small", "./-a.loft")
    assert "unknown option" in loft("info", "-a.loft", want=2).error
    for command in TABLES[1:]:
        assert loft(*command, "--", "-a.loft", want={0, 1}).out == \
            loft(*command, "./-a.loft", want={0, 1}).out.replace("./-a", "-a")
    loft("map", "--svg", "-b.svg", "--", "-a.loft")
    loft("snapshot", "--", "-a.loft", "--help")
    assert sorted(os.listdir(".")) == ["--help", "-a.loft", "-b.svg"]
    assert "nobody" in loft("dump", "--", "-a.loft", "nobody", want=3).error


@case
def arenas_with_nothing_in_them():
    loft("create", "--reserve", "1G", "a.loft")
    for command in TABLES:
        loft(*command, "a.loft")
    assert facts("info", loft("info", "--json", "a.loft"))["live_blocks"] == 0
    assert facts("stat", loft("stat", "--json", "a.loft"))["classes"] == []
    assert facts("roots", loft("roots", "--json", "a.loft"))["roots"] == []
    assert {run["kind"] for run in facts("map", loft("map", "--json", "a.loft"))["runs"]} == \
        {"header", "journal", "metadata", "free"}
    found = facts("check", loft("check", "--json", *SCANS, "a.loft"))
    assert found["sound"] and found["leaks"] == found.get("foreign", []) == []
    loft("map", "--svg", "a.svg", "a.loft")
    loft("map", "--html", "a.html", "a.loft")
    assert "no root" in loft("dump", "a.loft", "list", want=3).error
    loft("snapshot", "a.loft", "b.loft")
    assert "[" not in loft("map", "--against", "b.loft", "a.loft").out
    loft("check", "b.loft")


@case
def maps_fit_windows_of_any_width():
    fill("small", "a.loft")
    loft("snapshot", "a.loft", "b.loft")
    for columns in (1, 2, 13, 14, 15, 16, 20, 31, 40, 79, 80, 200):
        for more in ((), ("--by", "class"), ("--against", "b.loft")):
            lines = loft("map", *more, "a.loft", env={"COLUMNS": str(columns)}).out.splitlines()[1:]
            longest = max(lines, key=len)
            # Nothing is broken that is one thing: in the legend, an item.
            assert len(longest) <= max(columns, 28), (columns, longest)
            grid = [line for line in lines if re.match(r" +[0-9a-f]+  \S", line)] if columns > 14 else lines
            assert len(grid) >= 2 and max(map(len, grid)) <= max(columns, 28), (columns, grid)
    wide = loft("map", "a.loft", env={"COLUMNS": "78", "LINES": "40"}).out
    assert wide.endswith("S span  P pool  r roots  m metadata  j journal  h header  . free\n"
                         "live part of slabs: . none  1 to 9 up to so many tenths  # more\n"), wide


@case
def a_cell_has_the_class_that_most_of_it_is_of():
    fill("slabs", "a.loft")
    runs = facts("map", loft("map", "--json", "a.loft"))["runs"]
    slabs = [run for run in runs if run["kind"] == "slab" and 6 << 20 <= run["offset"] < 8 << 20]
    assert max(slabs, key=lambda run: run["bytes"])["block_bytes"] == 65536, slabs
    # In the fourth cell, small slabs have more in all than the long one.
    answer = loft("map", "--by", "class", "a.loft", env={"COLUMNS": "15", "LINES": "1"})
    assert "cell is 2 MiB" in answer.out and re.search(r"^ +600000  b$", answer.out, re.MULTILINE), answer


@case
def output_that_nobody_reads():
    fill("small", "a.loft")
    fill("journal", "a.loft", want=-9)
    loft("snapshot", "a.loft", "b.loft")
    before = content("b.loft")
    for command in (*TABLES, ("map", "--html", "-"), ("map", "--json")):
        for ignored in (False, True):
            reading, writing = os.pipe()
            os.close(reading)
            done = subprocess.run([PROGRAM, *command, "b.loft"], stdout=writing, stderr=subprocess.PIPE,
                                  check=False, timeout=PATIENCE, restore_signals=not ignored)
            os.close(writing)
            # As any program in a pipeline, it ends by the signal, or with an error where that is ignored.
            assert done.returncode == (3 if ignored else -signal.SIGPIPE), (command, done)
            assert not SANITIZERS.search(done.stderr.decode(errors="replace")), done
    # No stream at all: an arena's descriptor must not become standard output.
    for arguments in (("info", "b.loft"), ("snapshot", "b.loft", "c.loft"), ("salvage", "b.loft", "d.loft"),
                      ("map", "--html", "m.html", "b.loft"), ("create", "e.loft"), ("recover", "a.loft")):
        subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", PROGRAM, *arguments], check=False,
                       timeout=PATIENCE)
    assert content("b.loft") == before
    for name in ("a.loft", "c.loft", "d.loft", "e.loft"):
        loft("check", name)
    assert content("m.html").startswith(b"<!doctype html>") and content("m.html").endswith(b"</html>\n")
    assert "nothing is to be done" in loft("recover", "a.loft").out
    assert sorted(os.listdir(".")) == ["a.loft", "b.loft", "c.loft", "d.loft", "e.loft", "m.html"]


@case
def an_interrupted_map_leaves_nothing():
    fill("wide", "a.loft", 600)
    struck = 0
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) * 10:
        with subprocess.Popen([PROGRAM, "map", "--html", "m.html", "a.loft"], stderr=subprocess.PIPE) as drawing:
            end = time.monotonic() + PATIENCE
            while len(os.listdir(".")) < 2 and drawing.poll() is None and time.monotonic() < end:
                pass
            if drawing.returncode is None:
                os.kill(drawing.pid, signal.SIGSTOP)
                os.waitid(os.P_PID, drawing.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            # Held while there is a draft, the command has no choice left.
            drafted = [name for name in os.listdir(".") if name.startswith("m.html.")] != []
            drawing.send_signal(number)
            drawing.send_signal(signal.SIGCONT)
            assert drawing.wait(PATIENCE) in ((-number,) if drafted else (0, -number)), \
                (drawing.returncode, drawing.stderr.read())
            left = [name for name in os.listdir(".") if name != "a.loft"]
            assert left == [] if drafted else left in ([], ["m.html"]), (drawing.returncode, left)
            struck += drafted
        if left:
            assert content("m.html").endswith(b"</html>\n")
            os.remove("m.html")
        if struck >= 5:
            break
    if struck == 0:
        raise Skip("the map was done before it could be held, thirty times")


@case
def links():
    """Where a name leads elsewhere: refused, and nothing behind it is touched."""
    fill("small", "a.loft")
    os.symlink("a.loft", "link")
    os.link("a.loft", "hard")
    before = content("a.loft")
    for to in ("a.loft", "./a.loft", "hard", "link"):
        for more in ((), ("--replace",)):
            loft("snapshot", *more, "a.loft", to, want=3)
        loft("salvage", "a.loft", to, want=3)
        loft("map", "--html", to, "a.loft", want=3)
    assert content("a.loft") == before and sorted(os.listdir(".")) == ["a.loft", "hard", "link"]
    loft("info", "hard")


main()
