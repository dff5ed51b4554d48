"""The harness, its fixtures and its --tap are those of tests/integration; engines and proxies beside.

    e = engine()                        # started
    a, b = nodes(e.path, 2)             # two chatd that are linked to it
"""

import importlib.util
import os
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
INTEGRATION = os.path.join(os.path.dirname(HERE), "integration")
sys.path[:0] = [INTEGRATION, HERE]

_spec = importlib.util.spec_from_file_location(
    "integration_conftest", os.path.join(INTEGRATION, "conftest.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
globals().update({name: value for name, value in vars(_module).items()
                  if not name.startswith("_")})

import chatd  # noqa: E402
import engine as engines  # noqa: E402
from proxy import Proxy  # noqa: E402


@pytest.fixture
def engine(tmp):
    """engine(...) starts one; start=False only makes it."""
    engines.needs_engine()
    made = []

    def make(start=True, **options):
        made.append(engines.Engine(tempfile.mkdtemp(prefix="e", dir=tmp), **options))
        return made[-1].start() if start else made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def proxy():
    """proxy(target) is a link that can fail."""
    made = []
    yield lambda target: made.append(Proxy(target)) or made[-1]
    for each in made:
        each.close()


@pytest.fixture
def node(start):
    """node(ADDRESS or [ADDRESS...], ...) is a chatd that is linked, unless linked=False.

    cluster: further settings of the group; more, and what else start() takes."""

    def make(addresses, *, linked=True, cluster="", more="", **how):
        made = start(more=settings(addresses, cluster) + more, **how)
        if linked:
            made.stderr.wait_for(LINKED)
        return made

    return make


@pytest.fixture
def nodes(node):
    return lambda addresses, number, **how: [node(addresses, **how) for _ in range(number)]


LINKED = r"cluster: (linked|resumed)"
LOST = r"cluster: (\d+) entr(y|ies) lost"


def settings(addresses, cluster=""):
    """The group `cluster` of a settings file."""
    if isinstance(addresses, str):
        addresses = [addresses]
    listed = ", ".join(f'"{address}"' for address in addresses)
    return f"cluster = {{ engine = [ {listed} ]; {cluster} }};\n"


def pytest_collection_modifyitems(items):
    if not items:
        return
    if "+cluster" not in chatd.run("-V").stdout:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="built without cluster"))
