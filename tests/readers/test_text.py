import bz2
import csv
import gzip
import io
import lzma
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from combinations import pairwise
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nmf_scratch._check import InputError
from nmf_scratch.readers.sniffing import SEPARATORS, Layout
from nmf_scratch.readers.table import NOT_KNOWN, how_to_merge, merge_repeats
from nmf_scratch.readers.text import parse_ratings

ROWS = [(196, 242, 3, 881250949), (22, 377, 1, 878887116), (196, 302, 4.5, 891717742)]


@pytest.fixture
def write(tmp_path):
    """Write text or bytes to a file and return its path."""

    def _write(content, name="ratings.txt"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


def read_ratings(path, duplicates=None, told=None, **layout):
    """Read a file as `load_dataset` does."""
    layout = Layout(**layout)
    return merge_repeats(parse_ratings(path, layout, told=told), how_to_merge(duplicates, layout.implicit))[0]


def delimited(rows, separator, header=None):
    lines = [separator.join(map(str, row)) for row in ([header] if header else []) + list(rows)]
    return "\n".join(lines) + "\n"


# --- what is right ---


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("header", [None, ("userId", "movieId", "rating", "timestamp")])
def test_separator_and_header_are_found(write, separator, header):
    ratings = read_ratings(write(delimited(ROWS, separator, header)))
    assert list(ratings.columns) == ["user", "item", "rating", "timestamp"]
    assert ratings.to_numpy().tolist() == [list(row) for row in ROWS]
    assert ratings.dtypes.map(str).tolist() == ["int64", "int64", "float64", "int64"]
    assert isinstance(ratings.index, pd.RangeIndex)


@pytest.mark.parametrize(
    "header",
    [
        ("stars", "date", "product_id", "User-ID"),
        ("Score", "time", "Parent ASIN", "reviewerID"),
        ("book-rating", "timestamp", "ISBN", "user_id"),
    ],
)
def test_columns_are_found_by_well_known_names(write, header):
    rows = [(rating, time, item, user) for user, item, rating, time in ROWS]
    ratings = read_ratings(write(delimited(rows, ",", header)))
    assert ratings.to_numpy().tolist() == [list(row) for row in ROWS]


def test_the_separator_is_the_one_that_fits_most_lines(write):
    ratings = read_ratings(write("Me, myself, I;7;5\nbob;8;4\nann;9;3\n"))
    assert ratings["user"].tolist() == ["Me, myself, I", "bob", "ann"]


def test_columns_by_name(write):
    rows = [("x", item, user, rating) for user, item, rating, _ in ROWS]
    path = write(delimited(rows, ";", ("remark", "sku", "who", "points")))
    ratings = read_ratings(path, columns={"user": "who", "item": "sku", "rating": "points"})
    assert ratings.to_numpy().tolist() == [list(row[:3]) for row in ROWS]


@pytest.mark.parametrize("header", [None, ("a", "b", "c", "d")])
def test_columns_by_position(write, header):
    rows = [(rating, "text", item, user) for user, item, rating, _ in ROWS]
    ratings = read_ratings(write(delimited(rows, "|", header)), columns={"rating": 0, "item": 2, "user": 3})
    assert ratings[["user", "item", "rating"]].to_numpy().tolist() == [list(row[:3]) for row in ROWS]


def test_unknown_header_falls_back_to_positions(write):
    ratings = read_ratings(write(delimited(ROWS, ",", ("wer", "was", "wie", "wann"))))
    assert ratings.to_numpy().tolist() == [list(row) for row in ROWS]


def test_a_fourth_column_of_text_is_no_timestamp(write):
    ratings = read_ratings(write("ann,book,5,lovely\nbob,book,2,\n"))
    assert list(ratings.columns) == ["user", "item", "rating"]
    assert ratings["rating"].tolist() == [5.0, 2.0]


def test_dates_become_unix_seconds(write):
    ratings = read_ratings(write("user,item,rating,date\n1,2,3,1970-01-02\n1,3,4,1970-01-01T00:01:00Z\n"))
    assert ratings["timestamp"].tolist() == [86_400, 60]


def test_quotes_and_commas_inside_fields(write):
    ratings = read_ratings(write('"User-ID";"ISBN";"Book-Rating"\n"276725";"034545104X";"0"\n"x;y";"a ""b""";"7"\n'))
    assert ratings.to_numpy().tolist() == [["276725", "034545104X", 0.0], ["x;y", 'a "b"', 7.0]]


def test_blanks_after_commas_and_blank_lines_are_skipped(write):
    ratings = read_ratings(write("\n1, a, 3\n\n2, b, 4\n\n"))
    assert ratings.to_numpy().tolist() == [[1, "a", 3.0], [2, "b", 4.0]]


def test_windows_line_ends_and_byte_order_mark(write):
    ratings = read_ratings(write(b"\xef\xbb\xbfuserId,itemId,rating\r\n1,2,3\r\n4,5,1\r\n"))
    assert ratings.to_numpy().tolist() == [[1, 2, 3], [4, 5, 1]]


@pytest.mark.parametrize("blank", ["\r", "\n", "\r\n", "\n\r", " \n", "\r\r", "\t\n\n"])
@pytest.mark.parametrize("header", ["", "user,item,rating"])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_blank_lines_before_the_first_cost_no_rating(write, blank, header, end):
    lines = [header] * bool(header) + ["1,2,3", "4,5,1"]
    assert read_ratings(write(blank + end.join(lines) + end)).to_numpy().tolist() == [[1, 2, 3], [4, 5, 1]]


def test_the_last_line_needs_no_end(write):
    assert len(read_ratings(write("1::2::3\n4::5::1"))) == 2


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_files(write, suffix, compress):
    path = write(compress(delimited(ROWS, "::").encode()), f"ratings.dat{suffix}")
    assert read_ratings(path).to_numpy().tolist() == [list(row) for row in ROWS]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_other_encodings(write, encoding):
    path = write("user,item,rating\n007,Müller,3\n8,Zoë,4\n".encode(encoding))
    ratings = read_ratings(path, encoding=encoding)
    assert ratings.to_numpy().tolist() == [["007", "Müller", 3.0], ["8", "Zoë", 4.0]]


# --- ids ---


@pytest.mark.parametrize("ids", [["0001234567", "12"], ["12", "007"], ["+1", "2"], ["-01", "3"]])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_padded_ids_stay_text(write, ids, separator):
    path = write(delimited([(5, ids[0], 3), (6, ids[1], 4)], separator))
    ratings = read_ratings(path)
    assert ratings["item"].tolist() == ids
    assert ratings["user"].tolist() == [5, 6]


def test_padding_is_seen_in_the_first_column_and_across_chunks(write, monkeypatch):
    monkeypatch.setattr("nmf_scratch.readers.text._BLOCK_BYTES", 5)
    for n in range(1, 12):
        path = write(f"{10**n},1,2\n007,2,3\n")
        assert read_ratings(path)["user"].tolist() == [str(10**n), "007"]
    assert read_ratings(write("01,1,2\n7,2,3\n"))["user"].tolist() == ["01", "7"]


@pytest.mark.parametrize(
    "ids", [["1", "2", "x", "4"], ["1", "2", "3", "1.50"], ["10", "2", "3", "007"], ["1", "", "", ""]]
)
@pytest.mark.parametrize("separator", [",", "::"])
def test_chunks_agree_about_ids(write, monkeypatch, ids, separator):
    """What one chunk takes for numbers is text if another one holds text."""
    rows = [(7, label or str(2**40 + place), 3.5) for place, label in enumerate(ids)]
    path = write(delimited(rows, separator))
    whole = read_ratings(path)
    for n_lines in (1, 2, 3):
        monkeypatch.setattr("nmf_scratch.readers.text._CHUNK_LINES", n_lines)
        pd.testing.assert_frame_equal(read_ratings(path), whole)
    assert whole["item"].tolist() == column([row[1] for row in rows])


def test_chunks_agree_about_times(write, monkeypatch):
    monkeypatch.setattr("nmf_scratch.readers.text._CHUNK_LINES", 1)
    assert read_ratings(write("1,2,3,5\n1,3,4,6.5\n"))["timestamp"].tolist() == [5.0, 6.5]
    assert read_ratings(write("user,item,rating,date\n1,2,3,1970-01-02\n1,3,4,1970-01-03\n"))["timestamp"].tolist() == [
        86400,
        172800,
    ]
    with pytest.raises(InputError, match="its values do not fit their columns"):
        read_ratings(write("1,2,3,5\n1,3,4,1970-01-03\n"))


def test_half_stars_and_large_numbers_survive_the_chunks(write, monkeypatch):
    monkeypatch.setattr("nmf_scratch.readers.text._CHUNK_LINES", 1)
    ratings = read_ratings(write(f"1,2,0.1,5\n-3,{2**62},4,{2**40}\n"))
    assert ratings.to_dict("list") == {
        "user": [1, -3],
        "item": [2, 2**62],
        "rating": [0.1, 4.0],
        "timestamp": [5, 2**40],
    }


@pytest.mark.skipif(pd.__version__ < "3", reason="older versions of pandas copy columns that they need not")
def test_reading_takes_little_more_memory_than_its_result(write):
    """NumPy reports its arrays to tracemalloc; one column at a time is joined."""
    rows = np.arange(200_000)
    frame = pd.DataFrame({"user": rows // 50, "item": rows % 50 * 1000, "rating": rows % 5 + 0.5, "time": rows + 10**9})
    path = write(frame.to_csv(index=False))
    tracemalloc.start()
    ratings = parse_ratings(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    result = ratings.memory_usage(index=False).sum()
    assert result == 200_000 * 32
    assert peak < 1.5 * result + 2**17 * 32, "a chunk of 2**17 lines comes on top"


def test_zero_and_half_stars_are_not_taken_for_padding(write):
    ratings = read_ratings(write("0,0,0.5\n-3,10,05\n"))
    assert ratings["user"].tolist() == [0, -3]
    assert ratings["item"].dtype == np.int64


@pytest.mark.parametrize("ids", [["1.50", "2"], ["True", "False"], ["NA", "null"], ["1e5", "7"], ["a:b", "nan"]])
def test_other_ids_are_kept_as_written(write, ids):
    for separator in SEPARATORS[1:]:
        path = write(delimited([(5, ids[0], 3), (6, ids[1], 4)], separator))
        assert read_ratings(path)["item"].tolist() == ids


def test_integers_too_long_for_64_bits_are_text(write):
    assert read_ratings(write(f"{2**63},1,2\n5,2,3\n"))["user"].tolist() == [str(2**63), "5"]
    assert read_ratings(write(f"{2**63 - 1},1,2\n5,2,3\n"))["user"].tolist() == [2**63 - 1, 5]


def test_a_late_text_id_turns_no_other_into_a_number(write):
    rows = [(f"{i:05d}" if i == 0 else i, i, 3) for i in range(3000)]
    assert read_ratings(write(delimited([*rows, ("x", 1, 2)], ",")))["user"].tolist()[::3000] == ["00000", "x"]


# --- duplicates ---


def test_the_latest_timestamp_wins_then_the_later_line(write):
    path = write("1,1,1,50\n2,1,2,10\n1,1,3,70\n1,1,4,60\n2,1,5,10\n3,1,1,5\n")
    merged, n = merge_repeats(parse_ratings(path))
    assert n == 3
    assert merged.to_numpy().tolist() == [[1, 1, 3, 70], [2, 1, 5, 10], [3, 1, 1, 5]]
    pd.testing.assert_frame_equal(read_ratings(path), merged)


def test_without_timestamps_the_later_line_wins(write):
    merged, n = merge_repeats(parse_ratings(write("a,x,1\nb,x,2\na,x,3\n")))
    assert n == 1
    assert merged.to_numpy().tolist() == [["b", "x", 2.0], ["a", "x", 3.0]]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=40),
    st.sampled_from(["sum", "mean"]),
)
def test_sums_and_means_stand_where_the_last_would(rows, how):
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"]).assign(rating=np.arange(len(rows), dtype=float))
    merged, n = merge_repeats(frame, how)
    last, n_last = merge_repeats(frame)
    expected = frame.groupby(["user", "item"])["rating"].agg(how)
    pd.testing.assert_frame_equal(merged.drop(columns="rating"), last.drop(columns="rating"))
    assert merged["rating"].tolist() == [expected[pair] for pair in zip(merged["user"], merged["item"], strict=True)]
    assert n == n_last


def test_an_unknown_way_to_merge_is_refused(write):
    with pytest.raises(InputError, match="duplicates='first' is unknown; choose one of: last, mean, sum"):
        read_ratings(write("1,1,1\n"), duplicates="first")


# --- bad lines left out ---

LATER = "".join(f"u,b{i},4\n" for i in range(999))

BANDS = "user\titem\trating\n" + "".join(
    f"u{i}\t{chr(34) * (i == 5)}band{i}{chr(34) * (i == 900)}\t3\n" for i in range(1000)
)

LITTERED = "user,item,rating\nann,x,3\nbob,y\nann,y,high\nNULL,x,4\n,z,1\nbob,x,-1\nann,z,4.5\neve,x,,\n"


def test_several_bad_lines_are_counted_and_five_are_shown(write):
    with pytest.raises(InputError) as caught:
        read_ratings(write(LITTERED))
    message = str(caught.value)
    assert "line 3: 2 field(s) where 3 are expected" in message
    assert "(6 lines are bad; then line 4: rating 'high' is not a number" in message
    assert "line 5: user 'NULL' stands for one that is not known" in message
    assert message.count("line ") == 5
    assert message.endswith("…); skip_bad=True (option --skip-bad) leaves out what is bad")


def test_bad_lines_are_left_out_and_told(write):
    told = []
    path = write(LITTERED)
    ratings = read_ratings(path, told=told.append)
    assert ratings.to_numpy().tolist() == [["ann", "x", 3.0], ["ann", "z", 4.5]]
    assert len(told) == 1
    assert told[0].startswith(f"{path}: 6 bad lines left out, line 3: 2 field(s)")


def test_nothing_is_told_of_a_sound_file(write):
    told = []
    assert len(read_ratings(write("1,2,3\n"), told=told.append)) == 1
    assert told == []


def test_a_file_without_a_good_line_is_refused(write):
    with pytest.raises(InputError, match=r"has no line that can be read, line 2: user is missing .*\(2 lines are bad"):
        read_ratings(write("user,item,rating\n,x,1\n,y,2\n"), told=print)


@pytest.mark.parametrize(
    "text", [BANDS.replace("\t", ","), 'user,item,rating\nu,"a,3\n' + "".join(f"u,b{i},4\n" for i in range(999))]
)
def test_a_stray_quote_swallows_nothing_when_bad_lines_are_left_out(write, text):
    told = []
    assert 998 <= len(read_ratings(write(text), told=told.append)) <= 999
    assert len(told) == 1


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_is_left_is_read_as_if_alone(write, encoding, end):
    lines = ["user;item;rating;remark", "007;Zoë;3,5;", '1;"a;b";4,5;two\nlines', "bad", "2;é;0,5;x", ""]
    lines[2] = '1;"a;b";4,5;"two\nlines"'
    options = {"encoding": encoding, "decimal": ","}
    good = read_ratings(write(end.join([*lines[:3], *lines[4:]]).encode(encoding)), **options)
    left = read_ratings(write(end.join(lines).encode(encoding)), **options, told=[].append)
    pd.testing.assert_frame_equal(left, good)
    assert left["rating"].tolist() == [3.5, 4.5, 0.5]
    assert left["user"].tolist() == ["007", "1", "2"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["1,2,3", "a,b,1", '"x,y",2,4', "NULL,2,1", "1,2", '"', "1,2,x", ""]), min_size=1))
def test_every_good_line_survives(tmp_path, lines):
    path = tmp_path / "table.csv"
    path.write_text("user,item,rating\n9,9,5\n" + "\n".join(lines))
    told = []
    ratings = parse_ratings(path, told=told.append)
    good = [line for line in lines if line in ("1,2,3", "a,b,1", '"x,y",2,4')]
    assert len(ratings) == 1 + len(good)
    assert len(told) == any(line in ("NULL,2,1", "1,2", '"', "1,2,x") for line in lines)


# --- what is not known ---


@pytest.mark.parametrize("word", ["NULL", "None", "nan", "NA", "\\N", "<NA>"])
def test_a_user_that_is_not_known_is_no_user(write, word):
    with pytest.raises(InputError, match="line 3: user .* stands for one that is not known"):
        read_ratings(write(f"user,item,rating\nann,x,3\n{word},y,4\n"))
    with pytest.raises(InputError, match="line 3: item .* stands for one that is not known"):
        read_ratings(write(f"user,item,rating\nann,1,3\nbob,{word},4\n"))
    assert read_ratings(write(f"user,item,rating\nann,x,3\nbob,{word},4\n"))["item"].tolist() == ["x", word]


# --- decimal commas ---


@pytest.mark.parametrize("separator", [";", "\t", "|", "::"])
def test_decimal_commas(write, separator):
    text = delimited([("ann", "x", "3,5"), ("bob", "y", "4")], separator, ("user", "item", "rating"))
    assert read_ratings(write(text), decimal=",")["rating"].tolist() == [3.5, 4.0]
    with pytest.raises(InputError, match=r"rating '3,5' is not a number \(pass decimal=',' \(option --decimal\)\)"):
        read_ratings(write(text), separator=separator)


def test_decimal_options_that_cannot_be(write):
    with pytest.raises(InputError, match="decimal=';' is not supported; pass '.' or ','"):
        read_ratings(write("1;2;3\n"), decimal=";")
    with pytest.raises(InputError, match="separator and decimal are both ','"):
        read_ratings(write("1,2,3\n"), decimal=",", separator=",")
    with pytest.raises(InputError, match=r"rating '3\.5' is not a number \(pass decimal='\.'"):
        read_ratings(write("1;2;3.5\n"), decimal=",")


# --- what would cost gigabytes ---


@pytest.mark.parametrize("text", ["1," * 1_000_000, "x" * 2_000_000, "1,2,3\n" + "9," * 1_000_000])
def test_a_line_beyond_all_measure_is_named(write, text):
    with pytest.raises(InputError, match=r"line [12]: .*2,000,000 characters in one line"):
        read_ratings(write(text))


def test_a_late_line_beyond_all_measure_is_one_bad_line(write):
    ratings = read_ratings(write("1,2,3\n" * 30 + "9," * 1_000_000 + "\n4,5,1\n"), told=[].append)
    assert ratings.to_numpy().tolist() == [[1, 2, 3], [4, 5, 1]]


def test_a_matrix_is_no_table_of_ratings(write):
    with pytest.raises(InputError, match=r"has 1,001 columns, .* unpivoted first, as by pandas\.melt"):
        read_ratings(write(",".join(["1"] * 1001)))


@pytest.mark.parametrize(
    ("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_compressed_bombs_are_refused(write, monkeypatch, suffix, compress):
    monkeypatch.setattr("nmf_scratch.readers.files.SMALL_BYTES", 2**16)
    path = write(compress(b"1,2,3\n" * 200_000), f"ratings.csv{suffix}")
    with pytest.raises(InputError, match="unpacks to more than 100 times its .* bytes, as no table of ratings does"):
        read_ratings(path)


# --- quotes, letters, lengths ---


def test_quotes_in_names_between_tabs_are_part_of_them(write):
    ratings = read_ratings(write(BANDS))
    assert len(ratings) == 1000
    assert ratings["item"].iloc[[5, 900]].tolist() == ['"band5', 'band900"']
    assert read_ratings(write('user\titem\trating\n1\t"Weird Al" Yankovic\t4\n'))["item"].tolist() == [
        '"Weird Al" Yankovic'
    ]


def test_quotes_between_tabs_hold_together_where_the_first_line_is_quoted(write):
    ratings = read_ratings(write('"user"\t"item"\t"rating"\n"1"\t"a ""b"" c"\t"4"\n'))
    assert ratings.to_numpy().tolist() == [[1, 'a "b" c', 4.0]]


def test_a_quote_that_is_not_closed_swallows_no_lines(write):
    with pytest.raises(InputError, match="line 7: item goes on in the next line: is a quote not closed"):
        read_ratings(write(BANDS.replace("\t", ",")))


@pytest.mark.parametrize("length", [1_001, 200_000])
def test_an_id_beyond_all_measure_is_named(write, length):
    with pytest.raises(InputError, match="(line 2: item has .* characters|line 2: field larger than field limit)"):
        read_ratings(write(f"user,item,rating\n1,{'x' * length},3\n2,y,4\n"))
    assert len(read_ratings(write(f"user,item,rating\n1,{'x' * 1_000},3\n"))) == 1


def test_dates_of_any_year_become_unix_seconds(write):
    ratings = read_ratings(write("user,item,rating,date\n1,2,3,0001-01-01\n1,3,4,9999-12-31\n"))
    assert ratings["timestamp"].tolist() == [-62135596800, 253402214400]


@pytest.mark.parametrize("date", ["03/12/2019", '"09 13, 2009"', "Sun Jul 30 07:44:10 -0700 2017", "2019-13-01"])
def test_dates_that_could_be_misread_are_named_with_their_line(write, date):
    with pytest.raises(InputError, match="line 2: timestamp .* is neither a number nor an ISO 8601 date such as"):
        read_ratings(write(f"user,item,rating,date\n1,2,3,{date}\n"))


@pytest.mark.parametrize("rating", ["\u00a03", "\u0663", "3\u2009", "\uff13"])
def test_other_digits_and_blanks_are_named_with_their_line(write, rating):
    with pytest.raises(InputError, match="line 3: rating .* is not a number"):
        read_ratings(write(f"user,item,rating\n1,2,3\n1,3,{rating}\n"))


def test_padding_after_a_byte_order_mark_is_kept(write):
    ratings = read_ratings(write("\ufeff007,1,3\n8,2,4\n"))
    assert ratings["user"].tolist() == ["007", "8"]


@pytest.mark.parametrize("encoding", ["utf-16", "punycode", "idna", "utf-32"])
def test_text_of_another_encoding_is_one_line(write, encoding):
    with pytest.raises(InputError, match=f"(is not {encoding} text|cannot be read|cannot tell|none of|field)"):
        read_ratings(write(b"1,2,3\n\xff\xfe\x00,4,5\n"), encoding=encoding)


# --- choices without ratings ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user,item\nann,x\nbob,y\nann,x\n", [["bob", "y", 1], ["ann", "x", 2]]),
        ("ann,x\nbob,y\nann,x\n", [["bob", "y", 1], ["ann", "x", 2]]),
        ("1\t7\n2\t8\n", [[1, 7, 1], [2, 8, 1]]),
        ("who|what\n1|7\n", [[1, 7, 1]]),
        ("buyer;bought\nann;x\nbob;y\n", [["buyer", "bought", 1], ["ann", "x", 1], ["bob", "y", 1]]),
        ("user,artist,plays\nann,x,10000\nann,x,3\n", [["ann", "x", 10003]]),
        ("ann,x,12\nbob,y,1\n", [["ann", "x", 12], ["bob", "y", 1]]),
        ("ann,x,a remark\nbob,y,another\n", [["ann", "x", 1], ["bob", "y", 1]]),
    ],
    ids=["header", "text", "tabs", "unknown-header", "unknown-text", "plays", "counts", "remarks"],
)
def test_a_choice_counts_one_and_repeats_add_up(write, text, expected):
    ratings = read_ratings(write(text), implicit=True)
    assert list(ratings.columns) == ["user", "item", "rating"] or text.startswith("who")
    assert ratings[["user", "item", "rating"]].to_numpy().tolist() == expected


@pytest.mark.parametrize("text", ["1,7,881250949\n2,8,891717742\n", "user,item,time\n1,7,881250949\n2,8,891717742\n"])
def test_a_third_column_of_times_is_no_count(write, text):
    ratings = read_ratings(write(text), implicit=True)
    assert ratings["rating"].tolist() == [1, 1]
    assert ratings["timestamp"].tolist() == [881250949, 891717742]


def test_ratings_are_left_out_where_the_columns_leave_them_out(write):
    path = write("user,item,rating\n1,7,5\n2,8,3\n")
    pairs = read_ratings(path, implicit=True, columns={"user": "user", "item": "item"})
    assert pairs["rating"].tolist() == [1, 1]


def test_binary_tables_without_ratings(tmp_path):
    np.savez(tmp_path / "clicks.npz", user=[1, 1, 2], item=[7, 7, 8])
    assert read_ratings(tmp_path / "clicks.npz", implicit=True).to_numpy().tolist() == [[1, 7, 2], [2, 8, 1]]
    with pytest.raises(InputError, match=r"is the rating; .* or implicit=True \(option --implicit\) if it holds"):
        read_ratings(tmp_path / "clicks.npz")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("user,item\n1,7\n", {}),
        ("1;7\n2;8\n", {}),
        ("user,item,time\n1,7,881250949\n", {}),
        ("user,item,rating\n1,7,5\n", {"columns": {"user": 0, "item": 1}}),
    ],
)
def test_without_ratings_the_remedy_is_named(write, text, options):
    with pytest.raises(InputError, match=r"implicit=True \(option --implicit\) if it holds choices without ratings"):
        read_ratings(write(text), **options)


@pytest.mark.parametrize("bad", ["ann", "ann,", ",x", "ann,x,y"])
def test_a_bad_line_of_choices_is_named(write, bad):
    with pytest.raises(InputError, match=f"line 3: .*{bad!r}"):
        read_ratings(write(f"user,item\nann,x\n{bad}\nbob,y\n"), implicit=True)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=40))
def test_merging_equals_a_dictionary_filled_in_order_of_time(rows):
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"]).assign(rating=np.arange(len(rows), dtype=float))
    merged, n = merge_repeats(frame)
    latest = {(u, i): row for row, (u, i, _) in sorted(enumerate(rows), key=lambda pair: pair[1][2])}
    assert merged["rating"].tolist() == sorted(latest.values())
    assert n == len(rows) - len(latest)


# --- any table ---

_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8).filter(
    lambda text: text not in NOT_KNOWN
)
_IDS = st.one_of(st.integers(-(2**63), 2**63 - 1), _TEXT)
_TABLE = st.lists(st.tuples(_IDS, _IDS, st.floats(0, 1e6).map(lambda x: round(x, 3))), min_size=1, max_size=15)


def column(values):
    """Return what a reader should make of ids: numbers only if all of them are plainly integers."""
    texts = [str(value) for value in values]
    plain = all(text.isascii() and text.lstrip("-").isdigit() and str(int(text)) == text for text in texts)
    return [int(text) for text in texts] if plain and all(-(2**63) <= int(t) < 2**63 for t in texts) else texts


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_TABLE, separator=st.sampled_from(SEPARATORS[1:]), named=st.booleans(), given_explicitly=st.booleans())
def test_any_table_is_read_back(tmp_path, rows, separator, named, given_explicitly):
    text = io.StringIO()
    # Between tabs quotes hold fields together only where those of the first line are quoted.
    quoting = csv.QUOTE_ALL if separator == "\t" else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=separator, lineterminator="\n", quoting=quoting)
    writer.writerows([("user", "item", "rating")] * named + rows)
    path = tmp_path / "table.txt"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    # Where ids hold other separators the first lines can be ambiguous; naming the separator is the remedy.
    odd = any(s in str(value) for row in rows for value in row[:2] for s in ("::", *SEPARATORS, '"'))
    options = {"separator": separator} if odd or given_explicitly else {}
    ratings = parse_ratings(path, Layout(header=named, **options))
    assert ratings["user"].tolist() == column([row[0] for row in rows])
    assert ratings["item"].tolist() == column([row[1] for row in rows])
    np.testing.assert_allclose(ratings["rating"], [row[2] for row in rows], rtol=1e-15)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_TABLE)
def test_any_table_with_double_colons_is_read_back(tmp_path, rows):
    rows = [(str(u).replace(":", "."), str(i).replace(":", "."), r) for u, i, r in rows]
    path = tmp_path / "table.dat"
    path.write_text(delimited(rows, "::"), encoding="utf-8", newline="")
    ratings = parse_ratings(path, Layout(header=False, separator="::"))
    assert ratings["user"].tolist() == column([row[0] for row in rows])
    assert ratings["item"].tolist() == column([row[1] for row in rows])
    np.testing.assert_allclose(ratings["rating"], [row[2] for row in rows], rtol=1e-15)


# --- what is wrong ---

BAD_LINES = [
    ("1,2,abc", "rating 'abc' is not a number"),
    ("1,2,", "rating '' is not a number"),
    ("1,2,True", "rating 'True' is not a number"),
    ("1,2", "2 field(s) where 3 are expected"),
    ("1,2,3,4", "4 field(s) where 3 are expected"),
    (",2,3", "user is missing"),
    ("1,,3", "item is missing"),
    ("1,2,-1", "rating '-1' is negative; NMF needs ratings >= 0 (shift the scale or remove the line)"),
    ("1,2,nan", "rating 'nan' is not finite"),
    ("1,2,NaN", "rating 'NaN' is not finite"),
    ("1,2,inf", "rating 'inf' is not finite"),
    ("1,2,-inf", "rating '-inf' is not finite"),
    ("1,2,1e999", "rating '1e999' is not finite"),
]


@pytest.mark.parametrize(
    ("bad", "separator", "header", "later"),
    pairwise(BAD_LINES, [",", "::", "\t"], ["", "user,item,rating\n"], ["9,9,3", "9,9,bad too"]),
)
def test_a_bad_line_is_named_with_its_number_and_content(write, bad, separator, header, later):
    line, problem = bad
    text = f"{header}\n5,6,4\n7,8,2\n{line}\n{later}\n".replace(",", separator)
    path = write(text)
    line = line.replace(",", separator)
    with pytest.raises(InputError) as caught:
        read_ratings(path)
    message = str(caught.value)
    number = 5 if header else 4
    assert message.startswith(f"{path}, line {number}: {problem}")
    assert f"{line!r}" in message
    assert (f"(2 lines are bad; then line {number + 1}: rating 'bad too' is not" in message) == ("too" in later)
    assert message.endswith("; skip_bad=True (option --skip-bad) leaves out what is bad")
    assert "\n" not in message


@pytest.mark.parametrize(("bad", "separator", "n_lines"), pairwise(BAD_LINES, [",", "::"], [1, 2, 3]))
def test_a_bad_line_is_named_wherever_chunks_begin(write, monkeypatch, bad, separator, n_lines):
    line, problem = bad
    monkeypatch.setattr("nmf_scratch.readers.text._CHUNK_LINES", n_lines)
    for place in range(1, 6):
        lines = ["5,6,4"] * 6
        lines[place] = line
        path = write("\n".join(lines).replace(",", separator))
        with pytest.raises(InputError) as caught:
            read_ratings(path)
        assert str(caught.value).startswith(f"{path}, line {place + 1}: {problem}")


@pytest.mark.parametrize("separator", [",", "::"])
@pytest.mark.parametrize("header", ["", "user,item,rating,remark\n"])
def test_blank_remarks_need_no_walk_through_the_lines(write, monkeypatch, separator, header):
    monkeypatch.setattr("nmf_scratch.readers.text.bad_lines", None)
    text = f"{header}1,2,3,fine\n\n1,3,4,\n1,4,5,\n".replace(",", separator)
    columns = {"user": 0, "item": 1, "rating": 2}
    assert read_ratings(write(text), columns=columns)["rating"].tolist() == [3.0, 4.0, 5.0]
    with pytest.raises(TypeError):
        read_ratings(write(text.replace(f"4{separator}", "4", 1)), columns=columns)


@pytest.mark.parametrize("n_lines", [1, 2, 3, 100])
@pytest.mark.parametrize("place", range(1, 5))  # the first says how many fields there are
def test_a_line_that_is_short_of_what_is_not_read_is_named_wherever_chunks_begin(write, monkeypatch, n_lines, place):
    """Only the remark, the last field, is missing, which nobody asked for."""
    monkeypatch.setattr("nmf_scratch.readers.text._CHUNK_LINES", n_lines)
    lines = ["5,6,4,fine"] * 5
    lines[place] = "5,6,4"
    path = write("\n".join(lines))
    with pytest.raises(InputError, match=rf"line {place + 1}: 3 field\(s\) where 4 are expected"):
        read_ratings(path, columns={"user": 0, "item": 1, "rating": 2})


@pytest.mark.parametrize("line", ["1,2,abc", "1,2,-3", "1,2,nan", ",2,3"])
def test_a_bad_first_line_is_not_taken_for_a_header(write, line):
    path = write(f"{line}\n5,6,4\n")
    with pytest.raises(InputError, match="line 1: "):
        read_ratings(path)


@pytest.mark.parametrize("start", [0, 1, 5])
def test_row_labels_without_a_name_are_not_dropped_in_silence(write, start):
    path = write(f"user,item,rating\n{start},1,2,3\n{start + 1},5,6,4\n")
    with pytest.raises(InputError, match=r"line 2: 4 field\(s\) where 3 are expected"):
        read_ratings(path)


def test_too_few_fields_are_seen_where_the_last_column_is_only_text(write):
    path = write("user,item,rating,remark\n1,2,3,fine\n1,3,4,\n1,4,5\n")
    with pytest.raises(InputError, match=r"line 4: 3 field\(s\) where 4 are expected .*: '1,4,5'"):
        read_ratings(path)


def test_a_bad_line_after_a_field_that_spans_lines(write):
    path = write('user,item,rating,remark\n1,2,3,"two\nlines"\n1,3,x,y\n')
    with pytest.raises(InputError, match="line 4: rating 'x' is not a number"):
        read_ratings(path)


def test_a_bad_timestamp(write):
    path = write("1,2,3,100\n1,3,4,soon\n")
    with pytest.raises(
        InputError, match=r"line 2: timestamp 'soon' is neither a number nor an ISO 8601 date .*: '1,3,4,soon'"
    ):
        read_ratings(path)


def test_a_long_line_is_shortened(write):
    path = write(f"1,2,3\n1,3,{'x' * 500}\n")
    with pytest.raises(InputError) as caught:
        read_ratings(path)
    assert "x…'; skip_bad=True" in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist; check the path"):
        read_ratings(tmp_path / "nowhere.csv")


def test_a_directory(tmp_path):
    with pytest.raises(InputError, match="is a directory; give the file of ratings inside it"):
        read_ratings(tmp_path)


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff\n"])
def test_an_empty_file(write, content):
    with pytest.raises(InputError, match="is empty.*give a file with at least one rating"):
        read_ratings(write(content))


def test_a_file_with_a_header_only(write):
    with pytest.raises(InputError, match="holds a header but no rating; give a file with at least one"):
        read_ratings(write("userId,movieId,rating\n\n"))


def test_a_wrong_column_name_lists_those_that_exist(write):
    path = write(delimited(ROWS, ",", ("who", "what", "points", "time")))
    with pytest.raises(InputError, match=r"columns\['rating'\]='stars' is not in .*; it has: who, what, points, time"):
        read_ratings(path, columns={"user": "who", "item": "what", "rating": "stars"})


@pytest.mark.parametrize("position", [4, -1])
def test_a_wrong_position_gives_the_range(write, position):
    with pytest.raises(InputError, match=rf"columns\['item'\]={position} is not in .*positions 0 to 3"):
        read_ratings(write(delimited(ROWS, ",")), columns={"user": 0, "item": position, "rating": 2})


def test_incomplete_or_unknown_columns(write):
    path = write(delimited(ROWS, ","))
    with pytest.raises(InputError, match="lacks rating; name user, item and rating"):
        read_ratings(path, columns={"user": 0, "item": 1})
    with pytest.raises(InputError, match=r"columns key='movie' is unknown; choose one of: item, rating"):
        read_ratings(path, columns={"user": 0, "movie": 1, "rating": 2})
    with pytest.raises(InputError, match="columns given by name need a header"):
        read_ratings(path, columns={"user": "a", "item": "b", "rating": "c"}, header=False)


def test_a_header_that_names_only_some_columns(write):
    with pytest.raises(
        InputError, match=r"cannot tell which column of .* is the item; it has: user, sku, rating; pass"
    ):
        read_ratings(write("user,sku,rating\n1,2,3\n"))


def test_a_separator_that_does_not_fit(write):
    path = write(delimited(ROWS, "::"))
    with pytest.raises(InputError, match=r"separator=',' does not fit .*: line 1 has 1 field.*; try separator='::'"):
        read_ratings(path, separator=",")
    with pytest.raises(InputError, match="pass the character between its fields"):
        read_ratings(write("1 2 3\n"), separator=",")


@pytest.mark.parametrize("separator", ["", "||", "a", "5", "-", '"', "§", "\n", ":::"])
def test_a_separator_that_is_not_supported(write, separator):
    with pytest.raises(InputError, match="is not supported; pass one character such as ','"):
        read_ratings(write(delimited(ROWS, ",")), separator=separator)


def test_no_separator_fits(write):
    with pytest.raises(InputError, match=r"none of '::', .* separates the first line of .*; pass separator.*'1 2 3'"):
        read_ratings(write("1 2 3\n4 5 6\n"))
    assert len(read_ratings(write("1 2 3\n4 5 6\n"), separator=" ")) == 2


def test_a_single_colon_inside_double_colons(write):
    with pytest.raises(InputError, match="a single ':' inside a field; use another separator"):
        read_ratings(write("a:b::2::3\nc::4::5\n"))


def test_undecodable_bytes_name_the_option(write):
    path = write("user,item,rating\n1,Müller,3\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"is not utf-8 text \(byte 0xfc\); pass encoding=.*encoding='latin-1'"):
        read_ratings(path)
    with pytest.raises(InputError, match="encoding='latin-0' is unknown; use one such as"):
        read_ratings(path, encoding="latin-0")


def test_undecodable_bytes_after_the_first_lines(write):
    path = write(delimited(ROWS * 5000, ",").encode() + b"1,\xfc,3,4\n")
    with pytest.raises(InputError, match=r"is not utf-8 text \(byte 0xfc\)"):
        read_ratings(path)


def test_a_truncated_archive(write):
    path = write(gzip.compress(delimited(ROWS * 50, ",").encode())[:-20], "ratings.csv.gz")
    with pytest.raises(InputError, match=r"ratings\.csv\.gz cannot be read .*; check the file, or fetch it again"):
        read_ratings(path)


def test_a_path_given_as_text(write):
    path = write(delimited(ROWS, ","))
    assert len(read_ratings(str(path))) == len(read_ratings(Path(path))) == 3
