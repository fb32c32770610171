"""Known breaks, told from the source text of an installed host: nothing of it is imported.

Text tells more than a version does: a patched host, or one from its main branch, has the same number.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sign:
    """A file of a package, and a pattern that only its broken form has."""

    file: str
    pattern: str

    def shown_by(self, read: Callable[[str], str | None]) -> bool:
        """Whether the file is there and broken."""
        text = read(self.file)
        return text is not None and re.search(self.pattern, text, re.MULTILINE | re.DOTALL) is not None


# All signs of a break must be there.
SIGNS: dict[str, tuple[Sign, ...]] = {
    "B1": (
        Sign("stable_audio_tools/inference/sampling.py", r"^ *import k_diffusion"),
        Sign("k_diffusion/evaluation.py", r"^import clip"),
        Sign("clip/clip.py", r"^(from|import) pkg_resources"),
    ),
    "B4": (Sign("stable_audio_tools/training/utils.py", r"__init__\(optimizer, last_epoch, verbose\)"),),
    "B5": (Sign("stable_audio_tools/inference/sampling.py", r"^def sample_rf\((?:(?!raise ValueError).)*\Z"),),
    "B6": (Sign("stable_audio_tools/models/autoencoders.py", r"if not chunked:"),),
    "B7": (Sign("stable_audio_tools/inference/sampling.py", r"sigmas=t, sigma_max=sigma_max"),),
    "B11": (Sign("stable_audio_tools/models/lora/__init__.py", r"^from \.callbacks import"),),
    "B13": (Sign("stable_audio_tools/models/conditioners.py", r", list\) or isinstance\([^)]*, tuple\) and len"),),
    "B15": (
        Sign("stable_audio_tools/interface/interfaces/diffusion_cond.py", r"maximum=sample_size ?// ?sample_rate"),
    ),
    "side effects": (Sign("stable_audio_tools/inference/generation.py", r"^ +torch\.manual_seed\("),),
}


def signs_in(read: Callable[[str], str | None]) -> frozenset[str]:
    """The breaks that the sources show; `read` gives the text of "package/path", or None where there is none."""
    return frozenset(name for name, signs in SIGNS.items() if all(sign.shown_by(read) for sign in signs))
