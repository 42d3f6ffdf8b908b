"""The handoff with a spool: the target goes away in mid-copy again and again and the program is
killed, with writers at the very keys that are copied; what comes out of the spool is judged by the
chunks that are there by then."""
import os
import random

import pytest

from test_handoff import BACKFILL, SHAPES, Items, chunks
from test_spool import SPOOLING, segments, wait_empty
from world import load, marks, wait

NIGHTLY_ROUNDS = 22


def spell(away, product, writers, dice):
    """The target is away for a while; perhaps the program dies before or behind it."""
    away.target.cluster.stop("immediate")
    wait.until(lambda: segments(product) or not product.alive(), "a spool", 30)
    writers.wait_commits(dice.randrange(10, 60))
    dies = dice.randrange(3)
    if dies == 0:
        product.kill9()
    away.target.cluster.start()
    writers.wait_commits(dice.randrange(5, 40))
    if dies == 1:
        product.kill9()
    if dies < 2:
        product.start()
        product.event("streaming", 30)


@pytest.mark.limit(180)
@pytest.mark.parametrize("number", [
    pytest.param(number, marks=[pytest.mark.nightly] * (number > 0)) for number in range(NIGHTLY_ROUNDS)])
def test_the_target_goes_away_under_writers_at_the_keys_being_copied(away, number):
    seed = int(os.environ.get("SLACKWATER_SEED", random.randrange(1 << 30)))
    print("SLACKWATER_SEED", seed)
    dice = random.Random(seed)
    items = Items(away, list(SHAPES)[number % len(SHAPES)])
    product = away.product(spool={"dir": str(away.folder / "spool_handoff"), "min_free": "1MB"},
                           backfill={**BACKFILL, "workers": 2, "max_rows_per_second": 300})
    with load.Writers(away.source, 3, items.work, seed=dice.randrange(1 << 30)) as writers:
        product.start()
        product.event("streaming", 30)
        for _ in range(3):
            writers.wait_commits(dice.randrange(5, 30))
            spell(away, product, writers, dice)
        amid = not product.status()["backfill"]["complete"]
        product.stop()
        product.config["backfill"].pop("max_rows_per_second")
        product.start()
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill", 90)
    assert amid, "the copy was done before"
    assert chunks(away) > 4, "it was not copied in chunks"
    product.wait_caught_up(60)
    away.assert_equal("items")
    wait_empty(product)
    marks.assert_told(product, SPOOLING)
    marks.assert_shown(product, spool_bytes=0, backfill_complete=1)
    product.stop()
