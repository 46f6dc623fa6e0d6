# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: CEL expressions that zot refuses, found as cel-go v0.29 does in zot's environment.

One-sided: what is refused here zot refuses too, but what passes here zot can still refuse. Found are all errors of syntax and limits,
undeclared references, and calls that no function of that name takes: an unknown one, or a wrong number of arguments. Types are not
looked at: a wrong one (1 + 'a', a message's unknown field, a pattern that is none) is left to ``zot verify``.

The parser's methods are named after the rules of CEL's grammar. They build no tree; a ``_Node`` is what the rule around it asks for.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter

_MAX_LENGTH = 100_000
_MAX_DEPTH = 250

# Lexing

_ESCAPE = r"""\\(?:[abfnrtv"'\\?`]|[0-3][0-7]{2}|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"""
_STRING = rf"""(?:[rR](?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|"[^"\n\r]*"|'[^'\n\r]*')
  |\"\"\"(?:{_ESCAPE}|[^\\])*?\"\"\"|'''(?:{_ESCAPE}|[^\\])*?'''|"(?:{_ESCAPE}|[^\\"\n\r])*"|'(?:{_ESCAPE}|[^\\'\n\r])*')"""
_TOKEN = re.compile(
    rf"""(?P<skip>[\t\ \r\n\f]+|//[^\n]*)
  |(?P<double>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
  |(?P<uint>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])|(?P<int>0x[0-9a-fA-F]+|[0-9]+)
  |(?P<bytes>[bB]{_STRING})|(?P<string>{_STRING})
  |(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<escaped>`[A-Za-z0-9_./\ -]+`)
  |(?P<sign>[=!<>]=|&&|\|\||[\[\]{{}}().,\-!?:+*/%<>])|(?P<none>[\s\S])""",
    re.VERBOSE,
)
_SIGNED = ("int", "double")
_LITERALS = ("int", "uint", "double", "string", "bytes", "true", "false", "null")
_KEYWORDS = ("in", "true", "false", "null")
_RESERVED = re.compile("as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|while")

# Parsing. How closely an operator binds, and the rules that are entered once more for its right side: cel-go limits the depth of each.
_OPERATORS: dict[str, tuple[t.Any, ...]] = {
    "?": (0,), ":": (0, "expr"), "||": (1,), "&&": (2,),
    **dict.fromkeys(("<", "<=", ">=", ">", "==", "!=", "in"), (3, "relation")),
    **dict.fromkeys("+-", (4, "calc")), **dict.fromkeys("*/%", (5, "calc")),
}  # fmt: skip
_BALANCED = ("||", "&&")  # a chain of these becomes a tree without depth

# Declarations. In front of macros, functions and methods: the numbers of arguments that they take, a digit each.


def _table(text: str) -> dict[str, set[int]]:
    rows = (line.split() for line in text.strip().splitlines())
    return {name: {int(count) for count in counts} for counts, *names in rows for name in names}


_MACROS = _table("""
2 all exists exists_one filter optFlatMap optMap
23 map
""")
_FUNCTIONS = _table("""
0 optional.none
1 bool bytes double duration dyn int size string timestamp type uint
1 base64.decode base64.encode json.encode optional.of optional.ofNonZeroValue optional.unwrap strings.quote
2 matches sets.contains sets.equivalent sets.intersects
""")
_METHODS = _table("""
0 first hasValue last lowerAscii reverse size trim unwrapOpt upperAscii value
01 getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds join
1 charAt contains endsWith format matches or orValue startsWith
12 indexOf lastIndexOf split substring
23 replace
""")
_MESSAGES = {
    f"google.protobuf.{name}"
    for name in (
        "Any", "BoolValue", "BytesValue", "DoubleValue", "Duration", "Empty", "FloatValue", "Int32Value", "Int64Value", "ListValue",
        "StringValue", "Struct", "Struct.FieldsEntry", "Timestamp", "UInt32Value", "UInt64Value", "Value",
    )
}  # fmt: skip
_TYPES = {"bool", "bytes", "double", "int", "list", "map", "null_type", "optional_type", "string", "type", "uint"}
_DECLARED = _TYPES | _MESSAGES | {"google.protobuf.NullValue.NULL_VALUE"}


class _Refused(Exception):  # noqa: N818 - it is a verdict
    pass


class _Node(t.NamedTuple):
    """``names``: a, b, c when it is a.b.c and nothing else (the first keeps a leading dot)."""

    height: int = 0
    names: tuple[str, ...] = ()
    is_select: bool = False


def problem(expression: str, variables: frozenset[str] = frozenset({"req"})) -> str | None:
    """Why zot refuses ``expression``, in which the ``variables`` are declared; None when nothing speaks against it."""
    try:
        if len(expression) > _MAX_LENGTH:
            raise _Refused(f"expression code point size exceeds limit: size: {len(expression)}, limit {_MAX_LENGTH}")
        _Parser(expression).start(_DECLARED | variables)
    except _Refused as refused:
        return str(refused)[:300]
    except RecursionError:
        return None  # the caller was deep down already
    return None


def _quote(text: str) -> str:
    """What a message shows of the expression. With repr: it can hold line breaks and halves of characters."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _undeclared(name: str) -> _Refused:
    return _Refused(f"undeclared reference to {_quote(name.lstrip('.'))} (in container '')")


def _check_call(takes: dict[str, set[int]], name: str, count: int) -> None:
    if count in takes.get(name, ()):
        return
    if name in _FUNCTIONS or name in _METHODS:
        raise _Refused(f"found no matching overload for {_quote(name)} with {count} argument{'s' * (count != 1)}")
    raise _undeclared(name)


def _tokens(text: str) -> t.Iterator[tuple[str, str]]:
    """Kind and text of each; a sign or keyword is a kind of its own."""
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup or "", match.group()
        if kind == "none":
            raise _Refused(f"Syntax error: token recognition error at: {_quote(token)}")
        if kind != "skip":
            yield (token if kind == "sign" or token in _KEYWORDS else kind), token
    yield "end", "<EOF>"


def _is_valid(kind: str, text: str) -> bool:
    """Whether a literal stands for a value."""
    if kind in ("int", "uint"):
        digits = text.lstrip("-").rstrip("uU").lstrip("0")
        number = int(digits[1:], 16) if digits[:1] == "x" else int(digits[:30] or "0")  # the first 30 are too large already
        return number < (1 << 64 if kind == "uint" else (1 << 63) + text.startswith("-"))
    if kind == "double":
        return abs(float(text)) != float("inf")
    is_bytes = kind == "bytes"
    if text[is_bytes] in "rR":
        return True
    codes = [int(escape[2:], 16) for escape in re.findall(_ESCAPE, text) if escape[1] in "uU"]
    return not codes if is_bytes else all(code < 0xD800 or 0xE000 <= code <= 0x10FFFF for code in codes)


def _node(parts: t.Iterable[_Node], deeper: bool = True) -> _Node:
    """What is made of ``parts``; ``deeper``: cel-go counts it as a level."""
    height = max((part.height for part in parts), default=0) + deeper
    if height > _MAX_DEPTH:
        raise _Refused("max recursion depth exceeded")
    return _Node(height)


class _Parser:
    """Three frames (_expr, _member, _items or _call) are a level of nesting: Python's stack has room for all that cel-go allows."""

    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.at = 0
        self.depth: Counter[str] = Counter()
        self.references: list[tuple[str, ...]] = []  # those to the variables of macros are taken out again

    def start(self, declared: frozenset[str]) -> None:
        self._expr()
        self._expect("end")
        for names in self.references:
            prefixes = (".".join(names[:count]).lstrip(".") for count in range(1, len(names) + 1))
            if declared.isdisjoint(prefixes):
                raise _undeclared(names[0])

    def _peek(self, ahead: int = 0) -> str:
        return self.tokens[min(self.at + ahead, len(self.tokens) - 1)][0]

    def _accept(self, *kinds: str) -> str:
        kind, text = self.tokens[self.at]
        if kind not in kinds:
            return ""
        self.at += 1
        return text

    def _expect(self, *kinds: str) -> str:
        text = self._accept(*kinds)
        if not text:
            wanted = "an expression" if kinds == _LITERALS else " or ".join(kinds)
            raise _Refused(f"Syntax error: mismatched input {_quote(self.tokens[self.at][1])} expecting {wanted}")
        return text

    def _enter(self, *rules: str) -> None:
        self.depth.update(rules)
        if any(self.depth[rule] > _MAX_DEPTH for rule in rules):
            raise _Refused(f"expression recursion limit exceeded: {_MAX_DEPTH}")

    # Operators

    def _expr(self) -> _Node:
        """Operators wait in a list until one follows that binds less closely: a frame for each precedence would be too many."""
        rules = ("expr", "relation", "calc")
        self._enter(*rules)
        waiting: list[str] = []
        nodes: list[_Node] = []
        while not nodes or self._operator(waiting, nodes):
            negated = self._signs()
            node = self._member()
            nodes.append(_Node(node.height) if negated else node)
        while waiting:
            self._reduce(waiting, nodes)
        self.depth.subtract(rules)
        return nodes[0]

    def _operator(self, waiting: list[str], nodes: list[_Node]) -> bool:
        """Takes the next one; False where the expression ends, which is before a : without ? as well."""
        sign = self._peek()
        closeness, *rules = _OPERATORS.get(sign, _OPERATORS[":"])
        # What waits and binds at least as closely is complete; ? and : wait for the very end.
        while waiting and _OPERATORS[waiting[-1]][0] >= max(closeness, 1):
            self._reduce(waiting, nodes)
        if closeness == 0 and waiting[-1:] == ["?"]:
            self._expect(":")
            waiting[-1] = ":"
        elif sign in _OPERATORS and sign != ":":
            self.at += 1
            waiting.append(sign)
        else:
            return False
        self._enter(*rules)
        return True

    def _reduce(self, waiting: list[str], nodes: list[_Node]) -> None:
        sign = waiting.pop()
        count = 3 if sign == ":" else 2
        nodes[-count:] = [_node(nodes[-count:], deeper=sign not in _BALANCED)]
        self.depth.subtract(_OPERATORS[sign][1:])

    def _signs(self) -> bool:
        """Skips the signs of a unary; whether their number is odd, for cel-go drops pairs. The minus before a number is none."""
        sign, count = self._peek(), 0
        if sign == "!" or (sign == "-" and self._peek(1) not in _SIGNED):
            while self._accept(sign):
                count += 1
        return count % 2 == 1

    # Operands

    def _member(self) -> _Node:
        """A primary and what selects from it; one function, to spare a frame."""
        if self._accept("("):
            node = self._expr()
            self._expect(")")
        elif self._accept("["):
            node = self._items("]")
        elif self._accept("{"):
            node = self._items("}", self._expr)
        elif self._message():
            node = self._items("}", self._field)
        elif self._peek() in ("name", "."):
            name = self._accept(".") + self._identifier()
            node = self._call(name) if self._accept("(") else self._reference(name)
        else:
            node = self._literal()
        while self._peek() in ("[", "."):
            if self._accept("["):
                self._accept("?")
                node = _node((node, self._expr()))
                self._expect("]")
            elif self._peek(1) == "name" and self._peek(2) == "(":
                self.at += 3
                node = self._call(self.tokens[self.at - 2][1], node)
            else:
                node = self._select(node)
        return node

    def _items(self, close: str, key: t.Callable[[], t.Any] | None = None) -> _Node:
        """Of a list, or with keys of a map or message. A comma can follow the last or stand alone."""
        parts: list[_Node] = []
        if self._accept(","):
            self._expect(close)
            return _Node()
        while not self._accept(close):
            self._accept("?")
            if key:
                parts.append(key())
                self._expect(":")
            parts.append(self._expr())
            if not self._accept(","):
                self._expect(close)
                break
        return _node(parts, deeper=False)

    def _message(self) -> bool:
        """Whether a.b.C{ follows; it is skipped then."""
        end = int(self._peek() == ".")
        while self._peek(end) == "name" and self._peek(end + 1) == ".":
            end += 2
        if self._peek(end) != "name" or self._peek(end + 1) != "{":
            return False
        name = "".join(text for _kind, text in self.tokens[self.at : self.at + end + 1]).lstrip(".")
        if name not in _MESSAGES:
            raise _undeclared(name)
        self.at += end + 2
        return True

    def _identifier(self) -> str:
        name = self._expect("name")
        if _RESERVED.fullmatch(name):
            raise _Refused(f"Syntax error: reserved identifier: {name}")
        return name

    def _field(self) -> _Node:
        self._expect("name", "escaped")
        return _Node()

    def _reference(self, name: str) -> _Node:
        self.references.append((name,))
        return _Node(names=(name,))

    def _select(self, node: _Node) -> _Node:
        self._expect(".")
        optional = self._accept("?")
        field = self._expect("name", "escaped").strip("`")
        height = _node((node,)).height
        names = (*node.names, field) if node.names and not optional else ()
        if names:
            self.references[-1] = names
        return _Node(height, names, is_select=not optional)

    def _literal(self) -> _Node:
        minus = self._accept("-")
        kind = self._peek()
        text = self._expect(*(_SIGNED if minus else _LITERALS))
        if not _is_valid(kind, minus + text):
            raise _Refused(f"Syntax error: invalid {kind} literal")
        return _Node()

    # Calls

    def _call(self, name: str, target: _Node | None = None) -> _Node:
        """A call of a function, a method or a macro, from behind its opening parenthesis."""
        start = len(self.references)
        arguments: list[_Node] = []
        while not self._accept(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._expr())
        count = len(arguments)
        if target is None:
            if name == "has" and count == 1:
                return self._has(arguments[0])
            _check_call(_FUNCTIONS, name.lstrip("."), count)
            return _node(arguments, deeper=False)
        qualified = ".".join((*target.names, name)).lstrip(".") if target.names else ""
        if count in _MACROS.get(name, ()):
            self._bind(name, arguments[0], start)
        elif qualified in _FUNCTIONS:
            _check_call(_FUNCTIONS, qualified, count)
            del self.references[start - 1]  # a namespace is no reference
        else:
            _check_call(_METHODS, name, count)
        return _node((target, *arguments))

    def _has(self, argument: _Node) -> _Node:
        if not argument.is_select:
            raise _Refused("Syntax error: invalid argument to has() macro")
        if argument.names:  # has(a.b) looks up a alone
            self.references[-1] = argument.names[:-1]
        return _Node(argument.height, is_select=True)

    def _bind(self, macro: str, argument: _Node, start: int) -> None:
        """Declares a macro's variable in its arguments, whose references begin at ``start``."""
        if len(argument.names) != 1:
            raise _Refused("Syntax error: argument must be a simple name")
        variable = argument.names[0]
        if variable == "__result__" and not macro.startswith("opt"):
            raise _Refused("Syntax error: iteration variable overwrites accumulator variable")
        if macro not in ("filter", "optMap", "optFlatMap"):  # which also evaluate it
            del self.references[start]
        # A name with a leading dot is never a macro's variable.
        self.references[start:] = [names for names in self.references[start:] if names[0] != variable or variable[0] == "."]
