"""The known breaks of released hosts, one function each: it raises where the host breaks and is silent where it works.

Run with the host to be judged first on the path: `python breaks.py NAME[,NAME...] [FOLDER]`. Every function does what a
user does.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import configs
import stubs
import torch

FRAMES = 12
# Dependencies of 0.0.20 that are imported on the way, and that nothing here uses.
UNUSED_BY_TESTS = ("pywt",)
LIVE_ID = "someone/live"


def hide(*names: str) -> None:
    """Make these modules absent, as in an environment without them."""
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]


def stub(*names: str) -> None:
    """Put stand-ins in the place of packages that are imported, but not used, on the way."""
    for name in names:
        sys.modules[name] = stubs.StubModule(name)


def small_model() -> Any:
    """Stable Audio Open Small in little, built by the host."""
    from stable_audio_tools import create_model_from_config

    return create_model_from_config(configs.without_text(configs.open_small())).eval()


def require_finite(made: torch.Tensor, *shape: int) -> None:
    """Fail unless the host gave numbers of this shape."""
    assert tuple(made.shape) == shape and bool(made.isfinite().all()), made


def generate(sampler: str) -> torch.Tensor:
    """Latents from the host's own function."""
    from stable_audio_tools.inference.generation import generate_diffusion_cond

    return generate_diffusion_cond(
        small_model(), steps=2, cfg_scale=1.0, conditioning=[{"seconds_total": 3}], sample_size=FRAMES * 16,
        seed=1, device="cpu", sampler_type=sampler, return_latents=True,
    )  # fmt: skip


def build_without_pkg_resources() -> None:
    """Build and play a model where setuptools brings no pkg_resources."""
    hide("pkg_resources")
    require_finite(generate("euler"), 1, 4, FRAMES)


def sample_without_pkg_resources() -> None:
    """Play through a sampler of k-diffusion where setuptools brings no pkg_resources."""
    hide("pkg_resources")
    from stable_audio_tools.inference.sampling import sample_k

    noise = torch.randn(1, 4, FRAMES, generator=torch.Generator().manual_seed(1))
    made = sample_k(lambda x, t, **_: x * t[:, None, None], noise, steps=3, sampler_type="dpmpp-2m", device="cpu")
    require_finite(made, 1, 4, FRAMES)


def inverse_lr() -> None:
    """Make the scheduler of the published training configs and let it fall."""
    stub("pytorch_lightning", "pytorch_lightning.loggers", "wandb", "stable_audio_tools.interface.aeiou")
    from stable_audio_tools.training.utils import create_optimizer_from_config, create_scheduler_from_config

    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = create_optimizer_from_config({"type": "SGD", "config": {"lr": 0.1}}, [weight])
    settings = {"inv_gamma": 1, "power": 1, "warmup": 0.5}
    scheduler = create_scheduler_from_config({"type": "InverseLR", "config": settings}, optimizer)
    optimizer.step()
    scheduler.step()
    assert abs(scheduler.get_last_lr()[0] - 0.1 * (1 - 0.5**2) / 2) < 1e-9, scheduler.get_last_lr()


def unknown_sampler() -> None:
    """Ask a rectified-flow model for a sampler of v models."""
    try:
        generate("dpmpp-3m-sde").to(torch.float32)
    except ValueError as error:
        assert "dpmpp-3m-sde" in str(error), error
    else:
        raise AssertionError("an unknown sampler went through")
    require_finite(generate("pingpong"), 1, 4, FRAMES)


def short_chunks() -> None:
    """Code less than a chunk, exactly a chunk, and more, in chunks."""
    autoencoder = small_model().pretransform.model
    with torch.no_grad():
        for frames in (5, 8, 21):
            audio = torch.randn(1, 2, frames * 16, generator=torch.Generator().manual_seed(1))
            latents = autoencoder.encode_audio(audio, chunked=True, overlap=4, chunk_size=8)
            require_finite(latents, 1, 4, frames)
            decoded = autoencoder.decode_audio(latents, chunked=True, overlap=4, chunk_size=8)
            require_finite(decoded, 1, 2, frames * 16)
            if frames <= 8:
                assert torch.equal(decoded, autoencoder.decode_audio(latents)), "one chunk is the whole"


def build_without_lightning() -> None:
    """Build and run a diffusion transformer where Lightning is absent; with it, the callbacks are where they were."""
    hide("pytorch_lightning")
    model = small_model()
    conditioning = model.conditioner([{"seconds_total": 3}], "cpu")
    with torch.no_grad():
        made = model(torch.randn(1, 4, FRAMES), torch.tensor([0.5]), cond=conditioning, cfg_scale=1.0)
    require_finite(made, 1, 4, FRAMES)
    sys.modules["pytorch_lightning"] = lightning = stubs.StubModule("pytorch_lightning")
    lightning.callbacks = stubs.StubModule("pytorch_lightning.callbacks")  # type: ignore[attr-defined]
    from stable_audio_tools.models.lora import LoRASafetensorsCheckpoint

    assert LoRASafetensorsCheckpoint.__module__.endswith("lora.callbacks")


def live_checkpoint(folder: Path) -> None:
    """Get a live model by its name through the host, and play it as this package plays it."""
    import numpy as np

    import lmdm_adapter

    model, _ = pretrained(folder)
    if not hasattr(model, "live"):
        model.get_conditioning_inputs(model.conditioner([{"prompt": "house", "seconds_total": 3}], "cpu"))
    pieces = [list(live.stream("house", seconds=0.2, seed=3)) for live in (model.live(), lmdm_adapter.load(folder))]
    assert all(np.array_equal(one.samples, other.samples) for one, other in zip(*pieces, strict=True))
    assert type(small_model()).__name__ == "ConditionedDiffusionModelWrapper", "other configs are the host's own"


def live_checkpoint_without_us(folder: Path) -> None:
    """The same where this package is absent: the host's offline model, its own weights loaded strictly."""
    hide("lmdm_adapter")
    model, config = pretrained(folder)
    assert type(model).__name__ == "ConditionedDiffusionModelWrapper" and "lmdm" in config


def pretrained(folder: Path) -> Any:
    """The host's `get_pretrained_model`, with a folder in the place of the hub."""
    loader = importlib.import_module("stable_audio_tools.models.pretrained")
    loader.hf_hub_download = lambda name, filename, repo_type: str(folder / filename)
    return loader.get_pretrained_model(LIVE_ID)


BREAKS: dict[str, Callable[..., None]] = {
    one.__name__: one
    for one in (
        build_without_pkg_resources, sample_without_pkg_resources, inverse_lr, unknown_sampler, short_chunks,
        build_without_lightning, live_checkpoint, live_checkpoint_without_us,
    )
}  # fmt: skip


if __name__ == "__main__":
    stubs.install()
    stub(*(name for name in UNUSED_BY_TESTS if importlib.util.find_spec(name) is None))
    import stable_audio_tools

    for chosen in sys.argv[1].split(","):
        BREAKS[chosen](*map(Path, sys.argv[2:]))
    print(json.dumps({"host": stable_audio_tools.__file__}))
