#!/usr/bin/python3
"""Makes the fuzz targets' seeds from what the tests and documents hold already:

    tests/fuzz/make_seeds.py FOLDER

writes FOLDER/TARGET/* and, last, FOLDER/made. Beside golden data, example configurations and
schema files, each line of tests/fuzz/seeds/TARGET.txt is one seed, with Python's escapes.
"""
import codecs
import hashlib
import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "fuzz"


def pgoutput():
    """A capture's messages, together and one by one, each with its length before it."""
    for path in (ROOT / "tests/golden/pgoutput").glob("*.hex"):
        messages = [bytes.fromhex(line) for line in path.read_text().splitlines()
                    if line and not line.startswith("#")]
        messages = [len(message).to_bytes(2, "big") + message for message in messages
                    if len(message) < 1 << 16]
        yield b"".join(messages)
        yield from messages


def hex_lines(name):
    return [bytes.fromhex(line) for line in (ROOT / "tests/golden/spool" / name).read_text().split()]


def batches():
    """Stored ones, together and one by one, each with its length before it."""
    stored = [len(batch).to_bytes(2, "big") + batch for batch in hex_lines("batches.hex")]
    yield b"".join(stored)
    yield from stored


def segments():
    """One as it is, and with the checksums put right that fuzzing breaks."""
    for segment in hex_lines("segment.hex"):
        for how in range(16):
            yield bytes([how]) + segment


def configurations():
    for path in sorted((ROOT / "docs").rglob("*.md")):
        for block in re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL):
            yield block.encode()
    for path in sorted((ROOT / "deploy").rglob("*.yaml")):
        if path.name != "compose.yaml":
            yield path.read_bytes()


def schema():
    for path in (ROOT / "tests/golden/schema").glob("*.json"):
        yield b"\0" + path.read_bytes()


def lines(target):
    path = HERE / "seeds" / f"{target}.txt"
    for line in path.read_text().splitlines() if path.exists() else ():
        if line and not line.startswith("# "):
            yield codecs.escape_decode(line.encode())[0]


SOURCES = {"pgoutput": pgoutput, "batch": batches, "spool": segments, "config": configurations,
           "rules": configurations, "schema": schema, "values": None, "view": None, "http": None}


def main():
    folder = pathlib.Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    for target, source in SOURCES.items():
        (folder / target).mkdir(parents=True)
        for seed in [*(source() if source else ()), *lines(target)]:
            name = hashlib.sha1(seed, usedforsecurity=False).hexdigest()
            (folder / target / name).write_bytes(seed)
    (folder / "made").touch()


main()
