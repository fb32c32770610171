"""Models by hub id: whatever the hub or its client says, the user reads one sentence with the cure."""

from __future__ import annotations

from importlib import import_module

import huggingface_hub
import pytest
from huggingface_hub import utils

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.loading import locate

# The package behind the hub's client: requests before huggingface_hub 1.0, httpx since.
CLIENT = import_module(utils.HfHubHTTPError.__bases__[0].__module__.partition(".")[0])


def sentence(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> str:
    """What a user reads when the hub's download raises `error`."""

    def download(*_: object, **__: object) -> str:
        raise error.__new__(error)  # constructors ask for a response of the client

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(LmdmError, match="owner/model") as caught:
        locate("owner/model")
    return str(caught.value)


def test_a_gated_model_says_how_to_get_in(monkeypatch: pytest.MonkeyPatch) -> None:
    said = sentence(monkeypatch, utils.GatedRepoError)
    assert "accept its licence" in said and "hf auth login" in said


def test_a_model_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no such public model" in sentence(monkeypatch, utils.RepositoryNotFoundError)


@pytest.mark.parametrize("error", [utils.LocalEntryNotFoundError, utils.HfHubHTTPError, OSError])
def test_a_hub_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    assert f"cannot be reached for it ({error.__name__})" in sentence(monkeypatch, error)


# Older releases of the hub's client stand on requests, newer ones on httpx: each has some of these.
TRANSPORT_ERRORS = [name for name in ("ConnectError", "ReadTimeout", "ConnectionError") if hasattr(CLIENT, name)]


@pytest.mark.parametrize("name", TRANSPORT_ERRORS)
def test_errors_of_the_client_do_not_escape(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert f"cannot be reached for it ({name})" in sentence(monkeypatch, getattr(CLIENT, name))


def test_the_client_has_errors_to_try() -> None:
    assert len(TRANSPORT_ERRORS) >= 2


@pytest.mark.parametrize("name", ["a/b--c", "a/b..c", "a/b-."])
def test_names_that_the_hub_forbids(name: str) -> None:
    with pytest.raises(LmdmError, match="allows no such name"):
        locate(name)
