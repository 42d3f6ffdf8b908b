"""What a server's WAL says of a database: its transactions in commit order, by test_decoding.

An account of both sides that owes nothing to the program: slots of the test's own, and the
server's own decoder.
"""
import re

SLOT = "history"
CHANGE = re.compile(r"table (\S+): (INSERT|UPDATE|DELETE): (.*)", re.DOTALL)
FIELD = re.compile(r"(\w+)\[([^\]]+)\]:('(?:[^']|'')*'|\S+)")


class Recorder:
    """Keeps the database's history from now on. Make it before anything writes."""

    def __init__(self, database):
        self.database = database
        self.slot = f"{SLOT}_{database.name}"
        database.value("SELECT lsn FROM pg_create_logical_replication_slot(%s, 'test_decoding')",
                       self.slot)

    def transactions(self, *tables):
        """[Transaction] in commit order up to now, of these tables' changes alone."""
        rows = self.database.rows(
            "SELECT lsn - '0/0'::pg_lsn, data FROM pg_logical_slot_get_changes(%s, NULL, NULL,"
            " 'include-xids', '0', 'skip-empty-xacts', '1')", self.slot)
        found = []
        for position, line in rows:
            if line == "BEGIN":
                found.append(Transaction())
            elif line == "COMMIT":
                found[-1].position = int(position)
            elif not line.startswith("message: "):
                found[-1].add(line, tables)
        return [transaction for transaction in found if transaction.changes]


class Transaction:
    """`position` of its commit record, and `changes`: (table, verb, old key or None, new row or
    None), rows as {column: text or None}."""

    def __init__(self):
        self.position, self.changes = None, []

    def add(self, line, tables):
        match = CHANGE.fullmatch(line)
        assert match, f"a line of the history that is not understood: {line}"
        table, verb, rest = match.groups()
        if table not in tables:
            return
        old, new = None, None
        if verb == "DELETE":
            old = fields(rest)
        elif rest.startswith("old-key: "):
            before, after = rest[len("old-key: "):].split(" new-tuple: ", 1)
            old, new = fields(before), fields(after)
        else:
            new = fields(rest)
        self.changes.append((table, verb, old, new))


def fields(text):
    def value(word):
        if word == "null":
            return None
        return word[1:-1].replace("''", "'") if word.startswith("'") else word
    return {name: value(word) for name, _, word in FIELD.findall(text)}


class Image:
    """The tables as a history leaves them: {table: {key: row}}, grown transaction by
    transaction. `keys`: {table: its key's columns}."""

    def __init__(self, keys):
        self.keys = keys
        self.tables = {table: {} for table in keys}

    def replay(self, transaction):
        for table, verb, old, new in transaction.changes:
            rows = self.tables[table]
            if old is not None or verb == "UPDATE":
                gone = self._key(table, old if old is not None else new)
                assert gone in rows, f"{verb} of {gone} in {table}, which is not there"
                del rows[gone]
            if new is not None:
                key = self._key(table, new)
                assert key not in rows, f"{verb} of {key} into {table}, which is there"
                rows[key] = new

    def _key(self, table, row):
        return tuple(row[column] for column in self.keys[table])
