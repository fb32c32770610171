"""Law 7: audio decoded piece by piece is the one-shot decode. Also purity, chunking, batches and constant memory."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from lmdm_adapter.codec import Codec
from lmdm_adapter.codec_stream import CodecState, decode_step, flush, start
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.network.oobleck import AudioAutoencoder, OobleckConfig
from tests.randomise import randomise

FRAMES = 60
CONFIG = OobleckConfig(channels=2, c_mults=(1, 1, 2, 2, 4), strides=(2, 4, 4, 8, 8), latent_channels=3)
PIECES = {"one": [1] * FRAMES, "12": [12] * 5, "48": [48, 12], "all": [FRAMES], "varying": [5, 1, 20, 2, 31, 1]}


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(gentle(randomise(AudioAutoencoder(CONFIG), 4)), 44100, scale=0.7)


def gentle(autoencoder: AudioAutoencoder) -> AudioAutoencoder:
    """Halved gains: at gains of one, 22 random layers in a row amplify the rounding of float32 beyond 1e-5."""
    with torch.no_grad():
        for name, parameter in autoencoder.named_parameters():
            if name.endswith("weight_g"):
                parameter.mul_(0.5)
    return autoencoder


@pytest.fixture(scope="module")
def latents() -> torch.Tensor:
    return torch.randn(2, 3, FRAMES, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def stream(codec: Codec, latents: torch.Tensor, lengths: list[int], look_ahead: int | None = None) -> torch.Tensor:
    state, pieces = start(codec, batch=latents.shape[0], look_ahead_frames=look_ahead), []
    for piece in latents.split(lengths, dim=-1):
        audio, state = decode_step(codec, state, piece)
        pieces.append(audio)
    return torch.cat([*pieces, flush(codec, state)[0]], dim=-1)


def distance(audio: torch.Tensor, whole: torch.Tensor) -> float:
    """Largest difference over the peak."""
    return float((audio - whole).abs().max() / whole.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("name", PIECES)
def test_exact_pieces_are_the_one_shot_decode(codec, latents, name):
    assert distance(stream(codec, latents, PIECES[name]), codec.decode(latents)) < 1e-5


@pytest.fixture(scope="module")
def sharp() -> Codec:
    """Full gains, in float64."""
    return Codec(randomise(AudioAutoencoder(CONFIG), 4).double(), 44100)


@torch.no_grad()
def test_exact_mode_holds_back_enough_and_no_more(sharp, latents):
    """With its negative control: these weights do hear the last frame that is held back."""
    exact, whole = sharp.hold_back_frames, sharp.decode(latents.double())
    assert distance(stream(sharp, latents.double(), [1] * FRAMES, exact), whole) < 1e-10
    assert distance(stream(sharp, latents.double(), [1] * FRAMES, exact - 1), whole) > 1e-6


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 3, 10, 11])
def test_short_streams_are_the_one_shot_decode(codec, latents, frames):
    short = latents[..., :frames]
    assert distance(stream(codec, short, [1] * frames), codec.decode(short)) < 1e-5


@torch.no_grad()
def test_context_goes_on_after_what_was_heard(codec, latents):
    whole = codec.decode(latents)[..., 25 * codec.frame_samples :]
    state = start(codec, batch=2, context=latents[..., :25])
    first, state = decode_step(codec, state, latents[..., 25:40])
    second, state = decode_step(codec, state, latents[..., 40:])
    assert distance(torch.cat([first, second, flush(codec, state)[0]], dim=-1), whole) < 1e-5


@torch.no_grad()
@pytest.mark.parametrize("look_ahead", [None, 0, 4])
def test_the_lag_is_the_look_ahead(codec, latents, look_ahead):
    state = start(codec, batch=2, look_ahead_frames=look_ahead)
    lag = codec.hold_back_frames if look_ahead is None else look_ahead
    made = 0
    for count, piece in enumerate(latents[..., :15].split(1, dim=-1), start=1):
        audio, state = decode_step(codec, state, piece)
        made += audio.shape[-1]
        assert made == max(count - lag, 0) * codec.frame_samples


@torch.no_grad()
@pytest.mark.parametrize("look_ahead", [None, 4])
def test_a_step_is_pure(codec, latents, look_ahead):
    _, state = decode_step(codec, start(codec, batch=2, look_ahead_frames=look_ahead), latents[..., :30])
    before = {field.name: getattr(state, field.name) for field in dataclasses.fields(CodecState)}
    copies = {name: value.clone() for name, value in before.items() if isinstance(value, torch.Tensor)}
    first, after = decode_step(codec, state, latents[..., 30:42])
    flush(codec, state)
    second, again = decode_step(codec, state, latents[..., 30:42])
    assert torch.equal(first, second) and torch.equal(after.latents, again.latents)
    assert torch.equal(after.tail, again.tail)
    assert all(torch.equal(getattr(state, name), value) for name, value in copies.items())
    other, _ = decode_step(codec, state, latents[..., 20:32])
    assert not torch.equal(first, other)


@torch.no_grad()
@pytest.mark.parametrize("look_ahead", [None, 4])
def test_a_row_does_not_hear_its_neighbour(sharp, latents, look_ahead):
    together = stream(sharp, latents.double(), [12] * 5, look_ahead)
    alone = stream(sharp, latents[1:].double(), [12] * 5, look_ahead)
    assert distance(together[1:], alone) < 1e-10
    assert distance(together[:1], alone) > 1e-2


@torch.no_grad()
@pytest.mark.parametrize("look_ahead", [None, 4, 0])
def test_state_stays_small_and_owns_its_memory(codec, latents, look_ahead):
    state, sizes = start(codec, batch=2, look_ahead_frames=look_ahead), []
    lag = codec.hold_back_frames if look_ahead is None else look_ahead
    for _ in range(20):
        _, state = decode_step(codec, state, latents[..., :12])
        sizes.append((state.latents.shape[-1], state.tail.shape[-1]))
        for tensor in (state.latents, state.tail):
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    assert set(sizes[3:]) == {sizes[-1]}
    assert sizes[-1][0] == lag + codec.hold_back_frames


@torch.no_grad()
def test_age_does_not_matter(codec, latents):
    _, young = decode_step(codec, start(codec, batch=2), latents[..., :30])
    old = dataclasses.replace(young, frames_in=young.frames_in + 10**7, frames_out=young.frames_out + 10**7)
    assert torch.equal(decode_step(codec, young, latents[..., 30:])[0], decode_step(codec, old, latents[..., 30:])[0])


@torch.no_grad()
def test_flush_gives_a_fresh_stream(codec, latents):
    _, state = decode_step(codec, start(codec, batch=2, look_ahead_frames=4), latents[..., :30])
    _, fresh = flush(codec, state)
    assert (fresh.frames_in, fresh.frames_out, fresh.look_ahead_frames) == (0, 0, 4)
    assert fresh.latents.shape == (2, 3, 0)
    assert flush(codec, fresh)[0].shape == (2, 2, 0)


def test_what_does_not_fit_is_refused(codec, latents):
    with pytest.raises(LmdmError, match="between 0 and 10"):
        start(codec, look_ahead_frames=11)
    with pytest.raises(LmdmError, match="between 0 and 10"):
        start(codec, look_ahead_frames=-1)
    with pytest.raises(LmdmError, match="batch=0"):
        start(codec, batch=0)
    with pytest.raises(LmdmError, match="1 rows, got latents of 2"):
        decode_step(codec, start(codec), latents)
    with pytest.raises(LmdmError, match="shape"):
        decode_step(codec, start(codec, batch=2), latents[:, :2])
    with pytest.raises(LmdmError, match="2 rows|1 rows"):
        start(codec, context=latents)


@torch.no_grad()
@pytest.mark.parametrize("piece_frames", [1, 5, 64])
def test_encoding_in_pieces_is_encoding_at_once(codec, piece_frames):
    audio = torch.randn(2, codec.channels, 23 * codec.frame_samples, generator=torch.Generator().manual_seed(4))
    whole, pieces = codec.encode(audio), codec.encode_in_pieces(audio, piece_frames=piece_frames)
    assert distance(pieces, whole) < 1e-5
    cut = codec.encode(audio[..., : 5 * codec.frame_samples])
    assert distance(cut, whole[..., :5]) > 1e-3, "edges do not matter: nothing was tested"


@torch.no_grad()
@pytest.mark.parametrize("piece_frames", [1, 5, 64])
def test_decoding_in_pieces_is_decoding_at_once(codec, piece_frames):
    latents = torch.randn(2, codec.latent_channels, 40, generator=torch.Generator().manual_seed(5))
    whole = codec.decode(latents)
    for first in (0, 7):
        pieces = codec.decode_in_pieces(latents, first_frame=first, piece_frames=piece_frames)
        expected = whole[..., first * codec.frame_samples :]
        torch.testing.assert_close(pieces, expected, rtol=0, atol=1e-5 * float(whole.abs().max()))


@pytest.mark.parametrize("first", [-1, 5, 9])
def test_pieces_begin_within_the_latents(codec, first):
    with pytest.raises(LmdmError, match=f"Frame {first} does not lie"):
        codec.decode_in_pieces(torch.zeros(1, codec.latent_channels, 5), first_frame=first)
