"""Objects of another generation of the host are refused by its name."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.hosts import generation
from lmdm_adapter.hosts.generation import refuse_other_generations


def host(module: str = "stable_audio_tools.models.diffusion") -> object:
    """An object whose class says that it comes from `module`."""
    return type("Wrapper", (), {"__module__": module})()


def installed(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    def version(name: str) -> str:
        assert name == "stable-audio-tools"
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(generation, "version", version)


@pytest.mark.parametrize(("found", "says"), [("0.0.18", "too old"), ("0.0.9", "too old"), ("0.0.20", "Stable Audio 3")])
def test_other_releases_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, found: str, says: str) -> None:
    installed(monkeypatch, found)
    with pytest.raises(LmdmError, match=f"stable-audio-tools {found} .*{says}"):
        refuse_other_generations(host())


@pytest.mark.parametrize("found", ["0.0.19", "0.0.19+local", None])
def test_the_right_one_and_a_checkout_pass(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    installed(monkeypatch, found)
    assert refuse_other_generations(host()) is None


def test_objects_from_elsewhere_are_not_judged_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "0.0.20")
    assert refuse_other_generations(host("my_fork.models")) is None
