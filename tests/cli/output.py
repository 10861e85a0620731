"""What every subcommand prints and does, in each of its ways.

Golden outputs lie in tests/cli/golden; LOFT_GOLDEN=write makes them anew, to be read before they are
committed. What differs between runs and file systems (UUID, blocks on the device, seconds, held address
space) is replaced first.
"""

import os
import re
import resource
import stat
import subprocess
import xml.etree.ElementTree

from command import (FILL, HERE, PROGRAM, SANITIZERS, Skip, case, content, facts, fill, loft, main, matches, scans)

SCANS = scans()
READING = [("info",), ("check",), ("check", *SCANS), ("stat",), ("map",),
           ("map", "--by", "class"), ("map", "--svg", "-"), ("map", "--html", "-"), ("roots",)]


def normal(text):
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
    text = re.sub(r"[0-9.]+ [KMG]?i?B of it on the device", "SIZE of it on the device", text)
    text = re.sub(r"[0-9.]+ [KMGT]iB held when open", "SIZE held when open", text)
    text = re.sub(r"(commit \d+), [0-9.]+ [KMG]?i?B, in [0-9.]+ s", r"\1, SIZE, in TIME", text)
    return text


def golden(name, answer):
    path = os.path.join(HERE, "golden", name + ".txt")
    text = normal(answer.out)
    if os.environ.get("LOFT_GOLDEN") == "write":
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return
    with open(path, encoding="utf-8") as file:
        want = file.read()
    assert text == want, f"{name} differs from its golden output:\n{text}\n--- want\n{want}"


@case
def golden_outputs():
    fill("small", "a.loft")
    for name, arguments in {
            "info": ("info", "a.loft"), "check": ("check", "a.loft"), "stat": ("stat", "a.loft"),
            "map": ("map", "a.loft"), "map_class": ("map", "--by=class", "a.loft"),
            "roots": ("roots", "a.loft"), "dump_root": ("dump", "a.loft", "inside"),
            "dump_address": ("dump", "a.loft", "0x7e8000400000", "32"),
            "dump_offset": ("dump", "a.loft", "+0", "32"), "snapshot": ("snapshot", "a.loft", "b.loft"),
    }.items():
        golden(name, loft(*arguments))
    fill("more", "a.loft")
    golden("map_changes", loft("map", "--against", "b.loft", "a.loft"))
    golden("map_narrow", loft("map", "a.loft", env={"COLUMNS": "40", "LINES": "60"}))
    fill("leaky", "c.loft")
    if "--foreign" in SCANS:
        golden("check_leaky", loft("check", *SCANS, "c.loft", want=1))
    golden("recover_nothing", loft("recover", "a.loft"))
    fill("journal", "a.loft", want=-9)
    golden("info_journal", loft("info", "a.loft"))
    golden("recover", loft("recover", "a.loft"))
    golden("help", loft("--help"))


@case
def json_of_every_command():
    fill("small", "a.loft")
    info = facts("info", loft("info", "--json", "a.loft"))
    stats = facts("stat", loft("stat", "--json", "a.loft"))
    assert info["live_blocks"] == stats["live_blocks"] and info["live_bytes"] == stats["live_bytes"]
    assert info["base"] == "0x7e8000000000" and info["roots"] == 5 and info["has_writer"] is False
    slabs = sum(one["blocks"] for one in stats["classes"]), sum(one["live"] for one in stats["classes"])
    runs = facts("map", loft("map", "--json", "a.loft"))["runs"]
    assert slabs == (sum(run["blocks"] for run in runs if run["kind"] == "slab"),
                     sum(run["live"] for run in runs if run["kind"] == "slab"))
    for one, other in zip(runs, runs[1:]):
        assert one["offset"] + one["bytes"] <= other["offset"], (one, other)
    names = facts("roots", loft("roots", "--json", "a.loft"))["roots"]
    odd = next(root for root in names if root["name"].startswith("odd"))
    assert bytes.fromhex(odd["name_hex"]) == b'odd "name" <&>\n\xff\xc3\xa4'
    assert odd["name"] == 'odd "name" <&>\n\ufffd\u00e4'
    assert all(root["block"]["live"] for root in names)
    dump = facts("dump", loft("dump", "--json", "a.loft", "list", "32"))
    assert bytes.fromhex(dump["hex"])[8:15] == b"node 39", dump
    assert facts("check", loft("check", "--json", *SCANS, "a.loft", want={0, 1}))["sound"]
    made = facts("create", loft("create", "--json", "--reserve", "64M", "n.loft"))
    assert made["reserve_bytes"] >= 64 << 20
    copy = facts("snapshot", loft("snapshot", "--json", "a.loft", "b.loft"))
    assert copy["uuid"] != info["uuid"] and copy["sequence"] >= info["sequence"]
    again = facts("recover", loft("recover", "--json", "b.loft"))
    assert again["pending"] is False and again["journal_bytes"] == 0
    saved = facts("check", loft("salvage", "--json", "a.loft", "c.loft"))
    assert saved["copied"] and saved["faults"] == []


@case
def failures_are_json_too():
    for command in (("info",), ("stat",), ("map",), ("roots",), ("recover",)):
        answer = loft(command[0], "--json", "nothing.loft", want=3)
        assert facts("error", answer)["error"]["code"] == "LOFT_ENOENT"
        assert "nothing.loft" in answer.error
    assert facts("check", loft("check", "--json", "nothing.loft", want=3))["error"]["code"] == "LOFT_ENOENT"
    fill("small", "a.loft")
    facts("error", loft("dump", "--json", "a.loft", "nobody", want=3))
    facts("error", loft("dump", "--json", "a.loft", "0x1000", want=3))
    assert facts("error", loft("create", "--json", "a.loft", want=3))["error"]["code"] == "LOFT_EEXIST"
    assert facts("error", loft("snapshot", "--json", "a.loft", "a.loft", want=3))


@case
def the_checker_of_schemas_sees():
    schema = {"type": "object", "required": ["a"], "additionalProperties": False,
              "properties": {"a": {"type": "integer", "minimum": 1}}}
    assert matches({"a": 1}, schema) is None
    for bad in ({}, {"a": 0}, {"a": "1"}, {"a": True}, {"a": 1, "b": 2}, []):
        assert matches(bad, schema), bad


@case
def wrong_command_lines():
    fill("small", "a.loft")
    before = content("a.loft")
    for arguments in ((), ("nothing",), ("info",), ("info", "a.loft", "b.loft"), ("info", "--nothing", "a.loft"),
                      ("info", "--json=yes", "a.loft"), ("dump", "a.loft"), ("dump", "a.loft", "list", "many"),
                      ("map", "--by", "size", "a.loft"), ("map", "--by", "changes", "a.loft"),
                      ("map", "a.loft", "--svg"), ("map", "--svg", "x", "--html", "y", "a.loft"),
                      ("create", "--reserve", "1Q", "n.loft"), ("create", "--reserve", "-1", "n.loft"),
                      ("create", "--base", "0", "n.loft"), ("snapshot", "a.loft"), ("salvage", "a.loft")):
        answer = loft(*arguments, want=2)
        assert answer.error and answer.out == "", answer
    assert content("a.loft") == before and os.listdir(".") == ["a.loft"]
    assert loft("--version").out.startswith("loft ")
    assert loft("info", "--help").out.startswith("usage: loft info")
    assert "usage: loft" in loft("--help").out


@case
def looking_changes_nothing():
    fill("small", "a.loft")
    fill("journal", "a.loft", want=-9)
    before, names = content("a.loft"), sorted(os.listdir("."))
    for command in READING:
        loft(*command, "a.loft", want={0, 1})
        assert content("a.loft") == before, command
    loft("dump", "a.loft", "list")
    loft("snapshot", "a.loft", "b.loft")
    loft("salvage", "a.loft", "c.loft", want={0, 1})
    assert content("a.loft") == before
    assert sorted(os.listdir(".")) == sorted(names + ["b.loft", "c.loft"])
    os.chmod("a.loft", 0o400)
    assert "journal         4 KiB wait" in loft("info", "a.loft").out


@case
def beside_a_writer():
    fill("small", "a.loft")
    with subprocess.Popen([FILL, "hold", "a.loft"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout.readline() == b"ready\n"
            for command in READING:
                loft(*command, "a.loft", want={0, 1})
            assert facts("info", loft("info", "--json", "a.loft"))["has_writer"] is True
            assert "by a writer" in loft("info", "a.loft").out
            loft("snapshot", "a.loft", "b.loft")
            error = facts("error", loft("recover", "--json", "a.loft", want=3))["error"]
            assert error["code"] == "LOFT_EBUSY", error
        finally:
            writer.stdin.close()
    loft("check", "b.loft")
    loft("recover", "a.loft")


@case
def maps_are_written_carefully():
    fill("small", "a.loft")
    os.chmod("a.loft", 0o640)
    loft("map", "--html", "m.html", "a.loft")
    assert stat.S_IMODE(os.stat("m.html").st_mode) == 0o640
    os.chmod("a.loft", 0o600)
    loft("map", "--svg", "m.html", "a.loft")  # what is there is replaced
    assert content("m.html").startswith(b"<svg") and stat.S_IMODE(os.stat("m.html").st_mode) == 0o600
    fill("small", "b.loft")
    before = content("b.loft")
    assert "is an arena" in loft("map", "--html", "b.loft", "a.loft", want=3).error
    assert content("b.loft") == before
    os.mkdir("folder")
    loft("map", "--html", "folder", "a.loft", want=3)
    loft("map", "--html", "nowhere/m.html", "a.loft", want=3)
    assert sorted(os.listdir(".")) == ["a.loft", "b.loft", "folder", "m.html"]
    assert b"</html>" in loft("map", "--html", "-", "a.loft", binary=True).out


@case
def pictures_are_well_formed():
    fill("small", "a<&>\".loft")
    loft("snapshot", "a<&>\".loft", "b.loft")
    fill("more", "a<&>\".loft")
    for more in ((), ("--by", "class"), ("--against", "b.loft")):
        svg = xml.etree.ElementTree.fromstring(loft("map", *more, "--svg", "-", "a<&>\".loft").out)
        assert len(svg.findall("{http://www.w3.org/2000/svg}rect")) > 20
        page = loft("map", *more, "--html", "-", "a<&>\".loft").out
        assert not re.search(r"(src|href)\s*=|url\(|@import", page), "the page asks for something else"
        assert page.count("<script") == page.count("</script>") == 3
        assert "<!--" not in page and "\\u003c&>" in page


@case
def colours_only_where_they_are_wanted():
    fill("small", "a.loft")
    assert "\033" not in loft("map", "a.loft").out
    shown = subprocess.run(["script", "-qec", f"{PROGRAM} map a.loft", "/dev/null"], stdout=subprocess.PIPE,
                           stdin=subprocess.DEVNULL, check=False, timeout=60,
                           env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": ""}) \
        if os.path.exists("/usr/bin/script") else None
    if shown is None:
        raise Skip("there is no script(1) to make a terminal")
    assert b"\033[48;5;" in shown.stdout and not SANITIZERS.search(shown.stdout.decode(errors="replace"))


@case
def snapshots():
    fill("small", "a.loft")
    loft("snapshot", "a.loft", "b.loft")
    assert "LOFT_EEXIST" in loft("snapshot", "--json", "a.loft", "b.loft", want=3).out
    fill("more", "a.loft")
    loft("snapshot", "--replace", "--quiet", "a.loft", "b.loft")
    assert b"changed" in bytes.fromhex(facts("dump", loft("dump", "--json", "b.loft", "list"))["hex"])
    loft("check", "b.loft")
    loft("snapshot", "a.loft", "nowhere/b.loft", want=3)
    loft("map", "--against", "a.loft", "b.loft")
    loft("create", "--reserve", "1G", "n.loft")
    assert "is no snapshot" in loft("map", "--against", "n.loft", "a.loft", want=3).error


@case
def what_is_no_arena():
    os.mkdir("folder")
    os.mkfifo("fifo")
    os.symlink("a.loft", "link")
    open("empty", "w").close()
    with open("text", "w", encoding="utf-8") as file:
        file.write("no arena at all\n" * 1000)
    for name in ("folder", "fifo", "empty", "text", "link", "/dev/null", "", "nothing", "a" * 5000):
        for command in READING[:8]:
            answer = loft(*command, name, want={1, 3})
            assert command[0] == "check" or answer.code == 3, answer
            assert answer.error or answer.out, answer
    assert loft("check", "text", want=1).out.count("fault") >= 2


@case
def a_picture_that_does_not_fit():
    fill("small", "a.loft")
    # A limit for the size of files stands for a full disk, and needs no mount. Ignored signals are inherited.
    done = subprocess.run([PROGRAM, "map", "--html", "m.html", "a.loft"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=60, restore_signals=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
    assert done.returncode == 3 and b"'m.html' cannot be written: File too large" in done.stderr, done
    assert os.listdir(".") == ["a.loft"]


@case
def a_full_standard_output():
    fill("small", "a.loft")
    if not os.path.exists("/dev/full"):
        raise Skip("there is no /dev/full")
    for command in READING[:5]:
        with open("/dev/full", "wb") as full:
            done = subprocess.run([PROGRAM, *command, "a.loft"], stdout=full, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 3 and b"standard output" in done.stderr, (command, done)


main()
