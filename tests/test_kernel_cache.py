"""Compiled kernels on the disk are those of the sources that there are, wherever and however they are kept."""

import ast
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numba
import pytest

import nmf_scratch
from nmf_scratch import _kernel_cache
from nmf_scratch._kernel_cache import PACKAGE, sources_hash, sources_of

compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

HELPER = "from nmf_scratch._jit import kernel\n\n@kernel\ndef scaled(x):\n    return 2 * x\n"
CALLER = """
from nmf_scratch._jit import kernel, parallel_kernel
from nmf_scratch.helper import scaled

@kernel
def total(xs):
    found = 0.0
    for x in xs:
        found += scaled(x)
    return found
"""
OTHER = "from nmf_scratch._jit import kernel\n\n@kernel\ndef first(xs):\n    return xs[0]\n"
SCRIPT = """
import numpy as np
from nmf_scratch.caller import total
from nmf_scratch.other import first

xs = np.arange(4.0)
print(total(xs), first(xs), sum(total.stats.cache_misses.values()), sum(first.stats.cache_misses.values()))
"""


def run(script, folder, **environment):
    """Run a script in a process that finds the package in a folder; return the words that it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(folder), **{name: str(value) for name, value in environment.items()}},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.fixture
def copy(tmp_path):
    """Write a small package of the same name with three modules of kernels, as old as yesterday."""
    package = tmp_path / "nmf_scratch"
    package.mkdir()
    for name in ("_jit.py", "_kernel_cache.py", "_check.py"):
        shutil.copy(PACKAGE / name, package)
    for name, text in {"__init__": "", "helper": HELPER, "caller": CALLER, "other": OTHER}.items():
        write(package / f"{name}.py", text)
    return tmp_path


def write(path, text, age=86_400):
    path.write_text(text, encoding="utf-8")
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))


def kernels(folder):
    return sorted(path.name.split("-")[0] for path in Path(folder).rglob("*.kernel"))


@compiled
class TestChanges:
    def test_a_second_process_compiles_nothing(self, copy, tmp_path):
        assert run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c") == ["12.0", "0.0", "1", "1"]
        assert run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c") == ["12.0", "0.0", "0", "0"]

    def test_a_change_in_another_file_is_noticed_and_compiles_only_what_depends_on_it(self, copy, tmp_path):
        run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c")
        stored = kernels(tmp_path / "c")
        write(copy / "nmf_scratch" / "helper.py", HELPER.replace("2 * x", "3 * x"), age=3_600)
        assert run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c") == ["18.0", "0.0", "1", "0"]
        assert kernels(tmp_path / "c") == stored  # the former ones are gone

    def test_a_change_elsewhere_compiles_nothing(self, copy, tmp_path):
        run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c")
        write(copy / "nmf_scratch" / "unrelated.py", "x = 1\n")
        assert run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c")[2:] == ["0", "0"]

    def test_sources_that_changed_after_the_import_are_not_stored_under_their_new_name(self, copy, tmp_path):
        edit = f"""
        from nmf_scratch import caller, helper
        import os, pathlib, time
        path = pathlib.Path(helper.__file__)
        path.write_text({HELPER.replace("2 * x", "3 * x")!r})
        os.utime(path, (time.time() + 5,) * 2)
        """
        assert run(textwrap.dedent(edit) + SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c")[0] == "12.0"
        assert "nmf_scratch.caller.total" not in kernels(tmp_path / "c")
        assert "nmf_scratch.other.first" in kernels(tmp_path / "c")

    def test_checked_and_unchecked_kernels_do_not_meet(self, copy, tmp_path):
        for _ in range(2):
            run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c", NUMBA_BOUNDSCHECK=1)
        assert run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c")[2:] == ["1", "1"]


@compiled
class TestFiles:
    @pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:-9] + bytes(9)])
    def test_a_torn_file_is_compiled_again_and_replaced(self, copy, tmp_path, damage):
        run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c")
        for path in (tmp_path / "c").rglob("*.first-*.kernel"):
            path.write_bytes(damage(path.read_bytes()))
        assert run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c") == ["12.0", "0.0", "0", "1"]
        assert run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c") == ["12.0", "0.0", "0", "0"]

    def test_what_a_killed_writer_left_is_removed(self, copy, tmp_path):
        run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c")
        (path,) = (tmp_path / "c").rglob("*.first-*.kernel")
        write(path.with_name(f"{path.name}.0.partial"), "", age=3_600)
        write(path.with_name(f"{path.name}.1.partial"), "", age=0)
        path.unlink()
        run(SCRIPT, copy, NUMBA_CACHE_DIR=tmp_path / "c")
        assert [path.name[-9:] for path in (tmp_path / "c").rglob("*.partial")] == ["1.partial"]

    def test_flush_forgets(self, copy, tmp_path):
        script = SCRIPT + "total.recompile(); print(total(xs), sum(total.stats.cache_misses.values()))"
        assert run(script, copy, NUMBA_CACHE_DIR=tmp_path / "c")[4:] == ["12.0", "2"]  # compiled twice


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
    def test_where_nothing_can_be_written_kernels_are_compiled_all_the_same(self, copy):
        for name in ("nmf_scratch/__pycache__", "user", "temporary"):
            (copy / name).write_text("a file where a folder should be")
        places = {"XDG_CACHE_HOME": copy / "user", "HOME": copy / "user", "TMPDIR": copy / "temporary"}
        places |= {"NUMBA_CACHE_DIR": "", "PYTHONDONTWRITEBYTECODE": 1}
        script = SCRIPT.replace("import numpy", "import tempfile; tempfile.tempdir = 'temporary'\nimport numpy")
        assert run(script, copy, **places) == ["12.0", "0.0", "1", "1"]
        assert kernels(copy) == []

    @compiled
    def test_a_package_that_cannot_be_written_to_gets_a_folder_of_the_user(self, copy):
        (copy / "nmf_scratch" / "__pycache__").write_text("a file where a folder should be")
        places = {"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": copy / "user", "PYTHONDONTWRITEBYTECODE": 1}
        run(SCRIPT, copy, **places)
        assert kernels(copy / "user") == kernels(copy)
        assert run(SCRIPT, copy, **places)[2:] == ["0", "0"]


class TestSources:
    def test_imports_are_found_as_the_syntax_tree_has_them(self):
        for path in PACKAGE.rglob("*.py"):
            assert set(_kernel_cache._imports_of(path)) >= set(imports_in_tree(path)), path

    def test_a_solver_depends_on_what_its_kernels_call_and_on_no_other_solver(self):
        names = {path.relative_to(PACKAGE).as_posix() for path in sources_of("nmf_scratch.solvers.als")}
        assert {"solvers/als.py", "solvers/nnls.py", "solvers/base.py", "_jit.py"} <= names
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
