"""A run that is interrupted and resumed ends with the bits of one that was not: per solver, per moment, per kill."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time

import numba
import numpy as np
import pandas as pd
import pytest
from problems import OBJECTIVES, small_ratings

from nmf_scratch import NMF, InputError, checkpoint
from nmf_scratch._archive import load_arrays
from nmf_scratch.checkpoint import Checkpoint, Keeper
from nmf_scratch.problem.factors import scaled_start
from nmf_scratch.solvers import SGD, SOLVERS, AdaGrad, AlternatingLeastSquares, CoordinateDescent, MultiplicativeUpdates
from nmf_scratch.training import Monitor, Stopping, fit_factors

RATINGS = small_ratings(1)
ORDER = np.random.default_rng(0).permutation(len(RATINGS))
TRAIN, VALID = RATINGS.take(ORDER[25:]), RATINGS.take(ORDER[:25])
EPOCHS = 5

VARIANTS = [
    *(solver() for solver in SOLVERS.values()),
    *(solver(schedule=schedule) for solver in SOLVERS.values() if solver.stochastic
      for schedule in ("bold-driver", "inverse-time")),
    SGD(momentum=0.5),
    AdaGrad(per="coordinate"),
    MultiplicativeUpdates(extrapolate=True),
    CoordinateDescent(extrapolate=True),
    AlternatingLeastSquares(extrapolate=True, method="descent"),
]  # fmt: skip
"""Every solver, and every option that makes one remember something."""


def fit(solver, stopping=None, *, dtype="float32", callbacks=(), every=1, **settings):
    start = scaled_start(TRAIN, 3, dtype=dtype, key=1)
    stopping = stopping or Stopping(EPOCHS)
    monitor = Monitor(callbacks=callbacks, every=every)
    observer = Keeper(settings.pop("checkpoint")) if "checkpoint" in settings else None
    problem = TRAIN, start, solver, OBJECTIVES["count"], stopping
    return fit_factors(*problem, monitor=monitor, key=7, observer=observer, **settings)


def interrupt_at(epoch):
    def press(record, factors):
        if record.epoch == epoch:
            raise KeyboardInterrupt

    return press


def assert_same_run(resumed, whole):
    for side in ("W", "H"):
        np.testing.assert_array_equal(getattr(resumed.factors, side), getattr(whole.factors, side))
    frames = [run.history.to_frame() for run in (resumed, whole)]
    assert frames[0]["seconds"].is_monotonic_increasing
    pd.testing.assert_frame_equal(*(frame.drop(columns="seconds") for frame in frames), check_exact=True)
    assert (resumed.stop_reason, resumed.history.events) == (whole.stop_reason, whole.history.events)


class TestSameBits:
    @pytest.mark.parametrize("solver", VARIANTS, ids=str)
    def test_interrupted_after_each_epoch_and_resumed(self, tmp_path, solver):
        whole = fit(solver)
        for epoch in range(EPOCHS + 1):
            path = tmp_path / f"{epoch}.npz"
            first = fit(solver, checkpoint=Checkpoint(path), callbacks=[interrupt_at(epoch)])
            assert first.stop_reason == "interrupted"
            assert Checkpoint(path, resume=True).saved.epoch == epoch
            assert_same_run(fit(solver, checkpoint=Checkpoint(path, resume=True)), whole)

    @pytest.mark.parametrize("solver", VARIANTS, ids=str)
    def test_interrupted_after_every_epoch_of_one_run(self, tmp_path, solver):
        for epoch in range(EPOCHS + 1):
            settings = Checkpoint(tmp_path / "c.npz", resume=True)
            fit(solver, checkpoint=settings, callbacks=[interrupt_at(epoch)], dtype="float64")
        resumed = fit(solver, checkpoint=Checkpoint(tmp_path / "c.npz", resume=True), dtype="float64")
        assert_same_run(resumed, fit(solver, dtype="float64"))

    @pytest.mark.parametrize("solver", VARIANTS, ids=str)
    def test_ctrl_c_in_the_middle_of_an_epoch_keeps_the_one_before(self, tmp_path, solver, monkeypatch):
        whole, plain_epoch, calls = fit(solver), type(solver).epoch, []

        def half_an_epoch(self, state):
            plain_epoch(self, state)
            calls.append(state)
            if len(calls) == 4:  # one of them is the warm-up
                state["W"][::2] = 77
                raise KeyboardInterrupt

        monkeypatch.setattr(type(solver), "epoch", half_an_epoch)
        assert fit(solver, checkpoint=Checkpoint(tmp_path / "c.npz")).stop_reason == "interrupted"
        monkeypatch.undo()
        assert Checkpoint(tmp_path / "c.npz", resume=True).saved.epoch == 2
        assert_same_run(fit(solver, checkpoint=Checkpoint(tmp_path / "c.npz", resume=True)), whole)

    @pytest.mark.parametrize("every", [2, 3])
    def test_with_a_sparse_monitor(self, tmp_path, every):
        settings = {"every": every, "stopping": Stopping(7)}
        fit(SGD(momentum=0.5), **settings, checkpoint=Checkpoint(tmp_path / "c"), callbacks=[interrupt_at(2 * every)])
        resumed = fit(SGD(momentum=0.5), **settings, checkpoint=Checkpoint(tmp_path / "c", resume=True))
        assert_same_run(resumed, fit(SGD(momentum=0.5), **settings))


class TestStopping:
    @pytest.mark.parametrize(
        ("solver", "stopping", "settings", "reason"),
        [
            (MultiplicativeUpdates(), Stopping(500, tol=1e-2), {}, "converged"),
            (CoordinateDescent(), Stopping(500, kkt_tol=0.1), {}, "kkt"),
            (SGD(step=0.3), Stopping(200, patience=3), {"valid": VALID}, "no_improvement"),
            (SGD(step=100.0), Stopping(6), {}, "max_iter"),
            (SGD(step=1e30), Stopping(6), {}, "diverged"),
        ],
    )
    @pytest.mark.parametrize("back", [0, 1, 2, 3])
    def test_the_resumed_run_ends_where_and_as_the_whole_one_does(
        self, tmp_path, solver, stopping, settings, reason, back
    ):
        """Also if it was interrupted after its last epoch, before it could say that it was the last."""
        whole = fit(solver, stopping, **settings)
        assert whole.stop_reason == reason
        last = max(0, whole.history.records[-1].epoch - back)
        fit(solver, stopping, **settings, checkpoint=Checkpoint(tmp_path / "c"), callbacks=[interrupt_at(last)])
        assert_same_run(fit(solver, stopping, **settings, checkpoint=Checkpoint(tmp_path / "c", resume=True)), whole)

    def test_a_run_that_is_complete_is_returned_without_an_epoch(self, tmp_path):
        whole = fit(SGD(), checkpoint=Checkpoint(tmp_path / "c"), valid=VALID)
        seen = []
        again = fit(SGD(), checkpoint=Checkpoint(tmp_path / "c", resume=True), valid=VALID, callbacks=[seen.append])
        assert_same_run(again, whole)
        assert again.history.records[-1].seconds == whole.history.records[-1].seconds
        assert seen == []

    def test_a_run_that_a_callback_stopped_can_go_on(self, tmp_path):
        stopped = fit(SGD(), checkpoint=Checkpoint(tmp_path / "c"), callbacks=[lambda record, _: record.epoch == 2])
        assert stopped.stop_reason == "callback"
        assert_same_run(fit(SGD(), checkpoint=Checkpoint(tmp_path / "c", resume=True)), fit(SGD()))


class TestFile:
    def test_without_a_file_a_resumed_run_begins_at_the_start(self, tmp_path):
        """So that the same command can be started again and again until it is through."""
        assert_same_run(fit(SGD(), checkpoint=Checkpoint(tmp_path / "c", resume=True)), fit(SGD()))

    def test_a_file_is_not_overwritten_by_a_run_that_does_not_resume_it(self, tmp_path):
        (tmp_path / "c").touch()
        with pytest.raises(InputError, match=r"checkpoint='.*c' exists: pass resume to go on from it, or delete it"):
            Checkpoint(tmp_path / "c")

    def test_a_missing_folder_is_refused_before_the_work(self, tmp_path):
        with pytest.raises(InputError, match=r"checkpoint='.*c' is in a folder that does not exist"):
            Checkpoint(tmp_path / "nowhere" / "c")

    def test_a_model_file_is_no_checkpoint(self, tmp_path):
        NMF(2, max_iter=1).fit(RATINGS).save(tmp_path / "c")
        with pytest.raises(InputError, match="is not a checkpoint file of nmf-scratch: it is a model"):
            fit(SGD(), checkpoint=Checkpoint(tmp_path / "c", resume=True))

    @pytest.mark.parametrize(
        ("seconds", "cost", "expected"), [(0, 0, 7), (0, 100, 7), (2.5, 0, 3), (1000, 0, 2), (0.001, 1, 2)]
    )
    def test_it_is_written_every_few_seconds_and_takes_little_time(
        self, tmp_path, monkeypatch, seconds, cost, expected
    ):
        """The clock ticks once per epoch; the start, and each end, are always written."""
        clock, written = [0.0], []

        def save(*args, **options):
            written.append(clock[0])
            clock[0] += cost

        monkeypatch.setattr(checkpoint, "save_arrays", save)
        monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
        tick = [lambda record, factors: clock.__setitem__(0, clock[0] + 1)]
        fit(SGD(), checkpoint=Checkpoint(tmp_path / "c", seconds=seconds), callbacks=tick)
        assert len(written) == expected

    def test_what_a_killed_writer_left_is_swept_away(self, tmp_path):
        script = "import sys, pathlib; from nmf_scratch._archive import draft; draft(pathlib.Path(sys.argv[1])).touch()"
        for name in ("c", "other"):
            subprocess.run([sys.executable, "-c", script, tmp_path / name], check=True)
        fit(SGD(), checkpoint=Checkpoint(tmp_path / "c"))
        litter, kept = sorted(path.name for path in tmp_path.iterdir())
        assert (litter.startswith(".other."), kept) == (True, "c")

    def test_a_place_that_cannot_be_written_is_known_before_the_work(self, tmp_path, monkeypatch):
        def refuse(*args, **kwargs):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(checkpoint.Path, "touch", refuse)
        with pytest.raises(InputError, match=r"checkpoint='.*c' cannot be written: Permission denied"):
            Checkpoint(tmp_path / "c")

    def test_a_note_of_the_caller_is_kept(self, tmp_path):
        fit(SGD(), checkpoint=Checkpoint(tmp_path / "c", note={"scores": [1, 2.5]}))
        assert load_arrays(tmp_path / "c", kind="checkpoint")[1]["note"] == {"scores": [1, 2.5]}

    def test_data_of_the_ratings_stay_outside(self, tmp_path):
        """A checkpoint has the size of the factors, not of the ratings."""
        for solver in VARIANTS:
            path = tmp_path / f"{VARIANTS.index(solver)}"
            fit(solver, checkpoint=Checkpoint(path))
            arrays = load_arrays(path, kind="checkpoint")[0]
            assert {"W", "H", "history"} <= arrays.keys()
            assert (len(TRAIN),) not in {array.shape for array in arrays.values()}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "c.npz"
    fit(SGD(), checkpoint=Checkpoint(path), callbacks=[interrupt_at(2)])
    return path


class TestOtherProblems:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"solver": SGD(step=0.2)}, "its run had solver={.*'step': 0.1.*}, not {.*'step': 0.2.*}; give what it"),
            ({"solver": MultiplicativeUpdates()}, "its run had solver={'name': 'sgd'.*}, not {'name': 'mu'"),
            ({"objective": OBJECTIVES["lasso"]}, "its run had l1_ratio=0.0, not 0.6"),
            ({"stopping": Stopping(9)}, "its run had max_iter=5, not 9"),
            ({"key": 8}, "its run had random_state=7, not 8"),
            ({"monitor": Monitor(every=2)}, "its run had every=1, not 2"),
            ({"valid": VALID}, "its run had other validation ratings"),
            ({"train": TRAIN.with_values(TRAIN.values * 2)}, "its run had other training ratings"),
            ({"factors": scaled_start(TRAIN, 4, key=1)}, "its run had n_components=3, not 4"),
            ({"factors": scaled_start(TRAIN, 3, key=1, biases=False)}, "its run had biases=True, not False"),
            ({"factors": scaled_start(TRAIN, 3, key=1, dtype="float64")}, "its run had dtype='float32', not 'float64'"),
            ({"factors": scaled_start(TRAIN, 3, key=2)}, "its run had other starting factors"),
        ],
    )
    def test_are_refused_by_name(self, path, changes, message):
        same = {
            "train": TRAIN, "factors": scaled_start(TRAIN, 3, key=1), "solver": SGD(), "objective": OBJECTIVES["count"],
            "stopping": Stopping(EPOCHS), "key": 7, "observer": Keeper(Checkpoint(path, resume=True)),
        }  # fmt: skip
        with pytest.raises(InputError, match=f"^cannot resume from .*: {message}"):
            fit_factors(**{**same, **changes})

    def test_another_version_of_the_package_is_refused(self, path, monkeypatch):
        monkeypatch.setattr(checkpoint, "__version__", "99.0")
        with pytest.raises(InputError, match=r"its run had package version='.*', not '99\.0'"):
            fit(SGD(), checkpoint=Checkpoint(path, resume=True))

    def test_what_changes_no_result_may_change(self, path, tmp_path):
        shutil.copy(path, tmp_path / "c")
        assert_same_run(fit(SGD(), checkpoint=Checkpoint(tmp_path / "c", resume=True), n_threads=2), fit(SGD()))


FRAME = pd.DataFrame({"user": TRAIN.users, "item": TRAIN.items, "rating": TRAIN.values * 2})


@pytest.mark.filterwarnings("ignore:Ctrl-C ended the fit")
class TestEstimator:
    def interrupted(self, path, X=FRAME, epoch=2, **parameters):
        given = {"max_iter": 4, "random_state": 3, **parameters, "callbacks": [interrupt_at(epoch)]}
        return NMF(2, **given).fit(X, checkpoint=Checkpoint(path, seconds=0))

    @pytest.mark.parametrize("parameters", [{}, {"early_stopping": True}, {"init": "nndsvda", "solver": "cd"}])
    def test_a_resumed_fit_is_the_fit(self, tmp_path, parameters):
        self.interrupted(tmp_path / "c", **parameters)
        whole, resumed = (NMF(2, max_iter=4, random_state=3, **parameters) for _ in range(2))
        whole.fit(FRAME)
        resumed.fit(FRAME, checkpoint=tmp_path / "c", resume=True)
        np.testing.assert_array_equal(resumed.predict(FRAME), whole.predict(FRAME))
        np.testing.assert_array_equal(resumed.W_, whole.W_)
        assert (resumed.n_iter_, resumed.stop_reason_) == (whole.n_iter_, whole.stop_reason_)

    def test_without_a_seed_the_key_comes_from_the_file(self, tmp_path):
        first = self.interrupted(tmp_path / "c", random_state=None)
        resumed = NMF(2, max_iter=4).fit(FRAME, checkpoint=str(tmp_path / "c"), resume=True)
        assert resumed.key_ == first.key_
        np.testing.assert_array_equal(resumed.W_, NMF(2, max_iter=4, random_state=first.key_).fit(FRAME).W_)

    def test_other_ids_are_other_data(self, tmp_path):
        self.interrupted(tmp_path / "c")
        with pytest.raises(InputError, match="its run had other ids"):
            NMF(2, max_iter=4, random_state=3).fit(
                FRAME.assign(user=FRAME["user"] + 100), checkpoint=tmp_path / "c", resume=True
            )

    def test_resume_without_a_file_name_is_refused(self):
        with pytest.raises(InputError, match="resume=True needs a checkpoint to go on from"):
            NMF().fit(FRAME, resume=True)


SCRIPT = """
import sys
import numpy as np
from nmf_scratch import NMF
from nmf_scratch.checkpoint import Checkpoint, Keeper

solver, path, result, max_iter = sys.argv[1:]
rng = np.random.default_rng(0)
pairs = np.argwhere(rng.random((150, 100)) < 0.3)
settings = Checkpoint(path, resume=True, seconds=0)
model = NMF(8, solver=solver, max_iter=int(max_iter), tol=0, random_state=0)
model.fit(pairs, rng.integers(1, 6, len(pairs)), checkpoint=settings)
np.savez(result, W=model.W_, H=model.H_, bias=model.item_bias_)
"""


def start(solver, folder, result, max_iter):
    words = [sys.executable, "-c", SCRIPT, solver, folder / "c.npz", folder / result, str(max_iter)]
    return subprocess.Popen(words, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))})


def killed_and_resumed(solver, folder, n_kills, max_iter, rng, longest=0.1):
    """Kill the run again and again, within `longest` seconds of new epochs; return which, and the final factors."""
    epochs = []
    while len(epochs) < n_kills:
        process = start(solver, folder, "killed.npz", max_iter)
        before = epochs[-1] if epochs else -1
        while process.poll() is None and epoch_in(folder) <= before:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, longest))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it was through before it was killed: raise max_iter"
        epochs.append(epoch_in(folder))
    assert start(solver, folder, "killed.npz", max_iter).wait() == 0
    return epochs, dict(np.load(folder / "killed.npz"))


def epoch_in(folder):
    if not (folder / "c.npz").exists():
        return -1
    return Checkpoint(folder / "c.npz", resume=True).saved.epoch


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="hundreds of epochs: minutes without Numba")
def test_killed_at_random_moments_and_resumed_the_bits_are_the_same(tmp_path):
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    uninterrupted = start("adam", tmp_path / "whole", "whole.npz", 150)
    epochs, factors = killed_and_resumed("adam", tmp_path / "killed", 2, 150, np.random.default_rng(0))
    assert len(set(epochs)) == 2
    assert uninterrupted.wait() == 0
    for name, whole in np.load(tmp_path / "whole" / "whole.npz").items():
        np.testing.assert_array_equal(factors[name], whole)


def test_the_variants_leave_no_option_out():
    """Whoever adds an option to a solver has to look whether it makes the solver remember something."""
    seen = {(type(solver).__name__, field.name) for solver in VARIANTS for field in dataclasses.fields(solver)}
    harmless = {"step", "decay", "growth", "tolerance", "beta1", "beta2", "initial", "n_blocks"}
    harmless |= {"inner_sweeps", "inner_steps", "descent_sweeps"}
    known = harmless | {"schedule", "momentum", "per", "extrapolate", "method"}
    assert {name for _, name in seen} == known
