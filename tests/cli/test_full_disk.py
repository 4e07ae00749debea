"""A disk that is full: one line that names the file, and nothing is lost that was there."""

import pytest

resource = pytest.importorskip("resource")

LIMIT = 6_000
"""Bytes that a file may have while the disk is "full"."""


@pytest.fixture
def full_disk():
    """Let no file grow: a write beyond the limit fails as it would on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("train -d {shop} -k 2 --folds 2 --max-iter 2 -o {out}", "model.safetensors"),
        ("train -d {shop} -k 2 --folds 2 --max-iter 2 -o {out} --checkpoint {out}/ck", "ck"),
        ("export --run {model} -o {out}/tables", "_factors.csv"),
        ("plot factors --model {model} -o {out}", ".png"),
        ("report --model {model} --output {out}/report.html", "report.html"),
        ("compare -d {shop} --folds 2 --max-iter 2 mu cd -o {out}", ".png"),
    ],
    ids=lambda text: text.split()[0],
)
def test_a_full_disk_ends_in_a_line_that_names_the_file(cli, shop, demo_runs, tmp_path, full_disk, command, file):
    (tmp_path / "before").write_text("here")
    model = demo_runs / "latest" / "model.safetensors"
    done = cli(*command.format(shop=shop, out=tmp_path, model=model).split())
    assert done.code == 2
    errors = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "File too large" in errors[0]
    assert file in done.err.rsplit("error: ", 1)[1].replace("\n", "")
    assert everything(tmp_path)[tmp_path / "before"] == b"here"
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]


def test_an_old_model_survives_a_save_that_fails(cli, demo_runs, tmp_path, full_disk):
    from nmf_scratch import NMF

    model = NMF.load(demo_runs / "latest" / "model.safetensors")
    (tmp_path / "m.safetensors").write_bytes(b"old")
    with pytest.raises(OSError, match=r"File too large: '.*m\.safetensors'"):
        model.save(tmp_path / "m.safetensors")
    assert everything(tmp_path) == {tmp_path / "m.safetensors": b"old"}
