"""The frame of every bench: flags, packages, the build, a folder, an orderly end.

Flags common to all: --quick (small data, one round unless --rounds says otherwise), --rounds N,
--only NAME,... and --output FOLDER.
"""
import argparse
import os
import shlex
import signal
import subprocess
import sys
import time

from world import product
from world.cluster import scratch_folder

from . import ROOT

began = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - began:7.1f} s] {text}", file=sys.stderr, flush=True)


def parser(description, rounds=3):
    made = argparse.ArgumentParser(description=description,
                                   formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true",
                      help="small data and one round: shows that it works, not how fast")
    made.add_argument("--rounds", type=int, metavar="N",
                      help=f"default {rounds}, or 1 with --quick")
    made.add_argument("--output", metavar="FOLDER",
                      help="for the JSON and Markdown; default build/bench")
    made.add_argument("--only", metavar="NAME,...", help="only these cases or contenders")
    made.set_defaults(usual_rounds=rounds)
    return made


def parse(made):
    options = made.parse_args()
    if options.rounds is None:
        options.rounds = 1 if options.quick else options.usual_rounds
    if options.rounds < 1:
        made.error("--rounds: at least 1")
    options.command = shlex.join([os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]])
    return options


def chosen(made, options, names):
    """What --only leaves of the names, in their order."""
    wanted = options.only.split(",") if options.only else names
    if not set(wanted) <= set(names):
        made.error(f"--only: one or more of {','.join(names)}")
    return [name for name in names if name in wanted]


def settings(options):
    """Of the servers: --quick is not about their disks."""
    return {"fsync": "off", "shared_buffers": "128MB"} if options.quick else {}


def install(packages):
    """Installs a list of deploy/packages. False when that cannot be done."""
    script = f'. deploy/packages && packages_install "${{{packages}[@]}}"'
    return subprocess.run(["bash", "-c", script], cwd=ROOT, check=False,
                          stdout=sys.stderr).returncode == 0


def build():
    """The release binary, unless SLACKWATER_BINARY names another."""
    if os.environ.get("SLACKWATER_BINARY"):
        return
    for words in (["cmake", "--preset", "release"], ["cmake", "--build", "--preset", "release"]):
        done = subprocess.run(words, cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise SystemExit(f"{shlex.join(words)} failed:\n{done.stdout}")


def main(name, options, work):
    """Prepares, and calls work(folder)."""
    for variable in [variable for variable in os.environ if variable.startswith("PG")]:
        del os.environ[variable]  # nobody's own server is meant
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not install("PACKAGES_BENCH"):
        raise SystemExit(1)
    build()
    say(f"bench/{name}: {product.BINARY}")
    with scratch_folder() as folder:
        try:
            work(folder)
        except KeyboardInterrupt:
            raise SystemExit("interrupted") from None
