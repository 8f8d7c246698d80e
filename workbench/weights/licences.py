"""The notice that lies next to the weights, as their licences ask for."""

from __future__ import annotations

import importlib.metadata

from workbench.weights.catalogue import Weights

_MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT
OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def licence_text(weights: Weights) -> str:
    """Write the notice: whose files these are, how they are pinned, and the licence's text."""
    pins = "\n".join(f"  {file.sha256}  {file.path}" for file in weights.files)
    head = [
        weights.title,
        weights.copyright,
        _origin(weights),
        pins,
        f"SPDX-License-Identifier: {weights.licence}",
        weights.note,
    ]
    text = f"The licence: {weights.terms}\n" if weights.terms else _full_text(weights.licence)
    return "\n".join(line for line in head if line) + "\n\n" + text


def _origin(weights: Weights) -> str:
    if weights.packed == "int8-pack":
        return (
            f"The files below hold the weights of {weights.hub_repo}, changed: they were rounded"
            f" to 8 bits by the makers of {weights.archives[0]}, and written out by this program:"
        )
    return f"The files below are those of {weights.hub_repo}, unchanged (checked by sha256):"


def _full_text(licence: str) -> str:
    """Return the text of the licence; that of Apache-2.0 is this package's own licence file."""
    if licence == "MIT":
        return _MIT
    try:
        files = importlib.metadata.files("code-workbench") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "LICENSE" and licence == "Apache-2.0" and (text := file.read_text()):
            return text
    return f"The text of the licence is the one that SPDX lists as {licence}.\n"
