"""Conditions with deadlines."""
import os
import time

import psycopg2

# The sanitizers make the program several times slower.
PATIENCE = 4.0 if os.environ.get("SLACKWATER_SANITIZER") else 1.0


class Overdue(AssertionError):
    """What a test waited for has not come in time."""


def until(condition, what, seconds=30, interval=0.02):
    """Calls `condition` until it returns something true, and returns that.

    A server that is away for the moment counts as "not yet". Raises Overdue naming `what`
    and the last value seen.
    """
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        try:
            value = condition()
        except (psycopg2.OperationalError, psycopg2.InterfaceError, ConnectionError) as error:
            value, last = None, error
        else:
            last = value
        if value:
            return value
        if time.monotonic() > deadline:
            raise Overdue(f"waited {seconds * PATIENCE:g} s for {what}; last: {last!r}")
        time.sleep(interval)
