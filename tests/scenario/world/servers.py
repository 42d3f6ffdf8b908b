"""Where the servers' programs are, of whatever major version.

What Debian has installed comes first, then what tests/versions fetches. Those have the servers'
programs only; tools (psql, pgbench) are Debian's and work with every server, but for those which a
newer server turns away (own_tool).
"""
import functools
import os
import pathlib
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
USUAL = 15  # Debian's
TOOLS = pathlib.Path(f"/usr/lib/postgresql/{USUAL}/bin")


def wanted(side):
    """The major version that the run has for a side, "source" or "target"."""
    return int(os.environ.get(f"SLACKWATER_{side.upper()}_VERSION") or USUAL)


@functools.cache
def fetched(major):
    """(folder, "") of a server that is not Debian's, or (None, why it is not at hand)."""
    done = subprocess.run([ROOT / "tests" / "versions", str(major)], capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip().rpartition("\n")[2]
    return ROOT / "build" / "postgresql" / str(major) / "bin", ""


def programs(major):
    """The folder with initdb and postgres. A test that cannot have them is skipped, with the reason."""
    if (installed := pathlib.Path(f"/usr/lib/postgresql/{major}/bin/postgres")).exists():
        return installed.parent
    folder, why = fetched(major)
    if folder is None:
        raise unittest.SkipTest(why)
    return folder


def own_tool(name, major):
    """A tool that reads no server which is newer than itself, such as pg_dump. A test is skipped
    where there is none that is new enough."""
    if (installed := pathlib.Path(f"/usr/lib/postgresql/{major}/bin/{name}")).exists():
        return installed
    if major > USUAL:
        raise unittest.SkipTest(f"{name} of PostgreSQL {major} is not installed")
    return TOOLS / name
