"""Stand-ins for packages that the host imports but that its networks never call.

torchaudio and torchvision need builds that match the installed torch, and the rest would pull in image models.
A stub is installed only for a package that is absent, and only when the host tests run.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any

STUBBED = (
    "torchaudio",
    "torchaudio.transforms",
    "torchvision",
    "torchvision.transforms",
    "torchvision.transforms.functional",
    "PIL",
    "PIL.Image",
    "clip",
    "cleanfid",
    "cleanfid.inception_torchscript",
    "dctorch",
    "dctorch.functional",
    "jsonmerge",
    "skimage",
    "skimage.transform",
)


class Placeholder:
    """A class of a package that is not installed: importing it is fine, using it is an error."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"{type(self).__name__} is a stand-in of the host tests and cannot be used.")


class StubModule(ModuleType):
    """A module whose public names are all placeholders."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__spec__ = importlib.machinery.ModuleSpec(name, loader=None, is_package=True)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Placeholder,), {})


def install() -> None:
    """Put a stub into `sys.modules` for every absent package of `STUBBED`; present packages are left alone."""
    absent = {name for name in STUBBED if "." not in name and importlib.util.find_spec(name) is None}
    for name in STUBBED:
        if name.split(".")[0] in absent and name not in sys.modules:
            sys.modules[name] = StubModule(name)
            parent, _, leaf = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], leaf, sys.modules[name])
