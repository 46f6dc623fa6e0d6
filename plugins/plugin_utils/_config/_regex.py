# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which regular expressions Go's regexp.Compile accepts.

The syntax is followed to the letter. So are Go's limits on nesting and size, but for two things that only patterns of many
thousand characters can show: Go factors out what alternatives begin with before it measures them, and it limits the sum of
all Unicode tables.
"""

from __future__ import annotations

import re

# Unicode 15 as in Go 1.26, which looks for one capital letter followed by small ones and so misses names such as Old_Italic.
_CATEGORIES = """
C Cc Cf Cn Co Cs L Lc Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs Any Assigned Ascii
Casedletter Closepunctuation Combiningmark Connectorpunctuation Control Currencysymbol Dashpunctuation Decimalnumber Enclosingmark
Finalpunctuation Format Initialpunctuation Letter Letternumber Lineseparator Lowercaseletter Mark Mathsymbol Modifierletter
Modifiersymbol Nonspacingmark Number Openpunctuation Other Otherletter Othernumber Otherpunctuation Othersymbol Paragraphseparator
Privateuse Punctuation Separator Spaceseparator Spacingmark Surrogate Symbol Titlecaseletter Unassigned Uppercaseletter Cntrl Digit Punct
"""
_SCRIPTS = """
Adlam Ahom Arabic Armenian Avestan Balinese Bamum Batak Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Carian Chakma Cham
Cherokee Chorasmian Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari Dogra Duployan Elbasan Elymaic Ethiopic Georgian
Glagolitic Gothic Grantha Greek Gujarati Gurmukhi Han Hangul Hanunoo Hatran Hebrew Hiragana Inherited Javanese Kaithi Kannada Katakana
Kawi Kharoshthi Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen
Medefaidrin Miao Modi Mongolian Mro Multani Myanmar Nabataean Nandinagari Newa Nko Nushu Ogham Oriya Osage Osmanya Palmyrene Phoenician
Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham Sinhala Sogdian Soyombo Sundanese Syriac Tagalog Tagbanwa Takri Tamil Tangsa
Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Yezidi Yi
"""
_UNICODE = frozenset((_CATEGORIES + _SCRIPTS).split())
_POSIX = re.compile(r"\^?(?:alnum|alpha|ascii|blank|cntrl|digit|graph|lower|print|punct|space|upper|word|xdigit)")
_REPEAT = re.compile(r"\{(0|[1-9][0-9]*)(?:(,)(0|[1-9][0-9]*)?)?\}")
_NAME = re.compile(r"\(\?P?<(?=.)", re.DOTALL)
_OCTAL = re.compile(r"0[0-7]{0,2}|[1-7][0-7]{1,2}")
_HEX = re.compile(r"[0-9a-fA-F]{2}")
_HEX_BRACES = re.compile(r"\{0*([0-9a-fA-F]{1,6})\}")
_CONTROLS = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_ANCHORS = frozenset({"\\A", "\\b", "\\B", "\\z"})
_PERL_CLASSES = frozenset({"\\d", "\\D", "\\s", "\\S", "\\w", "\\W"})
_MAX_HEIGHT = 1000
_MAX_REPEAT = 1000
_MAX_SIZE = (128 << 20) // 40
_MAX_RUNE = 0x10FFFF


class _BadPattern(Exception):  # noqa: N818 - it is a verdict
    pass


def problem(pattern: str) -> str | None:
    """Why Go refuses ``pattern``, in Go's words; None when it does not."""
    if any("\ud800" <= char <= "\udfff" for char in pattern):
        return "invalid UTF-8"
    try:
        _Parser(pattern).parse()
    except _BadPattern as bad:
        return str(bad)
    return None


def _bad(reason: str, fragment: str) -> _BadPattern:
    return _BadPattern(f"{reason}: `{fragment if len(fragment) <= 80 else fragment[:77] + '...'}`")


class _Node:
    """What the limits need to know of a piece of the expression: its height, size and repetitions, never its contents."""

    __slots__ = ("fold", "height", "kind", "length", "repeats", "size", "times")

    def __init__(self, kind: str, fold: bool, parts: tuple[_Node, ...] | list[_Node] = ()) -> None:
        self.kind = kind
        self.fold = fold
        # A concatenation within a concatenation is taken apart by Go, and so with alternatives.
        self.height = 1 + max((part.height - (part.kind == kind and kind in "&|") for part in parts), default=0)
        self.repeats = max((part.repeats for part in parts), default=1)
        self.size = max(1, sum(part.size for part in parts))
        self.length = self.times = 1


class _Parser:
    """Go's parser as it is: a stack of pieces and of what is still open.

    Kinds of piece: l(iteral), c(lass), e(mpty), ^ (any anchor), & (concatenation), | (alternatives), * + ? {; open: ( capturing,
    : not capturing, ! a vertical bar.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0
        self.fold = False
        self.stack: list[_Node] = []
        self.nodes = self.free = 0
        self.repeats = 1
        self.sizes_count = False
        self.no_class_names = False

    def parse(self) -> None:
        last_repeat = -1
        while self.position < len(self.pattern):
            start = self.position
            char = self.pattern[start]
            repeated = char in "*+?{" and self._repetition(char, last_repeat)
            if not repeated:
                _STEPS.get(char, _Parser._literal)(self)
            last_repeat = start if repeated else -1
        self._alternate()
        if len(self.stack) != 1:
            raise _bad("missing closing )", self.pattern)

    # The stack and Go's limits

    def _new(self, kind: str, parts: list[_Node] | tuple[_Node, ...] = ()) -> _Node:
        if self.free:
            self.free -= 1
        else:
            self.nodes += 1
        return _Node(kind, self.fold, parts)

    def _push(self, node: _Node) -> None:
        self._join_literals()
        self.stack.append(node)
        if node.kind == "l":
            node.size = node.length
        self._check(node)

    def _join_literals(self) -> None:
        if len(self.stack) < 2:
            return
        first, second = self.stack[-2:]
        if first.kind == second.kind == "l" and first.fold == second.fold:
            first.length += second.length
            if not self.sizes_count:
                first.size = first.length
            self.stack.pop()
            self.free += 1

    def _check(self, node: _Node) -> None:
        self.repeats = min(self.repeats * node.times, _MAX_SIZE)
        if not self.sizes_count and self.nodes >= _MAX_SIZE // self.repeats:
            self.sizes_count = True
            if any(other.size > _MAX_SIZE for other in self.stack):
                raise _bad("expression too large", self.pattern)
        if self.sizes_count and node.size > _MAX_SIZE:
            raise _bad("expression too large", self.pattern)
        if node.height > _MAX_HEIGHT:
            raise _bad("expression nests too deeply", self.pattern)

    def _above(self, kinds: str) -> list[_Node]:
        start = len(self.stack)
        while start and self.stack[start - 1].kind not in kinds:
            start -= 1
        parts, self.stack[start:] = self.stack[start:], []
        return parts

    def _concat(self) -> None:
        self._join_literals()
        parts = self._above("(:!") or [self._new("e")]
        self._push(parts[0] if len(parts) == 1 else self._collapse("&", parts))

    def _collapse(self, kind: str, parts: list[_Node]) -> _Node:
        node = self._new(kind, parts)
        self.free += sum(part.kind == kind for part in parts)
        return node

    def _swap_bar(self) -> bool:
        """Puts the last alternative below the '|' it follows; single characters become one class."""
        if len(self.stack) < 2 or self.stack[-2].kind != "!":
            return False
        if len(self.stack) >= 3 and _is_char(self.stack[-1]) and _is_char(self.stack[-3]):
            self.stack.pop()
            self.free += 1
            self.stack[-2] = _Node("c", False)
        else:
            self.stack[-2:] = self.stack[:-3:-1]
        return True

    def _alternate(self) -> None:
        self._concat()
        if self._swap_bar():
            self.stack.pop()
        parts = self._above("(:")
        if len(parts) > 1:
            node = self._collapse("|", parts)
            node.size += len(parts) - 1
            parts = [node]
        self._push(parts[0])

    # Operators

    def _repetition(self, char: str, last_repeat: int) -> bool:
        start = self.position
        least = most = 0
        if char == "{":
            match = _REPEAT.match(self.pattern, start)
            if not match:
                return False
            least, most = _bounds(*match.groups(""))
            if most > _MAX_REPEAT or least > _MAX_REPEAT or least > most >= 0:
                raise _bad("invalid repeat count", match.group())
            self.position = match.end()
        else:
            self.position += 1
        if self.pattern.startswith("?", self.position):
            self.position += 1
        if last_repeat >= 0:
            raise _bad("invalid nested repetition operator", self.pattern[last_repeat : self.position])
        if not self.stack or self.stack[-1].kind in "(:!":
            raise _bad("missing argument to repetition operator", self.pattern[start : self.position])
        self._repeat(char, least, most)
        if char == "{" and max(least, most) >= 2 and self.stack[-1].repeats > _MAX_REPEAT:
            raise _bad("invalid repeat count", self.pattern[start : self.position])
        return True

    def _repeat(self, char: str, least: int, most: int) -> None:
        node = self._new(char, [self.stack[-1]])
        size = self.stack[-1].size
        self.stack[-1] = node
        if char != "{":
            node.size = size + (2 if char == "*" else 1)
            self._check(node)
            return
        times = least if most < 0 else most
        node.repeats = node.repeats * max(1, times) if most else 1
        if most < 0:
            node.size = 1 + least * size if least else 2 + size
        else:
            node.size = max(1, most * size + most - least)
        node.times = max(1, times)
        self._check(node)

    def _bar(self) -> None:
        self.position += 1
        self._concat()
        if not self._swap_bar():
            self._push(self._new("!"))

    def _close(self) -> None:
        self.position += 1
        self._alternate()
        if len(self.stack) < 2:
            raise _bad("unexpected )", self.pattern)
        node = self.stack.pop()
        paren = self.stack.pop()
        self.fold = paren.fold
        if paren.kind == "(":
            captured = _Node("(captured)", False, [node])
            captured.size = node.size + 2
            node = captured
        self._push(node)

    def _open(self) -> None:
        if self.pattern.startswith("(?", self.position):
            self._flags()
        else:
            self.position += 1
            self._push(self._new("("))

    def _flags(self) -> None:
        start = self.position
        name = _NAME.match(self.pattern, start)
        if name:
            self._named(start, name.end())
            return
        fold, sign, seen = self.fold, True, False
        self.position = start + 2
        while self.position < len(self.pattern):
            char = self.pattern[self.position]
            self.position += 1
            if char == "-" and sign:
                sign = seen = False
            elif char in "imsU":
                fold, seen = (sign if char == "i" else fold), True
            elif char in ":)" and (sign or seen):
                if char == ":":
                    self._push(self._new(":"))
                self.fold = fold
                return
            else:
                break
        raise _bad("invalid or unsupported Perl syntax", self.pattern[start : self.position])

    def _named(self, start: int, name: int) -> None:
        end = self.pattern.find(">", start)
        if end < 0:
            raise _bad("invalid named capture", self.pattern[start:])
        if not re.fullmatch("[A-Za-z0-9_]+", self.pattern[name:end]):
            raise _bad("invalid named capture", self.pattern[start : end + 1])
        self._push(self._new("("))
        self.position = end + 1

    # Characters

    def _literal(self) -> None:
        self.position += 1
        self._push(self._new("l"))

    def _anchor(self) -> None:
        self.position += 1
        self._push(self._new("^"))

    def _any(self) -> None:
        self.position += 1
        self._push(self._new("c"))

    def _backslash(self) -> None:
        two = self.pattern[self.position : self.position + 2]
        if two in _ANCHORS:
            self.position += 2
            self._push(self._new("^"))
        elif two == "\\C":
            raise _bad("invalid escape sequence", two)
        elif two == "\\Q":
            end = self.pattern.find("\\E", self.position + 2)
            for _char in self.pattern[self.position + 2 : end if end >= 0 else None]:
                self._push(self._new("l"))
            self.position = end + 2 if end >= 0 else len(self.pattern)
        elif self._class_escape():
            self._push(self._new("c"))
        else:
            self._escape()
            self._push(self._new("l"))

    def _class_escape(self) -> bool:
        start = self.position
        two = self.pattern[start : start + 2]
        if two in _PERL_CLASSES:
            self.position += 2
            return True
        if two not in ("\\p", "\\P"):
            return False
        end = start + 2
        name = self.pattern[end : end + 1]
        if name == "{":
            end = self.pattern.find("}", start)
            if end < 0:
                raise _bad("invalid character class range", self.pattern[start:])
            name = self.pattern[start + 3 : end]
        name = re.sub("[_ -]", "", name[1:] if name.startswith("^") else name)
        if not name.isascii() or name.capitalize() not in _UNICODE:
            raise _bad("invalid character class range", self.pattern[start : end + 1])
        self.position = end + 1
        return True

    def _escape(self) -> int:
        start = self.position
        char = self.pattern[start + 1 : start + 2]
        if not char:
            raise _bad("trailing backslash at end of expression", "")
        self.position = start + 2
        if char.isascii() and not char.isalnum():
            return ord(char)
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char == "x":
            return self._hex(start)
        octal = _OCTAL.match(self.pattern, start + 1)
        if not octal:
            raise _bad("invalid escape sequence", self.pattern[start : start + 2])
        self.position = octal.end()
        return int(octal.group(), 8)

    def _hex(self, start: int) -> int:
        for form, group in ((_HEX, 0), (_HEX_BRACES, 1)):
            match = form.match(self.pattern, start + 2)
            if match and int(match.group(group), 16) <= _MAX_RUNE:
                self.position = match.end()
                return int(match.group(group), 16)
        raise _bad("invalid escape sequence", self.pattern[start : start + 4])

    def _class(self) -> None:
        start = self.position
        node = self._new("c")
        self.position += 1
        if self.pattern.startswith("^", self.position):
            self.position += 1
        first = True
        while first or not self.pattern.startswith("]", self.position):
            first = False
            if not self._class_name() and not self._class_escape():
                self._range(start)
        self.position += 1
        self._push(node)

    def _class_name(self) -> bool:
        if self.no_class_names or not self.pattern.startswith("[:", self.position):
            return False
        end = self.pattern.find(":]", self.position + 2)
        if end < 0:
            self.no_class_names = True
            return False
        if not _POSIX.fullmatch(self.pattern, self.position + 2, end):
            raise _bad("invalid character class range", self.pattern[self.position : end + 2])
        self.position = end + 2
        return True

    def _range(self, start: int) -> None:
        begin = self.position
        low = self._class_char(start)
        if self.pattern.startswith("-", self.position) and self.pattern[self.position + 1 : self.position + 2] not in ("", "]"):
            self.position += 1
            if self._class_char(start) < low:
                raise _bad("invalid character class range", self.pattern[begin : self.position])

    def _class_char(self, start: int) -> int:
        char = self.pattern[self.position : self.position + 1]
        if not char:
            raise _bad("missing closing ]", self.pattern[start:])
        if char == "\\":
            return self._escape()
        self.position += 1
        return ord(char)


_STEPS = {
    "(": _Parser._open,
    ")": _Parser._close,
    "|": _Parser._bar,
    "[": _Parser._class,
    "\\": _Parser._backslash,
    "^": _Parser._anchor,
    "$": _Parser._anchor,
    ".": _Parser._any,
}


def _is_char(node: _Node) -> bool:
    return node.kind == "c" or (node.kind == "l" and node.length == 1)


def _bounds(least: str, comma: str, most: str) -> tuple[int, int]:
    low = min(int(least[:9]), _MAX_REPEAT + 1)
    if not comma:
        return low, low
    return low, min(int(most[:9]), _MAX_REPEAT + 1) if most else -1
