"""Whether what is printed still has a reader."""

import subprocess
import sys

import pytest

from qkd.records.output import is_unread

PRINTING = "from qkd.records.output import is_unread, print_no_more\n"


def ended(code: str, read: bool) -> subprocess.CompletedProcess[str]:
    """Python with ``code``, its output read to the end or closed before it says anything."""
    with subprocess.Popen(
        [sys.executable, "-c", PRINTING + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        if not read:
            running.stdout.close()
            running.stdout = None
        output, errors = running.communicate("\n")
        return subprocess.CompletedProcess(running.args, running.returncode, output, errors)


BROKEN = "input(); code = is_unread(BrokenPipeError()); print_no_more() if code else 0; print(code)"


@pytest.mark.parametrize(("read", "said"), [(True, "False\n"), (False, None)])
def test_a_broken_pipe_is_that_of_the_output_only_where_it_has_no_reader(read, said):
    done = ended(BROKEN, read)
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_of_exits_only_that_at_a_broken_pipe_counts():
    def exit_at(error: Exception) -> SystemExit:
        try:
            try:
                raise error
            except type(error):
                sys.exit(1)
        except SystemExit as found:
            return found

    assert is_unread(exit_at(BrokenPipeError()))
    assert not is_unread(exit_at(ValueError()))
    assert not is_unread(SystemExit(0))
