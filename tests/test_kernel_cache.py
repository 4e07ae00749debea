"""Compiled kernels on the disk are those of the sources that there are, wherever and however they are kept."""

import ast
import os
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numba
import numpy as np
import pytest

import nmf_scratch
from nmf_scratch import _kernel_cache
from nmf_scratch._kernel_cache import PACKAGE, sources_hash, sources_of

compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

HELPER = "from nmf_scratch._jit import kernel\n\n@kernel\ndef scaled(x):\n    return 2 * x\n"
CALLER = """
from nmf_scratch._jit import kernel
from nmf_scratch.helper import scaled

@kernel
def total(xs):
    found = 0.0
    for x in xs:
        found += scaled(x)
    return found
"""
OTHER = "from nmf_scratch._jit import kernel\n\n@kernel\ndef first(xs):\n    return xs[0]\n"
NAMES = ("helper", "caller", "other")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write three modules of kernels, as old as yesterday, and let them be the package, with a cache of their own."""
    folder = tmp_path / "nmf_scratch"
    folder.mkdir()
    for name, text in zip(NAMES, (HELPER, CALLER, OTHER), strict=True):
        write(folder / f"{name}.py", text)
    monkeypatch.setattr(_kernel_cache, "PACKAGE", folder)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    yield folder
    sources_hash.cache_clear()


def write(path, text, age=86_400):
    path.write_text(text, encoding="utf-8")
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))


def imported(package):
    """Import the modules as a new process would; return those whose kernels are called."""
    sources_hash.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            spec = spec_from_file_location(f"nmf_scratch.{name}", package / f"{name}.py")
            module = module_from_spec(spec)
            patch.setitem(sys.modules, spec.name, module)
            spec.loader.exec_module(module)
        return sys.modules["nmf_scratch.caller"].total, sys.modules["nmf_scratch.other"].first


def run(package, kernels=None):
    """Call both kernels; return their results, and how often each was compiled."""
    total, first = kernels or imported(package)
    xs = np.arange(4.0)
    misses = [sum(kernel.stats.cache_misses.values()) for kernel in (total, first) if kernel(xs) is not None]
    return [total(xs), first(xs), *misses]


def stored(folder):
    return sorted(path.name.split("-")[0] for path in Path(folder).rglob("*.kernel"))


@compiled
class TestChanges:
    def test_a_second_process_compiles_nothing(self, package):
        assert run(package) == [12, 0, 1, 1]
        assert run(package) == [12, 0, 0, 0]

    def test_a_change_in_another_file_is_noticed_and_compiles_only_what_depends_on_it(self, package, tmp_path):
        run(package)
        before = stored(tmp_path)
        write(package / "helper.py", HELPER.replace("2 * x", "3 * x"), age=3_600)
        assert run(package) == [18, 0, 1, 0]
        assert stored(tmp_path) == before  # the former ones are gone

    def test_a_change_elsewhere_compiles_nothing(self, package):
        run(package)
        write(package / "unrelated.py", "x = 1\n")
        assert run(package)[2:] == [0, 0]

    def test_sources_that_changed_after_the_import_are_not_stored_under_their_new_name(self, package, tmp_path):
        kernels = imported(package)
        write(package / "helper.py", HELPER.replace("2 * x", "3 * x"), age=-5)
        assert run(package, kernels)[0] == 12
        assert stored(tmp_path) == ["nmf_scratch.other.first"]

    def test_checked_and_unchecked_kernels_do_not_meet(self, package, monkeypatch):
        run(package)
        monkeypatch.setattr(numba.config, "BOUNDSCHECK", 0 if numba.config.BOUNDSCHECK else 1)
        assert [run(package)[2:] for _ in range(2)] == [[1, 1], [0, 0]]


@compiled
class TestFiles:
    @pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:-9] + bytes(9)])
    def test_a_torn_file_is_compiled_again_and_replaced(self, package, tmp_path, damage):
        run(package)
        (path,) = tmp_path.rglob("*.first-*.kernel")
        path.write_bytes(damage(path.read_bytes()))
        assert [run(package) for _ in range(2)] == [[12, 0, 0, 1], [12, 0, 0, 0]]

    def test_what_a_killed_writer_left_is_removed(self, package, tmp_path):
        run(package)
        (path,) = tmp_path.rglob("*.first-*.kernel")
        write(path.with_name(f"{path.name}.0.partial"), "", age=86_400)
        write(path.with_name(f"{path.name}.1.partial"), "", age=0)
        path.unlink()
        run(package)
        assert [path.name[-9:] for path in tmp_path.rglob("*.partial")] == ["1.partial"]

    def test_flush_forgets(self, package, tmp_path):
        total, _ = kernels = imported(package)
        run(package, kernels)
        total._cache.flush()
        assert stored(tmp_path) == ["nmf_scratch.helper.scaled", "nmf_scratch.other.first"]

    def test_a_cache_may_be_switched_off(self, package, tmp_path):
        kernels = imported(package)
        for kernel in kernels:
            kernel._cache.disable()
        assert run(package, kernels)[2:] == [1, 1]
        assert stored(tmp_path) == ["nmf_scratch.helper.scaled"]


class TestPlaces:
    @pytest.fixture
    def places(self, monkeypatch, tmp_path):
        """Put each of the usual places into a folder of its own."""
        monkeypatch.setattr(numba.config, "CACHE_DIR", "")
        monkeypatch.setattr(_kernel_cache, "PACKAGE", tmp_path / "package")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
        monkeypatch.setattr(_kernel_cache.tempfile, "gettempdir", lambda: str(tmp_path))
        return tmp_path

    def test_they_are_asked_in_order(self, places):
        package, user, private = _kernel_cache._folders()
        assert package == places / "package" / "__pycache__"
        assert private.parent.parent == places
        assert private.parent.stat().st_mode & 0o777 == 0o700
        assert len({package, user, private}) == 3

    def test_numbas_own_setting_goes_before_all(self, places, monkeypatch):
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(places / "chosen"))
        (only,) = _kernel_cache._folders()
        assert only.parent == places / "chosen"

    def test_a_folder_that_others_may_write_to_is_not_trusted(self, places):
        *_, private = _kernel_cache._folders()
        private.parent.chmod(0o777)
        assert private not in _kernel_cache._folders()

    @pytest.mark.skipif(not hasattr(os, "getuid"), reason="users have no numbers here")
    def test_a_folder_of_somebody_else_is_not_trusted(self, places, monkeypatch):
        *_, private = _kernel_cache._folders()
        monkeypatch.setattr(_kernel_cache.os, "getuid", lambda: private.parent.stat().st_uid + 1)
        assert private not in _kernel_cache._folders()

    @compiled
    def test_where_nothing_can_be_written_kernels_are_compiled_all_the_same(self, package, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("a file where a folder should be")
        monkeypatch.setattr(_kernel_cache, "_folders", lambda: [tmp_path / "file" / name for name in "ab"])
        assert [run(package) for _ in range(2)] == [[12, 0, 1, 1]] * 2
        assert imported(package)[0].stats.cache_path == str(tmp_path / "file" / "a")

    @compiled
    def test_the_first_place_that_takes_files_keeps_them_and_all_are_looked_at(self, package, monkeypatch, tmp_path):
        (tmp_path / "file").write_text("a file where a folder should be")
        monkeypatch.setattr(_kernel_cache, "_folders", lambda: [tmp_path / part for part in ("file", "a", "b")])
        run(package)
        assert stored(tmp_path / "a") == stored(tmp_path)
        (tmp_path / "a").rename(tmp_path / "b")
        assert run(package)[2:] == [0, 0]


class TestSources:
    def test_imports_are_found_as_the_syntax_tree_has_them(self):
        for path in PACKAGE.rglob("*.py"):
            assert set(_kernel_cache._imports_of(path)) >= set(imports_in_tree(path)), path

    def test_a_solver_depends_on_what_its_kernels_call_and_on_no_other_solver(self):
        names = {path.relative_to(PACKAGE).as_posix() for path in sources_of("nmf_scratch.solvers.als")}
        assert {"solvers/als.py", "solvers/exact_rows.py", "solvers/rows.py", "_jit.py"} <= names
        assert "solvers/sgd.py" not in names
        assert not [name for name in names if name.startswith(("cli/", "plots/", "report/"))]

    def test_every_module_has_a_hash_of_its_own(self):
        modules = [path.stem for path in (PACKAGE / "solvers").glob("[a-z]*.py")]
        assert len({sources_hash(f"nmf_scratch.solvers.{name}") for name in modules}) == len(modules)

    @pytest.mark.parametrize("module", ["numpy.linalg", "nmf_scratch", "__main__", "nmf_scratch.nothing"])
    def test_what_is_not_of_the_package_is_not_kept(self, module):
        assert sources_of(module) == []
        assert sources_hash(module) == ""

    def test_other_packages_keep_their_own_caches(self):
        assert numba.core.caching.FunctionCache._impl_class is numba.core.caching.CompileResultCacheImpl
        assert nmf_scratch.__name__ not in str(numba.core.caching.CacheImpl._locator_classes)


def imports_in_tree(path):
    """Yield the dotted names of what a file imports of the package, by its syntax tree."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_the_names_of_kernel_types_tell_them_apart():
    """Files are named by types as text: readonly or not, by layout, by width."""
    types = numba.core.types
    arrays = {
        str(types.Array(dtype, 2, layout, readonly=readonly, aligned=aligned))
        for dtype in (types.float32, types.float64)
        for layout in "CFA"
        for readonly in (False, True)
        for aligned in (False, True)
    }
    assert len(arrays) == 24


@compiled
@pytest.mark.slow
def test_without_a_place_for_kernels_a_fit_works_all_the_same(tmp_path):
    """As in containers: no writable package, no home; here files stand where folders would be made."""
    source = Path(nmf_scratch.__file__).parent
    package = shutil.copytree(source, tmp_path / "nmf_scratch", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [package, *filter(Path.is_dir, package.rglob("*"))]:
        (folder / "__pycache__").touch()
    (tmp_path / "home").touch()
    places = {"HOME": str(tmp_path / "home" / "x"), "XDG_CACHE_HOME": str(tmp_path / "home" / "y")}
    fit = "import nmf_scratch as n; print(n.NMF(2, solver='cd', max_iter=2).fit([(1, 2), (2, 2)], [1, 2]).W_.shape)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", fit], capture_output=True, text=True, check=False,
        env={**os.environ, **places, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("(2, 2)\n", "")
