"""Medians and ratios of interleaved runs, as a table, Markdown and JSON.

Only ratios mean something on a machine that others use too: each is taken within a round, where
the contenders ran one after the other, and their median over the rounds is the result.
"""
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess

from . import ROOT

CPU_KINDS = ("client", "walsender", "source", "apply", "target", "background")
LEAST = 0.01  # a time below is taken for this one in a ratio; a delay can be below zero
FOLDER = ROOT / "build" / "bench"


class Case:
    """What was run, and the samples of each contender, one a round.

    `baseline` is the contender that the table's ratios compare with: 2.0 is twice as fast.
    `goals` are (contender, other contender, ratio to reach). `measure` is the member of the
    samples that counts, less is better, in `unit`.
    """

    def __init__(self, name, what, baseline, goals=(), measure="seconds", unit="s"):
        self.name = name
        self.what = what
        self.baseline = baseline
        self.goals = goals
        self.measure = measure
        self.unit = unit
        self.samples = {}

    def add(self, contender, sample):
        self.samples.setdefault(contender, []).append(sample)

    def ratio(self, contender, other):
        """How many times as fast as the other; None when one of them did not run."""
        if contender not in self.samples or other not in self.samples:
            return None
        return spread([max(theirs[self.measure], LEAST) / max(own[self.measure], LEAST)
                       for theirs, own in zip(self.samples[other], self.samples[contender])])

    def rows(self):
        return [self._row(contender) for contender in self.samples]

    def _row(self, contender):
        samples = self.samples[contender]
        cpu = {kind: round(statistics.median(sample["cpu"].get(kind, 0) for sample in samples), 2)
               for kind in CPU_KINDS}
        return {"contender": contender,
               "took": spread([sample[self.measure] for sample in samples]),
               "cpu": cpu,
               "memory": max(sample["memory"] for sample in samples),
               "ratio": self.ratio(contender, self.baseline),
               "samples": samples}

    def verdicts(self):
        """The goals, as far as both contenders ran."""
        found = []
        for contender, other, goal in self.goals:
            ratio = self.ratio(contender, other)
            if ratio is not None:
                found.append({"contender": contender, "other": other, "ratio": ratio,
                              "goal": goal, "reached": ratio["median"] >= goal})
        return found

    def document(self):
        return {"case": self.name, "what": self.what, "baseline": self.baseline,
                "measure": self.measure, "unit": self.unit,
                "contenders": self.rows(), "goals": self.verdicts()}


def spread(values):
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3),
            "max": round(max(values), 3)}


# -- cells ----------------------------------------------------------------------------------

HEAD = ("case", "contender", "took", "ratio", *CPU_KINDS, "MiB")
GOALS_HEAD = ("case", "contender", "as fast as", "ratio", "goal", "")


def show_spread(values):
    if values is None:
        return ""
    if values["min"] == values["max"]:
        return f"{values['median']:.2f}"
    return f"{values['median']:.2f} ({values['min']:.2f}-{values['max']:.2f})"


def cells(case, row):
    return (case.name, row["contender"], f"{show_spread(row['took'])} {case.unit}",
            show_spread(row["ratio"]),
            *(f"{row['cpu'][kind]:.2f}" if row["cpu"][kind] else "" for kind in CPU_KINDS),
            f"{row['memory'] / 2**20:.0f}" if row["memory"] else "")


def goal_cells(case, verdict):
    return (case.name, verdict["contender"], verdict["other"], show_spread(verdict["ratio"]),
            f"{verdict['goal']:.2f}", "reached" if verdict["reached"] else "MISSED")


def tables(cases):
    """The results, and the goals where there are any."""
    results = [HEAD] + [cells(case, row) for case in cases for row in case.rows()]
    goals = [goal_cells(case, verdict) for case in cases for verdict in case.verdicts()]
    return [results] + ([[GOALS_HEAD] + goals] if goals else [])


def aligned(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in lines]


def as_markdown(lines):
    head, *rows = lines
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]


# -- the whole ------------------------------------------------------------------------------

def commit():
    """Of the sources that were measured, or what is known of it."""
    found = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                           capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": len(os.sched_getaffinity(0)), "memory": memory,
            "kernel": platform.release()}


class Report:
    """What one bench found. Printed, and written to build/bench/NAME.json and NAME.md."""

    def __init__(self, name, options):
        self.name = name
        self.cases = []
        self.skipped = []
        self.facts = {
            "bench": name,
            "command": options.command,
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": commit(),
            "quick": options.quick,
            "rounds": options.rounds,
            "warm_up": "a turn of the first contender of each case, which does not count",
            "machine": machine(),
        }

    def describe(self, pair):
        """The servers."""
        self.facts.update(server=pair.version(), settings=pair.settings)

    def case(self, *arguments, **options):
        """A new Case of this report."""
        self.cases.append(Case(*arguments, **options))
        return self.cases[-1]

    def skip(self, contender, reason):
        self.skipped.append({"contender": contender, "reason": reason})

    def document(self):
        return {**self.facts, "cases": [case.document() for case in self.cases],
                "skipped": self.skipped}

    def heading(self):
        facts = self.facts
        return (f"`{facts['command']}`, {facts['date']}, commit {facts['commit']}, "
                f"{facts['server']}, {facts['machine']['cores']} cores, "
                f"{facts['machine']['memory'] / 2**30:.0f} GiB, median of {facts['rounds']} "
                "after a turn to warm up")

    def footnotes(self):
        return [f"{case.name}: {case.what}. Ratios in the table: to {case.baseline}."
                for case in self.cases] + [
            f"Skipped: {entry['contender']}: {entry['reason']}." for entry in self.skipped]

    def lines(self, form):
        """The tables by `form`, with empty lines between, and the notes."""
        found = []
        for lines in tables(self.cases):
            found += [*form(lines), ""]
        return found + [f"- {note}" for note in self.footnotes()]

    def finish(self, folder=None):
        """Prints the tables and writes both files."""
        folder = pathlib.Path(folder or FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.json").write_text(json.dumps(self.document(), indent=2) + "\n")
        (folder / f"{self.name}.md").write_text("\n".join(
            [f"# bench/{self.name}", "", self.heading(), "", *self.lines(as_markdown), ""]))
        print("\n".join(["", self.heading(), "", *self.lines(aligned), "",
                         f"written: {folder / self.name}.json, .md"]))
