"""The T5 prompt conditioner. transformers is imported when the first prompt is read, not before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lmdm_adapter.errors import LmdmError

T5_WIDTHS = {
    "t5-small": 512,
    "t5-base": 768,
    "t5-large": 1024,
    "t5-3b": 1024,
    "t5-11b": 1024,
    "google/t5-v1_1-xl": 2048,
    "google/t5-v1_1-xxl": 4096,
    "google/flan-t5-small": 512,
    "google/flan-t5-base": 768,
    "google/flan-t5-large": 1024,
    "google/flan-t5-xl": 2048,
    "google/flan-t5-xxl": 4096,
}


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A frozen T5 encoder and its tokenizer. Not a module: its weights are in no checkpoint of ours."""

    tokenizer: Any
    model: nn.Module

    def encode(self, prompts: list[str], *, max_length: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Hidden states `b m d` in the encoder's precision and mask `b m`, padded and cut to `max_length`."""
        # Moved, not copied: an encoder lent by a host object moves with it, as it does in the host.
        model = self.model.to(device)
        # What a command line passes on of bytes that are no text, no tokenizer takes.
        prompts = [prompt.encode("utf-8", "replace").decode() for prompt in prompts]
        tokens = self.tokenizer(
            prompts, truncation=True, max_length=max_length, padding="max_length", return_tensors="pt"
        )
        mask = tokens["attention_mask"].to(device).bool()
        with torch.no_grad():
            hidden = model(input_ids=tokens["input_ids"].to(device), attention_mask=mask).last_hidden_state
        return hidden, mask


def load_text_encoder(name: str, *, dtype: torch.dtype = torch.float32) -> TextEncoder:
    """The published T5 encoder `name`, frozen, in `dtype`.

    Raises LmdmError when transformers is not installed or the weights can be neither found nor downloaded.
    """
    try:
        from transformers import AutoTokenizer, T5EncoderModel
    except ImportError as error:
        raise LmdmError(
            f"Prompts of this model go through {name}, which needs transformers: pip install 'lmdm-adapter[text]'."
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = T5EncoderModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise LmdmError(
            f"The text encoder {name} is not on this machine and could not be downloaded; "
            f"go online once, or put it into the Hugging Face cache ({type(error).__name__})."
        ) from error
    return TextEncoder(tokenizer, model.eval().requires_grad_(False).to(dtype))


class T5Conditioner(nn.Module):
    """Prompts to `max_length` tokens; its only parameters are `proj_out.*`, if widths differ or `project_out` is set.

    `dtype` is the precision T5 runs in. Hosts run it in float16; float32 is the default here because a CPU gains
    nothing from float16. Assign `encoder` to lend a T5 that is already loaded; otherwise the first prompt loads it.
    """

    def __init__(
        self,
        output_dim: int,
        *,
        t5_model_name: str = "t5-base",
        max_length: int = 128,
        project_out: bool = False,
        enable_grad: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if t5_model_name not in T5_WIDTHS:
            raise LmdmError(f"Unknown T5 model {t5_model_name!r}; supported are {', '.join(T5_WIDTHS)}.")
        if enable_grad:
            raise LmdmError("A t5 conditioner with enable_grad carries its own T5 weights, which is not supported.")
        width = T5_WIDTHS[t5_model_name]
        self.t5_model_name, self.max_length, self.dtype = t5_model_name, max_length, dtype
        self.encoder: TextEncoder | None = None
        self.proj_out = nn.Linear(width, output_dim) if project_out or width != output_dim else nn.Identity()

    def forward(self, values: list[str], device: torch.device | str) -> tuple[Tensor, Tensor]:
        """Prompts to features `b m d` and mask `b m`; padded positions are zero.

        Raises LmdmError for a value that is no text, and what `load_text_encoder` raises.
        """
        for value in values:
            if not isinstance(value, str):
                raise LmdmError(f"A prompt must be text, got {value!r}.")
        if self.encoder is None:
            self.encoder = load_text_encoder(self.t5_model_name, dtype=self.dtype)
        hidden, mask = self.encoder.encode(list(values), max_length=self.max_length, device=device)
        weight = getattr(self.proj_out, "weight", None)
        features = self.proj_out(hidden.float() if weight is None else hidden.to(weight.dtype))
        return features * mask[..., None], mask


def text_conditioners(module: nn.Module) -> list[T5Conditioner]:
    """The T5 conditioners in a network, in the order of its modules."""
    return [part for part in module.modules() if isinstance(part, T5Conditioner)]


def share_text_encoders(network: nn.Module, copied: nn.Module) -> None:
    """Let a copy of `network` use its text encoders, which are in no state dict and slow to load."""
    for own, other in zip(text_conditioners(network), text_conditioners(copied), strict=True):
        other.encoder = own.encoder
