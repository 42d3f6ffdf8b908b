"""Errors of the target that pass: the whole transaction again, with pauses; log and counter tell."""
import re

import pytest

from world import wait

# What a busy, a full, a restarting and a failing-over server say.
PASSING = {"40001": "serialization failure", "40P01": "deadlock", "55P03": "lock not available",
           "57014": "cancelled", "53100": "disk full", "53200": "out of memory",
           "53300": "too many connections", "58030": "I/O error", "25006": "read-only",
           "57P01": "shutdown"}
TIMES = 3

TROUBLE = """
    CREATE SEQUENCE tries;
    CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN
        IF nextval('public.tries') <= {times} THEN
            RAISE EXCEPTION 'in trouble' USING ERRCODE = '{code}';
        END IF;
        RETURN NEW;
    END$$;
    CREATE TRIGGER trouble BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION trouble();
    ALTER TABLE u ENABLE ALWAYS TRIGGER trouble"""


@pytest.mark.parametrize("code", PASSING, ids=lambda code: PASSING[code].replace(" ", "-"))
def test_the_whole_transaction_is_tried_again_until_it_passes(world, code):
    world.both("CREATE TABLE log (line text)", "CREATE TABLE u (id int PRIMARY KEY)")
    product = world.product().start_streaming()
    world.target.script(TROUBLE.format(code=code, times=TIMES))
    world.source.run("BEGIN; INSERT INTO log VALUES ('once'); INSERT INTO u VALUES (1);"
                     "INSERT INTO log VALUES ('behind it'); COMMIT")
    wait.until(lambda: product.status()["totals"]["retries"] >= 2, "it to be tried again")
    assert world.target.value("SELECT count(*) FROM log") in (0, 2)  # never a part of it
    product.wait_caught_up()
    world.assert_equal("log", "u")
    told = [event for event in product.events() if event.get("event") == "target failed, trying again"
            and event["sqlstate"] == code]
    assert len(told) == TIMES, product.log_text()
    assert "in trouble" in told[0]["error"] and "public.u" in told[0]["error"]
    assert re.search(rf"^slackwater_retries_total\S* {TIMES}$", product.http("/metrics")[2], re.M)
    assert product.status()["last_error"]["message"]
    product.stop()
