"""Two programs on one migration would apply everything twice: the second one refuses."""
from world import marks


def test_a_second_instance_refuses_while_the_first_lives(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY)")
    first = world.product().start_streaming()
    second = world.product().run_to_end()
    assert second.status == 2
    assert "another slackwater instance runs migration" in second.text, second.text
    assert "stop the other instance" in second.text
    world.source.run("INSERT INTO t VALUES (1)")
    first.wait_caught_up()
    world.assert_equal()
    marks.assert_undisturbed(first)
    third = world.product().start_streaming()
    world.source.run("INSERT INTO t VALUES (2)")
    third.wait_caught_up()
    world.assert_equal()


def test_two_migrations_between_the_same_databases_live_side_by_side(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
    programs = [world.product(migration=f"{world.migration}_{name}",
                              tables=[{"source": f"public.{name}", "target": f"public.{name}"}])
                for name in "tu"]
    for program in programs:
        program.start_streaming()
    world.source.run("BEGIN; INSERT INTO t VALUES (1); INSERT INTO u VALUES (1); COMMIT")
    for program in programs:
        program.wait_caught_up()
    world.assert_equal()
