"""What wrong bytes are: told by the first KB of a body, its type, its length and where it came from.

A guess for people, and a reason to try the next source: where a checksum is published, the checksum decides.
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from pathlib import PurePosixPath

EVIDENCE_BYTES = 1024
"""So much of a body's start is enough, and what `diagnose` counts on."""
_LOOKED_AT_BYTES = 4096

_KINDS = {
    "gzip": rb"\x1f\x8b",
    "a zip": rb"PK(\x03\x04|\x05\x06|\x07\x08)",
    "bzip2": rb"BZh[1-9]",
    "xz": rb"\xfd7zXZ\0",
    "zstd": rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18",
    "a 7z": rb"7z\xbc\xaf\x27\x1c",
    "a tar": rb".{257}ustar",
    "a PNG": rb"\x89PNG\r\n\x1a\n",
    "a JPEG": rb"\xff\xd8\xff",
    "a GIF": rb"GIF8[79]a",
    "Ogg": rb"OggS",
    "a WAV": rb"(RIFF|RIFX|RF64).{4}WAVE|NIST_1A",  # TIMIT's .wav are NIST SPHERE
    "MP3": rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]",
    "FLAC": rb"fLaC|ID3",
    "HDF5": rb"(.{512})?\x89HDF\r\n\x1a\n",
    "a MATLAB file": rb"MATLAB [57]\.|(.{512})?\x89HDF\r\n\x1a\n",  # 7.3 is HDF5 behind a block of its own
    "a NumPy array": rb"\x93NUMPY",
    "SQLite": rb"SQLite format 3\0",
    "Parquet": rb"PAR1",
    "a PDF": rb"%PDF-",
}
"""How files of a kind begin; where two begin alike, the likelier first."""

_LENIENT = {"a tar", "a WAV", "MP3", "HDF5", "a MATLAB file", "a PDF"}
"""Kinds with forms that begin otherwise (tar of 1979, MATLAB 4, HDF5 behind a longer block): never wrong by that alone."""

_ENDINGS = {
    **dict.fromkeys((".gz", ".tgz", ".taz"), "gzip"),
    **dict.fromkeys((".zip", ".npz"), "a zip"),
    **dict.fromkeys((".bz2", ".tbz", ".tbz2"), "bzip2"),
    **dict.fromkeys((".xz", ".txz"), "xz"),
    **dict.fromkeys((".zst", ".tzst"), "zstd"),
    **dict.fromkeys((".jpg", ".jpeg"), "a JPEG"),
    **dict.fromkeys((".ogg", ".oga", ".opus"), "Ogg"),
    **dict.fromkeys((".wav", ".sph"), "a WAV"),
    **dict.fromkeys((".h5", ".hdf5"), "HDF5"),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3"), "SQLite"),
    ".7z": "a 7z",
    ".tar": "a tar",
    ".png": "a PNG",
    ".gif": "a GIF",
    ".flac": "FLAC",
    ".mp3": "MP3",
    ".mat": "a MATLAB file",
    ".npy": "a NumPy array",
    ".parquet": "Parquet",
    ".pdf": "a PDF",
}

_HTML_ENDINGS = (".html", ".htm", ".xhtml")
_XML_ENDINGS = (".xml", *_HTML_ENDINGS)
_JSON_ENDINGS = (".json", ".jsonl", ".ndjson")
_TEXT_ENDINGS = (".txt", ".csv", ".tsv", ".md", ".yaml", ".yml", ".bib", *_XML_ENDINGS, *_JSON_ENDINGS)

_HTML_TYPES = ("text/html", "application/xhtml+xml")
_ERROR_TYPES = (*_HTML_TYPES, "text/xml", "application/xml", "application/json", "application/problem+json")

# *+ does not try the comments in other groups: a page of nothing else would take for ever.
_HTML = re.compile(r"(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*+<(!doctype\s+html|html|head|body|script|meta)\b", re.DOTALL)
_XML_ERROR = re.compile(r"(?:<\?xml[^>]*>\s*)?<error\b[^>]*>(?:.*?<code>\s*([\w.-]{1,60}))?", re.DOTALL | re.IGNORECASE)
_BLANKS = "\t\n\v\f\r"
_JSON_ERROR_KEYS = {"error", "errors", "error_message", "message", "detail"}
_POINTERS = {
    "version https://git-lfs.github.com/spec/": "a Git LFS pointer",
    "/annex/objects/": "a git-annex pointer",
}
_PAGES = {
    "a Google Drive quota page": r"google drive\W+quota|too many users have viewed or downloaded this file",
    "Google Drive's page that asks about the virus scan": r"virus scan warning|can.t scan this file for viruses",
    "a captive portal's page": r"captive.?portal|wispaccessgateway|network authentication required|\bhotspot\b"
    r"|guest (network|wi-?fi|access)|(wi-?fi|network) (login|access)|switch_url=|fgtauth|securelogin\.|network-auth\.com"
    r"|上网认证|网络认证|校园网",
    "a page that says the file is not there": r"<title>[^<]*(\b404\b|not found|introuvable|找不到)",
    "a folder's listing": r"<title>\s*(index of|directory listing)",
    "a page that asks for a person": r"<title>[^<]*(just a moment|attention required|captcha|are you a robot)"
    r"|checking your browser|(verify|confirm) (that )?you are (a )?human",
    "a login page": r"<title>[^<]*(sign.?in|log.?in|log.?on|anmeld|connexion|登录|登陆)|type=.?password"
    r"|^[^\n?]*//accounts\.google\.|^[^\n?]*/(login|signin|sign_in|sso|cas|auth|oauth2?|saml2?|shibboleth|idp)\b",
}
"""What pages say of themselves, the telling ones first; looked for in the URL's line and in the page after it."""

_MIRROR_HINT = "use another mirror (--mirror URL)"
_BROWSER_HINT = "download the file in a browser and hand it to `dlcat import`"
_POINTER_HINT = "the URL leads to a pointer: take the one behind the repository's download button"
_HINTS = {
    "a Google Drive quota page": f"wait a day until the quota is free again, or {_MIRROR_HINT}",
    "Google Drive's page that asks about the virus scan": f"{_BROWSER_HINT}, or {_MIRROR_HINT}",
    "a captive portal's page": "log in to the network in a browser, then try again",
    "a page that says the file is not there": f"the file has moved: look at the dataset's homepage, or {_MIRROR_HINT}",
    "a folder's listing": "the URL names a folder: it should end with the file",
    "a page that asks for a person": f"{_BROWSER_HINT}, or {_MIRROR_HINT}",
    "a login page": f"the file needs an account: give a token (DLCAT_TOKENS), or {_BROWSER_HINT}",
    "a Git LFS pointer": _POINTER_HINT,
    "a git-annex pointer": _POINTER_HINT,
    "an XML error document": f"the storage refuses the file, or has it no longer: {_MIRROR_HINT}",
    "a JSON error document": f"the server refuses the file, or has it no longer: {_MIRROR_HINT}",
    "an empty file": f"try again later, or {_MIRROR_HINT}",
}
_OTHER_HINT = f"{_MIRROR_HINT}, or ask upstream whether the file has changed"


def diagnose(
    start: bytes,
    *,
    file: str,
    content_type: str | None = None,
    url: str = "",
    size_bytes: int | None = None,
    expected_bytes: int | None = None,
) -> str | None:
    """What a body is if it is not the file, as a phrase to put after 'found'; None where nothing speaks against it.

    Text has no beginning of its own: there only what hardly anybody publishes as data is told (a web page, a pointer, an
    error), and nothing of a body that is as long as expected. Of a binary file that is as long as expected it is not
    told that it is of another kind: then the name may be what is wrong.

    Args:
        start: the first KB, or all of a shorter body.
        file: the file's name; its ending says what is expected.
        content_type: the header of that name.
        url: where the body came from in the end, after redirects.
        size_bytes: the body's length, announced or received.
        expected_bytes: the length in the catalog.
    """
    if not start:
        return "an empty file" if not size_bytes and expected_bytes != 0 else None
    start = start[:_LOOKED_AT_BYTES]
    kind = _ENDINGS.get(_ending(file))
    known = size_bytes is not None and expected_bytes is not None
    as_long = known and size_bytes == expected_bytes
    if kind is None:
        return None if as_long else _not_text(start, _ending(file), url, other_length=known)
    if _begins_as(kind, start):
        return _packed_page(start, file, content_type, url) if kind == "gzip" else None
    return _not_binary(start, kind, url, as_long=as_long)


def wrong_content_type(file: str, content_type: str | None) -> bool:
    """Whether the header speaks against a binary file: a reason to look at the first KB before the rest is taken.

    It proves nothing: download scripts call everything text/html. Of text it says nothing at all.
    """
    return _ending(file) in _ENDINGS and _media_type(content_type) in _ERROR_TYPES


def hint(diagnosis: str) -> str:
    """What to do next after what `diagnose` has found."""
    return _HINTS.get(diagnosis.partition(" (")[0], _OTHER_HINT)


def _not_binary(start: bytes, kind: str, url: str, *, as_long: bool) -> str | None:
    """What a body is that does not begin as its kind does; None where the kind may begin in other ways."""
    text = _text(start)
    if found := _pointer(text) or _page(text, url) or _xml_error(text) or _json_error(text):
        return found
    if not start.strip(b"\0"):
        return "nothing but zero bytes"
    if as_long:
        return None
    if _is_text(start):
        line = "".join(letter for letter in text.partition("\n")[0] if letter.isprintable())
        return f'text that begins "{line[:60].strip()}"' if line else "nothing but white space"
    if other := _kind(start):
        return f"{other} where {kind} was expected"
    return None if kind in _LENIENT else f"bytes that do not begin as {kind} does ({start[:4].hex(' ')})"


def _not_text(start: bytes, ending: str, url: str, *, other_length: bool) -> str | None:
    """What a body is that is no text, or no such text; what is of the file's own kind may be the file itself.

    Args:
        start: its start.
        ending: of the file; an unknown one (part 2 of an archive that was cut) may be anything.
        url: where it came from.
        other_length: it is known not to be as long as expected, so that it is not the file.
    """
    text = _text(start)
    if found := _pointer(text):
        return found
    if (other_length or ending not in _HTML_ENDINGS) and (found := _page(text, url)):
        return found
    if (other_length or ending not in _XML_ENDINGS) and (found := _xml_error(text)):
        return found
    if (other_length or ending not in _JSON_ENDINGS) and (found := _json_error(text)):
        return found
    if ending in _TEXT_ENDINGS and not _is_text(start) and (other := _kind(start)):
        return f"{other} where text was expected"
    return None


def _packed_page(start: bytes, file: str, content_type: str | None, url: str) -> str | None:
    """The page inside gzip, where the header admits it: some servers pack their error page although asked not to."""
    if _media_type(content_type) not in _HTML_TYPES or _ending(file.lower().removesuffix(".gz")) in _HTML_ENDINGS:
        return None
    try:
        return _page(_text(zlib.decompressobj(wbits=31).decompress(start, _LOOKED_AT_BYTES)), url)
    except zlib.error:
        return None


def _pointer(text: str) -> str | None:
    return next((phrase for beginning, phrase in _POINTERS.items() if text.startswith(beginning)), None)


def _page(text: str, url: str) -> str | None:
    if not _HTML.match(text.lower()):
        return None
    subject = f"{url}\n{text}".lower()
    return next((phrase for phrase, pattern in _PAGES.items() if re.search(pattern, subject)), "a web page")


def _xml_error(text: str) -> str | None:
    found = _XML_ERROR.match(text)
    if found is None:
        return None
    return f"an XML error document ({found[1]})" if found[1] else "an XML error document"


def _json_error(text: str) -> str | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):  # longer than what is looked at: data rather than an error
        return None
    is_error = isinstance(document, dict) and not _JSON_ERROR_KEYS.isdisjoint(document)
    return "a JSON error document" if is_error else None


def _text(start: bytes) -> str:
    # Without its mark and zero bytes UTF-16 can be read, too, as far as it is ASCII.
    return re.sub(rb"\A(?:\xff\xfe|\xfe\xff)|\0", b"", start).decode("utf-8-sig", "replace").lstrip()


def _is_text(start: bytes) -> bool:
    try:  # the last letter may be cut in two
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        return False
    return all(letter.isprintable() or letter in _BLANKS for letter in text)


def _kind(start: bytes) -> str | None:
    return next((kind for kind in _KINDS if _begins_as(kind, start)), None)


def _begins_as(kind: str, start: bytes) -> bool:
    return re.match(_KINDS[kind], start, re.DOTALL) is not None


def _ending(file: str) -> str:
    return PurePosixPath(file.lower()).suffix


def _media_type(content_type: str | None) -> str:
    return (content_type or "").partition(";")[0].strip().lower()
