"""The data flow of a program: which variable's value comes from which.

The edges of GraphCodeBERT (Guo et al. 2021, arXiv 2009.08366), as CodeBLEU compares them: an edge
is (variable, "comesFrom" or "computedFrom", the names that it stems from). Two rule sets: what the
reference implementation knows of each language, with all that it overlooks in the grammars of
today, and a corrected one.

The reference goes through Python sets of names, whose order changes from process to process with
the seed of string hashes, so its numbers do too; here names keep the order of their appearance.
It also walks recursively and gives up on trees deeper than Python's stack; this walk does not.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from workbench.metrics.codebleu.trees import Node, Tree

States = dict[str, tuple[int, ...]]
"""The places at which each name may have got its value."""
Walk = Generator[tuple["Node", States], States, States]
"""Yields a node to walk with the states before it, is sent the states behind it."""
Flow = tuple[str, str, tuple[str, ...]]

COMES, COMPUTED = "comesFrom", "computedFrom"


class Edge(NamedTuple):
    """Where the value of the token at ``place`` stems from: names, and their places."""

    name: str
    place: int
    relation: str
    sources: tuple[str, ...]
    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the walk knows of a language: kinds of nodes, and the fields that matter in them.

    ``definitions`` and ``assignments`` map a kind to the fields of target and value; ``pairwise``
    are the kinds of lists in them that are taken apart, if equally long. ``updates`` change a
    variable in place. ``branches`` are walked as a fork: ``arms`` are the kinds of children that
    start from the states before the fork, and with ``sticky`` so do all children behind the first
    of them. ``open_fork``: the states before the fork always flow on, even with an ``else``.
    ``counted`` loops walk what stands behind the child ``header`` a second time, ``each`` loops
    (fields of variable, source and body) and ``repeated`` ones everything. ``early`` children are
    walked first. ``names`` are tokens that a first use defines.
    """

    definitions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    assignments: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    updates: frozenset[str] = frozenset()
    branches: frozenset[str] = frozenset({"if_statement"})
    arms: frozenset[str] = frozenset({"if_statement", "else"})
    sticky: bool = True
    open_fork: bool = False
    counted: Mapping[str, str] = field(default_factory=dict)
    each: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    early: frozenset[str] = frozenset()
    pairwise: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset({"identifier"})


class _NotThere(Exception):
    """The walk needs a node that the tree does not have; the text then has no data flow at all."""


def data_flow(tree: Tree, language: str, *, corrected: bool) -> list[Flow]:
    """Return the edges of a program, in the order of the tokens, with variables numbered.

    Names become ``var_0``, ``var_1``, ... as they appear: sources before what stems from them.
    Tokens from which nothing flows and to which nothing flows are left out, and edges of one token
    are made one. A broken tree may lack what the walk asks for; it has no data flow then.
    """
    walker = (CORRECTED if corrected else REFERENCE)[language]
    try:
        edges = walker.walk(tree.root)
    except _NotThere:
        return []
    edges.sort(key=lambda edge: edge.place)
    reached = {place for edge in edges if edge.places for place in (edge.place, *edge.places)}
    return _numbered(_joined([edge for edge in edges if edge.place in reached]))


def _joined(edges: list[Edge]) -> Iterable[Edge]:
    """Make the edges of one token one: the first one's name and relation, all sources."""
    joined: dict[int, Edge] = {}
    for edge in edges:
        known = joined.get(edge.place)
        joined[edge.place] = edge if known is None else _both(known, edge)
    return joined.values()


def _both(one: Edge, other: Edge) -> Edge:
    sources = tuple(dict.fromkeys(one.sources + other.sources))
    return one._replace(sources=sources, places=tuple({*one.places, *other.places}))


def _numbered(edges: Iterable[Edge]) -> list[Flow]:
    numbers: dict[str, str] = {}

    def number(name: str) -> str:
        return numbers.setdefault(name, f"var_{len(numbers)}")

    flows = []
    for edge in edges:
        sources = tuple([number(source) for source in edge.sources])
        flows.append((number(edge.name), edge.relation, sources))
    return flows


class Walker:
    """Walks a tree by rules; one walker may walk several trees at once."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._handlers = {
            **dict.fromkeys(rules.definitions, self.define),
            **dict.fromkeys(rules.assignments, self.assign),
            **dict.fromkeys(rules.updates, self.update),
            **dict.fromkeys(rules.branches, self.fork),
            **dict.fromkeys(rules.counted, self.count),
            **dict.fromkeys(rules.each, self.each),
            **dict.fromkeys(rules.repeated, self.repeat),
        }

    def walk(self, root: Node) -> list[Edge]:
        """Return the edges in the order in which they are met.

        Raises:
            _NotThere: the tree lacks a node that the rules ask for.
        """
        edges: list[Edge] = []
        stack: list[Walk] = [self.visit(root, {}, edges)]
        states: States | None = None
        while stack:
            try:
                node, before = stack[-1].send(states)  # type: ignore[arg-type]
            except StopIteration as done:
                stack.pop()
                states = done.value
            else:
                stack.append(self.visit(node, before, edges))
                states = None
        return edges

    def visit(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        """Walk a node by the rule of its kind, or else child by child."""
        if node.is_token:
            return self.all_of([node], states, edges)
        handler = self._handlers.get(node.kind)
        return handler(node, states, edges) if handler else self.go_on(node, states, edges)

    def go_on(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        """Walk the children, early kinds first."""
        children = node.children
        early = self.rules.early
        if early:
            children = [child for child in children if child.kind in early]
            children += [child for child in node.children if child.kind not in early]
        return (yield from self.all_of(children, states, edges))

    def all_of(self, nodes: Iterable[Node], states: States, edges: list[Edge]) -> Walk:
        """Walk one node after the other."""
        for node in nodes:
            if node.is_token:
                self.use(node, states, edges)
            else:
                states = yield node, states
        return states

    def use(self, token: Node, states: States, edges: list[Edge]) -> None:
        """Note where a name's value comes from; a name never seen before is defined here."""
        if not token.is_word:
            return
        known = states.get(token.text)
        if known is None:
            if token.kind in self.rules.names:
                states[token.text] = (token.place,)
            edges.append(Edge(token.text, token.place, COMES, (), ()))
        else:
            edges.append(Edge(token.text, token.place, COMES, (token.text,), known))

    def define(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        """Walk a declaration, with or without a value."""
        target, value = self.declared(node)
        if value is None:
            for word in _there(target).words():
                edges.append(Edge(word.text, word.place, COMES, (), ()))
                states[word.text] = (word.place,)
            return states
        states = yield from self.all_of([value], states, edges)
        _flow_apart(COMES, _there(target), value, states, edges)
        return states

    def declared(self, node: Node) -> tuple[Node | None, Node | None]:
        """Return what is declared and its value."""
        target, value = self.rules.definitions[node.kind]
        return node.field(target), node.field(value)

    def assign(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        """Walk the value, then let the target stem from all names in it."""
        target, value = (node.field(name) for name in self.rules.assignments[node.kind])
        states = yield from self.all_of([_there(value)], states, edges)
        _flow_apart(COMPUTED, _there(target), _there(value), states, edges)
        return states

    def update(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        """Let all names in ``i++`` stem from all names in it."""
        yield from ()
        _flow_apart(COMPUTED, node, node, states, edges)
        return states

    def fork(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        """Walk the arms of a branch, each from the states before it, and unite what they leave."""
        rules = self.rules
        ends, current = [], dict(states)
        complete, in_arms = "else" in node.kind, False
        for child in node.children:
            complete = complete or "else" in child.kind
            in_arms = child.kind in rules.arms or (in_arms and rules.sticky)
            if in_arms:
                ends.append((yield from self.all_of([child], dict(states), edges)))
            else:
                current = yield from self.all_of([child], current, edges)
        ends.append(current)
        if rules.open_fork or not complete:
            ends.append(states)
        return _united(ends)

    def count(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        """Walk a loop with a head; what stands behind the head's first part is walked twice."""
        mark = len(edges)
        states = yield from self.all_of(node.children, states, edges)
        kinds = [child.kind for child in node.children]
        header = self.rules.counted[node.kind]
        behind = kinds.index(header) + 1 if header in kinds else len(kinds)
        states = yield from self.all_of(node.children[behind:], states, edges)
        edges[mark:] = _merged(edges[mark:])
        return states

    def each(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        """Walk a loop over the elements of a source, twice."""
        mark = len(edges)
        target, source, body = self.looped(node)
        for _ in range(2):
            states = yield from self.all_of([_there(source)], states, edges)
            _flow_apart(COMPUTED, _there(target), _there(source), states, edges)
            states = yield from self.all_of([_there(body)], states, edges)
        edges[mark:] = _merged(edges[mark:])
        return states

    def looped(self, node: Node) -> tuple[Node | None, Node | None, Node | None]:
        """Return the variable, the source and the body of a loop over elements."""
        target, source, body = self.rules.each[node.kind]
        return node.field(target), node.field(source), node.field(body)

    def repeat(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        """Walk a loop twice."""
        mark = len(edges)
        for _ in range(2):
            states = yield from self.all_of(node.children, states, edges)
        edges[mark:] = _merged(edges[mark:])
        return states


class _Go(Walker):
    """Go's head of a loop is one node; its update is walked again before the body is."""

    def count(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        mark = len(edges)
        states = yield from self.all_of(node.children, states, edges)
        clause = next((child for child in node.children if child.kind == "for_clause"), None)
        if clause is not None:
            update = clause.field("update")
            behind = node.children[node.children.index(clause) + 1 :]
            again = behind if update is None else [update, *behind]
            states = yield from self.all_of(again, states, edges)
        edges[mark:] = _merged(edges[mark:])
        return states


class _CSharp(Walker):
    """A declarator holds its value as a second child, in the C# grammar that the rules know."""

    def declared(self, node: Node) -> tuple[Node | None, Node | None]:
        first = node.children[0]
        return first, node.children[1] if len(node.children) == 2 else None


class _Php(Walker):
    """The source of ``foreach`` is its first variable, the target its second one."""

    def looped(self, node: Node) -> tuple[Node | None, Node | None, Node | None]:
        variables = [child for child in node.children if child.kind == "variable_name"]
        source, target, *_ = [*variables, None, None]
        return target, source, node.field("body")


class _Python(Walker):
    """Several targets at once; a target stems from all names of its value in one edge.

    As in the reference, any two sides with equally many children are taken apart, not only lists:
    in ``a.x = b.y`` the ``x`` stems from ``y`` alone, and in ``self.name = "text"`` an attribute
    of three children meets a string of three, into which the walk cannot go, so that the whole
    program has no data flow.
    """

    def assign(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        if node.kind == "for_in_clause":
            targets, sources = [_there(node.field("left"))], [node.children[-1]]
        elif node.field("right") is None:
            return states
        else:
            targets, sources = self.sides(node)
        return (yield from self.flow(targets, sources, states, edges))

    def each(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        mark = len(edges)
        targets, sources = self.sides(node)
        for _ in range(2):
            states = yield from self.flow(targets, sources, states, edges)
            if node.children[-1].kind == "block":
                states = yield from self.all_of(node.children[-1:], states, edges)
        edges[mark:] = _merged(edges[mark:])
        return states

    def flow(
        self, targets: list[Node], sources: list[Node], states: States, edges: list[Edge]
    ) -> Walk:
        """Walk the sources, then let each target stem from all names of its source."""
        states = yield from self.all_of(sources, states, edges)
        for target, source in zip(targets, sources, strict=True):
            words = source.words()
            names = tuple([word.text for word in words])
            places = tuple([word.place for word in words])
            for word in target.words():
                edges.append(Edge(word.text, word.place, COMPUTED, names, places))
                states[word.text] = (word.place,)
        return states

    def sides(self, node: Node) -> tuple[list[Node], list[Node]]:
        """Return targets and sources that belong together."""
        left, right = _there(node.field("left")), _there(node.field("right"))
        size = _size(left)
        if not size or size != _size(right):
            return [left], [right]
        if left.is_token or right.is_token:
            raise _NotThere
        return _parts(left), _parts(right)


def _size(node: Node) -> int:
    """Count the children that are no commas, also those of a token."""
    return sum(child.type != "," for child in node.raw.children)


def _parts(node: Node) -> list[Node]:
    return [child for child in node.children if child.kind != ","]


def _there(node: Node | None) -> Node:
    if node is None:
        raise _NotThere
    return node


def _flow_apart(
    relation: str, target: Node, source: Node, states: States, edges: list[Edge]
) -> None:
    """Let each name of the target stem from each name of the source, in edges of their own."""
    words = source.words()
    for word in target.words():
        for origin in words:
            sources, places = (origin.text,), (origin.place,)
            edges.append(Edge(word.text, word.place, relation, sources, places))
        states[word.text] = (word.place,)


def _merged(edges: list[Edge]) -> list[Edge]:
    """Make edges of one token with one relation one, as a loop meets its tokens twice."""
    merged: dict[tuple[str, int, str], Edge] = {}
    for edge in edges:
        key = edge[:3]
        merged[key] = _both(merged[key], edge) if key in merged else edge
    return list(merged.values())


def _united(ends: list[States]) -> States:
    united: dict[str, set[int]] = {}
    for end in ends:
        for name, places in end.items():
            united.setdefault(name, set()).update(places)
    return {name: tuple(sorted(places)) for name, places in united.items()}


_WHILE = frozenset({"while_statement"})
_UPDATE = frozenset({"update_expression"})
_SIDES = ("left", "right")
_VALUE = ("name", "value")
# Where a walker finds the parts by their places.
_BY_PLACE = ("", "")
_NO_FIELDS = ("", "", "")
_DECLARATION = {"for_statement": "local_variable_declaration"}

_C_SHARP = _CSharp(
    Rules(
        definitions={"variable_declarator": _BY_PLACE},
        assignments={"assignment_expression": _SIDES},
        updates=frozenset({"postfix_unary_expression"}),
        counted=_DECLARATION,
        each={"for_each_statement": ("left", "right", "body")},
        repeated=_WHILE,
    )
)

REFERENCE: Mapping[str, Walker] = {
    "python": _Python(
        Rules(
            definitions={"default_parameter": _VALUE},
            assignments=dict.fromkeys(
                ("assignment", "augmented_assignment", "for_in_clause"), _SIDES
            ),
            arms=frozenset({"elif_clause", "else_clause"}),
            sticky=False,
            each={"for_statement": ("left", "right", "body")},
            repeated=_WHILE,
            early=frozenset({"for_in_clause"}),
        )
    ),
    "java": Walker(
        Rules(
            definitions={"variable_declarator": _VALUE},
            assignments={"assignment_expression": _SIDES},
            updates=_UPDATE,
            counted=_DECLARATION,
            each={"enhanced_for_statement": ("name", "value", "body")},
            repeated=_WHILE,
        )
    ),
    "csharp": _C_SHARP,
    "cpp": _C_SHARP,
    "go": _Go(
        Rules(
            definitions={"var_spec": _VALUE},
            assignments={"assignment_statement": _SIDES},
            updates=frozenset({"inc_statement"}),
            open_fork=True,
            counted={"for_statement": "for_clause"},
        )
    ),
    "php": _Php(
        Rules(
            definitions={"simple_parameter": ("name", "default_value")},
            assignments=dict.fromkeys(
                ("assignment_expression", "augmented_assignment_expression"), _SIDES
            ),
            updates=_UPDATE,
            branches=frozenset({"if_statement", "else_clause"}),
            arms=frozenset({"if_statement", "else_clause"}),
            open_fork=True,
            counted={"for_statement": "assignment_expression"},
            each={"foreach_statement": _NO_FIELDS},
            repeated=_WHILE,
        )
    ),
    "javascript": Walker(
        Rules(
            definitions={"variable_declarator": _VALUE},
            assignments=dict.fromkeys(
                ("assignment_pattern", "augmented_assignment_expression"), _SIDES
            ),
            updates=_UPDATE,
            open_fork=True,
            counted={"for_statement": "variable_declaration"},
            repeated=_WHILE,
        )
    ),
}
"""What the reference implementation knows of each language."""


class _Corrected(Walker):
    """Knows more than one target, first parts of a loop by their field, and names of all kinds."""

    def declared(self, node: Node) -> tuple[Node | None, Node | None]:
        target, value = super().declared(node)
        if node.kind == "variable_declarator" and target is None:  # C# has no field for the value
            target = node.children[0]
        if node.kind == "variable_declarator" and value is None and _has(node, "="):
            value = node.children[-1]
        return target, value

    def define(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        target, value = self.declared(node)
        if target is None or value is None:
            return (yield from super().define(node, states, edges))
        return (yield from self.set(COMES, target, value, states, edges))

    def assign(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        target, value = (node.field(name) for name in self.rules.assignments[node.kind])
        if target is None or value is None:  # an annotation alone, or a broken tree
            return (yield from self.go_on(node, states, edges))
        return (yield from self.set(COMPUTED, target, value, states, edges))

    def set(
        self, relation: str, target: Node, value: Node, states: States, edges: list[Edge]
    ) -> Walk:
        """Walk the value, and let the target stem from it, each target from its own value."""
        states = yield from self.all_of([value], states, edges)
        pairs = [(target, value)]
        if target.kind in self.rules.pairwise and value.kind in self.rules.pairwise:
            targets, values = (_listed(node) for node in (target, value))
            if len(targets) == len(values):
                pairs = list(zip(targets, values, strict=True))
        for one, other in pairs:
            _flow_apart(relation, one, other, states, edges)
        return states

    def update(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        if not (_has(node, "++") or _has(node, "--")) and node.kind.endswith("unary_expression"):
            return (yield from self.go_on(node, states, edges))  # C#: also -x, !x and x!
        return (yield from super().update(node, states, edges))

    def count(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        mark = len(edges)
        states = yield from self.all_of(node.children, states, edges)
        first = node.field(self.rules.counted[node.kind])
        behind = 0 if first is None else node.children.index(first) + 1
        states = yield from self.all_of(node.children[behind:], states, edges)
        edges[mark:] = _merged(edges[mark:])
        return states

    def each(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        mark = len(edges)
        target, source, body = (_there(part) for part in self.looped(node))
        for _ in range(2):
            states = yield from self.set(COMPUTED, target, source, states, edges)
            states = yield from self.all_of([body], states, edges)
        rest = node.children[node.children.index(body) + 1 :]  # Python's else
        states = yield from self.all_of(rest, states, edges)
        edges[mark:] = _merged(edges[mark:])
        return states


class _CorrectedGo(_Corrected):
    """In Go, a loop over elements, a counting one and one that waits are one kind of node."""

    def count(self, node: Node, states: States, edges: list[Edge]) -> Walk:
        clause = next((child for child in node.children if child.kind == "for_clause"), None)
        if clause is None:
            return (yield from self.repeat(node, states, edges))
        mark = len(edges)
        states = yield from self.all_of(node.children, states, edges)
        parts = [clause.field("update"), clause.field("condition"), node.field("body")]
        again = [part for part in parts if part is not None]
        states = yield from self.all_of(again, states, edges)
        edges[mark:] = _merged(edges[mark:])
        return states


class _CorrectedPhp(_Corrected):
    """In PHP, ``foreach`` has fields for its body only: source, ``as``, target."""

    def looped(self, node: Node) -> tuple[Node | None, Node | None, Node | None]:
        named = [child for child in node.children if child.raw.is_named]
        source, target, *_ = [*named, None, None]
        return target, source, node.field("body")


def _has(node: Node, symbol: str) -> bool:
    return any(child.kind == symbol for child in node.children)


def _listed(node: Node) -> list[Node]:
    return [child for child in node.children if child.raw.is_named]


_LOOPS = frozenset({"while_statement", "do_statement"})
_BOTH_UPDATES = frozenset({"prefix_unary_expression", "postfix_unary_expression"})
_ELSE = frozenset({"else_clause", "else"})

CORRECTED: Mapping[str, Walker] = {
    "python": _Corrected(
        Rules(
            definitions={"default_parameter": _VALUE, "typed_default_parameter": _VALUE},
            assignments={
                **dict.fromkeys(("assignment", "augmented_assignment", "for_in_clause"), _SIDES),
                "named_expression": _VALUE,
            },
            arms=frozenset({"elif_clause", "else_clause"}),
            sticky=False,
            each={"for_statement": ("left", "right", "body")},
            repeated=_WHILE,
            early=frozenset({"for_in_clause"}),
            pairwise=frozenset({"pattern_list", "tuple_pattern", "list_pattern"})
            | {"expression_list", "tuple", "list"},
        )
    ),
    "java": _Corrected(
        Rules(
            definitions={"variable_declarator": _VALUE},
            assignments={"assignment_expression": _SIDES},
            updates=_UPDATE,
            counted={"for_statement": "init"},
            each={"enhanced_for_statement": ("name", "value", "body")},
            repeated=_LOOPS,
        )
    ),
    "csharp": _Corrected(
        Rules(
            definitions={"variable_declarator": _VALUE},
            assignments={"assignment_expression": _SIDES},
            updates=_BOTH_UPDATES,
            counted={"for_statement": "initializer"},
            each={"foreach_statement": ("left", "right", "body")},
            repeated=_LOOPS,
        )
    ),
    "cpp": _Corrected(
        Rules(
            definitions={"init_declarator": ("declarator", "value")},
            assignments={"assignment_expression": _SIDES},
            updates=_UPDATE,
            arms=_ELSE,
            counted={"for_statement": "initializer"},
            each={"for_range_loop": ("declarator", "right", "body")},
            repeated=_LOOPS,
        )
    ),
    "javascript": _Corrected(
        Rules(
            definitions={"variable_declarator": _VALUE},
            assignments=dict.fromkeys(
                (
                    "assignment_pattern",
                    "assignment_expression",
                    "augmented_assignment_expression",
                ),
                _SIDES,
            ),
            updates=_UPDATE,
            arms=_ELSE,
            counted={"for_statement": "initializer"},
            each={"for_in_statement": ("left", "right", "body")},
            repeated=_LOOPS,
            pairwise=frozenset({"array_pattern", "array"}),
        )
    ),
    "go": _CorrectedGo(
        Rules(
            definitions=dict.fromkeys(("var_spec", "const_spec"), _VALUE),
            assignments=dict.fromkeys(
                ("assignment_statement", "short_var_declaration", "range_clause"), _SIDES
            ),
            updates=frozenset({"inc_statement", "dec_statement"}),
            counted={"for_statement": ""},
            pairwise=frozenset({"expression_list"}),
        )
    ),
    "php": _CorrectedPhp(
        Rules(
            definitions={"simple_parameter": ("name", "default_value")},
            assignments=dict.fromkeys(
                ("assignment_expression", "augmented_assignment_expression"), _SIDES
            ),
            updates=_UPDATE,
            arms=frozenset({"else_clause", "else_if_clause"}),
            counted={"for_statement": "initialize"},
            each={"foreach_statement": _NO_FIELDS},
            repeated=_LOOPS,
            names=frozenset({"name"}),
        )
    ),
}
"""What fits the grammars of today: all that declares, sets, updates, forks and repeats."""
