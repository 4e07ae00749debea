import stat
import zipfile

import pytest

from nmf_scratch._check import InputError
from nmf_scratch.readers import files
from nmf_scratch.readers.files import unzip


@pytest.fixture(autouse=True)
def nothing_temporary_is_left(tmp_path):
    yield
    assert not list(tmp_path.rglob(".*"))


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_an_archive_of_one_folder_becomes_that_folder(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"ml-10M100K/ratings.dat": "x", "ml-10M100K/deep/b": "y", "__MACOSX/junk": ""})
    folder = unzip(archive, tmp_path / "ml-10m")
    assert folder == tmp_path / "ml-10m"
    assert folder.joinpath("ratings.dat").read_text() == "x"
    assert folder.joinpath("deep/b").read_text() == "y"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.zip", "ml-10m"]


def test_an_archive_of_files_is_put_into_a_folder(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"ratings.csv": "x", "movies.csv": "y"})
    assert sorted(file.name for file in unzip(archive, tmp_path / "b").iterdir()) == ["movies.csv", "ratings.csv"]


def test_an_old_folder_is_replaced(tmp_path):
    tmp_path.joinpath("b").mkdir()
    tmp_path.joinpath("b/stale").write_text("old")
    archive = zipped(tmp_path / "a.zip", {"fresh": "new", "other": ""})
    assert sorted(file.name for file in unzip(archive, tmp_path / "b").iterdir()) == ["fresh", "other"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "\\evil", "C:\\evil", "a\\..\\..\\evil"])
def test_members_outside_the_folder_are_refused(tmp_path, name):
    archive = zipped(tmp_path / "a.zip", {"fine": "", name: "x"})
    with pytest.raises(InputError, match="would land outside its folder; refused"):
        unzip(archive, tmp_path / "b")
    assert not list(tmp_path.rglob("evil*"))


def test_names_that_no_file_system_holds_are_refused(tmp_path):
    with pytest.raises(InputError, match="a name that file systems cannot hold; refused"):
        unzip(zipped(tmp_path / "a.zip", {"a/" + "x" * 256: "x"}), tmp_path / "b")


def test_a_file_without_a_name_is_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"nameless": "x"})
    archive.write_bytes(archive.read_bytes().replace(b"nameless", b"\0ameless"))  # a name ends at its first zero
    with pytest.raises(InputError, match="holds a file without a name; refused"):
        unzip(archive, tmp_path / "b")


def test_links_are_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as content:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        content.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="holds 'link', a link; refused"):
        unzip(archive, tmp_path / "b")
    assert not tmp_path.joinpath("b").exists()


def test_absurd_sizes_are_refused(tmp_path, monkeypatch):
    archive = zipped(tmp_path / "a.zip", {"one": "x" * 60, "two": "y" * 60})
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 120)
    unzip(archive, tmp_path / "b")
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 119)
    with pytest.raises(InputError, match="would unpack to more than 119 bytes; refused"):
        unzip(archive, tmp_path / "c")
    assert not tmp_path.joinpath("c").exists()


def test_bombs_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SMALL_BYTES", 2**16)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("ratings.csv", "1,2,3\n" * 200_000)
    with pytest.raises(InputError, match="unpacks to more than 100 times its .* bytes, as no table of ratings does"):
        unzip(archive, tmp_path / "b")
    monkeypatch.setattr(files, "MOST_MEMBERS", 1)
    with pytest.raises(InputError, match="holds 2 files, more than 1; refused"):
        unzip(zipped(tmp_path / "c.zip", {"one": "x", "two": "y"}), tmp_path / "d")


def test_encrypted_archives_are_refused(tmp_path):
    archive = zipped(tmp_path / "a.zip", {"secret": "x"})
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(raw)
    with pytest.raises(InputError, match="is encrypted; unpack it yourself and give the folder"):
        unzip(archive, tmp_path / "b")


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-30], lambda raw: b"no zip at all", lambda raw: raw.replace(b"xxxx", b"xyxx")]
)
def test_damaged_archives_are_refused(tmp_path, damage):
    archive = zipped(tmp_path / "a.zip", {"data": "x" * 50, "more": "z"})
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(InputError, match="is no complete zip archive .*; fetch it again"):
        unzip(archive, tmp_path / "b")
    assert not tmp_path.joinpath("b").exists()
