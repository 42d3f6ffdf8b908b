"""Values of every type of a stock PostgreSQL, and the strange ones first.

FAMILIES: {family: {type: [SQL literals]}}. Each type gets a table (id int primary key, v type);
the literals are cast to the type by the server, so what matters is what the server stores.
"""

import unittest

# Run on both sides before the tables are made.
PREPARE = [
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION citext",
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy', 'O''Neil, \"q\" \\ {x}')",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    "CREATE DOMAIN short AS varchar(9) NOT NULL",
    "CREATE DOMAIN moods AS mood[]",
    "CREATE DOMAIN few_moods AS moods CHECK (cardinality(VALUE) < 4)",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE DOMAIN good_pair AS pair CHECK ((VALUE).a IS DISTINCT FROM 13)",
    "CREATE TYPE nested AS (p pair, m mood, l int[], d date)",
    "CREATE TYPE deep AS (n nested[], g good_pair, gs good_pair[], f few_moods, r int4range[])",
    "CREATE TYPE float_range AS RANGE (subtype = float8, subtype_diff = float8mi)",
    "CREATE TYPE mood_range AS RANGE (subtype = mood)",
    "CREATE TYPE pair_range AS RANGE (subtype = pair)",
    "CREATE TYPE moods_range AS RANGE (subtype = mood[])",
    "CREATE TYPE ranges AS (f float_range, m mood_range[], p pair_multirange)",
]

# What only some families need.
PREPARE_FAMILY = {
    "contrib": ["CREATE EXTENSION ltree", "CREATE EXTENSION cube",
                "CREATE EXTENSION earthdistance", "CREATE EXTENSION isn",
                "CREATE EXTENSION seg", "CREATE EXTENSION intarray", "CREATE EXTENSION lo",
                "CREATE TYPE of_contrib AS (h hstore, l ltree[], c citext)"],
    "contrib_as_text": ["CREATE EXTENSION isn", "CREATE EXTENSION seg",
                        "CREATE EXTENSION intarray",
                        "CREATE TYPE with_seg AS (s seg, m mood)"],
    "local": ["CREATE TYPE with_class AS (c regclass, m mood)"],
}

# Families that are not of every release: the major version that brought them.
SINCE = {"odd_scales": 15}

FAMILIES = {
    "odd_scales": {
        "numeric(3,-2)": ["12345", "-99900"],
        "numeric(3,5)": ["0.00123"],
    },
    "numbers": {
        "smallint": ["-32768", "32767", "0"],
        "integer": ["-2147483648", "2147483647", "0"],
        "bigint": ["'-9223372036854775808'", "9223372036854775807", "0"],
        "numeric": ["'NaN'", "'Infinity'", "'-Infinity'", "0", "0.000", "'-0.0'", "1.10",
                    "'1e131071'", "'-1e-1000'", "repeat('9', 1000)::numeric",
                    "('0.' || repeat('3', 5000))::numeric", "10000", "9999.9999", "0.00010000"],
        "numeric(12,2)": ["'NaN'", "9999999999.99", "-0.01"],
        "real": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "'3.4028235e38'", "'1e-45'",
                 "0.1", "16777217"],
        "double precision": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'",
                             "'1.7976931348623157e308'", "'5e-324'", "0.1",
                             "0.30000000000000004", "1e15", "123456789.123456789"],
        "money": ["'12.34'", "'-92233720368547758.08'", "'92233720368547758.07'"],
        "boolean": ["true", "false"],
        "oid": ["0", "4294967295"],
        "xid": ["'4294967295'"],
        "xid8": ["'18446744073709551615'"],
        "cid": ["'7'"],
        "pg_lsn": ["'0/0'", "'FFFFFFFF/FFFFFFFF'", "'16/B374D848'"],
        "tid": ["'(4294967295,65535)'"],
    },
    "times": {
        "date": ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'0001-12-31 BC'",
                 "'5874897-12-31'", "'2000-02-29'"],
        "time": ["'00:00'", "'24:00'", "'23:59:59.999999'"],
        "time(0)": ["'12:34:56.7'"],
        "timetz": ["'24:00+15:59'", "'00:00-15:59:59'", "'12:00:00.000001+00'"],
        "timestamp": ["'infinity'", "'-infinity'", "'4713-01-01 00:00:00 BC'",
                      "'294276-12-31 23:59:59.999999'", "'1969-12-31 23:59:59.999999'"],
        "timestamptz": ["'infinity'", "'-infinity'", "'4713-01-02 00:00:00+00 BC'",
                        "'294276-12-31 23:59:59.999999+00'", "'1883-11-18 12:03:57 -4:56:02'",
                        "'2024-03-10 02:30:00-08'"],
        "timestamptz(3)": ["'2024-01-01 00:00:00.123456+00'"],
        "interval": ["'0'", "'178000000 years'", "'-178000000 years'",
                     "'1 year -2 months 3 days -04:05:06.789'", "'-1 day 23:59:59.999999'",
                     "'1 month 30 days 24 hours'", "'-0.000001 s'"],
        "interval day to second(2)": ["'3 days 04:05:06.789'"],
        "interval year to month": ["'-1-2'"],
    },
    "texts": {
        "text": ["''", "'NULL'", "'\\N'", "'\\.'", "E'\\b\\f\\n\\r\\t\\v\\\\'", "'é ß 中文 😀'",
                 "E'\\U0010FFFF'", "'a''b\"c'", "' lead and trail '", "repeat('x', 100000)",
                 "E'\\u200b\\ufeff'", "chr(1) || chr(127)"],
        "varchar": ["''", "'anything'"],
        "varchar(5)": ["'abc'", "'ab   '", "''"],
        "char(5)": ["'abc'", "''", "'     '", "'é中'"],
        "char": ["'x'"],
        "\"char\"": ["'x'", "''", "'\\001'"],
        "name": ["''", "repeat('n', 63)"],
        "citext": ["'MiXed'", "'mixed'", "''"],
        "bytea": ["''", "'\\x00'", "'\\x00ff5c27220a0d'", "decode(repeat('00ff', 50000), 'hex')"],
        "bit(3)": ["B'101'", "B'000'"],
        "bit(65)": ["repeat('10', 40)::bit(65)"],
        "varbit": ["B''", "B'1'", "B'101010101'"],
        "varbit(9)": ["B'101'"],
        "uuid": ["'00000000-0000-0000-0000-000000000000'",
                 "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
                 "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"],
    },
    "documents": {
        "json": ["'{ \"b\" : 1, \"a\":[1, 2 ,{}], \"a\" : null }'", "'\"\\u00e9\\ud83d\\ude00\"'",
                 "' null '", "'1E400'", "'\"\"'"],
        "jsonb": ["'{\"b\": 1.10, \"a\": [null, true, \"x\"], \"\": {}}'", "'null'", "'1e100'",
                  "'\"\\\\ \\\" \\n\"'", "'[]'", "'-0'"],
        "jsonpath": ["'$.a[*] ? (@ > 1)'", "'strict $.\"x y\"'"],
        "hstore": ["''", "'a=>1, \"b c\"=>NULL, \"\"=>\"q\\\"uote\"'"],
        "tsvector": ["''", "'fat:3A cat:2,5C'", "to_tsvector('english', 'The fat rats, O''Neil')",
                     "'''a b'':1 ''it''''s'''"],
    },
    "empties": {  # no server reads an empty one in binary
        "int2vector": ["'1 2 3'", "''"],
        "oidvector": ["'1 4294967295'", "''"],
        "oidvector[]": ["ARRAY['1 2', '', NULL]::oidvector[]"],
        "tsquery": ["''", "'fat & (rat:A* | !cat:BC) <-> dog'", "'''it''''s'''"],
        "tsquery[]": ["ARRAY['', 'a & b', NULL]::tsquery[]"],
    },
    "xml": {
        "xml": ["'<a b=\"c\">text &amp; more</a>'", "''", "'<?xml version=\"1.0\"?><r/>'",
                "'just text'", "'<?xml version=\"1.0\" encoding=\"UTF-8\"?><r>\u00e9</r>'",
                "'<?xml version=\"1.0\" standalone=\"yes\"?><r/>'",
                "'<?xml version=\"1.1\"?><r/>'"],
        "xml[]": ["ARRAY['<a/>'::xml, NULL, '']"],
    },
    "networks": {
        "inet": ["'192.168.1.5/24'", "'10.0.0.1'", "'::1/128'", "'2001:db8::ff/64'", "'0.0.0.0/0'"],
        "cidr": ["'192.168.1.0/24'", "'2001:db8::/32'", "'0.0.0.0/0'"],
        "macaddr": ["'08:00:2b:01:02:03'"],
        "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    },
    "geometry": {
        "point": ["'(1.5,-2)'", "'(NaN,Infinity)'", "'(-0,0.1)'"],
        "line": ["'{1,-2,3}'"],
        "lseg": ["'[(0,0),(1,1)]'"],
        "box": ["'(1,1),(0,0)'"],
        "path": ["'[(0,0),(1,1),(2,0)]'", "'((0,0),(1,1))'"],
        "polygon": ["'((0,0),(1,1),(2,0))'"],
        "circle": ["'<(1,2),3>'"],
    },
    "ranges": {
        "int4range": ["'empty'", "'[1,5)'", "'(,)'", "'[3,3]'", "'(,7]'"],
        "int8range": ["'[-9223372036854775808,9223372036854775807)'"],
        "numrange": ["'[1.0,2.50]'", "'(NaN,]'", "'[-Infinity,Infinity)'"],
        "daterange": ["'[2024-01-01,2024-12-31]'", "'[-infinity,infinity]'"],
        "tsrange": ["'[2024-01-01 10:00,)'", "'(\"2024-01-01 00:00:00 BC\",infinity)'"],
        "tstzrange": ["'[2024-01-01 10:00+02,2024-01-01 11:00+02]'"],
        "float_range": ["'[1.5,NaN)'"],
        "int4multirange": ["'{}'", "'{[1,3),[5,7)}'", "'{(,)}'"],
        "nummultirange": ["'{[1.10,2.0],(3,4)}'"],
        "tstzmultirange": ["'{[2024-01-01 10:00+02,2024-01-01 11:00+02]}'"],
    },
    "arrays": {
        "int[]": ["'{}'", "'{1,NULL,3}'", "'[0:2]={1,2,3}'", "'[-5:-4][7:8]={{1,2},{3,4}}'",
                  "'{{1,2},{3,4}}'"],
        "text[]": ["'{\"\",NULL,\"NULL\",\"a,b\",\"q\\\"uote\",\"back\\\\slash\",\"{}\"}'",
                   "array_fill('x'::text, ARRAY[1000])", "'[2:2]={x}'"],
        "numeric(8,3)[]": ["'{NaN,1.500,-0}'"],
        "float8[]": ["'{NaN,-0,5e-324}'"],
        "timestamptz[]": ["'{infinity,2024-01-01 00:00+00}'"],
        "bytea[]": ["ARRAY['\\x00'::bytea, '\\xff', '']"],
        "uuid[]": ["'{ffffffff-ffff-ffff-ffff-ffffffffffff}'"],
        "jsonb[]": ["ARRAY['{\"a\": \"b,c\"}'::jsonb, 'null', NULL]"],
        "bool[][]": ["'{{t,f},{NULL,t}}'"],
        "box[]": ["'{(1,1),(0,0);(3,3),(2,2)}'"],
        "int4range[]": ["'{\"[1,5)\",empty}'"],
        "hstore[]": ["ARRAY['a=>1'::hstore, '']"],
        "date[]": ["'[-3:-2]={0044-03-15 BC,infinity}'"],
        "interval[]": ["'{-1 mon,178000000 years}'"],
        "\"char\"[]": ["'{a,NULL,\"\"}'"],
        "name[][]": ["'{{a,b},{c,NULL}}'"],
        "int4multirange[]": ["ARRAY['{[1,3),[5,7)}', '{}', NULL]::int4multirange[]"],
        "citext[]": ["'{Ann,ann,NULL,\"\"}'", "'[3:4]={a,B}'"],
        "int[][][]": ["'[1:2][0:0][-1:1]={{{1,2,3}},{{4,5,NULL}}}'"],
        "bit(3)[]": ["'{101,NULL}'"],
    },
    "users": {
        "mood": ["'sad'", "'very happy'", "'O''Neil, \"q\" \\ {x}'"],
        "mood[]": ["ARRAY['ok', NULL, 'O''Neil, \"q\" \\ {x}']::mood[]", "'{}'"],
        "positive": ["1", "2147483647"],
        "positive[]": ["'{1,2}'"],
        "moods": ["'{sad,ok}'", "'[0:1][2:2]={{sad},{NULL}}'", "'{}'"],
        "moods[]": ["ARRAY['{sad,ok}', NULL, '{}']::moods[]"],
        "few_moods": ["'{sad,ok,ok}'"],
        "pair": ["ROW(1, 'a')", "ROW(NULL, NULL)", "ROW(-1, '')", "ROW(0, 'q\"u(o),\\te')"],
        "pair[]": ["ARRAY[ROW(1, 'a,b'), NULL, ROW(NULL, '')]::pair[]", "'{}'",
                   "'[0:0][5:6]={{\"(1,x)\",\"(2,y)\"}}'"],
        "good_pair": ["ROW(1, 'a')", "ROW(NULL, NULL)"],
        "good_pair[]": ["ARRAY[ROW(1, 'a,b'), NULL]::good_pair[]"],
        "nested": ["ROW(ROW(1, 'x'), 'ok', ARRAY[1, NULL], 'infinity')::nested",
                   "ROW(NULL, NULL, NULL, NULL)::nested",
                   "ROW(ROW(NULL, NULL), NULL, '{}', '0044-03-15 BC')::nested"],
        "nested[]": ["ARRAY[ROW(ROW(1, '\"'), 'sad', '{}', '2024-01-01')]::nested[]"],
        "deep": ["ROW(ARRAY[ROW(ROW(1, '\"'), 'sad', '{}', '2024-01-01'), NULL]::nested[], "
                 "ROW(2, 'g'), ARRAY[ROW(3, ''), NULL]::good_pair[], '[7:8]={ok,sad}', "
                 "ARRAY['[1,2)', 'empty']::int4range[])::deep",
                 "ROW(NULL, NULL, NULL, NULL, NULL)::deep"],
        "deep[]": ["ARRAY[ROW(ARRAY[ROW(ROW(1, '\"'), 'sad', '{}', '2024-01-01')]::nested[], "
                   "NULL, NULL, '{}', '{}')::deep, NULL]"],
        "mood_range": ["'[sad,ok]'", "'empty'", "'(,)'", "'[\"very happy\",)'"],
        "mood_range[]": ["ARRAY['[sad,ok]', NULL, 'empty']::mood_range[]"],
        "mood_multirange": ["'{[sad,ok),[\"very happy\",)}'", "'{}'"],
        "pair_range": ["pair_range(ROW(1, 'a'), ROW(2, 'b'))", "pair_range(NULL, ROW(2, 'b'))",
                       "pair_range(ROW(1, 'a'), NULL, '(]')", "'empty'", "'(,)'"],
        "pair_multirange": ["pair_multirange(pair_range(ROW(1, 'a'), ROW(2, 'b')), "
                            "pair_range(ROW(3, NULL), NULL))", "'{}'"],
        "moods_range": ["moods_range('{sad}', '{sad,ok}')", "moods_range(NULL, '{ok}')"],
        "ranges": ["ROW('[1.5,NaN)', ARRAY['[sad,ok]', NULL]::mood_range[], "
                   "pair_multirange(pair_range(ROW(1, 'a'), ROW(2, 'b'))))::ranges"],
    },
    "system": {
        "aclitem": ["'postgres=r/postgres'"],
        "txid_snapshot": ["'10:20:10,14,15'", "'1:1:'"],
        "pg_snapshot": ["'10:20:10,14,15'", "'1:1:'"],
        "pg_snapshot[]": ["ARRAY['10:20:10,14', NULL]::pg_snapshot[]"],
        "refcursor": ["'c'", "''"],
        "xid8[]": ["'{1,18446744073709551615}'"],
        "tid[]": ["ARRAY['(1,2)'::tid]"],
    },
    "local": {
        "regclass": ["'pg_class'::regclass", "'-'", "'pair'::regclass"],
        "regtype": ["'int4'::regtype", "'mood'::regtype", "'mood[]'::regtype"],
        "regproc": ["'now'::regproc"],
        "regprocedure": ["'lower(text)'::regprocedure"],
        "regoper": ["'||/'::regoper"],
        "regoperator": ["'+(int4,int4)'::regoperator"],
        "regrole": ["'postgres'::regrole"],
        "regnamespace": ["'public'::regnamespace"],
        "regconfig": ["'english'::regconfig"],
        "regdictionary": ["'english_stem'::regdictionary"],
        "regcollation": ["'\"C\"'::regcollation"],
        "regtype[]": ["ARRAY['mood', 'int4', NULL]::regtype[]"],
        "with_class": ["ROW('pg_class', 'ok')::with_class"],
        "with_class[]": ["ARRAY[ROW('pg_type', 'ok'), NULL]::with_class[]"],
        "aclitem[]": ["ARRAY['postgres=r/postgres'::aclitem, NULL]"],
    },
    "contrib": {
        "hstore": ["''", "'a=>1, \"b c\"=>NULL, \"\"=>\"q\\\"uote\"'"],
        "hstore[]": ["ARRAY['a=>1'::hstore, '', NULL]"],
        "citext": ["'MiXed'", "'mixed'", "''"],
        "citext[]": ["'{Ann,ann,NULL}'"],
        "ltree": ["''", "'Top.Science.Astronomy'"],
        "ltree[]": ["'{Top,NULL,Top.A}'"],
        "lquery": ["'*.Science|Art@*.!x{1,2}'"],
        "lquery[]": ["ARRAY['a.*', 'b']::lquery[]"],
        "ltxtquery": ["'Europe & Russia*@ & !Transportation'"],
        "ltxtquery[]": ["ARRAY['a & b']::ltxtquery[]"],
        "cube": ["'(1,2),(3,4)'", "'(1e-300)'", "'()'", "'(NaN,Infinity)'"],
        "cube[]": ["ARRAY['(1,2)', NULL]::cube[]"],
        "earth": ["ll_to_earth(48.2, 16.4)"],
        "lo": ["4294967295::oid"],
        "ean13": ["'978-0-393-04002-9'"],
        "isbn": ["'0-393-04002-X'"],
        "isbn13": ["'978-0-393-04002-9'"],
        "issn": ["'1436-4522'"],
        "issn13": ["'977-1436-452-00-8'"],
        "ismn": ["'M-2306-7118-7'"],
        "ismn13": ["'979-0-2306-7118-7'"],
        "upc": ["'220356483481'"],
        "seg": ["'1.50 .. 2e3'", "'~5'", "'<3'", "'1(+-)0.5'"],
        "query_int": ["'1&(2|!3)'"],
        "of_contrib": ["ROW('a=>1', '{Top.A}', 'Ann')::of_contrib"],
    },
    "contrib_as_text": {
        "isbn[]": ["ARRAY['0-393-04002-X'::isbn, NULL]"],
        "seg[]": ["ARRAY['1.50 .. 2e3'::seg]"],
        "query_int[]": ["ARRAY['1&2'::query_int]"],
        "with_seg": ["ROW('1.50 .. 2', 'ok')::with_seg"],
    },
}

TEXT_FAMILIES = {"empties", "local", "contrib_as_text"}  # the others' streams are binary


def known(world):
    """The families that both servers know."""
    older = min(world.source.cluster.version, world.target.cluster.version)
    return [family for family in FAMILIES if SINCE.get(family, 0) <= older]


def stream_format(world, families):
    """How the stream carries them: as text if one cannot go otherwise. Intervals cannot, where only
    the source has infinite ones (17)."""
    finite = world.source.cluster.version >= 17 > world.target.cluster.version
    kinds = [kind for family in families for kind in FAMILIES[family]]
    as_text = TEXT_FAMILIES & set(families) or finite and any("interval" in kind for kind in kinds)
    return "text" if as_text else "binary"


def prepare(world, *families):
    """The types, with OIDs at the target that no type of the source has. Skips the test when a
    family is not known to both servers."""
    for family in families:
        if family not in known(world):
            raise unittest.SkipTest(f"{family} needs PostgreSQL {SINCE[family]} on both sides")
    world.target.run(*(f"CREATE TYPE earlier_{number} AS (of_other int, oids text)"
                       for number in range(50)))
    statements = [*PREPARE, *(one for family in families
                              for one in PREPARE_FAMILY.get(family, ()))]
    world.both(*dict.fromkeys(statements))


def ddl(family):
    """The tables of a family, the same for both sides."""
    return [f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})"
            for table, kind, _ in tables(family)]


def tables(family):
    """[(table name, type, literals)]"""
    return [(f"{family}_{number}", kind, literals)
            for number, (kind, literals) in enumerate(FAMILIES[family].items())]


def inserts(family, first):
    """One INSERT a table: every literal, and NULL; ids from `first`."""
    for table, kind, literals in tables(family):
        rows = ", ".join(f"({first + number}, ({literal})::{kind})"
                         for number, literal in enumerate([*literals, "NULL"]))
        yield f"INSERT INTO {table} VALUES {rows}"


def updates(family):
    """Every row takes the value of the next one, so that each value comes in an update too."""
    for table, _, _ in tables(family):
        yield f"""UPDATE {table} t SET v = n.v FROM
                  (SELECT id, lead(v) OVER (ORDER BY id) AS v FROM {table}) n
                  WHERE n.id = t.id"""
