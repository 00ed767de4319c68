"""The idempotency key as the value of an HTTP header."""

import re
from hashlib import sha256
from urllib.parse import quote

LONGEST_KEY = 200
"""Characters; the limit that the example services document, and a common limit of other services."""

_VISIBLE = "".join(map(chr, range(ord("!"), ord("~") + 1)))
_SENT_UNCHANGED = re.compile(rf"[!-~]{{0,{LONGEST_KEY}}}")
_BEGINNING = 100
"""Characters of an encoded key before the hash, for the readers of logs."""


def key_to_header(key: str) -> str:
    """Returns a key of at most 200 visible ASCII characters unchanged, and encodes every other key.

    An encoded key is the percent-encoded beginning of the key, `~`, and the SHA-256 of the whole key: visible
    ASCII of at most 165 characters. Different keys stay different, and equal keys stay equal. The encoding
    must never change: a retry with another key would repeat the effect.

    >>> key_to_header("order-7:reserve-stock")
    'order-7:reserve-stock'
    >>> key_to_header("Käse:reserve-stock").partition("~")[0]
    'K%C3%A4se:reserve-stock'
    """
    if _SENT_UNCHANGED.fullmatch(key):
        return key
    # An unpaired surrogate cannot come from Temporal, but from a caller of `HttpParticipant.call`.
    beginning = quote(key, safe=_VISIBLE, errors="surrogatepass")[:_BEGINNING]
    return f"{beginning}~{sha256(key.encode(errors='surrogatepass')).hexdigest()}"
