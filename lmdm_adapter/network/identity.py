"""Whether weights are still those that something was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import nn

Made = TypeVar("Made")


def weights_identity(module: nn.Module) -> tuple[tuple[Any, ...], ...]:
    """Differs once a weight was changed in place, replaced, moved or cast.

    Writing through `.data` in place leaves no trace that could be seen; neither do inference tensors, which are not
    meant to be written to.
    """
    return tuple(
        (id(weight), 0 if weight.is_inference() else weight._version, weight.data_ptr(), weight.dtype, weight.device)
        for weight in module.parameters()
    )


@dataclass
class MadeFromWeights:
    """Keeps what was made from the weights of modules, by name, until those weights change."""

    _entries: dict[str, tuple[Any, list[nn.Parameter], Any]] = field(default_factory=dict)

    def get(self, name: str, module: nn.Module, make: Callable[[], Made]) -> Made:
        """What `make` gave for these weights, or gives now."""
        identity = weights_identity(module)
        if name not in self._entries or self._entries[name][0] != identity:
            # The weights are held, so that no other weight can come to have the number of one that is gone.
            self._entries[name] = identity, list(module.parameters()), make()
        return self._entries[name][2]

    def __reduce__(self) -> tuple[type[MadeFromWeights], tuple[()]]:
        """A copy, or a pickle, starts with nothing: packed weights can be neither."""
        return MadeFromWeights, ()
