"""One LiteLLM for all tests: it takes seconds to start, and a process holds only one."""

from collections.abc import Iterator

import pytest
from served import Provider, Proxy, says


@pytest.fixture(scope="session")
def the_provider() -> Provider:
    return Provider()


@pytest.fixture(scope="session")
def the_proxy(the_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    proxy = Proxy(tmp_path_factory.mktemp("proxy"), the_provider)
    yield proxy
    proxy.stop()


@pytest.fixture
def provider(the_provider: Provider) -> Provider:
    the_provider.reply = says(lambda _: "hi")
    the_provider.headers = {}
    return the_provider


@pytest.fixture
def proxy(the_proxy: Proxy, provider: Provider) -> Proxy:
    return the_proxy
