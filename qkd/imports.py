"""Names in a spec become Python objects, within our packages and a user's matrix (torch-free)."""

import ast
import functools
import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

# Where the objects of each role may stand: a record is untrusted text, and a name in it must not
# reach whatever function it likes.
READERS = ("qkd.data.readers",)
FACTORIES = ("qkd.models",)
LOSSES = ("qkd.losses", "baselines")
HOOKS = ("baselines",)
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

PACKAGES = ("baselines", "benchmarks", "qkd", "report", "slurm")

_loaded: set[str] = set()
_ours: set[str] = set()  # modules that were there before the first file of a user


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
            f"{path!r} lies outside {', '.join(allowed)}: a network, quantizer, loss, hook or "
            "reader of your own is named 'FILE:NAME', where MATRIX=path/to/FILE.py"
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
    """A user's matrix file as a module of the file's name, which specs may then name. It may import
    modules that lie beside it.

    Raises ValueError if there is no such file, its name is that of another module, or a module
    beside it would not be the one that it gets.
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
    _ours.update(() if _ours else sys.modules)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # last: it hides no other module
    _require_own_neighbours(path)
    spec = importlib.util.spec_from_file_location(name, path, loader=_Source(name, str(path)))
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


class _Source(SourceFileLoader):
    """Runs the file as it stands: what Python compiled earlier counts as current where it has the
    same size and second, and would be written beside the user's file."""

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 (the interface)
        """The code of the file."""
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def user_modules() -> dict[ModuleType, bool]:
    """The modules of the user's that are imported, and whether each is a matrix file: those that
    came with a matrix file or after it, and are neither ours, nor Python's, nor installed."""
    return {
        module: name in _loaded
        for name, module in list(sys.modules.items())
        if name in _loaded or (name not in _ours and _is_a_users(module))
    }


def names_user_code(path: str) -> bool:
    """Whether ``module:name`` is of a file of the user's."""
    return path.partition(".")[0].partition(":")[0] not in PACKAGES


def _is_a_users(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.endswith(".py") and _is_a_users_file(file)


@functools.cache  # each stage asks of thousands of modules, which stay where they are
def _is_a_users_file(file: str) -> bool:
    path = Path(file).resolve()
    if {"site-packages", "dist-packages"} & set(path.parts) or not path.is_file():
        return False  # torch.ops has a file by name only
    return not any(path.is_relative_to(place) for place in _not_a_users())


@functools.cache
def _not_a_users() -> tuple[Path, ...]:
    """The folders of Python's own modules and of ours."""
    places = [Path(sysconfig.get_path(kind)).resolve() for kind in ("stdlib", "platstdlib")]
    return (*places, *(Path(__file__).resolve().parents[1] / package for package in PACKAGES))


def _require_own_neighbours(path: Path) -> None:
    """Raises ValueError where the file imports a module by a name that a file beside it has, and
    would get another one: that one was found first, or is loaded already."""
    for name in _imported_names(path):
        beside = [path.parent / f"{name}.py", path.parent / name / "__init__.py"]
        there = [file for file in beside if file.is_file()]
        if there and _is_taken(name, *there):
            raise ValueError(
                f"{path} imports {name}, and would not get {there[0]}: {name!r} is the name of "
                "another Python module; rename the file"
            )


def _imported_names(path: Path) -> set[str]:
    """The first words of the names that a file imports; none where it is no Python."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (ValueError, SyntaxError, RecursionError):
        return set()  # running it says what is wrong
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names if name}


def _is_taken(name: str, *paths: Path) -> bool:
    """Whether the name means another module than the file (which may lie in the current folder)."""
    spec = importlib.util.find_spec(name)
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve() not in paths)


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
