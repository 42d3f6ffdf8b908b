"""`check --before --after`: two schema files, no database. And the table of ids in the docs."""
import json
import re
import subprocess

import pytest

from world.product import BINARY, ROOT

SCHEMAS = ROOT / "tests" / "golden" / "schema"
ID = re.compile(r'"((?:source|target|server|config|migration|rule|key|file|table|column|primary_key|unique|'
                r'foreign_key|check|exclusion|index|object|database|extension|sequence)'
                r'\.[a-z_]+)"')


def check(*arguments):
    return subprocess.run([BINARY, "check", *map(str, arguments)], text=True,
                          capture_output=True, timeout=60)


def write(path, document):
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("before", sorted(SCHEMAS.glob("*.before.json")), ids=lambda p: p.name)
def test_golden(before):
    """NAME.before.json against NAME.after.json is NAME.expected: "severity id object" a line."""
    name = before.name.removesuffix(".before.json")
    result = check("--before", before, "--after", SCHEMAS / f"{name}.after.json", "--json")
    document = json.loads(result.stdout)
    lines = [f"{f['severity']} {f['id']} {f['object'].replace(str(SCHEMAS) + '/', '')}"
             for f in document["findings"]]
    expected = (SCHEMAS / f"{name}.expected").read_text().splitlines()
    assert lines == expected
    worst = max(lines, key=lambda l: ["additive", "non_breaking", "potentially_breaking",
                                      "breaking"].index(l.split()[0])).split()[0]
    assert document["overall"] == worst
    assert result.returncode == {"breaking": 2, "potentially_breaking": 1}.get(worst, 0)
    assert sum(document["counts"].values()) == len(lines)


def test_exit_status_and_form(tmp_path):
    column = {"type": "int", "nullable": True}
    def table(*names, **more):
        return {"tables": {"t": {"columns": {name: column for name in names}, **more}}}
    base = write(tmp_path / "base.json", table("a"))
    more = write(tmp_path / "more.json", table("a", "b"))
    held = write(tmp_path / "held.json", table("a", constraints={"check": ["a > 0"]}))
    for before, after, status, overall in ((base, base, 0, "additive"), (base, more, 0, "additive"),
                                           (base, held, 1, "potentially_breaking"),
                                           (more, base, 2, "breaking")):
        result = check("--before", before, "--after", after, "--json")
        document = json.loads(result.stdout)
        assert (result.returncode, document["overall"]) == (status, overall), result.stdout
        assert list(document) == ["overall", "counts", "findings", "scripts"]
        assert set(document["counts"]) == {"breaking", "potentially_breaking", "non_breaking",
                                           "additive"}
    finding, = json.loads(check("--before", base, "--after", held, "--json").stdout)["findings"]
    assert finding["operations"] == ["INSERT", "UPDATE"]
    assert "NOT VALID" in finding["sql"] and "DROP CONSTRAINT" in finding["rollback_sql"]
    assert finding["validation_query"].startswith("SELECT count(*)")
    people = check("--before", more, "--after", base)
    assert people.returncode == 2 and "BREAKING  t.b: column t.b is removed" in people.stdout


def test_what_cannot_be_asked(tmp_path):
    good = write(tmp_path / "good.json", {"tables": {}})
    bad = tmp_path / "bad.json"
    bad.write_text('{"tables": {"t":\n {"columns": 3}}}')
    for arguments, message in (
            (("--before", good), "--after is missing"),
            (("--after", good), "--before is missing"),
            (("--before", good, "--after", tmp_path / "none.json"), "none.json"),
            (("--before", good, "--after", bad), "tables.t.columns: expected an object"),
            (("--before", good, "--after", good, "--json", "--sql"), "--json or --sql")):
        result = check(*arguments)
        assert result.returncode == 2 and message in result.stderr, result


def test_scripts_lead_from_nothing_to_before_to_after(world, tmp_path):
    """What --sql prints is what PostgreSQL accepts, in that order, one schema after the other."""
    nothing = write(tmp_path / "nothing.json", {})
    before, after = SCHEMAS / "shop.before.json", SCHEMAS / "shop.after.json"
    world.source.run("CREATE TABLE users_view_stand_in ()")
    for first, second in ((nothing, before), (before, after)):
        script = check("--before", first, "--after", second, "--sql").stdout
        with world.source.session() as run:
            run.execute("SET search_path = public")
            for line in script.splitlines():
                if line and not line.startswith("--"):
                    for statement in line.split("; "):
                        # A table of the old shape has no check by the file's made-up name.
                        run.execute(statement)
    columns = dict(world.source.rows("""SELECT attname, format_type(atttypid, atttypmod)
        FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped"""))
    assert columns == {"id": "bigint", "email": "character varying(100)", "age": "integer",
                       "full_name": "character varying(50)", "tenant": "uuid", "state": "text",
                       "created": "timestamp without time zone", "price": "numeric(12,2)"}
    assert world.source.value("SELECT count(*) FROM pg_constraint WHERE NOT convalidated") == 0


def test_a_comment_cannot_be_left_by_a_name(tmp_path):
    before = write(tmp_path / "a.json", {"tables": {}})
    after = write(tmp_path / "b.json", {"tables": {"x\nDROP TABLE y; --": {"columns": {
        "a\"b": {"type": "int"}}}}})
    script = check("--before", before, "--after", after, "--sql").stdout
    assert '"a""b" integer' in script
    quoted = 0
    for line in script.splitlines():  # the only DROP TABLE y stands inside a quoted name
        if line.startswith("DROP TABLE y"):
            quoted += 1
    assert quoted == script.count('"x\nDROP TABLE y; --"'), script


@pytest.mark.harness
def test_every_id_in_the_code_is_in_the_docs():
    used = set()
    for folder in ("src", "connectors", "transforms"):
        for file in (ROOT / folder).rglob("*.c"):
            if not file.is_relative_to(ROOT / "src" / "cli"):
                used |= set(ID.findall(file.read_text()))
    table = re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", (ROOT / "docs" / "check.md").read_text(),
                       re.M)
    assert len(table) == len(set(table)), "an id stands twice in docs/check.md"
    kinds = set(ID.findall((ROOT / "src/schema/finding_kind.c").read_text()))
    assert used - set(table) == set(), "not in docs/check.md"
    assert used - kinds == set(), "not in src/schema/finding_kind.c"
    assert set(table) - used == set(), "not in the code"
