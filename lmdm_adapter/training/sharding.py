"""Tensors of which every process holds a piece (FSDP), made whole and cut again; plain tensors pass through."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def whole(value: Any) -> Any:
    """A tensor, or tensors inside dicts and lists, with their pieces put together; all processes must call it."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value.full_tensor().cpu() if hasattr(value, "full_tensor") else value


def own_piece(value: Tensor) -> Tensor:
    """The piece of a tensor that this process holds; the tensor itself when it is whole."""
    return value.to_local() if hasattr(value, "to_local") else value


def cut_like(value: Tensor, like: Tensor) -> Tensor:
    """This process's piece of a whole tensor, cut as `like` is; the tensor itself when `like` is whole."""
    if not hasattr(like, "full_tensor") or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    # Every process read the same file, so none needs to hear the values from another.
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def cut_optimizer_state(state: dict[str, Any], parameters: list[Tensor]) -> dict[str, Any]:
    """The state of an optimizer with its tensors cut as the parameters are, by their place in the optimizer."""
    moments = {
        place: {name: cut_like(value, parameters[place]) if isinstance(value, Tensor) else value
                for name, value in entry.items()}
        for place, entry in state["state"].items()
    }  # fmt: skip
    return {**state, "state": moments}


def load_weights(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a whole state dict, strictly, into a module whose weights may be cut."""
    own = module.state_dict()
    module.load_state_dict({name: cut_like(value, own.get(name, value)) for name, value in state.items()})
