"""A random T5 encoder and a word tokenizer made on the spot, so that the host's T5 conditioner runs offline."""

from __future__ import annotations

from typing import Any

import torch

WORDS = "house minor major drums bass punk slap dusty piano strings a in 124 bpm".split()
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


def tokenizer() -> Any:
    """A tokenizer with T5's conventions: padding is 0, every prompt ends with `</s>`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate((PAD, END, UNKNOWN, *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, vocabulary[END])])
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token=PAD, eos_token=END, unk_token=UNKNOWN)


def encoder(width: int = 768, seed: int = 5) -> Any:
    """A T5 encoder of two layers, `width` features per token and seeded random weights."""
    from transformers import T5Config, T5EncoderModel

    config = T5Config(
        vocab_size=len(WORDS) + 3, d_model=width, d_kv=8, d_ff=32, num_layers=2, num_heads=2, dropout_rate=0.0
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return T5EncoderModel(config).eval().requires_grad_(False)


def patch(monkeypatch: Any) -> None:
    """Let `from_pretrained` of transformers hand out the tiny pair, named as asked; 512 features for small ones."""
    import transformers

    def tiny_tokenizer(name: str, **_: Any) -> Any:
        made = tokenizer()
        made.name_or_path = name
        return made

    def tiny_encoder(name: str, **_: Any) -> Any:
        made = encoder(512 if name.endswith("small") else 768)
        made.config.name_or_path = name
        return made

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", tiny_tokenizer)
    monkeypatch.setattr(transformers.T5EncoderModel, "from_pretrained", tiny_encoder)
