"""How the rows stand at the target: as they are, or through rules."""

MARK = {"source": "public.mark"}


class Shape:
    """`targets` is {target table: Target}; None carries the `names` as they are."""

    def __init__(self, names, targets=None):
        self.names = names
        self.targets = targets

    @property
    def tables(self):
        """`tables` of slackwater's file."""
        if self.targets is None:
            return [{"source": f"public.{name}"} for name in self.names] + [MARK]
        return [target.entry(name) for name, target in self.targets.items()] + [MARK]

    @property
    def rows(self):
        """{table at the target: the query at the source that gives its rows}"""
        if self.targets is None:
            return {name: f"TABLE {name}" for name in self.names}
        return {name: target.rows for name, target in self.targets.items()}

    def filled(self, fill):
        """For Side.template(): the target of a source that `fill` makes."""
        if self.targets is None:
            return fill

        def fill_through_rules(database):
            fill(database)
            for name, target in self.targets.items():
                database.run(f"CREATE TABLE {name} ({target.columns})",
                             f"INSERT INTO {name} {target.rows}")
            database.run(*(f"DROP TABLE {name}" for name in self.names))
        return fill_through_rules


class Target:
    """A table that rules make: its columns, the rules, and the same as SQL over the source, with
    nothing of slackwater's in it."""

    def __init__(self, source, columns, key, rules, drop, rows):
        self.source = source
        self.columns = columns
        self.key = key
        self.rules = rules
        self.drop = drop
        self.rows = rows

    def entry(self, name):
        entry = {"source": f"public.{self.source}", "target": f"public.{name}",
                 "columns": self.rules, "drop": self.drop}
        if self.key:
            entry["key"] = self.key
        return entry


ORDERS = Shape(["orders"])

NAME = "repeat('*', length(name) - 4) || right(name, 4) AS name"
STATE = "CASE WHEN active THEN 'active' ELSE 'closed' END AS state"
NOTE = "coalesce(nullif(note, 'note 7'), 'none') AS note"

RULES = {
    "order_id": {"from": "id"},
    "account": {"template": "ACCOUNT#{account}"},
    "name": {"mask": {"keep_last": 4}},
    "state": {"from": "active", "map": {"t": "active", "f": "closed"}},
    "note": {"null_if": "note 7", "default": "none"},
}

FIVE_RULES = Shape(["orders"], {"five": Target(
    source="orders",
    columns="""
        order_id bigint PRIMARY KEY, account text NOT NULL, name text NOT NULL,
        created timestamptz NOT NULL, amount numeric(12,2) NOT NULL, document jsonb,
        token uuid NOT NULL, state text NOT NULL, quantity int NOT NULL, note text""",
    key=["order_id"],
    rules=RULES,
    drop=["id", "active"],
    rows=f"""SELECT id AS order_id, 'ACCOUNT#' || account AS account, {NAME}, created, amount,
        document, token, {STATE}, quantity, {NOTE} FROM orders""")})

# A rule for each of the ten columns, and the steps of as many kinds.
TEN_RULES = Shape(["orders"], {"ten": Target(
    source="orders",
    columns="""
        order_id bigint PRIMARY KEY, account text NOT NULL, name text NOT NULL,
        created_at timestamptz NOT NULL, total numeric(12,2) NOT NULL, place jsonb,
        token text NOT NULL, state text NOT NULL, quantity bigint NOT NULL, note text""",
    key=["order_id"],
    rules={
        **RULES,
        "created_at": {"from": "created"},
        "total": {"from": "amount"},
        "place": {"from": "document", "json": {"pick": "$.place"}},
        "token": {"hash": "md5"},
        "quantity": {"cast": "bigint"},
    },
    drop=["id", "active", "created", "amount", "document"],
    rows=f"""SELECT id AS order_id, 'ACCOUNT#' || account AS account, {NAME},
        created AS created_at, amount AS total, document->'place' AS place,
        md5(token::text) AS token, {STATE}, quantity::bigint AS quantity, {NOTE} FROM orders""")})


TPC_B_TABLES = ["pgbench_accounts", "pgbench_branches", "pgbench_tellers", "pgbench_history"]
TPC_B = Shape(TPC_B_TABLES)


def tpc_b_target(name, key, amount, carried=(), keyed=True):
    """Five rules for one of pgbench's tables. `carried`: (column, type) of the others."""
    others = [column for column, _ in carried]
    return Target(
        source=name,
        columns=", ".join([f"id bigint {'PRIMARY KEY' if keyed else ''}", "amount text",
                           "filler text", "tenant text", "label text",
                           *(" ".join(column) for column in carried)]),
        key=["id"] if keyed else None,
        rules={"id": {"from": key, "cast": "bigint"},
               "amount": {"template": f"EUR {{{amount}}}"},
               "filler": {"default": "none"},
               "tenant": {"value": "bench"},
               "label": {"template": f"NUMBER#{{{key}}}"}},
        drop=[key, amount],
        rows="SELECT " + ", ".join([
            f"{key}::bigint AS id", f"'EUR ' || {amount} AS amount",
            "coalesce(filler::text, 'none') AS filler", "'bench' AS tenant",
            f"'NUMBER#' || {key} AS label", *others]) + f" FROM {name}")


TPC_B_RULES = Shape(TPC_B_TABLES, {
    "ruled_accounts": tpc_b_target("pgbench_accounts", "aid", "abalance", [("bid", "int")]),
    "ruled_branches": tpc_b_target("pgbench_branches", "bid", "bbalance"),
    "ruled_tellers": tpc_b_target("pgbench_tellers", "tid", "tbalance", [("bid", "int")]),
    "ruled_history": tpc_b_target(
        "pgbench_history", "aid", "delta",
        [("tid", "int"), ("bid", "int"), ("mtime", "timestamp")], keyed=False),
})
