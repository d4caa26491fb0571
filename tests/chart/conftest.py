"""Fixtures of the chart's tests."""

import pytest

from tests.chart import helm


@pytest.fixture(scope="session", autouse=True)
def _helm_is_there() -> None:
    """Fail every test here with one clear sentence when there is no helm."""
    try:
        helm.binary()
    except helm.HelmError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def default() -> list[helm.Manifest]:
    """Return the manifests that the default values make."""
    return helm.render()


@pytest.fixture(scope="session")
def namespaced() -> list[helm.Manifest]:
    """Return the manifests of an operator for two namespaces."""
    return helm.render({"watchNamespaces": ["team-a", "team-b"]})
