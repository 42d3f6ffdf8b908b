#!/usr/bin/python3
"""Holds the decoder's reading of the captured pgoutput messages against the expected text.

    tests/golden/run_golden.py [--accept] [--printer build/release/pgoutput_print] [NAME ...]

Each pgoutput/NAME.hex goes to the printer on standard input, message by message, and what it
prints must be pgoutput/NAME.expected. --accept writes that file instead: read the diff then.
The last line is "N passed, N failed, N skipped".
"""
import argparse
import difflib
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CAPTURES = HERE / "pgoutput"
DIFF_LINES = 60


def messages(path):
    """The hex lines of a capture, without comments."""
    return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]


def decode(printer, lines):
    """What the printer makes of the messages; None and a reason when it fails."""
    try:
        done = subprocess.run([printer], input="\n".join(lines) + "\n", text=True, timeout=60,
                              capture_output=True, encoding="utf-8", errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    if done.returncode != 0:
        return None, f"exit status {done.returncode}\n{done.stdout[-500:]}{done.stderr}"
    return done.stdout, ""


def check(printer, path, accept):
    """True if the capture reads as expected; says why not."""
    text, reason = decode(printer, messages(path))
    expected = path.with_suffix(".expected")
    if text is None:
        print(f"FAILED {path.name}: {reason}")
        return False
    if accept:
        expected.write_text(text)
        print(f"accepted {expected}")
        return True
    if not expected.exists():
        print(f"FAILED {path.name}: no {expected.name}; write it with --accept and read it")
        return False
    diff = list(difflib.unified_diff(expected.read_text().splitlines(), text.splitlines(),
                                     expected.name, "printed", lineterm=""))
    if diff:
        print(f"FAILED {path.name}")
        print("\n".join(diff[:DIFF_LINES] + (["..."] if len(diff) > DIFF_LINES else [])))
    return not diff


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--accept", action="store_true")
    parser.add_argument("--printer", type=pathlib.Path,
                        default=HERE.parents[1] / "build" / "release" / "pgoutput_print")
    options = parser.parse_args()
    paths = [path for path in sorted(CAPTURES.glob("*.hex"))
             if not options.names or path.stem in options.names]
    results = [check(options.printer.resolve(), path, options.accept) for path in paths]
    print(f"{results.count(True)} passed, {results.count(False)} failed, 0 skipped")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
