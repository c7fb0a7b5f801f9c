"""Names in a spec become Python objects, within our packages and a user's matrix (torch-free)."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

# Where the objects of each role may stand: a record is untrusted text, and a name in it must not
# reach whatever function it likes.
READERS = ("qkd.data.readers",)
FACTORIES = ("qkd.models",)
LOSSES = ("qkd.losses", "baselines")
QUANTIZERS = ("qkd.quantizers.interval", "qkd.quantizers.variants", "baselines")

# Names in specs are names for ever; files may move. Where a module of such a name stands now, or of
# one that a user's matrix imports because a README showed it. Lines are added, never taken away.
MOVED = {
    "qkd.quantizers": "qkd.quantizers.interval",
    "qkd.variants": "qkd.quantizers.variants",
    "qkd.data.fashion_mnist": "qkd.data.readers.fashion_mnist",
    "qkd.data.cifar": "qkd.data.readers.cifar",
    "qkd.data.folder": "qkd.data.readers.folder",
    "qkd.data.imagenet": "qkd.data.readers.imagenet",
    "qkd.data.synthetic": "qkd.data.readers.synthetic",
    "qkd.weights_source": "qkd.spec.networks",
}

_loaded: set[str] = set()


def resolve(path: str, within: tuple[str, ...]) -> Any:
    """The object named ``package.module:name``, which must stand within these modules of ours, or
    in a matrix file that was loaded.

    Raises ValueError for a name elsewhere, a private one, or one that is not there.
    """
    module, _, name = path.partition(":")
    module = MOVED.get(module, module)
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


class _Moved(MetaPathFinder, Loader):
    """``import`` of a module by its old name gives the module that stands in its place."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 (the interface)
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Of a name in MOVED that no other finder knows: this one is asked last."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module that is there now."""
        module = importlib.import_module(MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already: it only gets back the spec that the import system took from it."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


sys.meta_path.append(_Moved())
