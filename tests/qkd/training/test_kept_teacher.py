"""One frozen teacher and the file of its logits, without a stage around them."""

import threading
import time

import pytest
import torch
from torch import nn
from torch.nn import functional

from qkd.records.logits import CHUNK, LogitsFile, Source
from qkd.training.kept import KeptTeacher
from qkd.training.step import Side
from tests.support import small

STEPS = 40


def teacher_of(network=None):
    return Side("teacher", network or nn.Sequential(nn.Flatten(), nn.Linear(256, 10)))


class Batches:
    """Noise, a function of the step."""

    steps_per_epoch = 1000

    def batch(self, step, share=slice(None)):
        images = torch.randn(16, 1, 16, 16, generator=torch.Generator().manual_seed(step))
        return images, torch.zeros(16, dtype=torch.int64)


SOURCE = Source(network=small.PAIR.teacher, start="0" * 16, data=small.PAIR.data, draws=3, batch=16)


def kept(teacher, folder, said=None, steps=STEPS):
    file = LogitsFile(folder, SOURCE, "")
    say = [].append if said is None else said.append
    return KeptTeacher(teacher, file, Batches(), source=SOURCE, steps=range(steps), say=say)


def answer(side, step):
    return side.forward(Batches().batch(step)[0], SOURCE.draws, step)


def test_who_finds_its_chunk_taken_computes_the_next_one(tmp_path):
    teacher, first, second = teacher_of(), range(CHUNK), range(CHUNK, 2 * CHUNK)
    rows = kept(teacher, tmp_path / "elsewhere")._completed(0)
    file = LogitsFile(tmp_path, SOURCE, "")
    held, seen = threading.Event(), []

    def own():
        with file.claim(0):
            held.set()
            deadline = time.monotonic() + 50
            while len(file.read(second)) < CHUNK and time.monotonic() < deadline:
                time.sleep(0.01)
            seen.extend([len(file.read(first)), len(file.read(second))])
            file.write(rows)

    owner = threading.Thread(target=own)
    owner.start()
    held.wait()
    side = kept(teacher, tmp_path)
    assert torch.equal(answer(side, 0), answer(teacher, 0))
    owner.join()
    assert seen == [0, CHUNK]
    assert side.read == 1


def test_a_claim_that_is_never_given_back_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("qkd.training.kept.WAIT_SECONDS", 0.1)
    teacher = teacher_of()
    owner, other = kept(teacher, tmp_path), kept(teacher, tmp_path)
    with owner._file.claim(0):
        assert torch.equal(answer(other, 0), answer(teacher, 0))


def test_the_generator_is_left_as_by_the_teacher_itself(tmp_path):
    teacher = teacher_of()
    side = kept(teacher, tmp_path)
    for step in (0, 1, CHUNK):
        answer(side, step)
        found = torch.get_rng_state()
        answer(teacher, step)
        assert torch.equal(found, torch.get_rng_state())


class Drawing(nn.Module):
    """A teacher that draws though it does not train."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(256, 10)

    def forward(self, images):
        return functional.dropout(self.linear(images.flatten(1)), training=True)


class Transposed(Drawing):
    def forward(self, images):
        return self.linear(images.flatten(1)).t().contiguous().t()


class Wider(Drawing):
    def forward(self, images):
        return self.linear(images.flatten(1)).repeat(1, 2)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Drawing, "the teacher draws numbers"),
        (Transposed, "in another order"),
        (Wider, "answers in torch.float32, (16, 20)"),
    ],
)
def test_a_teacher_whose_logits_cannot_be_kept_answers_itself(tmp_path, network, said):
    teacher, told = teacher_of(network()), []
    side = kept(teacher, tmp_path, told)
    for step in (0, 1):
        assert torch.equal(answer(side, step), answer(teacher, step))
    assert len(told) == 1
    assert said in told[0]
    assert not side._file.path.exists()


def test_a_slow_teacher_leaves_a_chunk_to_let_the_stage_stop(tmp_path, monkeypatch):
    monkeypatch.setattr("qkd.training.kept.CHUNK_SECONDS", 0.0)
    side = kept(teacher_of(), tmp_path)
    answer(side, 0)
    assert list(side._file.read(range(CHUNK))) == [0]


def test_a_file_of_another_name_is_not_read(tmp_path):
    one, other = (LogitsFile(tmp_path, SOURCE, text) for text in ("avx2", "avx512"))
    one.write({0: bytes(640)})
    one.path.rename(other.path)
    assert other.read(range(1)) == {}
    assert other.damaged == 1
