"""Names in a spec become Python objects, within our packages and a user's matrix (torch-free)."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

# Where the objects of each role may stand: a record is untrusted text, and a name in it must not
# reach whatever function it likes.
READERS = (
    "qkd.data.fashion_mnist", "qkd.data.cifar", "qkd.data.folder", "qkd.data.imagenet",
    "qkd.data.synthetic",
)  # fmt: skip
FACTORIES = ("qkd.models",)
LOSSES = ("qkd.losses", "baselines")
QUANTIZERS = ("qkd.quantizers", "qkd.variants", "baselines")

_loaded: set[str] = set()


def resolve(path: str, within: tuple[str, ...]) -> Any:
    """The object named ``package.module:name``, which must stand within these modules of ours, or
    in a matrix file that was loaded.

    Raises ValueError for a name elsewhere, a private one, or one that is not there.
    """
    module, _, name = path.partition(":")
    allowed = (*within, *sorted(_loaded))
    if not any(module == place or module.startswith(f"{place}.") for place in allowed):
        raise ValueError(
            f"{path!r} lies outside {', '.join(allowed)}: a network, quantizer, loss or reader of "
            "your own is named 'FILE:NAME', where MATRIX=path/to/FILE.py"
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise ValueError(f"{path!r}: there is no module {module}") from error
    except AttributeError as error:
        raise ValueError(f"{path!r}: module {module} has no {name!r}") from error
    if name.startswith("_") or (
        module not in _loaded and getattr(found, "__module__", "") != module
    ):
        raise ValueError(f"{path!r} is not a public object of {module}")
    return found


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
    if not name.isidentifier():
        raise ValueError(f"{path}: {name!r} is no name for a Python module; rename the file")
    if _is_taken(name, path):
        raise ValueError(f"{path}: {name!r} is the name of another Python module; rename the file")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 (true for every .py file)
    assert spec.loader is not None  # noqa: S101 (likewise)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _loaded.add(name)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        _loaded.discard(name)
        raise
    return module


def _is_taken(name: str, path: Path) -> bool:
    """Whether the name means another module than the file (which may lie in the current folder)."""
    spec = importlib.util.find_spec(name)
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve() != path)
