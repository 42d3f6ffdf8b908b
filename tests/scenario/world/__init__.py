"""The world of a scenario: two private PostgreSQL servers, and slackwater between them.

    servers.py   where the servers' programs are, of each major version
    cluster.py   a private server and its databases
    standby.py   a physical standby of one
    product.py   the program under test, driven as a user drives it
    compare.py   are both sides equal, by the servers' own text output
    prefix.py    transactions of which a look tells whether it shows a prefix of them
    open_transactions.py  large ones that stay open
    load.py      writers that keep the source busy, and ways to hold the target up
    marks.py     what a run shows of a fault: log, metric, status (tests/FAULTS.md)
    wait.py      conditions with deadlines (nothing here sleeps and hopes)
    process.py   child processes that end with the test run, whatever happens

The benches (bench/kit) use cluster, product, process and wait as well: what they need of these
belongs here, what only they need there.
"""
