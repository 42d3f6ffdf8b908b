"""Are both sides equal? Judged by the servers' own text output, row by row.

Nothing of slackwater's code is used, and no digest stands for the rows.
"""
import collections

TABLES = """
    SELECT n.nspname, c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'slackwater')
    ORDER BY 1, 2"""


def quoted(*names):
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def tables(database):
    """The quoted names of all ordinary tables and partition roots."""
    return [quoted(*row) for row in database.rows(TABLES)]


def whole_rows(table):
    """A query for the rows of a table as text, whatever its columns are called."""
    return f'SELECT "the whole row"::text FROM {table} "the whole row"'


def assert_same_rows(source, source_query, target, target_query, what):
    """Both queries give the same rows, counted with their multiplicity, in any order."""
    assert_same_rows_as_all([(source, source_query)], target, target_query, what)


def assert_same_rows_as_all(sources, target, target_query, what):
    """The same of several sources, [(database, query)], whose rows are taken together."""
    expected = collections.Counter()
    for source, query in sources:
        expected.update(source.dump(query))
    found = collections.Counter(target.dump(target_query))
    if expected == found:
        return
    lost, strange = expected - found, found - expected
    lines = [f"{what}: {sum(expected.values())} rows at the source, {sum(found.values())} at "
             f"the target; {sum(lost.values())} missing, {sum(strange.values())} not expected"]
    for title, rows in (("missing", lost), ("not expected", strange)):
        lines += [f"  {title}: {row[:300].decode(errors='replace')}"
                  for row in sorted(rows)[:5]]
    raise AssertionError("\n".join(lines))


def assert_equal(source, target, names=None):
    """Every table (or those named) has the same rows on both sides."""
    names = names or tables(source)
    assert names, "nothing to compare"
    for name in names:
        assert_same_rows(source, whole_rows(name), target, whole_rows(name), name)


def assert_equal_by(source, target, queries):
    """For reshaped tables: {target table: SELECT at the source that gives its rows}.

    The SELECT names the target's columns in order. Row text is compared, not column names.
    """
    for name, query in queries.items():
        assert_same_rows(source, f"SELECT r::text FROM ({query}) r",
                         target, whole_rows(name), name)
