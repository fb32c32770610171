"""Audio encoded as it comes is the one-shot encode; chunks change no bit, and memory does not grow."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from lmdm_adapter.codec import Codec
from lmdm_adapter.codec_encode_stream import EncoderState, encode_step, flush, hold_back_frames, start
from lmdm_adapter.codec_residual import encode_residual_db
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig
from lmdm_adapter.network.reach import encoder_reach_frames
from tests.randomise import randomise
from tests.test_codec_stream import gentle

FRAMES, ROWS = 40, 2
CONFIG = OobleckConfig(channels=2, c_mults=(1, 1, 2, 2, 4), strides=(2, 4, 4, 8, 8), latent_channels=3)
RATIO = CONFIG.ratio


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(gentle(randomise(AudioAutoencoder(CONFIG), 4)), 44100, scale=0.7).folded()


@pytest.fixture(scope="module")
def audio(codec: Codec) -> Tensor:
    return 0.5 * torch.randn(ROWS, codec.channels, FRAMES * RATIO, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def whole(codec: Codec, audio: Tensor) -> Tensor:
    with torch.no_grad():
        return codec.encode(audio)


@torch.no_grad()
def stream(codec: Codec, audio: Tensor, lengths: list[int], **settings: int) -> tuple[Tensor, EncoderState]:
    state, pieces = start(codec, batch=audio.shape[0], **settings), []
    for chunk in audio.split(lengths, dim=-1):
        latents, state = encode_step(codec, state, chunk)
        pieces.append(latents)
    return torch.cat(pieces, dim=-1), state


def distance(latents: Tensor, whole: Tensor) -> float:
    return float((latents - whole).abs().max() / whole.abs().max())


def chunks(size: int, total: int = FRAMES * RATIO) -> list[int]:
    return [size] * (total // size) + ([total % size] if total % size else [])


@pytest.mark.parametrize("hop_frames", [1, 3, 7])
@torch.no_grad()
def test_latents_are_those_of_the_one_shot_encode(codec: Codec, audio: Tensor, whole: Tensor, hop_frames: int) -> None:
    latents, state = stream(codec, audio, chunks(5000), hop_frames=hop_frames)
    taken = FRAMES // hop_frames * hop_frames
    assert latents.shape[-1] == taken - hold_back_frames(codec) == state.frames_out
    assert distance(latents, whole[..., : latents.shape[-1]]) < 1e-5
    rest, fresh = flush(codec, state)
    assert distance(torch.cat([latents, rest], dim=-1), whole) < 1e-5
    assert fresh.frames_in == fresh.frames_out == 0 and all(kept.inputs is None for kept in fresh.kept)


@torch.no_grad()
def test_half_of_the_look_ahead_is_no_longer_exact(codec: Codec, audio: Tensor, whole: Tensor) -> None:
    """Negative control; the last frames of the hold-back weigh next to nothing with these weights."""
    exact = hold_back_frames(codec)
    assert exact == 8 and encoder_reach_frames(CONFIG) <= exact
    latents, _ = stream(codec, audio, [FRAMES * RATIO], look_ahead_frames=exact // 2)
    assert latents.shape[-1] == FRAMES - exact // 2
    assert distance(latents, whole[..., : latents.shape[-1]]) > 1e-5


@pytest.mark.parametrize("look_ahead_frames", [None, 3])
@torch.no_grad()
def test_chunks_change_no_bit(codec: Codec, audio: Tensor, look_ahead_frames: int | None) -> None:
    short = audio[..., : 16 * RATIO]
    settings = {} if look_ahead_frames is None else {"look_ahead_frames": look_ahead_frames}
    total = short.shape[-1]
    reference, _ = stream(codec, short, [total], **settings)
    for lengths in (chunks(1024, total), chunks(2049, total), [1, 3 * RATIO - 2, 1, total - 3 * RATIO]):
        assert torch.equal(reference, stream(codec, short, lengths, **settings)[0])


@torch.no_grad()
def test_later_audio_changes_no_latent_that_left(codec: Codec, audio: Tensor) -> None:
    changed = audio.clone()
    changed[..., 20 * RATIO :] += 1.0
    first, _ = stream(codec, audio, chunks(RATIO))
    other, _ = stream(codec, changed, chunks(RATIO))
    until = 20 - hold_back_frames(codec)
    assert torch.equal(first[..., :until], other[..., :until]) and not torch.equal(first, other)


@torch.no_grad()
def test_a_shorter_look_ahead_costs_what_is_reported(codec: Codec, audio: Tensor) -> None:
    residuals = [encode_residual_db(codec, audio, look_ahead_frames=frames, hop_frames=2) for frames in (0, 4, 8)]
    assert residuals[0] > residuals[1] > residuals[2] and residuals[2] < -95.0
    latents, _ = stream(codec, audio, [FRAMES * RATIO], look_ahead_frames=4, hop_frames=2)
    exact = codec.encode(audio)
    error = (latents - exact[..., : FRAMES - 4]).abs().max() / exact.abs().max()
    assert residuals[1] == pytest.approx(20 * float(error.log10()), abs=1e-3)


@torch.no_grad()
def test_a_step_leaves_its_state_alone_and_memory_does_not_grow(codec: Codec, audio: Tensor) -> None:
    def held(state: EncoderState) -> list[int]:
        return [0 if kept.inputs is None else kept.inputs.untyped_storage().nbytes() for kept in state.kept]

    _, state = stream(codec, audio[..., : 20 * RATIO], chunks(RATIO, 20 * RATIO))
    before = dataclasses.replace(state), [kept.inputs.clone() for kept in state.kept]
    sizes, moment = held(state), state
    for frame in range(20, FRAMES):
        _, moment = encode_step(codec, moment, audio[..., frame * RATIO : (frame + 1) * RATIO])
        assert held(moment) == sizes and moment.waiting.untyped_storage().nbytes() == 0
    assert all(torch.equal(kept.inputs, own) for kept, own in zip(before[0].kept, before[1], strict=True))
    chunk = audio[..., 20 * RATIO : 23 * RATIO]
    assert torch.equal(encode_step(codec, state, chunk)[0], encode_step(codec, state, chunk)[0])


@torch.no_grad()
def test_an_incomplete_frame_is_filled_with_silence(codec: Codec, audio: Tensor) -> None:
    cut = audio[..., : 12 * RATIO + 700]
    latents, state = stream(codec, cut, chunks(999, cut.shape[-1]), hop_frames=4)
    padded = torch.nn.functional.pad(cut, (0, RATIO - 700))
    together = torch.cat([latents, flush(codec, state)[0]], dim=-1)
    assert together.shape[-1] == 13 and distance(together, codec.encode(padded)) < 1e-5
    nothing, _ = flush(codec, start(codec, batch=ROWS))
    assert nothing.shape == (ROWS, 3, 0)


def test_what_cannot_be_encoded_is_refused(codec: Codec, audio: Tensor) -> None:
    state = start(codec)
    with pytest.raises(LmdmError, match=r"shape \(1, 2, s\), got \(2, 2, 100\)"):
        encode_step(codec, state, audio[..., :100])
    with pytest.raises(LmdmError, match="NaN or infinity"):
        encode_step(codec, state, torch.full((1, 2, 10), torch.nan))
    with pytest.raises(LmdmError, match="between 0 and 8"):
        start(codec, look_ahead_frames=9)
    with pytest.raises(LmdmError, match="hop_frames=0"):
        start(codec, hop_frames=0)
