"""Texts as sets of hashed token n-grams, without a Python object for each token."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]
    Offsets = NDArray[np.intp]

# Letters, digits, underscores and all that is not ASCII make words; any other sign is a token.
_SPACE, _WORD, _SIGN = 0, 1, 2
_KIND = np.array(
    [
        _SPACE
        if byte < 33
        else _WORD
        if byte >= 128 or chr(byte).isalnum() or chr(byte) == "_"
        else _SIGN
        for byte in range(256)
    ],
    np.uint8,
)
# Odd 64-bit constants: those of SplitMix64 (Steele et al. 2014) and of the finalizer of
# MurmurHash3. All arithmetic is modulo 2**64.
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_LONGEST = 64  # bytes of a word that count; longer ones are data
_POWERS = np.cumprod(np.full(_LONGEST, _BASE))


class Tokens(NamedTuple):
    """The tokens of a text, in order: hash, offset into its UTF-8 bytes, and the first byte."""

    hashes: Hashes
    starts: Offsets
    first: NDArray[np.uint8]


def ngrams(text: str, n: int) -> Hashes:
    """Return the distinct n-grams of a text's tokens as sorted 64-bit hashes.

    A text with fewer than n tokens has one, of all its tokens; one without tokens has none. The
    hashes are the same in every process.
    """
    grams = np.sort(rolling(tokenize(text).hashes, n))  # twice as fast as np.unique, which hashes
    distinct: Hashes = grams[np.append(True, grams[1:] != grams[:-1])] if grams.size else grams
    return distinct


def rolling(hashes: Hashes, n: int) -> Hashes:
    """Return the hash of each run of n tokens, in order; of all of them, if they are fewer."""
    if hashes.size == 0:
        return hashes
    n = min(n, hashes.size)
    grams = np.zeros(hashes.size - n + 1, np.uint64)
    for offset in range(n):
        grams = grams * _BASE + hashes[offset : offset + grams.size]
    return _mixed(grams)


def tokenize(text: str) -> Tokens:
    """Split a text into words and signs, and hash each: a polynomial of its bytes."""
    data = np.frombuffer(text.encode(), np.uint8)
    kinds = _KIND[data]
    begins = kinds != _SPACE
    begins[1:] &= (kinds[1:] != kinds[:-1]) | (kinds[1:] == _SIGN)
    offsets = np.flatnonzero(begins)
    if offsets.size == 0:
        return Tokens(np.zeros(0, np.uint64), offsets, data[:0])
    ink = kinds != _SPACE
    data, starts = data[ink], np.flatnonzero(begins[ink])
    lengths = np.diff(starts, append=data.size)
    places = np.arange(data.size) - np.repeat(starts, lengths)
    values = (data + np.uint64(1)) * _POWERS[np.minimum(places, _LONGEST - 1)]
    return Tokens(_mixed(np.add.reduceat(values, starts)), offsets, data[starts])


def _mixed(hashes: Hashes) -> Hashes:
    """Spread the bits, by the finalizer of MurmurHash3 (Appleby)."""
    for factor in _MIX:
        hashes = (hashes ^ (hashes >> np.uint64(33))) * factor
    return hashes ^ (hashes >> np.uint64(33))
