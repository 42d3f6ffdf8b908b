"""What an operator hears of without asking: in the log once, as a gate, as a metric; the run goes on."""
from world import load, marks, wait

T = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def count(product, event):
    return sum(entry.get("event") == event for entry in product.events())


def assert_goes_on(world, product):
    world.source.run("INSERT INTO t SELECT coalesce(max(id), 0) + 1, 'on' FROM t")
    product.wait_caught_up()
    world.assert_equal("t")
    product.stop()


def test_a_transaction_that_stays_open_is_warned_of_once(world):
    world.both(T)
    config = {"hold": "1s", "max_lag": "5s", "max_transaction": "500ms"}
    product = world.product(readiness=config).start_streaming()
    with load.held(world.source, "INSERT INTO t VALUES (1, 'open')"):
        warning = product.event("transactions at the source hold back the slot's WAL")
        assert warning["level"] == "warn" and "pg_stat_activity" in warning["remedy"]
        assert product.gates()["open_transactions"]["verdict"] == "NO-GO"
        assert product.metric("source_long_transactions") == 1
    product.event("no transaction holds back the slot's WAL any more")
    assert count(product, "transactions at the source hold back the slot's WAL") == 1
    assert_goes_on(world, product)


def test_an_orphaned_prepared_transaction_is_warned_of(world):
    world.both(T)
    config = {"hold": "1s", "max_lag": "5s", "max_transaction": "500ms"}
    product = world.product(readiness=config).start_streaming()
    gid = f"orphan {world.migration}"
    world.source.run(f"BEGIN; INSERT INTO t VALUES (1, 'p'); PREPARE TRANSACTION '{gid}'")
    warning = product.event("prepared transactions at the source hold back the slot's WAL")
    assert warning["level"] == "warn" and "ROLLBACK PREPARED" in warning["remedy"]
    assert product.gates()["prepared_transactions"]["verdict"] == "NO-GO"
    assert product.metric("source_prepared_transactions") == 1
    world.source.run(f"ROLLBACK PREPARED '{gid}'")
    product.event("no prepared transaction holds back the slot's WAL any more")
    assert_goes_on(world, product)


def test_a_publication_that_others_alter_is_alerted_and_refused_at_the_next_start(world):
    """A table taken out, a filter, a column list: each has the stream lack what nobody would miss."""
    world.both(T, "CREATE TABLE u (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    name = world.object_name
    for altered, words in (("DROP TABLE u", 'lacks public.u'),
                           ("SET TABLE t WHERE (id > 5), u", "row filter"),
                           ("SET TABLE t (id), u", "column list")):
        world.source.run(f"ALTER PUBLICATION {name} {altered}")
        wait.until(lambda: any(words in event.get("what", "") for event in product.events()),
                   f"a warning of {words}", 20)
        assert product.gates()["source"]["verdict"] == "NO-GO"
        assert product.metric("ready") == 0
    product.stop()
    refused = product.run_to_end()
    assert refused.status == 2 and "column list" in refused.text, refused.text
    world.source.run(f"ALTER PUBLICATION {name} SET TABLE t, u")
    product.start_streaming()
    assert_goes_on(world, product)


def test_a_slot_that_comes_near_its_loss_is_warned_of_and_then_ends_the_run(
        make_world, make_cluster, target_cluster):
    """Beyond max_wal_size it is `extended`; beyond max_slot_wal_keep_size it is lost."""
    source = make_cluster(max_slot_wal_keep_size="160MB", min_wal_size="32MB", max_wal_size="48MB")
    world = make_world(source, target_cluster)
    world.both(T)
    product = world.product().start_streaming()

    def write_until(wal_status):
        def step():
            world.source.run("SELECT pg_logical_emit_message(false, 'fill', repeat('x', 100000))",
                             "SELECT pg_switch_wal()", "CHECKPOINT")
            return world.source.value("SELECT wal_status FROM pg_replication_slots") == wal_status
        wait.until(step, f"the slot to be {wal_status}", 60)

    def warnings():
        return [event["what"] for event in product.events() if event.get("event") ==
                "the slot keeps more WAL than the source reserves for it"]

    with load.held(world.target, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"):
        world.source.run("INSERT INTO t VALUES (1, 'held')")
        write_until("extended")
        wait.until(warnings, "a warning")
        assert warnings() == ["extended"]
        assert product.gates()["slot"]["verdict"] == "GO"
        assert product.metric("slot_retained_bytes") > 48 << 20
        write_until("lost")
    assert product.wait_end(60) == 4
    marks.assert_ended(product, 4, "slot", "cleanup")
    assert world.target.rows("SELECT id FROM t") in ([], [(1,)])  # whole, or nothing of it
