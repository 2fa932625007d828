"""What a body is that is not the file: named where its first KB tells, and left alone where it may be the file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import time
import zipfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlcat.fetch.wire.sniff import EVIDENCE_BYTES, diagnose, hint, wrong_content_type


def _zip(compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("member", "text")
    return stream.getvalue()


def _tar(form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        archive.addfile(tarfile.TarInfo("member"), io.BytesIO())
    return stream.getvalue()


HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(range(100))
GENUINE = {
    "a.gz": gzip.compress(b"data", mtime=0),
    "a.TGZ": gzip.compress(b"data", mtime=0),
    "a.tar.gz": gzip.compress(b"data", mtime=0),
    "a.zip": _zip(),
    "empty.zip": b"PK\x05\x06" + bytes(18),
    "a.npz": _zip(),
    "gnu.tar": _tar(tarfile.GNU_FORMAT),
    "pax.tar": _tar(tarfile.PAX_FORMAT),
    "a.bz2": bz2.compress(b"data"),
    "a.xz": lzma.compress(b"data"),
    "a.zst": b"\x28\xb5\x2f\xfd" + bytes(20),
    "a.7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(20),
    "a.png": b"\x89PNG\r\n\x1a\n" + bytes(20),
    "a.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    "a.wav": b"RIFF\x24\0\0\0WAVEfmt ",
    "timit.wav": b"NIST_1A\n   1024\nchannel_count -i 1\n",
    "a.flac": b"fLaC\0\0\0\x22",
    "tagged.mp3": b"ID3\x04\0\0",
    "bare.mp3": b"\xff\xfb\x90\x64\0",
    "a.ogg": b"OggS\0\2",
    "a.h5": HDF5,
    "behind_a_block.h5": bytes(512) + HDF5,
    "five.mat": b"MATLAB 5.0 MAT-file, Platform: GLNXA64",
    "seven.mat": b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" ") + HDF5,
    "four.mat": b"\0\0\0\0\x0a\0\0\0\x0a\0\0\0\0\0\0\0\x02\0\0\0",
    "a.npy": b"\x93NUMPY\x01\0v\0",
    "a.gif": b"GIF89a\0\1",
    "a.pdf": b"%PDF-1.7\n%\xe2\xe3",
    "a.parquet": b"PAR1\x15\x04",
    "a.db": b"SQLite format 3\0\x10\0",
    "a.csv": b"name,label\nzero,0\n",
    "a.tsv": "name\tlabel\nnull\u00e9\t0\n".encode("latin-1"),
    "a.txt": b"It was a dark and stormy night.",
    "tags.txt": b"<DOC id=1>\n<TITLE>Sign in</TITLE> text of a corpus",
    "a.json": b'{"images": []}',
    "errors.json": b'{"error": ["a dataset of errors"]}',
    "rows.jsonl": b'{"message": "hello", "label": 1}',
    "a.html": b"<!DOCTYPE html><html><title>Sign in</title></html>",
    "a.htm": b"<html><head><title>404</title></head></html>",
    "a.xml": b"<?xml version='1.0'?><Error><Code>17</Code></Error>",
    "rows.txt": b'{"message": "one"}\n{"message": "two"}\n',
    "vox1_dev_wav_partab": bytes(range(256)),
    "archive.tar.gz.01": bytes(range(256)),
    "README": b"A file without an ending.",
}

HTML = b"<!DOCTYPE html>\n<html><head><title>%s</title></head><body></body></html>"
PAGES = {
    "a Google Drive quota page": [HTML % b"Google Drive - Quota exceeded"],
    "Google Drive's page that asks about the virus scan": [HTML % b"Google Drive - Virus scan warning"],
    "a captive portal's page": [
        HTML % b"Captive Portal",
        HTML % b"Guest Wi-Fi",
        b"<HTML><!-- <WISPAccessGatewayParam> --><body>Login</body></HTML>",
        b"<html><meta http-equiv=refresh content='0; url=https://192.168.1.1/login?switch_url=x'>",
        HTML % "校园网登录".encode(),
    ],
    "a login page": [
        HTML % b"Sign in - Example",
        HTML % b"Please log in",
        HTML % "登录".encode(),
        b"<html><body><form><input name=p type=password></form>",
        b"\xef\xbb\xbf  \n<?xml version='1.0'?>\n<!-- (c) --><!-- more -->\n<html><title>LOGIN</title>",
        (HTML % b"Sign in").decode().encode("utf-16"),
    ],
    "a page that asks for a person": [HTML % b"Just a moment...", HTML % b"Attention Required! | Cloudflare"],
    "a page that says the file is not there": [HTML % b"404 Not Found", HTML % b"Page not found"],
    "a folder's listing": [HTML % b"Index of /data"],
    "a web page": [HTML % b"Welcome", b"<html>", b"<head>"],
    "a Git LFS pointer": [b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 17\n"],
    "a git-annex pointer": [b"/annex/objects/SHA256E-s17--00.gz\n"],
    "an XML error document (AccessDenied)": [
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code><Message>No.</Message></Error>',
        b"<?xml version='1.0'?><Error xmlns='urn:x'>\n <Message/>\n <Code> AccessDenied </Code></Error>",
    ],
    "an XML error document": [b"<Error>gone</Error>"],
    "a JSON error document": [b'{"status": 404, "message": "no such record"}', b' {"error": {"code": 403}}\n'],
}
every_page = pytest.mark.parametrize(
    ("phrase", "page"),
    [
        pytest.param(phrase, page, id=f"{phrase} {number}")
        for phrase, pages in PAGES.items()
        for number, page in enumerate(pages)
    ],
)


@pytest.mark.parametrize("file", GENUINE)
def test_a_file_that_begins_as_its_kind_does_is_left_alone(file):
    for size_bytes, expected_bytes in ((None, None), (None, 10**6), (10**6, None), (10**6, 10**6)):
        assert diagnose(GENUINE[file], file=file, size_bytes=size_bytes, expected_bytes=expected_bytes) is None


@every_page
def test_a_page_in_place_of_a_binary_file_is_named(phrase, page):
    for file in ("a.gz", "a.zip", "a.tar", "a.png", "a.wav", "a.mp3", "a.h5", "a.mat", "a.db"):
        assert diagnose(page, file=file) == phrase
        assert diagnose(page, file=file, size_bytes=len(page), expected_bytes=10**6) == phrase


@every_page
def test_a_page_in_place_of_text_or_of_a_piece_is_named_unless_it_is_as_long_as_expected(phrase, page):
    for file in ("a.csv", "a.txt", "vox1_dev_wav_partab", "archive.tar.gz.01"):
        assert diagnose(page, file=file) == phrase
        assert diagnose(page, file=file, size_bytes=len(page), expected_bytes=10**6) == phrase
        assert diagnose(page, file=file, size_bytes=10**6, expected_bytes=10**6) is None


@pytest.mark.parametrize("file", ["a.html", "a.xml", "errors.json"])
def test_a_page_in_place_of_a_page_is_known_by_its_length_only(file):
    page = {"a.html": HTML % b"Sign in", "a.xml": b"<Error><Code>NoSuchKey</Code>", "errors.json": b'{"error": 1}'}[
        file
    ]
    assert diagnose(page, file=file, size_bytes=90) is None
    assert diagnose(page, file=file, expected_bytes=90) is None
    assert diagnose(page, file=file, size_bytes=90, expected_bytes=90) is None
    assert diagnose(page, file=file, size_bytes=90, expected_bytes=91) is not None


def test_the_address_tells_a_login_too():
    page = HTML % b"Welcome"
    assert diagnose(page, file="a.zip", url="https://accounts.google.com/v3/signin/identifier") == "a login page"
    assert diagnose(page, file="a.zip", url="https://data.example.org/users/sign_in?next=/a.zip") == "a login page"
    assert diagnose(page, file="a.zip", url="https://data.example.org/a.zip?from=/login") == "a web page"


@pytest.mark.parametrize(
    ("file", "body", "phrase"),
    [
        ("a.tar.gz", GENUINE["a.zip"], "a zip where gzip was expected"),
        ("a.zip", GENUINE["a.gz"], "gzip where a zip was expected"),
        ("a.tar", GENUINE["a.gz"], "gzip where a tar was expected"),
        ("a.gz", GENUINE["gnu.tar"], "a tar where gzip was expected"),
        ("a.jpg", GENUINE["a.png"], "a PNG where a JPEG was expected"),
        ("a.mat", GENUINE["a.zip"], "a zip where a MATLAB file was expected"),
        ("a.csv", GENUINE["a.gz"], "gzip where text was expected"),
        ("a.gz", bytes(1024), "nothing but zero bytes"),
        ("a.gz", b"\r\n" * 9, "nothing but white space"),
        ("a.gz", b"404: Not Found", 'text that begins "404: Not Found"'),
        ("a.gz", b"busy \x1b[31mnow\nlater", "bytes that do not begin as gzip does (62 75 73 79)"),
        ("a.gz", "\u202etxt.exe".encode(), "bytes that do not begin as gzip does (e2 80 ae 74)"),
        ("a.gz", b"\0\x8b\x08\x00", "bytes that do not begin as gzip does (00 8b 08 00)"),
        ("a.png", b"\x1f", "bytes that do not begin as a PNG does (1f)"),
    ],
)
def test_other_bytes_are_named_as_far_as_they_tell(file, body, phrase):
    assert diagnose(body, file=file) == phrase


@pytest.mark.parametrize("body", [GENUINE["a.zip"], b"plain text", b"\1\2\3\4"])
def test_a_body_as_long_as_expected_may_have_a_wrong_name_but_is_no_page_and_not_empty(body):
    assert diagnose(body, file="a.gz", size_bytes=100, expected_bytes=99) is not None
    assert diagnose(body, file="a.gz", size_bytes=100, expected_bytes=100) is None
    assert diagnose(HTML % b"Sign in", file="a.gz", size_bytes=100, expected_bytes=100) == "a login page"
    assert diagnose(bytes(100), file="a.gz", size_bytes=100, expected_bytes=100) == "nothing but zero bytes"


def test_no_more_of_a_text_is_shown_than_a_line_has_room_for():
    assert diagnose(b"word " * 200, file="a.gz") == f'text that begins "{("word " * 12).strip()}"'


@pytest.mark.parametrize("file", ["a.gz", "a.csv", "part"])
def test_nothing_at_all_is_an_empty_file_unless_nothing_was_expected(file):
    assert diagnose(b"", file=file) == "an empty file"
    assert diagnose(b"", file=file, size_bytes=0, expected_bytes=100) == "an empty file"
    assert diagnose(b"", file=file, size_bytes=0, expected_bytes=0) is None
    assert diagnose(b"", file=file, size_bytes=100) is None  # nothing has come yet


def test_a_page_that_the_server_packed_is_seen_through_where_the_type_admits_it():
    page = gzip.compress(HTML % b"Sign in")
    html = "text/html; charset=utf-8"
    assert diagnose(page, file="a.tar.gz", content_type=html) == "a login page"
    assert diagnose(page[: len(page) // 2], file="a.gz", content_type=html) is not None
    assert diagnose(page, file="a.tar.gz", content_type="application/gzip") is None
    assert diagnose(page, file="pages.html.gz", content_type=html) is None
    assert diagnose(gzip.compress(b"data", mtime=0), file="a.gz", content_type=html) is None
    assert diagnose(b"\x1f\x8b" + bytes(40), file="a.gz", content_type=html) is None


@given(
    st.one_of(st.binary(max_size=2 * EVIDENCE_BYTES), st.text().map(str.encode), st.sampled_from([*GENUINE.values()])),
    st.sampled_from(sorted(GENUINE)) | st.text(),
    st.none() | st.sampled_from(["text/html", "Text/HTML;x", ""]) | st.text(),
    st.text(),
    st.none() | st.integers(0),
    st.none() | st.integers(0),
)
@settings(max_examples=300, deadline=None)
@example(b"[" * 4096, "a.gz", None, "", None, None)
@example(b"9" * 5000, "a.csv", None, "", None, None)
@example(b"\xff\xfe\0<", "a.csv", None, "http://[", None, None)
def test_whatever_the_bytes_a_diagnosis_is_a_printable_line_with_a_hint(start, file, type_, url, size, expected):
    found = diagnose(start, file=file, content_type=type_, url=url, size_bytes=size, expected_bytes=expected)
    if found is not None:
        assert found.isprintable()
        assert 0 < len(found) < 100
        assert hint(found)
    wrong_content_type(file, type_)


@pytest.mark.parametrize("start", [b"<!---->" * 585, b"<!--" * 1024, b"<title>" * 585, b"<html>" + b"<title>" * 580])
def test_a_page_made_to_waste_time_does_not(start):
    began = time.process_time()
    diagnose(start, file="a.gz", url="/login" * 1000)
    assert time.process_time() - began < 2  # without care: longer than anybody waits


@pytest.mark.parametrize("phrase", [*PAGES, "an empty file"])
def test_every_page_has_its_own_hint(phrase):
    assert (hint(phrase) != hint("bytes that are something else")) is (phrase != "a web page")


def test_hints_say_what_to_do():
    assert "wait a day" in hint("a Google Drive quota page")
    assert "dlcat import" in hint("a login page")
    assert "log in to the network" in hint("a captive portal's page")


@pytest.mark.parametrize(
    ("file", "content_type", "wrong"),
    [
        ("a.gz", "text/html", True),
        ("a.ZIP", "Text/HTML; charset=utf-8", True),
        ("a.png", "application/json", True),
        ("a.tar", "application/xml", True),
        ("a.gz", "application/octet-stream", False),
        ("a.gz", "text/plain", False),  # what servers call everything they do not know
        ("a.gz", None, False),
        ("a.html", "text/html", False),
        ("a.csv", "text/html", False),
        ("a.json", "application/json", False),
        ("part_aa", "text/html", False),
    ],
)
def test_a_type_speaks_against_binary_files_only(file, content_type, wrong):
    assert wrong_content_type(file, content_type) is wrong
