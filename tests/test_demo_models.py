"""The model chooser: what it refuses, in sentences; and another model beside the music, without a break in it."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import shutil
import threading
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmdm_adapter.checkpoint import ADAPTER_NAME, CONFIG_NAME, MODEL_NAME
from lmdm_adapter.demo.app_plan import DemoPlan
from lmdm_adapter.demo.band import Band
from lmdm_adapter.demo.chooser import Chooser
from lmdm_adapter.demo.live_voice import LiveVoice
from lmdm_adapter.demo.making import Made
from lmdm_adapter.demo.model_choice import ModelChoice, devices
from lmdm_adapter.demo.model_loading import loaded
from lmdm_adapter.demo.visits import Visits
from lmdm_adapter.demo.voice import Wish
from lmdm_adapter.errors import LmdmError
from lmdm_adapter.spec import BlockSpec, Sampling
from tests.cli import save_live, save_offline
from tests.models import tiny_live

SOON = 30.0
WISH = Wish("play", {"prompt": "house", "steps": 1})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A live model whose blocks are longer than the toy's, with steps of its own."""
    return save_live(tmp_path_factory.mktemp("models") / "other", 1, spec=BlockSpec(8, 3), sampling=Sampling(steps=2))


@pytest.fixture
def damaged(folder, tmp_path):
    """A copy to be spoilt."""
    return shutil.copytree(folder, tmp_path / "damaged")


def refused(choice):
    with pytest.raises(LmdmError) as error:
        loaded(choice, lambda sentence: None)
    assert str(error.value)[-1] in ".?"
    return str(error.value)


def chosen(chooser, choice):
    """What the page says in the end."""
    chooser.choose(choice)
    assert chooser.settled(seconds=SOON)
    return chooser.progress.sentence


def test_a_folder_plays_as_it_does_elsewhere(folder):
    told = []
    live = loaded(ModelChoice(str(folder)), told.append)
    assert len(told) == 4 and all(sentence.endswith(".") for sentence in told)
    voices = [LiveVoice(model, values=WISH.values) for model in (live, tiny_live(1, spec=BlockSpec(8, 3)))]
    first, second = ([voice.next_chunk().samples.tobytes() for _ in range(3)] for voice in voices)
    assert first == second


def test_an_upload_is_the_model_whatever_its_files_are_called(folder, tmp_path):
    renamed = {"my config.json": CONFIG_NAME, "weights.SAFETENSORS": MODEL_NAME, "an-adapter.safetensors": ADAPTER_NAME}
    files = tuple(Path(shutil.copy(folder / old, tmp_path / new)) for new, old in renamed.items())
    choice = ModelChoice("ignored", files=files)
    assert choice.shown == "an upload"
    assert loaded(choice, lambda sentence: None).digest == loaded(ModelChoice(str(folder)), lambda s: None).digest


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "weights.bin", "model.pkl", "model"])
def test_an_upload_of_a_pickle_is_not_opened(folder, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(LmdmError, match="pickles are not opened"):
        ModelChoice("", files=(folder / CONFIG_NAME, path))


class Bomb:
    """What a pickle can do."""

    def __reduce__(self):
        return exploded, ()


def exploded():
    raise AssertionError("a pickle was opened")


def test_a_pickle_by_another_name_is_not_opened(folder, damaged, tmp_path):
    (path := tmp_path / "weights.safetensors").write_bytes(pickle.dumps(Bomb()))
    said = refused(ModelChoice("", files=(folder / CONFIG_NAME, path)))
    assert "truncated or no .safetensors" in said and "/" not in said.replace("an upload/", "")
    (damaged / MODEL_NAME).rename(damaged / "model.ckpt")
    assert "lmdm convert" in refused(ModelChoice(str(damaged)))
    assert "no .safetensors" in refused(ModelChoice(str(damaged / "model.ckpt")))


@pytest.mark.parametrize("names", [[CONFIG_NAME], [MODEL_NAME], [CONFIG_NAME] * 2, [CONFIG_NAME, MODEL_NAME] * 2])
def test_an_upload_is_one_config_and_one_file_of_weights(folder, names):
    with pytest.raises(LmdmError, match="one model_config.json"):
        ModelChoice("", files=tuple(folder / name for name in names))


def without_weight(path):
    tensors = load_file(path / MODEL_NAME)
    tensors.pop(next(key for key in tensors if "to_out" in key))
    save_file(tensors, path / MODEL_NAME)


def with_nan(path):
    tensors = load_file(path / MODEL_NAME)
    tensors[next(key for key in tensors if "to_out" in key)].view(-1)[-1] = float("nan")
    save_file(tensors, path / MODEL_NAME)


def another_width(path):
    config = json.loads((path / CONFIG_NAME).read_text())
    config["model"]["diffusion"]["config"]["embed_dim"] = 128
    (path / CONFIG_NAME).write_text(json.dumps(config))


DAMAGES = {
    "missing weights": (lambda path: (path / MODEL_NAME).unlink(), "model.safetensors"),
    "no config": (lambda path: (path / CONFIG_NAME).unlink(), "model_config.json is missing"),
    "config that is no JSON": (lambda path: (path / CONFIG_NAME).write_text("{"), "not valid JSON"),
    "config of another kind": (lambda path: (path / CONFIG_NAME).write_text("{}"), "model_type"),
    "config of another model": (another_width, "128"),
    "a weight that is missing": (without_weight, "to_out"),
    "a weight that is NaN": (with_nan, "NaN or infinity in"),
    "half a file": (lambda path: (path / MODEL_NAME).write_bytes((path / MODEL_NAME).read_bytes()[:5000]), "truncated"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_model_is_refused_with_a_sentence_and_the_old_one_stays(damaged, damage):
    spoil, word = DAMAGES[damage]
    spoil(damaged)
    chooser = Chooser(Band(tiny_live(), name="toy"))
    before = chooser.facts
    assert word in chosen(chooser, ModelChoice(str(damaged)))
    assert chooser.facts == before and chooser.voice(WISH).next_chunk().report.index == 0


def test_an_offline_checkpoint_is_refused_since_it_is_not_trained_to_stream(tmp_path):
    said = refused(ModelChoice(str(save_offline(tmp_path / "offline"))))
    assert "not trained to stream" in said and "lmdm convert" in said


def test_what_is_not_there_is_said(tmp_path):
    assert "empty" in refused(ModelChoice("  "))
    assert "no model" in refused(ModelChoice(str(tmp_path / "none")))
    for wrong in ({"device": "toaster"}, {"dtype": "int8"}, {"name": "x" * 2000}, {"name": "a\0b"}):
        with pytest.raises(LmdmError):
            ModelChoice(**{"name": "tiny", **wrong})
    assert devices()[0] == "cpu"


def test_what_goes_wrong_in_any_other_way_is_a_sentence_too(folder, monkeypatch):
    for error, word in ((torch.OutOfMemoryError("x"), "no memory on cpu"), (MemoryError(), "no memory"),
                        (KeyError("secret"), "KeyError")):  # fmt: skip

        def fail(path, error=error):
            raise error

        monkeypatch.setattr("lmdm_adapter.demo.model_loading.read_checkpoint", fail)
        said = refused(ModelChoice(str(folder)))
        assert word in said and "secret" not in said


def test_a_model_that_cannot_compute_there_is_refused_before_anybody_hears_it(folder, monkeypatch):
    def fail(*arguments, **named):
        raise RuntimeError("\"slow_conv2d_cpu\" not implemented for 'Half'")

    monkeypatch.setattr("lmdm_adapter.live.LiveModel.step", fail)
    assert "cannot compute in float16 on cpu" in refused(ModelChoice(str(folder), dtype="float16"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_that_of_the_network(folder, dtype):
    live = loaded(ModelChoice(str(folder), dtype=dtype), lambda sentence: None)
    assert Band(live, name="x").facts.dtype == dtype


async def heard(stream, count):
    """The next packets of a stream."""
    packets = []
    while len(packets) < count:
        event = await asyncio.wait_for(anext(stream), SOON)
        packets += [event.packet.samples.tobytes()] if isinstance(event, Made) else []
    return packets


def test_two_listeners_keep_their_model_until_they_play_again_and_then_it_is_freed(folder):
    old = tiny_live()
    plain = [LiveVoice(old, values=WISH.values) for _ in range(1)][0]
    expected = [samples for _ in range(9) if (samples := plain.next_chunk().samples.tobytes())]
    del plain
    gone, chooser = weakref.ref(old.network), Chooser(Band(old, name="toy"))
    del old

    async def run():
        visits, wish = Visits(chooser.voice, most_sessions=2), Wish("play", WISH.values, lead_seconds=0.01)
        streams = {visitor: visits.listen(visitor, wish) for visitor in ("one", "two")}
        before = {visitor: await heard(stream, 2) for visitor, stream in streams.items()}
        chooser.choose(ModelChoice(str(folder)))
        assert await asyncio.to_thread(chooser.settled, seconds=SOON)
        assert chooser.facts.name == "other" and chooser.facts.sampling.steps == 2
        for visitor in streams:
            assert before[visitor] + await played_on(visits, visitor, streams[visitor]) == expected[:4]
        old_seconds = visits.block_seconds("one")
        streams["one"] = await again(visits, "one", wish, streams["one"])
        assert visits.block_seconds("one") == chooser.facts.block_seconds != old_seconds
        assert await played_on(visits, "two", streams["two"]) == expected[4:6]
        assert gone() is not None, "somebody still plays it"
        streams["two"] = await again(visits, "two", wish, streams["two"])
        assert await asyncio.to_thread(freed, gone)
        for stream in streams.values():
            await stream.aclose()
        assert await visits.closed(seconds=2.0)

    asyncio.run(run())


async def played_on(visits, visitor, stream):
    visits.played(visitor, 10**9)
    first = await heard(stream, 1)
    visits.played(visitor, 10**9)
    return first + await heard(stream, 1)


async def again(visits, visitor, wish, earlier):
    stream = visits.listen(visitor, wish)
    await heard(stream, 1)
    await earlier.aclose()
    return stream


def freed(gone):
    """Whether it goes within a second: the thread that played it ends right after its last chunk."""
    for _ in range(100):
        gc.collect()
        if gone() is None:
            return True
        threading.Event().wait(0.01)
    return False


def test_only_one_is_loaded_at_a_time_and_the_music_goes_on_meanwhile(folder):
    go_on, live = threading.Event(), tiny_live(1)

    def slow(choice, told):
        told("Fetching it.")
        assert go_on.wait(SOON)
        return live

    chooser = Chooser(Band(tiny_live(), name="toy"), load=slow)
    voice = chooser.voice(WISH)
    chooser.choose(ModelChoice("tiny"))
    with pytest.raises(LmdmError, match="Another model is being loaded"):
        chooser.choose(ModelChoice("tiny"))
    assert voice.next_chunk().report.index == 0 and chooser.facts.name == "toy" and chooser.progress.busy
    go_on.set()
    assert chooser.settled(seconds=SOON) and chooser.facts.name == "tiny"
    assert "Press Play" in chooser.progress.sentence


@pytest.mark.parametrize(
    ("plan", "may"),
    [({}, True), ({"host": "::1"}, True), ({"host": "0.0.0.0"}, False), ({"host": "192.168.1.2"}, False),
     ({"auth": ("me", "secret")}, False), ({"auth": ("me", "secret"), "share": True}, False),
     ({"host": "0.0.0.0", "allow_models": True}, True), ({"auth": ("me", "secret"), "allow_models": True}, True)],
)  # fmt: skip
def test_where_others_come_in_models_are_chosen_only_by_permission(plan, may):
    assert DemoPlan(**plan).may_choose_models is may
