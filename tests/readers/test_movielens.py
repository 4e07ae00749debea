"""MovieLens folders in miniature, written here: no MovieLens row is copied."""

import shutil

import pandas as pd
import pytest

from nmf_scratch import load_dataset
from nmf_scratch._check import InputError
from nmf_scratch.readers.movielens import read_file, read_folder, year_of

GENRES = ["unknown", "Action", "Comedy", "Drama"]


@pytest.fixture
def ml_100k(tmp_path):
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    rows = [(1, 20, 3, 100), (2, 10, 5, 101), (1, 10, 4, 102), (3, 30, 1, 103), (2, 30, 2, 104)]
    folder.joinpath("u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    folder.joinpath("u.genre").write_text("".join(f"{name}|{i}\n" for i, name in enumerate(GENRES)) + "\n")
    folder.joinpath("u.user").write_text("1|24|M|technician|05711\n2|53|F|other|T8H1N\n3|23|M|writer|32067\n")
    folder.joinpath("u.item").write_text(
        '10|"Verte" Fée, La (1995)|01-Jan-1995||http://x|0|1|1|0\n20|Tide (1931) (V)|||http://y|0|0|0|1\n30|unknown||||1|0|0|0\n',
        encoding="latin-1",
    )
    for i, row in enumerate(rows):
        folder.joinpath(f"u{5 - i}.test").write_text("\t".join(map(str, row)) + "\n")
    return folder


def test_100k(ml_100k):
    dataset = read_folder(ml_100k)
    assert dataset.name == "ml-100k"
    assert dataset.ratings["item"].tolist() == [20, 10, 10, 30, 30]
    assert dataset.ratings["timestamp"].tolist() == [100, 101, 102, 103, 104]
    assert dataset.users.columns.tolist() == ["user", "age", "gender", "occupation", "zip"]
    assert dataset.users["zip"].tolist() == ["05711", "T8H1N", "32067"]
    assert dataset.users["age"].tolist() == [24, 53, 23]
    assert dataset.items.columns.tolist() == ["item", "title", "year", "genres"]
    assert dataset.items["title"].tolist() == ['"Verte" Fée, La (1995)', "Tide (1931) (V)", "unknown"]
    assert dataset.items["genres"].tolist() == ["Action|Comedy", "Drama", ""]
    assert dataset.items["year"].tolist() == [1995, 1931, pd.NA]
    assert str(dataset.items["year"].dtype) == "Int64"
    assert "Harper" in dataset.citation
    assert "commercial use" in dataset.licence
    assert dataset.source == str(ml_100k)


def test_100k_folds_follow_the_rows_of_the_ratings(ml_100k):
    fold = read_folder(ml_100k).test_fold
    assert fold.tolist() == [4, 3, 2, 1, 0]
    assert fold.dtype == "int8"


def test_100k_without_folds_and_tables(ml_100k):
    for name in ("u3.test", "u.item", "u.user"):
        ml_100k.joinpath(name).unlink()
    dataset = read_folder(ml_100k)
    assert dataset.test_fold is None
    assert dataset.items is None
    assert dataset.users is None


@pytest.mark.parametrize("content", ["1\t20\t3\t100\n", "9\t9\t3\t100\n", ""])
def test_100k_with_damaged_folds(ml_100k, content):
    ml_100k.joinpath("u1.test").write_text(content)
    with pytest.raises(InputError, match="do not hold each rating of u.data once; fetch the folder again|is empty"):
        read_folder(ml_100k)


def test_100k_counts_duplicates(ml_100k):
    for i in range(5):
        ml_100k.joinpath(f"u{i + 1}.test").unlink()
    with ml_100k.joinpath("u.data").open("a") as data:
        data.write("1\t20\t5\t999\n")
    dataset = read_folder(ml_100k)
    assert dataset.n_duplicates == 1
    assert dataset.ratings["rating"].tolist() == [5, 4, 1, 2, 5]


def test_a_folder_around_the_folder(ml_100k):
    dataset = read_folder(ml_100k.parent, "given")
    assert dataset.name == "given"
    assert dataset.n_ratings == 5


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_dat(tmp_path, encoding):
    tmp_path.joinpath("ratings.dat").write_text("1::1193::5::978300760\n2::661::3.5::978302109\n")
    tmp_path.joinpath("movies.dat").write_text(
        "661::Fée: Retour (1996)::Animation|Musical\n1193::Nest, The (1975)::Drama\n", encoding=encoding
    )
    tmp_path.joinpath("users.dat").write_text("1::F::1::10::48067\n2::M::56::16::00072\n")
    dataset = read_folder(tmp_path, "ml-1m")
    assert dataset.ratings["rating"].tolist() == [5.0, 3.5]
    assert dataset.items["title"].tolist() == ["Fée: Retour (1996)", "Nest, The (1975)"]
    assert dataset.items["genres"].tolist() == ["Animation|Musical", "Drama"]
    assert dataset.items["year"].tolist() == [1996, 1975]
    assert dataset.users.to_dict("list") == {
        "user": [1, 2],
        "age": [1, 56],
        "gender": ["F", "M"],
        "occupation": ["K-12 student", "self-employed"],
        "zip": ["48067", "00072"],
    }


def test_dat_without_users(tmp_path):
    tmp_path.joinpath("ratings.dat").write_text("1::122::5::838985046\n")
    dataset = read_folder(tmp_path)
    assert dataset.users is None
    assert dataset.items is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1::A (1990)::Drama\n2::B\n", "line 2: 3 fields separated by '::' are expected: '2::B'"),
        ("x::A (1990)::Drama\n", "item must be whole numbers"),
    ],
)
def test_dat_with_a_bad_line(tmp_path, text, message):
    tmp_path.joinpath("ratings.dat").write_text("1::1::5::978300760\n")
    tmp_path.joinpath("movies.dat").write_text(text)
    with pytest.raises(InputError, match=message):
        read_folder(tmp_path)


def test_csv(tmp_path):
    tmp_path.joinpath("ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,2,4.0,964982703\n7,9,0.5,964981247\n"
    )
    tmp_path.joinpath("movies.csv").write_text(
        'movieId,title,genres\n2,"Nest, The (1975)",Drama|War\n9,Serial (2006\u20132007),(no genres listed)\n',
        encoding="utf-8",
    )
    dataset = read_folder(tmp_path)
    assert dataset.ratings["user"].tolist() == [1, 7]
    assert dataset.items["title"].tolist() == ["Nest, The (1975)", "Serial (2006\u20132007)"]
    assert dataset.items["year"].tolist() == [1975, 2006]
    assert dataset.items["genres"].tolist() == ["Drama|War", ""]


def test_a_folder_in_no_layout(tmp_path):
    with pytest.raises(InputError, match=r"holds none of u\.data, ratings\.dat, ratings\.csv, .* give the file"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Toy (1995)", 1995),
        ("Land III (1995) (V)", 1995),
        ("2001 (1968)", 1968),
        ("(1999) again (2003)", 2003),
        ("Serial (1998-)", 1998),
        ("None", None),
        ("Number (123)", None),
    ],
)
def test_year_of_a_title(title, year):
    found = year_of(pd.Series([title, "x (1900)"]))
    assert str(found.dtype) == "Int64"
    assert found[0] == year if year else found[0] is pd.NA


# --- one file, with tables of its own ---


@pytest.fixture
def books(tmp_path):
    tmp_path.joinpath("ratings.csv").write_text(
        '"User-ID";"ISBN";"Book-Rating"\n7;"0002005018";8\n8;"0374157065";3\n7;"0002005018";9\n'
    )
    return tmp_path / "ratings.csv"


def test_a_file_alone_has_no_tables(books):
    dataset = read_file(books)
    assert dataset.name == "ratings"
    assert dataset.users is None
    assert dataset.items is None
    assert dataset.n_duplicates == 1
    assert dataset.ratings.to_numpy().tolist() == [[8, "0374157065", 3.0], [7, "0002005018", 9.0]]
    assert (dataset.citation, dataset.licence) == ("", "")
    assert dataset.source == str(books)


def test_tables_beside_a_file(books):
    items = books.with_name("books.csv")
    items.write_text(
        '"ISBN";"Book-Title";"Year-Of-Publication";"Publisher"\n"0002005018";"Clara; or Not";"2001";"H"\n'
        '"0374157065";"Flu";"";"F"\n"0374157065";"Flu again";"0";"F"\n'
    )
    users = books.with_name("users.csv")
    users.write_text("id,age,city\n8,30,Kiel\n7,,Bonn\nx,1,y\n")
    dataset = read_file(books, items=items, users=str(users))
    assert dataset.items.columns.tolist() == ["item", "title", "year", "genres", "Publisher"]
    assert dataset.items["item"].tolist() == ["0002005018", "0374157065"]
    assert dataset.items["title"].tolist() == ["Clara; or Not", "Flu"]
    assert dataset.items["year"].tolist() == [2001, pd.NA]
    assert dataset.items["genres"].tolist() == ["", ""]
    assert dataset.users["user"].tolist() == [8, 7]
    assert dataset.users["city"].tolist() == ["Kiel", "Bonn"]


def test_items_without_titles_are_called_by_their_id(books):
    items = books.with_name("books.csv")
    items.write_text("ISBN,category\n0002005018,Fiction|War\n")
    table = read_file(books, items=items).items
    assert table["title"].tolist() == ["0002005018"]
    assert table["genres"].tolist() == ["Fiction|War"]


def test_a_table_about_something_else(books):
    items = books.with_name("books.csv")
    items.write_text("ISBN,title\n9,Nine\n")
    with pytest.raises(InputError, match="no 'ISBN' in it occurs as item in the ratings; it has: ISBN, title"):
        read_file(books, items=items)


def test_a_table_with_a_bad_line(books):
    items = books.with_name("books.csv")
    items.write_text("ISBN,title\n0002005018,a\n1,a,b,c\n")
    with pytest.raises(InputError, match=r"books\.csv is no table separated by ',' .*line 3.*; correct it"):
        read_file(books, items=items)


@pytest.mark.parametrize("separator", ["\t", "|", ",", ";"])
def test_a_table_of_items_with_a_quoted_header(tmp_path, separator):
    (tmp_path / "r.csv").write_text("user,item,rating\n1,7,4.0\n2,8,3.0\n")
    rows = [("item", "title"), ("7", 'a "b"' if separator == "," else "a"), ("8", "c")]
    lines = (separator.join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row) for row in rows)
    (tmp_path / "items.csv").write_text("\n".join(lines) + "\n")
    data = load_dataset(tmp_path / "r.csv", items=tmp_path / "items.csv")
    assert data.items["title"].tolist() == [rows[1][1], "c"]


class TestOptionsOfFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        place = tmp_path / "shop"
        place.mkdir()
        (place / "ratings.csv").write_text("userId,movieId,rating\n1,7,4.0\n2,8,3.0\n")
        (place / "movies.csv").write_bytes(b"movieId,title,genres\n7,Caf\xe9 (1995),A\n")
        return place

    def test_the_encoding_counts(self, folder):
        assert load_dataset(folder, encoding="latin-1").items["title"].tolist() == ["Café (1995)"]
        shutil.make_archive(str(folder), "zip", folder)
        assert load_dataset(f"{folder}.zip", encoding="latin-1").items["title"].tolist() == ["Café (1995)"]
        with pytest.raises(InputError, match="is not utf-8 text"):
            load_dataset(folder)

    @pytest.mark.parametrize("option", [{"columns": {"user": 1, "item": 0, "rating": 2}}, {"items": "none.csv"},
                                        {"users": "none.csv"}, {"header": True}, {"separator": ","}])  # fmt: skip
    def test_options_of_a_single_file_are_refused(self, folder, option):
        (name,) = option
        with pytest.raises(
            InputError, match=f"^{name} can be said of a single file, and .*shop has a layout of its own"
        ):
            load_dataset(folder, **option)
        shutil.make_archive(str(folder), "zip", folder)
        with pytest.raises(InputError, match=f"^{name} can be said of a single file"):
            load_dataset(f"{folder}.zip", **option)
        with pytest.raises(InputError, match="and demo has a layout of its own"):
            load_dataset("demo", **option)


@pytest.mark.parametrize(
    "table",
    [
        "movieId,item,title\n1,x,One\n2,y,Two\n",
        "item,title,title\n1,One,x\n2,Two,y\n",
        "item,title,year\n1,One,1e300\n2,Two,inf\n",
        "item,title\n1,One,\n2,Two,\n",
        "item,title\n1,One\n1e30,x\ninf,y\n2.5,z\n,w\n2,Two\n",
    ],
    ids=["another-item-column", "a-name-twice", "odd-years", "a-separator-too-many", "odd-ids"],
)
@pytest.mark.filterwarnings("ignore:Length of header or names")
def test_odd_tables_of_items_are_read_as_far_as_they_go(books, table):
    folder = books.parent
    folder.joinpath("ratings.csv").write_text("user,item,rating\n1,1,3\n1,2,4\n")
    folder.joinpath("items.csv").write_text(table)
    dataset = read_file(folder / "ratings.csv", items=folder / "items.csv")
    titles = dataset.items.set_index("item")["title"]
    assert titles[[1, 2]].tolist() == ["One", "Two"]


def test_titles_that_are_numbers_are_titles(books):
    folder = books.parent
    folder.joinpath("ratings.csv").write_text("user,item,rating\n1,1,3\n")
    folder.joinpath("items.csv").write_text("item,title\n1,1984\n")
    assert read_file(folder / "ratings.csv", items=folder / "items.csv").items["title"].tolist() == ["1984"]
