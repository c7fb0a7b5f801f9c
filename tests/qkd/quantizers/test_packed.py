"""The packed file: integers at their width, given back exactly; a bad file is refused."""

import json
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qkd.quantizers.packed import (
    BadPackedFile,
    Integers,
    Packed,
    encode,
    packed_bits,
    read,
    unpacked_bits,
    write,
)


def integers(codes, bits, lowest, highest=None, scale=0.5, offset=0.0):
    return Integers(
        torch.tensor(codes, dtype=torch.int16),
        bits,
        lowest,
        lowest + 2**bits - 1 if highest is None else highest,
        torch.tensor(scale),
        torch.tensor(offset),
    )


SMALL = Packed(
    {
        "first.weight": integers([[-1, 0], [1, 1]], 2, -1, 1, scale=0.25),
        "last.weight": integers([7, -8, 3], 4, -8, offset=1.5),
    },
    {"bn.weight": torch.tensor([1.0, -2.0]), "count": torch.tensor(3)},
)


def assert_same(one, other):
    assert one.integers.keys() == other.integers.keys()
    assert one.tensors.keys() == other.tensors.keys()
    for name, a in one.integers.items():
        b = other.integers[name]
        assert (a.bits, a.lowest, a.highest) == (b.bits, b.lowest, b.highest)
        for x, y in ((a.codes, b.codes), (a.scale, b.scale), (a.offset, b.offset)):
            assert x.dtype == y.dtype
            assert torch.equal(x, y)
    for name, tensor in one.tensors.items():
        assert tensor.dtype == other.tensors[name].dtype
        assert torch.equal(tensor, other.tensors[name])


def test_codes_lie_one_behind_the_other_lowest_bit_first():
    # 2 bits: 3, 0, 1, 2 -> 0b10_01_00_11; 3 bits: 5, 7, 1 -> 0b01_111_101, then 0b0.
    assert packed_bits(torch.tensor([3, 0, 1, 2]), 2).tolist() == [0b10010011]
    assert packed_bits(torch.tensor([5, 7, 1]), 3).tolist() == [0b01111101, 0]
    assert packed_bits(torch.tensor([200, 1]), 8).tolist() == [200, 1]
    assert packed_bits(torch.tensor([], dtype=torch.int16), 5).tolist() == []


@given(st.data(), st.integers(1, 8), st.integers(0, 50))
def test_bits_are_given_back_and_take_no_more_room_than_they_must(data, bits, count):
    numbers = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=count, max_size=count))
    packed = packed_bits(torch.tensor(numbers, dtype=torch.int16), bits)
    assert packed.dtype == torch.uint8
    assert len(packed) == (count * bits + 7) // 8
    assert unpacked_bits(packed, bits, count).tolist() == numbers


@st.composite
def contents(draw):
    layers = {}
    for place in range(draw(st.integers(0, 3))):
        bits = draw(st.integers(1, 8))
        lowest = draw(st.sampled_from([-(2 ** (bits - 1)), 1 - 2 ** (bits - 1), 0]))
        highest = draw(st.integers(max(0, lowest), lowest + 2**bits - 1))
        shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
        seed = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
        codes = torch.randint(lowest, highest + 1, shape, generator=seed, dtype=torch.int16)
        scale, offset = draw(st.tuples(*[st.floats(-4, 4, width=32)] * 2))
        layers[f"layer{place}.weight"] = Integers(
            codes, bits, lowest, highest, torch.tensor(scale), torch.tensor(offset)
        )
    tensors = {name: torch.rand(draw(st.integers(0, 5))) for name in ("bn.bias", "a.interval")}
    return Packed(layers, tensors)


@given(contents())
def test_what_is_written_is_read_back_exactly(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("packed") / "student.packed"
    write(path, content)
    assert_same(read(path), content)
    assert path.read_bytes() == encode(content)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_values_are_scale_times_code_plus_offset():
    values = SMALL.values()
    assert values["first.weight"].tolist() == [[-0.25, 0.0], [0.25, 0.25]]
    assert values["last.weight"].tolist() == [5.0, -2.5, 3.0]
    assert values["bn.weight"].tolist() == [1.0, -2.0]


def test_2_bit_weights_take_a_quarter_of_8_bit_ones():
    codes = torch.randint(0, 3, (64, 32, 3, 3), dtype=torch.int16)
    sizes = {}
    for bits in (2, 3, 8):
        one = Integers(codes, bits, 0, 2**bits - 1, torch.tensor(1.0), torch.tensor(0.0))
        sizes[bits] = len(encode(Packed({"weight": one}, {})))
    assert sizes[8] - sizes[2] == pytest.approx(codes.numel() * 6 / 8, abs=16)
    assert sizes[3] - sizes[2] == pytest.approx(codes.numel() / 8, abs=16)


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (integers([2, 0], 2, -1, 1), "codes from 0 to 2, outside -1 to 1"),
        (integers([-2, 0], 2, -1, 1), "codes from -2 to 0"),
        (integers([0], 2, -2, 2), "do not fit into 2 bits"),
        (integers([0], 9, 0, 3), "bits"),
        (integers([0], 0, 0, 0), "bits"),
        (integers([0], 2, 0, scale=[1.0]), "no float32 scalar"),
    ],
)
def test_what_cannot_be_packed_is_an_error_and_writes_nothing(tmp_path, one, says):
    with pytest.raises(ValueError, match=says):
        write(tmp_path / "file", Packed({"weight": one}, {}))
    assert list(tmp_path.iterdir()) == []


def test_a_name_on_both_sides_is_an_error():
    with pytest.raises(ValueError, match=r"first\.weight is to be packed both"):
        encode(Packed(SMALL.integers, {"first.weight": torch.zeros(1)}))


@given(st.integers(0, len(encode(SMALL)) - 1))
def test_a_truncated_file_is_refused(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("packed") / "file"
    path.write_bytes(encode(SMALL)[:length])
    with pytest.raises(BadPackedFile, match=r"file is no whole packed file"):
        read(path)


@given(st.integers(0, len(encode(SMALL)) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(tmp_path_factory, place, change):
    path = tmp_path_factory.mktemp("packed") / "file"
    content = bytearray(encode(SMALL))
    content[place] ^= change
    path.write_bytes(content)
    try:
        found = read(path)
    except BadPackedFile:
        return
    assert_same(found, SMALL)  # white space of the header, say


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("packed") / "file"
    path.write_bytes(content)
    with pytest.raises(BadPackedFile):
        read(path)


def test_bytes_after_the_end_are_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(encode(SMALL) + b"\0")
    with pytest.raises(BadPackedFile):
        read(path)


def forged(edit):
    """The small file with its header edited, and a checksum that fits the edited content."""
    content = encode(SMALL)
    (length,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + length])
    header = json.loads(outer["__metadata__"]["header"])
    edit(header)
    outer["__metadata__"]["header"] = json.dumps(header, separators=(",", ":"))
    text = json.dumps(outer).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def test_forging_by_itself_changes_nothing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(forged(lambda header: None))
    assert_same(read(path), SMALL)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda h: h.update(version=2), "version"),
        (lambda h: h.update(format="else"), "format"),
        (lambda h: h.update(more=1), "more"),
        (lambda h: h["layers"]["last.weight"].update(bits=9), "bits"),
        (lambda h: h["layers"]["last.weight"].update(shape=[2**62, 2**62]), "takes"),
        (lambda h: h["layers"]["last.weight"].update(shape=[-3]), "shape"),
        (lambda h: h["layers"]["last.weight"].update(shape=[2]), "takes 1 bytes"),
        (lambda h: h["layers"]["last.weight"].update(highest=6), "above the highest, 6"),
        (lambda h: h["layers"]["last.weight"].update(highest=99), "do not fit into 4 bits"),
        (lambda h: h["layers"].update(none=h["layers"]["last.weight"]), "none|3 layers"),
        (lambda h: h["layers"].pop("last.weight"), "1 layers"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_whatever_its_checksum(
    tmp_path, monkeypatch, edit, says
):
    path = tmp_path / "file"
    path.write_bytes(forged(edit))
    with pytest.raises(BadPackedFile):
        read(path)
    monkeypatch.setattr("qkd.quantizers.packed._checksum", lambda header, tensors: right)
    right = json.loads(forged_header(path))["sha256"]
    with pytest.raises(BadPackedFile, match=says):
        read(path)


def forged_header(path):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])["__metadata__"]["header"]


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
