"""One backlog, several contenders: each carries it to a database of its own, in turn.

The source is one database with a slot for each contender, made before the backlog is written.
A turn lasts from the contender's start until the mark, which was committed last, is seen at its
target: for slackwater that includes the start of its process. The order of turns moves on by one
each round. What comes first on fresh servers is slow (WAL files to be made, caches to be filled), so
a turn that does not count goes before the first round.
"""
import contextlib

from world import wait

from .meter import Meter

TURN_SECONDS = 3600


def rotated(things, by):
    by %= len(things)
    return things[by:] + things[:by]


# -- are they the right rows? ---------------------------------------------------------------

def digest(database, query):
    """Rows, and a sum over them that any order gives."""
    return database.rows("SELECT count(*), sum(hashtextextended(r::text, 0)::numeric) "
                         f"FROM ({query}) r")[0]


def digests(source, rows):
    """What {table at the target: query at the source} should come to."""
    return {table: digest(source, query) for table, query in rows.items()}


def check_rows(contender, expected):
    """Who lost a row, or changed one, has not run the race."""
    for table, wanted in expected.items():
        found = digest(contender.target, f"TABLE {table}")
        assert found == wanted, (f"{contender.name}: {table} should have {wanted[0]} rows, "
                                 f"sum {wanted[1]}, and has {found[0]}, sum {found[1]}")


# -- turns ----------------------------------------------------------------------------------

def see_mark(contender):
    def look():
        ended = contender.has_ended()
        seen = contender.target.value("SELECT 1 FROM mark")
        assert seen or not ended, f"{contender.name} ended before it had caught up"
        return seen
    wait.until(look, f"{contender.name} to catch up", TURN_SECONDS)


def turn(pair, contender):
    """Its sample."""
    pair.settle()
    with Meter(pair) as meter:
        contender.start()
        meter.watch(contender.pid)
        see_mark(contender)
        meter.stop_clock()
        contender.finish()
    return meter.sample


class Entry:
    """A contender: make(source database, target database) gives one for a round; `rows` is
    {table at the target: the query at the source that gives its rows}; fill(database) makes the
    target as it stands before the backlog."""

    def __init__(self, name, make, rows, fill):
        self.name = name
        self.make = make
        self.rows = rows
        self.fill = fill


def forget(name, sample):
    """For the samples of a turn that does not count."""


def named(say, what):
    return lambda text: say(f"{what}: {text}")


class Track:
    """The databases that the contenders run between. `name` is for the databases, `fill` makes
    the source. round(entries, keep, say) has each take its turn, with keep(name, sample) for what
    it took."""

    def __init__(self, pair, name, fill, entries):
        self.pair = pair
        self.name = name
        self.fill = fill
        self.entries = entries
        self.targets = {}  # name: template

    def run(self, case, rounds, say):
        """Adds every contender's samples to the case."""
        with self:
            self.round(self.entries[:1], forget, named(say, f"{case.name}, to warm up"))
            for number in range(rounds):
                self.round(rotated(self.entries, number), case.add,
                           named(say, f"{case.name}, round {number + 1}"))

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            self.source = self._template(undo, self.pair.source, "source", self.fill)
            made = {}  # entries that begin alike share a template
            for i, entry in enumerate(self.entries):
                if entry.fill not in made:
                    made[entry.fill] = self._template(undo, self.pair.target, f"target{i}",
                                                      entry.fill)
                self.targets[entry.name] = made[entry.fill]
            self.undo = undo.pop_all()
        return self

    def __exit__(self, *failure):
        self.undo.close()

    def _template(self, undo, side, name, fill):
        made = side.template(f"{self.name}_{name}".lower(), fill)
        undo.callback(side.drop, made)
        return made

    @staticmethod
    def fresh(undo, side, template):
        made = side.copy(template, "turn")
        undo.callback(side.drop, made)
        return made


    @contextlib.contextmanager
    def contender(self, entry):
        """(fresh source, a contender between it and a fresh target), closed at the end."""
        with contextlib.ExitStack() as undo:
            source = self.fresh(undo, self.pair.source, self.source)
            target = self.fresh(undo, self.pair.target, self.targets[entry.name])
            contender = entry.make(source, target)
            undo.callback(contender.close)
            yield source, contender


class StreamTrack(Track):
    """Catching up on backlogs of one workload; every round has a fresh source and targets."""

    def __init__(self, pair, load, entries):
        super().__init__(pair, load.name, load.fill, entries)
        self.load = load

    def round(self, entries, keep, say):
        with contextlib.ExitStack() as undo:
            source = self.fresh(undo, self.pair.source, self.source)
            contenders = []
            for entry in entries:
                target = self.fresh(undo, self.pair.target, self.targets[entry.name])
                contenders.append(entry.make(source, target))
                undo.callback(contenders[-1].close)
                contenders[-1].prepare()
            self.load.write(source)
            say("the backlog is written")
            for entry, contender in zip(entries, contenders):
                sample = turn(self.pair, contender)
                say(f"{entry.name}: {sample['seconds']:.2f} s")
                check_rows(contender, digests(source, entry.rows))
                keep(entry.name, sample)
