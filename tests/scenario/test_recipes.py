"""The recipes of docs/recipes/, run as they stand there: each block is told by its first line."""
import re

import pytest

from world import compare
from world.product import ROOT, start_together

FOLDER = ROOT / "docs" / "recipes"
RECIPES = sorted(path.name for path in FOLDER.glob("*.md") if path.name != "README.md")
BLOCK = re.compile(r"^```(sql|yaml|sh)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# slackwater\.yaml(?:, once for each (\w+): (\w+(?:, \w+)*))?$")
TARGET_TABLE = "-- the same at the source: "
STEPS = {"-- source", "-- target", "-- source, while it runs", "-- target, afterwards",
         "-- true at the target", "# environment"}


class Recipe:
    """A recipe's blocks, by what their first line says they are."""

    def __init__(self, name):
        self.steps = {}
        self.equal = {}
        self.file = self.variable = None
        self.sources = [""]
        for language, text in BLOCK.findall((FOLDER / name).read_text()):
            title, body = text.split("\n", 1)
            if language == "sh" and title != "# environment":
                continue  # for the reader
            assert title not in self.steps, f"{name}: two blocks say {title}"
            if title.startswith(TARGET_TABLE):
                self.equal[title.removeprefix(TARGET_TABLE)] = body
            elif FILE.match(title):
                assert self.file is None, f"{name}: two files"
                self.file = body
                self.variable, sources = FILE.match(title).groups()
                self.sources = sources.split(", ") if sources else self.sources
            else:
                self.steps[title] = body
        at_one = {f"-- source {source}, while it runs" for source in self.sources}
        assert set(self.steps) <= STEPS | at_one, f"{name}: {set(self.steps)}"
        self.variables = dict(line.split("=", 1) for line in
                              self.steps.get("# environment", "").splitlines())

    def environment(self, source):
        return {**self.variables, **({self.variable: source} if self.variable else {})}

    def fill(self, text, source):
        """The text with the values of the variables of this source's program."""
        for name, value in self.environment(source).items():
            text = text.replace("${" + name + "}", value)
        return text

    def script(self, title, source=""):
        return self.fill(self.steps.get(title, ""), source)


class Side:
    """One source of a recipe, and its program."""

    def __init__(self, world, recipe, name):
        self.recipe, self.name = recipe, name
        self.database = world.source if name == recipe.sources[0] else world.further_source()
        self.product = world.product_from(
            recipe.file + "http: { listen: \"127.0.0.1:0\" }\n", source=self.database)
        self.product.env.update(recipe.environment(name), SOURCE_DSN=self.database.url(),
                                TARGET_DSN=world.target.url())

    def run(self, title):
        self.database.script(self.recipe.script(title, self.name))


def succeed(product, *words):
    result = product.command(*words)
    assert result.status == 0, result.text
    return result


def assert_equal(world, recipe, sides):
    assert recipe.equal
    for table, query in recipe.equal.items():
        compare.assert_same_rows_as_all(
            [(side.database, f"SELECT r::text FROM ({recipe.fill(query, side.name)}) r")
             for side in sides], world.target, compare.whole_rows(table), table)
    truths = world.target.rows(recipe.steps.get("-- true at the target", "SELECT true"))
    assert truths and all(row == (True,) for row in truths)


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(world, name):
    recipe = Recipe(name)
    by_hand = "-- target" in recipe.steps
    world.target.script(recipe.script("-- target"))
    sides = [Side(world, recipe, source) for source in recipe.sources]
    products = [side.product for side in sides]
    for side in sides:
        side.run("-- source")
        if not by_hand:
            succeed(side.product, "schema", "--apply", "--phase", "before")
    for product in products:
        succeed(product, "preview")
        assert product.command("check").status < 2
    try:
        start_together(products)
        for side in sides:
            side.run("-- source, while it runs")
            side.run(f"-- source {side.name}, while it runs")
        for product in products:
            product.wait_caught_up()
        for product in products if not by_hand else ():
            succeed(product, "schema", "--apply", "--phase", "after")
        world.target.script(recipe.script("-- target, afterwards"))
        for product in products:
            product.wait_caught_up()
            product.stop()
        assert_equal(world, recipe, sides)
    finally:
        for product in products:
            product.kill9()
            succeed(product, "cleanup", "--yes")


def test_every_recipe_is_listed():
    text = (FOLDER / "README.md").read_text()
    assert all(f"({name})" in text for name in RECIPES) and RECIPES
