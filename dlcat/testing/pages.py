"""What servers send with 200 in place of a file: short pages in our own words that bear the marks of the real ones."""

from __future__ import annotations

DRIVE_QUOTA = b"""<!doctype html>
<html><head><title>Google Drive - Quota exceeded</title></head>
<body><p class="uc-error-caption">Sorry, this file cannot be had at the moment.</p>
<p class="uc-error-subcaption">So many people downloaded it that its quota is used up. Come back tomorrow.</p>
</body></html>
"""

DRIVE_VIRUS = b"""<!doctype html>
<html><head><title>Google Drive - Virus scan warning</title></head>
<body><p class="uc-warning-caption">Nobody looked for viruses in this file: it is too large for that.</p>
<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">
<input type="hidden" name="id" value="0"><input type="hidden" name="confirm" value="t">
<input type="submit" id="uc-download-link" value="Download anyway"></form>
</body></html>
"""

CAPTIVE_PORTAL = b"""<!doctype html>
<html><head><title>Welcome to the guest network</title></head>
<body><h1>You are almost online</h1>
<form action="/hotspot/accept" method="post"><button>Accept the terms and connect</button></form>
</body></html>
"""

LOGIN = b"""<!doctype html>
<html><head><title>Sign in</title></head>
<body><form action="/login" method="post">
<label>User <input name="username"></label> <label>Password <input type="password" name="password"></label>
<button>Sign in</button></form></body></html>
"""


def lfs_pointer(sha256: str, size_bytes: int) -> bytes:
    """The text a Git repository holds in place of a file that is kept in Git LFS."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size_bytes}\n".encode()
