import copy

import pytest
import torch
from torch import nn

from qkd.training import distributed
from qkd.training.distributed import Place, RankLost, RanksApart
from tests.support import ranks

SECONDS = 60.0


@pytest.mark.parametrize("given", [{}, {"WORLD_SIZE": "1"}, {"WORLD_SIZE": "1", "RANK": "0"}])
def test_one_process_is_alone_and_asks_nobody(given, monkeypatch):
    for name in distributed.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert distributed.place() == Place(0, 0, 1)
    assert distributed.leads()
    values = {"loss": torch.tensor(1.5)}
    with distributed.joined(0.001, on_cuda=False):
        assert not torch.distributed.is_initialized()
        assert distributed.from_first(lambda: "made") == "made"
        assert (distributed.any_of(True), distributed.any_of(False)) == (True, False)
        assert distributed.mean_of(values) is values
        assert distributed.share(7) == slice(0, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MASTER_PORT": None}, "WORLD_SIZE is set, but MASTER_PORT is not: start by torchrun"),
        ({"RANK": "", "LOCAL_RANK": None}, "RANK, LOCAL_RANK is not"),
        ({"RANK": "one"}, "RANK is 'one': it must be a whole number"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE is '-2'"),
        ({"RANK": "2"}, "RANK 2, LOCAL_RANK 0: not below WORLD_SIZE 2"),
    ],
)
def test_a_wrong_environment_is_named(change, message, monkeypatch):
    for name, value in ({**ranks.variables(0, 2, 1234)} | change).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        distributed.place()


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_shares_of_all_ranks_are_the_batch_in_its_order(world, monkeypatch):
    batch, found = list(range(8)), []
    for rank in range(world):
        for name, value in ranks.variables(rank, world, 1234).items():
            monkeypatch.setenv(name, value)
        found += batch[distributed.share(8)]
    assert found == batch


def exchange():
    found = []
    for number in range(2):  # two stages, one after the other
        rank = distributed.place().rank
        with distributed.joined(SECONDS, on_cuda=False):
            found += [
                distributed.from_first(lambda n=number, r=rank: {"stage": n, "by": r}),
                distributed.any_of(rank == 1 and number == 0),
                {k: v.item() for k, v in distributed.mean_of(losses(rank + number)).items()},
            ]
            with pytest.raises(ZeroDivisionError):
                distributed.from_first(lambda: 1 / 0)
    return found


def losses(value):
    return {"a": torch.tensor(float(value)), "b": torch.tensor(-2.0)}


def test_what_ranks_tell_each_other_stage_after_stage():
    ends = ranks.together(exchange)
    told = [
        {"stage": 0, "by": 0},
        True,
        {"a": 0.5, "b": -2.0},
        {"stage": 1, "by": 0},
        False,
        {"a": 1.5, "b": -2.0},
    ]
    assert [end.returned for end in ends] == [told, told], ends


def break_off():
    with distributed.joined(SECONDS, on_cuda=False):
        if distributed.place().rank == 1:
            raise KeyError("mine")
        try:
            distributed.any_of(False)
        except RuntimeError as error:
            return distributed.is_lost(error)
    return None


def test_an_error_of_one_rank_breaks_the_others_exchange():
    ends = ranks.together(break_off)
    assert ends[0].returned is True
    assert (ends[1].raised, ends[1].text) == ("KeyError", "'mine'")


@pytest.mark.parametrize(
    "error",
    [RuntimeError("CUDA out of memory"), ValueError("no such file: gloo"), OSError("connection")],
)
def test_an_error_of_ones_own_is_not_taken_for_a_lost_rank(error):
    assert not distributed.is_lost(error)


@pytest.mark.filterwarnings("ignore")
def test_ranks_that_do_not_meet_say_where(monkeypatch):
    port = ranks.free_port()
    for name, value in ranks.variables(0, 2, port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "_store", distributed._store.__wrapped__)
    message = rf"rank 0 did not meet all 2 ranks in 1 s at 127\.0\.0\.1, port {port}"
    with pytest.raises(RanksApart, match=message), distributed.joined(1.0, on_cuda=False):
        pass
    assert not torch.distributed.is_initialized()
    assert not issubclass(RanksApart, RankLost)


class Partly(nn.Module):
    """y = w x, and a parameter that nothing asks for."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(2.0))
        self.idle = nn.Parameter(torch.tensor(3.0))

    def forward(self, x):
        return self.w * x


def gradients():
    rank = distributed.place().rank
    with distributed.joined(SECONDS, on_cuda=False):
        network = Partly()
        with torch.no_grad():
            network.w.fill_(2.0 + 5 * rank)
        averaged = distributed.averaging(network)
        begun, found = network.w.item(), []
        for step in range(3):
            for part in range(2):  # gradients add up, as over micro-batches
                averaged(torch.tensor(float(10 * rank + step + part))).backward()
            found.append((network.w.grad.item(), network.idle.grad))
            network.w.grad = None
    return begun, found


def test_gradients_are_means_over_ranks_and_idle_parameters_have_none():
    # d(w x)/dw = x; of step s the ranks' x are s, s + 1 and s + 10, s + 11.
    expected = (2.0, [((4 * s + 22) / 2, None) for s in range(3)])
    assert [end.returned for end in ranks.together(gradients)] == [expected, expected]


def test_a_synchronised_twin_shares_all_tensors_and_leaves_the_network_as_it_is():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.ReLU(), nn.BatchNorm1d(4))
    )
    kinds = [type(module) for module in network.modules()]
    before = copy.deepcopy(network.state_dict())
    twin = distributed.synchronised(network)
    assert [type(module) for module in network.modules()] == kinds
    assert [type(twin[1]), type(twin[2][1])] == [nn.SyncBatchNorm, nn.SyncBatchNorm]
    assert type(twin[0]) is nn.Conv2d
    assert twin.training
    for of_twin, own in (
        (twin.named_parameters(), dict(network.named_parameters())),
        (twin.named_buffers(), dict(network.named_buffers())),
    ):
        found = dict(of_twin)
        assert found.keys() == own.keys()
        assert all(found[name] is own[name] for name in own)
    with torch.no_grad():
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.add_(1)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name] + 1), name
