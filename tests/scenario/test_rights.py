"""The least that the two roles need is enough, and is what docs/operations.md asks for."""

DATA = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE"


def test_two_ordinary_roles(world):
    """Source: LOGIN REPLICATION, owns the tables. Target: writes the tables, may CREATE."""
    world.both("CREATE TABLE parent (id int PRIMARY KEY)",
               "CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent, v text)",
               "CREATE TABLE history (at timestamptz, what text)")
    reader = world.role(world.source, "reader", "REPLICATION")
    writer = world.role(world.target, "writer")
    world.source.run(f"GRANT CREATE ON DATABASE {world.source.name} TO {reader}",
                     *(f"ALTER TABLE {name} OWNER TO {reader}" for name in
                       ("parent", "child", "history")))
    world.target.run(f"GRANT CREATE ON DATABASE {world.target.name} TO {writer}",
                     *(f"GRANT {DATA} ON {name} TO {writer}" for name in
                       ("parent", "child", "history")))
    world.source.run("INSERT INTO parent SELECT generate_series(1, 100)",
                     "INSERT INTO child SELECT i, i, 'x' FROM generate_series(1, 100) i",
                     "INSERT INTO history SELECT now(), 'copied' FROM generate_series(1, 10)")
    product = world.product(source={"dsn": world.source.url(reader), "heartbeat": "200ms"},
                            target={"dsn": world.target.url(writer)})
    assert product.command("check").status in (0, 1)
    product.start_streaming()
    world.source.run("BEGIN; INSERT INTO parent VALUES (500); INSERT INTO child VALUES (500, 500);"
                     "INSERT INTO history VALUES (now(), 'streamed'); COMMIT",
                     "UPDATE child SET v = 'u' WHERE id < 50", "DELETE FROM child WHERE id > 90",
                     "DELETE FROM parent WHERE id = 95", "UPDATE child SET id = -id WHERE id = 1")
    product.wait_caught_up()
    world.assert_equal()
    product.kill9()
    product.start_streaming()
    world.source.run("INSERT INTO history VALUES (now(), 'resumed')")
    product.wait_caught_up()
    world.assert_equal()
    product.stop()
    assert product.command("cleanup", "--yes").status == 0
    assert world.leftovers() == []
    world.source.run(f"REASSIGN OWNED BY {reader} TO postgres", f"DROP OWNED BY {reader}")
    world.target.run(f"DROP OWNED BY {writer}")
