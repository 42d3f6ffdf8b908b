"""The recipes of docs/recipes/, run as they stand there: each block is told by its first line."""
import re

import pytest

from world.product import ROOT

FOLDER = ROOT / "docs" / "recipes"
RECIPES = sorted(path.name for path in FOLDER.glob("*.md") if path.name != "README.md")
BLOCK = re.compile(r"^```(sql|yaml)\n(.*?)^```$", re.M | re.S)
TARGET_TABLE = "-- the same at the source: "


class Recipe:
    """A recipe's blocks, by what their first line says they are."""

    def __init__(self, name):
        self.steps = {}
        self.equal = {}
        for _, text in BLOCK.findall((FOLDER / name).read_text()):
            title, body = text.split("\n", 1)
            if title.startswith(TARGET_TABLE):
                self.equal[title.removeprefix(TARGET_TABLE)] = body
            else:
                assert title not in self.steps, f"{name}: two blocks say {title}"
                self.steps[title] = body
        unknown = set(self.steps) - {"-- source", "-- target", "# slackwater.yaml",
                                     "-- source, while it runs", "-- true at the target"}
        assert not unknown, f"{name}: {unknown}"

    def statements(self, title):
        return [part for part in re.split(r";\s*$", self.steps.get(title, ""), flags=re.M)
                if part.strip()]


def succeed(product, *words):
    result = product.command(*words)
    assert result.status == 0, result.text
    return result


@pytest.mark.parametrize("name", RECIPES)
def test_recipe(world, name):
    recipe = Recipe(name)
    product = world.product_from("# slackwater.yaml\n" + recipe.steps["# slackwater.yaml"]
                                 + "http: { listen: \"127.0.0.1:0\" }\n")
    product.env.update(SOURCE_DSN=world.source.url(), TARGET_DSN=world.target.url())
    by_hand = "-- target" in recipe.steps
    world.source.run(*recipe.statements("-- source"))
    if by_hand:
        world.target.run(*recipe.statements("-- target"))
    else:
        succeed(product, "schema", "--apply", "--phase", "before")
    succeed(product, "preview")
    assert product.command("check").status < 2
    try:
        product.start_streaming()
        world.source.run(*recipe.statements("-- source, while it runs"))
        product.wait_caught_up()
        if not by_hand:
            succeed(product, "schema", "--apply", "--phase", "after")
        product.wait_caught_up()
        product.stop()
        assert recipe.equal
        world.assert_equal_by(recipe.equal)
        for row in world.target.rows(recipe.steps.get("-- true at the target", "SELECT true")):
            assert row == (True,)
    finally:
        product.kill9()
        succeed(product, "cleanup", "--yes")


def test_every_recipe_is_listed():
    text = (FOLDER / "README.md").read_text()
    assert all(f"({name})" in text for name in RECIPES) and RECIPES
