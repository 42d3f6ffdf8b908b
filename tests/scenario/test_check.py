"""`check`: 0 compatible, 1 potentially breaking, 2 breaking; with a fix for each finding."""
import json


def test_compatible(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    result = world.product().command("check")
    assert result.status == 0, result.text
    assert world.leftovers() == []


def test_potentially_breaking(world):
    """No key and identity DEFAULT: updates and deletes cannot be seen."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE no_key (a int)")
    result = world.product().command("check")
    assert result.status == 1, result.text
    assert "public.no_key" in result.text and "REPLICA IDENTITY" in result.text
    assert world.leftovers() == []


def test_breaking(world):
    world.source.run("CREATE TABLE t (id int PRIMARY KEY, v text)")
    world.target.run("CREATE TABLE t (id int PRIMARY KEY)")
    result = world.product().command("check")
    assert result.status == 2, result.text
    assert "public.t" in result.text
    assert world.leftovers() == []


def test_findings_as_json(world):
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE no_key (a int)",
               "CREATE UNLOGGED TABLE scratch (a int PRIMARY KEY)")
    result = world.product().command("check", "--json")
    assert result.status == 1, result.text
    document = json.loads(result.out)
    findings = document["findings"]
    assert any("no_key" in finding["object"] and finding["fix"] for finding in findings), findings
    assert any("scratch" in finding["object"] for finding in findings), findings
    assert {finding["severity"] for finding in findings} <= {
        "breaking", "potentially_breaking", "non_breaking", "additive"}


def test_checked_again_while_it_runs(world):
    """It looks only: a run beside it is not disturbed."""
    world.both("CREATE TABLE t (id int PRIMARY KEY, v text)")
    product = world.product().start_streaming()
    assert product.command("check").status == 0
    world.source.run("INSERT INTO t VALUES (1, 'x')")
    product.wait_caught_up()
    world.assert_equal()
