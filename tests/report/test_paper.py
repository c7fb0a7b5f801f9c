import pytest

from report.reading.paper import COLUMNS, PAPER, PaperError, about, paper_file, read_paper

HEAD = ",".join(COLUMNS)
GOOD = "abstract,imagenet,resnet18,qkd,4,4,71.4,derived,arithmetic"


def written(tmp_path, *lines):
    path = tmp_path / "paper.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_committed_numbers_can_be_read():
    numbers = read_paper(PAPER)
    assert numbers[about("imagenet", "resnet18", "qkd", 4, 4)].top1 == 71.4
    assert numbers[about("ImageNet", "MobileNet_V2", "QKD", 4, 4)].mark == "paper"
    assert numbers[about("imagenet", "resnet18", "lsq", 2, 2)].top1 == 67.6
    assert numbers[about("cifar10", "resnet20", "qkd", 2, 2)].table == ""
    assert {number.mark for number in numbers.values()} == {"paper", "second-hand"}
    assert len(numbers) == 75


def test_the_papers_figure_is_whole_and_says_where_it_was_read():
    drawn = {of: one for of, one in read_paper(PAPER).items() if one.source.startswith("Figure 1")}
    assert {one.mark for one in drawn.values()} == {"paper"}
    assert all("read off the drawing" in one.source for one in drawn.values())
    assert all("0.03" in one.source for one in drawn.values())
    lines = {}
    for (_, model, method, bits, _), one in drawn.items():
        lines.setdefault((model, method), {})[bits] = one.top1
    assert lines["resnet18", "qkd"] == {2: 67.4, 3: 70.2, 4: 71.4}
    assert lines["resnet18", "kd"] == {2: 66.8, 3: 69.7, 4: 70.9}
    assert lines["mobilenetv2", "qkd"] == {3: 62.6, 4: 67.4, 6: 71.8}
    assert lines["mobilenetv2", "kd"] == {3: 60.7, 4: 66.4, 6: 71.4}
    assert (lines["resnet18", "fp"], lines["mobilenetv2", "fp"]) == ({32: 70.1}, {32: 71.8})
    assert len(drawn) == 29


def test_a_users_file_comes_first(tmp_path):
    assert paper_file(tmp_path) == PAPER
    own = written(tmp_path, HEAD, GOOD)
    assert paper_file(tmp_path) == own
    assert read_paper(own)[about("imagenet", "resnet18", "qkd", 4, 4)].source == "arithmetic"


def test_a_spreadsheets_mark_at_the_beginning_is_no_part_of_the_first_column(tmp_path):
    own = written(tmp_path, HEAD, GOOD)
    own.write_bytes(b"\xef\xbb\xbf" + own.read_bytes())
    assert list(read_paper(own)) == [about("imagenet", "resnet18", "qkd", 4, 4)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((HEAD + ",extra", GOOD), "line 1: the columns must be"),
        ((HEAD, GOOD.replace("derived", "guessed")), "line 2: mark 'guessed' is none of paper"),
        ((HEAD, GOOD, GOOD), "line 3: a second number of imagenet, resnet18, qkd"),
        ((HEAD, GOOD.replace("71.4", "101")), "line 2: top1 '101' is no number from 0 to 100"),
        ((HEAD, GOOD.replace("71.4", "nan")), "line 2: top1 'nan'"),
        ((HEAD, GOOD.replace("71.4", "")), "line 2: top1 ''"),
        ((HEAD, GOOD.replace(",4,4,", ",4,x,")), "line 2: activation_bits 'x'"),
        ((HEAD, GOOD.replace(",4,4,", ",64,4,")), "line 2: weight_bits '64'"),
        ((HEAD, GOOD + ",more"), "line 2: a line has 9 values"),
        ((HEAD, "abstract,imagenet"), "line 2: a line has 9 values"),
        ((HEAD, GOOD.replace("arithmetic", "")), "line 2: source is empty"),
        ((HEAD, '"' + GOOD), "line 2: unexpected end of data"),
    ],
)
def test_a_damaged_line_is_an_error_that_names_it(tmp_path, lines, message):
    with pytest.raises(PaperError) as caught:
        read_paper(written(tmp_path, *lines))
    assert f"paper.csv, {message}" in str(caught.value)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(PaperError, match=r"none\.csv"):
        read_paper(tmp_path / "none.csv")
