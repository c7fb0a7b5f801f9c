"""Names in a spec become Python objects, within our packages and a user's matrix (torch-free)."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

_allowed = {"qkd", "baselines", "benchmarks"}


def resolve(path: str) -> Any:
    """The object named ``package.module:name``.

    Raises ValueError for a name outside our packages and the loaded matrix (a record is untrusted
    text and must not import what it likes), or one that is not there.
    """
    module, _, name = path.partition(":")
    if module.split(".")[0] not in _allowed:
        raise ValueError(
            f"{path!r} lies outside {', '.join(sorted(_allowed))}: a network, quantizer, loss or "
            "reader of your own is named 'FILE:NAME', where MATRIX=path/to/FILE.py"
        )
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise ValueError(f"{path!r}: there is no module {module}") from error
    except AttributeError as error:
        raise ValueError(f"{path!r}: module {module} has no {name!r}") from error


def load_file(path: Path) -> ModuleType:
    """A user's matrix file as a module of the file's name, which specs may then name.

    Raises ValueError if there is no such file or its name is that of another module.
    """
    path = path.resolve()
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    if not path.is_file():
        raise ValueError(f"there is no matrix file {path}")
    if not name.isidentifier() or importlib.util.find_spec(name) is not None:
        raise ValueError(f"{path}: {name!r} is the name of another Python module; rename the file")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 (true for every .py file)
    assert spec.loader is not None  # noqa: S101 (likewise)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _allowed.add(name)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        _allowed.discard(name)
        raise
    return module
