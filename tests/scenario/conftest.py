"""Fixtures of the scenario suite (see world/__init__.py for what stands behind them)."""
import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from world import compare, servers, wait  # noqa: E402
from world.cluster import Cluster, make_scratch, remove_scratch  # noqa: E402
from world.product import BINARY, SANITIZER, Product  # noqa: E402
from world.standby import Standby  # noqa: E402

TEST_SECONDS = 90
numbers = itertools.count(1)


def pytest_addoption(parser):
    parser.addoption("--nightly", action="store_true", help="the longer forms of the tests")


def pytest_configure(config):
    config.addinivalue_line("markers", f"limit(seconds): time limit, default {TEST_SECONDS}")
    config.addinivalue_line("markers", "harness: needs no slackwater")
    config.addinivalue_line("markers", "nightly: too long for every run; needs --nightly")
    config.addinivalue_line("markers", "serial: measures time, so tests/run gives it the machine alone")
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]  # nobody's own server is meant
    # A terminated test run ends its servers in the ordinary way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        config.scratch = make_scratch()
        config.pluginmanager.register(Scratch(config.scratch))


class Scratch:
    """The folder of a test run, and in it one for each of its workers (pytest -n). It belongs to
    the process that starts the workers, so that it goes with it though a worker was killed: the
    worker's servers have ended with the worker (world/process.py)."""

    def __init__(self, path):
        self.path = path

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node):
        node.workerinput["scratch"] = str(self.path / node.gateway.id)

    def pytest_unconfigure(self):
        remove_scratch(self.path)


def pytest_collection_modifyitems(config, items):
    late = [item for item in items if item.get_closest_marker("nightly")]
    if late and not config.getoption("--nightly"):
        items[:] = [item for item in items if item not in late]
        config.hook.pytest_deselected(items=late)


@pytest.fixture(scope="session")
def nightly(request):
    return request.config.getoption("--nightly")


@pytest.fixture(scope="session")
def folder(request):
    """This process's own, in the scratch folder of the test run."""
    worker = getattr(request.config, "workerinput", None)
    path = pathlib.Path(worker["scratch"]) if worker else request.config.scratch
    path.mkdir(mode=0o755, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def source_cluster(folder):
    with Cluster(folder / "s", servers.wanted("source")).running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def target_cluster(folder):
    with Cluster(folder / "t", servers.wanted("target")).running() as cluster:
        yield cluster


@pytest.fixture
def make_cluster(folder):
    """make_cluster(side, setting=value, ...): a server of the test's own, for tests that break it,
    of the version that the run has for that side, or of another."""
    with contextlib.ExitStack() as clusters:
        def make(side="source", version=None, **settings):
            return clusters.enter_context(Cluster(
                folder / f"c{next(numbers)}", version or servers.wanted(side), **settings).running())

        yield make


@pytest.fixture
def source_with_standby(make_cluster, folder):
    primary = make_cluster()
    with Standby(folder / f"standby{primary.port}", primary).running() as standby:
        yield primary, standby


def both_at_once(*calls):
    """Results of [(function, argument)], in order."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return [future.result() for future in [pool.submit(*call) for call in calls]]


class World:
    """A source and a target database of the test's own, and the programs between them."""

    def __init__(self, folder, source_cluster, target_cluster):
        number = next(numbers)
        self.folder = folder / f"w{number}"
        self.folder.mkdir()
        self.migration = f"w{number}"
        self.source, self.target = both_at_once(
            (source_cluster.create_database, f"source{number}"),
            (target_cluster.create_database, f"target{number}"))
        self.further = []  # sources beside the first
        self.products = []
        self.roles = []

    @property
    def object_name(self):
        """What slot, publication and origin are called."""
        return "slackwater_" + self.migration

    def config(self, **more):
        return {
            "migration": self.migration,
            "source": {"dsn": self.source.url(), "heartbeat": "200ms"},
            "target": {"dsn": self.target.keywords()},
            "http": {"listen": "127.0.0.1:0"},
            "readiness": {"hold": "1s", "max_lag": "5s"},
            **more,
        }

    def product(self, **config):
        """A program with the usual configuration; keywords replace top-level members."""
        return self.product_from(self.config(**config))

    def further_source(self, cluster=None, options=""):
        """One more source database, on the source's server or on another."""
        cluster = cluster or self.source.cluster
        self.further.append(cluster.create_database(
            f"{self.source.name}_{len(self.further) + 2}", options))
        return self.further[-1]

    def product_from(self, config, source=None, **options):
        product = Product(self.folder / f"p{len(self.products)}", source or self.source, config,
                          **options)
        self.products.append(product)
        return product

    def both(self, *statements):
        """The same DDL on both sides."""
        self.source.run(*statements)
        self.target.run(*statements)

    def role(self, database, name, attributes=""):
        """A role for the test, dropped after it."""
        name = f"{name}_{self.migration}"
        database.run(f"CREATE ROLE {name} LOGIN {attributes}")
        self.roles.append((database.cluster, name))
        return name

    def assert_equal(self, *tables):
        compare.assert_equal(self.source, self.target, tables)

    def assert_equal_by(self, queries):
        compare.assert_equal_by(self.source, self.target, queries)

    def leftovers(self):
        """What a migration left behind on either side, as a list of words."""
        found = []
        for side in (self.source, self.target, *self.further):
            name = "target" if side is self.target else "source"
            for what, query in (
                    ("slot", "SELECT slot_name FROM pg_replication_slots "
                             "WHERE database = current_database()"),
                    ("publication", "SELECT pubname FROM pg_publication"),
                    ("schema", "SELECT nspname FROM pg_namespace WHERE nspname ~ 'slackwater'"),
                    ("table", "SELECT oid::regclass FROM pg_class "
                              "WHERE relname ~ 'slackwater' AND relkind = 'r'"),
                    ("origin", "SELECT roname FROM pg_replication_origin "
                               f"WHERE roname ~ '{self.object_name}$'")):
                found += [f"{name}: {what} {row[0]}" for row in side.rows(query)]
        return found

    def close(self):
        for product in self.products:
            product.kill9()
        both_at_once((self._drop, self.source), (self._drop, self.target))
        for side in self.further:
            self._drop(side)
        for cluster, name in self.roles:
            cluster.database("postgres").run(f"DROP ROLE {name}")

    def _drop(self, side):
        if side.cluster.server is None:
            return  # the test stopped it, and it goes with its folder
        side.cluster.drop_database(side.name)
        side.cluster.database("postgres").run(
            "SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin "
            f"WHERE roname ~ '^{self.object_name}'")


@pytest.fixture
def make_world(folder):
    """make_world(source_cluster, target_cluster)"""
    worlds = []

    def make(source_cluster, target_cluster):
        assert BINARY.exists(), f"{BINARY} is not built"
        worlds.append(World(folder, source_cluster, target_cluster))
        return worlds[-1]

    make.worlds = worlds
    yield make
    try:
        for world in worlds:
            for product in world.products:
                product.kill9()
                product.assert_no_secret()
                product.assert_no_sanitizer_report()
    finally:
        for world in worlds:
            world.close()


@pytest.fixture
def world(make_world, source_cluster, target_cluster):
    return make_world(source_cluster, target_cluster)


@pytest.fixture
def away(make_world, source_cluster, make_cluster):
    """A world whose target is a server of its own, which a test may stop."""
    return make_world(source_cluster, make_cluster())


@pytest.fixture(autouse=True)
def time_limit(request):
    """A test that hangs fails, and the rest of the suite goes on."""
    mark = request.node.get_closest_marker("limit")
    seconds = (mark.args[0] if mark else TEST_SECONDS) * wait.PATIENCE

    def ring(*_):
        raise TimeoutError(f"the test took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(int(seconds))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failure shows the programs' and the servers' logs."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed or "make_world" not in getattr(item, "fixturenames", ()):
        return
    make = getattr(item, "funcargs", {}).get("make_world")
    for world in make.worlds if make else ():
        for product in world.products:
            if not product.log.exists():
                continue
            lines = product.log.read_text(errors="replace").splitlines()
            report.sections.append((f"slackwater's log ({product.log})",
                                    "\n".join(line[:600] for line in lines[-60:])))
        for side in (world.source, world.target):
            report.sections.append((f"server's log ({side.name})", side.cluster.complaints(side.name)))


def pytest_report_header(config):
    built = f" ({SANITIZER} sanitizer)" if SANITIZER else ""
    return (f"slackwater: {BINARY}{built}, PostgreSQL "
            f"{servers.wanted('source')} -> {servers.wanted('target')}")
