"""What prompts and numbers become: clamped, named like the host, and harmless where they mean nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.conditioners import ConditionerConfig, build_conditioners
from lmdm_adapter.network.text import T5Conditioner, TextEncoder
from lmdm_adapter.network.words import HashedWordsConditioner, WordsConfig, read_prompt, word_rows
from tests.randomise import randomise

WORDS = WordsConfig(("house", "a minor", "minor", "slap bass", "bass", "f# major", "four on the floor", "808"))


def words_features(prompt: str, config: WordsConfig = WORDS) -> torch.Tensor:
    return randomise(HashedWordsConditioner(8, config), 1)([prompt], "cpu")[0][0]


def number_module(low: float = 0, high: float = 100):
    config = ConditionerConfig("seconds_total", "number", {"min_val": low, "max_val": high})
    return randomise(build_conditioners([config], 8), 2)


def test_keys_are_the_hosts():
    configs = [
        ConditionerConfig("seconds", "number", {"max_val": 10}),
        ConditionerConfig("bar", "int", {"max_val": 4}),
        ConditionerConfig("prompt", "t5", {"t5_model_name": "t5-base"}),
    ]
    shapes = {key: tuple(value.shape) for key, value in build_conditioners(configs, 16).state_dict().items()}
    assert shapes == {
        "conditioners.seconds.embedder.embedding.0.weights": (128,),
        "conditioners.seconds.embedder.embedding.1.weight": (16, 257),
        "conditioners.seconds.embedder.embedding.1.bias": (16,),
        "conditioners.bar.int_embedder.weight": (5, 16),
        "conditioners.prompt.proj_out.weight": (16, 768),
        "conditioners.prompt.proj_out.bias": (16,),
    }


def test_t5_has_no_parameters_where_the_widths_agree():
    assert not T5Conditioner(768).state_dict()
    assert T5Conditioner(768, project_out=True).state_dict().keys() == {"proj_out.weight", "proj_out.bias"}


def test_numbers_are_clamped_and_told_apart():
    module = number_module()
    rows = module([{"seconds_total": value} for value in (-5, 0, 10, 20, 100, 1e9)], "cpu")["seconds_total"][0]
    assert rows.shape == (6, 1, 8)
    assert torch.allclose(rows[0], rows[1], atol=1e-6) and torch.allclose(rows[4], rows[5], atol=1e-6)
    assert (rows[2] - rows[3]).abs().max() > 1e-2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "loud", None, True, [1, 2]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(LmdmError, match="number is needed"):
        number_module()([{"seconds_total": value}], "cpu")


def test_int_rows_are_the_values_themselves():
    conditioners = build_conditioners([ConditionerConfig("bar", "int", {"min_val": 2, "max_val": 9})], 4)
    table = conditioners.conditioners["bar"].int_embedder.weight
    features, mask = conditioners([{"bar": 0}, {"bar": 7}], "cpu")["bar"]
    assert torch.equal(features[:, 0], table[[2, 7]]) and mask.all()
    with pytest.raises(LmdmError, match="9 has no row"):
        conditioners([{"bar": 9}], "cpu")
    with pytest.raises(LmdmError, match="whole numbers"):
        conditioners([{"bar": 2.5}], "cpu")


def test_default_keys_and_single_element_lists():
    config = ConditionerConfig("seconds_total", "number", {"max_val": 100})
    conditioners = build_conditioners([config], 8, default_keys={"seconds_total": "length"})
    rows = [{"length": 5.0}, {"seconds_total": [5.0]}, {"length": 6.0}]
    features = conditioners(rows, "cpu")["seconds_total"][0]
    assert torch.allclose(features[0], features[1], atol=1e-6)
    assert (features[0] - features[2]).abs().max() > 1e-3
    with pytest.raises(LmdmError, match="'length'.*given are 'tempo'"):
        conditioners([{"tempo": 1}], "cpu")


def test_unknown_types_settings_and_twice_given_ids_are_refused():
    with pytest.raises(LmdmError, match="'clap_text'.*number, int, t5, hashed_words"):
        ConditionerConfig("prompt", "clap_text")
    with pytest.raises(LmdmError, match="'log_scale'.*max_val"):
        ConditionerConfig("seconds", "number", {"log_scale": True})
    with pytest.raises(LmdmError, match="'bar'"):
        build_conditioners([ConditionerConfig("bar", "int"), ConditionerConfig("bar", "int")], 4)
    with pytest.raises(LmdmError, match="t6-base"):
        build_conditioners([ConditionerConfig("prompt", "t5", {"t5_model_name": "t6-base"})], 4)


def test_missing_transformers_names_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(LmdmError, match=r"pip install 'lmdm-adapter\[text\]'"):
        T5Conditioner(768)(["house"], "cpu")


class CountingEncoder(torch.nn.Module):
    """Stands for T5: every hidden value is the token's number, padding included."""

    def forward(self, input_ids, attention_mask):
        hidden = input_ids[..., None].expand(-1, -1, 768).to(torch.float16) + 1
        return type("Output", (), {"last_hidden_state": hidden})


def test_t5_padding_is_zero_and_a_lent_encoder_is_used():
    def tokenizer(prompts, *, max_length, **_):
        ids = torch.zeros(len(prompts), max_length, dtype=torch.long)
        ids[:, 0] = torch.tensor([len(prompt) for prompt in prompts])
        return {"input_ids": ids, "attention_mask": (ids > 0).long()}

    conditioner = T5Conditioner(768, max_length=3)
    conditioner.encoder = TextEncoder(tokenizer, CountingEncoder())
    features, mask = conditioner(["house"], "cpu")
    assert features.dtype == torch.float32 and features.shape == (1, 3, 768)
    assert features[0, :, 0].tolist() == [6, 0, 0] and mask.tolist() == [[True, False, False]]
    assert not conditioner.state_dict()


def test_t5_takes_any_text_that_python_holds():
    """Also the stand-ins for bytes that are no text, which tokenizers refuse."""
    asked = []

    def tokenizer(prompts, *, max_length, **_):
        asked.extend(prompts)
        return {"input_ids": torch.ones(len(prompts), max_length, dtype=torch.long),
                "attention_mask": torch.ones(len(prompts), max_length)}  # fmt: skip

    conditioner = T5Conditioner(768, max_length=3)
    conditioner.encoder = TextEncoder(tokenizer, CountingEncoder())
    conditioner(["caf\udcff house", "naïve 🎹"], "cpu")
    assert asked == ["caf? house", "naïve 🎹"]


def test_prompts_read_as_known_phrases_and_tempos():
    assert read_prompt("124 BPM house in A minor", WORDS) == (124.0, "house", "a minor")
    assert read_prompt("92.5bpm, F# major; four-on-the-floor", WORDS) == (92.5, "f# major", "four on the floor")
    assert read_prompt("90s 808 slap bass, 4/4, minor", WORDS) == ("808", "slap bass", "minor")
    assert read_prompt("", WORDS) == ()


def test_unknown_words_change_nothing():
    plain = words_features("124 BPM house, slap bass")
    assert torch.equal(words_features("oh, 124 BPM dusty house WITH xylophones and slap bass, 1999!"), plain)
    assert not words_features("xylophones, quickly").any()
    assert not torch.equal(words_features("124 BPM house, bass"), plain)


def test_words_need_no_vocabulary_beyond_their_own_rows():
    """A word keeps its embedding when the vocabulary grows; unknown words would otherwise share trained rows."""
    larger = WordsConfig((*WORDS.vocabulary, "xylophones"))
    assert torch.equal(words_features("house", larger), words_features("house"))
    assert words_features("xylophones", larger).any()


def test_near_tempos_are_near_and_far_ones_are_not():
    tempos = {bpm: words_features(f"{bpm} BPM")[0] for bpm in (60, 124, 125, 126, 180)}
    step = (tempos[124] - tempos[125]).norm()
    assert 0 < step < 0.5 * (tempos[124] - tempos[180]).norm()
    assert step < 0.5 * (tempos[124] - tempos[60]).norm()
    assert step < (tempos[124] - tempos[126]).norm()


def test_hashes_are_the_same_in_another_process():
    code = "from lmdm_adapter.network.words import word_rows; print(word_rows('a minor', 1024))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == str(word_rows("a minor", 1024))
    assert word_rows("house", 1024) == (word_rows("house", 2048)[0] % 1024, word_rows("house", 2048)[1] % 1024)


def test_mask_and_padding_of_words(caplog):
    module = randomise(HashedWordsConditioner(8, WordsConfig(("house", "bass"), max_words=3)), 1)
    features, mask = module(["house", "", "bass house bass house"], "cpu")
    assert features.shape == (3, 3, 8)
    assert mask.tolist() == [[True, False, False], [False] * 3, [True] * 3]
    assert not features[~mask].any() and features[mask].abs().amax(-1).min() > 0
    assert "4 known words" in caplog.text
    assert torch.equal(features[2], module(["bass house bass"], "cpu")[0][0])  # the first three count


def test_words_learn_and_rows_of_a_batch_are_alone():
    module = HashedWordsConditioner(8, WORDS)
    both = module(["120 BPM house", "bass"], "cpu")[0]
    assert torch.equal(both[1], module(["bass"], "cpu")[0][0])
    both.sum().backward()
    touched = module.words.weight.grad.abs().sum(-1).nonzero().flatten().tolist()
    assert set(touched) == {*word_rows("house", 1024), *word_rows("bass", 1024)}
    assert module.number.weight.grad.abs().sum() > 0


def test_bad_words_configs_are_refused():
    with pytest.raises(LmdmError, match="'!!'"):
        WordsConfig(("house", "!!"))
    with pytest.raises(LmdmError, match="max_words"):
        WordsConfig(("house",), max_words=0)
    with pytest.raises(LmdmError, match="number_min"):
        WordsConfig(("house",), number_min=300)
    with pytest.raises(LmdmError, match="must be text"):
        HashedWordsConditioner(8, WORDS)([3], "cpu")
