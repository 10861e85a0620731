"""The groups of benchmarks: what each runs, what it is about, how long it takes on two cores."""


def run(program, title, quick_seconds, full_seconds, *arguments, full_rounds=None, quick_rounds=None):
    """One program of a group; `title` heads the table of those that make one table of their own form."""
    return {"program": program, "title": title, "seconds": (quick_seconds, full_seconds), "arguments": list(arguments),
            "rounds": (quick_rounds, full_rounds)}


# For each group: a text for the report, what it leaves out, and its programs.
GROUPS = {
    "heap": {
        "about": "Allocating and freeing in memory, one thread: loft's arena (anonymous, in a file, linked statically) and "
                 "libloft-malloc.so beside malloc libraries under LD_PRELOAD. Every competitor runs in a process of its own; "
                 "they take turns, round by round. Cold is a competitor's first round, which pays for page faults.",
        "not": "Competitors that Debian does not package (mimalloc 3, rpmalloc, snmalloc).",
        "run": [
            run("heap", "Pairs: allocate, store a byte, free", 2, 5, "--filter", "pair", quick_rounds=5),
            run("heap", "A million blocks, then all of them freed", 10, 20, "--filter", "batch", quick_rounds=5, full_rounds=17),
            run("heap", "Random replacement", 21, 24, "--filter", "replace", quick_rounds=5),
            run("heap", "Bump pools", 1, 2, "--filter", "pool", quick_rounds=5),
            run("growth", "Growth: live blocks", 4, 180, "--filter", "live-", quick_rounds=3, full_rounds=9),
        ],
    },
    "threads": {
        "about": "Several threads: a server's pattern (larson), also with more threads than the machine has processors, blocks "
                 "allocated by one thread and freed by another, and what entering and leaving a mutation section costs.",
        "not": "More processors than this machine has: beyond them a curve over threads shows what oversubscription costs.",
        "run": [
            run("heap", "Larson: two threads that inherit blocks", 3, 8, "--filter", "larson", quick_rounds=5, full_rounds=17),
            run("heap", "One thread allocates, the other frees", 8, 25, "--filter", "pass", quick_rounds=5, full_rounds=17),
            run("growth", "Growth: threads", 42, 130, "--filter", "threads-", quick_rounds=3, full_rounds=7),
            run("gate", "", 15, 40),
        ],
    },
    "persistent": {
        "about": "The same heap works by heaps that live in files. None of them makes anything durable while it is timed, but for "
                 "PMDK durable.",
        "not": "Heaps that Debian does not package (Metall, pma, Ralloc).",
        "run": [
            run("persistent", "Heaps in files: pairs", 2, 6, "--filter", "pair-64", quick_rounds=3, full_rounds=17),
            run("persistent", "Heaps in files: a million blocks", 52, 150, "--filter", "batch-random", quick_rounds=3,
                full_rounds=11),
            run("persistent", "Heaps in files: random replacement", 20, 45, "--filter", "replace-1k", quick_rounds=3,
                full_rounds=17),
        ],
    },
    "commit": {
        "about": "Making changes durable: random updates of a table in one atomic step, beside databases and beside the "
                 "least that any store could do (append to a log and flush it); small commits in heaps of 1 MiB to 16 GiB; "
                 "rollback; loading gigabytes.",
        "not": "The databases' checkpoints (loft's own are in its figures), power cuts, several writers.",
        "run": [run("commit", "", 170, 600, quick_rounds=3, full_rounds=11)],
    },
    "reopen": {
        "about": "Opening a heap again: cleanly closed, after a crash, by number of blocks, by size, and reading it through.",
        "not": "A device that is slow to find a block: what is cold here comes from a fast one.",
        "run": [run("reopen", "", 40, 330, quick_rounds=5, full_rounds=15)],
    },
    "snapshot": {
        "about": "Copying a live heap into a file of its own, beside cp and a flush, and how long writers are held up.",
        "not": "Reflinks, where the file system has none.",
        "run": [run("snapshot", "", 20, 120)],
    },
    "region": {
        "about": "The raw tier: anonymous memory and mapped files by one call, beside the bare system calls.",
        "not": "",
        "run": [run("region", "", 23, 40)],
    },
    "programs": {
        "about": "Programs that nobody wrote for loft, under LD_PRELOAD of each malloc library: whole runs, paired round by "
                 "round with those on the C library's malloc.",
        "not": "Cold starts from the disk; huge heaps.",
        "run": [run("programs", "", 45, 1500)],
    },
}

# Programs whose files go to a folder named at the end, not to --directory.
FOLDER_LAST = {"snapshot"}
