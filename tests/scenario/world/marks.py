"""What a run shows of a fault, beside rows that are equal: the marks L, M and S of tests/FAULTS.md.

L  a line of the log that names what happened
M  a metric, as Prometheus reads it
S  it lives on and stops when it is told to, or ends with the status of its kind

Of a run that has ended there is no metric any more: there M is what the deployment script hears,
`ready` with status 2.
"""
from . import wait

SHOWN_SECONDS = 15  # what a probe has found is there a second later, and what lag says after a heartbeat
CONFLICTS = ("table_conflict_insert_exists_total", "table_conflict_update_missing_total",
             "table_conflict_delete_missing_total")
TROUBLES = ("errors_total", "retries_total", "reconnects_total", "table_quarantined_total",
            "table_copy_quarantined_total", "table_dead_letters")
# What the log says of a lost connection: of the source's, or of the target's while nothing is written;
# of the target's with a batch in hand; of one of the copy's.
LOST = ("stream ended, starting again", "target failed, trying again", "stream interrupted",
        "the copy was interrupted, trying again", "a chunk failed and is copied again")


class AtLeast:
    """A value of which more is right as well."""

    def __init__(self, least):
        self.least = least

    def __eq__(self, value):
        return value is not None and value >= self.least

    def __repr__(self):
        return f"{self.least} or more"


SOME = AtLeast(1)


# -- L --------------------------------------------------------------------------------------------

def lines_of(product, *names, **fields):
    """The events, of all runs, of one of these names whose fields have these words."""
    return [event for event in product.all_events()
            if (not names or event.get("event") in names)
            and all(str(words) in str(event.get(name, "")) for name, words in fields.items())]


def assert_told(product, *names, **fields):
    """L: one of these events is logged, with these words in its fields. Returns the first."""
    return wait.until(lambda: lines_of(product, *names, **fields),
                      f"the log to say {' or '.join(names)} {fields or ''}", SHOWN_SECONDS)[0]


def warnings(product):
    """What this run warned of; findings about the schemas, which it began with, aside."""
    return [event for event in product.events()
            if event.get("level") in ("warn", "error") and "finding" not in event]


# -- M --------------------------------------------------------------------------------------------

def assert_shown(product, **metrics):
    """M: these metrics come to have these values, each the sum over all its samples."""
    def look():
        seen = {name: product.metric(name) for name in metrics}
        wrong = {name: value for name, value in seen.items() if not metrics[name] == value}
        looks.append(wrong)
        return not wrong
    looks = []
    try:
        wait.until(look, f"metrics {metrics}", SHOWN_SECONDS)
    except wait.Overdue:
        raise AssertionError(f"{looks[-1]} instead of {metrics}") from None


def assert_gate(product, name, verdict):
    """M: the gate as /cutover and the metric have it."""
    value = 1 if verdict == "GO" else 0
    wait.until(lambda: product.gates()[name]["verdict"] == verdict
               and product.metric("gate", gate=name) == value, f"gate {name} {verdict}", SHOWN_SECONDS)


def assert_bounded(product, size):
    """M: the process has not needed more memory than this, and says what it has."""
    if wait.PATIENCE > 1:
        return  # the sanitizers' own memory is in the way
    resident = product.metric("resident_memory_bytes")
    peak = product.peak_memory()  # asked later, for it may grow
    assert peak < size, f"{peak >> 20} MiB resident"
    assert 0 < resident <= peak + (1 << 20), (resident, peak)  # the kernel counts a little late


def assert_nothing_twice(product):
    """M: nothing was applied a second time, or to a row that was not there."""
    assert_shown(product, **dict.fromkeys(CONFLICTS, 0))


# -- all of them ----------------------------------------------------------------------------------

def assert_undisturbed(product, rows_read_again=False):
    """L, M, S of what is no trouble at all: nothing is warned of, nothing was tried twice, parked or
    met other rows, and it stops when it is told to.

    While the backfill is not complete, a row that is read again at the source may be gone there, or
    have another key; what is behind counts as a conflict then."""
    metrics = TROUBLES if rows_read_again else (*TROUBLES, *CONFLICTS)
    assert_shown(product, **dict.fromkeys(metrics, 0))
    assert warnings(product) == []
    product.stop()
    assert_told(product, "stopped")


def assert_got_over(product, *told, **metrics):
    """L, M, S of a fault that it lives through: one of the lines, all of the metrics, nothing applied
    twice, and it stops when it is told to."""
    if told:
        assert_told(product, *told)
    assert_shown(product, **metrics)
    assert_nothing_twice(product)
    product.stop()
    assert_told(product, "stopped")


def assert_lost_and_back(product, **metrics):
    """The same where a connection was lost."""
    metrics = metrics or {"errors_total": SOME}
    assert_got_over(product, *LOST, **metrics)


def assert_resumed(product, since):
    """L, M, S of a run that goes on where a killed one stood, and began after `since` (time.time())."""
    assert_told(product, "resuming")
    assert_got_over(product, start_time_seconds=AtLeast(since))


def assert_ended(product, status, *words):
    """L, M, S of a run that ended by itself, or ends now: its last line is the error, with these words
    (in large or small letters), a class and what to do; and the verdict of readiness is none."""
    if product.child is not None:
        assert product.wait_end() == status
    ends = [event for event in product.all_events() if event.get("level") == "error" and event.get("class")]
    assert ends, f"no line about the end: {product.log_text()}"
    for word in words:
        assert word.lower() in str(ends[-1]).lower(), ends[-1]
    assert ends[-1].get("remedy"), f"no remedy: {ends[-1]}"
    assert product.command("ready").status == 2, "ready says something of a run that has ended"
    return ends[-1]
