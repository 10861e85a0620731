"""What docs/platforms.md names is there, and processors that loft cannot serve are refused in a sentence."""

import json
import os
import re
import shutil
import tempfile

from house import ARGS, Skip, files, main, read, rule, run

PAGE = "docs/platforms.md"


def missing(text, presets, modes, groups, there):
    """What a page names that is not: presets as `preset NAME`, modes of script/test, groups of
    script/bootstrap, files in backticks."""
    found = [f"preset {name}" for name in re.findall(r"`preset ([\w-]+)`", text) if name not in presets]
    found += [f"script/test --{name}" for name in re.findall(r"script/test --([\w-]+)", text)
              if name not in modes]
    found += [f"script/bootstrap --for={name}" for name in re.findall(r"script/bootstrap --for=([\w-]+)", text)
              if name not in groups]
    for name in re.findall(r"`((?:src|tests|script|docs|include)/[^`\s]*)`", text):
        if not any(one == name or one.startswith(name.rstrip("/") + "/") for one in there):
            found.append(name)
    return found


@rule
def the_page_names_what_is_there():
    """correct docs/platforms.md"""
    presets = {one["name"] for one in json.loads(read("CMakePresets.json"))["configurePresets"]}
    modes = set(re.findall(r"--([\w-]+)", re.search(r"usage: script/test \[([^\]]*)\]", read("script/test"))[1]))
    groups = set(re.search(r"usage: script/bootstrap \[--for=([^\]]*)\]", read("script/bootstrap"))[1].split("|"))
    return missing(read(PAGE), presets, modes, groups, files())


@rule
def every_foreign_preset_is_on_the_page():
    """a preset with a toolchain file is a platform: docs/platforms.md tells what of it is tested"""
    text = read(PAGE)
    return [one["name"] for one in json.loads(read("CMakePresets.json"))["configurePresets"]
            if "toolchainFile" in one and f"`preset {one['name']}`" not in text]


@rule
def prove_what_is_missing_is_seen():
    """planted violations"""
    text = "`preset a`, `preset b`, `script/test --a`, `script/test --b`, script/bootstrap --for=b, `src/os/` `src/no`"
    found = missing(text, {"a"}, {"a"}, {"a"}, ["src/os/map.c"])
    want = ["preset b", "script/test --b", "script/bootstrap --for=b", "src/no"]
    return [] if found == want else [f"missing were said to be {found}"]


def configure(*arguments):
    """The text of a configuration, which must fail."""
    folder = tempfile.mkdtemp(prefix="loft-test.")
    try:
        code, text = run([ARGS.cmake, "-S", ARGS.source, "-B", os.path.join(folder, "build"),
                          *[argument.replace("FOLDER", folder) for argument in arguments]])
        assert code != 0, "it was accepted"
        return " ".join(text.split())
    finally:
        shutil.rmtree(folder)


def pretend(variable, value):
    """A configuration by a compiler that has other properties than this one."""
    with tempfile.NamedTemporaryFile("w", suffix=".cmake") as file:
        file.write(f"set({variable} {value})\n")
        file.flush()
        return configure("-DCMAKE_C_COMPILER=" + ARGS.cc, "-DCMAKE_PROJECT_loft_INCLUDE=" + file.name)


@rule
def thirty_two_bits_are_refused():
    """CMakeLists.txt says why before anything is built"""
    text = pretend("CMAKE_SIZEOF_VOID_P", "4")
    return [] if "loft needs a 64-bit processor" in text and "32 bits" in text else [text]


@rule
def a_32_bit_compiler_is_refused():
    """the same with a real one"""
    if not shutil.which("i686-linux-gnu-gcc"):
        raise Skip("there is no i686-linux-gnu-gcc")
    text = configure("-DCMAKE_C_COMPILER=i686-linux-gnu-gcc")
    return [] if "loft needs a 64-bit processor" in text else [text]


@rule
def big_endian_is_refused():
    """the same for the other byte order"""
    text = pretend("CMAKE_C_BYTE_ORDER", "BIG_ENDIAN")
    return [] if "loft needs a little-endian processor" in text else [text]


main()
