"""CodeBLEU in seven languages on current tree-sitter: the published numbers, and corrected ones.

CodeBLEU (Ren et al. 2020, arXiv 2009.10297) is the weighted mean of four parts: n-gram match
(BLEU), weighted n-gram match (keywords count five times), syntactic match (subtrees of the
syntax tree) and data-flow match (which variable's value comes from which).

``variant="reference"``, the default, gives the numbers of the reference implementation: the
package codebleu 0.7.0 over the same grammars. It is the code of Microsoft's CodeXGLUE as it runs
today, with two changes: CodeXGLUE takes comments out as if each language was Java, and a data flow
of 0 is 0 in its total, where the package counts 1. All of this is in the package's numbers, and
stays in ours:

- Tokens are what ``str.split`` makes: ``return(x)`` is one token and no keyword.
- A text of fewer than four tokens is not even its own match: its missing n-grams do not match.
- The keyword lists have faults: see ``keywords``.
- The weighted part is a recall, where the paper has a precision, and its brevity penalty takes
  each reference for 2 tokens long, so that it never bites.
- The syntactic part counts a reference's subtree as often as it occurs there, if the candidate
  has it once. Operators and identifiers are in no subtree: ``a + b`` matches ``c - d``.
- Comments are cut out of the text by patterns that know no grammar (see ``comments``).
- A PHP text without ``<?php`` is plain text: its tree is one node, and it has no data flow.
- Tokens behind a character outside ASCII are cut at wrong columns of their line.
- The data flow overlooks much: in C++, which uses the rules for C#, all declarations with a value,
  ``i++`` and loops over elements; in JavaScript all plain assignments and ``for ... of``; in C#
  the values of declarations and ``foreach``, which today's grammar names anew; in Go ``:=`` and
  ``range``; in Python annotated defaults, ``:=`` and the ``else`` of a loop. One statement can lose
  that of the whole program: ``self.name = "text"`` in Python (see ``dataflow``), ``foreach`` over
  anything but ``$a as $b`` in PHP.
- Variables are numbered through the whole program, so one more shifts all that follow.
- Where no reference has any data flow, that part is 0 but counts as 1 in the total; so does a part
  that is 0 because nothing matches. The empty answer to most problems scores 25 in total.
- With several references the subtrees and edges of all are summed: one more right answer lowers
  the score. The candidate loses its comments once more for each of them.

The original differs from run to run: it goes through Python sets of strings, whose order follows
the seed of string hashes. Here names keep the order of their appearance. Two more numbers that it
does not give itself twice: trees deeper than Python's stack have no data flow in it, and have one
here; and in Python, comments and f-strings are read by the ``tokenize`` of the running Python.
The signature names that Python's version, and those of tree-sitter (texts with errors are read
differently by 0.26.0 and 0.26.1) and of the grammars.

``variant="corrected"`` is under another signature and corrects these: tokens and comments are those
of the syntax tree, with docstrings taken for comments; orders of n-grams that an answer is too
short for are left out; keywords are each language's own; the weighted part is the precision of the
paper with the true brevity penalty; subtrees are matched one to one; columns count as they should;
PHP needs no tag; the data flow knows all that declares, sets, updates, forks and repeats in today's
grammars; a data flow that no reference has is left out of the total, and the other weights fill its
place; 0 is 0; of several references the best one counts, for each part.
"""

from workbench.metrics.codebleu.metric import CodeBleu, CodeBleuScore, codebleu

__all__ = ["CodeBleu", "CodeBleuScore", "codebleu"]
