"""Texts as sets of hashed token n-grams, without a Python object for each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Hashes = NDArray[np.uint64]

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


def ngrams(text: str, n: int) -> Hashes:
    """Return the distinct n-grams of a text's tokens as sorted 64-bit hashes.

    A text with fewer than n tokens has one, of all its tokens; one without tokens has none. The
    hashes are the same in every process.
    """
    tokens = _tokens(text)
    if tokens.size == 0:
        return tokens
    n = min(n, tokens.size)
    grams = np.zeros(tokens.size - n + 1, np.uint64)
    for offset in range(n):
        grams = grams * _BASE + tokens[offset : offset + grams.size]
    grams = np.sort(_mixed(grams))  # twice as fast as np.unique, which hashes
    distinct: Hashes = grams[np.append(True, grams[1:] != grams[:-1])]
    return distinct


def _tokens(text: str) -> Hashes:
    """Return the hash of each token, in order: a polynomial of its bytes."""
    data = np.frombuffer(text.encode(), np.uint8)
    kinds = _KIND[data]
    begins = kinds != _SPACE
    begins[1:] &= (kinds[1:] != kinds[:-1]) | (kinds[1:] == _SIGN)
    ink = kinds != _SPACE
    data, begins = data[ink], begins[ink]
    starts = np.flatnonzero(begins)
    if starts.size == 0:
        return np.zeros(0, np.uint64)
    lengths = np.diff(starts, append=data.size)
    places = np.arange(data.size) - np.repeat(starts, lengths)
    values = (data + np.uint64(1)) * _POWERS[np.minimum(places, _LONGEST - 1)]
    return _mixed(np.add.reduceat(values, starts))


def _mixed(hashes: Hashes) -> Hashes:
    """Spread the bits, by the finalizer of MurmurHash3 (Appleby)."""
    for factor in _MIX:
        hashes = (hashes ^ (hashes >> np.uint64(33))) * factor
    return hashes ^ (hashes >> np.uint64(33))
