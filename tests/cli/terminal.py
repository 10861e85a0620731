"""What the `loft` command does on a terminal: a pseudo-terminal of a known size stands for one."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

from command import PATIENCE, PROGRAM, SANITIZERS, case, content, fill, loft, main

BAR = re.compile(r"\[([#]*)( *)\] +(\d+) %  ([0-9.]+ [KMG]?i?B) of ([0-9.]+ [KMG]?i?B)  ([0-9.]+ [KMG]?i?B)/s")


def on_terminal(*arguments, columns=100, lines=30, until=None, env=None):
    """Runs the command with all three streams on a terminal: its exit status and all that it showed. until: a number of
    bytes shown after which it is interrupted as by Ctrl-C."""
    child, screen = pty.fork()
    if child == 0:
        os.environ.update({"TERM": "xterm-256color", **(env or {})})
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            if name not in (env or {}):
                os.environ.pop(name, None)
        time.sleep(0.1)  # until the size is set
        os.execv(PROGRAM, [PROGRAM, *arguments])
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    shown, end = b"", time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if not select.select([screen], [], [], 1)[0]:
            continue
        try:
            piece = os.read(screen, 65536)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
        if until is not None and len(shown) >= until:
            os.write(screen, b"\x03")
            until = None
    else:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    os.close(screen)
    text = shown.decode(errors="replace")
    assert not SANITIZERS.search(text), text
    assert os.WIFEXITED(status), (status, text)
    return os.WEXITSTATUS(status), text


def bars(text):
    return [found for found in map(BAR.search, text.split("\r")) if found]


@case
def a_bar_while_a_snapshot_runs():
    fill("large", "a.loft", 64)
    code, text = on_terminal("snapshot", "a.loft", "b.loft")
    assert code == 0, text
    drawn = bars(text)
    assert drawn, f"no bar in {text!r}"
    parts = [int(bar.group(3)) for bar in drawn]
    assert parts == sorted(parts) and parts[-1] <= 100, parts
    for bar in drawn:
        cells = len(bar.group(1))
        assert cells + len(bar.group(2)) == 30 and abs(cells - int(bar.group(3)) * 0.3) <= 1, bar.group(0)
        assert bar.group(5).endswith("MiB") and float(bar.group(5).split()[0]) >= 64, bar.group(0)
    # The bar is gone when the answer comes, which stands alone in its line.
    assert re.search(r"\r\033\[Kb\.loft: commit \d+, [0-9.]+ MiB, in [0-9.]+ s\r\n$", text), repr(text)
    loft("check", "b.loft")


@case
def a_bar_stays_in_one_line():
    fill("large", "a.loft", 64)
    for columns in (8, 20, 40, 60, 80):
        code, text = on_terminal("snapshot", "--replace", "a.loft", "b.loft", columns=columns)
        assert code == 0, text
        drawn = [line for line in text.split("\r") if line.endswith("\033[K") and "%" in line]
        assert drawn, f"no bar in {text!r}"
        longest = max(len(line.removesuffix("\033[K")) for line in drawn)
        assert longest < columns, (columns, longest, drawn)
        with_bar = [bool(re.search(r"\[#* *\]", line)) for line in drawn]
        assert all(with_bar) if columns == 80 else not any(with_bar) or columns > 20, (columns, drawn)


@case
def no_bar_where_nobody_wants_one():
    fill("small", "a.loft")
    code, text = on_terminal("snapshot", "a.loft", "d.loft", env={"TERM": "dumb"})
    assert code == 0 and "\033" not in text and text.startswith("d.loft: commit"), repr(text)
    code, text = on_terminal("snapshot", "--quiet", "a.loft", "b.loft")
    assert code == 0 and not bars(text) and "\033" not in text and text.startswith("b.loft: commit"), repr(text)
    answer = loft("snapshot", "a.loft", "c.loft")  # standard error is a pipe
    assert answer.error == "", answer


@case
def an_interrupt_leaves_nothing():
    fill("large", "a.loft", 256)
    before, names = os.stat("a.loft").st_size, sorted(os.listdir("."))
    code, text = on_terminal("snapshot", "a.loft", "b.loft", until=1)
    assert code == 3 and "canceled" in text, (code, text)
    assert sorted(os.listdir(".")) == names and os.stat("a.loft").st_size == before
    loft("check", "a.loft")


@case
def a_failure_removes_the_bar():
    fill("small", "a.loft")
    with open("b.loft", "w", encoding="utf-8") as file:
        file.write("something else")
    code, text = on_terminal("snapshot", "a.loft", "b.loft")
    assert code == 3 and "exists" in text and not bars(text.split("\033[K")[-1]), (code, text)
    assert content("b.loft") == b"something else"


@case
def a_map_fits_its_window():
    fill("small", "a.loft")
    for columns, lines in ((120, 40), (40, 20), (30, 16), (20, 24)):
        code, text = on_terminal("map", "a.loft", columns=columns, lines=lines)
        assert code == 0 and "\033[48;5;" in text, text
        rows = re.sub(r"\033\[[0-9;]*[A-Za-z]", "", text).replace("\r", "").rstrip("\n").split("\n")
        # The heading is broken by the terminal, and the prompt takes a line.
        assert len(rows) + len(rows[0]) // columns + 1 <= lines, (columns, lines, text)
        assert max(map(len, rows[1:])) <= max(columns, 28), text
        grid = [row for row in rows if re.match(r" +[0-9a-f]+  \S", row)]
        assert len(rows) <= lines and 2 <= len(grid) < len(rows), (lines, text)
        assert max(map(len, grid)) <= columns, (columns, max(grid, key=len))
    code, text = on_terminal("map", "a.loft", env={"NO_COLOR": "1"})
    assert code == 0 and "\033[" not in text, text


main()
