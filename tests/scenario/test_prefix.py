"""The promise itself: what the target shows is always a prefix of the source's commit order
(world/prefix.py)."""
import time

import pytest

from world import load, marks, prefix


@pytest.mark.parametrize("kills", [0, 4], ids=["undisturbed", "killed"])
def test_the_target_is_always_a_prefix(world, nightly, kills):
    world.both(*prefix.TABLES)
    world.source.run(*prefix.START)
    product = world.product()
    with load.Writers(world.source, 4, prefix.work) as writers:
        writers.wait_commits(100)
        product.start_streaming()
        product.wait_status(lambda status: status["backfill"]["complete"], "the backfill")
        with prefix.Reader(world.target) as reader:
            for _ in range(kills * (10 if nightly else 1)):
                reader.see_more(50, product)
                product.kill9()
                writers.wait_commits(20)
                since = time.time()
                product.start()
            writers.wait_commits(5000 if nightly else 500)
            writers.stop()
            product.wait_caught_up()
    prefix.assert_all(world)
    assert reader.looks > 50 and len(reader.seen) > 5, "it looked too seldom to prove anything"
    if kills:
        marks.assert_resumed(product, since)
    else:
        marks.assert_undisturbed(product)


@pytest.mark.harness
def test_the_checker_sees_a_broken_prefix():
    whole = (12, 12, 12, 78, list(range(3, 13)), [12], 12, 12, 12)
    assert prefix.assert_prefix(whole) == 12
    assert prefix.assert_prefix((0, 0, None, 0, None, [0], 0, 0, None)) == 0
    for position, value in ((1, 11), (3, 66), (4, list(range(2, 12))), (5, [11]), (6, 13), (7, 11)):
        broken = whole[:position] + (value,) + whole[position + 1:]
        with pytest.raises(AssertionError):
            prefix.assert_prefix(broken)
