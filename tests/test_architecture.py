"""The design, kept by machine: layers, dependencies, decorators, randomness, sizes, and what an import costs.

A rule is a generator: it reads the syntax tree of a module, which is never imported, and yields the lines that break
it. The package must keep every rule, and every rule must catch the example of bad code that stands beside it.
"""

import ast
import os
import re
import subprocess
import sys
import textwrap
from fnmatch import fnmatchcase
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "nmf_scratch"
TESTS = ROOT / "tests"

LAYERS = re.findall(
    r"\S+",
    """
    _version  _check  _html  _random  _kernel_cache  _jit  _estimator  _archive  history  _console  _progress
    data.encoder  data.sorting  data.ratings  data.dataset  data.demo  data.synthetic  data.activity  data.genres
    data.demographics  data.likeness  data.statistics  data.inputs  data
    readers.files  readers.table  readers.sniffing  readers.bad_lines  readers.binary  readers.text  readers.cache
    readers.movielens  readers.catalogue  readers.load  readers
    problem.factors  problem.objective  problem.initialisers  problem.preference  problem
    evaluation.splits  evaluation.metrics  evaluation.baselines
    solvers.base  solvers.extrapolation  solvers.rows  solvers.exact_rows  solvers.grid  solvers.stochastic
    solvers.sgd  solvers.*  solvers
    training  checkpoint
    fitted.top_n  fitted.similarity  fitted.state  fitted.fold_in  fitted.update  fitted.lists
    fitted.factor_statistics  fitted.explanation  fitted.model_file  fitted.export  fitted.titles  fitted
    fitting  model
    evaluation.cross_validation  evaluation.diagnosis  evaluation.comparison  evaluation.demonstrations
    evaluation.tuning  evaluation
    plots.style  plots.labels  plots.heatmap  plots.dataset.*  plots.dataset  plots.factors.*  plots.factors
    plots.predictions.*  plots.predictions  plots.*  plots.model  plots
    report.markup  report.pictures  report.material  report.*  report
    cli._complete  cli._common  cli._scores  cli._runs  cli._ids  cli._resume  cli._drawing  cli.train
    cli.plot.*  cli.plot  cli.*  cli  __init__  __main__
    """,
)
"""From the ground up: a module imports only from those before it. A star stands for siblings, which never meet."""

MAY_IMPORT = {
    "pandas": "data.* readers.* fitted.* model evaluation.* report.* plots.* cli.*",
    "matplotlib": "plots.*",
    "llvmlite": "_jit",
    "numba": "_kernel_cache _jit solvers.* problem.* data.sorting training evaluation.metrics fitted.top_n",
    "scipy": "data.* solvers.* problem.initialisers problem.objective fitted.*",
    "sklearn": "_estimator",
    "pooch": "readers.catalogue",
    "safetensors": "_archive",
    "pyarrow": "readers.binary fitted.export",
    "typer": "cli.* cli",
    "rich": "_console _progress cli.* cli",
    "IPython": "_progress",
    "networkx": "plots.*",
    "squarify": "plots.*",
}
"""Third-party packages and the modules that may use them. NumPy may be used anywhere, types from anywhere."""

PANDAS_INSIDE = {"history": "to_frame"}
"""Other modules that may import pandas, but within this function only."""

HOOKS = {"model": ("plot", "plots.model")}
"""The one import that goes upward: within this function, which draws a model when it is asked to."""

PRIVATE_TO_EACH_OTHER = {"model", "fitted.model_file"}
"""The model file makes an `NMF` without a fit."""

PRIVATE_ELSEWHERE = {
    "_jit": {"_cache"},
    "_kernel_cache": {"_reduce", "_rebuild"},
    "data.inputs": {"_getframe"},
}
"""Private names of other packages that a module cannot do without."""

MAX_LEVELS, MAX_TOP = 10, 18
"""Levels of imports between wings, and modules at the top."""

MAX_LINES, MAX_BODY, MAX_ARGUMENTS = 600, 40, 10
MAX_MANUAL = 700
"""Lines of `model`: one class in one file, whose docstrings are the manual of every parameter and question."""
"""A file is as long as its subject: the first limit catches what has two."""
MANY_ARGUMENTS = {"NMF.__init__", "load_dataset"}


def name_of(path):
    """Name a module without the package: data.encoder, solvers (its __init__), __init__ (the package's own)."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}
TWINS = {path.name: path for path in sorted((TESTS / "reference").rglob("*.py"))}
TEST_FILES = {str(path.relative_to(TESTS)): path for path in sorted(TESTS.rglob("*.py"))}


@cache
def parsed(path):
    """Return the syntax tree of a file, which no rule changes, and its text."""
    text = path.read_text(encoding="utf-8")
    return ast.parse(text), text


def layer_of(module):
    """Return the position in LAYERS, None outside; a module's own name goes before a star."""
    return next(
        chain(
            (rank for rank, layer in enumerate(LAYERS) if layer == module),
            (rank for rank, layer in enumerate(LAYERS) if "*" in layer and fnmatchcase(module, layer)),
        ),
        None,
    )


def imports_of(tree):
    """Yield (line, module, name) for each name imported anywhere; the name is None for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, "." * node.level + (node.module or ""), alias.name) for alias in node.names)


def dotted(node):
    """Return the dotted name that an expression spells (np.random.seed), or as much of it as is spelled."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def names_in(tree):
    """Yield (line, dotted name) of everything that is referred to."""
    return ((node.lineno, dotted(node)) for node in ast.walk(tree) if isinstance(node, ast.Attribute | ast.Name))


def functions_of(tree, prefix=""):
    """Yield (qualified name, node) of each function and method; what a function defines inside is its own business."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield prefix + node.name, node
        elif not isinstance(node, ast.expr):
            yield from functions_of(node, f"{prefix}{node.name}." if isinstance(node, ast.ClassDef) else prefix)


def arguments_of(function):
    spec = function.args
    names = [argument.arg for argument in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]


def decorators_of(node):
    return [dotted(part.func if isinstance(part, ast.Call) else part) for part in node.decorator_list]


def lines_of(tree, choose):
    """Return the numbers of the lines that the chosen nodes span."""
    chosen = (node for node in ast.walk(tree) if choose(node))
    return set(chain.from_iterable(range(node.lineno, node.end_lineno + 1) for node in chosen))


def for_types_only(node):
    return isinstance(node, ast.If) and dotted(node.test) == "TYPE_CHECKING"


# The rules. Each takes the module's name, its tree and its text.


def imports_from_below_only(module, tree, text):
    rank = layer_of(module)
    if rank is None:
        yield 1, f"{module} has no place in LAYERS: insert it above all that it imports"
        return
    hook, above = HOOKS.get(module, ("", ""))
    within = lines_of(tree, lambda node: getattr(node, "name", "") == hook) if hook else set()
    for line, source, name in imports_of(tree):
        inner = source.removeprefix("nmf_scratch").removeprefix(".")
        if source.split(".")[0] == "nmf_scratch":
            wanted = f"{inner}.{name}".strip(".")
            wanted = wanted if wanted in SOURCES else inner or "__init__"
            allowed = wanted == module or (wanted == above and line in within)
            if not allowed and (layer_of(wanted) is None or layer_of(wanted) >= rank):
                yield line, f"{module} may not import {wanted}"


def imports_absolutely(module, tree, text):
    yield from ((line, source) for line, source, _ in imports_of(tree) if source.startswith("."))


def imports_what_it_may(module, tree, text):
    types = lines_of(tree, for_types_only)
    inside = lines_of(tree, lambda node: getattr(node, "name", "") == PANDAS_INSIDE.get(module, "-"))
    for line, source, _ in imports_of(tree):
        package = source.split(".")[0]
        allowed = any(fnmatchcase(module, pattern) for pattern in MAY_IMPORT.get(package, "").split())
        free = package in sys.stdlib_module_names | {"nmf_scratch", "numpy", ""} or line in types
        if not (allowed or free or (package == "pandas" and line in inside)):
            yield line, f"{module} may not import {package}"


def prints_only_on_the_command_line(module, tree, text):
    yield from ((line, name) for line, name in names_in(tree) if name == "print" and module.split(".")[0] != "cli")


def leaves_the_global_generator_alone(module, tree, text):
    # Lower-case names of np.random draw from, or change, one hidden state; default_rng is the exception.
    state = re.compile(r"(np|numpy)\.random\.(?!default_rng\b)[a-z]\w*")
    yield from ((line, name) for line, name in names_in(tree) if state.fullmatch(name))


def leaves_private_names_to_their_module(module, tree, text):
    """`self._x` and what a module defines itself are its own business, and named tuples begin their methods so."""
    if module in PRIVATE_TO_EACH_OTHER:
        return
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and dotted(node.value) == "self"}
    public = {"_asdict", "_fields", "_make", "_replace", *PRIVATE_ELSEWHERE.get(module, ())}
    private = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and re.match(r"_[^_]", node.attr))
    for node in private:
        if dotted(node.value) not in ("self", "cls") and node.attr not in own | public:
            yield node.lineno, f"{dotted(node.value)}.{node.attr}"


def makes_generators_in_one_place(module, tree, text):
    makers = re.compile(r"(np|numpy)\.random\.(default_rng|RandomState|SeedSequence|Philox|PCG64|MT19937|SFC64)")
    if module != "_random":
        yield from ((line, name) for line, name in names_in(tree) if makers.fullmatch(name))
        yield from ((line, source) for line, source, _ in imports_of(tree) if source.startswith("numpy.random"))


def decorates_kernels_in_one_way(module, tree, text):
    if module in ("_jit", "_kernel_cache"):
        return
    imported = ((line, source, name) for line, source, name in imports_of(tree) if source.split(".")[0] == "numba")
    yield from ((line, f"{source} {name}") for line, source, name in imported if name not in (None, "prange"))
    yield from ((line, name) for line, name in names_in(tree) if re.fullmatch(r"(numba|nb)\.(?!prange$).+", name))


def keeps_kernels_at_module_level(module, tree, text):
    nested = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node not in tree.body)
    for node in nested:
        if {name.split(".")[-1] for name in decorators_of(node)} & {"kernel", "parallel_kernel"}:
            yield node.lineno, node.name


def assigns_no_array_to_a_slice_in_a_kernel(module, tree, text):
    """Numba compiles text for the error that shapes differ: seconds for each such line."""
    for name, node in functions_of(tree):
        if {part.split(".")[-1] for part in decorators_of(node)} & {"kernel", "parallel_kernel"}:
            for part in ast.walk(node):
                targets = part.targets if isinstance(part, ast.Assign) else []
                targets = [t for target in targets for t in getattr(target, "elts", [target])]
                slices = [t for t in targets if isinstance(t, ast.Subscript) and any_slice(t.slice)]
                if slices and not isinstance(part.value, ast.Constant):
                    yield part.lineno, name


def any_slice(index):
    return any(isinstance(part, ast.Slice) for part in getattr(index, "elts", [index]))


def leaves_nothing_unfinished(module, tree, text):
    excuses = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "pragma: no cov" + "er", r"type: ignore(?!\[)"]))
    yield from ((n, line.strip()) for n, line in enumerate(text.splitlines(), start=1) if excuses.search(line))


def keeps_files_short(module, tree, text):
    if (count := len(text.splitlines())) > (MAX_MANUAL if module == "model" else MAX_LINES):
        yield count, f"{count} lines"


def keeps_functions_short(module, tree, text):
    for name, node in functions_of(tree):
        first, *rest = node.body
        start = (rest[0] if rest and ast.get_docstring(node) else first).lineno
        if (count := node.end_lineno - start + 1) > MAX_BODY:
            yield node.lineno, f"the body of {name} has {count} lines"


def takes_few_arguments(module, tree, text):
    if module.split(".")[0] == "cli":  # there, each argument is an option of a command
        return
    for name, node in functions_of(tree):
        if len(arguments_of(node)) > MAX_ARGUMENTS and name not in MANY_ARGUMENTS:
            yield node.lineno, f"{name} takes {len(arguments_of(node))} arguments"


def documents_what_is_public(module, tree, text):
    if not ast.get_docstring(tree):
        yield 1, "the module"
    classes = ((node.name, node) for node in tree.body if isinstance(node, ast.ClassDef))
    for name, node in chain(classes, functions_of(tree)):
        private = any(part.startswith("_") for part in name.split("."))
        setter = any(decorator.endswith(".setter") for decorator in decorators_of(node))
        if not (private or setter or ast.get_docstring(node)):
            yield node.lineno, name


def documents_the_arguments_there_are(module, tree, text):
    for name, node in functions_of(tree):
        found = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+$|\Z)", ast.get_docstring(node) or "", re.M | re.S)
        heads = re.findall(r"^(\*{0,2}\w[^:\n]*?)(?: :.*)?$", found[1], re.M) if found else []
        documented = {part.strip(" *") for head in heads for part in head.split(",")}
        stars = {argument.arg for argument in (node.args.vararg, node.args.kwarg) if argument}
        if documented and documented != {*arguments_of(node), *stars}:
            yield node.lineno, f"{name} documents {sorted(documented)}"


def says_what_it_returns(module, tree, text):
    yield from ((node.lineno, name) for name, node in functions_of(tree) if node.returns is None)


def imports_numpy_alone(module, tree, text):
    allowed = {"numpy", "__future__"}
    yield from ((line, source) for line, source, _ in imports_of(tree) if source.split(".")[0] not in allowed)


def asserts_its_comparisons(module, tree, text):
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.Expr))
    yield from ((node.lineno, "assert it") for node in statements if isinstance(node.value, ast.Compare))


def lets_no_test_escape(module, tree, text):
    for name, test in functions_of(tree):
        if name.split(".")[-1].startswith("test_"):
            nested = lines_of(test, lambda node, test=test: isinstance(node, ast.FunctionDef) and node is not test)
            escapes = (node for node in ast.walk(test) if isinstance(node, ast.Try | ast.Return))
            yield from ((node.lineno, name) for node in escapes if node.lineno not in nested)


LONG = "def f() -> None:\n" + "    x = 1\n" * (MAX_BODY + 1)
MANY = f"def f({', '.join(f'a{i}' for i in range(MAX_ARGUMENTS + 1))}): ..."
PARAMETERS = 'def f(a, b):\n    """Do.\n\n    Parameters\n    ----------\n    a, c : int\n        Both.\n    """'
RULES = [
    (imports_from_below_only, SOURCES, "problem.factors", "from nmf_scratch.model import NMF"),
    (imports_from_below_only, SOURCES, "problem.factors", "from nmf_scratch import training"),
    (imports_from_below_only, SOURCES, "solvers.sgd", "from nmf_scratch.solvers.multiplicative import f"),
    (imports_from_below_only, SOURCES, "a_module_without_a_layer", ""),
    (imports_absolutely, SOURCES, "model", "from . import factors"),
    (imports_what_it_may, SOURCES, "problem.factors", "import pandas as pd"),
    (imports_what_it_may, SOURCES, "history", "def other():\n    import pandas"),
    (imports_what_it_may, SOURCES, "cli.train", "from matplotlib import pyplot"),
    (imports_what_it_may, SOURCES, "model", "def fit():\n    import torch"),
    (prints_only_on_the_command_line, SOURCES, "model", "print(1)"),
    (leaves_the_global_generator_alone, SOURCES, "problem.factors", "np.random.seed(0)"),
    (leaves_the_global_generator_alone, TEST_FILES, "test_factors", "x = numpy.random.rand(3)"),
    (leaves_private_names_to_their_module, SOURCES, "cli.recommend", "known = model._codes(user)"),
    (makes_generators_in_one_place, SOURCES, "problem.factors", "np.random.default_rng(0)"),
    (decorates_kernels_in_one_way, SOURCES, "problem.factors", "from numba import njit"),
    (decorates_kernels_in_one_way, SOURCES, "problem.factors", "@numba.njit(cache=True)\ndef f(): ..."),
    (keeps_kernels_at_module_level, SOURCES, "problem.factors", "def f():\n    @kernel\n    def g(): ..."),
    (assigns_no_array_to_a_slice_in_a_kernel, SOURCES, "solvers.als", "@kernel\ndef f(w, x):\n    w[:] = x"),
    (
        assigns_no_array_to_a_slice_in_a_kernel,
        SOURCES,
        "problem.factors",
        "@kernel\ndef f(w, x):\n    w[0, 1:], y = x, 2",
    ),
    (leaves_nothing_unfinished, SOURCES, "problem.factors", "# TO" + "DO: later"),
    (leaves_nothing_unfinished, SOURCES, "problem.factors", "x = 1  # type: ignore"),
    (keeps_files_short, SOURCES, "problem.factors", "\n" * (MAX_LINES + 1)),
    (keeps_functions_short, SOURCES, "problem.factors", LONG),
    (takes_few_arguments, SOURCES, "problem.factors", MANY),
    (documents_what_is_public, SOURCES, "history", '"""A module."""\ndef f(): ...'),
    (
        documents_what_is_public,
        SOURCES,
        "problem.factors",
        '"""A module."""\nclass A:\n    """A."""\n    def f(self): ...',
    ),
    (documents_what_is_public, SOURCES, "history", "x = 1"),
    (documents_the_arguments_there_are, SOURCES, "problem.factors", PARAMETERS),
    (says_what_it_returns, SOURCES, "problem.factors", "def f(): ..."),
    (imports_numpy_alone, TWINS, "twin", "from nmf_scratch import objective"),
    (asserts_its_comparisons, TEST_FILES, "test_factors", "def test_a():\n    x == 1"),
    (lets_no_test_escape, TEST_FILES, "test_factors", "def test_a():\n    try:\n        f()\n    finally: ..."),
    (lets_no_test_escape, TEST_FILES, "test_factors", "class TestA:\n    def test_a(self):\n        return f()"),
]


@pytest.mark.parametrize(
    ("rule", "files"),
    {(rule.__name__, id(files)): (rule, files) for rule, files, *_ in RULES}.values(),
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_package_keeps_the_rule(rule, files):
    assert files
    broken = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for module, path in files.items()
        for line, what in rule(module, *parsed(path))
    ]
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize(("rule", "files", "module", "text"), RULES, ids=lambda value: getattr(value, "__name__", ""))
def test_the_rule_catches_bad_code(rule, files, module, text):
    assert list(rule(module, ast.parse(text), text))


def imported_by(module):
    """Return the modules of the package that a module imports, wherever in its text; but for the hook's."""
    tree, _ = parsed(SOURCES[module])
    inner = ((source.removeprefix("nmf_scratch").strip("."), name) for _, source, name in imports_of(tree)
             if source.split(".")[0] == "nmf_scratch")  # fmt: skip
    found = {wanted if (wanted := f"{source}.{name}".strip(".")) in SOURCES else source for source, name in inner}
    return found - {HOOKS.get(module, ("", ""))[1]}


def test_wings_are_few_and_stand_on_each_other():
    """A wing is a folder, or a module at the top. Run with -s to see them, each with those that it stands on."""
    stands_on = {module.split(".")[0]: set() for module in SOURCES if not module.startswith("__")}
    for module in SOURCES:
        if (wing := module.split(".")[0]) in stands_on:
            stands_on[wing] |= {name.split(".")[0] for name in imported_by(module)} & stands_on.keys() - {wing}
    levels, left = [], dict(stands_on)
    while left:
        free = sorted(wing for wing, below in left.items() if not below & left.keys())
        assert free, f"these stand on each other in a circle: {sorted(left)}"
        levels.append(free)
        left = {wing: below for wing, below in left.items() if wing not in free}
    for number, level in enumerate(levels, start=1):
        print(number, *(f"{wing} ({', '.join(sorted(stands_on[wing]))})" for wing in level), sep="\n    ")
    assert len(levels) <= MAX_LEVELS
    assert len([wing for wing in stands_on if wing in SOURCES and SOURCES[wing].name != "__init__.py"]) <= MAX_TOP


def run(script, **environment):
    """Run a script in a fresh process that finds this checkout, and return the words that it prints."""
    path = os.pathsep.join([str(SOURCE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_the_package_loads_no_heavy_library():
    loaded = set(run("import nmf_scratch, sys; print(*sys.modules)"))
    assert "nmf_scratch" in loaded
    assert loaded & {"matplotlib", "numba", "pandas", "scipy", "sklearn"} == set()


def test_importing_every_module_below_the_plots_compiles_nothing():
    """A kernel without signatures has not been compiled."""
    modules = [f"nmf_scratch.{name}" for name in SOURCES if not name.startswith(("cli", "plots", "report", "__"))]
    script = f"""
        import importlib, sys
        from numba.core.dispatcher import Dispatcher

        for module in {modules}:
            importlib.import_module(module)
        ours = [module for name, module in sys.modules.items() if name.startswith("nmf_scratch")]
        kernels = [value for module in ours for value in vars(module).values() if isinstance(value, Dispatcher)]
        print(len(kernels) > 0, sum(len(kernel.signatures) for kernel in kernels), "matplotlib" in sys.modules)
    """
    assert run(script, NUMBA_DISABLE_JIT="0") == ["True", "0", "False"]
