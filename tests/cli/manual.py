"""The man page, the help and the command know the same subcommands, options, exit codes and variables."""

import os
import re
import shutil
import subprocess

from command import HERE, Skip, case, content, loft, main

ROOT = os.path.dirname(os.path.dirname(HERE))
PAGE = os.path.join(ROOT, "docs", "loft.1")


def plain(text):
    """Lines of a man page as they are read: without fonts, escapes and the macros that set fonts."""
    lines = []
    for line in text.split("\n"):
        line = re.sub(r"\\f[RIBP]", "", line.replace("\\-", "-"))
        macro = re.match(r"\.(B|I|RB|RI|BR|BI|IR|IB) (.*)", line)
        if macro:
            words = re.findall(r'"([^"]*)"|(\S+)', macro.group(2))
            joint = "" if len(macro.group(1)) > 1 else " "
            line = joint.join(quoted or word for quoted, word in words)
        lines.append(line)
    return lines


def sections():
    found, name = {}, None
    for line in plain(content(PAGE).decode()):
        heading = re.match(r"\.SH (.*)", line)
        if heading:
            name = heading.group(1)
            found[name] = []
        elif name:
            found[name].append(line)
    return found


def usage(text):
    """Of a usage line: its command, its options with their values, and what is left, the operands."""
    words = text.split()
    command, rest = words[1], " ".join(words[2:])
    options = set()
    for group in re.findall(r"\[(--[^]]*)\]", rest):
        options.update(" ".join(option.split()) for option in group.split(" | "))
    return command, (options, " ".join(re.sub(r"\[--[^]]*\]", "", rest).split()))


def documented():
    lines = " ".join("\n" if line == ".br" else line for line in sections()["SYNOPSIS"]).split("\n")
    return dict(usage(line) for line in lines if "--help" not in line)


def helped():
    names = re.findall(r"^  loft ([a-z]+)", loft("--help").out, re.MULTILINE)
    assert len(names) >= 10, names
    found = {}
    for name in names:
        text = loft(name, "--help").out
        assert text.startswith(f"usage: loft {name} ") and text.strip().count("\n") >= 1, text
        # The purpose is the last line; long usages are broken.
        found.update([usage(" ".join(text.removeprefix("usage: ").strip().split("\n")[:-1]))])
    return found


@case
def synopsis_and_help_agree():
    page, command = documented(), helped()
    assert set(page) == set(command), (set(page), set(command))
    for name in page:
        assert page[name] == command[name], f"{name}: man {page[name]}, help {command[name]}"
        assert page[name][1], f"{name} has no operand"


@case
def the_command_takes_what_they_say_and_nothing_else():
    command = helped()
    every = set().union(*(options for options, _ in command.values()))
    for name, (options, _) in command.items():
        known = {option.split()[0] for option in options}
        for option in every | {"--verbose", "--force"}:
            arguments = (option.split()[0], *(["x"] if " " in option else []))
            answer = loft(name, *arguments, want=2)
            # An option that is known leaves the complaint that there is no file.
            assert ("unknown option" in answer.error) == (arguments[0] not in known), answer


@case
def every_option_command_code_and_variable_is_described():
    found = sections()
    for name, (options, _) in documented().items():
        assert re.search(rf"^\.TP\n{name}$", "\n".join(found["COMMANDS"]), re.MULTILINE), name
        for option in options:
            where = "\n".join(found["JSON" if option == "--json" else "COMMANDS"])
            assert option.split()[0] in where, f"{name} {option} is not described"
    codes = re.findall(r"^\.TP\n(\d)$", "\n".join(found["EXIT STATUS"]), re.MULTILINE)
    with open(os.path.join(ROOT, "src", "cli", "cli.h"), encoding="utf-8") as file:
        defined = re.findall(r"^ +LOFTI_CLI_[A-Z]+ = (\d)", file.read().split("lofti_cli_exit")[1].split("};")[0],
                             re.MULTILINE)
    assert codes == sorted(defined) and len(codes) == 4, (codes, defined)
    environment = " ".join(found["ENVIRONMENT"])
    asked = set()
    for name in sorted(os.listdir(os.path.join(ROOT, "src", "cli"))):
        if name.endswith(".c"):
            with open(os.path.join(ROOT, "src", "cli", name), encoding="utf-8") as file:
                asked |= set(re.findall(r'(?:getenv|map_environment)\("([A-Z_]+)"\)', file.read()))
    assert asked >= {"COLUMNS", "LINES", "NO_COLOR", "TERM"}, asked
    for variable in asked:
        assert variable in environment, f"{variable} is not described"


@case
def it_is_a_man_page():
    if not shutil.which("groff"):
        raise Skip("there is no groff")
    done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-z", PAGE], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, timeout=60)
    if b"can't find" in done.stderr or b"cannot find" in done.stderr:
        raise Skip("this groff has no man macros")
    assert done.returncode == 0 and done.stderr == b"", done


main()
