#!/usr/bin/python3
"""Captures pgoutput messages from a real server into tests/golden/pgoutput/*.hex.

    tests/golden/capture.py [NAME ...]

Run by hand when a capture is to be added or changed, then tests/golden/run_golden.py --accept.
Each capture is a list of steps. A step is the SQL that is run; its messages follow it in the
file as hexadecimal, one a line. Every step is decoded by a session of its own, as after a
reconnect, so relations are described anew. LSNs, xids, OIDs and times are the server's.
"""
import argparse
import contextlib
import pathlib
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))

from world.cluster import Cluster  # noqa: E402

TABLES = '''
    CREATE TYPE mood AS ENUM ('sad', 'happy');
    CREATE DOMAIN email AS text;
    CREATE SCHEMA "Odd ""Schema""";
    CREATE TABLE users (id int PRIMARY KEY, name varchar(40) NOT NULL, mood mood, email email,
                        gone int, area numeric(12,2), twice int GENERATED ALWAYS AS (id * 2) STORED);
    ALTER TABLE users DROP COLUMN gone;
    CREATE TABLE large (id int PRIMARY KEY, n int, body text);
    ALTER TABLE large ALTER body SET STORAGE EXTERNAL;
    CREATE TABLE whole (a int, b text);
    ALTER TABLE whole REPLICA IDENTITY FULL;
    CREATE TABLE indexed (id int PRIMARY KEY, code text NOT NULL, v int);
    CREATE UNIQUE INDEX by_code ON indexed (code);
    ALTER TABLE indexed REPLICA IDENTITY USING INDEX by_code;
    CREATE TABLE wholly_large (a int, body text);
    ALTER TABLE wholly_large ALTER body SET STORAGE EXTERNAL;
    ALTER TABLE wholly_large REPLICA IDENTITY FULL;
    CREATE TABLE "Odd ""Schema"""."t.a\\b\nle" ("c'ol" int PRIMARY KEY, "ünï" text);
    CREATE TABLE parted (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
    CREATE TABLE parted_a PARTITION OF parted FOR VALUES IN ('a');
    CREATE TABLE parted_b PARTITION OF parted FOR VALUES IN ('b');
    CREATE TABLE child (id serial PRIMARY KEY, large int REFERENCES large);
    CREATE TABLE kinds (id int PRIMARY KEY, s smallint, l bigint, f float8, b bool, t text, y bytea,
                        d date, ts timestamptz, i interval, u uuid, j jsonb, n numeric,
                        ai int[], r int4range, m mood);
    CREATE TABLE empty ();
    CREATE TABLE small (id int PRIMARY KEY, v int);
    CREATE TABLE fat (id int PRIMARY KEY, v int,
                      ballast text GENERATED ALWAYS AS (repeat('x', 1500)) STORED);
    CREATE PUBLICATION golden FOR ALL TABLES WITH (publish_via_partition_root = true)'''

CHANGES = [
    "INSERT INTO users VALUES (1, 'Ann', 'happy', 'a@example.org', 1.50)",
    "INSERT INTO users VALUES (2, 'Böb', NULL, NULL, 'NaN'), (3, '', 'sad', '', NULL)",
    "UPDATE users SET mood = 'sad' WHERE id = 1",
    "UPDATE users SET id = 10, name = 'Zoë' WHERE id = 1",
    "DELETE FROM users WHERE id = 2",
    "BEGIN; INSERT INTO whole VALUES (1, 'x'), (NULL, NULL); UPDATE whole SET b = 'y' WHERE a = 1; "
    "DELETE FROM whole WHERE a IS NULL; COMMIT",
    "BEGIN; INSERT INTO indexed VALUES (1, 'one', 1); UPDATE indexed SET v = 2; "
    "UPDATE indexed SET code = 'two'; DELETE FROM indexed; COMMIT",
    "BEGIN; INSERT INTO large VALUES (1, 0, repeat('0123456789', 300)); UPDATE large SET n = 1; "
    "UPDATE large SET id = 2; UPDATE large SET body = 'short'; COMMIT",
    "BEGIN; INSERT INTO wholly_large VALUES (1, repeat('abcdefghij', 300)); "
    "UPDATE wholly_large SET a = 2; COMMIT",
    "BEGIN; INSERT INTO \"Odd \"\"Schema\"\"\".\"t.a\\b\nle\" VALUES (1, E'tab\\t nl\\n'); "
    "INSERT INTO empty DEFAULT VALUES; COMMIT",
    "BEGIN; INSERT INTO parted VALUES (1, 'a'); UPDATE parted SET region = 'b'; COMMIT",
    "INSERT INTO kinds VALUES (1, -2, 3, '-0', true, 't', '\\x00ff', 'infinity', "
    "'2024-01-01 00:00+00', '1 mon -1 day', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', "
    "'1.10', '[0:1]={1,NULL}', '[1,5)', 'sad')",
    "INSERT INTO child (large) VALUES (2)",
    "TRUNCATE users",
    "TRUNCATE large, whole RESTART IDENTITY CASCADE",
    "BEGIN; ALTER TABLE small ADD w text; INSERT INTO small VALUES (1, 2, 'new'); "
    "ALTER TABLE small DROP w; INSERT INTO small VALUES (2, 3); COMMIT",
    "SELECT pg_logical_emit_message(false, 'alone', 'outside a transaction')",
    "BEGIN; INSERT INTO small VALUES (3, 3); SELECT pg_logical_emit_message(true, 'pre fix', "
    "'\\x0001ff'::bytea); SELECT pg_logical_emit_message(false, '', ''); COMMIT",
    "BEGIN; SAVEPOINT s; INSERT INTO small VALUES (4, 4); ROLLBACK TO s; "
    "INSERT INTO small VALUES (5, 5); COMMIT",
]

ORIGINS = [
    "SELECT pg_replication_origin_session_setup('upstream one')",
    "SELECT pg_replication_origin_xact_setup('16/B374D848', '2024-01-01 00:00+00'); "
    "INSERT INTO small VALUES (1, 1)",
    "SELECT pg_replication_origin_session_reset()",
    "INSERT INTO small VALUES (2, 2)",
]

# Generated columns take memory and are not sent: 64 kB (logical_decoding_work_mem) in few rows.
MANY = "INSERT INTO fat SELECT i, 0 FROM generate_series(%d, %d) i"

STREAMED = [
    f"BEGIN; {MANY % (1, 100)}; UPDATE fat SET v = 1 WHERE id <= 30; COMMIT",
    f"BEGIN; {MANY % (1001, 1060)}; SAVEPOINT s; {MANY % (1061, 1120)}; ROLLBACK TO s; "
    f"SAVEPOINT t; {MANY % (1121, 1150)}; DELETE FROM fat WHERE id = 1001; COMMIT",
    f"BEGIN; {MANY % (2001, 2100)}; ROLLBACK",
    f"BEGIN; SAVEPOINT s; {MANY % (3001, 3060)}; SELECT pg_logical_emit_message(true, 'in', 'side'); "
    "RELEASE s; TRUNCATE whole; INSERT INTO users VALUES (1, 'Ann', 'sad', NULL, 1); COMMIT",
    "INSERT INTO fat VALUES (4000, 0)",
]

TWO_PHASE = [
    "BEGIN; INSERT INTO small VALUES (1, 1); PREPARE TRANSACTION 'kept one'",
    "COMMIT PREPARED 'kept one'",
    "BEGIN; INSERT INTO small VALUES (2, 2); PREPARE TRANSACTION 'dropped'",
    "ROLLBACK PREPARED 'dropped'",
    f"BEGIN; {MANY % (1001, 1060)}; PREPARE TRANSACTION 'streamed'",
    "COMMIT PREPARED 'streamed'",
    f"BEGIN; {MANY % (2001, 2060)}; PREPARE TRANSACTION 'streamed and dropped'",
    "ROLLBACK PREPARED 'streamed and dropped'",
    "INSERT INTO small VALUES (3, 3)",
]

# name: (steps, pgoutput's options)
CAPTURES = {
    "changes_text": (CHANGES, {"proto_version": 1}),
    "changes_binary": (CHANGES, {"proto_version": 1, "binary": "true"}),
    "origins": (ORIGINS, {"proto_version": 1}),
    "streamed": (STREAMED, {"proto_version": 2, "streaming": "on"}),
    "two_phase": (TWO_PHASE, {"proto_version": 3, "streaming": "on", "two_phase": "on"}),
}


def capture(cluster, name):
    """The lines of a capture's file."""
    steps, options = CAPTURES[name]
    two_phase = "two_phase" in options
    options = {"publication_names": "golden", "messages": "true", **options}
    pairs = [str(word) for pair in options.items() for word in pair]
    database = cluster.create_database(name)
    database.run(TABLES, "SELECT pg_replication_origin_create('upstream one')")
    lines = [f"# pgoutput of PostgreSQL {database.value('SHOW server_version')}, "
             + " ".join(f"{key}={value}" for key, value in options.items()),
             "# written by tests/golden/capture.py"]
    with contextlib.closing(database.connect()) as writer, database.session() as reader:
        reader.execute("SET logical_decoding_work_mem = '64kB'")
        reader.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput', false, %s)",
                       (name, two_phase))
        with writer.cursor() as run:
            for step in steps:
                run.execute(step)
                lines += [""] + ["# " + line for line in step.replace("; ", ";\n").split("\n")]
                reader.execute(
                    "SELECT encode(data, 'hex') FROM pg_logical_slot_get_binary_changes("
                    "%s, NULL, NULL, VARIADIC %s)", (name, pairs))
                lines += [row[0] for row in reader.fetchall()]
    cluster.drop_database(name)
    cluster.database("postgres").run("SELECT pg_replication_origin_drop('upstream one')")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(CAPTURES))
    names = parser.parse_args().names or CAPTURES
    folder = pathlib.Path(tempfile.mkdtemp(prefix="swg", dir="/tmp"))
    folder.chmod(0o755)
    cluster = Cluster(folder / "c")
    try:
        cluster.create()
        for name in names:
            lines = capture(cluster, name)
            path = HERE / "pgoutput" / f"{name}.hex"
            path.write_text("\n".join(lines) + "\n")
            tags = {bytes.fromhex(line[:2]).decode() for line in lines if line and line[0] != "#"}
            print(f"{path}: {path.stat().st_size} bytes, messages {''.join(sorted(tags))}")
    finally:
        cluster.destroy()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
